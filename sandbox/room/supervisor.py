"""Builds the room, starts the worker in its cell, and answers its system calls.

Trusted code inside the walls. It cannot be signalled, traced or read by the worker. Where the room
has a pid namespace it is pid 1 there: when it dies, the kernel kills everything else in the room.
"""

from __future__ import annotations

import errno
import json
import os
import select
import signal
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from safe_load.sandbox.kernel import process
from safe_load.sandbox.kernel.ptrace import Tracer
from safe_load.sandbox.kernel.seccomp import Listener, Memory, Notification
from safe_load.sandbox.room import cell, root
from safe_load.sandbox.room.decode import Caller, arguments, gathered, signed, socket_type
from safe_load.sandbox.room.inside import PROC, Inside
from safe_load.sandbox.room.lead import lead
from safe_load.sandbox.room.pairs import Pairs
from safe_load.sandbox.room.recorder import SIGN_BYTES, Channel, Printed, Recorder
from safe_load.sandbox.room.sinkhole import Sinkhole
from safe_load.sandbox.room.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Callable

_GRACE_S = 1.0  # for what a worker leaves running behind its back
_BATCH = 64  # notifications between two looks at the limits
_IMPORT_S = 300.0
_REACHING = frozenset(("connect", "sendto", "sendmsg", "sendmmsg"))
_PATHS = frozenset(("path", "old", "new", "target"))
_BIRTHS = frozenset(("clone", "fork", "vfork"))
_NEW_NAMESPACES = 0x7E020000  # CLONE_NEW*, as the seccomp profile has it
_CLONE_FILES, _CLONE_THREAD = 0x400, 0x10000  # clone(2)
_SIGNALS = frozenset(("kill", "tkill", "tgkill", "rt_sigqueueinfo"))
_LARGEST_SEND = 64 << 10
_MMSGHDR_LENGTH = 56  # struct mmsghdr: a struct msghdr, then how much of it was sent (sendmmsg(2))
_MESSAGES = ("sendmsg", "sendmmsg")
_OF_PAIRS = ("socket", "setsockopt", "getsockname")
#: Of setsockopt(2): those of a socket of IP, which a pair takes none of.
_LEVELS = (socket.IPPROTO_IP, socket.IPPROTO_TCP, socket.IPPROTO_UDP, socket.IPPROTO_IPV6)
#: Calls that change what a file is and not what it holds.
_OF_SCRATCH = frozenset(
    "chmod fchmodat fchmodat2 chown lchown fchownat utime utimes utimensat futimesat".split()
)
_LISTENABLE = (int(socket.AF_INET), int(socket.AF_INET6))
_KINDS = (int(socket.SOCK_STREAM), int(socket.SOCK_DGRAM))
_PROTOCOLS = (0, socket.IPPROTO_TCP, socket.IPPROTO_UDP)


@dataclass(frozen=True)
class Identity:
    """separated: the worker has a user of its own; outer_pid_namespace: the one that was left;
    kept: the capabilities that the supervisor goes on with.

    They are for reading the memory and the /proc entries of a worker that has another user, and for
    listening where the worker believes to reach a server."""

    separated: bool
    outer_pid_namespace: str
    kept: tuple[int, ...] = (
        process.CAP_SYS_PTRACE,
        process.CAP_DAC_READ_SEARCH,
        process.CAP_NET_BIND_SERVICE,
    )


@dataclass(frozen=True)
class _Diverted:
    """What a redirected call returns: value, or errno if that is not 0. None: what comes of it, for the
    caller carries it out itself, towards where it was led."""

    value: int | None
    number: int = 0
    told: bool = True
    decision: str = "redirected"


class Broken(Exception):
    """The room does not stand; the message says why, for people."""


def main(
    spec: dict[str, Any],
    channel: Channel,
    identity: Identity,
    build: Callable[[], None],
    inside: Inside | None = None,
) -> NoReturn:
    """Build, run, watch, report; then exit, with everything inside dead.

    build: makes the room's network and file system, and may rely on being in all of its namespaces.
    inside: who is in the room; None where that is everybody in this pid namespace.
    """
    inside = inside or Inside()
    recorder = Recorder(channel, spec["stage"], spec["limits"]["events"])
    try:
        for number in (signal.SIGINT, signal.SIGPIPE, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)  # pid 1 ignores what it has no handler for
        process.set_name("supervisor")
        _build(channel, identity, build)
        process.dumpable(on=False)
        ours, theirs = socket.socketpair()
        worker = os.fork()
    except (Broken, OSError) as error:
        recorder.end("broken", str(error))
        os._exit(1)
    if worker == 0:
        os.close(channel.descriptor)
        cell.main(spec, theirs, separated=identity.separated)
    theirs.close()
    _supervise(_Supervision(spec, recorder, channel, worker, ours, inside), spec, identity)


def _supervise(supervision: _Supervision, spec: dict[str, Any], identity: Identity) -> NoReturn:
    code = 1
    recorder, inside = supervision.recorder, supervision.inside
    try:
        # The worker's ends; while they stay open here the controller would not see them close.
        for descriptor in {spec["result"], spec["output"], *spec["outputs"]}:
            os.close(descriptor)
        process.bound_capabilities(*identity.kept, demanded=not spec["alone"])
        process.hold_capabilities(*identity.kept)
        status, reason, watch = supervision.run()
        inside.end()
        usage = os.times()
        recorder.end(
            status,
            reason,
            peak_memory=watch.peak_memory,
            peak_tasks=watch.peak_tasks,
            cpu_s=usage.children_user + usage.children_system,
            output=supervision.printed,
        )
        code = 0
    except (Broken, OSError) as error:
        with suppress(OSError):
            inside.end()
        recorder.end("broken", str(error))
    finally:
        os._exit(code)


def _build(channel: Channel, identity: Identity, build: Callable[[], None]) -> None:
    channel.wall("pid-namespace", os.readlink("/proc/self/ns/pid") != identity.outer_pid_namespace)
    try:
        build()
    except OSError as error:
        raise Broken(f"the room's file system could not be built: {error}") from error


class _Supervision:
    def __init__(
        self,
        spec: dict[str, Any],
        recorder: Recorder,
        channel: Channel,
        worker: int,
        sync: socket.socket,
        inside: Inside,
    ) -> None:
        self._spec = spec
        self.recorder = recorder
        self.inside = inside
        self._channel = channel
        self._worker = worker
        self._sync = sync
        self._names = {int(number): name for number, name in spec["names"].items()}
        self._telling = frozenset(spec["telling"])
        self._errnos: dict[str, int] = spec["errnos"]
        self._traced: dict[str, list[list[tuple[int, int, int]]]] = spec["traced"]
        self._quiet = tuple(spec["quiet"])
        self._watch = Watch(inside, spec["limits"])
        self._poll = select.poll()
        self._printed = Printed(spec["drain"]) if "drain" in spec else None
        self._pairs = Pairs(self._poll, recorder.converse) if spec["alone"] else None
        self._sinkhole: Sinkhole | None = None
        if spec["sinkhole"]:
            self._sinkhole = self._pairs or Sinkhole(
                self._poll, recorder.converse, routed=spec["routed"]
            )
        self._listener: Listener | None = None
        self._tracer: Tracer | None = None

    @property
    def printed(self) -> str | None:
        """The tail of what the worker printed, where the supervisor is who hears it."""
        return self._printed.text() if self._printed else None

    def run(self) -> tuple[str, str, Watch]:
        """Returns the status, the reason and the watch when nothing needs to run any more."""
        listener = self._take_listener()
        self._tracer = listener if isinstance(listener, Tracer) else None
        self._listener = listener if isinstance(listener, Listener) else None
        poll = self._poll
        poll.register(listener.descriptor, select.POLLIN)
        poll.register(0, select.POLLHUP)  # the controller holds the other end
        # The worker's end is told at once, and not only when the watch looks the next time. A tracer
        # is told anyway.
        worker = None if self._tracer else os.pidfd_open(self._worker)
        if worker is not None:
            poll.register(worker, select.POLLIN)
        if self._printed is not None:
            poll.register(self._printed.descriptor, select.POLLIN)
        for descriptor in self.inside.lifelines:
            poll.register(descriptor, select.POLLIN)
        worker_ended: int | None = None
        grace = 0.0
        while True:
            for descriptor, event in poll.poll(self._watch.wait_s * 1000):
                if descriptor == 0:
                    return "interrupted", "the controller let go", self._watch
                if descriptor in self.inside.lifelines:
                    return "broken", self.inside.lifelines[descriptor], self._watch
                if worker is not None and descriptor == worker:
                    poll.unregister(worker)
                elif self._printed is not None and descriptor == self._printed.descriptor:
                    if not self._printed.hear():
                        poll.unregister(descriptor)
                elif descriptor != listener.descriptor:
                    if (hole := self._sinkhole or self._pairs) is not None:
                        hole.ready(descriptor)
                elif event & select.POLLIN:
                    self._answer(listener)
                elif event & select.POLLHUP:
                    poll.unregister(descriptor)  # nobody is left who could make a call
            if (excess := self._watch.look()) is not None:
                return "limit", excess, self._watch
            if self._sinkhole is not None:
                self._sinkhole.tick()
            ended = self._reap()
            if ended is not None:
                worker_ended = ended
                grace = time.monotonic() + _GRACE_S
            if worker_ended is not None:
                alive = self.inside.others()
                if not alive or time.monotonic() > grace:
                    if self._sinkhole is not None:
                        self._sinkhole.tick(final=True)
                    status, reason = _judge(worker_ended)
                    return status, reason, self._watch

    def _take_listener(self) -> Listener | Tracer:
        """Wait until the cell stands; hold its listener; let the worker go."""
        self._sync.settimeout(_IMPORT_S)
        said, passed = _hear(self._sync)
        for name, detail in said["walls"]:
            self._channel.wall(name, stands=True, detail=detail)
        if self._spec["stopped"]:  # it has no filter yet: one without a tracer answers ENOSYS
            listener: Listener | Tracer = Tracer(self._worker)
            self._sync.sendall(b"?")
            _hear(self._sync)
        elif len(passed) == 1:
            listener = Listener(passed[0])
        else:
            raise Broken("the cell did not hand its listener over")
        self._check_posture()
        if self._sinkhole is not None and self._pairs is None and self._spec["kernel"] == "linux":
            # It works on the worker's own sockets.
            pidfd = os.pidfd_open(self._worker)
            os.close(process.getfd(pidfd, 1))
            os.close(pidfd)
        self._channel.wall(
            "seccomp", stands=True, detail=f"{len(self._spec['program']) // 16} instructions"
        )
        self._channel.wall(
            "recorder",
            stands=True,
            detail=_manner(listener),
        )
        if self._spec["signed"]:
            self._channel.sign = self._ask_for_sign()
        missing = [name for name in self._spec["walls"] if name not in self._channel.standing]
        if missing:  # before anything is opened
            raise Broken(f"these walls do not stand: {', '.join(missing)}")
        self._channel.send(kind="sealed", t=time.monotonic(), quiet=self._quiet)
        self._mark()
        self._sync.sendall(b"!")
        self._sync.close()
        return listener

    def _ask_for_sign(self) -> bytes:
        """In a container the stream is a pipe, which gVisor lets the worker open at /proc/1/fd. What the
        supervisor says is known by a word that the controller says when the worker is forked already."""
        self._channel.send(kind="ask")
        sign = b""
        while len(sign) < SIGN_BYTES:
            piece = os.read(0, SIGN_BYTES - len(sign))
            if not piece:
                raise Broken("the controller let go")
            sign += piece
        return sign

    def _mark(self) -> None:
        """Show in the record of whoever watches this container from outside that the walls stand:
        the supervisor opens what is not there."""
        if self._spec["mark"]:
            with suppress(FileNotFoundError):
                os.close(os.open(self._spec["mark"], os.O_RDONLY))

    def _check_posture(self) -> None:
        """Believe the kernel, not the calls that returned: read the worker's state back."""
        with open(f"{PROC}/{self._worker}/status", encoding="ascii", errors="replace") as file:
            status = dict(line.split(":", 1) for line in file.read().splitlines() if ":" in line)
        expected = {"NoNewPrivs": "1", "Seccomp": "2", "Threads": "1"}
        expected |= dict.fromkeys(("CapInh", "CapPrm", "CapEff", "CapAmb"), "0" * 16)
        if not self._spec["alone"]:  # there only root may empty it, and nothing can be executed
            expected["CapBnd"] = "0" * 16
        if self._spec["kernel"] == "gvisor":  # it does not show these
            del expected["NoNewPrivs"], expected["CapAmb"]
        for field, value in expected.items():
            if status.get(field, "").strip() != value:
                raise Broken(
                    f"the worker's {field} is {status.get(field, '?').strip()}, not {value}"
                )

    def _reap(self) -> int | None:
        """Collect the dead; the worker's exit status if it is among them."""
        if self._tracer is not None:
            return self._tracer.ended()
        found = None
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return found
            if pid == 0:
                return found
            if pid == self._worker:
                found = status

    def _answer(self, listener: Listener | Tracer) -> None:
        poll = select.poll()
        poll.register(listener.descriptor, select.POLLIN)
        for _ in range(_BATCH):
            notification = listener.receive()
            if notification is not None:
                self._decide(listener, notification)
            if not poll.poll(0) or self._watch.wait_s == 0:
                return

    def _decide(self, listener: Listener | Tracer, call: Notification) -> None:
        # Opened for each call: a pid that is used again would be read from the memory of the dead.
        caller = _caller(call.pid)
        try:
            self._settle(listener, call, caller)
        finally:
            if caller is not None:
                caller.memory.close()

    def _settle(
        self, listener: Listener | Tracer, call: Notification, caller: Caller | None
    ) -> None:
        name = self._names.get(call.number, f"syscall_{call.number}")
        args = {} if caller is None else self._shown(arguments(name, caller, call.args))
        if not listener.still_waits(call):
            return  # the pid may belong to somebody else by now
        diverted = self._divert(name, call, caller, args) if caller is not None else None
        born = self._spec["alone"] and name in _BIRTHS and self._may_be_born(name, call)
        told = born or (name in self._telling and self._permits(name, call, args))
        traced = not told and self._is_traced(name, call.args)
        allowed = told or traced
        if diverted is not None:
            decision, number = diverted.decision, diverted.number
        elif allowed:
            decision, number = "allowed", 0
        else:
            decision, number = "denied", self._errnos.get(name, errno.EPERM)
            if self._spec["alone"] and name in _BIRTHS and not _makes_namespace(name, call):
                number = errno.EAGAIN
        self.recorder.count(name, decision)
        if caller is None:
            args = {"unreadable": True}
        if self._traced:
            self.recorder.trace(pid=call.pid, syscall=name, args=args, decision=decision)
        quiet = (
            born or (allowed and self._is_ordinary(name, args)) or (diverted and not diverted.told)
        )
        if not (traced or quiet):
            ppid, comm = _who(call.pid)
            self.recorder.tell(
                pid=call.pid,
                ppid=ppid,
                comm=comm,
                syscall=name,
                args=args,
                decision=decision,
                errno=errno.errorcode.get(number) if number else None,
            )
        if number:
            listener.refuse(call, number)
        elif diverted is not None and diverted.value is not None:
            listener.emulate(call, diverted.value)
        else:
            listener.resume(call)

    def _permits(self, name: str, call: Notification, args: dict[str, Any]) -> bool:
        """Whether a telling call is continued."""
        if name in _SIGNALS and self._spec["kernel"] == "gvisor":
            return signed(call.args[0]) not in (1, -1)  # not us, whom it would not spare, nor all
        return _registers_permit(name, call, args)

    def _divert(
        self, name: str, call: Notification, caller: Caller, args: dict[str, Any]
    ) -> _Diverted | None:
        """Carry out a call that reaches out, towards the sinkhole. None: not such a call."""
        target = args.get("to") or args.get("message", {}).get("address")
        if self._pairs is not None and name in _OF_PAIRS:
            return self._pretend(name, call, caller)
        if self._spec["alone"] and name in _OF_SCRATCH and _in_scratch(args.get("path")):
            return _Diverted(0)  # not done, as nothing would hold it to this path
        if self._pairs is not None and name in _MESSAGES and target is None:
            with suppress(OSError):  # of a pair of its own: refused
                target = self._pairs.peer(_process_of(call.pid), signed(call.args[0]))
        if self._sinkhole is None or name not in _REACHING or not isinstance(target, dict):
            return None
        if "port" not in target or "place" in args.get("message", {}):
            return None
        try:
            if self._tracer is not None and self._spec["kernel"] == "gvisor":
                led = lead(self._tracer, self._sinkhole, name, call, caller, args)
                return _Diverted(None) if led else None
            caller_of = _process_of(call.pid)
            with self._sinkhole.held(caller_of, signed(call.args[0])) as (sock, kind):
                args["type"] = socket_type(caller, (kind,), 0)
                where = (target["address"], target["port"])
                if name == "connect":
                    self._sinkhole.redirect(sock, where)
                    return _Diverted(0)
                if name == "sendto":
                    data = caller.memory.read(call.args[1], min(call.args[2], _LARGEST_SEND))
                    return _Diverted(self._sinkhole.send(sock, data, where))
                data = gathered(caller, call.args[1], _LARGEST_SEND)
                sent = self._sinkhole.send(sock, data, where)
        except OSError as error:
            return _Diverted(0, error.errno or errno.ECONNREFUSED)
        if name == "sendmsg":
            return _Diverted(sent)
        caller.memory.write(call.args[1] + _MMSGHDR_LENGTH, sent.to_bytes(4, "little"))
        return _Diverted(1)  # of several messages, one: the caller sends the rest itself

    def _pretend(self, name: str, call: Notification, caller: Caller) -> _Diverted | None:
        """Give the worker the end of a pair where it asks for a socket, let it set what a pair has no
        options for, and tell it an address of the family that it asked for: glibc aborts otherwise."""
        if name == "getsockname":
            return self._tell_own_address(call, caller)
        if name == "setsockopt":
            level = call.args[1] & 0xFFFFFFFF
            return _Diverted(0, told=False) if level in _LEVELS else None
        if not _is_socket_of_ours(call.args) or self._listener is None or self._pairs is None:
            return None
        kind = call.args[1] & 0xFFFFFFFF
        try:
            with self._pairs.open(kind, call.args[0] & 0xFFFFFFFF) as far:
                inheritable = not kind & socket.SOCK_CLOEXEC
                given = self._listener.give(call, far.fileno(), inheritable=inheritable)
                return _Diverted(given, decision="allowed")
        except OSError as error:
            return _Diverted(0, error.errno or errno.EMFILE)

    def _tell_own_address(self, call: Notification, caller: Caller) -> _Diverted:
        found = b""
        if self._pairs is not None:
            with suppress(OSError):  # of a pair of its own
                found = self._pairs.name(_process_of(call.pid), signed(call.args[0]))
        if not found:
            return _Diverted(None, told=False, decision="allowed")
        room = int.from_bytes(caller.memory.read(call.args[2], 4), "little")
        caller.memory.write(call.args[1], found[:room])
        caller.memory.write(call.args[2], len(found).to_bytes(4, "little"))
        return _Diverted(0, told=False, decision="allowed")

    def _may_be_born(self, name: str, call: Notification) -> bool:
        """Whether one task more is let be. Notified where nobody but us can count the tree, and look
        at what it holds: a thread has no descriptors but its process's."""
        flags = call.args[0] if name == "clone" else 0
        hides = flags & _CLONE_THREAD and not flags & _CLONE_FILES
        return not (hides or _makes_namespace(name, call)) and self._watch.grant_task()

    def _shown(self, args: dict[str, Any]) -> dict[str, Any]:
        """The arguments, with paths as the room means them."""
        shown = {
            name: self.inside.shown(value) if name in _PATHS and isinstance(value, str) else value
            for name, value in args.items()
        }
        if isinstance(words := args.get("argv"), list):
            shown["argv"] = [self.inside.shown_in(word) for word in words]
        return shown

    def _is_traced(self, name: str, registers: tuple[int, ...]) -> bool:
        """Whether the filter would have allowed this call, and let it be notified for the trace."""
        return any(
            all(registers[index] & mask == value for index, mask, value in conditions)
            for conditions in self._traced.get(name, ())
        )

    def _is_ordinary(self, name: str, args: dict[str, Any]) -> bool:
        """Reading the runtime or the model itself: what every load does, thousands of times."""
        if not name.startswith("open") or any(
            flag in args.get("flags", "O_RDWR") for flag in ("O_WRONLY", "O_RDWR", "O_CREAT")
        ):
            return False
        path = args.get("path")
        return isinstance(path, str) and (path + "/").startswith(self._quiet)


def _hear(sync: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """What the cell says next, and the descriptors that come with it. Raises Broken."""
    try:
        line, passed, _, _ = socket.recv_fds(sync, 65536, 1)
        said: dict[str, Any] = json.loads(line)
    except (OSError, ValueError) as error:
        raise Broken("the worker died before its cell stood") from error
    if "error" in said:
        raise Broken(str(said["error"]))
    return said, passed


def _manner(listener: Listener | Tracer) -> str:
    if isinstance(listener, Tracer):
        return "synchronous, by ptrace"
    return "synchronous" if listener.synchronous else "asynchronous"


def _caller(pid: int) -> Caller | None:
    """Where to read a task's arguments; None when it is gone."""
    try:
        return Caller(PROC, pid, Memory(PROC, pid))
    except OSError:
        return None


def _registers_permit(name: str, call: Notification, args: dict[str, Any]) -> bool:
    """Whether a telling call is continued. Registers cannot change after they were read; what hangs
    on memory (sendmsg's destination) is held by the network namespace, which leads nowhere, or by
    there being no socket that takes one."""
    registers = call.args
    if name == "socket":
        return _is_socket_of_ours(registers)
    if name in _SIGNALS:  # only notified where Landlock does not hold them
        target = signed(registers[0])
        return target == (call.pid if name == "tkill" else _process_of(call.pid))
    if name == "sendto":
        return registers[4] == 0
    if name in _MESSAGES:
        return "address" not in args.get("message", {"address": None})
    return True


def _makes_namespace(name: str, call: Notification) -> bool:
    return name == "clone" and bool(call.args[0] & _NEW_NAMESPACES)


def _in_scratch(path: object) -> bool:
    return isinstance(path, str) and path.startswith(f"{root.SCRATCH}/")


def _is_socket_of_ours(registers: tuple[int, ...]) -> bool:
    """Whether socket(2) asks for one that the room has: of IP, or AF_UNIX."""
    family, kind, protocol = (register & 0xFFFFFFFF for register in registers[:3])
    if family == socket.AF_UNIX:
        return True
    return family in _LISTENABLE and kind & 0xF in _KINDS and protocol in _PROTOCOLS


def _process_of(task: int) -> int:
    """The process that a thread belongs to: pidfd_open(2) takes no thread before Linux 6.9."""
    with open(f"{PROC}/{task}/status", "rb") as file:
        for line in file:
            if line.startswith(b"Tgid:"):
                return int(line.split()[1])
    return task


def _who(pid: int) -> tuple[int, str]:
    """(parent's pid, name) of a task; (0, "?") when it is gone."""
    try:
        with open(f"{PROC}/{pid}/stat", "rb") as file:
            raw = file.read(1024)
    except OSError:
        return 0, "?"
    name, _, rest = raw.partition(b"(")[2].rpartition(b")")
    return int(rest.split()[1]), name.decode("utf-8", "backslashreplace")


def _judge(status: int) -> tuple[str, str]:
    """The room's status from the worker's wait status."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        name = (
            signal.Signals(number).name if number in signal.Signals._value2member_map_ else number
        )
        if number == signal.SIGXFSZ:
            return "limit", "disk limit: it wrote more than its output may hold"
        return "crashed", f"it was killed by {name}"
    code = os.WEXITSTATUS(status)
    return ("ok", "") if code == 0 else ("crashed", f"it exited with {code}")
