"""What pip installs is what the repository holds, and it works away from the repository."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Built

    Run = Callable[..., str]

#: One worker builds and installs for all tests here.
pytestmark = pytest.mark.xdist_group("packaging")

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = {"loader": "safe_load", "sandbox": "safe_load/sandbox", "profiles": "safe_load/profiles"}


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def expected_files() -> set[str]:
    return {
        f"{target}/{path.relative_to(ROOT / folder)}"
        for folder, target in FOLDERS.items()
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_wheel_holds_every_file_of_the_three_folders_and_nothing_else(built: Built) -> None:
    files = {name for name in contents(built.wheel) if ".dist-info/" not in name}
    assert files == expected_files()


@pytest.mark.parametrize(
    "name",
    [
        "safe_load/py.typed",
        "safe_load/core/report.schema.json",
        "safe_load/profiles/strict.toml",
        "safe_load/profiles/seccomp/worker.json",
    ],
)
def test_the_wheel_carries_the_data_that_the_code_reads(built: Built, name: str) -> None:
    assert contents(built.wheel)[name] or name.endswith("py.typed")


def test_the_sdist_builds_the_same_wheel_as_the_tree(built: Built) -> None:
    assert contents(built.wheel) == contents(built.direct)


def test_the_sdist_carries_the_license_and_no_build_leftovers(built: Built) -> None:
    with tarfile.open(built.sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"LICENSE", "README.md", "pyproject.toml"} <= names
    assert not [name for name in names if name.startswith(("build", ".venv", ".git"))]


def test_the_installed_command_runs(installed: Path, run: Run, tmp_path: Path) -> None:
    command = installed / "safe-load"
    usage = run(command, "--help", cwd=tmp_path)
    for subcommand in ("scan", "load", "verify", "report", "doctor", "profiles"):
        assert subcommand in usage
    assert "strict" in run(command, "profiles", "list", cwd=tmp_path)


@pytest.mark.parametrize(
    "module", ["safe_load", "safe_load.sandbox", "safe_load.profiles", "safe_load.worker"]
)
def test_each_zone_imports_from_the_wheel(
    installed: Path, run: Run, tmp_path: Path, module: str
) -> None:
    where = run(
        installed / "python",
        "-Wd",
        "-I",
        "-c",
        f"import {module}; print({module}.__file__)",
        cwd=tmp_path,
    )
    assert Path(where.strip()).is_relative_to(installed.parent)


def test_an_install_leaves_no_top_level_module_of_a_folders_name(
    built: Built, installed: Path, run: Run, tmp_path: Path
) -> None:
    top_level = {name.partition("/")[0] for name in contents(built.wheel)}
    assert {name for name in top_level if not name.endswith(".dist-info")} == {"safe_load"}
    code = "from importlib.util import find_spec; print([n for n in ('loader', 'sandbox', 'profiles') if find_spec(n)])"
    assert run(installed / "python", "-I", "-c", code, cwd=tmp_path) == "[]\n"
