"""Runs a hostile program, and looks at what it left."""

from __future__ import annotations

import hashlib
import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests import backends, plan

if TYPE_CHECKING:
    from safe_load.core.report import Report
    from safe_load.sandbox.backends.interface import Backend

HERE = Path(__file__).resolve().parent
#: "class/name" of every program: one file each, in a folder for each class.
PROGRAMS = sorted(f"{path.parent.name}/{path.stem}" for path in HERE.glob("*/*.py"))


@dataclass(frozen=True)
class Ran:
    """What one program was, and what came of it. untouched: nothing lies beside or in its folder
    that was not there before the scan."""

    expect: dict[str, Any]
    report: Report
    folder: Path
    untouched: bool


def program(name: str) -> Any:
    """The module of a program."""
    return importlib.import_module(f"tests.adversarial.{name.replace('/', '.')}")


def cold_reason(name: str) -> str | None:
    """Why a program cannot share a warm room with others; None where it can."""
    if hasattr(program(name), "OPTIONS"):
        return "the warm room has not the limits that it is opened with"
    return getattr(program(name), "COLD", None)


#: Those that share one warm room, and those that are opened in a room of their own.
WARM = [name for name in PROGRAMS if cold_reason(name) is None]
COLD = [
    name
    for name in PROGRAMS
    if plan.whole("cold") or name not in WARM or name in plan.cold("hostile")
]


def _listing(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        if path.is_file()
        else ""
        for path in folder.rglob("*")
    }


def run(name: str, where: Path, room: Backend | None = None) -> Ran:
    """Write the program's model into a folder, and scan it. room: a warm one."""
    folder = where / "model"
    folder.mkdir(parents=True)
    return scan(name, folder, program(name).make(folder), room=room)


def scan(
    name: str, folder: Path, source: Path, backend: str = "native", room: Backend | None = None
) -> Ran:
    """Scan what the program wrote into that folder, in a room that is there already or a new one."""
    from safe_load.loading import pipeline

    before = _listing(folder.parent)
    options = backends.options(backend, **getattr(program(name), "OPTIONS", {}))
    report = pipeline.scan(str(source), options, backend=room)
    return Ran(program(name).EXPECT, report, folder, before == _listing(folder.parent))
