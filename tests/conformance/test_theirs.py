"""A backend from outside of this repository is proven as docs/conformance.md says, word for word."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest
import rooms

if TYPE_CHECKING:
    from pathlib import Path

ROOT = rooms.HERE.parents[1]
_SAMPLE = "test_ends or test_results or test_a_recorded_call_costs_little"


@pytest.fixture
def written(shared_path: Path) -> Path:
    """The blocks of the page, in files: wrapped.py, unpromised.json, and the command."""
    page = (ROOT / "docs/conformance.md").read_text()
    blocks = dict(re.findall(r"^ *```(\w+)\n(.*?)^ *```$", page, re.DOTALL | re.MULTILINE))
    for name, kind in (("wrapped.py", "python"), ("unpromised.json", "json"), ("run", "console")):
        (shared_path / name).write_text(textwrap.dedent(blocks[kind]))
    return shared_path


def suite(written: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The page's command, started where the file is, on a part of the suite."""
    command = (written / "run").read_text().strip()
    command = command.replace(".venv/bin/pytest", f"{sys.executable} -m pytest --rootdir {ROOT}")
    command = command.replace("tests/conformance", str(rooms.HERE))
    extra = " ".join(f"'{each}'" for each in (*arguments, "-q", "-p", "no:cacheprovider"))
    environment = {name: value for name, value in os.environ.items() if "PYTEST" not in name}
    return subprocess.run(
        ["sh", "-c", f"{command} {extra}"],
        cwd=written,
        env=environment | {"CONFORMANCE_UNPROMISED": str(written / "unpromised.json")},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.timeout(300)
def test_the_suite_proves_the_backend_of_the_page(written: Path) -> None:
    done = suite(written, "-k", _SAMPLE, "-rs")
    assert done.returncode == 0, done.stdout[-3000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) > 10
    assert "its rooms are on another machine" in done.stdout


def test_the_suite_proves_that_backend_and_no_other(written: Path) -> None:
    source = (written / "wrapped.py").read_text()
    broken = source.replace("return self._inner.run(job)", "raise NotImplementedError")
    assert broken != source
    (written / "wrapped.py").write_text(broken)
    done = suite(written, "-k", "test_a_job_that_ends_well_is_ok", "-x")
    assert done.returncode == 1, done.stdout[-3000:]
