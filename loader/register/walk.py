"""Which files of a project may name a link of the chain, and how each is read. Bounded; no link is followed out."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from safe_load.core.errors import LimitHit, UsageError
from safe_load.core.escape import visible
from safe_load.register.rows import FILE_NAME
from safe_load.sources import globs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MAX_ENTRIES = 200_000
MAX_FILES = 20_000
MAX_DEPTH = 40
_KIB, _MIB = 1 << 10, 1 << 20
#: Folders that hold what others made: packages that were installed, what tools keep.
_SKIPPED = frozenset(
    ".git .hg .svn node_modules __pycache__ .tox .nox .mypy_cache .ruff_cache .pytest_cache .hypothesis site-packages .eggs bower_components .terraform".split()
)
#: (pattern of the lower-case path, kind, most bytes, whether a larger one is data and no configuration). First match.
_KINDS: tuple[tuple[re.Pattern[str], str, int, bool], ...] = tuple(
    (re.compile(pattern), kind, size, data)
    for pattern, kind, size, data in (
        (r"(?:.*/)?safe-load\.chain\.json", "", 0, True),
        (
            r"(?:.*/)?(?:uv|poetry|pdm)\.lock|(?:.*/)?pylock(?:\.[\w-]+)?\.toml",
            "python-lock",
            32 * _MIB,
            False,
        ),
        (r"(?:.*/)?pipfile\.lock", "pipfile-lock", 32 * _MIB, False),
        (r"(?:.*/)?(?:package-lock|npm-shrinkwrap)\.json", "package-lock", 32 * _MIB, False),
        (r"(?:.*/)?(?:yarn\.lock|pnpm-lock\.yaml)", "text-lock", 32 * _MIB, False),
        (r"(?:.*/)?package\.json", "package-json", 2 * _MIB, False),
        (r"(?:.*/)?pyproject\.toml", "pyproject", 2 * _MIB, False),
        (r"(?:.*/)?pipfile", "pipfile", 2 * _MIB, False),
        (
            r"(?:.*/)?(?:[\w.-]*requirements[\w.-]*|constraints[\w.-]*)\.(?:txt|in)|(?:.*/)?requirements/[^/]*\.(?:txt|in)",
            "requirements",
            4 * _MIB,
            False,
        ),
        (r"(?:.*/)?(?:setup\.cfg|pip\.conf|pip\.ini)", "setup-cfg", 2 * _MIB, False),
        (r"(?:.*/)?\.npmrc", "npmrc", _MIB, False),
        (r"(?:.*/)?(?:environment|conda|env)[\w.-]*\.ya?ml", "conda", 2 * _MIB, False),
        (
            r"(?:.*/)?(?:\.?mcp\.json|server\.json|claude_desktop_config\.json|mcp_config\.json|cline_mcp_settings\.json|mcp[\w.-]*\.json)",
            "json",
            4 * _MIB,
            False,
        ),
        (r".*\.pyi?", "python", 2 * _MIB, False),
        (r".*\.ipynb", "notebook", 32 * _MIB, False),
        (r"(?:.*/)?(?:[\w.-]*dockerfile|containerfile)[\w.-]*", "dockerfile", _MIB, False),
        (r"(?:.*/)?[\w.-]*modelfile[\w.-]*", "modelfile", _MIB, False),
        (
            r".*\.(?:sh|bash|zsh|ksh|fish|command|bat|ps1)|(?:.*/)?(?:justfile|procfile|taskfile)|.*\.service",
            "shell",
            2 * _MIB,
            False,
        ),
        (r"(?:.*/)?(?:makefile|gnumakefile)|.*\.mk", "makefile", 2 * _MIB, False),
        (r".*\.(?:tf|tfvars|hcl)", "terraform", 2 * _MIB, True),
        (r"(?:.*/)?(?:\.env(?:\.[\w.-]+)?|[\w.-]+\.env)", "dotenv", _MIB, False),
        (r".*\.ya?ml", "yaml", 2 * _MIB, True),
        (r".*\.jsonc?", "json", 2 * _MIB, True),
        (r".*\.toml", "toml", 2 * _MIB, True),
        (r".*\.(?:js|mjs|cjs|ts|mts|cts|jsx|tsx|vue|svelte)", "javascript", 2 * _MIB, True),
    )
)
#: Files of the user's own that name servers, below the home folder.
USER_FILES = (
    ".cursor/mcp.json", ".claude.json", ".claude/settings.json", ".config/Claude/claude_desktop_config.json", "Library/Application Support/Claude/claude_desktop_config.json",
    ".codeium/windsurf/mcp_config.json", ".gemini/settings.json", ".codex/config.toml", ".config/zed/settings.json", ".config/Code/User/mcp.json", ".config/Code/User/settings.json",
    ".config/opencode/opencode.json", ".continue/config.yaml", ".continue/config.json", ".aws/amazonq/mcp.json", ".vscode/mcp.json", ".lmstudio/mcp.json", ".mcp.json",
)  # fmt: skip


@dataclass(frozen=True)
class File:
    """path: as the register tells it; real: where it lies; kind: how it is read; most: bytes."""

    path: str
    real: str
    kind: str
    most: int


@dataclass
class Found:
    """files: to be read. problems: path -> why it is not read although it should be. left: notes on what was left
    alone by its kind."""

    files: list[File] = field(default_factory=list)
    problems: dict[str, tuple[str, bool]] = field(default_factory=dict)
    left: dict[str, int] = field(default_factory=dict)


def kind_of(path: str) -> tuple[str, int, bool]:
    """(kind, most bytes, whether a larger one is data) of a path; ("", 0, True) of one that is not read."""
    lower = path.lower()
    for pattern, kind, size, data in _KINDS:
        if pattern.fullmatch(lower):
            return kind, size, data
    return "", 0, True


def walk(root: Path, exclude: Sequence[str] = (), deadline: float | None = None) -> Found:
    """The files of the project. Raises UsageError for a folder that is not there, LimitHit."""
    if not root.is_dir():
        raise UsageError(f"{visible(str(root))!r} is not a folder")
    base = os.path.realpath(root)
    found = Found()
    patterns = tuple(exclude)
    count = 0
    stack = [("", 0)]
    while stack:
        folder, depth = stack.pop()
        for entry in _entries(base, folder, found):
            count += 1
            if count > MAX_ENTRIES or (deadline is not None and time.monotonic() > deadline):
                reason = (
                    f"more than {MAX_ENTRIES} entries"
                    if count > MAX_ENTRIES
                    else "more than fits into the time limit"
                )
                raise LimitHit(
                    f"{root} holds {reason}: name a smaller folder, or leave some out with --exclude"
                )
            path = f"{folder}{entry.name}"
            if patterns and globs.first(patterns, path):
                continue
            if entry.is_dir(follow_symlinks=False):
                if _enters(entry, found):
                    if depth >= MAX_DEPTH:
                        found.problems[path] = (f"it lies deeper than {MAX_DEPTH} folders", True)
                    else:
                        stack.append((f"{path}/", depth + 1))
            else:
                _take(entry, path, base, found)
        if len(found.files) > MAX_FILES:
            raise LimitHit(
                f"{root} holds more than {MAX_FILES} files to read: leave some out with --exclude"
            )
    found.files.sort(key=lambda file: file.path)
    return found


def _entries(base: str, folder: str, found: Found) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(os.path.join(base, folder)) as entries:
            yield from entries
    except OSError as error:
        found.problems[folder.rstrip("/") or "."] = (
            f"the folder cannot be read: {error.strerror}",
            False,
        )


def _enters(entry: os.DirEntry[str], found: Found) -> bool:
    skipped = entry.name in _SKIPPED or os.path.lexists(os.path.join(entry.path, "pyvenv.cfg"))
    if skipped:
        found.left["folders of installed packages and of tools"] = (
            found.left.get("folders of installed packages and of tools", 0) + 1
        )
    return not skipped


def _take(entry: os.DirEntry[str], path: str, base: str, found: Found) -> None:
    kind, most, data = kind_of(path)
    if not kind:
        return
    try:
        if entry.is_symlink():
            real = os.path.realpath(entry.path)
            if Path(real).is_dir() or not os.path.lexists(real):
                return
            if not real.startswith(f"{base}/"):
                found.problems[path] = ("it is a link that leads out of the project", False)
                return
            if kind_of(os.path.relpath(real, base))[0] == kind:
                return  # read where it lies
        else:
            real = entry.path
        status = Path(real).stat()
    except OSError as error:
        found.problems[path] = (f"it cannot be read: {error.strerror}", False)
        return
    if not Path(real).is_file():
        found.problems[path] = ("it is no regular file", False)
    elif status.st_size > most:
        if data:
            found.left["large files of data"] = found.left.get("large files of data", 0) + 1
        else:
            found.problems[path] = (f"it is larger than {most // _KIB} KiB", True)
    else:
        found.files.append(File(path, real, kind, most))


def of_user(home: Path) -> Found:
    """The user's own files that name servers, under "~/"."""
    found = Found()
    for name in USER_FILES:
        path = home / name
        if path.is_file():
            kind = (
                "toml" if name.endswith(".toml") else "yaml" if name.endswith(".yaml") else "json"
            )
            if path.stat().st_size > 16 * _MIB:
                found.problems[f"~/{name}"] = ("it is larger than 16 MiB", True)
            else:
                found.files.append(File(f"~/{name}", str(path), f"{kind}-servers", 16 * _MIB))
    return found


#: Kept here so that nobody reads the register as a configuration of the project.
assert kind_of(FILE_NAME)[0] == ""  # noqa: S101
