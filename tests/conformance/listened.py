"""Run a command whose system calls somebody above listens to: `python -I listened.py FOLDERS COMMAND...`

The kernel allows one listener in a chain of filters (seccomp(2), EBUSY). WSL's init is one where its
network is mirrored.
"""

from __future__ import annotations

import os
import site
import sys
from pathlib import Path


def main(folders: str, *command: str) -> None:
    """Listen, for a call that nobody makes, then become the command."""
    for folder in folders.split(":"):
        site.addsitedir(folder)
    import pyseccomp

    filter_ = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
    filter_.add_rule(pyseccomp.NOTIFY, "swapoff")
    filter_.load()
    for entry in Path("/proc/self/fd").iterdir():
        if entry.is_symlink() and "seccomp" in str(entry.readlink()):
            os.set_inheritable(
                int(entry.name), True
            )  # or it would stop listening with this program
    os.execv(command[0], command)


if __name__ == "__main__":
    main(*sys.argv[1:])
