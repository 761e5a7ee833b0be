"""Run a command on a kernel that lacks system calls: `python -I without.py FOLDERS CALLS COMMAND...`,
where FOLDERS and CALLS are joined with colons.

An outer seccomp filter answers ENOSYS, as a kernel does that never had the call.
"""

from __future__ import annotations

import errno
import os
import site
import sys


def main(folders: str, calls: str, *command: str) -> None:
    """Install the filter, then become the command."""
    for folder in folders.split(":"):
        site.addsitedir(folder)
    import pyseccomp

    filter_ = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
    for call in calls.split(":"):
        filter_.add_rule(pyseccomp.ERRNO(errno.ENOSYS), call)
    filter_.load()
    os.execv(command[0], command)


if __name__ == "__main__":
    main(*sys.argv[1:])
