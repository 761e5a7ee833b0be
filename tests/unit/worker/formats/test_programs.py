"""Weights of TorchScript and of exported programs come out as their state_dict has them, and a finding names the program."""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safe_load.worker.formats.interface import Content
from safetensors.torch import load_file

from tests.unit.worker.formats.test_data import judged

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Model(torch.nn.Module):
    """Two layers that share a weight, a view and a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = torch.nn.Linear(3, 3), torch.nn.Linear(3, 3)
        self.second.weight = self.first.weight
        self.register_buffer("turned", torch.arange(6.0).reshape(2, 3).t())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(self.first(x)) + self.turned.sum()


PROGRAM = "is an exported torch program (.pt2), not a checkpoint"


def exported_program() -> bytes:
    out = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(torch.export.export(Model(), (torch.ones(2, 3),)), out)
    return out.getvalue()


@pytest.fixture(scope="module")
def program() -> bytes:
    torch.manual_seed(0)
    return exported_program()


def changed(data: bytes, ending: str, change: Callable[[Any], Any]) -> bytes:
    """The archive with another JSON in one of its members."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        for info in old.infolist():
            content = old.read(info)
            if info.filename.endswith(ending):
                content = json.dumps(change(json.loads(content))).encode()
            new.writestr(info.filename, content)
    return out.getvalue()


def test_weights_of_an_exported_program_come_out(
    extracted: Callable[..., dict[str, Any]], tmp_path: Path, program: bytes
) -> None:
    torch.manual_seed(0)
    expected = Model().state_dict()
    result = extracted(program)
    assert (result["status"], result["state"], result["format"]) == ("ok", "opened", "pt2")
    assert result["carried"] == [("SL506", PROGRAM)]
    got = load_file(tmp_path / "out.safetensors")
    assert got.keys() == expected.keys()
    assert all(torch.equal(got[name], value) for name, value in expected.items())


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("path_name", "../../../etc/passwd", "missing from the archive"),
        ("path_name", "weight_99", "missing from the archive"),
        ("tensor_meta", {}, "torch does not write"),
    ],
)
def test_a_list_that_lies_is_refused(program: bytes, key: str, value: object, says: str) -> None:
    def lie(root: Any) -> Any:
        root["config"]["first.bias"][key] = value
        return root

    result, _ = judged(changed(program, "_weights_config.json", lie))
    assert says in getattr(result, "reason", "")


def test_a_shape_that_lies_is_refused(program: bytes) -> None:
    def lie(root: Any) -> Any:
        root["config"]["first.bias"]["tensor_meta"]["sizes"] = [{"as_int": 1 << 40}]
        return root

    result, _ = judged(changed(program, "_weights_config.json", lie))
    assert "reaches past its storage" in getattr(result, "reason", "")


def test_an_older_archive_gives_its_state_dict_alone() -> None:
    out, state, inputs = io.BytesIO(), io.BytesIO(), io.BytesIO()
    torch.save({"w": torch.ones(3)}, state)
    torch.save(((torch.ones(2),), {}), inputs)
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("version", "8.1")
        archive.writestr("serialized_exported_program.json", "{}")
        archive.writestr("serialized_state_dict.pt", state.getvalue())
        archive.writestr("serialized_example_inputs.pt", inputs.getvalue())
    content, reading = judged(out.getvalue())
    assert isinstance(content, Content), content
    assert content.plan is not None
    assert [entry.name for entry in content.plan.entries] == ["w"]
    assert [ident for ident, _ in reading.carried] == ["SL506"]


def test_weights_of_torchscript_come_out_without_running_it(
    extracted: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    model = Model()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(model), str(tmp_path / "model.ts"))
    result = extracted(tmp_path / "model.ts")
    assert (result["status"], [ident for ident, _ in result["carried"]]) == ("ok", ["SL506"])
    got = load_file(tmp_path / "out.safetensors")
    for name, value in model.state_dict().items():
        assert torch.equal(got[name], value), name


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("target", "torch.hub.load", "names the function 'torch.hub.load'"),
        ("target", "torch.ops.aten.save.default", "'torch.ops.aten.save.default'"),
        ("target", "torch.ops.aten.from_file.default", "'torch.ops.aten.from_file.default'"),
        ("target", "torch.ops.higher_order.aoti_call_delegate", "aoti_call_delegate'"),
        ("target", "torch.ops.higher_order.call_torchbind", "call_torchbind'"),
        ("target", "#evil", "names the function '#evil'"),
        ("expr_str", "exec(chr(105))", "evaluates as Python"),
        ("expr_str", "().__class__", "evaluates as Python"),
        ("expr_str", "Symbol('a').func", "evaluates as Python"),
        ("expr_str", "[x for x in ()]", "evaluates as Python"),
        ("range_constraints", {"open(s0)": {}}, "evaluates as Python"),
        ("guards_code", ["__import__('os')"], "runs as Python"),
        ("guards_code", ["L['x'].size()[0] == 2", "L['x'].__class__"], "runs as Python"),
        ("guards_code", ["L['x'].size()[exec('')]"], "runs as Python"),
        # torch goes through the keys of a mapping too.
        ("guards_code", {"__import__('os') == 0": 1}, "runs as Python"),
        # What stands behind a long beginning that gets shorter when names of sizes are taken out.
        (
            "guards_code",
            [f"L['{'x' * 99}'].size()[0] == 1 and " * 80 + " " * 8000 + "__import__('os')"],
            "runs as Python",
        ),
        (
            "expr_str",
            "Symbol('s77', positive=True, integer=True)+" * 200 + " " * 8000 + "__import__('os')",
            "evaluates as Python",
        ),
        # Called with what the graph gives it.
        ("target", "_operator.call", "names the function '_operator.call'"),
        ("target", "_operator.methodcaller", "names the function '_operator.methodcaller'"),
        ("target", "math.__loader__", "names the function 'math.__loader__'"),
        ("as_operator", "torch._utils.os.system", "names the function 'torch._utils.os.system'"),
    ],
)
def test_what_an_exported_program_runs_besides_arithmetic_is_told(
    program: bytes, key: str, value: object, says: str
) -> None:
    _, reading = judged(changed(program, "models/model.json", lambda root: root | {key: value}))
    assert sorted(says in sentence for _, sentence in reading.carried) == [False, True]


def test_the_sizes_of_an_exported_program_are_arithmetic(program: bytes) -> None:
    size = "Add(Mul(Integer(2), Symbol('s77', positive=True, integer=True)), Integer(-1))"
    sized = changed(program, "models/model.json", lambda root: root | {"expr_str": size})
    _, reading = judged(sized)
    assert reading.carried == [("SL506", PROGRAM)]


def test_guards_on_sizes_are_arithmetic(program: bytes) -> None:
    guards = [
        "L['x'].size()[0] == L['y']['z'][1].stride()[1]",
        "2 <= L['x'].size()[0] and Mod(L['x'].size()[0], 8) == 0",
    ]
    _, reading = judged(
        changed(program, "models/model.json", lambda root: root | {"guards_code": guards})
    )
    assert reading.carried == [("SL506", PROGRAM)]
