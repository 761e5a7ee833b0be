"""One notified call from its arrival to its answer: read it, divert or decide it, record it.

A call waits until it is answered, so that what is recorded comes before what it does.
"""

from __future__ import annotations

import errno
import select
from typing import TYPE_CHECKING, Any

from safe_load.sandbox.room.monitor import caller as callers
from safe_load.sandbox.room.monitor.decode import arguments

if TYPE_CHECKING:
    from safe_load.sandbox.containment import Policy
    from safe_load.sandbox.kernel.ptrace import Tracer
    from safe_load.sandbox.kernel.seccomp import Listener, Notification
    from safe_load.sandbox.room.monitor.caller import Caller
    from safe_load.sandbox.room.monitor.decisions import Decisions
    from safe_load.sandbox.room.monitor.diversions import Diversions
    from safe_load.sandbox.room.monitor.locks import Locks
    from safe_load.sandbox.room.monitor.recorder import Recorder
    from safe_load.sandbox.room.monitor.watch import Watch
    from safe_load.sandbox.room.process_tree import ProcessTree

_BATCH = 64  # notifications between two looks at the limits
_PATHS = frozenset(("path", "old", "new", "target"))


class Answers:
    """Of one room. locks: who takes them, where they would be seen outside of the room."""

    def __init__(
        self,
        policy: Policy,
        listener: Listener | Tracer,
        recorder: Recorder,
        decisions: Decisions,
        watch: Watch,
        processes: ProcessTree,
        diversions: Diversions,
        locks: Locks | None,
    ) -> None:
        self._names = policy.names
        self._full = bool(policy.traced)
        self._listener = listener
        self._recorder = recorder
        self._watch = watch
        self._inside = processes
        self._diversions = diversions
        self._locks = locks
        self._decisions = decisions
        self._poll = select.poll()
        self._poll.register(listener.descriptor, select.POLLIN)

    def give(self) -> None:
        """Answer what waits, as long as the limits need no look."""
        for _ in range(_BATCH):
            call = self._listener.receive()
            if call is not None:
                # Opened for each call: a pid that is used again would be read from the memory of
                # the dead.
                caller = callers.find(call.pid)
                try:
                    self._answer(call, caller)
                finally:
                    if caller is not None:
                        caller.memory.close()
            if not self._poll.poll(0) or self._watch.wait_s == 0:
                return

    def _answer(self, call: Notification, caller: Caller | None) -> None:
        name = self._names.get(call.number, f"syscall_{call.number}")
        args: dict[str, Any] = {"unreadable": True}
        if caller is not None:
            args = self._shown(arguments(name, caller, call.args))
        if not self._listener.still_waits(call):
            return  # the pid may belong to somebody else by now
        answer = None
        if caller is not None:
            answer = self._locks.take(name, call, caller) if self._locks is not None else None
        if caller is not None and answer is None:
            answer = self._diversions.divert(name, call, caller, args)
        if answer is None:
            answer = self._decisions.decide(name, call, args)
        self._recorder.count(name, answer.decision)
        if self._full:
            self._recorder.trace(pid=call.pid, syscall=name, args=args, decision=answer.decision)
        if answer.recorded:
            ppid, comm = callers.parent_and_name(call.pid)
            self._recorder.tell(
                pid=call.pid,
                ppid=ppid,
                comm=comm,
                syscall=name,
                args=args,
                decision=answer.decision,
                errno=errno.errorcode.get(answer.error) if answer.error else None,
            )
        if answer.error:
            self._listener.refuse(call, answer.error)
        elif answer.value is not None:
            self._listener.emulate(call, answer.value)
        else:
            self._listener.resume(call)

    def _shown(self, args: dict[str, Any]) -> dict[str, Any]:
        """The arguments, with paths as the room means them."""
        shown = {
            name: self._inside.shown(value) if name in _PATHS and isinstance(value, str) else value
            for name, value in args.items()
        }
        if isinstance(words := args.get("argv"), list):
            shown["argv"] = [self._inside.shown_in(word) for word in words]
        return shown
