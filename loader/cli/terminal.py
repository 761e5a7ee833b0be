"""Both ends of the terminal: results to stdout, sentences about what went wrong to stderr."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import traceback
from typing import TYPE_CHECKING

from safe_load.formats.escape import visible
from safe_load.formats.interface import View

if TYPE_CHECKING:
    from types import FrameType

_PIPED_WIDTH = 100


def end_on_sigterm() -> None:
    """Let the SIGTERM of a CI system unwind like Ctrl-C does, so that nothing is left behind."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    try:
        signal.signal(signal.SIGTERM, interrupt)
    except ValueError:
        # Only the main thread may set handlers; elsewhere the host program owns its signals.
        return


def view(*, color: bool | None = None, brief: bool = False) -> View:
    """What stdout can show. color: None for "if there is a terminal that knows colours"."""
    if color is None:
        color = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
        color = color and not os.environ.get("NO_COLOR")
    width = shutil.get_terminal_size((_PIPED_WIDTH, 24)).columns
    return View(width=width, color=color, brief=brief)


def write(data: bytes) -> None:
    """Write UTF-8 to stdout. A reader that has gone (`| head`) changes nothing about the result."""
    encoding = (getattr(sys.stdout, "encoding", None) or "utf-8").lower()
    if encoding.replace("-", "") != "utf8":
        data = data.decode("utf-8").encode(encoding, "backslashreplace")
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        reader_left()


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


def tell(error: Exception) -> int:
    """Explain an exception on stderr. Returns its exit code; 4 for one that nobody planned."""
    from safe_load.errors import SafeLoadError  # noqa: PLC0415 (msgspec, not needed for --help)
    from safe_load.profiles import ProfileError  # noqa: PLC0415

    if os.environ.get("SAFE_LOAD_DEBUG"):
        for line in "".join(traceback.format_exception(error)).splitlines():
            print(visible(line), file=sys.stderr)
    if isinstance(error, SafeLoadError):
        return complain(str(error), error.exit_code)
    if isinstance(error, ProfileError):
        return complain(str(error), 2)
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return complain(
        f"an unexpected failure inside safe-load ({what}); treat the source as not judged. "
        "SAFE_LOAD_DEBUG=1 shows the traceback",
        4,
    )
