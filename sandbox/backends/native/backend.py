"""The native backend: a room from the kernel's own parts, for any user, without a daemon.

Zone: controller. Starts `safe_load.sandbox.room` in a fresh interpreter with nothing of the caller's
environment: once for each job, or once for many (`warm`).
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from safe_load.sandbox import interpreter, protocol
from safe_load.sandbox.backends import orders, room_stream
from safe_load.sandbox.backends.interface import Backend, Job, RoomResult
from safe_load.sandbox.backends.room_stream import Pipes, Transcript
from safe_load.sandbox.containment import Containment, Policy
from safe_load.sandbox.kernel import landlock
from safe_load.sandbox.policy import PolicyError, compile_policy

if TYPE_CHECKING:
    import subprocess

    from safe_load.profiles import Profile
    from safe_load.sandbox.interpreter import Early

#: The kind of room, as the profile's tables name it, by its tier.
_KINDS = {"A": "native", "B": "native-b"}
_ENTRIES = {"A": "launch.native", "B": "launch.cell_only"}


class NativeBackend(Backend):
    """Tier A from unprivileged namespaces; a fresh interpreter for each job. Where this machine lets
    nobody make namespaces, and for no other reason, tier B if the profile accepts it.

    tier: of the next room. patience_s: how long past the profile's time limit the supervisor is waited
    for, which keeps that limit itself; imports ahead of a job count here. place: the folder for what a
    room of tier B keeps on the disk; landlock_abi: the newest ABI that it uses. early: an interpreter that was
    started ahead, for the first job if it fits."""

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
        early: Early | None = None,
    ) -> None:
        self.profile = profile
        self.patience_s = patience_s
        self.tier = "A" if "A" in profile.tiers else "B"
        self._place = place
        self._landlock = landlock_abi
        self._early = early
        self._policies: dict[tuple[str, bool], Policy] = {}
        self._running: set[subprocess.Popen[bytes]] = set()
        self._stopped: set[subprocess.Popen[bytes]] = set()

    def run(self, job: Job) -> RoomResult:
        started = time.monotonic()
        tier = self.tier
        transcript = self._run(job, tier)
        if transcript.refused and self.accept_cell_alone():
            tier = "B"
            transcript = self._run(job, tier)
        return room_stream.conclude(transcript, self.profile, tier, started, kind=_KINDS[tier])

    def accept_cell_alone(self) -> bool:
        """Namespaces were refused: whether rooms without them are made from here on."""
        if "B" in self.profile.tiers:
            self.tier = "B"
        return self.tier == "B"

    def _run(self, job: Job, tier: str) -> Transcript:
        transcript = Transcript(trace=job.trace, told=job.told)
        try:
            policy = self.policy(tier, full=job.trace is not None)
        except PolicyError as error:
            transcript.blame("broken", str(error))
        else:
            early = self._early
            if early is not None and not early.take(_ENTRIES[tier], _passed(job)):
                early = None
            with room_stream.opened((early.near, early.far) if early else None) as pipes:
                self._converse(
                    job, policy, pipes, transcript, tier, early.process if early else None
                )
        return transcript

    def containment(self, tier: str) -> Containment:
        """What holds in a room of that tier."""
        scoped = min(landlock.abi(), self._landlock) >= landlock.SIGNALS
        if tier == "A":
            # The worker of an ordinary user has the supervisor's user, so it might signal it.
            return Containment(signals=scoped, locks=False, notifies=not self.stopped)
        return Containment(
            namespaces=False,
            signals=scoped,
            tasks=False,  # no limit of the kernel's counts one tree alone
            own_user=False,
            locks=False,
            notifies=not self.stopped,
        )

    def policy(self, tier: str, *, full: bool) -> Policy:
        """The profile's compiled policy. Raises PolicyError."""
        if (tier, full) not in self._policies:
            self._policies[tier, full] = compile_policy(
                self.profile, self.containment(tier), full=full
            )
        return self._policies[tier, full]

    def stop(self) -> None:
        for process in tuple(self._running):
            self._stopped.add(process)
            interpreter.let_go(process)

    def _converse(
        self,
        job: Job,
        policy: Policy,
        pipes: Pipes,
        transcript: Transcript,
        tier: str,
        process: subprocess.Popen[bytes] | None,
    ) -> None:
        """Start the room, say what it shall do, hear it out, see it end. process: its interpreter, started ahead."""
        far = pipes.far
        try:
            order = replace(
                orders.of_host(
                    self.profile,
                    policy,
                    self.containment(tier),
                    job,
                    kind=_KINDS[tier],
                    place=str(Path(self._place or _temporary_folder()).resolve())
                    if tier == "B"
                    else "",
                    newest_landlock=self._landlock,
                ),
                result=far["result"],
                output=far["output"],
                outputs=job.outputs,
            )
        except OSError as error:
            transcript.blame("broken", f"the room cannot be prepared: {error}")
            if process is not None:
                interpreter.end(process)
            return
        try:
            process = process or interpreter.start(
                _ENTRIES[tier],
                far["events"],
                (*far.values(), *_passed(job)),
                far["output"],
            )
        except OSError as error:
            transcript.blame(
                "broken", f"the room's interpreter {sys.executable} could not be started: {error}"
            )
            return
        self._running.add(process)
        try:
            pipes.close_far_ends()
            assert process.stdin is not None  # noqa: S101 - subprocess.PIPE was asked for
            try:
                process.stdin.write(protocol.write_order(order) + b"\n")
                process.stdin.flush()
            except (BrokenPipeError, ValueError) as error:  # ValueError: stop() closed it
                if process not in self._stopped:
                    transcript.blame(
                        "broken", f"the order could not be sent to the room's interpreter: {error}"
                    )
            room_stream.listen(pipes, transcript, self.profile, self.patience_s)
            if process in self._stopped:
                transcript.blame("interrupted", "the job was stopped")
        finally:
            self._running.discard(process)
            self._stopped.discard(process)
            interpreter.end(process)


def _passed(job: Job) -> tuple[int, ...]:
    """The descriptors that a job names."""
    return (*job.outputs, *((job.program.line,) if job.program else ()))


def _temporary_folder() -> str:
    """Where temporary files may lie. Raises OSError."""
    import tempfile  # noqa: PLC0415 - no room of tier A needs it

    try:
        return tempfile.gettempdir()
    except FileNotFoundError as error:
        raise OSError(
            "a room without namespaces needs a folder of the host's for its scratch files, and none "
            "is writable: set TMPDIR to a writable folder"
        ) from error
