"""The stages of one load: how long each took, and the progress that a watcher is told.

Zone: controller. May be used from several threads.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from safe_load.core.options import Progress
from safe_load.core.report import Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from safe_load.core.options import Stage as Name


class Stages:
    """watcher: called with each step, from whichever thread takes it. done: the stages that ended."""

    def __init__(self, watcher: Callable[[Progress], None] | None = None) -> None:
        self.done: list[Stage] = []
        self._watcher = watcher

    def tell(self, progress: Progress) -> None:
        """Pass one step on to the watcher."""
        if self._watcher is not None:
            self._watcher(progress)

    @contextmanager
    def timed(self, name: Name) -> Iterator[None]:
        """Time the block as one stage, and tell its start and its end."""
        began = time.monotonic()
        self.tell(Progress(name, "start"))
        try:
            yield
        finally:
            self.done.append(Stage(name, round(time.monotonic() - began, 6)))
            self.tell(Progress(name, "end"))
