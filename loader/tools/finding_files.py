"""Which files of the host a tool's room shows: the system's programs, its interpreter, its own folder, what
was granted.

Zone: controller. A path keeps its name inside. Links that lead there are made anew, and nothing else
of the folders that hold them can be seen.
"""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path

from safe_load.core.errors import UsageError
from safe_load.sandbox.backends.interface import Shown

#: The distribution's own programs and libraries. Not /usr/local: what lies there is shown only where
#: the tool's interpreter does.
_SYSTEM = ("/usr/bin", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/libexec", "/usr/share")
#: What programs read at their start, besides what every room has: certificates, names of links, zones.
_SETTINGS = (
    "/etc/alternatives", "/etc/ca-certificates", "/etc/ld.so.cache", "/etc/localtime", "/etc/mime.types",
    "/etc/pki/ca-trust/extracted", "/etc/pki/tls/certs", "/etc/ssl/certs", "/etc/ssl/openssl.cnf",
)  # fmt: skip
#: Of an installation: not its etc, share or configuration (a venv's pip.conf may hold a password).
_PARTS = ("bin", "lib", "lib64", "libexec")
_INTERPRETERS = re.compile(
    r"(?:python|pypy)[\d.]*|node(?:js)?|deno|bun|ruby|perl|php|lua|bash|dash|zsh|ksh|sh"
)
_PROJECT = ("package.json", "pyproject.toml", "setup.py", ".git")
_CLIMB = 3  # folders above a script in which its project is looked for
#: Too much is in these for one tool to have all of it.
_SHARED = frozenset(
    "/ /bin /boot /dev /etc /home /lib /lib64 /media /mnt /opt /proc /root /run /sbin /srv /sys /tmp /usr "
    "/usr/local /usr/local/bin /var /var/lib /var/tmp".split()
)
_NEVER = ("/dev", "/proc", "/sys")
_MOST_LINKS, _MOST_SCRIPTS = 40, 4
_SCRATCH = "/tmp"  # noqa: S108 - inside the room
#: Programs that fetch what they run, and what to do in place of that.
_INSTALLERS = {
    "npx": "npm install --ignore-scripts --prefix DIR PACKAGE, then run node DIR/node_modules/PACKAGE/...",
    "uvx": "uv venv DIR && uv pip install --python DIR --only-binary :all: PACKAGE, then run DIR/bin/PACKAGE",
    "docker": "run the server's own command: a container engine is a way out of any room",
}
_INSTALLERS |= {"bunx": _INSTALLERS["npx"], "pnpx": _INSTALLERS["npx"], "pipx": _INSTALLERS["uvx"]}
_INSTALLERS |= {"podman": _INSTALLERS["docker"]}


@dataclass
class Found:
    """What a command needs. argv: its first word is a path; notes: what a user should know of the choice."""

    argv: list[str]
    folder: str
    own: str | None = None
    notes: list[str] = field(default_factory=list)
    path: list[str] = field(default_factory=list)
    executable: list[str] = field(default_factory=list)
    writable: list[str] = field(default_factory=list)
    folders: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)

    def shown(self) -> Shown:
        """For the room's job; folders that hold others come first."""
        return Shown(
            tuple(sorted((source, target) for target, source in self.folders.items())),
            tuple(
                (source, target) for target, source in self.files.items() if not self.holds(target)
            ),
            dict(self.links),
        )

    def holds(self, path: str) -> bool:
        """Whether a shown folder holds that path."""
        return any(path == each or path.startswith(f"{each}/") for each in self.folders)

    def show(self, path: str, *, executable: bool = False, writable: bool = False) -> str:
        """Show a file or a folder, and the links by which the path leads there. Returns its real path."""
        real = self._follow(path)
        if os.path.isdir(real):
            if writable or not self.holds(real):
                self.folders[real] = real
        elif not self.holds(real):
            self.files[real] = real
        if executable:
            self.executable.append(real)
        if writable:
            self.writable.append(real)
        return real

    def _follow(self, path: str) -> str:
        left = [part for part in path.split("/") if part]
        at, count = "", 0
        while left:
            part = left.pop(0)
            if part in (".", ".."):
                at = at if part == "." else at.rpartition("/")[0]
                continue
            place = f"{at}/{part}"
            if not os.path.islink(place):
                at = place
                continue
            count += 1
            if count > _MOST_LINKS:
                raise UsageError(f"{path} cannot be shown: too many links lead to it")
            target = os.readlink(place)
            self.links[place] = target
            left = [*(each for each in target.split("/") if each), *left]
            at = "" if target.startswith("/") else at
        return at or "/"


def find(
    command: list[str], *, read: list[str], write: list[str], environ: dict[str, str], here: str
) -> Found:
    """What the room of a command shows.

    Args:
        command: The words of the command.
        read: Files and folders that the user grants, to read.
        write: Folders that the user grants, to write to.
        environ: The caller's variables: PATH and HOME count.
        here: The caller's working directory.

    Raises:
        UsageError: The command is not there, installs what it runs, or what is granted is not there.
    """
    home = os.path.realpath(environ.get("HOME") or "/root")
    _require_no_installer(command)
    program = which(command[0], environ, here)
    found = Found([program, *command[1:]], here)
    for path in (*_SYSTEM, *_SETTINGS):
        if os.path.exists(path) and os.path.realpath(path) == path:
            found.show(path, executable=path.startswith("/usr/"))
    interpreter = _show_programs(found, program, environ, home)
    own = _own(found, interpreter, command, here)
    if own is not None:
        _show_own(found, own, home)
    for path in read:
        found.show(_granted(path, here, "--read"))
    for path in write:
        place = _granted(path, here, "--write")
        if not os.path.isdir(place):
            raise UsageError(f"--write {path}: it is no folder, and only a folder can be granted")
        found.show(place, writable=True)
    found.folder = next(
        (each for each in (os.path.realpath(here), found.own) if each and found.holds(each)),
        _SCRATCH,
    )
    found.path = list(dict.fromkeys([*found.path, "/usr/local/bin", "/usr/bin", "/bin"]))
    return found


def which(name: str, environ: dict[str, str], here: str) -> str:
    """The path of a program, as a shell finds it. Raises UsageError."""
    if "/" in name:
        path = os.path.normpath(os.path.join(here, name))
        if os.access(path, os.X_OK) and os.path.isfile(path):
            return path
        raise UsageError(f"{name}: there is no such program, or it may not be executed")
    shim = None
    for folder in (environ.get("PATH") or os.defpath).split(":"):
        path = os.path.join(here, folder, name)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            if os.path.basename(folder) != "shims":
                return path
            shim = shim or path
    if shim is not None:
        raise UsageError(
            f"{name}: {shim} chooses the program when it is run, with files that no room shows: name the program "
            f"itself (`pyenv which {name}`, `asdf which {name}`)"
        )
    raise UsageError(f"{name}: there is no such program on PATH")


def _require_no_installer(command: list[str]) -> None:
    name = Path(command[0]).name
    words = [name, *command[1:3]]
    if words[:2] == ["uv", "tool"] or words[:2] == ["uv", "run"]:
        name = "uvx"
    if words[:2] in (["npm", "exec"], ["pnpm", "dlx"], ["yarn", "dlx"], ["bun", "x"]):
        name = "npx"
    if name in _INSTALLERS:
        raise UsageError(
            f"{shlex.join(command[:3])}: {name} fetches or starts what it runs elsewhere, which no room of "
            f"safe-load does. Install it first, without its scripts: {_INSTALLERS[name]}"
        )


def _show_programs(found: Found, program: str, environ: dict[str, str], home: str) -> str:
    """Show a program, and what interprets it (execve(2), "Interpreter scripts"). Returns the last one."""
    for _ in range(_MOST_SCRIPTS):
        _show_installation(found, program, home)
        line = _first_line(program)
        if not line.startswith(b"#!"):
            return program
        words = os.fsdecode(line[2:]).split()
        if not words or not words[0].startswith("/"):
            return program
        if Path(words[0]).name == "env":
            named = [word for word in words[1:] if not word.startswith("-") and "=" not in word]
            if not named:
                return program
            program = which(named[0], environ, "/")
        else:
            program = words[0]
            if not os.path.isfile(program):
                raise UsageError(f"{program}: there is no such interpreter")
    raise UsageError(f"{program}: too many scripts interpret each other")


def _first_line(program: str) -> bytes:
    try:
        with open(program, "rb") as file:
            return file.read(256).partition(b"\n")[0]
    except OSError as error:
        raise UsageError(f"{program} cannot be read: {error.strerror}") from error


def _show_installation(found: Found, program: str, home: str) -> None:
    """Show a program and the installation that it belongs to, by each of its names."""
    real = found.show(program, executable=True)
    for path in dict.fromkeys((program, real)):
        folder, name = os.path.split(path)
        found.path.append(folder)
        prefix = os.path.dirname(folder)
        if os.path.basename(folder) != "bin" or prefix in ("/", "/usr"):
            continue
        configured = f"{prefix}/pyvenv.cfg"
        if os.path.isfile(configured):
            _show_parts(found, prefix)
            found.show(configured)
            _show_base_of(found, configured, home)
        elif (
            _INTERPRETERS.fullmatch(name) and not _is_shared(prefix, home)
        ) or prefix == "/usr/local":
            _show_parts(found, prefix)


def _show_parts(found: Found, prefix: str) -> None:
    for part in _PARTS:
        if os.path.isdir(f"{prefix}/{part}"):
            found.show(f"{prefix}/{part}", executable=True)


def _show_base_of(found: Found, configured: str, home: str) -> None:
    """Show the Python that a virtual environment was made with (PEP 405)."""
    with open(configured, encoding="utf-8", errors="replace") as file:
        text = file.read(65536)
    base = re.search(r"^home\s*=\s*(/.+?)\s*$", text, re.MULTILINE)
    if base and os.path.basename(base[1]) == "bin" and not _is_shared(base[1], home):
        prefix = os.path.dirname(os.path.realpath(base[1]))
        found._follow(base[1])
        if prefix not in ("/", "/usr"):
            _show_parts(found, prefix)


def _is_shared(folder: str, home: str) -> bool:
    """Whether more than a tool lies below that folder: the home folder, for one, or what holds it."""
    if folder == "/usr/local":
        return False
    return folder in _SHARED or home == folder or home.startswith(f"{folder}/")


def _own(found: Found, interpreter: str, command: list[str], here: str) -> str | None:
    """The file or folder that is the tool itself: a script, a module in the working directory, or a
    program that is none of the system's."""
    program = found.argv[0]
    real = os.path.realpath(program)
    name = os.path.basename(os.path.realpath(interpreter))
    known = _INTERPRETERS.fullmatch(os.path.basename(interpreter)) or _INTERPRETERS.fullmatch(name)
    if interpreter != program or not known:
        return None if found.holds(real) and not _in_folder_of(found, real) else real
    words = command[1:]
    for index, word in enumerate(words):
        if word == "-m" and index + 1 < len(words):
            module = os.path.join(here, *words[index + 1].split("."))
            return here if os.path.exists(f"{module}.py") or os.path.isdir(module) else None
        if word in ("-c", "-e", "-"):
            return None
        if not word.startswith("-"):
            path = os.path.join(here, word)
            return os.path.realpath(path) if os.path.exists(path) else None
    return None


def _in_folder_of(found: Found, real: str) -> bool:
    """Whether a program lies in an installed package, which is its own folder."""
    return "/node_modules/" in real and not found.holds(real)


def _show_own(found: Found, own: str, home: str) -> None:
    folder = own if os.path.isdir(own) else os.path.dirname(own)
    before, inside, _ = folder.partition("/node_modules")
    folder = f"{before}/node_modules" if inside else _project_of(folder, home)
    if _is_shared(folder, home):
        if os.path.isdir(own):
            found.notes.append(
                f"{folder} holds more than one tool, so it is not shown; --read grants it"
            )
            return
        found.show(own, executable=True)
        found.notes.append(
            f"{folder} holds more than one tool, so only {own} is shown of it; --read grants more"
        )
        return
    found.own = found.show(folder, executable=True)


def _project_of(folder: str, home: str) -> str:
    """The folder of the project that a script belongs to, a few folders up; else the script's own."""
    at = folder
    for _ in range(_CLIMB):
        if _is_shared(at, home):
            break
        if any(os.path.exists(f"{at}/{mark}") for mark in _PROJECT):
            return at
        at = os.path.dirname(at)
    return folder


def _granted(path: str, here: str, flag: str) -> str:
    place = os.path.normpath(os.path.join(here, os.path.expanduser(path)))
    real = os.path.realpath(place)
    if not os.path.exists(place):
        raise UsageError(f"{flag} {path}: there is no such file or folder")
    if real == "/" or real.startswith(tuple(f"{each}/" for each in _NEVER)) or real in _NEVER:
        raise UsageError(f"{flag} {path}: {real} can be granted to nobody")
    return place
