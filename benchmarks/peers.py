"""The scanners of other hands, as their own documentation says to call them, with no network."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.measure import Command

HERE = Path(__file__).resolve().parent
BIN = HERE.parent / "build" / "bench-venv" / "bin"
#: 1 and 2 mean that something was found, or could not be read: that is an answer too.
ANSWERS = frozenset({0, 1, 2, 3, 4})
OFFLINE = {
    "AISBOM_NO_TELEMETRY": "1",
    "AISBOM_OFFLINE": "1",
    "HF_HUB_OFFLINE": "1",
    "PROMPTFOO_DISABLE_TELEMETRY": "1",
}


@dataclass(frozen=True)
class Peer:
    """command: from the program, the source (a file or a folder) and a scratch file."""

    name: str
    command: Callable[[Path, Path, Path], Command]
    files_only: bool = False

    @property
    def program(self) -> Path:
        return BIN / self.name

    @property
    def installed(self) -> bool:
        return self.program.exists()


PEERS = (
    Peer("picklescan", lambda program, source, _: [program, "--path", source]),
    Peer("modelscan", lambda program, source, _: [program, "--path", source]),
    Peer(
        "fickling",
        lambda program, source, scratch: [
            program, "--check-safety", "--json-output", scratch, source,
        ],
        files_only=True,
    ),
    Peer("modelaudit", lambda program, source, _: [program, "scan", "--no-cache", source]),
    # Takes folders alone.
    Peer(
        "aisbom",
        lambda program, source, scratch: [
            program, "scan", "--output", scratch, source if source.is_dir() else source.parent,
        ],
    ),
    Peer("safeloadai", lambda program, source, _: [program, "scan", "--no-input", source]),
)  # fmt: skip


def stay_offline() -> None:
    """Switch off, for all that this process starts, what peers would say to their makers."""
    os.environ.update(OFFLINE)


def pinned() -> str:
    """The versions that peers.txt names."""
    lines = (HERE / "peers.txt").read_text().splitlines()
    return ", ".join(line.replace("==", " ") for line in lines if line and line[0] != "#")
