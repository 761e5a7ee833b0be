"""Builds the room, starts the worker in its cell, and answers its system calls.

Trusted code inside the walls. It cannot be signalled, traced or read by the worker. Where the room
has a pid namespace it is pid 1 there: when it dies, the kernel kills everything else in the room.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from safe_load.sandbox.kernel import process
from safe_load.sandbox.kernel.ptrace import Tracer
from safe_load.sandbox.room import cell
from safe_load.sandbox.room.answer import Answers
from safe_load.sandbox.room.divert import Diversions
from safe_load.sandbox.room.inside import Inside
from safe_load.sandbox.room.recorder import Channel, Printed, Recorder
from safe_load.sandbox.room.seal import Broken, seal
from safe_load.sandbox.room.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Callable

    from safe_load.sandbox.kernel.seccomp import Listener

_GRACE_S = 1.0  # for what a worker leaves running behind its back


@dataclass(frozen=True)
class Identity:
    """separated: the worker has a user of its own; outer_pid_namespace: the one that was left;
    kept: the capabilities that the supervisor goes on with.

    They are for reading the memory and the /proc entries of a worker that has another user, and for
    listening where the worker believes to reach a server."""

    separated: bool
    outer_pid_namespace: str
    kept: tuple[int, ...] = (
        process.CAP_SYS_PTRACE,
        process.CAP_DAC_READ_SEARCH,
        process.CAP_NET_BIND_SERVICE,
    )


def main(
    spec: dict[str, Any],
    channel: Channel,
    identity: Identity,
    build: Callable[[], None],
    inside: Inside | None = None,
) -> NoReturn:
    """Build, run, watch, report; then exit, with everything inside dead.

    build: makes the room's network and file system, and may rely on being in all of its namespaces.
    inside: who is in the room; None where that is everybody in this pid namespace.
    """
    inside = inside or Inside()
    recorder = Recorder(channel, spec["stage"], spec["limits"]["events"])
    try:
        for number in (signal.SIGINT, signal.SIGPIPE, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)  # pid 1 ignores what it has no handler for
        process.set_name("supervisor")
        _build(channel, identity, build)
        process.dumpable(on=False)
        ours, theirs = socket.socketpair()
        worker = os.fork()
    except (Broken, OSError) as error:
        recorder.end("broken", str(error))
        os._exit(1)
    if worker == 0:
        os.close(channel.descriptor)
        cell.main(spec, theirs, separated=identity.separated)
    theirs.close()
    _supervise(spec, channel, recorder, identity, inside, worker, ours)


def _build(channel: Channel, identity: Identity, build: Callable[[], None]) -> None:
    channel.wall("pid-namespace", os.readlink("/proc/self/ns/pid") != identity.outer_pid_namespace)
    try:
        build()
    except OSError as error:
        raise Broken(f"the room's file system could not be built: {error}") from error


def _supervise(
    spec: dict[str, Any],
    channel: Channel,
    recorder: Recorder,
    identity: Identity,
    inside: Inside,
    worker: int,
    sync: socket.socket,
) -> NoReturn:
    code = 1
    try:
        watch = Watch(inside, spec["limits"])
        printed = Printed(spec["drain"]) if "drain" in spec else None
        # The worker's ends; while they stay open here the controller would not see them close.
        for descriptor in {spec["result"], spec["output"], *spec["outputs"]}:
            os.close(descriptor)
        process.bound_capabilities(*identity.kept, demanded=not spec["alone"])
        process.hold_capabilities(*identity.kept)
        listener = seal(spec, channel, worker, sync)
        status, reason = _Loop(spec, listener, recorder, watch, inside, worker, printed).run()
        inside.end()
        usage = os.times()
        recorder.end(
            status,
            reason,
            peak_memory=watch.peak_memory,
            peak_tasks=watch.peak_tasks,
            cpu_s=usage.children_user + usage.children_system,
            output=printed.text() if printed else None,
        )
        code = 0
    except (Broken, OSError) as error:
        with suppress(OSError):
            inside.end()
        recorder.end("broken", str(error))
    finally:
        os._exit(code)


class _Loop:
    """Waits for whatever happens in the room, until nothing needs to run any more.

    printed: what the worker prints, where the supervisor is who hears it."""

    def __init__(
        self,
        spec: dict[str, Any],
        listener: Listener | Tracer,
        recorder: Recorder,
        watch: Watch,
        inside: Inside,
        worker: int,
        printed: Printed | None,
    ) -> None:
        self._listener = listener
        self._watch = watch
        self._inside = inside
        self._worker = worker
        self._printed = printed
        self._poll = select.poll()
        self._diversions = Diversions(spec, listener, self._poll, recorder.converse)
        self._answers = Answers(spec, listener, recorder, watch, inside, self._diversions)
        # The worker's end is told at once, and not only when the watch looks the next time. A tracer
        # is told anyway.
        self._pidfd = None if isinstance(listener, Tracer) else os.pidfd_open(worker)
        self._ended: int | None = None
        self._grace = 0.0

    def run(self) -> tuple[str, str]:
        """Returns the room's status and the reason."""
        poll = self._poll
        poll.register(self._listener.descriptor, select.POLLIN)
        poll.register(0, select.POLLHUP)  # the controller holds the other end
        if self._pidfd is not None:
            poll.register(self._pidfd, select.POLLIN)
        if self._printed is not None:
            poll.register(self._printed.descriptor, select.POLLIN)
        for descriptor in self._inside.lifelines:
            poll.register(descriptor, select.POLLIN)
        while True:
            for descriptor, event in poll.poll(self._watch.wait_s * 1000):
                if (end := self._attend(descriptor, event)) is not None:
                    return end
            if (excess := self._watch.look()) is not None:
                return "limit", excess
            self._diversions.tick()
            if (status := self._reap()) is not None:
                self._ended = status
                self._grace = time.monotonic() + _GRACE_S
            if self._ended is not None and (
                not self._inside.others() or time.monotonic() > self._grace
            ):
                self._diversions.tick(final=True)
                if (starved := self._inside.starved()) is not None:
                    return "limit", starved
                return _judge(self._ended)

    def _attend(self, descriptor: int, event: int) -> tuple[str, str] | None:
        """See to what happened there. The status and the reason, if that ends the room."""
        if descriptor == self._listener.descriptor:
            if event & select.POLLIN:
                self._answers.give()
            elif event & select.POLLHUP:
                self._poll.unregister(descriptor)  # nobody is left who could make a call
        elif descriptor == 0:
            return "interrupted", "the controller let go"
        elif descriptor in self._inside.lifelines:
            return "broken", self._inside.lifelines[descriptor]
        elif descriptor == self._pidfd:
            self._poll.unregister(descriptor)
        elif self._printed is not None and descriptor == self._printed.descriptor:
            if not self._printed.hear():
                self._poll.unregister(descriptor)
        else:
            self._diversions.ready(descriptor)
        return None

    def _reap(self) -> int | None:
        """Collect the dead; the worker's wait status if it is among them."""
        if isinstance(self._listener, Tracer):
            return self._listener.ended()
        found = None
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return found
            if pid == 0:
                return found
            if pid == self._worker:
                found = status


def _judge(status: int) -> tuple[str, str]:
    """The room's status from the worker's wait status."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        name = (
            signal.Signals(number).name if number in signal.Signals._value2member_map_ else number
        )
        if number == signal.SIGXFSZ:
            return "limit", "disk limit: it wrote more than its output may hold"
        return "crashed", f"it was killed by {name}"
    code = os.WEXITSTATUS(status)
    return ("ok", "") if code == 0 else ("crashed", f"it exited with {code}")
