"""What is built and installed once for all tests here: the distributions, and a venv with the wheel."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("loader", "sandbox", "profiles", "pyproject.toml", "README.md", "LICENSE")


def _run(*command: str | Path, cwd: Path) -> str:
    """What the command printed to stdout. Fails with all that it printed if it did not end with 0."""
    done = subprocess.run(
        command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        pytest.fail(f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done.stdout


@pytest.fixture(scope="session")
def run() -> Callable[..., str]:
    """`run(*command, cwd=FOLDER)`: what a command that must succeed printed to stdout."""
    return _run


@dataclass(frozen=True)
class Built:
    """wheel: built from the sdist, as an installer would; direct: a wheel built from the tree."""

    sdist: Path
    wheel: Path
    direct: Path


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The distributions, built from a copy of the tree so that nothing is left behind in it."""
    tree = tmp_path_factory.mktemp("tree")
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, tree / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(ROOT / part, tree / part)
    build = (sys.executable, "-I", "-m", "build", "--no-isolation")
    _run(*build, "--outdir", "dist", cwd=tree)
    _run(*build, "--wheel", "--outdir", "direct", cwd=tree)
    (sdist,) = (tree / "dist").glob("*.tar.gz")
    (wheel,) = (tree / "dist").glob("*.whl")
    (direct,) = (tree / "direct").glob("*.whl")
    return Built(sdist, wheel, direct)


@pytest.fixture(scope="session")
def installed(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of a fresh venv that holds the wheel; what it requires comes from this one.

    The dependencies are reached through a .pth file. Python does not follow .pth files found in a
    folder that was itself added by one, so the editable install of this environment stays out.
    """
    venv = tmp_path_factory.mktemp("venv")
    _run(sys.executable, "-m", "venv", "--without-pip", venv, cwd=venv)
    pip = (sys.executable, "-I", "-m", "pip", "--python", venv / "bin" / "python")
    _run(*pip, "install", "-qq", "--no-index", "--no-deps", built.wheel, cwd=venv)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(venv)}))
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return venv / "bin"
