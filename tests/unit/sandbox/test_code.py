"""The checksum by which an image and its controller know that they hold the same code."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from safe_load.sandbox import code


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The package in a folder of its own, as a wheel would lay it out."""
    target = tmp_path / "safe_load"
    for source, name in (("loader", "."), ("sandbox", "sandbox"), ("profiles", "profiles")):
        shutil.copytree(Path(__file__).parents[3] / source, target / name, dirs_exist_ok=True)
    return target


def checksum(package: Path) -> str:
    program = "import sys; sys.path[0] = sys.argv[1]; from safe_load.sandbox import code; print(code.checksum())"
    return subprocess.run(
        [sys.executable, "-B", "-S", "-c", program, package.parent],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


def test_two_copies_of_the_same_code_have_the_same_checksum(copy: Path) -> None:
    assert checksum(copy) == code.checksum()


@pytest.mark.parametrize(
    "name", ["worker/extract.py", "sandbox/room/monitor/supervisor.py", "sandbox/kernel/seccomp.py"]
)
def test_a_changed_byte_in_code_of_the_room_changes_it(copy: Path, name: str) -> None:
    before = checksum(copy)
    with (copy / name).open("a") as module:
        module.write("#")
    assert checksum(copy) != before


def test_a_module_of_the_room_under_another_name_changes_it(copy: Path) -> None:
    before = checksum(copy)
    (copy / "worker" / "tensors" / "walk.py").rename(copy / "worker" / "tensors" / "wander.py")
    assert checksum(copy) != before
