"""How long a command takes, and how much memory its whole process tree holds at its peak."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

TICK_S = 0.02
"""Time between two looks at the memory of a process tree, in seconds."""


class CommandFailedError(Exception):
    """A measured command did not end with 0. The message holds what it printed."""


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


def seconds(command: list[str | Path]) -> float:
    """Wall time of one run from start to end, in seconds. Raises CommandFailedError."""
    began = time.perf_counter()
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    took = time.perf_counter() - began
    if done.returncode != 0:
        raise CommandFailedError(_complaint(command, done.returncode, done.stdout + done.stderr))
    return took


def memory(command: list[str | Path], log: Path) -> Memory:
    """Peak memory of one run and all that it starts, looked at every TICK_S. Raises CommandFailedError.

    Looking slows the run down, so its time is worth nothing. log: holds what the command prints.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
        peak = Memory(_root=process.pid)
        known = {process.pid}
        while process.poll() is None:
            _look(known, peak)
            time.sleep(TICK_S)
    if process.returncode != 0:
        raise CommandFailedError(_complaint(command, process.returncode, log.read_text()))
    return peak


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
    return sizes[b"Rss:"], sizes[b"Pss:"]


def _maps_torch(pid: int) -> bool:
    try:
        return b"libtorch" in Path(f"/proc/{pid}/maps").read_bytes()
    except OSError:
        return False


def _complaint(command: list[str | Path], code: int, output: str) -> str:
    return f"{' '.join(map(str, command))}\nended with {code}:\n{output[-4000:]}"
