"""Weights of further frameworks come out with the values that their own libraries read.

The bytes are put together as the libraries lay them out. By hand, files that mxnet 1.9.1, openvino 2026.4, paddle 3.3,
xgboost 3.2 and lightgbm 4.7.0 wrote were read by these libraries and here: names, types and values were equal.
"""

from __future__ import annotations

import io
import json
import pickle
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from safe_load import profiles
from safe_load.worker import extract
from safe_load.worker.formats import ubjson as ubjson_format
from safe_load.worker.formats.interface import Content
from safe_load.worker.refusal import RefusedError
from safetensors.numpy import load_file

from tests.unit.worker.formats.test_data import judged
from tests.unit.worker.formats.test_libraries import ubjson

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Arrays = dict[str, Any]
W = np.arange(6, dtype="<f4").reshape(2, 3)
M = np.array([1.5, -2.0])
I8 = np.array([3, -4, 5], dtype="i1")
FLAGS = {"float32": 0, "float64": 1, "float16": 2, "uint8": 3, "int32": 4, "int8": 5, "int64": 6}


def mxnet_shape(shape: tuple[int, ...]) -> bytes:
    return struct.pack(f"<i{len(shape)}q", len(shape), *shape)


def mxnet_array(array: Any, version: int = 0xF993FAC9) -> bytes:
    """NDArray::Save of versions 2 and 3, and what version 1 and the one before it wrote."""
    tail = struct.pack("<3i", 1, 0, FLAGS[array.dtype.name]) + array.tobytes()
    if version == 0:
        return struct.pack(f"<I{array.ndim}I", array.ndim, *array.shape) + tail
    kind = b"" if version == 0xF993FAC8 else struct.pack("<i", 0)
    return struct.pack("<I", version) + kind + mxnet_shape(array.shape) + tail


def mxnet_sparse() -> bytes:
    """A matrix of compressed rows."""
    data, indptr, indices = np.ones(2, "f4"), np.array([0, 1, 2]), np.array([0, 1])
    head = struct.pack("<Ii", 0xF993FAC9, 2) + mxnet_shape((2,)) + mxnet_shape((2, 3))
    head += struct.pack("<3i", 1, 0, 0)
    for further in (indptr, indices):
        head += struct.pack("<i", 6) + mxnet_shape(further.shape)
    return head + data.tobytes() + indptr.tobytes() + indices.tobytes()


def mxnet(arrays: list[bytes], names: list[str]) -> bytes:
    texts = b"".join(struct.pack("<Q", len(name)) + name.encode() for name in names)
    head = struct.pack("<3Q", 0x112, 0, len(arrays))
    return head + b"".join(arrays) + struct.pack("<Q", len(names)) + texts


H = np.array([[0.5, 2.0]], "<f2")
Q8 = np.arange(34, dtype="u1").reshape(1, 34)


def ggml_tensors(*, aligned: int | None = None) -> bytes:
    """Three tensors, the last one of a block of Q8_0. aligned: where they begin, if what follows a name is filled up."""
    out = b""
    for name, array, kind in ((b"w", W, 0), (b"h", H, 1), (b"q", Q8, 8)):
        sizes = (32, 1) if kind == 8 else array.shape[::-1]
        out += struct.pack("<3i", 2, len(name), kind) + struct.pack("<2i", *sizes) + name
        if aligned is not None:
            out += bytes(-(aligned + len(out)) % 32)
        out += array.tobytes()
    return out


def ggml(kind: str) -> bytes:
    """As whisper.cpp, GPT-2 of ggml's examples, the three versions of llama.cpp, and its adapters have them."""
    words = [b"the", b"", b"\xe2\x96"]
    plain = b"".join(struct.pack("<I", len(word)) + word for word in words)
    scored = b"".join(struct.pack("<I", len(word)) + word + bytes(4) for word in words)
    sizes = struct.pack("<7i", 3, 16, 256, 4, 2, 64, 1)
    head = {
        "whisper": b"lmgg" + struct.pack("<11i", 51864, 1500, 384, 6, 4, 448, 384, 6, 4, 2, 1)
        + struct.pack("<2i", 2, 3) + bytes(24) + struct.pack("<i", 3) + plain,
        "gpt-2": b"lmgg" + sizes[:24] + struct.pack("<i", 3) + plain,
        "ggml": b"lmgg" + sizes + plain,
        "ggmf": b"fmgg" + struct.pack("<i", 1) + sizes + scored,
        "ggjt": b"tjgg" + struct.pack("<i", 3) + sizes + scored,
        "ggla": b"algg" + struct.pack("<3i", 1, 8, 16),
    }[kind]  # fmt: skip
    return head + ggml_tensors(aligned=len(head) if kind in ("ggjt", "ggla") else None)


TREE = {
    "base_weights": [0.5, -0.25, 0.125], "split_conditions": [0.1, 1.5, 2.5], "left_children": [1, -1, -1],
    "default_left": [0, 0, 1], "categories": [], "categories_sizes": [], "id": 0,
}  # fmt: skip
BOOSTER = {
    "learner": {
        "gradient_booster": {"model": {"trees": [TREE], "tree_info": [0, 3]}, "name": "gbtree"},
        "feature_names": [],
    },
    "version": [3, 2, 0],
}
_TREE = "learner.gradient_booster.model.trees.0."
BOOSTED: Arrays = {
    "learner.gradient_booster.model.tree_info": np.array([0, 3]),
    f"{_TREE}base_weights": np.array([0.5, -0.25, 0.125], "f4"),
    f"{_TREE}split_conditions": np.array([0.1, 1.5, 2.5], "f4"),
    f"{_TREE}left_children": np.array([1, -1, -1], "i4"),
    f"{_TREE}default_left": np.array([0, 0, 1], "u1"),
    f"{_TREE}categories": np.zeros(0, "i4"),
    f"{_TREE}categories_sizes": np.zeros(0, "i8"),
}
_MARKERS = {"f4": (b"d", "f"), "i4": (b"l", "i"), "i8": (b"L", "q"), "u1": (b"U", "B")}


def xgboost_ubjson(value: Any, key: str = "") -> bytes:
    """As xgboost 3.2 writes it: typed lists, and lists with a count where there is no type."""
    if isinstance(value, dict):
        parts = (
            b"L" + struct.pack(">q", len(k)) + k.encode() + xgboost_ubjson(v, k)
            for k, v in value.items()
        )
        return b"{" + b"".join(parts) + b"}"
    known = BOOSTED.get(_TREE + key)
    if isinstance(value, list) and known is not None:
        marker, letter = _MARKERS[known.dtype.str[1:]]
        return b"[$" + marker + b"#L" + struct.pack(f">q{len(value)}{letter}", len(value), *value)
    if isinstance(value, list):
        return b"[#L" + struct.pack(">q", len(value)) + b"".join(map(xgboost_ubjson, value))
    if isinstance(value, int):
        return b"i" + struct.pack(">b", value)
    return ubjson(value)


LIGHTGBM = b"""\
tree
version=v4
num_class=1
tree_sizes=349

Tree=0
num_leaves=2
num_cat=0
split_feature=0
threshold=1.0000000180025095e-35
decision_type=2
left_child=-1
leaf_value=-0.38248887071232818 0.021551529435924754
leaf_count=33 27
is_linear=0
shrinkage=0.1


end of trees

feature_importances:
Column_0=3
"""
LIGHTGBM_READ: Arrays = {
    "tree.0.num_leaves": np.array(2, "i4"),
    "tree.0.num_cat": np.array(0, "i4"),
    "tree.0.split_feature": np.array([0], "i4"),
    "tree.0.threshold": np.array([1.0000000180025095e-35]),
    "tree.0.decision_type": np.array([2], "i1"),
    "tree.0.left_child": np.array([-1], "i4"),
    "tree.0.leaf_value": np.array([-0.38248887071232818, 0.021551529435924754]),
    "tree.0.leaf_count": np.array([33, 27], "i4"),
    "tree.0.is_linear": np.array(0, "i4"),
    "tree.0.shrinkage": np.array(0.1),
}
ARRAYS = [mxnet_array(W), mxnet_array(M), mxnet_array(I8)]
NAMED: Arrays = {"arg:w": W, "aux:m": M, "i": I8}
FILES: dict[str, tuple[bytes, Arrays]] = {
    "dict.params": (mxnet(ARRAYS, list(NAMED)), NAMED),
    "list.params": (mxnet(ARRAYS[:2], []), {"0": W, "1": M}),
    "np.params": (mxnet([mxnet_array(np.array(3.0), 0xF993FACA)], ["s"]), {"s": np.array(3.0)}),
    "first.params": (mxnet([mxnet_array(W, 0xF993FAC8)], ["w"]), {"w": W}),
    "old.params": (mxnet([mxnet_array(W, 0)], ["w"]), {"w": W}),
    "sparse.params": (
        mxnet([mxnet_sparse()], ["s"]),
        {"s.data": np.ones(2, "f4"), "s.indptr": np.array([0, 1, 2]), "s.indices": np.array([0, 1])},
    ),
    "net.pdparams": (
        pickle.dumps({"fc.weight": W, "fc.bias": M, "StructuredToParameterName@@": {"fc.weight": "linear_0.w_0"}}, 4),
        {"fc.weight": W, "fc.bias": M},
    ),
    **{
        f"{kind}.bin": (ggml(kind), {"w": W, "h": H, "q": Q8})
        for kind in ("whisper", "gpt-2", "ggml", "ggmf", "ggjt", "ggla")
    },
    "model.json": (json.dumps(BOOSTER).encode(), BOOSTED),
    "model.ubj": (xgboost_ubjson(BOOSTER), BOOSTED),
    "model.txt": (LIGHTGBM, LIGHTGBM_READ),
}  # fmt: skip


def same(path: Path, expected: Arrays) -> None:
    found = load_file(path)
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].dtype == array.dtype, name
        assert np.array_equal(found[name], array), name


@pytest.mark.parametrize("name", FILES)
def test_weights_come_out_as_their_library_reads_them(
    name: str, extracted: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    data, expected = FILES[name]
    result = extracted(data)
    assert (result["status"], result["callables"]) == ("ok", []), result["reason"]
    same(tmp_path / "out.safetensors", expected)


NODES = np.array(
    [(1, 0.5, 1), (-1, -2.0, 0)],
    dtype=np.dtype([("left", "<i8"), ("threshold", "<f8"), ("missing", "u1")], align=True),
)


class Booster:
    """Pickles as xgboost's Booster: the model in its own format within the state."""


class Model:
    """Pickles as a class of scikit-learn's."""


def test_models_within_pickles_come_out_too(
    extracted: Callable[..., dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for cls, module in ((Booster, "xgboost.core"), (Model, "sklearn.tree._tree")):
        monkeypatch.setattr(cls, "__module__", module)
    booster, model = Booster(), Model()
    booster.__dict__["handle"] = bytearray(xgboost_ubjson({"Model": BOOSTER}))
    model.__dict__ |= {"booster": booster, "nodes": NODES, "coef_": W}
    extracted(_pickled(model))
    expected = {f"booster.handle.Model.{name}": array for name, array in BOOSTED.items()}
    expected |= {f"nodes.{name}": NODES[name] for name in ("left", "threshold", "missing")}
    same(tmp_path / "out.safetensors", expected | {"coef_": W})


def _pickled(model: Model) -> bytes:
    """Without a look at whether the classes can be imported."""
    file = io.BytesIO()
    pickler = pickle._Pickler(file, 4)  # type: ignore[attr-defined]
    plain = pickle._Pickler.save_global  # type: ignore[attr-defined]

    def save_global(self: Any, obj: Any, name: str | None = None) -> None:
        if obj in (Booster, Model):
            self.save(obj.__module__)
            self.save(obj.__qualname__)
            self.write(pickle.STACK_GLOBAL)
        else:
            plain(self, obj, name)

    pickler.dispatch = {**pickler.dispatch, type: save_global}
    pickler.dump(model)
    return file.getvalue()


XML = """\
<?xml version="1.0"?>
<net name="m" version="11">
	<layers>
		<layer id="0" name="w" type="Const" version="opset1">
			<data element_type="f32" shape="2, 3" offset="0" size="24" />
		</layer>
		<layer id="1" name="loop" type="TensorIterator" version="opset1">
			<body><layers><layer id="0" name="k" type="Const" version="opset1">
				<data element_type="i8" shape="3" offset="24" size="3" />
			</layer></layers></body>
		</layer>
		<layer id="2" name="packed" type="Const" version="opset1">
			<data element_type="u4" shape="4" offset="64" size="2" />
		</layer>
		<layer id="3" name="axis" type="Const" version="opset1">
			<data element_type="f32" shape="" offset="0" size="4" />
		</layer>
	</layers>
</net>
"""
BIN = W.tobytes() + I8.tobytes() + bytes(37) + b"\x12\x34"


def openvino(tmp_path: Path, xml: str = XML, numbers: bytes = BIN) -> list[dict[str, Any]]:
    """The results for a graph and its .bin, read together."""
    (tmp_path / "m.xml").write_text(xml)
    (tmp_path / "m.bin").write_bytes(numbers)
    with (tmp_path / "out.safetensors").open("wb") as output:
        files: list[dict[str, Any]] = [
            {"path": str(tmp_path / "m.xml"), "name": "m.xml", "output": 0, "parts": ["m.bin"]},
            {"path": str(tmp_path / "m.bin"), "name": "m.bin", "output": None},
        ]
        argument = {"files": files, "callables": profiles.ordinary_callables()}
        results: list[dict[str, Any]] = extract.main(argument, [output.fileno()])["files"]
    return results


def test_constants_of_openvino_lie_in_the_file_beside_it(tmp_path: Path) -> None:
    from safe_load.export import copying

    graph, numbers = openvino(tmp_path)
    assert (graph["status"], graph["state"], numbers["state"]) == ("ok", "data", "opened"), graph
    with (
        (tmp_path / "m.xml").open("rb") as xml,
        (tmp_path / "m.bin").open("rb") as raw,
        (tmp_path / "out.safetensors").open("r+b") as output,
    ):
        copying.copy([xml.fileno(), raw.fileno()], output.fileno(), graph["runs"])
    packed = np.array([0x12, 0x34], "u1")
    axis = np.array(0, "f4")
    same(tmp_path / "out.safetensors", {"w": W, "loop.k": I8, "packed": packed, "axis": axis})
    assert any("packed bytes" in note for note in graph["notes"])


@pytest.mark.parametrize(
    ("xml", "numbers", "reason"),
    [
        (XML, BIN[:20], "ends at byte"),
        (XML.replace('offset="24"', 'offset="-1"'), BIN, "does not say where"),
        (XML.replace('size="24"', 'size="25"'), BIN, "which takes 24"),
        (XML.replace("2, 3", "9999999999, 9999999999"), BIN, "has the shape"),
        (XML.replace("<net name", '<!DOCTYPE net [<!ENTITY a "b">]><net name'), BIN, "entities"),
        (XML.replace("</net>", "<net>"), BIN, "no XML"),
        (XML.replace("<layers>", "<a>" * 500 + "<layers>"), BIN, "nested"),
    ],
)
def test_a_graph_that_lies_is_refused_in_one_sentence(
    xml: str, numbers: bytes, reason: str, tmp_path: Path
) -> None:
    graph, _ = openvino(tmp_path, xml, numbers)
    assert graph["status"] in ("not_loadable", "bomb")
    assert reason in graph["reason"]


def test_what_no_constant_of_a_graph_claims_is_not_judged(tmp_path: Path) -> None:
    for numbers in (BIN + pickle.dumps({}), BIN[:30] + b"hidden" + BIN[36:]):
        _, raw = openvino(tmp_path, XML, numbers)
        assert raw["state"] == "not_judged"
        assert "no constant" in raw["why"]


CUT = {
    name: data for name, (data, _) in FILES.items() if name.endswith((".params", ".ubj", ".bin"))
}


@pytest.mark.parametrize("name", CUT)
def test_a_file_that_is_cut_anywhere_ends_in_one_sentence(name: str) -> None:
    data = CUT[name]
    for number in range(20):
        content, _ = judged(data[: 16 + (len(data) - 16) * number // 20])
        assert isinstance(content, RefusedError)
        assert content.reason
        assert "\n" not in content.reason
    content, _ = judged(data + b"\0more")
    assert isinstance(content, RefusedError)


LIES = {
    "count of arrays": struct.pack("<3Q", 0x112, 0, 1 << 60),
    "rank": struct.pack("<3Q", 0x112, 0, 1) + struct.pack("<IiI", 0xF993FAC9, 0, 1 << 30) + bytes(64),
    "shape": struct.pack("<3Q", 0x112, 0, 1) + struct.pack("<IiI", 0xF993FAC9, 0, 4) + b"\x7f" * 32 + bytes(64),
    "names": mxnet([mxnet_array(W)], ["a", "b"]),
    "name twice": mxnet([mxnet_array(W)] * 2, ["a", "a"]),
    "length of a name": mxnet([mxnet_array(W)], []) [:-8] + struct.pack("<2Q", 1, 1 << 50),
    "count of UBJSON": b"{i\1a[$d#L" + struct.pack(">q", 1 << 60),
    "containers of UBJSON": b"{i\1a" + b"[" * 100 + b"\0",
    "values of UBJSON": b"{i\1a[$Z#L" + struct.pack(">q", 1 << 60) + b"}x",
    "number of LightGBM": LIGHTGBM.replace(b"33 27", b"33 99999999999"),
    "text of LightGBM": LIGHTGBM.replace(b"33 27", b"3 e-e-e"),
}  # fmt: skip


@pytest.mark.parametrize("what", LIES)
def test_a_number_that_lies_is_refused_in_one_sentence(what: str) -> None:
    content, _ = judged(LIES[what])
    assert isinstance(content, RefusedError), content
    assert content.reason
    assert "\n" not in content.reason


def test_more_lists_than_are_exported_leave_the_file_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ubjson_format.boosters, "MAX_ARRAYS", 3)
    for data in (json.dumps(BOOSTER).encode(), xgboost_ubjson(BOOSTER)):
        content, _ = judged(data)
        assert isinstance(content, Content)
        assert (content.state, content.plan) == ("data", None)
