"""The compiled filter means what the profile's JSON says, for every system call there is.

A small interpreter of classic BPF runs the very program that a room installs.
"""

from __future__ import annotations

import errno
import platform
import socket
import struct
from functools import cache
from typing import TYPE_CHECKING

import msgspec
import pytest
from safe_load import profiles
from safe_load.sandbox import policy, protocol
from safe_load.sandbox.containment import Containment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from safe_load.sandbox.containment import Policy

ALLOW, NOTIFY, KILL, ERRNO = 0x7FFF0000, 0x7FC00000, 0x80000000, 0x00050000
TRACE = 0x7FF00000
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
NATIVE = ARCHITECTURES[platform.machine()]
I386 = 0x40000003
X32 = 0x40000000
GARBAGE = 0xDEADBEEF << 32
Registers = tuple[int, int, int, int, int, int]
NONE: Registers = (0, 0, 0, 0, 0, 0)
SENTINEL = 0x123456789ABCDEF
LEVELS = pytest.mark.parametrize("full", [False, True], ids=["standard", "full"])


def run(program: bytes, number: int, args: Registers = NONE, arch: int = NATIVE) -> int:
    """What the filter answers to one call (struct seccomp_data, include/uapi/linux/seccomp.h)."""
    data = struct.pack("=IIQ6Q", number & 0xFFFFFFFF, arch, 0, *args)
    code = list(struct.iter_unpack("=HBBI", program))
    accumulator = at = 0
    for _ in range(len(code) + 1):
        operation, true, false, k = code[at]
        at += 1
        if operation == 0x20:  # BPF_LD | BPF_W | BPF_ABS
            (accumulator,) = struct.unpack_from("=I", data, k)
        elif operation == 0x54:  # BPF_ALU | BPF_AND | BPF_K
            accumulator &= k
        elif operation == 0x05:  # BPF_JMP | BPF_JA
            at += k
        elif operation in (0x15, 0x25, 0x35, 0x45):  # BPF_JMP | JEQ, JGT, JGE, JSET | BPF_K
            holds = {
                0x15: accumulator == k,
                0x25: accumulator > k,
                0x35: accumulator >= k,
                0x45: bool(accumulator & k),
            }[operation]
            at += true if holds else false
        elif operation == 0x06:  # BPF_RET | BPF_K
            return int(k)
        else:
            raise AssertionError(
                f"an instruction that libseccomp did not use before: {operation:#x}"
            )
    raise AssertionError("the program does not end")


@cache
def compiled(full: bool, signals: bool = True) -> Policy:
    return policy.compile_policy(profiles.load("strict"), Containment(signals=signals), full=full)


def holds(argument: profiles.SeccompArgument, args: Registers) -> bool:
    value = args[argument.index]
    if argument.op == "SCMP_CMP_MASKED_EQ":
        return value & argument.value == argument.value_two
    return value == argument.value


def meant(name: str, args: Registers, *, full: bool, signals: bool = True) -> int:
    """What the profile's JSON says about a call."""
    own = ("sendmsg", "read", "write") if full else ("sendmsg",)
    if name in own and args[0] == protocol.CONTROL_DESCRIPTOR:
        return ALLOW
    if name in policy._SIGNALS and not signals:
        return NOTIFY
    for rule in profiles.seccomp("worker").syscalls:
        if name in rule.names and all(holds(argument, args) for argument in rule.args):
            if rule.action == "SCMP_ACT_ERRNO":
                return ERRNO | (rule.errno or errno.EPERM)
            if not full or name in policy._SILENT:
                return ALLOW
    return NOTIFY


def interesting(name: str) -> Iterator[Registers]:
    """Registers on both sides of every condition that the profile has for a call."""
    yield from (NONE, (1,) * 6, (SENTINEL,) * 6, ((1 << 64) - 1,) * 6)
    yield (protocol.CONTROL_DESCRIPTOR, 0, 0, 0, 0, 0)
    for rule in profiles.seccomp("worker").syscalls:
        if name not in rule.names or not rule.args:
            continue
        exact = [0] * 6
        for argument in rule.args:
            exact[argument.index] = (
                argument.value_two if "MASKED" in argument.op else argument.value
            )
        for background in (0, SENTINEL):
            for index in range(6):
                for change in (0, 1, 2, 32, 1 << 31, 1 << 32, GARBAGE):
                    args = [background] * 6
                    for argument in rule.args:
                        args[argument.index] = exact[argument.index]
                    args[index] ^= change
                    yield (args[0], args[1], args[2], args[3], args[4], args[5])


@LEVELS
def test_the_filter_means_what_the_profile_says_for_every_call_and_register(full: bool) -> None:
    program, names = compiled(full).program, compiled(full).names
    assert len(names) > 300
    for number in range(700):
        name = names.get(number, "")
        for args in interesting(name):
            found = run(program, number, args)
            assert found == meant(name, args, full=full), (
                name or number,
                [hex(arg) for arg in args],
            )


def test_where_nothing_can_be_notified_the_same_calls_stop_their_caller() -> None:
    stopped = policy.compile_policy(profiles.load("strict"), Containment(notifies=False))
    for number, name in stopped.names.items():
        for args in interesting(name):
            expected = meant(name, args, full=False)
            expected = TRACE if expected == NOTIFY else expected
            assert run(stopped.program, number, args) == expected, (name, args)


def test_no_child_can_be_made_that_a_tracer_would_not_see() -> None:
    program, names = compiled(full=False).program, compiled(full=False).names
    (clone,) = (number for number, name in names.items() if name == "clone")
    untraced, thread = 0x00800000, 0x003D0F00  # clone(2)
    assert run(program, clone, (thread, 0, 0, 0, 0, 0)) == ALLOW
    assert run(program, clone, (thread | untraced, 0, 0, 0, 0, 0)) == NOTIFY


@LEVELS
def test_where_files_are_the_hosts_each_lock_is_notified_and_nothing_else_of_fcntl(
    full: bool,
) -> None:
    locked = policy.compile_policy(profiles.load("strict"), Containment(locks=False), full=full)
    for number, name in locked.names.items():
        for args in interesting(name):
            expected = meant(name, args, full=full)
            if name == "flock" or (name == "fcntl" and args[1] in (6, 7)):
                expected = NOTIFY
            assert run(locked.program, number, args) == expected, (name, args)


@LEVELS
def test_where_nothing_holds_signals_each_one_is_notified(full: bool) -> None:
    program, names = compiled(full, signals=False).program, compiled(full, signals=False).names
    for number, name in names.items():
        for args in interesting(name):
            assert run(program, number, args) == meant(name, args, full=full, signals=False), name


@LEVELS
def test_for_a_cell_alone_births_and_options_of_ip_are_the_supervisors_to_answer(
    full: bool,
) -> None:
    cell_only = policy.compile_policy(
        profiles.load("strict"), Containment(namespaces=False, tasks=False), full=full
    )
    for number, name in cell_only.names.items():
        for args in interesting(name):
            expected = meant(name, args, full=full)
            ip = name == "setsockopt" and args[1] != socket.SOL_SOCKET
            if name in policy._BIRTHS or name == "getsockname" or ip:
                expected = NOTIFY
            assert run(cell_only.program, number, args) == expected, name


def test_for_a_cell_alone_nothing_is_continued_that_only_namespaces_would_hold() -> None:
    strict = profiles.load("strict")
    cell_only = policy.compile_policy(strict, Containment(namespaces=False))
    usual = policy.compile_policy(strict)
    assert usual.audited - cell_only.audited == set(strict.recording.held_by_namespaces)
    held = {"chmod", "chown", "utimensat", "truncate", "socket", "bind", "listen"}
    assert held <= usual.audited - cell_only.audited


@LEVELS
def test_a_call_that_nobody_knows_is_refused_and_recorded(full: bool) -> None:
    for number in (600, 1000, 0x3FFFFFFF):
        assert run(compiled(full).program, number) == NOTIFY


@LEVELS
def test_a_call_of_another_architecture_kills_the_process(full: bool) -> None:
    others = {I386, *ARCHITECTURES.values(), 0x40000028, 0} - {NATIVE}
    for arch in others:
        for number in (0, 1, 59, 231, 0xFFFFFFFF):
            assert run(compiled(full).program, number, arch=arch) == KILL


@pytest.mark.skipif(platform.machine() != "x86_64", reason="x32 is a numbering of x86-64")
@LEVELS
def test_a_call_in_the_numbering_of_x32_kills_the_process(full: bool) -> None:
    for number in range(600):
        assert run(compiled(full).program, X32 | number) == KILL
    assert run(compiled(full).program, 0xFFFFFFFE) == KILL
    # -1 is what a tracer puts there to skip a call; the kernel then carries nothing out.
    assert run(compiled(full).program, 0xFFFFFFFF) in (KILL, NOTIFY)


CASES = [
    ("a new user namespace", "clone", (0x10000000 | 17, 0, 0, 0, 0, 0), NOTIFY),
    ("a new network namespace among threads' flags", "clone", (0x40000000 | 0x3D0F00, 0, 0, 0, 0, 0), NOTIFY),
    ("a thread", "clone", (0x3D0F00, 0, 0, 0, 0, 0), ALLOW),
    ("a fork", "clone", (0x1200011, 0, 0, 0, 0, 0), ALLOW),
    ("clone3, whose flags cannot be seen", "clone3", (1, 88, 0, 0, 0, 0), ERRNO | errno.ENOSYS),
    ("memory of one's own", "mmap", (0, 4096, 3, 0x22, GARBAGE, 0), ALLOW),
    ("a file's private mapping", "mmap", (0, 4096, 5, 0x02, 3, 0), ALLOW),
    ("a file's shared mapping", "mmap", (0, 4096, 3, 0x01, 3, 0), ALLOW),
    ("shared memory of nobody", "mmap", (0, 4096, 3, 0x21, GARBAGE, 0), NOTIFY),
    ("the same with MAP_SHARED_VALIDATE", "mmap", (0, 4096, 3, 0x23, GARBAGE, 0), NOTIFY),
    ("a pair of unix sockets", "socketpair", (1, 1, 0, 0, 0, 0), ALLOW),
    ("a pair of another family", "socketpair", (2, 1, 0, 0, 0, 0), NOTIFY),
    ("reading a limit", "prlimit64", (0, 7, 0, 1, 0, 0), ALLOW),
    ("setting a limit", "prlimit64", (0, 7, 1, 0, 0, 0), NOTIFY),
    ("PR_SET_DUMPABLE", "prctl", (4, 0, 0, 0, 0, 0), NOTIFY),
    ("PR_SET_NAME", "prctl", (15, 1, 0, 0, 0, 0), ALLOW),
    ("TCGETS", "ioctl", (0, 0x5401, 0, 0, 0, 0), ALLOW),
    ("TIOCSTI", "ioctl", (0, 0x5412, 0, 0, 0, 0), NOTIFY),
    ("TIOCLINUX", "ioctl", (0, 0x541C, 0, 0, 0, 0), NOTIFY),
    ("a larger queue", "setsockopt", (3, 1, 7, 0, 0, 0), NOTIFY),
    ("a program", "execve", NONE, NOTIFY),
    ("a program by descriptor", "execveat", NONE, NOTIFY),
    ("an open", "openat", NONE, NOTIFY),
    ("a socket", "socket", NONE, NOTIFY),
    ("a look into another process", "process_vm_readv", NONE, NOTIFY),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "args", "answer"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_the_filter_decides_as_the_design_says(name: str, args: Registers, answer: int) -> None:
    numbers = {each: number for number, each in compiled(False).names.items()}
    assert run(compiled(False).program, numbers[name], args) == answer


def test_nothing_that_waits_is_notified_at_any_level() -> None:
    numbers = {name: number for number, name in compiled(True).names.items()}
    for name in (
        "close",
        "futex",
        "wait4",
        "waitid",
        "poll",
        "ppoll",
        "epoll_wait",
        "nanosleep",
        "rt_sigreturn",
    ):
        if name in numbers:
            assert run(compiled(True).program, numbers[name]) == ALLOW, name


def test_the_program_is_one_that_the_kernel_takes() -> None:
    for full in (False, True):
        program = compiled(full).program
        assert len(program) % 8 == 0
        assert 0 < len(program) // 8 <= 4096  # BPF_MAXINSNS


def test_every_errno_and_every_name_of_the_profile_is_known() -> None:
    profile = profiles.load("strict")
    known = set(compiled(False).names.values())
    foreign = {"open", "creat", "unlink", "rename", "link", "symlink", "mkdir", "rmdir", "mknod", "chmod", "chown", "lchown", "utime", "utimes", "futimesat"}  # fmt: skip
    named = {*profile.recording.audited, *profile.recording.errno}
    assert named - known - (foreign if platform.machine() == "aarch64" else set()) == set()
    assert compiled(False).errnos["execve"] == errno.EACCES


def test_what_is_told_is_never_allowed_silently() -> None:
    allowed = {
        name
        for rule in profiles.seccomp("worker").syscalls
        if rule.action == "SCMP_ACT_ALLOW" and not rule.args
        for name in rule.names
    }
    assert allowed & set(profiles.load("strict").recording.audited) == set()
    assert allowed & set(profiles.load("strict").recording.errno) == set()


def test_an_errno_that_does_not_exist_is_said_so() -> None:
    strict = profiles.load("strict")
    recording = msgspec.structs.replace(strict.recording, errno={"execve": "EVERYTHING"})
    broken = msgspec.structs.replace(strict, recording=recording)
    with pytest.raises(policy.PolicyError, match="'EVERYTHING' is not an errno"):
        policy.compile_policy(broken)
