"""Which files of a checkout changed since a commit, and which of them git ignores.

Zone: controller. Git is asked for stored objects and for names, and runs nothing that the repository names:
no hook, no filter, no file system monitor, no helper and no transport; configuration of the machine and of
the user is not read, and that of the repository is overruled where it could start a program. What the working
folder holds is compared here, byte for byte, because git would run the repository's filters for that.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from safe_load.core.errors import UsageError
from safe_load.core.escape import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

#: Each overrules a key with which a repository's configuration starts a program or reads other files.
_OVERRULED = (
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "core.attributesFile=/dev/null",
    "core.excludesFile=/dev/null",
    "core.pager=cat",
    "core.sshCommand=false",
    "core.alternateRefsCommand=false",
    "core.untrackedCache=false",
    "diff.external=",
    "credential.helper=",
    "protocol.allow=never",
    # Nothing of the repository is run, so it does not matter whose it is.
    "safe.directory=*",
)
_SECONDS = 120
_LARGEST_ANSWER = 256 << 20
#: A pointer of Git LFS stands in the commit for a file with this digest and size (the pointer's version 1).
_POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\n(?:ext-[^\n]*\n)*oid sha256:([0-9a-f]{64})\nsize (\d{1,18})\n"
)
_LARGEST_POINTER = 1024
_BLOCK = 1 << 20


@dataclass(frozen=True)
class _Blob:
    """ident: the object's name in hex; size: its bytes; link: whether it holds a link's target."""

    ident: str
    size: int
    link: bool


class Checkout:
    """A folder, or a file, in the working folder of a git repository. Raises UsageError where it is not."""

    def __init__(self, place: str, why: str) -> None:
        """why: the flag that needs git, for the error."""
        path = Path(os.path.realpath(place))
        self._folder = path if path.is_dir() else path.parent
        self._file = None if path.is_dir() else path.name
        self._why = f"{why} {visible(place)}"
        answer = self._git("rev-parse", "--show-prefix")
        self._prefix = os.fsdecode(answer.rstrip(b"\n"))

    def unchanged(self, revision: str, paths: Iterable[str]) -> tuple[set[str], set[str]]:
        """Of these paths, those whose files are as in that commit; and what the commit holds below the
        folder besides these paths. Paths are relative to the folder. Raises UsageError."""
        if not revision or revision.startswith("-"):
            raise UsageError(f"{self._why}: {visible(revision)!r} is no revision")
        try:
            asked = self._git(
                "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"
            )
        except UsageError:
            raise UsageError(
                f"{self._why}: git knows no commit {visible(revision)!r} here; in CI, check out more than "
                "the last commit (fetch-depth: 0)"
            ) from None
        blobs = self._tree(asked.decode("ascii").strip())
        wanted = list(paths)
        same = {path for path in wanted if path in blobs and self._is_same(path, blobs[path])}
        differing = [path for path in wanted if path in blobs and path not in same]
        same |= self._behind_pointers({path: blobs[path] for path in differing})
        gone = blobs.keys() - set(wanted)
        return same, {path for path in gone if self._file in (None, path)}

    def ignored(self) -> set[str]:
        """The files below the folder that .gitignore files name and no commit holds."""
        listed = self._git(
            "ls-files",
            "-z",
            "--others",
            "--ignored",
            "--exclude-per-directory=.gitignore",
            "--",
            ".",
        )
        return {os.fsdecode(name) for name in listed.split(b"\0") if name}

    def _tree(self, commit: str) -> dict[str, _Blob]:
        path = self._prefix or "."
        listed = self._git("ls-tree", "-r", "-z", "-l", "--full-tree", commit, "--", path)
        found = {}
        for line in listed.split(b"\0"):
            about, tab, name = line.partition(b"\t")
            words = about.split()
            if tab and len(words) == 4 and words[1] == b"blob":
                relative = os.fsdecode(name).removeprefix(self._prefix)
                size = int(words[3]) if words[3].isdigit() else -1
                found[relative] = _Blob(words[2].decode("ascii"), size, words[0] == b"120000")
        return found

    def _is_same(self, path: str, blob: _Blob) -> bool:
        place = self._folder / path
        try:
            if blob.link or place.is_symlink():
                return False  # what it leads to may have changed
            if place.stat().st_size != blob.size:
                return False
            kind = "sha256" if len(blob.ident) == 64 else "sha1"
            return _digest(place, kind, b"blob %d\0" % blob.size) == blob.ident
        except OSError:
            return False

    def _behind_pointers(self, blobs: dict[str, _Blob]) -> set[str]:
        """Of files that differ from the commit, those that are what its pointer of Git LFS stands for."""
        small = {path: blob for path, blob in blobs.items() if 0 < blob.size <= _LARGEST_POINTER}
        same = set()
        for path, blob in small.items():
            if blob.link:
                continue
            pointer = _POINTER.fullmatch(self._git("cat-file", "blob", blob.ident))
            place = self._folder / path
            try:
                if (
                    pointer is not None
                    and not place.is_symlink()
                    and place.stat().st_size == int(pointer[2])
                    and _digest(place, "sha256") == pointer[1].decode()
                ):
                    same.add(path)
            except OSError:
                continue
        return same

    def _git(self, *command: str) -> bytes:
        return git(self._folder, command, self._why)


def _digest(place: Path, kind: str, begin: bytes = b"") -> str:
    made = hashlib.new(kind, begin, usedforsecurity=False)
    descriptor = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb", buffering=0) as file:
        while block := file.read(_BLOCK):
            made.update(block)
    return made.hexdigest()


def git(folder: Path, command: Sequence[str], why: str) -> bytes:
    """What one git command prints. why: how an error begins. Raises UsageError."""
    program = shutil.which("git")
    if program is None:
        raise UsageError(f"{why}: the program git is not installed")
    overruled = [word for key in _OVERRULED for word in ("-c", key)]
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_SYSTEM": os.devnull,
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_ALLOW_PROTOCOL": "",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_LITERAL_PATHSPECS": "1",
    }
    try:
        done = subprocess.run(
            [program, "--no-pager", *overruled, "-C", str(folder), *command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=environment,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(f"{why}: git did not answer ({type(error).__name__})") from error
    if done.returncode != 0 or len(done.stdout) > _LARGEST_ANSWER:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        detail = said[0].removeprefix("fatal: ") if said else f"exit code {done.returncode}"
        raise UsageError(f"{why}: git says: {visible(detail, 200)}")
    return done.stdout
