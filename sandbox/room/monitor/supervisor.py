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
from typing import TYPE_CHECKING, NoReturn

from safe_load.sandbox.kernel import process
from safe_load.sandbox.kernel.ptrace import Tracer
from safe_load.sandbox.room import cell
from safe_load.sandbox.room.monitor import diversions
from safe_load.sandbox.room.monitor.answers import Answers
from safe_load.sandbox.room.monitor.caller import parent_and_name
from safe_load.sandbox.room.monitor.decisions import Decisions
from safe_load.sandbox.room.monitor.gate import Gate
from safe_load.sandbox.room.monitor.locks import Locks
from safe_load.sandbox.room.monitor.recorder import Channel, Printed, Recorder
from safe_load.sandbox.room.monitor.seal import Broken, seal
from safe_load.sandbox.room.monitor.watch import Watch
from safe_load.sandbox.room.process_tree import ProcessTree

if TYPE_CHECKING:
    from collections.abc import Callable

    from safe_load.sandbox.kernel.seccomp import Listener
    from safe_load.sandbox.protocol import Order, Status
    from safe_load.sandbox.room.view import Ends, View

_MOST_LEFT = 16
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
    order: Order,
    ends: Ends,
    channel: Channel,
    identity: Identity,
    build: Callable[[], View],
    processes: ProcessTree | None = None,
) -> NoReturn:
    """Build, run, watch, report; then exit, with everything inside dead.

    build: makes the room's network and file system, and may rely on being in all of its namespaces.
    processes: who is in the room; None where that is everybody in this pid namespace.
    """
    processes = processes or ProcessTree()
    recorder = Recorder(channel, order.stage, order.limits.events)
    try:
        for number in (signal.SIGINT, signal.SIGPIPE, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)  # pid 1 ignores what it has no handler for
        process.set_name("supervisor")
        view = _build(channel, identity, build)
        process.dumpable(on=False)
        ours, theirs = socket.socketpair()
        worker = os.fork()
    except (Broken, OSError) as error:
        recorder.end("broken", str(error))
        os._exit(1)
    if worker == 0:
        os.close(channel.descriptor)
        cell.main(order, ends, view, theirs, separated=identity.separated)
    theirs.close()
    _supervise(order, ends, view, channel, recorder, identity, processes, worker, ours)


def _build(channel: Channel, identity: Identity, build: Callable[[], View]) -> View:
    channel.wall("pid-namespace", os.readlink("/proc/self/ns/pid") != identity.outer_pid_namespace)
    try:
        return build()
    except OSError as error:
        raise Broken(f"the room's file system could not be built: {error}") from error


def _supervise(
    order: Order,
    ends: Ends,
    view: View,
    channel: Channel,
    recorder: Recorder,
    identity: Identity,
    processes: ProcessTree,
    worker: int,
    sync: socket.socket,
) -> NoReturn:
    code = 1
    try:
        watch = Watch(processes, order.limits)
        printed = None if ends.drain is None else Printed(ends.drain)
        # The worker's ends; while they stay open here the controller would not see them close.
        for descriptor in {ends.result, ends.output, *ends.outputs}:
            os.close(descriptor)
        # Of a program: its controller passes signals on.
        kept = (*identity.kept, process.CAP_KILL) if order.program else identity.kept
        process.bound_capabilities(*kept, demanded=order.containment.namespaces)
        process.hold_capabilities(*kept)
        listener = seal(order, view, channel, worker, sync)
        loop = _Loop(order, view, listener, recorder, watch, processes, worker, printed)
        status, reason = loop.run()
        processes.end()
        usage = os.times()
        recorder.end(
            status,
            reason,
            peak_memory=watch.peak_memory,
            peak_tasks=watch.peak_tasks,
            cpu_s=usage.children_user + usage.children_system,
            output=printed.text() if printed else None,
            code=loop.code,
            left=loop.left,
        )
        code = 0
    except (Broken, OSError) as error:
        with suppress(OSError):
            processes.end()
        recorder.end("broken", str(error))
    finally:
        os._exit(code)


class _Loop:
    """Waits for whatever happens in the room, until nothing needs to run any more.

    printed: what the worker prints, where the supervisor is who hears it."""

    def __init__(
        self,
        order: Order,
        view: View,
        listener: Listener | Tracer,
        recorder: Recorder,
        watch: Watch,
        processes: ProcessTree,
        worker: int,
        printed: Printed | None,
    ) -> None:
        self._listener = listener
        self._watch = watch
        self._inside = processes
        self._worker = worker
        self._printed = printed
        self._poll = select.poll()
        self._gate = None if order.program is None else Gate(order.program)
        self._diversions = diversions.choose(
            order, listener, self._poll, recorder.converse, self._gate
        )
        decisions = Decisions(order, view.quiet, watch)
        locks = None if order.containment.locks else Locks(view.prefix)
        self._answers = Answers(
            order.policy, listener, recorder, decisions, watch, processes, self._diversions, locks
        )
        # The worker's end is told at once, and not only when the watch looks the next time. A tracer
        # is told anyway.
        self._pidfd = None if isinstance(listener, Tracer) else os.pidfd_open(worker)
        self._ended: int | None = None
        self._grace = 0.0
        #: Of a program: its exit code, and the names of processes that it left running.
        self.code: int | None = None
        self.left: tuple[str, ...] = ()

    def run(self) -> tuple[Status, str]:
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
        if self._gate is not None:
            poll.register(self._gate.descriptor, select.POLLIN)
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
                return self._conclude(self._ended)

    def _conclude(self, status: int) -> tuple[Status, str]:
        if self._gate is None or (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXFSZ):
            return _judge(status)
        code = os.waitstatus_to_exitcode(status)
        self.code = code if code >= 0 else 128 - code
        others = self._inside.others()[:_MOST_LEFT]
        self.left = tuple(parent_and_name(pid)[1] for pid in others)
        return "ok", ""

    def _attend(self, descriptor: int, event: int) -> tuple[Status, str] | None:
        """See to what happened there. The status and the reason, if that ends the room."""
        if descriptor == self._listener.descriptor:
            if event & select.POLLIN:
                self._answers.give()
            elif event & select.POLLHUP:
                self._poll.unregister(descriptor)  # nobody is left who could make a call
        elif descriptor == 0:
            return "interrupted", "the controller closed the connection"
        elif descriptor in self._inside.lifelines:
            return "broken", self._inside.lifelines[descriptor]
        elif descriptor == self._pidfd:
            self._poll.unregister(descriptor)
        elif self._gate is not None and descriptor == self._gate.descriptor:
            if not self._gate.attend(self._worker):
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


def _judge(status: int) -> tuple[Status, str]:
    """The room's status from the worker's wait status."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        name = (
            signal.Signals(number).name if number in signal.Signals._value2member_map_ else number
        )
        if number == signal.SIGXFSZ:
            return "limit", "disk limit: the worker wrote more than its output limit"
        return "crashed", f"the worker was killed by {name}"
    code = os.WEXITSTATUS(status)
    return ("ok", "") if code == 0 else ("crashed", f"the worker exited with status {code}")
