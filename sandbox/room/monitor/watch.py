"""The watch on time, memory and number of tasks of everything inside.

rlimits bound each process; this bounds the tree. Shared memory is counted where it is mapped, which
is enough because the seccomp profile refuses the ways to hold it unmapped. Of the kernel's own
memory, what a program can make large is counted: page tables, and the queues of sockets.
"""

from __future__ import annotations

import os
import re
import time
from typing import TYPE_CHECKING

from safe_load.sandbox.room.process_tree import PROC

if TYPE_CHECKING:
    from safe_load.sandbox.protocol import Limits
    from safe_load.sandbox.room.process_tree import ProcessTree

_INTERVAL_S = 0.025
SPARE_TASKS = 16
_FIELDS = re.compile(rb"^(RssAnon|RssShmem|VmPTE|Threads):\s+(\d+)", re.MULTILINE)
#: gVisor's kernel tells one number for a process: pages of files count there as well.
_WHOLE = re.compile(rb"^(VmRSS|Threads):\s+(\d+)", re.MULTILINE)
_SHARES = re.compile(rb"^Pss_(?:Anon|Shmem):\s+(\d+) kB", re.MULTILINE)
#: How far over the limit, in multiples of it, and with how many processes, a closer look is taken.
_CLOSE, _FEW = 4, 128
_NO_MEMORY = re.compile(rb"^State:\s+[ZX]", re.MULTILINE)
#: What one socket's queue can hold: twice net.core.wmem_max as Linux ships it (socket(7)).
_SOCKET_BYTES = 2 * 212_992


class Watch:
    """Looks at everything inside at most every 25 ms."""

    def __init__(self, processes: ProcessTree, limits: Limits) -> None:
        self._inside = processes
        self._deadline = time.monotonic() + limits.timeout
        self._limits = limits
        self._next = 0.0
        self.peak_memory = 0
        self.peak_tasks = 0
        self._tasks = 0
        self._born = 0

    @property
    def wait_s(self) -> float:
        """How long nothing needs to be looked at."""
        return max(0.0, self._next - time.monotonic())

    def look(self) -> str | None:
        """One sentence when a limit is exceeded."""
        now = time.monotonic()
        if now >= self._deadline:
            return f"time limit: the job timed out after {self._limits.timeout:g} s"
        if now < self._next:
            return None
        others = self._inside.others()
        memory, tasks = self._measure(others)
        excess = self._inside.excess(others)
        self._next = time.monotonic() + _INTERVAL_S
        self._tasks, self._born = tasks, 0
        self.peak_memory = max(self.peak_memory, memory)
        self.peak_tasks = max(self.peak_tasks, tasks)
        # First, as it is exact: what many processes have in common counts as often as there are of them.
        if tasks > self._limits.processes:
            return f"process limit: the job started more than {self._limits.processes} tasks"
        if memory > self._limits.memory:
            return f"memory limit: the job used more than {self._limits.memory >> 20} MiB"
        return excess or self._inside.starved()

    def grant_task(self) -> bool:
        """Whether there may be one task more, counted since the last look. A little above what `look`
        allows: one that runs into its limit shall be seen to."""
        self._born += 1
        return self._tasks + self._born <= self._limits.processes + SPARE_TASKS

    def _measure(self, others: list[int]) -> tuple[int, int]:
        kernel, tasks = self._inside.sockets(others) * _SOCKET_BYTES, 0
        pages: dict[int, int] = {}
        for pid in others:
            try:
                with open(f"{PROC}/{pid}/status", "rb") as file:
                    status = file.read(8192)
            except OSError:  # it ended meanwhile
                continue
            if _NO_MEMORY.search(status):
                # A leader that has left while its threads go on shows no memory: they do.
                status = self._of_a_thread(pid) or status
            fields = _FIELDS if b"\nRssAnon:" in status else _WHOLE
            for name, number in fields.findall(status):
                if name == b"Threads":
                    tasks += int(number)
                elif name == b"VmPTE":
                    kernel += int(number) << 10
                else:
                    pages[pid] = pages.get(pid, 0) + (int(number) << 10)
        memory = kernel + sum(pages.values())
        limit = self._limits.memory
        if limit < memory <= limit * _CLOSE and len(pages) <= _FEW:
            memory = kernel + sum(self._shared_out(pid, size) for pid, size in pages.items())
        return max(memory, self._inside.held()), tasks

    def _shared_out(self, pid: int, size: int) -> int:
        """The process's share of its pages: those that a fork has in common count once for all.

        Slow, and so only asked for when the simple sum is over the limit, but not far over it."""
        try:
            with open(f"{PROC}/{pid}/smaps_rollup", "rb") as file:
                found = _SHARES.findall(file.read(4096))
        except OSError:
            return size
        return sum(int(number) << 10 for number in found) if found else size

    def _of_a_thread(self, pid: int) -> bytes:
        """The status of a thread of a process that still has memory; b"" where none has."""
        folder = f"{PROC}/{pid}/task"
        try:
            for name in os.listdir(folder):
                with open(f"{folder}/{name}/status", "rb") as file:
                    status = file.read(8192)
                if not _NO_MEMORY.search(status):
                    return status
        except OSError:  # it ended meanwhile
            pass
        return b""
