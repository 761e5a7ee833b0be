"""The image's second layer, what safe-load requires, and the third, safe-load itself."""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from images import debian, sbom
from images.debian import BuildError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from images.sbom import Component

REPOSITORY = Path(__file__).resolve().parent.parent
#: Where Debian's Python looks for what was not installed by Debian.
SITE = "usr/local/lib/python3.11/dist-packages"
COMMAND = "usr/local/bin/safe-load"
SOURCES = ("loader", "sandbox", "profiles")
# What torch brings for people who compile against it, and everyone's tests. Not torch.testing, which
# is imported; nor torch_shm_manager, without which torch cannot be imported.
_LEFT_OUT = ("torch/include", "torch/share", "torch/test", "numpy/_core/include", "bin")
_KEPT_PROGRAMS = frozenset({"torch_shm_manager"})
_EXTRAS = ("models", "hub", "formats")
_RUN_PIP = """
import sys
sys.path.append(sys.argv.pop(1))
from pip._internal.cli.main import main
sys.exit(main())
"""
_SCRIPT = """#!/usr/bin/python3 -I
from safe_load.cli import main

main()
"""


def project() -> dict[str, Any]:
    """The table [project] of pyproject.toml."""
    table: dict[str, Any] = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    return table


def requirements() -> list[str]:
    """What the image installs beside safe-load."""
    wanted = project()
    extras = wanted["optional-dependencies"]
    more = (Path(__file__).parent / "requirements.txt").read_text().splitlines()
    return [
        *wanted["dependencies"],
        *(line for name in _EXTRAS for line in extras[name]),
        *(line for line in more if not line.startswith("#")),
    ]


def install(root: Path, target: Path) -> list[Component]:
    """Fill `target` with the requirements, at constraints.txt's versions, from where pip is
    configured to find them. root: the unpacked first layer, whose Python runs pip, so that what is
    chosen fits it. Raises BuildError."""
    site = target / SITE
    _pip(root, "install", "--target", site, "-c", REPOSITORY / "constraints.txt", *requirements())
    for path in _unwanted(site):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    _forget_removed(site)
    found = list(metadata.distributions(path=[str(site)]))
    if any(one.metadata["Name"].startswith("nvidia-") for one in found):
        raise BuildError(
            "pip found a torch for CUDA, several gigabytes that a sealed room has no use for: let "
            "PIP_EXTRA_INDEX_URL or PIP_FIND_LINKS name a place that has torch's build for CPUs"
        )
    debian.compile_all(root, site, f"/{SITE}")
    return [sbom.python(distribution) for distribution in found]


def install_ourselves(root: Path, target: Path, work: Path) -> list[Component]:
    """Fill `target` with the wheel of this tree. Raises BuildError."""
    tree = work / "tree"
    for name in SOURCES:
        shutil.copytree(
            REPOSITORY / name, tree / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copyfile(REPOSITORY / name, tree / name)
    _run(
        "this tree's wheel cannot be built",
        *(sys.executable, "-m", "pip", "wheel", "-q", "--disable-pip-version-check"),
        *("--no-deps", "--no-build-isolation", "-w", work, tree),
    )
    (wheel,) = work.glob("*.whl")
    site = target / SITE
    _pip(root, "install", "--no-deps", "--no-index", "--target", site, wheel)
    shutil.rmtree(site / "bin")
    (direct_url,) = site.glob("*.dist-info/direct_url.json")
    direct_url.unlink()  # names a folder of this machine
    _forget_removed(site)
    command = target / COMMAND
    command.parent.mkdir(parents=True)
    command.write_text(_SCRIPT)
    command.chmod(0o755)
    debian.compile_all(root, site, f"/{SITE}")
    return [sbom.python(distribution) for distribution in metadata.distributions(path=[str(site)])]


def code_checksum(root: Path, target: Path) -> str:
    """safe_load.sandbox.code.checksum() of what was installed."""
    program = (
        "import sys; sys.path.append(sys.argv[1]); "
        "from safe_load.sandbox import code; print(code.checksum())"
    )
    what = "the installed code does not tell its checksum"
    return _run(what, *debian.python(root), "-c", program, target / SITE).strip()


def _unwanted(site: Path) -> Iterator[Path]:
    yield from (path for name in _LEFT_OUT if (path := site / name).exists())
    for path in (site / "torch" / "bin").iterdir():
        if path.name not in _KEPT_PROGRAMS:
            yield path
    for path in sorted(site.rglob("tests")):
        if path.is_dir() and "tests" not in path.relative_to(site).parent.parts:
            yield path


def _forget_removed(site: Path) -> None:
    """What a distribution says it installed shall be there. (The programs among it would also tell
    where the Python that ran pip lies, by their checksums.)"""
    for record in site.glob("*.dist-info/RECORD"):
        lines = record.read_text().splitlines(keepends=True)
        there = [line for line in lines if (site / next(csv.reader([line]))[0]).exists()]
        record.write_text("".join(there))


def _pip(root: Path, *arguments: str | Path) -> None:
    pip = find_spec("pip")
    if pip is None or pip.origin is None:
        raise BuildError(f"{sys.executable} has no pip")
    verb, *rest = arguments
    quiet = ("-qq", "--disable-pip-version-check", "--no-input", "--root-user-action=ignore")
    pip_folder = Path(pip.origin).parent.parent
    _run(
        "pip does not install the image's packages",
        *debian.python(root),
        *("-c", _RUN_PIP, pip_folder, verb, *quiet, "--no-compile", "--only-binary=:all:"),
        *rest,
    )


def _run(what: str, *command: str | Path) -> str:
    """What a command printed. Raises BuildError, which begins with `what`."""
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        said = [line.strip() for line in done.stderr.splitlines() if "error:" in line.lower()]
        reason = "; ".join(said[-3:]) or f"it ended with {done.returncode}"
        raise BuildError(f"{what}: {reason}")
    return done.stdout
