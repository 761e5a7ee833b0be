"""Initialisers of ONNX models come out as onnx.numpy_helper reads them, wherever their numbers lie."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from safe_load.export import copying, safetensors_check
from safe_load.worker import extract
from safe_load.worker.formats import onnx as onnx_format
from safe_load.worker.formats.interface import Content
from safetensors.torch import load_file

from tests.unit.worker.formats.test_data import judged

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KINDS = ("FLOAT", "UINT8", "INT8", "UINT16", "INT16", "INT32", "INT64", "BOOL", "FLOAT16", "DOUBLE", "UINT32", "UINT64", "COMPLEX64", "BFLOAT16", "FLOAT8E4M3FN", "FLOAT8E5M2")  # fmt: skip


def tensors() -> list[onnx.TensorProto]:
    """Each type, in the field that the format has for it, and as raw bytes."""
    found = []
    for name in KINDS:
        kind = getattr(TensorProto, name)
        values = [0, 1, 1, 0, 1, 1] if name == "BOOL" else [0, 1, 2, 7, 9, 3]
        if name.startswith("INT"):
            values[1] = -1
        typed = helper.make_tensor(f"typed.{name}", kind, (2, 3), values)
        raw = numpy_helper.from_array(numpy_helper.to_array(typed), f"raw.{name}")
        found += [typed, raw]
    return found


def model(
    *initialisers: onnx.TensorProto, nodes: tuple[onnx.NodeProto, ...] = (), **options: Any
) -> onnx.ModelProto:
    nodes = nodes or (helper.make_node("Identity", ["x"], ["y"]),)
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1]) for n in ("x", "y")]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], list(initialisers))
    return helper.make_model(graph, producer_name="tests", ir_version=10, **options)


def opened(
    folder: Path, name: str = "model.onnx", parts: tuple[str, ...] = ()
) -> tuple[dict[str, Any], Callable[[], dict[str, torch.Tensor]]]:
    """What extraction says of a model and the files beside it, and its export."""
    files = [
        {"path": str(folder / each), "name": each, "output": 0 if each == name else None}
        for each in (name, *parts)
    ]
    files[0]["parts"] = list(parts)
    out = folder / "out"
    output = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    result = extract.main({"files": files}, [output])["files"]
    os.close(output)

    def exported() -> dict[str, torch.Tensor]:
        sources = [os.open(folder / each, os.O_RDONLY) for each in (name, *parts)]
        with out.open("r+b") as filled:
            copying.copy(sources, filled.fileno(), result[0]["runs"])
        for source in sources:
            os.close(source)
        safetensors_check.check(out)
        return load_file(out)

    return {"model": result[0], "others": result[1:]}, exported


def same(got: torch.Tensor, expected: np.ndarray[Any, Any]) -> bool:
    shape = tuple(got.shape) == expected.shape
    return shape and got.flatten().view(torch.uint8).numpy().tobytes() == expected.tobytes()


def test_every_type_and_field_is_as_onnx_reads_it(tmp_path: Path) -> None:
    onnx.save_model(model(*tensors()), tmp_path / "model.onnx")
    said, exported = opened(tmp_path)
    assert (said["model"]["status"], said["model"]["state"]) == ("ok", "data")
    got = exported()
    assert len(got) == 2 * len(KINDS)
    for each in tensors():
        assert same(got[each.name], numpy_helper.to_array(each)), each.name


@pytest.mark.parametrize("single", [True, False])
def test_numbers_in_other_files_are_read_from_there(tmp_path: Path, *, single: bool) -> None:
    both = [numpy_helper.from_array(np.arange(999, dtype="f4") + i, f"w{i}") for i in range(2)]
    path = tmp_path / "model.onnx"
    options: dict[str, Any] = {"save_as_external_data": True, "size_threshold": 0}
    options |= {"all_tensors_to_one_file": single, "location": "numbers" if single else None}
    onnx.save_model(model(*both), path, **options)
    parts = tuple(sorted(each.name for each in tmp_path.iterdir() if each != path))
    assert parts
    said, exported = opened(tmp_path, parts=parts)
    assert (said["model"]["status"], said["model"]["carried"]) == ("ok", [])
    assert {each["state"] for each in said["others"]} == {"data"}
    for number, (_, tensor) in enumerate(sorted(exported().items())):
        assert same(tensor, np.arange(999, dtype="f4") + number)
    alone, _ = opened(tmp_path)
    assert alone["model"]["status"] == "unsupported"
    assert "name the folder that holds both" in alone["model"]["reason"]


@pytest.mark.parametrize(
    "location",
    ["../secret", "/etc/passwd", "a/../../b", "C:\\secret", "..\\secret", "file:///etc/passwd"],
)
def test_a_path_that_leaves_the_folder_is_told_and_not_followed(
    tmp_path: Path, location: str
) -> None:
    tensor = numpy_helper.from_array(np.zeros(4, "f4"), "w")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    # A constant is read by onnx.load as an initialiser is.
    constant = helper.make_node("Constant", [], ["c"], value=tensor)
    for number, each in enumerate((model(tensor), model(nodes=(constant,)))):
        onnx.save_model(each, tmp_path / "model.onnx")
        said, _ = opened(tmp_path)
        assert [ident for ident, _ in said["model"]["carried"]] == ["SL505"]
        assert said["model"]["status"] == "unsupported", number


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"offset": "4000"}, "bytes at byte 4000 of a file of"),
        ({"length": "15"}, "its shape takes 16 bytes"),
        ({"offset": "-1"}, "is no number of bytes"),
        ({"offset": "9" * 19}, "is no number of bytes"),
        ({"length": "٣"}, "is no number of bytes"),
    ],
)
def test_an_extent_that_lies_is_refused(tmp_path: Path, changed: dict[str, str], says: str) -> None:
    (tmp_path / "numbers").write_bytes(bytes(64))
    tensor = numpy_helper.from_array(np.zeros(4, "f4"), "w")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in ({"location": "numbers"} | changed).items():
        tensor.external_data.add(key=key, value=value)
    onnx.save_model(model(tensor), tmp_path / "model.onnx")
    said, _ = opened(tmp_path, parts=("numbers",))
    assert (said["model"]["status"], says in said["model"]["reason"]) == ("not_loadable", True)


def test_python_operators_are_told_and_custom_domains_and_functions_are_named() -> None:
    python = helper.make_node("PyOp", ["x"], ["y"], domain="ai.onnx.contrib")
    content, reading = judged(model(nodes=(python,)).SerializeToString())
    assert isinstance(content, Content)
    assert [ident for ident, _ in reading.carried] == ["SL506"]
    inner = helper.make_node("Mine", ["x"], ["y"], domain="of.mine")
    body = (helper.make_node("Relu", ["a"], ["b"]),)
    function = helper.make_function("of.here", "Local", ["a"], ["b"], body, [])
    local = helper.make_node("Local", ["y"], ["z"], domain="of.here")
    data = model(nodes=(inner, local), functions=[function]).SerializeToString()
    _, reading = judged(data)
    assert reading.carried == []
    assert "'of.mine'" in reading.notes[0]
    assert "of.here" not in reading.notes[0]
    assert "1 functions: 'Local'" in reading.notes[1]


def test_a_shape_without_numbers_is_refused() -> None:
    tensor = numpy_helper.from_array(np.zeros(4, "f4"), "w")
    for shape, says in (
        ((1 << 40,), "takes"),
        ((5,), "16 bytes are no float32"),
        ((1 << 60,), "has the shape"),
    ):
        del tensor.dims[:]
        tensor.dims.extend(shape)
        result, _ = judged(model(tensor).SerializeToString())
        assert says in getattr(result, "reason", ""), shape


def test_a_hard_link_is_not_taken_for_numbers(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"S" * 16)
    model_folder = tmp_path / "model"
    model_folder.mkdir()
    tensor = numpy_helper.from_array(np.zeros(4, "f4"), "w")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="numbers")
    onnx.save_model(model(tensor), model_folder / "model.onnx")
    os.link(tmp_path / "secret", model_folder / "numbers")
    said, _ = opened(model_folder, parts=("numbers",))
    assert (said["model"]["status"], said["model"]["runs"]) == ("not_loadable", [])
    assert "hard link" in said["model"]["reason"]
    (tmp_path / "secret").unlink()
    assert opened(model_folder, parts=("numbers",))[0]["model"]["status"] == "ok"


def test_the_messages_are_those_that_onnx_has() -> None:
    seen: set[tuple[str, int]] = set()

    def missing(described: Any, schema: dict[int, Any], path: str) -> list[str]:
        if (described.full_name, id(schema)) in seen:
            return []
        seen.add((described.full_name, id(schema)))
        found = [f"{path}.{f.name}" for f in described.fields if f.number not in schema]
        for each in described.fields:
            inner = schema.get(each.number)
            if (each.message_type is None) != (inner is None):
                found.append(f"{path}.{each.name}")
            elif inner is not None:
                found += missing(each.message_type, inner, f"{path}.{each.name}")
        return found

    assert missing(onnx.ModelProto.DESCRIPTOR, onnx_format._ONNX, "model") == []


@pytest.mark.parametrize("name", ["INT4", "UINT4", "INT2", "FLOAT4E2M1", "FLOAT6E2M3"])
def test_types_smaller_than_a_byte_come_out_as_the_bytes_that_are_stored(
    tmp_path: Path, name: str
) -> None:
    typed = helper.make_tensor("t", getattr(TensorProto, name), (3, 3), [1, 0, 1, 1, 0, 1, 1, 1, 1])
    raw = numpy_helper.from_array(numpy_helper.to_array(typed), "raw")
    onnx.save_model(model(typed, raw), tmp_path / "model.onnx")
    said, exported = opened(tmp_path)
    assert (said["model"]["status"], len(said["model"]["notes"])) == ("ok", 2)
    got = exported()
    assert got["raw"].numpy().tobytes() == raw.raw_data
    assert f"onnx={name.lower()} of 3x3" in said["model"]["metadata"]["raw"]
    assert got["t"].dtype == torch.uint8


def test_constants_of_nodes_come_out_by_what_the_node_gives(tmp_path: Path) -> None:
    """As paddle2onnx and silero keep their weights: in Constant nodes, also of the branches of an If."""

    def constant(name: str, array: Any) -> onnx.NodeProto:
        return helper.make_node(
            "Constant", [], [name], value=numpy_helper.from_array(array, "value")
        )

    w, h = np.arange(6, dtype="f4").reshape(2, 3), np.array([1, 2], "f2")
    q = np.arange(4, dtype="i1").reshape(2, 2)
    ends = [helper.make_tensor_value_info("h", TensorProto.FLOAT16, [2])]
    branch = helper.make_graph([constant("h", h)], "then", [], ends)
    nodes = (
        constant("w", w),
        constant("q", q),
        constant("axes", np.array([0, 1])),
        constant("one", np.array(2.0, "f4")),
        helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=branch),
    )
    data = model(numpy_helper.from_array(h, "h"), nodes=nodes).SerializeToString()
    (tmp_path / "model.onnx").write_bytes(data)
    result, exported = opened(tmp_path)
    assert result["model"]["status"] == "ok"
    found = {name: tensor.numpy() for name, tensor in exported().items()}
    assert sorted(found)[-2:] == ["q", "w"]
    assert len(found) == 5  # h of the model and of both branches
    for name, expected in {"w": w, "q": q, "h": h}.items():
        assert found[name].tobytes() == expected.tobytes()


@pytest.mark.parametrize("tensor", tensors(), ids=lambda each: each.name)
def test_a_tensor_in_a_file_of_its_own_is_what_onnx_reads(
    tensor: onnx.TensorProto, tmp_path: Path
) -> None:
    (tmp_path / "input_0.pb").write_bytes(tensor.SerializeToString())
    result, exported = opened(tmp_path, "input_0.pb")
    assert result["model"]["format"] == "onnx-tensor"
    assert result["model"]["state"] == "data"
    (found,) = exported().values()
    assert (
        found.view(torch.uint8).numpy().tobytes() == numpy_helper.to_array(tensor).tobytes()
    )  # bit by bit, whatever torch calls the type


def test_a_tensor_of_another_size_or_with_an_unknown_field_is_refused() -> None:
    data = helper.make_tensor("w", TensorProto.FLOAT, (2,), [1, 2]).SerializeToString()
    for wrong in (data[:-1], data + b"\x7a\1x", b"\x08\3" + data):
        assert not isinstance(judged(wrong)[0], Content)
    outside = onnx.TensorProto(dims=[2], data_type=1, data_location=1)
    outside.external_data.add(key="location", value="../../etc/passwd")
    _, reading = judged(outside.SerializeToString())
    assert [finding for finding, _ in reading.carried] == ["SL505"]
