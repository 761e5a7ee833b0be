"""System calls as a hostile program makes them: raw, with any registers. Runs inside a room."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def scratch(name: str) -> str:
    """A place in the scratch folder."""
    return os.path.join(os.environ["TMPDIR"], name)


LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.syscall.restype = ctypes.c_long

NUMBERS = {
    "x86_64": {
        "openat": 257,
        "connect": 42,
        "sendto": 44,
        "sendmsg": 46,
        "sendmmsg": 307,
        "execve": 59,
        "execveat": 322,
        "clone": 56,
        "clone3": 435,
        "close_range": 436,
        "unshare": 272,
        "setns": 308,
        "ptrace": 101,
        "process_vm_readv": 310,
        "process_vm_writev": 311,
        "prctl": 157,
        "io_uring_setup": 425,
        "bpf": 321,
        "perf_event_open": 298,
        "userfaultfd": 323,
        "keyctl": 250,
        "add_key": 248,
        "memfd_create": 319,
        "mount": 165,
        "chroot": 161,
        "pivot_root": 155,
        "open_tree": 428,
        "fsopen": 430,
        "init_module": 175,
        "kexec_load": 246,
        "seccomp": 317,
        "capset": 126,
        "setuid": 105,
        "pidfd_open": 434,
        "pidfd_getfd": 438,
        "pidfd_send_signal": 424,
        "process_madvise": 440,
        "setpriority": 141,
        "sched_setscheduler": 144,
        "mmap": 9,
        "shmget": 29,
        "memfd_secret": 447,
        "fanotify_init": 300,
        "inotify_init1": 294,
        "name_to_handle_at": 303,
        "open_by_handle_at": 304,
        "socket": 41,
        "prlimit64": 302,
        "landlock_create_ruleset": 444,
        "getpid": 39,
        "mlock": 149,
        "mq_open": 240,
        "bind": 49,
        "sched_setaffinity": 203,
        "tgkill": 234,
        "exit": 60,
    },
    "aarch64": {
        "openat": 56,
        "connect": 203,
        "sendto": 206,
        "sendmsg": 211,
        "sendmmsg": 269,
        "execve": 221,
        "execveat": 281,
        "clone": 220,
        "clone3": 435,
        "close_range": 436,
        "unshare": 97,
        "setns": 268,
        "ptrace": 117,
        "process_vm_readv": 270,
        "process_vm_writev": 271,
        "prctl": 167,
        "io_uring_setup": 425,
        "bpf": 280,
        "perf_event_open": 241,
        "userfaultfd": 282,
        "keyctl": 219,
        "add_key": 217,
        "memfd_create": 279,
        "mount": 40,
        "chroot": 51,
        "pivot_root": 41,
        "open_tree": 428,
        "fsopen": 430,
        "init_module": 105,
        "kexec_load": 104,
        "seccomp": 277,
        "capset": 91,
        "setuid": 146,
        "pidfd_open": 434,
        "pidfd_getfd": 438,
        "pidfd_send_signal": 424,
        "process_madvise": 440,
        "setpriority": 140,
        "sched_setscheduler": 119,
        "mmap": 222,
        "shmget": 194,
        "memfd_secret": 447,
        "fanotify_init": 262,
        "inotify_init1": 26,
        "name_to_handle_at": 264,
        "open_by_handle_at": 265,
        "socket": 198,
        "prlimit64": 261,
        "landlock_create_ruleset": 444,
        "getpid": 172,
        "mlock": 228,
        "mq_open": 180,
        "bind": 200,
        "sched_setaffinity": 122,
        "tgkill": 131,
        "exit": 93,
    },
}[platform.machine()]


def call(name: str | int, *args: Any) -> str:
    """Make one system call: the name of the errno that it met, or "" where it succeeded."""
    number = NUMBERS[name] if isinstance(name, str) else name
    wide = [ctypes.c_ulong(each) if isinstance(each, int) else each for each in args]
    if LIBC.syscall(ctypes.c_long(number), *wide) < 0:
        return errno.errorcode[ctypes.get_errno()]
    return ""


def attempt(action: Callable[[], object]) -> str:
    """The name of the errno that the action met, or "" where it succeeded."""
    try:
        action()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, repr(error))
    return ""


def code(machine_code: bytes) -> Callable[[], int]:
    """A function made of these bytes."""
    import mmap

    page = mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=7)
    page.write(machine_code)
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    function = ctypes.CFUNCTYPE(ctypes.c_long)(address)
    function.page = page  # type: ignore[attr-defined]
    return function
