"""What the conformance tests stand on: controllers of both kinds of user, and jobs in their rooms."""

from __future__ import annotations

import json
import os
import platform
import select
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

import containers
import msgspec
import pytest
import safe_load
from safe_load.sandbox.backends.interface import Event, RoomResult

HERE = Path(__file__).resolve().parent
SECRET = "hunter2-of-the-caller"
ORDINARY = 54321  # a user that owns nothing and is nobody's
_ANSWER_S = 60.0
_CLOCK_NANOSLEEP = {"x86_64": 230, "aarch64": 115}[platform.machine()]
#: Small enough to hit, large enough for an interpreter.
LIMITS = {
    "timeout": 15.0,
    "memory": 512 << 20,
    "processes": 128,
    "scratch": 8 << 20,
    "scratch_files": 256,
}

#: The command line tool as an interpreter's program: `python -c MAIN FOLDERS ARGUMENTS...`
MAIN = """
import site, sys
for folder in sys.argv.pop(1).split(":"):
    site.addsitedir(folder)
from safe_load.cli import main
sys.argv[0] = "safe-load"
sys.exit(main())
"""


#: A backend of somebody else's, "module:factory" or "file.py:factory", which the suite shall prove;
#: which one of ours it takes the place of; and what it does not promise (docs/conformance.md).
THEIRS = os.environ.get("CONFORMANCE_BACKEND")
LIKE = os.environ.get("CONFORMANCE_LIKE", "native")
UNPROMISED = os.environ.get("CONFORMANCE_UNPROMISED")


@dataclass(frozen=True)
class Ran:
    """How one job ended; outputs: (size, first bytes) of each output file."""

    result: RoomResult
    outputs: tuple[tuple[int, bytes], ...]
    took_s: float

    @property
    def value(self) -> dict[str, Any]:
        """What the job returned. Fails the test if it did not end well."""
        assert self.result.status == "ok", (
            self.result.status,
            self.result.reason,
            self.result.output,
        )
        assert self.result.value is not None
        return self.result.value

    def events(self, syscall: str, **args: Any) -> list[Event]:
        """The recorded calls of that name whose arguments hold these."""
        return [
            event
            for event in self.result.events
            if event.syscall == syscall
            and all(event.args.get(name) == value for name, value in args.items())
        ]


@dataclass
class Controller:
    """One controller process; it runs one job at a time."""

    command: list[str]
    backend: str
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] = field(init=False)
    began: float = 0.0
    is_busy: bool = False  # with a job whose answer nobody has read

    def __post_init__(self) -> None:
        self.process = subprocess.Popen(
            self.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={
                "SAFE_LOAD_TEST_SECRET": SECRET,
                "SAFE_LOAD_TEST_IMAGE": containers.IMAGE,
                "DOCKER_HOST": containers.HOST,
                "PATH": os.defpath,
                "PYTHONDONTWRITEBYTECODE": "1",
                **({"CONFORMANCE_BACKEND": THEIRS} if THEIRS else {}),
                **self.environment,
            },
            cwd="/",
            # Groups of the caller's, which root's worker must not be in.
            extra_groups=[0, 4] if os.geteuid() == 0 else None,
        )
        if self.backend in IN_CONTAINERS:
            _with_containers.add(self.process.pid)

    def start(
        self,
        entry: str,
        argument: dict[str, Any] | None = None,
        *,
        limits: dict[str, Any] | None = None,
        profile: dict[str, Any] | None = None,
        options: dict[str, Any] | None = None,
        files: dict[Path, str] | None = None,
        outputs: int = 0,
        output_limit: int = 0,
        stop_after: float | Literal["told"] | None = None,
    ) -> None:
        """Send a job. entry: "module:function" of a file in programs/; stop_after: seconds, or
        "told" where `stop` will be called."""
        job = {
            "entry": entry,
            "argument": argument or {},
            "files": [(str(source), target) for source, target in (files or {}).items()],
            "output_limit": output_limit,
        }
        changes: dict[str, Any] = {**(profile or {}), "limits": {**LIMITS, **(limits or {})}}
        request = {
            "backend": self.backend,
            "options": options or {},
            "profile": changes,
            "job": job,
            "outputs": outputs,
            "stop_after": stop_after,
        }
        self.began = time.monotonic()
        self.is_busy = True
        self._say(json.dumps(request).encode())

    def stop(self) -> None:
        """Have the job stopped that was started with stop_after="told"."""
        self._say(b"stop")

    def _say(self, line: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()

    def has_answered(self, seconds: float) -> bool:
        """Whether the job has ended, waited for that long."""
        assert self.process.stdout is not None
        return bool(select.select([self.process.stdout], [], [], seconds)[0])

    def answer(self) -> Ran:
        """Wait for the end of the job that was started."""
        assert self.process.stdout is not None
        if not self.has_answered(_ANSWER_S):
            self.process.kill()
            pytest.fail("the controller did not answer: something inside held it up")
        line = self.process.stdout.readline()
        took = time.monotonic() - self.began
        assert line, "the controller died"
        self.is_busy = False
        said = msgspec.json.decode(line)
        return Ran(
            result=msgspec.convert(said["result"], RoomResult),
            outputs=tuple((each["size"], bytes.fromhex(each["head"])) for each in said["outputs"]),
            took_s=took,
        )

    def run(self, entry: str, argument: dict[str, Any] | None = None, **options: Any) -> Ran:
        """Run one job to its end."""
        self.start(entry, argument, **options)
        return self.answer()

    def close(self) -> None:
        """End it. A job that still runs is killed with it."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with suppress(BrokenPipeError):
                    stream.close()


def controller(house: tuple[str, str], environment: dict[str, str] | None = None) -> Controller:
    """A controller for that backend, as that user, with these variables besides."""
    backend, user = house
    group = containers.group() if backend in IN_CONTAINERS else None
    # Root's worker is nobody only where nobody can reach the interpreter.
    python = python_for_all() if backend == "native-b" else None
    return Controller(command(user, group=group, python=python), backend, environment or {})


def _paths() -> list[str]:
    """Where a controller finds safe_load and what it needs: as this process does."""
    ours = Path(safe_load.__file__).parent.parent
    site_packages = str(Path(msgspec.__file__).parent.parent)
    # A package that lies under its own name in a folder is found by that folder; one that an
    # editable install maps is found by the .pth file in site-packages.
    return [
        *([str(ours)] if Path(safe_load.__file__).parent.name == "safe_load" else []),
        site_packages,
    ]


def command(
    user: str,
    *,
    lacking: tuple[str, ...] = (),
    namespaces: bool = True,
    group: int | None = None,
    python: str | None = None,
) -> list[str]:
    """How to start a controller as that user: "root", "user" (an ordinary one) or "self".

    lacking: system calls that its kernel shall not have; namespaces: whether it shall let anyone
    make a user namespace; group: that the ordinary user is in; python: another interpreter than
    this one."""
    interpreter = [python or sys.executable, "-I"]
    prefix: list[str] = []
    if user == "user":
        interpreter = [str(python_for_all()), "-I"]
        prefix = _as_ordinary_user(group)
    if not namespaces:
        # The setting is one of each user namespace: this one is our own, the machine's stays.
        switch_off = 'echo 0 > /proc/sys/user/max_user_namespaces; exec "$@"'
        prefix += ["unshare", "--user", "--map-root-user", "sh", "-c", switch_off, "sh"]
    if lacking:
        prefix += [*interpreter, str(HERE / "without.py"), ":".join(_paths()), ":".join(lacking)]
    return [*prefix, *interpreter, str(HERE / "controller.py"), *_paths()]


def _as_ordinary_user(group: int | None = None) -> list[str]:
    groups = "--clear-groups" if group is None else f"--groups={group}"
    # Through env: setpriv still has root's capabilities when it looks up the program that it starts.
    return ["setpriv", f"--reuid={ORDINARY}", f"--regid={ORDINARY}", groups, "env"]


@cache
def python_for_all() -> str | None:
    """An interpreter of our version that an ordinary user may run with our packages, if there is
    one: the only Python may lie in root's home."""
    name = f"python3.{sys.version_info.minor}"
    for candidate in (
        sys.executable,
        f"/usr/bin/{name}",
        f"/usr/local/bin/{name}",
        "/usr/bin/python3",
    ):
        probe = (
            "import sys, site; [site.addsitedir(path) for path in sys.argv[2:]]; "
            "import msgspec, pyseccomp, safe_load.sandbox.backends.native.backend; "
            "assert sys.version_info[:2] == tuple(map(int, sys.argv[1].split('.')))"
        )
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        done = subprocess.run(
            [*_as_ordinary_user(), candidate, "-I", "-c", probe, version, *_paths()],
            capture_output=True,
            check=False,
        )
        if done.returncode == 0:
            return candidate
    return None


def users() -> list[str]:
    """Whom the suite runs rooms as."""
    if os.geteuid() != 0:
        return ["self"]
    return ["root", "user"] if shutil.which("setpriv") and python_for_all() else ["root"]


#: A house (backend, user) for promises that do not depend on either.
ANY = ("native", users()[-1])


#: Backends whose rooms are containers, and the controllers that use them.
IN_CONTAINERS = ("docker", "docker-warm", "gvisor")
_with_containers: set[int] = set()

#: The houses whose rooms have no namespaces, and why a promise is not theirs.
ALONE = [("native-b", user) for user in users()]
NO_NAMESPACES = "a room without namespaces"


def uid_of(user: str) -> int:
    """The user that a controller of that kind runs as."""
    return ORDINARY if user == "user" else os.geteuid()


def descendants(pid: int) -> dict[int, str]:
    """Every process below that one, with its name, and what runs in its containers."""
    children: dict[int, list[int]] = {}
    names: dict[int, str] = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            raw = (folder / "stat").read_bytes()
        except OSError:
            continue
        name, _, rest = raw.partition(b"(")[2].rpartition(b")")
        children.setdefault(int(rest.split()[1]), []).append(int(folder.name))
        names[int(folder.name)] = name.decode("utf-8", "replace")
    firsts = containers.first_processes(pid) if pid in _with_containers else []
    found = {first: names[first] for first in firsts if first in names}
    waiting = [pid, *found]
    while waiting:
        for child in children.get(waiting.pop(), []):
            found[child] = names[child]
            waiting.append(child)
    return found


def wait_for(pid: int, *names: str, seconds: float = 10.0) -> dict[int, str]:
    """The processes below `pid`, once one of each of these names is among them."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = descendants(pid)
        if set(names) <= set(found.values()):
            return found
        time.sleep(0.005)
    pytest.fail(f"no {names} below {pid}: {descendants(pid)}")


def sealed_worker(controller: Controller) -> int:
    """The pid of the worker, once its last wall is closed and its job has begun."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        below = wait_for(controller.process.pid, "worker")
        worker = min(pid for pid, name in below.items() if name == "worker")
        # Asleep in the job: every program that is looked at sleeps for a time.
        try:
            call = Path(f"/proc/{worker}/syscall").read_text().split()[0]
        except OSError:
            call = ""
        if call == str(_CLOCK_NANOSLEEP):
            return worker
        time.sleep(0.005)
    pytest.fail("the worker did not come to its job")


def alive(pids: set[int]) -> set[int]:
    """Those that still run; a zombie does not."""
    left = set()
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0]
        except OSError:
            continue
        if state not in (b"Z", b"X"):
            left.add(pid)
    return left


def wait_until_dead(pids: set[int], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not alive(pids):
            return
        time.sleep(0.01)
    for pid in alive(pids):
        os.kill(pid, signal.SIGKILL)
    pytest.fail(f"these processes of a room still ran after {seconds} s")
