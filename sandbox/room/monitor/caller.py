"""Who made a call, as far as /proc shows it: evidence, of which the thread may take back any part."""

from __future__ import annotations

from dataclasses import dataclass

from safe_load.sandbox.kernel.seccomp import Memory
from safe_load.sandbox.room.process_tree import PROC


@dataclass
class Caller:
    """The thread that made a call, as far as /proc shows it."""

    proc: str
    pid: int
    memory: Memory


def find(task: int) -> Caller | None:
    """Where to read a task's arguments; None when it is gone."""
    try:
        return Caller(PROC, task, Memory(PROC, task))
    except OSError:
        return None


def process_of(task: int) -> int:
    """The process that a thread belongs to: pidfd_open(2) takes no thread before Linux 6.9."""
    with open(f"{PROC}/{task}/status", "rb") as file:
        for line in file:
            if line.startswith(b"Tgid:"):
                return int(line.split()[1])
    return task


def parent_and_name(task: int) -> tuple[int, str]:
    """(parent's pid, name) of a task; (0, "?") when it is gone."""
    try:
        with open(f"{PROC}/{task}/stat", "rb") as file:
            raw = file.read(1024)
    except OSError:
        return 0, "?"
    name, _, rest = raw.partition(b"(")[2].rpartition(b")")
    return int(rest.split()[1]), name.decode("utf-8", "backslashreplace")
