"""What the tests of extraction share: a file, an output, and the call as a room makes it."""

from __future__ import annotations

import os
import sys
import types
from typing import TYPE_CHECKING, Any

import pytest
from safe_load import profiles
from safe_load.export import copying
from safe_load.worker import extract

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import torch

Result = dict[str, Any]
Extract = "Callable[..., Result]"


@pytest.fixture
def name(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes a function or class that pickle finds under a dotted name."""

    def make(full: str, kind: str = "function") -> Any:
        module, _, last = full.rpartition(".")
        for end in (*(at for at, letter in enumerate(module) if letter == "."), len(module)):
            home = sys.modules.get(module[:end]) or types.ModuleType(module[:end])
            monkeypatch.setitem(sys.modules, module[:end], home)
        item: Any = type(last, (), {}) if kind == "class" else (lambda *_: None)
        item.__module__, item.__qualname__, item.__name__ = module, last, last
        monkeypatch.setattr(home, last, item, raising=False)
        return item

    return make


@pytest.fixture
def extracted(tmp_path: Path) -> Callable[..., Result]:
    """Call it with bytes or a path: the result for that file, its output in tmp_path/out.safetensors."""

    def run(file: bytes | Path, *, export: bool = True, **options: Any) -> Result:
        path = file if not isinstance(file, bytes) else tmp_path / "model.bin"
        if isinstance(file, bytes):
            path.write_bytes(file)
        entry = {"path": str(path), "name": "model.bin", "output": 0 if export else None}
        entry |= {key: options.pop(key) for key in ("size_limit",) if key in options}
        argument = {
            "files": [entry],
            "callables": profiles.ordinary_callables(),
        } | options
        # Not readable, as a room may hand it over.
        output = os.open(tmp_path / "out.safetensors", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        try:
            (result,) = extract.main(argument, [output])["files"]
        finally:
            os.close(output)
        with path.open("rb") as source, (tmp_path / "out.safetensors").open("r+b") as filled:
            copying.copy([source.fileno()], filled.fileno(), result["runs"])
        return result

    return run


@pytest.fixture
def exported(
    extracted: Callable[..., Result], tmp_path: Path
) -> Callable[..., dict[str, torch.Tensor]]:
    """The same for a file that must be fine: its tensors as safetensors.torch reads them, aliases too."""
    from safe_load.export import safetensors_check
    from safetensors.torch import load_file

    def run(file: bytes | Path, **options: Any) -> dict[str, torch.Tensor]:
        result = extracted(file, **options)
        assert (result["status"], result["reason"], result["callables"]) == ("ok", None, [])
        header = safetensors_check.check(tmp_path / "out.safetensors")  # the controller believes it
        tensors = load_file(tmp_path / "out.safetensors")
        assert {tensor.name for tensor in header.tensors} == tensors.keys()
        return tensors | {alias: tensors[kept] for alias, kept in header.aliases.items()}

    return run
