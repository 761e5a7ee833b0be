"""Several sources on one command line: what is left early ends, wherever it was."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

from safe_load.cli import run
from safe_load.cli.settings import Settings
from safe_load.core.options import Options
from safe_load.rooms import choice

if TYPE_CHECKING:
    import pytest


class _Backend:
    """What runs in it, or is about to, ends by being stopped alone."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.stopped = threading.Event()

    def warm_up(self, files: object = ()) -> None:
        """Nothing runs yet."""

    def stop(self) -> None:
        self.calls.append("stop")
        self.stopped.set()

    def close(self) -> None:
        self.calls.append("close")


def test_a_load_that_has_not_come_to_its_room_is_ended_too(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = _Backend()
    begun = threading.Event()
    ended = []

    def open_one(*_: object) -> None:
        if not begun.is_set():
            begun.set()
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        ended.append(backend.stopped.wait(30))

    monkeypatch.setattr(choice, "backend_of", lambda *_, **__: backend)
    monkeypatch.setattr(run, "open_one", open_one)
    settings = Settings(Options(), "text", quiet=True, cache=False, color=None, warnings=())
    came = run._open_all(["a", "b"], settings, None)
    assert isinstance(came[-1], KeyboardInterrupt)
    assert ended
    assert all(ended)
    assert backend.calls[0] == "stop"
    assert backend.calls[-1] == "close"
