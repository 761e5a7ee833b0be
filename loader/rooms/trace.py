"""The call-by-call trace of --record full: JSON lines in a file, as the supervisor says them.

Zone: controller. The lines are hostile in content and bounded in number by the supervisor; nothing
here reads them.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING

from safe_load.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from safe_load.core.options import Options


@contextmanager
def opened(source: str, options: Options) -> Iterator[Callable[[bytes], None] | None]:
    """A function that appends one line to the options' trace file; None when none is wanted.

    Safe to call from both rooms' threads. Raises UsageError when the file cannot be written.
    """
    if options.record != "full" or options.trace is None:
        yield None
        return
    try:
        file = options.trace.open("ab")
    except OSError as error:
        raise UsageError(f"{options.trace} cannot be written: {error.strerror}") from error
    lock = Lock()
    with file:
        file.write(json.dumps({"kind": "source", "source": source}).encode() + b"\n")

        def line(data: bytes) -> None:
            with lock:
                file.write(data + b"\n")

        yield line
