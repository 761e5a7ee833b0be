"""The helper process, one for all tests of this folder."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from safe_load.rooms.worker_results import read_detonated

from tests.unit.worker.detonate.helper import BUDGET, HELPER, SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(scope="package")
def helpers() -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """The helper process for a depth, started when it is first asked for."""
    started: dict[str, subprocess.Popen[str]] = {}
    with ExitStack() as stack:

        def helper(depth: str) -> subprocess.Popen[str]:
            preload = "weights" if depth == "weights" else "model"
            if preload not in started:
                command = [sys.executable, "-I", "-c", HELPER, preload]
                pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
                process = subprocess.Popen(command, text=True, **pipes)
                started[preload] = stack.enter_context(process)
            return started[preload]

        yield helper


@pytest.fixture
def detonate(helpers: Callable[[str], subprocess.Popen[str]]) -> Callable[..., dict[str, Any]]:
    """Detonate a folder, all the weight files in it. Returns main's result."""

    def run(folder: Path, depth: str = "weights", budget: int = BUDGET) -> dict[str, Any]:
        files = [
            {"path": str(path), "name": path.name, "format": "unknown"}
            for path in sorted(folder.iterdir())
            if path.suffix in SUFFIXES
        ]
        argument = {
            "files": files,
            "depth": depth,
            "folder": str(folder),
            "fingerprint_budget": budget,
        }
        helper = helpers(depth)
        assert helper.stdin is not None
        assert helper.stdout is not None
        helper.stdin.write(json.dumps(argument) + "\n")
        helper.stdin.flush()
        answer = json.loads(helper.stdout.readline())
        assert answer is not None, "the detonated process died"
        threads, value = answer
        assert threads == 1
        read_detonated(value)
        assert isinstance(value, dict)
        return value

    return run
