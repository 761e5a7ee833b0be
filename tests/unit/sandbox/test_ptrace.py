"""The tracer answers calls as a listener does, for threads and children too; on the real kernel."""

from __future__ import annotations

import errno
import os
import platform
import select
import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest
from safe_load.sandbox.kernel import process, seccomp
from safe_load.sandbox.kernel.ptrace import Tracer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="the tracer knows x86-64")
MKDIR = 83
_PROGRAM = b"".join(
    operation.to_bytes(2, "little") + bytes((true, false)) + k.to_bytes(4, "little")
    for operation, true, false, k in (
        (0x20, 0, 0, 0),  # the number of the call
        (0x15, 0, 1, MKDIR),
        (0x06, 0, 0, 0x7FF00000),  # SECCOMP_RET_TRACE
        (0x06, 0, 0, 0x7FFF0000),
    )
)


@pytest.fixture(autouse=True)
def _own_signals() -> Iterator[None]:
    before = signal.getsignal(signal.SIGCHLD)
    yield
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, before)


def traced(job: Callable[[], int], answer: Callable[[Tracer, seccomp.Notification], None]) -> int:
    """The exit status of a process that does the job, its mkdir calls answered so."""
    ready, go = os.pipe()
    child = os.fork()
    if child == 0:
        code = 99
        try:
            os.read(ready, 1)
            process.no_new_privileges()
            seccomp.install(_PROGRAM, notified=False)
            code = job()
        finally:
            os._exit(code)
    tracer = Tracer(child)
    os.write(go, b"!")
    poll = select.poll()
    poll.register(tracer.descriptor, select.POLLIN)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        poll.poll(100)
        while (call := tracer.receive()) is not None:
            answer(tracer, call)
        if (status := tracer.ended()) is not None:
            return os.waitstatus_to_exitcode(status)
    os.kill(child, signal.SIGKILL)
    pytest.fail("the traced process did not end")


def made(folder: Path) -> int:
    """The errno of making that folder, 0 when it was made."""
    try:
        folder.mkdir()
    except OSError as error:
        return error.errno or 98
    return 0


def test_a_refused_call_fails_and_is_not_carried_out(tmp_path: Path) -> None:
    folder = tmp_path / "never"
    assert traced(lambda: made(folder), lambda tracer, call: tracer.refuse(call, errno.EDQUOT)) == (
        errno.EDQUOT
    )
    assert not folder.exists()


def test_a_resumed_call_is_carried_out_and_an_emulated_one_is_not(tmp_path: Path) -> None:
    assert traced(lambda: made(tmp_path / "a"), lambda tracer, call: tracer.resume(call)) == 0
    assert traced(lambda: made(tmp_path / "b"), lambda tracer, call: tracer.emulate(call, 0)) == 0
    assert [each.name for each in tmp_path.iterdir()] == ["a"]


def test_a_call_can_be_carried_out_with_what_is_put_below_its_callers_stack(tmp_path: Path) -> None:
    def elsewhere(tracer: Tracer, call: seccomp.Notification) -> None:
        place = tracer.put(call, os.fsencode(tmp_path / "instead") + b"\0")
        tracer.amend(call, {0: place})
        tracer.resume(call)

    assert traced(lambda: made(tmp_path / "asked"), elsewhere) == 0
    assert [each.name for each in tmp_path.iterdir()] == ["instead"]


def test_threads_children_and_orphans_are_traced_from_their_first_call(tmp_path: Path) -> None:
    def job() -> int:
        threads = [threading.Thread(target=made, args=(tmp_path / f"t{n}",)) for n in range(8)]
        for thread in threads:
            thread.start()
        for fork in (os.fork, os.fork):
            if fork() == 0:
                if os.fork() == 0:
                    made(tmp_path / "orphan")
                made(tmp_path / "child")
                os._exit(0)
        for thread in threads:
            thread.join()
        time.sleep(0.3)
        return 7

    callers = []

    def refuse(tracer: Tracer, call: seccomp.Notification) -> None:
        callers.append(call.pid)
        assert call.number == MKDIR
        tracer.refuse(call, errno.EPERM)

    assert traced(job, refuse) == 7
    assert len(callers) == 8 + 2 * 3  # an orphan makes both folders
    assert len(set(callers)) == 8 + 2 * 2
    assert list(tmp_path.iterdir()) == []


def test_signals_reach_who_is_traced_and_a_stopped_one_goes_on_when_it_is_told(
    tmp_path: Path,
) -> None:
    def job() -> int:
        caught = []
        signal.signal(signal.SIGUSR1, lambda *_: caught.append(made(tmp_path / "x")))
        child = os.fork()
        if child == 0:
            os.kill(os.getpid(), signal.SIGSTOP)
            os._exit(made(tmp_path / "y"))
        os.waitpid(child, os.WUNTRACED)
        os.kill(child, signal.SIGCONT)
        _, status = os.waitpid(child, 0)
        os.kill(os.getpid(), signal.SIGUSR1)
        return 5 if caught == [errno.EPERM] and os.WEXITSTATUS(status) == errno.EPERM else 6

    assert traced(job, lambda tracer, call: tracer.refuse(call, errno.EPERM)) == 5


def test_a_caller_that_is_killed_while_it_waits_holds_nothing_up(tmp_path: Path) -> None:
    def job() -> int:
        child = os.fork()
        if child == 0:
            made(tmp_path / "x")
            os._exit(0)
        time.sleep(0.1)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return 3

    def late(tracer: Tracer, call: seccomp.Notification) -> None:
        time.sleep(0.3)
        tracer.refuse(call, errno.EPERM)

    assert traced(job, late) == 3
