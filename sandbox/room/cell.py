"""The innermost wall, round the worker: everything one process can give up, in one function.

Runs in the worker's process, still trusted, single-threaded, before any byte of a model is near.
"""

from __future__ import annotations

import atexit
import errno
import gc
import importlib
import io
import json
import os
import socket
import sys
import threading
import weakref
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from safe_load.sandbox.kernel import landlock, process, seccomp
from safe_load.sandbox.room import root
from safe_load.sandbox.room.watch import SPARE_TASKS

if TYPE_CHECKING:
    from collections.abc import Callable

_READABLE = ("/etc", "/dev/random", "/dev/urandom", "/home", "/usr", "/bin", "/lib")
_SLACK = 1 << 30  # memory an interpreter with torch has mapped privately but hardly touches


def main(spec: dict[str, Any], sync: socket.socket, *, separated: bool) -> NoReturn:
    """Enter the cell, import what the job needs, close the seccomp wall, run the job, exit.

    sync: to the supervisor; one line of JSON each way per step. Any failure before the wall is
    closed is told there, and nothing of the model is touched.
    """
    try:
        sync = _keep_descriptors(spec, sync)
        walls = _give_up(spec, separated=separated)
        function = import_job(spec)
        if spec["stopped"]:
            _tell(sync, walls=walls)
            _await(sync, b"?")  # the supervisor traces this process from here on
        listener = seccomp.install(bytes.fromhex(spec["program"]), notified=not spec["stopped"])
        listeners = () if spec["stopped"] else (listener,)
        _tell(sync, *listeners, walls=walls)
        _await(sync, b"!")  # the supervisor holds the listener from here on
        for descriptor in listeners:
            os.close(descriptor)
        sync.close()
    except BaseException as error:  # noqa: BLE001 - whatever it is, the room does not stand
        _tell(sync, error=f"{type(error).__name__}: {error}"[:2000])
        os._exit(1)
    code = _run(function, spec)
    _leave()
    os._exit(code)


def _await(sync: socket.socket, word: bytes) -> None:
    if os.read(sync.fileno(), 1) != word:
        os._exit(1)


def _tell(sync: socket.socket, *passed: int, **message: Any) -> None:
    # sendmsg(2) on this descriptor is the one that the filter lets through: nobody answers a
    # notified call before the listener has arrived.
    socket.send_fds(sync, [json.dumps(message).encode()], passed)


def _keep_descriptors(spec: dict[str, Any], sync: socket.socket) -> socket.socket:
    """Close all but what the job may have; the line to the supervisor gets the number under which
    the filter knows it."""
    null = os.open("/dev/null", os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(spec["output"], 1)
    os.dup2(spec["output"], 2)
    control = os.dup2(sync.fileno(), spec["control"], inheritable=False)
    kept = sorted({0, 1, 2, control, spec["result"], *spec["outputs"]})
    sync.detach()
    for low, high in zip(kept, [*kept[1:], 1 << 20], strict=True):
        os.closerange(low + 1, high)
    return socket.socket(fileno=control)


def _give_up(spec: dict[str, Any], *, separated: bool) -> list[tuple[str, str]]:
    """Every wall but seccomp. Returns (name, detail) of those that stand."""
    os.setsid()
    process.set_name("worker")
    os.umask(0o077)
    os.environ.clear()
    prefix = spec["prefix"]
    os.environ.update(
        HOME=prefix + root.HOME,
        PATH="/usr/bin:/bin",
        LANG="C.UTF-8",
        TMPDIR=prefix + root.SCRATCH,
        USER="user",
    )
    os.environ.update(spec["environment"])
    limits = spec["limits"]
    process.bound_capabilities(demanded=not spec["alone"])
    if separated:
        user = spec["user"]
        if spec["alone"]:
            os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    process.dumpable(on=True)  # the supervisor must be able to read arguments
    process.die_with_parent()
    # Where memory runs out, the kernel takes the worker and what comes from it, and the supervisor lives
    # to tell. Landlock keeps it so.
    process.offer_to_oom_killer()
    process.limit("CORE", 0)
    process.limit("FSIZE", max(spec["output_limit"], limits["scratch"]))
    # Below the control descriptor's number: nobody shall take it over.
    process.limit("NOFILE", min(limits["open_files"], spec["control"]))
    if spec["own_user"]:
        # Tasks of this user in this user namespace. A little above what the watch allows: one that
        # runs into its limit shall be seen to.
        process.limit("NPROC", limits["processes"] + SPARE_TASKS)
    process.limit("DATA", limits["memory"] + spec["mapped"] + _SLACK)
    process.limit("MEMLOCK", 0)
    if spec["kernel"] != "gvisor":  # which cannot set it; the filter refuses mq_open everywhere
        process.limit("MSGQUEUE", 0)
    process.limit("SIGPENDING", 256)
    process.limit("RTPRIO", 0)
    process.no_new_privileges()
    process.hold_capabilities()
    rules: dict[str, int] = spec["rules"] or {
        path: landlock.READ
        for path in (*spec.get("common", _READABLE), *spec["readable"])
        if os.path.exists(path)
    }
    rules["/dev/null"] = landlock.READ_FILE | landlock.WRITE_FILE
    rules[prefix + root.SCRATCH] = landlock.SCRATCH
    walls = [
        ("no-new-privileges", ""),
        ("capabilities", "none" if spec["alone"] else "none in any set"),
        ("limits", _describe(limits)),
    ]
    if spec["kernel"] != "gvisor":
        version = landlock.restrict(rules, spec["identities"], spec["landlock"])
        walls.append(("landlock", landlock.describe(version)))
    os.chdir("/")
    return walls


def _describe(limits: dict[str, Any]) -> str:
    return (
        f"{limits['timeout']:g} s, {limits['memory'] >> 20} MiB memory, "
        f"{limits['processes']} tasks, {limits['scratch'] >> 20} MiB scratch"
    )


def _leave() -> None:
    """Give what was left for the interpreter's exit its chance, and be seen: threads, atexit, and
    __del__ of every object that came with the job (what was there before is frozen, see import_job).

    The interpreter's own exit would do the same, and take torch apart besides: half a second.
    """
    steps: list[Callable[[], object]] = [threading._shutdown, atexit._run_exitfuncs, gc.collect]  # type: ignore[attr-defined]
    for step in steps:
        _quietly(step)
    for left in gc.get_objects():
        final = getattr(type(left), "__del__", None)
        if final is not None and not isinstance(left, io.IOBase):
            _quietly(partial(final, left))
    for stream in (sys.stdout, sys.stderr):
        _quietly(stream.flush)


def _quietly(step: Callable[[], object]) -> None:
    try:
        step()
    except BaseException as error:  # noqa: BLE001 - a payload's exit is nobody's business but the record's
        del error


def import_job(spec: dict[str, Any]) -> Any:
    """The job's function, with everything it wants imported ahead.

    The job's module may have a `prepare()`, called before the preloads, to set the environment."""
    sys.path[:] = spec["sys_path"]
    sys.argv[:] = ["worker"]
    package = sys.modules["safe_load"]
    package.__path__ = [spec["package"]]
    module_name, _, function_name = spec["entry"].partition(":")
    module = importlib.import_module(module_name)
    if prepare := getattr(module, "prepare", None):
        prepare()
    for name in spec["preload"]:
        importlib.import_module(name)
    settle()
    return getattr(module, function_name)


def settle() -> None:
    """What is here now is not the job's: its garbage is collected and its end is not waited for.

    Of what torch has registered, taking apart its operators (weakref.finalize) takes 40 ms at exit
    for nothing. What a job registers runs, and so does every other handler that is there already, as
    a payload may have put something of its own behind it."""
    gc.collect()
    gc.freeze()
    for finalizer in tuple(weakref.finalize._registry):  # type: ignore[attr-defined]
        finalizer.atexit = False


def _run(function: Any, spec: dict[str, Any]) -> int:
    """Run the job; from its first line on, this process is untrusted. What it says goes down one
    pipe, whose reader bounds it."""
    try:
        said = {"value": function(spec["argument"], spec["outputs"])}
        code = 0
    except BaseException as error:  # noqa: BLE001 - SystemExit from a payload included
        said = {"raised": f"{type(error).__name__}: {error}"[:2000], "exhausted": _exhausted(error)}
        code = 1
    text = json.dumps(said)
    if spec["prefix"]:  # what the room means by a path, not where it lies
        text = text.replace(json.dumps(spec["prefix"])[1:-1], "")
    view = memoryview(text.encode())
    while view:
        view = view[os.write(spec["result"], view) :]
    os.close(spec["result"])
    return code


def _exhausted(error: BaseException) -> str | None:
    """Which limit an exception tells of; some are met before the supervisor's watch sees them."""
    if isinstance(error, MemoryError):
        return "memory"
    full = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return "disk" if isinstance(error, OSError) and error.errno in full else None
