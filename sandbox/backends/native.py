"""The native backend: a room from the kernel's own parts, for any user, without a daemon.

Zone: controller. Starts `safe_load.sandbox.room` in a fresh interpreter with nothing of the caller's
environment: once for each job, or once for many (`warm`).
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from safe_load.sandbox import runtime
from safe_load.sandbox.backends import hearing
from safe_load.sandbox.backends.hearing import Heard, Pipes
from safe_load.sandbox.backends.interface import Backend, Job, RoomResult
from safe_load.sandbox.kernel import landlock
from safe_load.sandbox.policy import CONTROL_DESCRIPTOR, Policy, PolicyError, compile_policy

if TYPE_CHECKING:
    from safe_load.profiles import Profile

# The room's interpreter imports nothing but the standard library and these two folders of ours;
# safe_load itself stays an empty shell in there.
BOOTSTRAP = """
import sys, types
for name, path in (("safe_load", []), ("safe_load.sandbox", [sys.argv[1]])):
    module = types.ModuleType(name)
    module.__path__ = path
    sys.modules[name] = module
import importlib
module = importlib.import_module("safe_load.sandbox.room." + sys.argv[2])
sys.exit(module.main(int(sys.argv[3])))
"""


#: The kind of room, as the profile's tables name it, by its tier.
_KINDS = {"A": "native", "B": "native-b"}
_ENTRIES = {"A": "launch", "B": "alone"}


class NativeBackend(Backend):
    """Tier A from unprivileged namespaces; a fresh interpreter for each job. Where this machine lets
    nobody make namespaces, and for no other reason, tier B if the profile accepts it.

    tier: of the next room. patience_s: how long past the profile's time limit the supervisor is waited
    for, which keeps that limit itself; imports ahead of a job count here. place: the folder for what a
    room of tier B keeps on the disk; landlock_abi: the newest ABI that it uses."""

    name = "native"
    runtime = None
    #: Whether calls are stopped for a tracer instead of notified, as on a kernel without notification.
    stopped = False

    def __init__(
        self,
        profile: Profile,
        *,
        patience_s: float = 300.0,
        place: str | None = None,
        landlock_abi: int = landlock.NEWEST,
    ) -> None:
        self.profile = profile
        self.patience_s = patience_s
        self.tier = "A" if "A" in profile.tiers else "B"
        self._place = place
        self._landlock = landlock_abi
        self._policies: dict[tuple[str, bool], Policy] = {}
        self._running: set[subprocess.Popen[bytes]] = set()
        self._stopped: set[subprocess.Popen[bytes]] = set()

    def run(self, job: Job) -> RoomResult:
        started = time.monotonic()
        tier = self.tier
        heard = self._run(job, tier)
        if heard.refused and self.accept_cell_alone():
            tier = "B"
            heard = self._run(job, tier)
        return hearing.conclude(heard, self.profile, tier, started, kind=_KINDS[tier])

    def accept_cell_alone(self) -> bool:
        """Namespaces were refused: whether rooms without them are made from here on."""
        if "B" in self.profile.tiers:
            self.tier = "B"
        return self.tier == "B"

    def _run(self, job: Job, tier: str) -> Heard:
        heard = Heard(trace=job.trace)
        try:
            policy = self.policy(tier, full=job.trace is not None)
        except PolicyError as error:
            heard.blame("broken", str(error))
        else:
            with hearing.opened() as pipes:
                self._converse(job, policy, pipes, heard, tier)
        return heard

    def policy(self, tier: str, *, full: bool) -> Policy:
        """The profile's compiled policy. Raises PolicyError."""
        if (tier, full) not in self._policies:
            alone = tier == "B"
            # In tier A the pid namespace holds them.
            signals = not alone or min(landlock.abi(), self._landlock) >= landlock.SIGNALS
            self._policies[tier, full] = compile_policy(
                self.profile,
                full=full,
                stopped=self.stopped,
                alone=alone,
                signals=signals,
                births=not alone,  # no limit of the kernel's counts one tree alone
            )
        return self._policies[tier, full]

    def stop(self) -> None:
        for process in tuple(self._running):
            self._stopped.add(process)
            _let_go(process)

    def _converse(self, job: Job, policy: Policy, pipes: Pipes, heard: Heard, tier: str) -> None:
        """Start the room, say what it shall do, hear it out, see it end."""
        far = pipes.far
        try:
            spec = specification(self.profile, policy, job)
            if tier == "B":
                spec |= self._alone()
        except OSError as error:
            heard.blame("broken", f"the room cannot be described: {error}")
            return
        spec |= {"result": far["result"], "output": far["output"], "outputs": job.outputs}
        try:
            process = start(
                _ENTRIES[tier], far["events"], (*far.values(), *job.outputs), far["output"]
            )
        except OSError as error:
            heard.blame(
                "broken", f"the room's interpreter {sys.executable} does not start: {error}"
            )
            return
        self._running.add(process)
        try:
            pipes.close_far_ends()
            assert process.stdin is not None  # noqa: S101 - subprocess.PIPE was asked for
            try:
                process.stdin.write(json.dumps(spec).encode() + b"\n")
                process.stdin.flush()
            except (BrokenPipeError, ValueError) as error:  # ValueError: stop() closed it
                if process not in self._stopped:
                    heard.blame(
                        "broken", f"the room's interpreter could not be told anything: {error}"
                    )
            hearing.listen(pipes, heard, self.profile, self.patience_s)
            if process in self._stopped:
                heard.blame("interrupted", "it was stopped")
        finally:
            self._running.discard(process)
            self._stopped.discard(process)
            end(process)

    def _alone(self) -> dict[str, Any]:
        """What is said differently to a room of tier B."""
        return {
            "alone": True,
            "grants": True,
            "own_user": False,
            "walls": self.profile.demanded(_KINDS["B"]),
            "place": str(Path(self._place or _temporary_folder()).resolve()),
            "landlock": self._landlock,
        }


def start(
    entry: str, argument: int, descriptors: tuple[int, ...], output: int
) -> subprocess.Popen[bytes]:
    """Start a module of safe_load.sandbox.room, with one descriptor as its argument, in an
    interpreter that has nothing but these descriptors. Raises OSError."""
    folder = Path(__file__).resolve().parent.parent
    return subprocess.Popen(
        [
            sys.executable,
            "-I",
            "-S",
            "-B",
            "-X",
            "utf8",
            "-c",
            BOOTSTRAP,
            str(folder),
            entry,
            str(argument),
        ],
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=output,
        pass_fds=descriptors,
        env={},
        cwd="/",
    )


def _temporary_folder() -> str:
    """Where temporary files may lie. Raises OSError."""
    try:
        return tempfile.gettempdir()
    except FileNotFoundError as error:
        raise OSError(
            "a room without namespaces needs a folder of the host's for its scratch files, and there "
            "is none that can be written to: name one in TMPDIR"
        ) from error


def end(process: subprocess.Popen[bytes]) -> None:
    """Let go of a room. Returns when everything is dead."""
    _let_go(process)
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()  # the supervisor dies with the launcher, and everything with the supervisor
        process.wait()


def _let_go(process: subprocess.Popen[bytes]) -> None:
    """A room's lifeline is the standard input of its first process."""
    if process.stdin is not None:
        with suppress(BrokenPipeError):
            process.stdin.close()


def specification(profile: Profile, policy: Policy, job: Job) -> dict[str, Any]:
    """Everything that a room is told but its descriptors' numbers; see safe_load.sandbox.room."""
    parts = runtime.find(job.distributions)
    files = [(str(bind.source), bind.target, bind.identity) for bind in job.files]
    files += [(str(module), f"{runtime.MODULES}/{module.name}", None) for module in job.modules]
    files += [(source, target, None) for source, target in parts.files]
    folders = folders_of(job)
    sources = [str(source) for source, *_ in (*files, *parts.folders)]
    return {
        **common(profile, policy, job),
        "walls": profile.demanded("native"),
        "separate_user": all(_readable_by_all(source) for source in sources),
        "own_user": True,
        "folders": parts.folders,
        "files": files,
        "covered": parts.covered,
        "empty": [runtime.SITE, runtime.MODULES, *folders],
        "links": parts.links,
        "quiet": [f"{path}/" for path in (*parts.roots, *folders, "/dev/null", "/dev/urandom")],
        "readable": [*parts.roots, *folders, "/sys", *(target for _, target in parts.files)],
        "sys_path": parts.python_path,
        "package": runtime.PACKAGE,
        "routed": True,
    }


def common(profile: Profile, policy: Policy, job: Job) -> dict[str, Any]:
    """What a room is told of its job, wherever it is built."""
    return {
        "stage": job.name,
        "limits": msgspec.to_builtins(profile.limits),
        "mapped": sum(bind.source.stat().st_size for bind in job.files),
        "output_limit": job.output_limit,
        "program": policy.program.hex(),
        "names": policy.names,
        "sinkhole": profile.recording.sinkhole,
        "control": CONTROL_DESCRIPTOR,
        "stopped": policy.stopped,
        "mark": None,
        "kernel": "linux",
        "traced": policy.traced,
        "telling": sorted(policy.telling),
        "errnos": policy.errnos,
        "entry": job.entry,
        "argument": job.argument,
        "preload": job.preload,
        "planted": dict(job.planted),
        "environment": dict(job.environment),
        # What differs where the cell stands alone; see safe_load.sandbox.room.alone.
        "alone": False,
        "grants": False,
        "signed": False,
        "prefix": "",
        "rules": None,
        "identities": {},
        "landlock": landlock.NEWEST,
        "user": 1000,
    }


def folders_of(job: Job) -> list[str]:
    """The folders inside that hold the job's files."""
    return sorted({str(Path(bind.target).parent) for bind in job.files})


def _readable_by_all(path: str) -> bool:
    mode = Path(path).stat().st_mode
    return mode & 0o005 == 0o005 if Path(path).is_dir() else bool(mode & 0o004)
