"""Ways for a worker to end, and what it leaves behind."""

from __future__ import annotations

import atexit
import os
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


def well(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    return {"said": argument.get("say", "")}


def early(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    """Leave with a good exit status, before anything was said."""
    os._exit(0)


def raising(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    raise ValueError("the model is made of cheese")


def leaving(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    raise SystemExit(0)


def killed(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    os.kill(os.getpid(), argument["signal"])
    time.sleep(30)
    return {}


def late(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    """A payload that waits for the interpreter's exit."""
    atexit.register(lambda: os.execv("/bin/late-payload", ["late-payload", "--steal"]))
    return {}


def sleeping(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    time.sleep(argument.get("seconds", 300))
    return {}


def daemon(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    """Leave a grandchild behind that nobody waits for, deaf to signals, that does its work later."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
                signal.signal(number, signal.SIG_IGN)
            time.sleep(argument.get("after", 0.2))
            with suppress(OSError):
                os.execv("/bin/daemon-payload", ["daemon-payload"])
            time.sleep(300)
        os._exit(0)
    if argument.get("wait"):
        time.sleep(300)
    return {}
