"""A tool's standard streams, its signals and the terminal: as if there were no room.

Zone: controller. A pipe, a terminal and a file are handed in as they are. A socket is not: what a room
holds of the host's must lead nowhere else, so its bytes are copied through a pipe.
"""

from __future__ import annotations

import os
import signal
import stat
import termios
from contextlib import contextmanager, suppress
from threading import Thread
from typing import TYPE_CHECKING

from safe_load.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

_PIECE = 64 << 10
#: Passed on to the tool. SIGTSTP stops both.
_PASSED_ON = (
    signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2,
    signal.SIGWINCH, signal.SIGCONT,
)  # fmt: skip
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")


@contextmanager
def handed_in(streams: tuple[int, int, int] = (0, 1, 2)) -> Iterator[tuple[int, int, int]]:
    """Descriptors for the room, of these three of ours. Raises UsageError for what no tool may hold.

    At the end, what was copied through pipes has been copied."""
    given: list[int] = []
    pumps: list[Thread] = []
    try:
        for place, number in enumerate(streams):
            given.append(_given(number, pumps, reads=place == 0))
        yield given[0], given[1], given[2]
    finally:
        for descriptor in given:
            os.close(descriptor)
        for pump in pumps:
            pump.join(1.0)


def _given(number: int, pumps: list[Thread], *, reads: bool) -> int:
    try:
        mode = os.fstat(number).st_mode
    except OSError:  # it is closed
        return os.open(os.devnull, os.O_RDWR)
    if stat.S_ISFIFO(mode) or stat.S_ISREG(mode) or os.isatty(number):
        return os.dup(number)
    if stat.S_ISCHR(mode) and os.fstat(number).st_rdev in _plain_devices():
        return os.dup(number)
    if not stat.S_ISSOCK(mode):
        raise UsageError(
            f"descriptor {number} is neither a pipe, a terminal, a file nor a socket: a tool gets none of the "
            "machine's devices or folders"
        )
    near, far = os.pipe()
    source, target = (number, far) if reads else (near, number)
    pump = Thread(target=_pump, args=(source, target, far if reads else near), daemon=True)
    pump.start()
    if not reads:
        pumps.append(pump)
    return near if reads else far


def _plain_devices() -> set[int]:
    return {os.stat(path).st_rdev for path in _DEVICES if os.path.exists(path)}  # noqa: PTH110, PTH116


def _pump(source: int, target: int, closed: int) -> None:
    with suppress(OSError):
        while data := os.read(source, _PIECE):
            view = memoryview(data)
            while view:
                view = view[os.write(target, view) :]
    with suppress(OSError):
        os.close(closed)


@contextmanager
def signals_passed_on(send: Callable[[int], None]) -> Iterator[None]:
    """Until the end, what this process is sent reaches the tool. send: passes one signal on."""

    def passed(number: int, _frame: FrameType | None) -> None:
        send(number)

    def stopped(_number: int, _frame: FrameType | None) -> None:
        send(signal.SIGSTOP)  # its group is nobody's job: SIGTSTP would not stop it (setpgid(2))
        signal.raise_signal(signal.SIGSTOP)

    before = {number: signal.signal(number, passed) for number in _PASSED_ON}
    before[signal.SIGTSTP] = signal.signal(signal.SIGTSTP, stopped)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)


@contextmanager
def terminal_restored() -> Iterator[None]:
    """Whatever modes a tool leaves the terminal in, they are as before at the end."""
    found = []
    for number in (0, 1, 2):
        with suppress(termios.error, OSError):
            found.append((number, termios.tcgetattr(number)))
    try:
        yield
    finally:
        for number, modes in found:
            with suppress(termios.error, OSError):
                termios.tcsetattr(number, termios.TCSADRAIN, modes)
