"""From a profile to what the room needs: a BPF program, names of system calls, errnos.

Zone: controller. libseccomp (through pyseccomp) compiles; the room only installs the bytes.
"""

from __future__ import annotations

import errno
import json
import os
import platform
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from safe_load.sandbox.kernel import libseccomp

if TYPE_CHECKING:
    from safe_load.profiles import Profile, SeccompArgument

_LAST_SYSTEM_CALL = 600
#: Never notified, at any level. Answering a call that waits, or that others wait for, turns signals
#: into EINTR and pipelines into hangs (seccomp_unotify(2)); these say nothing about intent anyway.
_SILENT = frozenset(
    "close close_range fork vfork clone wait4 waitid exit exit_group futex futex_waitv rt_sigaction "
    "rt_sigprocmask rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigpending sigaltstack restart_syscall "
    "pause poll ppoll select pselect6 epoll_wait epoll_pwait epoll_pwait2 nanosleep clock_nanosleep "
    "set_robust_list set_tid_address rseq sched_yield recvfrom recvmsg recvmmsg clone3".split()
)
#: Calls that send a signal to whomever a register names.
_SIGNALS = frozenset(("kill", "tkill", "tgkill", "rt_sigqueueinfo"))
#: Calls that make a process or a thread.
_BIRTHS = frozenset(("clone", "fork", "vfork"))
#: The worker's line to the supervisor has this number while the filter is installed: its reads and
#: writes come before anyone could answer for them.
CONTROL_DESCRIPTOR = 1000
_CONTAINER = "container"
_OCI_ARCHITECTURES = {"x86_64": "SCMP_ARCH_X86_64", "aarch64": "SCMP_ARCH_AARCH64"}


class PolicyError(Exception):
    """The profile's seccomp rules cannot be compiled on this machine."""


@dataclass(frozen=True)
class Policy:
    """program: struct sock_filter[]; names: number -> name of every system call libseccomp knows;
    telling: names that are recorded and continued; errnos: name -> errno of a refused call;
    traced: at level "full", what is notified only to be traced: name -> alternatives, each a list of
    (register, mask, value) that must all hold; stopped: a refused call stops its caller for a
    tracer, instead of notifying a listener."""

    program: bytes
    names: dict[int, str]
    telling: frozenset[str]
    errnos: dict[str, int]
    traced: dict[str, list[list[tuple[int, int, int]]]]
    stopped: bool = False


def compile_policy(
    profile: Profile,
    *,
    full: bool = False,
    stopped: bool = False,
    alone: bool = False,
    signals: bool = True,
    births: bool = True,
) -> Policy:
    """Compile the profile's seccomp rules for this machine's architecture. full: notify all that
    can safely be notified; stopped: for a tracer in a listener's place; alone: for a room without
    namespaces; signals: whether something holds those that a worker sends: otherwise they are
    notified, and only those to oneself go through; births: whether something bounds the number of tasks
    but the supervisor: otherwise it is asked for each. Raises PolicyError."""
    from safe_load.profiles import seccomp  # noqa: PLC0415 - keeps msgspec out of --help

    machine = platform.machine()
    rules = seccomp(profile.seccomp)
    if _OCI_ARCHITECTURES.get(machine) not in rules.architectures:
        raise PolicyError(f"the seccomp profile {profile.seccomp} has no rules for {machine}")
    try:
        pyseccomp = libseccomp.load()
    except (ImportError, OSError) as error:
        raise PolicyError(
            f"libseccomp cannot be loaded ({error}); install it, e.g. apt-get install libseccomp2"
        ) from error

    names = _system_calls(pyseccomp)
    numbers = {name: number for number, name in names.items()}
    try:
        compiler = pyseccomp.SyscallFilter(pyseccomp.TRACE(0) if stopped else pyseccomp.NOTIFY)
    except OSError as error:
        raise PolicyError(
            f"this kernel or this libseccomp has no seccomp notifications ({error}): Linux 5.19 and "
            "libseccomp 2.5 have them"
        ) from error
    # Another architecture (i386, x32) means another numbering: no rule here fits it.
    compiler.set_attr(pyseccomp.Attr.ACT_BADARCH, pyseccomp.KILL_PROCESS)
    traced: dict[str, list[list[tuple[int, int, int]]]] = {}
    # The worker hands its listener over; no other descriptor of its can have this number.
    line = pyseccomp.Arg(0, pyseccomp.EQ, CONTROL_DESCRIPTOR)
    compiler.add_rule_exactly(pyseccomp.ALLOW, "sendmsg", line)
    for rule in rules.syscalls:
        action = (
            pyseccomp.ALLOW
            if rule.action == "SCMP_ACT_ALLOW"
            else pyseccomp.ERRNO(rule.errno or errno.EPERM)
        )
        conditions = [_condition(pyseccomp, argument) for argument in rule.args]
        for name in rule.names:
            # A name that this libseccomp or architecture lacks stays with the default: refused.
            if name not in numbers or (name in _SIGNALS and not signals):
                continue
            if name in _BIRTHS and not births:
                continue
            if alone and name == "getsockname":
                continue  # of a pair it tells nothing that a program expects: the supervisor answers
            if alone and name == "setsockopt" and rule.args[0].value != socket.SOL_SOCKET:
                continue  # a pair in a socket's place has no such option: the supervisor answers
            if full and rule.action == "SCMP_ACT_ALLOW" and name not in _SILENT:
                traced.setdefault(name, []).append([_bits(argument) for argument in rule.args])
            else:
                compiler.add_rule_exactly(action, name, *conditions)
    if full:
        for name in ("read", "write"):
            compiler.add_rule_exactly(pyseccomp.ALLOW, name, line)
    with open(os.memfd_create("policy"), "w+b") as file:
        compiler.export_bpf(file)
        file.seek(0)
        program = file.read(1 << 20)
    return Policy(
        program=program,
        names=names,
        telling=_telling(profile, alone=alone) | (frozenset() if signals else _SIGNALS),
        errnos={name: _errno(profile, code) for name, code in profile.recording.errno.items()},
        traced=traced,
        stopped=stopped,
    )


def container_filter(profile: Profile) -> str:
    """The profile that an engine installs on a whole container, as JSON.

    It allows what the worker's filter allows, and what the supervisor and the cell need. For the rest
    its action is TRACE and not ERRNO: without a tracer that is ENOSYS, for the supervisor too; and in
    the worker, whose own filter says NOTIFY, which beats TRACE but not ERRNO (seccomp(2)), the call is
    recorded and refused as in any other room. Raises PolicyError.
    """
    from safe_load.profiles import seccomp  # noqa: PLC0415 - keeps msgspec out of --help

    worker, besides = seccomp(profile.seccomp), seccomp(_CONTAINER)
    machine = _OCI_ARCHITECTURES.get(platform.machine())
    if machine not in worker.architectures or machine not in besides.architectures:
        raise PolicyError(f"the seccomp profiles have no rules for {platform.machine()}")
    whole = {name for rule in besides.syscalls if not rule.args for name in rule.names}
    rules = [
        {
            "names": names,
            "action": rule.action,
            "args": [
                {"index": a.index, "value": a.value, "valueTwo": a.value_two, "op": a.op}
                for a in rule.args
            ],
        }
        for rule in (*besides.syscalls, *worker.syscalls)
        if rule.action == "SCMP_ACT_ALLOW"
        and (names := [name for name in rule.names if not rule.args or name not in whole])
    ]
    return json.dumps(
        {"defaultAction": besides.default, "architectures": [machine], "syscalls": rules}
    )


def _telling(profile: Profile, *, alone: bool) -> frozenset[str]:
    recording = profile.recording
    return frozenset(recording.telling) - frozenset(recording.held_by_namespaces if alone else ())


def _bits(argument: SeccompArgument) -> tuple[int, int, int]:
    """(register, mask, value) of a condition."""
    if argument.op == "SCMP_CMP_MASKED_EQ":
        return argument.index, argument.value, argument.value_two
    return argument.index, (1 << 64) - 1, argument.value


def _condition(pyseccomp: Any, argument: SeccompArgument) -> Any:
    operator = getattr(pyseccomp, argument.op.removeprefix("SCMP_CMP_"))
    if argument.op == "SCMP_CMP_MASKED_EQ":
        return pyseccomp.Arg(argument.index, operator, argument.value, argument.value_two)
    return pyseccomp.Arg(argument.index, operator, argument.value)


def _system_calls(pyseccomp: Any) -> dict[int, str]:
    found: dict[int, str] = {}
    for number in range(_LAST_SYSTEM_CALL):
        try:
            name = pyseccomp.resolve_syscall(pyseccomp.system_arch(), number)
        except (ValueError, OSError):
            continue
        found[number] = os.fsdecode(name)
    return found


def _errno(profile: Profile, code: str) -> int:
    value = getattr(errno, code, None)
    if not isinstance(value, int):
        raise PolicyError(f"profile {profile.name}: recording.errno: {code!r} is no errno")
    return value
