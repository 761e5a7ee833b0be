"""Runs every hostile program once, several at a time, before the tests look at what was recorded."""

from __future__ import annotations

import ctypes
import hashlib
import importlib
import os
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from tests import backends

if TYPE_CHECKING:
    from collections.abc import Iterator

    from safe_load.report import Report

HERE = Path(__file__).resolve().parent
#: "class/name" of every program: one file each, in a folder for each class.
PROGRAMS = sorted(f"{path.parent.name}/{path.stem}" for path in HERE.glob("*/*.py"))
_PR_SET_CHILD_SUBREAPER = 36


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


def _listing(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        if path.is_file()
        else ""
        for path in folder.rglob("*")
    }


def run(name: str, where: Path) -> Ran:
    """Write the program's model into a folder, and scan it."""
    folder = where / "model"
    folder.mkdir(parents=True)
    return scan(name, folder, program(name).make(folder))


def scan(name: str, folder: Path, source: Path, backend: str = "native") -> Ran:
    """Scan what the program wrote into that folder."""
    from safe_load import pipeline

    before = _listing(folder.parent)
    options = backends.options(backend, **getattr(program(name), "OPTIONS", {}))
    report = pipeline.scan(str(source), options)
    return Ran(program(name).EXPECT, report, folder, before == _listing(folder.parent))


@pytest.fixture(scope="session")
def hostile(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    before: set[psutil.Process],
) -> Iterator[dict[str, Future[Ran]]]:
    """The programs that this session asks for, each with what will come of it."""
    root = tmp_path_factory.mktemp("hostile")
    parameters = (
        item.callspec.params for item in request.session.items if hasattr(item, "callspec")
    )
    # Other tests have parameters of that name too, of whatever kind.
    wanted = [each.get("name") for each in parameters]
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        yield {name: pool.submit(run, name, root / name) for name in PROGRAMS if name in wanted}


@pytest.fixture(scope="session")
def before() -> Iterator[set[psutil.Process]]:
    """The processes below this one when the first program is about to run."""
    # Whatever outlives its room becomes a child of this process.
    kernel = ctypes.CDLL(None)
    assert kernel.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
    yield set(psutil.Process().children(recursive=True))
    kernel.prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


@pytest.fixture(scope="session")
def survivors(before: set[psutil.Process], hostile: dict[str, Future[Ran]]) -> list[str]:
    """The processes that are left when every program has had its turn."""
    for future in hostile.values():
        future.exception()
    left = set(psutil.Process().children(recursive=True)) - before
    return [f"{process.pid} {process.name()}" for process in left]
