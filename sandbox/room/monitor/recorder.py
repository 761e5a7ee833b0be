"""What the supervisor tells the controller: lines of JSON over a pipe, bounded.

Equal events are told once and counted; past the cap they are only counted, as dropped. The cap is
one of events and one of bytes, and allowed calls get half of each, so that a flood of harmless calls
does not hide a refused one.
"""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

from safe_load.sandbox import protocol

if TYPE_CHECKING:
    from safe_load.sandbox.protocol import Decision, Egress, Message, Status

_MOST_COUNTERS = 1024
_MOST_BYTES = 64 << 20
_MOST_TRACED = 500_000
_MOST_PRINTED = 64 << 10


class Channel:
    """One-way, line by line, to the controller. If the controller is gone, so is everything."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.standing: set[str] = set()
        #: What each line begins with, once the worker is there: it cannot know it.
        self.sign = b""

    def send(self, message: Message) -> None:
        """Say it whole. Raises OSError when the controller is gone."""
        view = memoryview(self.sign + protocol.write(message) + b"\n")
        while view:
            view = view[os.write(self.descriptor, view) :]

    def wall(self, name: str, stands: bool, detail: str = "") -> None:
        if stands:
            self.standing.add(name)
        self.send(protocol.Wall(name, "standing" if stands else "missing", detail))


class Recorder:
    """Counts every notified call and tells the ones that are worth telling."""

    def __init__(self, channel: Channel, stage: str, limit: int) -> None:
        self._channel = channel
        self._stage = stage
        self._limit = limit
        self._seen: dict[str, int] = {}
        self._counts: list[int] = []
        self._budgets: dict[str, list[int]] = {}
        self._conversations = 0
        self._traced = 0
        self._syscalls: dict[str, list[int]] = {}
        self.dropped = 0
        self.complete = True

    def count(self, name: str, decision: str) -> None:
        """One more call of that name."""
        counter = self._syscalls.get(name)
        if counter is None:
            counter = self._syscalls.setdefault(
                name if len(self._syscalls) < _MOST_COUNTERS else "other", [0, 0]
            )
        counter[decision != "allowed"] += 1

    def tell(
        self,
        *,
        pid: int,
        ppid: int,
        comm: str,
        syscall: str,
        args: dict[str, Any],
        decision: Decision,
        errno: str | None,
    ) -> None:
        """Record one call with its arguments."""
        now = time.monotonic()
        key = json.dumps([pid, syscall, args, decision], separators=(",", ":"))
        index = self._seen.get(key)
        if index is not None:
            self._counts[index] += 1
            return
        budget = self._budget_of(syscall, decision)
        if budget[0] >= self._limit // 4 or budget[1] >= _MOST_BYTES // 4:
            self.dropped += 1
            self.complete = False
            return
        budget[0] += 1
        budget[1] += len(key)
        self._seen[key] = len(self._counts)
        self._counts.append(1)
        self._channel.send(
            protocol.Event(
                t=now,
                stage=self._stage,
                pid=pid,
                ppid=ppid,
                comm=comm,
                syscall=syscall,
                args=args,
                decision=decision,
                errno=errno,
            )
        )

    def _budget_of(self, syscall: str, decision: str) -> list[int]:
        """[events, bytes] told of calls of one kind. Each kind has a quarter of the record, so that a
        flood of one cannot wash away what another shows."""
        if syscall in ("execve", "execveat"):
            kind = "programs"
        elif syscall in ("connect", "sendto", "sendmsg", "sendmmsg"):
            kind = "network"
        else:
            kind = "allowed" if decision == "allowed" else "refused"
        return self._budgets.setdefault(kind, [0, 0])

    def trace(self, pid: int, syscall: str, args: dict[str, Any], decision: Decision) -> None:
        """One line of the call-by-call trace of level "full"."""
        if self._traced >= _MOST_TRACED:
            self.dropped += 1
            self.complete = False
            return
        self._traced += 1
        now = time.monotonic()
        self._channel.send(
            protocol.Call(
                t=now, stage=self._stage, pid=pid, syscall=syscall, args=args, decision=decision
            )
        )

    def converse(self, conversation: Egress) -> None:
        """Record what was said to the sinkhole."""
        if self._conversations >= self._limit:
            self.dropped += 1
            self.complete = False
            return
        self._conversations += 1
        self._channel.send(conversation)

    def end(
        self,
        status: Status,
        reason: str,
        *,
        peak_memory: int = 0,
        peak_tasks: int = 0,
        cpu_s: float = 0.0,
        output: str | None = None,
        code: int | None = None,
        left: tuple[str, ...] = (),
    ) -> None:
        """The last message: how it ended, and the counts."""
        counts = ((name, (done, not_done)) for name, (done, not_done) in self._syscalls.items())
        self._channel.send(
            protocol.End(
                status=status,
                reason=reason,
                syscalls=dict(counts),
                repeated={index: count for index, count in enumerate(self._counts) if count > 1},
                dropped=self.dropped,
                complete=self.complete,
                peak_memory=peak_memory,
                peak_tasks=peak_tasks,
                cpu_s=cpu_s,
                output=output,
                code=code,
                left=left,
            )
        )


class Printed:
    """The tail of what comes down a pipe. descriptor: its end to read from."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        os.set_blocking(descriptor, False)
        self._tail = b""

    def hear(self) -> bool:
        """Take what is there; False at the end."""
        try:
            data = os.read(self.descriptor, _MOST_PRINTED)
        except BlockingIOError:
            return True
        self._tail = (self._tail + data)[-_MOST_PRINTED:]
        return bool(data)

    def text(self) -> str:
        """All of it that is kept."""
        for _ in range(16):  # what a full pipe may still hold
            self.hear()
        return self._tail.decode("utf-8", "backslashreplace")
