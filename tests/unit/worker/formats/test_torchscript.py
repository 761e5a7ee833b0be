"""TorchScript whose operators only compute is told mildly; what may reach files, machines or libraries is named."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import pytest
import torch
from safe_load.export.extracted import Extracted, ExtractedFile
from safe_load.judge import files
from safe_load.sources.inventory import Inventory
from safe_load.worker.formats import torchscript

from tests.unit.worker.formats.test_data import judged

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
#: What the program returns, in its code.
RESULT = "return torch.add(x, 1)"


class Functions(torch.nn.Module):
    """Functions besides forward, texts and names that look like what is looked for."""

    def __init__(self) -> None:
        super().__init__()
        self.classes, self.ops = ["save"], torch.nn.ModuleList([torch.nn.Linear(3, 3)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.ops:
            x = layer(x)
        assert len(self.classes[0]) > 0, "torch.classes has no 'name'"
        return self.helper(x)

    def helper(self, x: torch.Tensor) -> torch.Tensor:
        y, _ = torch.max(x, 0)
        return torch.nn.functional.relu(y)[None] if x.dim() > 1 else x


def layers() -> torch.nn.Module:
    return torch.nn.Sequential(
        torch.nn.Linear(3, 3), torch.nn.BatchNorm1d(3), torch.nn.Softmax(-1)
    ).eval()


def nested() -> Any:
    return torch.jit.script(torch.nn.LSTM(3, 4, num_layers=2))


def quantised() -> Any:
    net = torch.nn.Sequential(torch.nn.LSTM(3, 4), torch.nn.Linear(4, 3))[1:]
    return torch.jit.script(torch.ao.quantization.quantize_dynamic(net, {torch.nn.Linear}))


HONEST = {
    "traced": lambda: torch.jit.trace(layers(), torch.ones(2, 3)),
    "scripted": lambda: torch.jit.script(layers()),
    "frozen": lambda: torch.jit.freeze(torch.jit.script(layers())),
    "functions": lambda: torch.jit.script(Functions()),
    "nested": nested,
    "quantised": quantised,
}


def saved(module: Any) -> bytes:
    return bytes(module.save_to_buffer())


def changed(data: bytes, ending: str, old: str, new: str) -> bytes:
    """The archive with other text in one member."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as before, zipfile.ZipFile(out, "w") as after:
        for name in before.namelist():
            content = before.read(name)
            if name.endswith(ending):
                assert old.encode() in content
                content = content.replace(old.encode(), new.encode())
            after.writestr(name, content)
    return out.getvalue()


@pytest.mark.parametrize("kind", HONEST)
def test_a_program_that_only_computes_is_told_mildly(kind: str) -> None:
    data = saved(HONEST[kind]())
    content, reading = judged(data)
    assert getattr(content, "state", content) == "opened"
    assert reading.carried == [("SL506", torchscript.COMPUTES)]


@pytest.fixture(scope="module")
def plain() -> bytes:
    unit = torch.jit.ScriptModule()
    unit.define(f"def forward(self, x: torch.Tensor):\n    {RESULT}\n")
    return saved(unit)


#: Each of these compiles.
REACHING = {
    "a call": 'torch.save(x, "/tmp/canary")',
    "the library's name": 'ops.aten.save(x, "/tmp/canary")',
    "a file that is mapped": 'torch.from_file("/tmp/canary", True, 3)',
    "a name as a text": 'getattr(torch, "save")(x, "/tmp/canary")',
    "a name in two texts": 'getattr(torch, "sa" "ve")(x, "/tmp/canary")',
    "a name with escapes": "getattr(torch, 's\\141ve')(x, '/tmp/canary')",
    "another name": 'f\n    f(x, "/tmp/canary")',
    "a comment between": '(torch.  # a comment\n      save)(x, "/tmp/canary")',
    "two lines": 'torch.\\\n     save(x, "/tmp/canary")',
    "a library as a text": 'getattr(ops, "aten").save(x, "/tmp/canary")',
    "a class of torch's": "__torch__.torch.classes.profiling._ScriptProfile.__new__(__torch__.torch.classes.profiling._ScriptProfile)",
    "another name of a class": "c.profiling._ScriptProfile.__new__(c.profiling._ScriptProfile)",
}  # fmt: skip


@pytest.mark.parametrize("kind", REACHING)
def test_what_a_program_may_reach_is_told(plain: bytes, kind: str) -> None:
    names = "f = torch.save" if kind == "another name" else "c = __torch__.torch.classes"
    before = f"{names}\n    " if "another" in kind else ""
    data = changed(plain, ".py", RESULT, f"{before}_0 = {REACHING[kind]}\n    return x")
    torch.jit.load(io.BytesIO(data))  # the program is one that torch takes
    _, reading = judged(data)
    sentences = [sentence for _, sentence in reading.carried]
    assert sentences[0] == "is TorchScript: it holds a program, not only numbers"
    assert len(sentences) > 1


@pytest.mark.parametrize("name", ["aten::save", "c10d::send", "prim::rpc_sync"])
def test_what_a_program_for_phones_may_reach_is_told(plain: bytes, name: str) -> None:
    bytecode = b"\x80\x02X" + len(name).to_bytes(4, "little") + name.encode() + b"."
    out = io.BytesIO(plain)
    with zipfile.ZipFile(out, "a") as archive:
        folder = archive.namelist()[0].partition("/")[0]
        archive.writestr(f"{folder}/bytecode.pkl", bytecode)
    _, reading = judged(out.getvalue())
    assert any(name.replace("::", ".") in sentence for _, sentence in reading.carried)


def test_an_object_of_another_library_is_told(plain: bytes) -> None:
    data = changed(plain, "data.pkl", "c__torch__", "c__torch__.torch.classes.profiling")
    _, reading = judged(data)
    assert any("classes.profiling" in str(each["name"]) for each in reading.callables)


def test_every_operator_of_torch_that_takes_a_file_is_known() -> None:
    takes = {"filename", "file", "path", "fname", "dst_worker_name", "to"}
    reached = {
        schema.name.partition("::")[2]
        for schema in torch._C._jit_get_all_schemas()
        for argument in schema.arguments
        if argument.name in takes and str(argument.type) == "str"
    }
    assert reached
    assert reached <= torchscript.REACHES


def test_only_the_sentence_of_a_program_that_computes_is_mild() -> None:
    carried = [("SL506", torchscript.COMPUTES), ("SL506", f"runs '{torchscript.COMPUTES}'")]
    file = ExtractedFile("m.pt", "torchscript", "ok", carried=carried)  # type: ignore[arg-type]
    found = files.content(Extracted([file]), Inventory("m.pt", folder=False, entries=()))
    assert [each.severity for each in found] == ["low", "medium"]
