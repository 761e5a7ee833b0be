"""What the documents say, the Makefile does; what the repository holds, the package lists."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import safe_load
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).resolve().parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
MAKEFILE = (ROOT / "Makefile").read_text()
SKIPPED_FOLDERS = {"build", "dist", "__pycache__"}


def own_files(*suffixes: str) -> list[Path]:
    """The repository's own text files; what tools leave behind lies in dot or skipped folders."""
    found: list[Path] = []
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [
            name
            for name in folders
            if (name == ".ci" or not name.startswith("."))
            and name not in SKIPPED_FOLDERS
            and not name.endswith(".egg-info")
        ]
        found += [Path(folder, name) for name in names if name.endswith(suffixes)]
    return found


def shell_lines(text: str) -> list[str]:
    """The lines inside a document's fenced blocks, and the `inline` commands."""
    fences = re.findall(r"^```[a-z]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    inline = re.findall(r"`([^`\n]+)`", text)
    return [
        line.strip().removeprefix("$ ") for block in fences for line in block.splitlines()
    ] + inline


def phony_targets() -> set[str]:
    (line,) = re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    return set(line.split())


def test_make_alone_lists_every_target_with_one_line_each() -> None:
    listed = subprocess.run(
        ["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    names = [re.match(r"make ([\w-]+)\s+\S", line) for line in listed]
    assert all(names), listed
    assert sorted(name[1] for name in names if name) == sorted(phony_targets())


@pytest.mark.parametrize("path", own_files(".md"), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_documents_links_lead_to_files_of_the_repository(path: Path) -> None:
    text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)#\s]+)", text):
        if re.match(r"[a-z]+:", target):
            continue
        place = (path.parent / target).resolve()
        assert place.is_relative_to(ROOT), f"{path.name} links outside the repository: {target}"
        assert place.exists(), f"{path.name} links to {target}, which is not there"


def test_nothing_refers_to_a_place_outside_the_repository() -> None:
    # Spelt in two parts so that this file does not find itself.
    outside = re.compile("\\.\\./" + "shared|/wo" + "rk/")
    suffixes = (".md", ".py", ".toml", ".json", ".txt", "Makefile", "run", "LICENSE")
    guilty = [path for path in own_files(*suffixes) if outside.search(path.read_text())]
    assert guilty == []


def test_no_file_of_code_is_longer_than_400_lines() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in own_files(".py", ".pyi", ".sh", ".js", "run", "Makefile")
        if (lines := path.read_text().count("\n")) > 400
    }
    assert long == {}


@pytest.mark.parametrize("path", own_files(".md"), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_make_command_in_the_documents_exists(path: Path) -> None:
    for line in shell_lines(path.read_text()):
        for target in re.findall(r"^make ([a-z]\S*)", line):
            assert target in phony_targets(), f"{path.name} says {line!r}"


@pytest.mark.parametrize("path", own_files(".md"), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_safe_load_command_in_the_documents_exists(path: Path) -> None:
    for line in shell_lines(path.read_text()):
        for name in re.findall(r"^safe-load ([a-z]\S*)", line):
            done = safe_load_command(name, "--help")
            assert done.returncode == 0, f"{path.name} says {line!r}: {done.stderr}"


_answers: dict[tuple[str, ...], subprocess.CompletedProcess[str]] = {}


def safe_load_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    if arguments not in _answers:
        command = Path(sys.executable).parent / "safe-load"
        _answers[arguments] = subprocess.run(
            [command, *arguments], capture_output=True, text=True, check=False
        )
    return _answers[arguments]


def test_the_readme_gives_ci_exactly_one_test_command() -> None:
    readme = (ROOT / "README.md").read_text()
    (block,) = re.findall(r"<!-- ci:test -->\n(.*?)<!-- /ci:test -->", readme, re.DOTALL)
    assert shell_lines(block) == ["make test"]


def test_the_version_is_the_same_everywhere() -> None:
    version = PYPROJECT["project"]["version"]
    assert safe_load.__version__ == version
    assert metadata.version("safe-load") == version
    assert re.search(
        rf"^## \[?{re.escape(version)}", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE
    )


def test_every_folder_with_code_is_listed_as_a_package() -> None:
    # The list is explicit: a folder that is not in it would be missing from the wheel.
    mapping = PYPROJECT["tool"]["setuptools"]["package-dir"]
    packages = {
        ".".join([package, *path.parent.relative_to(ROOT / folder).parts])
        for package, folder in mapping.items()
        for path in (ROOT / folder).rglob("*.py")
    }
    assert packages == set(PYPROJECT["tool"]["setuptools"]["packages"])


def test_constraints_pin_every_direct_dependency_and_name_no_host() -> None:
    text = (ROOT / "constraints.txt").read_text()
    pins = dict(line.lower().split("==") for line in text.splitlines() if line and line[0] != "#")
    project = PYPROJECT["project"]
    asked = [
        *project["dependencies"],
        *(name for extra in project["optional-dependencies"].values() for name in extra),
        *(name for group in PYPROJECT["dependency-groups"].values() for name in group),
    ]
    names = {re.split(r"[<>=!~\[ ]", requirement)[0].lower() for requirement in asked}
    assert names <= pins.keys()
    assert "://" not in text
    assert not [pin for pin in pins.values() if "+" in pin], "a local version is on no index"


def test_what_is_pinned_installs_on_the_oldest_python_that_ci_meets() -> None:
    # Debian 12 has 3.11.2, and there are packages that want a later 3.11.
    refusing = {
        f"{each.name} {each.version} wants {wanted}"
        for each in metadata.distributions()
        if (wanted := each.metadata.get("Requires-Python"))
        and not SpecifierSet(wanted).contains("3.11.2")
    }
    assert not refusing


def test_a_skip_fails_where_ci_promises_that_the_test_runs(tmp_path: Path) -> None:
    shutil.copyfile(ROOT / "tests" / "conftest.py", tmp_path / "conftest.py")
    (tmp_path / "test_it.py").write_text("import pytest\ndef test_it(): pytest.skip('no kernel')\n")

    def outcome(**environment: str) -> tuple[int, str]:
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "pytest",
                "-p",
                "no:cacheprovider",
                "--rootdir",
                tmp_path,
                tmp_path,
            ],
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout.splitlines()[-1]

    code, summary = outcome()
    assert (code, "1 skipped" in summary) == (0, True)
    code, summary = outcome(TESTS_MAY_NOT_SKIP="1")
    assert (code, "1 failed" in summary) == (1, True)


def test_no_two_modules_import_each_other_in_a_circle() -> None:
    grimp = pytest.importorskip("grimp")
    graph = grimp.build_graph(
        "safe_load",
        exclude_type_checking_imports=False,
        cache_dir=None,
        include_external_packages=False,
    )
    below = {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}
    assert len(below) > 100
    for name in below:  # who imports nothing is in no circle, nor is who imports only these
        below[name] -= {name}
    while ends := [name for name, found in below.items() if not found]:
        for name in ends:
            del below[name]
        for found in below.values():
            found.difference_update(ends)
    above: dict[str, set[str]] = {name: set() for name in below}
    for name, found in below.items():
        for each in found:
            above[each].add(name)
    while ends := [name for name, found in above.items() if not found]:
        for name in ends:
            del above[name]
        for found in above.values():
            found.difference_update(ends)
    between = {(name, other) for name in above for other in below[name] & above.keys()}
    assert not above, sorted(between)


#: Lines of the longest file. A longer one holds two ideas, or is a table that belongs in a data file.
MAX_LINES = 400


def test_no_file_of_the_code_is_longer_than_a_reader_takes_in_at_once() -> None:
    paths = [
        path
        for folder in PYPROJECT["tool"]["setuptools"]["package-dir"].values()
        for path in (ROOT / folder).rglob("*.py")
    ]
    assert len(paths) > 100
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in paths}
    assert not {name: lines for name, lines in lengths.items() if lines > MAX_LINES}
