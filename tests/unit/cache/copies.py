"""How the tests of the cache clear a source, look at the copy, and ask the command."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safe_load import cli
from safe_load.core.options import Options
from safetensors.numpy import load_file

from tests.unit.keeping import Loader, keep

if TYPE_CHECKING:
    import pytest
    from safe_load.cache.lookup import Cleared


CHILD = Path(__file__).parents[1] / "keeping.py"


def clear(source: Path, loader: Loader, options: Options | None = None, **how: Any) -> Cleared:
    return keep(str(source), loader, options or Options(), **how)


def child(
    *sources: Path, pause: float = 0.0, refresh: bool = False, stay: float = 0.0
) -> subprocess.Popen[str]:
    how = (str(pause), "refresh" if refresh else "-", str(stay))
    command = [sys.executable, CHILD, *how, *sources]
    started = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert started.stdout is not None
    assert started.stdout.readline() == "ready\n"
    return started


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def weights(path: Path) -> float:
    return float(load_file(path / "model.safetensors")["w"][0])


def command(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = cli.exit_code(["cache", *arguments])
    said = capsys.readouterr()
    return code, said.out + said.err


def rewrite(path: Path) -> None:
    file = path / "model.safetensors"
    data = file.read_bytes()
    file.chmod(0o644)
    file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


def add(path: Path) -> None:
    path.chmod(0o755)
    (path / "modeling.py").write_text("import os")


def remove(path: Path) -> None:
    path.chmod(0o755)
    (path / "model.safetensors").unlink()


def link(path: Path) -> None:
    path.chmod(0o755)
    file = path / "model.safetensors"
    shutil.copy(file, path.parent.parent / "same.safetensors")
    file.unlink()
    file.symlink_to(path.parent.parent / "same.safetensors")
