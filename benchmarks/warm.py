"""A warm session in a process of its own, to be measured like any other process tree."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from benchmarks.measure import CommandFailedError, Memory, weighing

if TYPE_CHECKING:
    from types import TracebackType

    from benchmarks.measure import Command

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Answer:
    """seconds: of the order alone, the room was warm before; stages: name -> seconds of the report's."""

    seconds: float
    stages: dict[str, float]


class Warm:
    """Use it as a context manager. tiny: a small model that is scanned ahead of each order, so that
    the room is warm. options: of safe_load.Session, and those of warm_session."""

    def __init__(self, tiny: Path, **options: Any) -> None:
        command: Command = [
            sys.executable,
            HERE / "warm_session.py",
            json.dumps(options),
            str(tiny),
        ]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.communicate()

    def order(self, do: str, **details: Any) -> Answer:
        """Have one thing done. Raises CommandFailedError when the session died over it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": do, **details}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise CommandFailedError(f"the warm session died over {do} {details}")
        return Answer(**json.loads(line))

    def weigh(self, peak: Memory, do: str, **details: Any) -> Answer:
        """As `order`; `peak` takes the memory of the session and its rooms meanwhile."""
        with weighing(self._process.pid, peak):
            return self.order(do, **details)
