"""The first process of a room without namespaces, and how the tree inside is held together there.

Tier B: the cell stands alone. No pid namespace ends what a worker leaves behind, so that two of our
processes adopt orphans (PR_SET_CHILD_SUBREAPER): the supervisor, and the launcher should the
supervisor die. Whichever is left kills all that is below it. Started as `launch` is.
"""

from __future__ import annotations

import os
import re
import select
import signal
import sys
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, NoReturn

from safe_load.sandbox import private_folders, protocol
from safe_load.sandbox.kernel import landlock, process
from safe_load.sandbox.room import folder, selftest
from safe_load.sandbox.room.launch import native
from safe_load.sandbox.room.monitor import supervisor
from safe_load.sandbox.room.monitor.recorder import Channel
from safe_load.sandbox.room.process_tree import PROC, ProcessTree
from safe_load.sandbox.room.view import Ends, View

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from safe_load.sandbox.protocol import HostOrder

__all__ = ["main", "selftest"]  # selftest: as in launch

_NOBODY = 65534
_KEPT = (process.CAP_SYS_PTRACE, process.CAP_DAC_READ_SEARCH, process.CAP_KILL)
#: What a root must be able to do for its worker to be somebody else; in a container it often is not.
_TO_SEPARATE = (
    *_KEPT,
    process.CAP_CHOWN,
    process.CAP_DAC_OVERRIDE,
    process.CAP_SETGID,
    process.CAP_SETUID,
    process.CAP_SETPCAP,
)
_END_S = 10.0
_CLOSER_LOOK_S = 0.25
_MAPPED = re.compile(rb"^(\w+)-(\w+) \S+ (\w+) \S+ (\d+) +(.*) \(deleted\)$", re.MULTILINE)


def main(events: int) -> int:
    """Make the room's folder, run the supervisor, return when every process inside is dead and
    the folder is gone."""
    os.umask(0o022)
    os.setsid()  # the terminal's signals are the controller's, who tells us
    process.become_subreaper()
    channel = Channel(events)
    line = sys.stdin.buffer.readline()
    if not line.endswith(b"\n"):  # the controller died before it had said everything
        return 1
    try:
        order = protocol.read_order(protocol.HostOrder, line)
        _require_kernel(order)
        private_folders.sweep(order.place)
        path, held = private_folders.make(order.place)
    except protocol.ProtocolError as error:
        channel.send(protocol.End(status="broken", reason=f"the room's order: {error}"))
        return 1
    except OSError as error:
        reason = f"a room without namespaces cannot be built: {error}; run `safe-load doctor`"
        channel.send(protocol.End(status="broken", reason=reason))
        return 1
    launcher = os.getpid()
    child = os.fork()
    if child == 0:
        _supervise(order, channel, path, launcher)
    try:
        channel.send(protocol.Supervisor(child))
        return native.see_end(child, lifeline=0)
    finally:  # whatever went wrong, the controller's end included
        end_all(launcher)
        private_folders.remove(path)
        os.close(held)


def _supervise(order: HostOrder, channel: Channel, path: str, launcher: int) -> NoReturn:
    try:
        process.become_subreaper()
        tree = Tree(order, path, os.pidfd_open(launcher))
        identity = _identity(order)
        ends = Ends(order.result, order.output, order.outputs)
        build = partial(_build, order, path, identity)
        supervisor.main(order, ends, channel, identity, build, tree)
    finally:  # never back into the launcher's code
        os._exit(1)


def _require_kernel(order: HostOrder) -> None:
    """Raises OSError when this kernel lacks what only a room without namespaces cannot do without."""
    version = min(landlock.abi(), order.landlock)
    if version < landlock.TRUNCATION:
        found = f"only ABI {version}" if version else "no Landlock"
        raise OSError(
            f"tier B needs Landlock ABI {landlock.TRUNCATION} (Linux 6.2) or newer, because it has no other "
            f"wall around the host's files; this kernel has {found}"
        )
    if not os.path.exists(f"{PROC}/self/task/{os.getpid()}/children"):
        raise OSError("the kernel does not list the children of a process (CONFIG_PROC_CHILDREN)")


def _identity(order: HostOrder) -> supervisor.Identity:
    """Root's worker becomes nobody, if this root may do that and nobody can reach what it needs."""
    sources = [source for source, _ in order.folders] + [file.source for file in order.files]
    separated = (
        os.geteuid() == 0
        and process.holds_capabilities(*_TO_SEPARATE)
        and order.separate_user
        and _is_mapped(_NOBODY)
        and all(_can_be_reached(each) for each in {order.place, *sources})
    )
    namespace = os.readlink(f"{PROC}/self/ns/pid")
    return supervisor.Identity(separated, namespace, _KEPT if separated else ())


def _is_mapped(ident: int) -> bool:
    """Whether this user namespace has that user and that group (user_namespaces(7))."""
    found = []
    for name in ("uid_map", "gid_map"):
        with open(f"{PROC}/self/{name}", encoding="ascii") as file:
            extents = [[int(field) for field in line.split()] for line in file]
        found.append(any(first <= ident < first + count for first, _, count in extents))
    return all(found)


def _can_be_reached(path: str) -> bool:
    """Whether everybody may walk the folders to it."""
    above = os.path.dirname(os.path.realpath(path))
    while os.stat(above).st_mode & 0o001:
        if above == "/":
            return True
        above = os.path.dirname(above)
    return False


def _build(order: HostOrder, path: str, identity: supervisor.Identity) -> View:
    """Populate the folder, and say where everything is."""
    return View(
        sys_path=tuple(
            path + each if each.startswith("/runtime/") else each for each in order.sys_path
        ),
        package=path + order.package,
        argument=folder.translated(order.argument, folder.places(order), path),
        quiet=order.quiet,
        rules=folder.populate(order, path, _NOBODY if identity.separated else None),
        identities={file.source: file.identity for file in order.files if file.identity},
        prefix=path,
        user=_NOBODY,
    )


class Tree(ProcessTree):
    """The processes below the supervisor, whatever sessions and parents they made themselves."""

    def __init__(self, order: HostOrder, path: str, launcher: int) -> None:
        self.lifelines = {launcher: "the room's first process exited"}
        self._path = path
        self._limits = order.limits
        self._paths = folder.Paths(order, path)
        self._next = 0.0
        self._unnamed = 0

    def others(self) -> list[int]:
        return descendants(os.getpid())

    def sockets(self, others: Iterable[int]) -> int:
        found = {name for pid in others for _, name in _open_files(pid)}
        return sum(name.startswith("socket:") for name in found)

    def excess(self, others: Iterable[int]) -> str | None:
        """The scratch folder is on the host's disk, and no file system of its own bounds it."""
        sizes, names = folder.size(self._path)
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _CLOSER_LOOK_S
            self._unnamed = self._held_without_name(others)
        if sum(sizes.values()) + self._unnamed > self._limits.scratch:
            return (
                f"disk limit: the scratch folder holds more than {self._limits.scratch >> 20} MiB"
            )
        if names > self._limits.scratch_files:
            return (
                f"disk limit: the scratch folder holds more than {self._limits.scratch_files} files"
            )
        return None

    def shown(self, path: str) -> str:
        return self._paths.shown(path)

    def shown_in(self, text: str) -> str:
        return text.replace(self._path, "")

    def end(self) -> None:
        end_all(os.getpid())
        if select.select([*self.lifelines], [], [], 0)[0]:  # nobody else is left to do it
            private_folders.remove(self._path)

    def _held_without_name(self, others: Iterable[int]) -> int:
        """Bytes of scratch files that were removed but are still open, or mapped."""
        sizes: dict[int, int] = {}
        ours = os.fsencode(self._path) + b"/"
        for pid in others:
            for place, name in _open_files(pid):
                if name.startswith(self._path) and name.endswith(" (deleted)"):
                    with suppress(OSError):
                        found = os.stat(place)
                        sizes[found.st_ino] = found.st_blocks * 512
            with suppress(OSError), open(f"{_with_files(pid)}/maps", "rb") as file:
                for low, high, offset, inode, name in _MAPPED.findall(file.read()):
                    if name.startswith(ours):
                        last = int(offset, 16) + int(high, 16) - int(low, 16)
                        sizes[int(inode)] = max(last, sizes.get(int(inode), 0))
        return sum(sizes.values())


def descendants(pid: int) -> list[int]:
    """Every process below that one, parents before their children."""
    found: list[int] = []
    waiting = [pid]
    while waiting:
        children = _children(waiting.pop())
        found += children
        waiting += children
    return found


def _children(pid: int) -> list[int]:
    """The children of each thread of a process (proc_tid_children(5))."""
    found: list[int] = []
    with suppress(OSError):
        for task in os.listdir(f"{PROC}/{pid}/task"):
            with (
                suppress(FileNotFoundError, ProcessLookupError),
                open(f"{PROC}/{pid}/task/{task}/children", "rb") as file,
            ):
                found += map(int, file.read().split())
    return found


def _with_files(pid: int) -> str:
    """The place in /proc where a process's files and memory are seen: at one of its threads, if the
    first has left and they go on. They share both; what would not is not born, or refused."""
    for task in sorted(os.listdir(f"{PROC}/{pid}/task"), key=int):
        place = f"{PROC}/{pid}/task/{task}"
        with suppress(OSError), open(f"{place}/stat", "rb") as file:
            if file.read(1024).rpartition(b")")[2].split()[0] not in (b"Z", b"X"):
                return place
    return f"{PROC}/{pid}"


def _open_files(pid: int) -> Iterator[tuple[str, str]]:
    """(place in /proc, what it is) of each descriptor of a process."""
    with suppress(OSError):
        folder = f"{_with_files(pid)}/fd"
        for number in os.listdir(folder):
            place = f"{folder}/{number}"
            with suppress(OSError):
                yield place, os.readlink(place)


def _kill(pid: int, parents: set[int]) -> None:
    """SIGKILL a process, unless its number has come to be somebody else's."""
    with suppress(ProcessLookupError):
        pidfd = os.pidfd_open(pid)
        try:
            with open(f"{PROC}/{pid}/stat", "rb") as file:
                parent = int(file.read(1024).rpartition(b")")[2].split()[1])
            if parent in parents:
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        except FileNotFoundError:
            pass  # it was reaped meanwhile
        finally:
            os.close(pidfd)


def end_all(pid: int) -> None:
    """Kill every process below `pid`, which is this one, and reap them. Raises TimeoutError.

    Meanwhile none can be born: who makes one waits for an answer of the supervisor, which is busy
    here, or meets ENOSYS, as it is gone."""
    deadline = time.monotonic() + _END_S
    while True:
        seen = descendants(pid)
        for each in seen:
            _kill(each, {pid, *seen})
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0] != 0:
                continue
            if time.monotonic() > deadline:
                raise TimeoutError("timed out while killing the processes inside the room")
            time.sleep(0.001)
            continue
        return
