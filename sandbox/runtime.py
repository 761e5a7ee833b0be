"""Which parts of the host's Python a room shows: libraries, and nothing else.

Zone: controller. The standard library, the system's shared libraries, and the installed packages
that a job names together with what they require. Not: programs, configuration (a venv's pip.conf
may hold a password), other packages.
"""

from __future__ import annotations

import functools
import platform
import re
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from safe_load.sandbox.code import folder_of

#: Never shown, even when installed or required: what transformers loads from them can run a model's own
#: code; and ourselves, of whom the room has what it needs.
EXCLUDED = frozenset(
    "accelerate autoawq auto-gptq bitsandbytes causal-conv1d compressed-tensors deepspeed flash-attn "
    "gptqmodel hqq kernels mamba-ssm optimum peft quanto safe-load timm torchao".split()
)
SITE = "/runtime/site"
MODULES = "/runtime/modules"
#: Under a name that says nothing: a model may list it.
PACKAGE = "/runtime/base"
_SYSTEM_LIBRARIES = (
    f"/usr/lib/{platform.machine()}-linux-gnu",
    "/usr/lib64",
    "/lib64",
    f"/lib/{platform.machine()}-linux-gnu",
)


@dataclass(frozen=True)
class Runtime:
    """folders, files: (source, target inside); covered: folders inside that appear empty;
    links: symlinks inside; python_path: sys.path of the worker; missing: distributions that are
    wanted but not installed."""

    folders: tuple[tuple[str, str], ...]
    files: tuple[tuple[str, str], ...]
    covered: tuple[str, ...]
    links: dict[str, str]
    python_path: tuple[str, ...]
    missing: tuple[str, ...]

    @property
    def roots(self) -> tuple[str, ...]:
        """Folders inside that hold nothing but this runtime."""
        system = [target for _, target in self.folders if not target.startswith("/runtime/")]
        return (*system, "/runtime")


@functools.lru_cache(maxsize=8)
def find(distributions: tuple[str, ...]) -> Runtime:
    """The runtime for a job that needs these installed distributions and what they require."""
    standard = _standard_library()
    dynamic = str(Path(standard[-1]) / "lib-dynload")
    folders: dict[str, str] = {path: path for path in (*standard, *_system_libraries())}
    links = {
        path: str(Path(path).readlink())
        for path in ("/lib", "/lib64", "/bin")
        if Path(path).is_symlink()
    }
    files: dict[str, str] = {}
    for library in (Path(sys.base_prefix) / "lib").glob("*.so*"):
        if library.is_file() and not str(library).startswith(tuple(f"{path}/" for path in folders)):
            files[str(library)] = str(library)
    folders[str(folder_of("safe_load.worker"))] = f"{PACKAGE}/worker"
    entries, missing = _installed(distributions)
    for name, source in entries.items():
        (folders if source.is_dir() else files)[str(source)] = f"{SITE}/{name}"
    covered = [
        str(Path(path) / name) for path in standard for name in ("site-packages", "dist-packages")
    ]
    return Runtime(
        folders=tuple(folders.items()),
        files=tuple(files.items()),
        covered=tuple(covered),
        links=links,
        python_path=(standard[0], dynamic, SITE, MODULES),
        missing=tuple(missing),
    )


def _standard_library() -> list[str]:
    """Its folders, pure and compiled, as the interpreter that a venv borrows has them."""
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    return list(
        dict.fromkeys(
            str(Path(prefix) / sys.platlibdir / version)
            for prefix in (sys.base_prefix, sys.base_exec_prefix)
        )
    )


def _system_libraries() -> list[str]:
    """The folders in which the dynamic loader looks by itself; each real folder once."""
    found: dict[str, str] = {}
    for path in _SYSTEM_LIBRARIES:
        if Path(path).is_dir():
            found.setdefault(str(Path(path).resolve()), path)
    return list(found) or ["/usr/lib"]


def _installed(distributions: tuple[str, ...]) -> tuple[dict[str, Path], list[str]]:
    """Top-level entries (name -> place) of the distributions and of what they require."""
    entries: dict[str, Path] = {}
    missing: list[str] = []
    wanted = list(distributions)
    done: set[str] = set(EXCLUDED)
    while wanted:
        name = normal(wanted.pop())
        if name in done:
            continue
        done.add(name)
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            if name in map(normal, distributions):
                missing.append(name)
            continue
        for top in top_level(distribution):
            place = Path(str(distribution.locate_file(top)))
            if place.exists():
                entries[top] = place.resolve()
        wanted += [
            match[0]
            for requirement in distribution.requires or ()
            if "extra ==" not in requirement
            and (match := re.match(r"[A-Za-z0-9._-]+", requirement))
        ]
    return entries, missing


def top_level(distribution: metadata.Distribution) -> set[str]:
    """The entries of site-packages that are this distribution's."""
    record = distribution.read_text("RECORD")
    if record is not None:
        # Not distribution.files: it makes 15,000 path objects for torch alone.
        names = {line.partition("/")[0].partition(",")[0] for line in record.splitlines()}
    else:
        names = set((distribution.read_text("top_level.txt") or "").split())
        names |= {f"{name}.py" for name in names}
    return {
        name for name in names if name not in ("", "..", "__pycache__") and not name.startswith('"')
    }


def normal(name: str) -> str:
    """A distribution's name as names are compared."""
    return re.sub(r"[-_.]+", "-", name).lower()
