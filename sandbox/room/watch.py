"""The watch on time, memory and number of tasks of everything inside.

rlimits bound each process; this bounds the tree. Shared memory is counted where it is mapped, which
is enough because the seccomp profile refuses the ways to hold it unmapped. Of the kernel's own
memory, what a program can make large is counted: page tables, and the queues of sockets.
"""

from __future__ import annotations

import os
import re
import time
from typing import Any

_INTERVAL_S = 0.025
_FIELDS = re.compile(rb"^(RssAnon|RssShmem|VmPTE|Threads):\s+(\d+)", re.MULTILINE)
_SHARES = re.compile(rb"^Pss_(?:Anon|Shmem):\s+(\d+) kB", re.MULTILINE)
#: How far over the limit, in multiples of it, and with how many processes, a closer look is taken.
_CLOSE, _FEW = 4, 128
_NO_MEMORY = re.compile(rb"^State:\s+[ZX]", re.MULTILINE)
_SOCKETS = re.compile(rb"^sockets: used (\d+)")
#: What one socket's queue can hold: twice net.core.wmem_max as Linux ships it (socket(7)).
_SOCKET_BYTES = 2 * 212_992


class Watch:
    """Looks at /proc of the room's own pid namespace at most every 25 ms."""

    def __init__(self, proc: str, limits: dict[str, Any]) -> None:
        self._proc = proc
        self._deadline = time.monotonic() + float(limits["timeout"])
        self._limits = limits
        self._next = 0.0
        self.peak_memory = 0
        self.peak_tasks = 0

    @property
    def wait_s(self) -> float:
        """How long nothing needs to be looked at."""
        return max(0.0, self._next - time.monotonic())

    def look(self) -> str | None:
        """One sentence when a limit is exceeded."""
        now = time.monotonic()
        if now >= self._deadline:
            return f"time limit: it ran for longer than {self._limits['timeout']:g} s"
        if now < self._next:
            return None
        memory, tasks = self._measure()
        self._next = time.monotonic() + _INTERVAL_S
        self.peak_memory = max(self.peak_memory, memory)
        self.peak_tasks = max(self.peak_tasks, tasks)
        if memory > self._limits["memory"]:
            return f"memory limit: it used more than {self._limits['memory'] >> 20} MiB"
        if tasks > self._limits["processes"]:
            return f"process limit: it started more than {self._limits['processes']} tasks"
        return None

    def _measure(self) -> tuple[int, int]:
        kernel, tasks = self._sockets() * _SOCKET_BYTES, 0
        pages: dict[int, int] = {}
        for pid in others(self._proc):
            try:
                with open(f"{self._proc}/{pid}/status", "rb") as file:
                    status = file.read(8192)
            except OSError:  # it ended meanwhile
                continue
            if _NO_MEMORY.search(status):
                # A leader that has left while its threads go on shows no memory: they do.
                status = self._of_a_thread(pid) or status
            for name, number in _FIELDS.findall(status):
                if name == b"Threads":
                    tasks += int(number)
                elif name == b"VmPTE":
                    kernel += int(number) << 10
                else:
                    pages[pid] = pages.get(pid, 0) + (int(number) << 10)
        memory = kernel + sum(pages.values())
        limit = self._limits["memory"]
        if limit < memory <= limit * _CLOSE and len(pages) <= _FEW:
            memory = kernel + sum(self._shared_out(pid, size) for pid, size in pages.items())
        return memory, tasks

    def _shared_out(self, pid: int, size: int) -> int:
        """The process's share of its pages: those that a fork has in common count once for all.

        Slow, and so only asked for when the simple sum is over the limit, but not far over it."""
        try:
            with open(f"{self._proc}/{pid}/smaps_rollup", "rb") as file:
                found = _SHARES.findall(file.read(4096))
        except OSError:
            return size
        return sum(int(number) << 10 for number in found) if found else size

    def _of_a_thread(self, pid: int) -> bytes:
        """The status of a thread of a process that still has memory; b"" where none has."""
        folder = f"{self._proc}/{pid}/task"
        try:
            for name in os.listdir(folder):
                with open(f"{folder}/{name}/status", "rb") as file:
                    status = file.read(8192)
                if not _NO_MEMORY.search(status):
                    return status
        except OSError:  # it ended meanwhile
            pass
        return b""

    def _sockets(self) -> int:
        """The sockets of the room's network namespace, AF_UNIX ones included."""
        try:
            with open(f"{self._proc}/self/net/sockstat", "rb") as file:
                found = _SOCKETS.match(file.read(256))
        except OSError:
            return 0
        return int(found[1]) if found else 0


def others(proc: str) -> list[int]:
    """Every process of the room but the supervisor, which is pid 1."""
    return [int(name) for name in os.listdir(proc) if name.isdecimal() and name != "1"]
