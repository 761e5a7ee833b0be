"""What a run leaves out, repeats and measures is what tests/plan.toml says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import plan

ROOT = Path(__file__).resolve().parents[2]


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """pytest in that folder, with the plan of this repository."""
    (folder / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text())
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-v", "--rootdir", folder, *arguments],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip


@pytest.fixture
def twenty(tmp_path: Path) -> Path:
    """A folder with two files of ten tests each."""
    for name in ("a", "b"):
        tests = "".join(f"def test_{number}(): pass\n" for number in range(10))
        (tmp_path / f"test_{name}.py").write_text(tests)
    return tmp_path


def order(folder: Path, seed: str) -> list[str]:
    """The names of the tests that passed, as they came."""
    return re.findall(r"^(\S+::\S+) PASSED", run(folder, TESTS_SEED=seed).stdout, re.MULTILINE)


def test_a_seed_gives_the_same_order_and_another_seed_another(twenty: Path) -> None:
    in_order = order(twenty, "0")
    first, again, other = order(twenty, "7"), order(twenty, "7"), order(twenty, "8")
    assert len(in_order) == 20
    assert first == again
    assert sorted(first) == sorted(other) == sorted(in_order)
    assert len({tuple(each) for each in (in_order, first, other)}) == 3
    # What a file prepares for its tests is prepared once: no test of another file comes between.
    assert len(re.sub(r"(.)\1*", r"\1", "".join(name[5] for name in first))) == 2


def test_workers_agree_on_the_order_and_each_run_names_its_own(twenty: Path) -> None:
    done = run(twenty, "-n", "2")
    assert done.returncode == 0, done.stdout
    assert re.search(r"TESTS_SEED=[1-9]\d* runs", done.stdout)


SHARING = """
import os, time, pytest

def note(word):
    with open("notes", "a") as file:
        file.write(f"{word} {os.getpid()}\\n")

@pytest.fixture(scope="module")
def costly():
    note("costly")

@pytest.mark.parametrize("number", range(12))
def test_shares(number, costly):
    time.sleep(0.02)

@pytest.mark.xdist_group("together")
@pytest.mark.parametrize("number", range(12))
def test_together(number):
    note("together")
    time.sleep(0.02)

@pytest.mark.serial
@pytest.mark.parametrize("number", range(3))
def test_serial(number):
    note("serial")

@pytest.mark.parametrize("number", range(12))
def test_free(number):
    note("free")
    time.sleep(0.02)
"""

FOLDER = """
import os, pytest

@pytest.fixture(scope="package")
def prepared():
    with open("notes", "a") as file:
        file.write(f"folder {os.getpid()}\\n")
"""

SHARES = """
import pytest, time

@pytest.mark.parametrize("number", range(6))
def test_NAME(number, prepared):
    time.sleep(0.02)
"""


def test_what_is_prepared_for_several_tests_is_prepared_once_and_serial_ones_come_last(
    tmp_path: Path,
) -> None:
    (tmp_path / "test_sharing.py").write_text(SHARING)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "conftest.py").write_text(FOLDER)
    for name in ("first", "second"):
        (tmp_path / "folder" / f"test_{name}.py").write_text(SHARES.replace("NAME", name))
    done = run(tmp_path, "-n", "2", "--dist", "loadgroup")
    assert done.returncode == 0, done.stdout
    lines = [line.split() for line in (tmp_path / "notes").read_text().splitlines()]
    workers = {word: {pid for each, pid in lines if each == word} for word, _ in lines}
    assert [sum(word == each for word, _ in lines) for each in ("costly", "folder")] == [1, 1]
    assert len(workers["together"]) == len(workers["serial"]) == 1
    assert workers["costly"] != workers["together"], "one worker had both, and the other nothing"
    words = [word for word, _ in lines]
    # What the other worker was given by then may still come between.
    assert words[words.index("serial") :].count("free") <= 3


def test_the_time_of_each_folder_is_shown_beside_its_budget() -> None:
    times = plan.Times()
    assert not times.took
    assert all((ROOT / folder).is_dir() for folder in plan.DATA["budget"])
    named = {path.name for path in (ROOT / "tests").iterdir() if any(path.glob("**/test_*.py"))}
    assert {Path(folder).name for folder in plan.DATA["budget"]} == named


def test_what_is_not_repeated_as_another_user_and_what_comes_first_is_there() -> None:
    assert [path for path in plan.DATA["anyone"]["paths"] if not (ROOT / path).exists()] == []
    text = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    named = [
        *plan.DATA["anyone"]["but"], *plan.DATA["order"]["first"], *plan.DATA["coverage"]["but"]
    ]  # fmt: skip
    assert [name for name in named if f"def {name}(" not in text] == []


def test_ci_measures_coverage_of_a_part_and_make_coverage_of_all() -> None:
    assert "TESTS_COVERAGE=part" in (ROOT / ".ci" / "run").read_text()
    assert "TESTS_COVERAGE" not in (ROOT / "Makefile").read_text()
    assert all((ROOT / path).is_dir() for path in plan.DATA["coverage"]["paths"])


def test_a_part_that_does_not_exist_is_refused_by_its_name(twenty: Path) -> None:
    done = run(twenty, TESTS_WHOLE="cold,dcoker")
    assert done.returncode != 0
    assert "dcoker" in done.stdout + done.stderr


def test_ci_runs_the_readmes_own_test_command_and_all_of_it_where_that_is_asked_for() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    assert script.count('bash -c "${test_command[0]}"') == 2
    assert "whole) export TESTS_WHOLE=all trials=trials-whole ;;" in script
    assert "TESTS_WHOLE=all" in (ROOT / "Makefile").read_text()
