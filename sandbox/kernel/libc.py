"""libc and raw system calls through ctypes, with errors as OSError."""

from __future__ import annotations

import ctypes
import os
import platform

_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.syscall.restype = ctypes.c_long

# System calls without a wrapper in glibc 2.31 or in Python's os. Numbers from 424 on are the same
# on every architecture (include/uapi/asm-generic/unistd.h); older ones are not.
_OLD_NUMBERS = {
    "x86_64": {
        "pivot_root": 155,
        "seccomp": 317,
        "capset": 126,
        "process_vm_writev": 311,
        "ptrace": 101,
        "inotify_init1": 294,
    },
    "aarch64": {
        "pivot_root": 41,
        "seccomp": 277,
        "capset": 91,
        "process_vm_writev": 271,
        "ptrace": 117,
        "inotify_init1": 26,
    },
}
_NUMBERS = {
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "pidfd_getfd": 438,
    "mount_setattr": 442,
    "landlock_create_ruleset": 444,
    "landlock_add_rule": 445,
    "landlock_restrict_self": 446,
    **_OLD_NUMBERS.get(platform.machine(), {}),
}

CArgument = int | bytes | None | ctypes.Array[ctypes.c_char]


def _fail(what: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{what}: {os.strerror(number)}")


def syscall(name: str, *args: CArgument) -> int:
    """Make the system call of that name. Raises OSError, also on an unknown architecture."""
    number = _NUMBERS.get(name)
    if number is None:
        raise OSError(f"{name}: safe-load does not know this system call on {platform.machine()}")
    # An int argument must fill the register: ctypes passes a bare int as a C int.
    wide = [ctypes.c_long(arg) if isinstance(arg, int) else arg for arg in args]
    result = int(_LIBC.syscall(ctypes.c_long(number), *wide))
    if result < 0:
        raise _fail(name)
    return result


def prctl(option: int, *args: int) -> int:
    """prctl(2). Raises OSError."""
    padded = [ctypes.c_ulong(arg) for arg in (*args, 0, 0, 0, 0)[:4]]
    result = int(_LIBC.prctl(ctypes.c_int(option), *padded))
    if result < 0:
        raise _fail(f"prctl({option})")
    return result


def call(name: str, *args: CArgument) -> int:
    """Call a libc function that returns -1 and sets errno on failure."""
    wide = [ctypes.c_ulong(arg) if isinstance(arg, int) else arg for arg in args]
    result = int(getattr(_LIBC, name)(*wide))
    if result < 0:
        raise _fail(name)
    return result
