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

from safe_load.sandbox import protocol
from safe_load.sandbox.kernel import landlock, process, seccomp
from safe_load.sandbox.room import programs, root, unnamed
from safe_load.sandbox.room.monitor.watch import SPARE_TASKS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Literal

    from safe_load.sandbox.protocol import Limits, Order, Outcome
    from safe_load.sandbox.room.view import Ends, View

_SLACK = 1 << 30  # memory an interpreter with torch has mapped privately but hardly touches


def main(order: Order, ends: Ends, view: View, sync: socket.socket, *, separated: bool) -> NoReturn:
    """Enter the cell, import what the job needs, close the seccomp wall, run the job, exit.

    sync: to the supervisor; see protocol.Standing. Any failure before the wall is closed is told
    there, and nothing of the model is touched.
    """
    notified = order.containment.notifies
    try:
        sync = _keep_descriptors(ends, sync)
        standing = protocol.Standing(_give_up(order, view, separated=separated))
        function = None
        if order.program is None:
            function = import_job(order.entry, order.preload, view.sys_path, view.package)
        if function is not None and function.__globals__.get(
            "UNNAMED"
        ):  # the job's module says so: a model's code may run
            unnamed.take_names_off()
        if not notified:
            _tell(sync, standing)
            _await(sync, protocol.TRACE_ME)  # the supervisor traces this process from here on
        listener = seccomp.install(order.policy.program, notified=notified)
        listeners = (listener,) if notified else ()
        _tell(sync, standing, *listeners)
        _await(sync, protocol.GO)  # the supervisor holds the listener from here on
        for descriptor in listeners:
            os.close(descriptor)
        sync.close()
    except BaseException as error:  # noqa: BLE001 - whatever it is, the room does not stand
        _tell(sync, protocol.NotStanding(f"{type(error).__name__}: {error}"[:2000]))
        os._exit(1)
    if order.program is not None:
        programs.execute(order.program, ends)
    code = _run(function, view, ends)
    _leave()
    os._exit(code)


def _await(sync: socket.socket, word: bytes) -> None:
    if os.read(sync.fileno(), 1) != word:
        os._exit(1)


def _tell(sync: socket.socket, message: protocol.State, *passed: int) -> None:
    # sendmsg(2) on this descriptor is the one that the filter lets through: nobody answers a
    # notified call before the listener has arrived.
    socket.send_fds(sync, [protocol.write(message)], passed)


def _keep_descriptors(ends: Ends, sync: socket.socket) -> socket.socket:
    """Close all but what the job may have; the line to the supervisor gets the number under which
    the filter knows it."""
    null = os.open("/dev/null", os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(ends.output, 1)
    os.dup2(ends.output, 2)
    control = os.dup2(sync.fileno(), protocol.CONTROL_DESCRIPTOR, inheritable=False)
    kept = sorted({0, 1, 2, control, ends.result, *ends.outputs})
    sync.detach()
    for low, high in zip(kept, [*kept[1:], 1 << 20], strict=True):
        os.closerange(low + 1, high)
    return socket.socket(fileno=control)


def _give_up(order: Order, view: View, *, separated: bool) -> tuple[tuple[str, str], ...]:
    """Every wall but seccomp. Returns (name, detail) of those that stand."""
    limits, holds, prefix = order.limits, order.containment, view.prefix
    os.setsid()
    process.set_name("worker")
    os.umask(0o077)
    os.environ.clear()
    os.environ.update(
        HOME=prefix + root.HOME,
        PATH="/usr/bin:/bin",
        LANG="C.UTF-8",
        TMPDIR=prefix + root.SCRATCH,
        USER=root.USER,
    )
    os.environ.update(order.environment)
    process.bound_capabilities(demanded=holds.namespaces)
    if separated:
        if not holds.namespaces:
            os.setgroups([])
        os.setresgid(view.user, view.user, view.user)
        os.setresuid(view.user, view.user, view.user)
    process.dumpable(on=True)  # the supervisor must be able to read arguments
    process.die_with_parent()
    # Where memory runs out, the kernel takes the worker and what comes from it, and the supervisor lives
    # to tell. Landlock keeps it so.
    process.offer_to_oom_killer()
    process.limit("CORE", 0)
    process.limit("FSIZE", max(order.output_limit, limits.scratch))
    # Below the control descriptor's number: nobody shall take it over.
    process.limit("NOFILE", min(limits.open_files, protocol.CONTROL_DESCRIPTOR))
    if holds.own_user:
        # Tasks of this user in this user namespace. A little above what the watch allows: one that
        # runs into its limit shall be seen to.
        process.limit("NPROC", limits.processes + SPARE_TASKS)
    process.limit("DATA", limits.memory + order.mapped + _SLACK)
    process.limit("MEMLOCK", 0)
    if holds.kernel != "gvisor":  # which cannot set it; the filter refuses mq_open everywhere
        process.limit("MSGQUEUE", 0)
    process.limit("SIGPENDING", 256)
    process.limit("RTPRIO", 0)
    process.no_new_privileges()
    process.hold_capabilities()
    rules = {
        **view.rules,
        "/dev/null": landlock.READ_FILE | landlock.WRITE_FILE,
        prefix + root.SCRATCH: landlock.SCRATCH,
    }
    walls = [
        ("no-new-privileges", ""),
        ("capabilities", "none in any set" if holds.namespaces else "none"),
        ("limits", _describe(limits)),
    ]
    if holds.kernel != "gvisor":
        version = landlock.restrict(rules, view.identities, order.landlock)
        walls.append(("landlock", landlock.describe(version)))
    os.chdir("/")
    return tuple(walls)


def _describe(limits: Limits) -> str:
    return (
        f"{limits.timeout:g} s, {limits.memory >> 20} MiB memory, "
        f"{limits.processes} tasks, {limits.scratch >> 20} MiB scratch"
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


def import_job(entry: str, preload: Iterable[str], sys_path: Iterable[str], package: str) -> Any:
    """The job's function, with everything it wants imported ahead. package: the folder of safe_load.

    The job's module may have a `prepare()`, called before the preloads, to set the environment."""
    sys.path[:] = sys_path
    sys.argv[:] = [""]
    sys.modules["safe_load"].__path__ = [package]
    module_name, _, function_name = entry.partition(":")
    module = importlib.import_module(module_name)
    if prepare := getattr(module, "prepare", None):
        prepare()
    gc.disable()  # importing torch makes millions of objects that stay: looking at them takes a tenth
    try:
        for name in preload:
            importlib.import_module(name)
    finally:
        gc.enable()
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


def _run(function: Any, view: View, ends: Ends) -> int:
    """Run the job; from its first line on, this process is untrusted. What it says goes down one
    pipe, whose reader bounds it."""
    said: Outcome
    try:
        said = protocol.Returned(function(view.argument, list(ends.outputs)))
    except BaseException as error:  # noqa: BLE001 - SystemExit from a payload included
        said = protocol.Raised(f"{type(error).__name__}: {error}"[:2000], _exhausted(error))
    data = protocol.write(said)
    if view.prefix:  # what the room means by a path, not where it lies
        data = data.replace(json.dumps(view.prefix)[1:-1].encode(), b"")
    left = memoryview(data)
    while left:
        left = left[os.write(ends.result, left) :]
    os.close(ends.result)
    return int(isinstance(said, protocol.Raised))


def _exhausted(error: BaseException) -> Literal["memory", "disk"] | None:
    """Which limit an exception tells of; some are met before the supervisor's watch sees them."""
    if isinstance(error, MemoryError):
        return "memory"
    full = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return "disk" if isinstance(error, OSError) and error.errno in full else None
