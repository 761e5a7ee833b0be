"""How long something takes, and how much memory its whole process tree holds at its peak."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

TICK_S = 0.02
"""Time between two looks at the memory of a process tree, in seconds."""
TIMEOUT_S = 300.0
"""What a command may take, in seconds."""

Command = list[str | Path]


class CommandFailedError(Exception):
    """A measured command did not end as it should, or not in time. The message holds what it printed."""


@dataclass
class Memory:
    """What a process tree held at most, in bytes.

    tree: the largest sum of all proportional shares (PSS). without_torch: the largest resident size
    of a started process that never had torch's library mapped. exact: every process could be asked;
    if not, resident size stood in for PSS, and `tree` is an upper bound.
    """

    tree: int = 0
    exact: bool = True
    _resident: dict[int, int] = field(default_factory=dict)
    _with_torch: set[int] = field(default_factory=set)
    _root: int = 0

    @property
    def without_torch(self) -> int:
        others = self._resident.keys() - self._with_torch - {self._root}
        return max((self._resident[pid] for pid in others), default=0)


@dataclass(frozen=True)
class Run:
    """One run of a command. seconds: wall time from start to end; cpu: processor seconds of it and of all
    that it started, in user and kernel mode."""

    seconds: float
    cpu: float
    code: int


def run(
    command: Command, good: frozenset[int] = frozenset({0}), weigh: Memory | None = None
) -> Run:
    """Run a command to its end. Raises CommandFailedError when its exit code is not in `good`.

    weigh: takes the peak memory. Looking slows the run down, so its time is then worth little.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        if weigh is None:
            output = process.communicate(timeout=TIMEOUT_S)[0]
        else:
            with weighing(process.pid, weigh):
                output = process.communicate(timeout=TIMEOUT_S)[0]
    except subprocess.TimeoutExpired:
        raise CommandFailedError(f"took more than {TIMEOUT_S:.0f} s") from None
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    took = time.perf_counter() - began
    if process.returncode not in good:
        said = output.decode(errors="replace")[-4000:]
        shown = " ".join(map(str, command))
        raise CommandFailedError(f"ended with {process.returncode}\n{shown}\n{said}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return Run(took, cpu, process.returncode)


@contextmanager
def weighing(root: int, peak: Memory) -> Iterator[None]:
    """Within the block, look at the process `root` and all that it starts every TICK_S."""
    peak._root = root
    known, done = {root}, threading.Event()

    def watch() -> None:
        while not done.is_set():
            _look(known, peak)
            done.wait(TICK_S)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def _look(known: set[int], peak: Memory) -> None:
    """Add to `known` what its members have started, and to `peak` what all of them hold now."""
    parents = _parents()
    while born := {pid for pid, parent in parents.items() if parent in known} - known:
        known |= born
    total = 0
    for pid in known & parents.keys():
        resident, share = _held(pid)
        peak.exact &= share is not None
        total += resident if share is None else share
        peak._resident[pid] = max(resident, peak._resident.get(pid, 0))
        if pid not in peak._with_torch and _maps_torch(pid):
            peak._with_torch.add(pid)
    peak.tree = max(peak.tree, total)


def _parents() -> dict[int, int]:
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_bytes()
            except OSError:  # gone since the folder was listed
                continue
            # proc(5): "pid (comm) state ppid ..."; comm may itself hold spaces and parentheses.
            parents[int(entry.name)] = int(stat[stat.rindex(b")") + 1 :].split()[1])
    return parents


def _held(pid: int) -> tuple[int, int | None]:
    """Bytes resident, and the proportional share of them. (0, 0) when the process has ended.

    An undumpable process shows smaps_rollup to root alone, statm to all: then the share is None.
    """
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_bytes().splitlines()
    except PermissionError:
        try:
            return int(Path(f"/proc/{pid}/statm").read_bytes().split()[1]) * 4096, None
        except OSError:
            return 0, 0
    except OSError:
        return 0, 0
    sizes = {line.split()[0]: int(line.split()[1]) * 1024 for line in lines[1:]}
    return sizes.get(b"Rss:", 0), sizes.get(b"Pss:", 0)


def _maps_torch(pid: int) -> bool:
    try:
        return b"libtorch" in Path(f"/proc/{pid}/maps").read_bytes()
    except OSError:
        return False
