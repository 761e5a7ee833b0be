"""Ctrl-C held back while a step runs that must not be left half-done, and never missed while others are waited for.

Zone: controller. Python raises KeyboardInterrupt between any two instructions of the main thread, also
between starting a thread and remembering it, or between making a folder and noting that it is to be
removed.
"""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from concurrent.futures import Future
    from types import FrameType
    from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
#: Seconds after which a signal is seen at the latest.
_SLICE = 0.2


@contextmanager
def held_back() -> Iterator[None]:
    """Let SIGINT and SIGTERM wait until the block has ended; then their usual handlers run. For
    blocks of milliseconds. In other threads than the main one it does nothing: Python runs no handler
    there."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # None stands for a handler that was not installed from Python, which cannot be put back.
    usual = {each: now for each in _SIGNALS if callable(now := signal.getsignal(each))}
    waiting: list[tuple[int, FrameType | None]] = []

    def note(number: int, frame: FrameType | None) -> None:
        waiting.append((number, frame))

    try:
        for each in usual:
            signal.signal(each, note)
        yield
    finally:
        for each, handler in usual.items():
            signal.signal(each, handler)
        for number, frame in waiting:
            usual[signal.Signals(number)](number, frame)


def until_done(running: Collection[Future[Any]]) -> None:
    """Wait until all these have ended, well or not. For the main thread, where a Ctrl-C shall end the wait: CPython misses a
    signal that comes after it last looked for one and before it begins to wait for a lock (Modules/_threadmodule.c,
    acquire_timed), and without a time limit it would wait on."""
    from concurrent.futures import wait  # noqa: PLC0415 - a tool's run needs none of it

    while wait(running, timeout=_SLICE).not_done:
        pass
