"""The last act of a cell that runs a program: become it. Every wall stands, and is inherited."""

from __future__ import annotations

import os
import signal
import sys
from importlib import import_module
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from safe_load.sandbox.program import Program
    from safe_load.sandbox.room.view import Ends

#: As shells have it: the file is not there, or cannot be executed.
_NOT_FOUND, _NOT_EXECUTABLE = 127, 126
#: What the standard library imports when it is first needed: socket.recv_fds, and reading /proc.
_LATER = ("array", "encodings.ascii", "encodings.latin_1")


def prepare() -> None:
    """Import what the supervisor will need, and let it import nothing more: in the room's root, this
    Python's files may be missing, or a program's own lie where they would be."""
    for name in _LATER:
        import_module(name)
    sys.path.clear()
    sys.path_importer_cache.clear()


def execute(program: Program, ends: Ends) -> NoReturn:
    """Give this process the program's streams and nothing else, and execute it. ends: its outputs are the
    standard streams."""
    for number, given in enumerate(ends.outputs):
        os.dup2(given, number, inheritable=True)
    os.closerange(3, 1 << 20)
    for ignored in (signal.SIGPIPE, signal.SIGXFSZ):  # as Python does, and programs do not expect
        signal.signal(ignored, signal.SIG_DFL)
    os.umask(program.umask)
    code = _NOT_EXECUTABLE
    try:
        os.chdir(program.folder)
        os.execve(program.argv[0], program.argv, program.environment)  # noqa: S606 - what this room is for
    except FileNotFoundError as error:
        code = _NOT_FOUND
        _say(program, error)
    except OSError as error:
        _say(program, error)
    finally:
        os._exit(code)


def _say(program: Program, error: OSError) -> None:
    os.write(2, f"safe-load: {program.argv[0]} cannot be executed: {error.strerror}\n".encode())
