"""From a profile to what the room needs: a BPF program, names of system calls, errnos.

Zone: controller. libseccomp (through pyseccomp) compiles; the room only installs the bytes.
"""

from __future__ import annotations

import errno
import json
import os
import platform
import socket
from threading import Lock
from typing import TYPE_CHECKING, Any

from safe_load.sandbox import protocol
from safe_load.sandbox.containment import Containment, Policy
from safe_load.sandbox.kernel import libseccomp

if TYPE_CHECKING:
    from safe_load.profiles import Profile, SeccompArgument, SeccompRule

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
_SETLK = 6
_CONTAINER = "container"
#: Of a room in which everything holds.
NAMESPACES = Containment()
_OCI_ARCHITECTURES = {"x86_64": "SCMP_ARCH_X86_64", "aarch64": "SCMP_ARCH_AARCH64"}


class PolicyError(Exception):
    """The profile's seccomp rules cannot be compiled on this machine."""


#: libseccomp keeps state of the whole process while it compiles: two threads at once can end it.
_COMPILING = Lock()


def compile_policy(
    profile: Profile, containment: Containment = NAMESPACES, *, full: bool = False
) -> Policy:
    """Compile the profile's seccomp rules for this machine's architecture.

    Args:
        profile: whose rules.
        containment: what holds in the room. What does not is notified, and the supervisor decides.
        full: notify all that can safely be notified, for the trace of level "full".

    Raises:
        PolicyError: the rules, libseccomp or the kernel do not allow it.
    """
    with _COMPILING:
        return _compile(profile, containment, full=full)


def _compile(profile: Profile, containment: Containment, *, full: bool) -> Policy:
    from safe_load.profiles import seccomp  # noqa: PLC0415 - keeps msgspec out of --help

    machine = platform.machine()
    rules = seccomp(profile.seccomp)
    if _OCI_ARCHITECTURES.get(machine) not in rules.architectures:
        raise PolicyError(f"the seccomp profile {profile.seccomp} has no rules for {machine}")
    try:
        pyseccomp = libseccomp.load()
    except (ImportError, OSError) as error:
        from safe_load.sandbox import hints  # noqa: PLC0415 - imported where they help

        raise PolicyError(hints.libseccomp_needed(error)) from error

    names = _system_calls(pyseccomp)
    numbers = {name: number for number, name in names.items()}
    try:
        compiler = pyseccomp.SyscallFilter(
            pyseccomp.NOTIFY if containment.notifies else pyseccomp.TRACE(0)
        )
    except OSError as error:
        raise PolicyError(
            f"this kernel or this libseccomp has no seccomp notifications ({error}): Linux 5.19 and "
            "libseccomp 2.5 have them"
        ) from error
    # Another architecture (i386, x32) means another numbering: no rule here fits it.
    compiler.set_attr(pyseccomp.Attr.ACT_BADARCH, pyseccomp.KILL_PROCESS)
    traced: dict[str, list[tuple[tuple[int, int, int], ...]]] = {}
    # The worker hands its listener over; no other descriptor of its can have this number.
    line = pyseccomp.Arg(0, pyseccomp.EQ, protocol.CONTROL_DESCRIPTOR)
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
            if name not in numbers or (name in _SIGNALS and not containment.signals):
                continue
            if name in _BIRTHS and not containment.tasks:
                continue
            if not containment.locks and _is_lock(name, rule):
                continue
            if not containment.namespaces and name == "getsockname":
                continue  # of a pair it tells nothing that a program expects: the supervisor answers
            if (
                not containment.namespaces
                and name == "setsockopt"
                and rule.args[0].value != socket.SOL_SOCKET
            ):
                continue  # a pair in a socket's place has no such option: the supervisor answers
            if full and rule.action == "SCMP_ACT_ALLOW" and name not in _SILENT:
                traced.setdefault(name, []).append(tuple(map(_bits, rule.args)))
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
        audited=_audited(profile, containment),
        errnos={name: _errno(profile, code) for name, code in profile.recording.errno.items()},
        traced={name: tuple(alternatives) for name, alternatives in traced.items()},
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


def _audited(profile: Profile, containment: Containment) -> frozenset[str]:
    audited = frozenset(profile.recording.audited)
    if not containment.namespaces:
        audited -= frozenset(profile.recording.held_by_namespaces)
    return audited if containment.signals else audited | _SIGNALS


def _is_lock(name: str, rule: SeccompRule) -> bool:
    """Whether a rule allows to lock files: flock(2), and F_SETLK and F_SETLKW of fcntl(2)."""
    return name == "flock" or (name == "fcntl" and rule.args[0].value_two == _SETLK)


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
        raise PolicyError(f"profile {profile.name}: recording.errno: {code!r} is not an errno")
    return value
