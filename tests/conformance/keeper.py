"""Adopt whatever a command leaves running: `python -I keeper.py COMMAND...`

It says the command's pid on one line, and ends with its standard input. Until then every orphan of the
command's is its child (PR_SET_CHILD_SUBREAPER in prctl(2)), so that nothing can hide by losing its parent.
"""

from __future__ import annotations

import ctypes
import subprocess
import sys

_PR_SET_CHILD_SUBREAPER = 36


def main(*command: str) -> None:
    """Start it, say who it is, stay."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    started = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    print(started.pid, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
