"""Both ends of the terminal: results to stdout, sentences about what went wrong to stderr."""

from __future__ import annotations

import atexit
import os
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

from safe_load.core.escape import visible

if TYPE_CHECKING:
    from types import FrameType

    from safe_load.render.interface import View

_PIPED_WIDTH = 100
_DEBUG = "SAFE_LOAD_DEBUG"
#: What our own lines hold beyond ASCII.
_SIGNS = {"✓": "+", "✗": "x", "·": "-", "…": "...", "→": "->"}


def end_on_sigterm() -> None:
    """Let the SIGTERM of a CI system unwind like Ctrl-C does, so that nothing is left behind."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    try:
        signal.signal(signal.SIGTERM, interrupt)
    except ValueError:
        # Only the main thread may set handlers; elsewhere the host program owns its signals.
        return


def leave(code: int) -> NoReturn:
    """End the process with that code after a Ctrl-C. sys.exit cannot: once a KeyboardInterrupt has passed
    through exec (dataclasses use it on import), CPython ends itself by SIGINT, although it was caught
    (Python/pythonrun.c, unhandled_keyboard_interrupt)."""
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def end_undisturbed() -> None:
    """All is said and written: a Ctrl-C while the interpreter ends would only change its code."""
    with suppress(ValueError):  # not the main thread: the host program owns its signals
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def view(*, color: bool | None = None, brief: bool = False) -> View:
    """What stdout can show. color: None for "if there is a terminal that knows colours"."""
    import shutil  # noqa: PLC0415 - a tool's run shows no view

    from safe_load.render.interface import View  # noqa: PLC0415

    if color is None:
        color = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
        color = color and not os.environ.get("NO_COLOR")
    width = shutil.get_terminal_size((_PIPED_WIDTH, 24)).columns
    return View(width=width, color=color, brief=brief)


def write(data: bytes) -> None:
    """Write UTF-8 to stdout. A reader that has gone (`| head`) changes nothing about the result."""
    encoding = (getattr(sys.stdout, "encoding", None) or "utf-8").lower()
    if encoding.replace("-", "") != "utf8":
        data = _spelled(data.decode("utf-8"), encoding).encode(encoding, "backslashreplace")
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        reader_left()


def _spelled(text: str, encoding: str) -> str:
    """The text with our own signs as ASCII has them, where the encoding has not got them."""
    for sign, plain in _SIGNS.items():
        try:
            sign.encode(encoding)
        except UnicodeEncodeError:
            text = text.replace(sign, plain)
    return text


def flush() -> None:
    """Push out what is buffered, so that a broken pipe is met here and not while exiting."""
    sys.stdout.flush()


def reader_left() -> int:
    """Nobody reads stdout any more. Returns 141, what a shell reports for SIGPIPE."""
    # The interpreter flushes stdout once more when it exits: give it somewhere to write
    # (docs.python.org/3/library/signal.html, note on SIGPIPE).
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
    return 141


def warn(sentence: str) -> None:
    """Say something on stderr that does not stop the run."""
    print(f"warning: {visible(sentence)}", file=sys.stderr)


def note(sentence: str) -> None:
    """Say on stderr how far a run has come."""
    print(visible(sentence), file=sys.stderr)


def complain(sentence: str, code: int) -> int:
    """Say what went wrong, on one line of stderr. Returns the exit code."""
    print(f"error: {visible(' '.join(sentence.split()))}", file=sys.stderr)
    return code


def tell(error: BaseException) -> int:
    """Explain an exception on stderr. Returns its exit code; 4 for one that nobody planned."""
    from safe_load.core.errors import code_of, sentence  # noqa: PLC0415 (not needed for --help)

    if os.environ.get(_DEBUG):
        _show_traceback(error)
    return complain(sentence(error), code_of(error))


def show_tracebacks() -> None:
    """With SAFE_LOAD_DEBUG=1, show the tracebacks of failures that become a report's outcome."""
    if os.environ.get(_DEBUG):
        import logging  # noqa: PLC0415 (for who looks for a fault of ours)

        class Shown(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                if record.exc_info and record.exc_info[1]:
                    _show_traceback(record.exc_info[1])

        log = logging.getLogger("safe_load")
        log.addHandler(Shown())
        log.setLevel(logging.DEBUG)


def _show_traceback(error: BaseException) -> None:
    import traceback  # noqa: PLC0415

    for line in "".join(traceback.format_exception(error)).splitlines():
        print(visible(line), file=sys.stderr)
