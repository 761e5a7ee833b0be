"""What mypy and pyright say of calls of the Python API: each mistake is found, and nothing else."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

CALLS = Path(__file__).parent / "typing"
ROOT = Path(__file__).parents[2]
_FOUND = re.compile(r"(\w+_calls\.py):(\d+)(?::\d+)?:? -? ?error")
_CHECKERS = {
    "mypy": ["mypy", "--strict", "--no-error-summary"],
    "pyright": ["pyright", "--pythonpath", sys.executable],
}


def marked(name: str) -> set[int]:
    lines = (CALLS / name).read_text().splitlines()
    return {
        number
        for number, line in enumerate(lines, 1)
        if line.rstrip().endswith("# wrong") or "# wrong  #" in line
    }


@pytest.mark.timeout(600)
@pytest.mark.parametrize("checker", _CHECKERS)
def test_a_type_checker_finds_every_wrong_call_and_no_right_one(
    checker: str, tmp_path: Path
) -> None:
    names = ("wrong_calls.py", "right_calls.py")
    ran = subprocess.run(
        [sys.executable, "-m", *_CHECKERS[checker], *(str(CALLS / name) for name in names)],
        cwd=ROOT if checker == "mypy" else tmp_path,
        env=os.environ | {"PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    found: dict[str, set[int]] = {name: set() for name in names}
    for name, line in _FOUND.findall(ran.stdout):
        found[name].add(int(line))
    assert found == {name: marked(name) for name in names}, ran.stdout + ran.stderr
