"""From what was seen to what it means: events become findings, egress and processes.

Zone: controller. The rules are a table in findings and lists in profiles/rules/behaviour.toml; each id has
a section in docs/findings.md. What the files themselves say is judged in judge_files.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from safe_load import sandbox
from safe_load.core.escape import visible
from safe_load.core.report import Decoy, Egress, Event, Finding, Process, Severity
from safe_load.judge import tunnels
from safe_load.judge.findings import RULES, finding
from safe_load.profiles import rules
from safe_load.rooms.decoys import Decoys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["RULES", "SENT", "Behaviour", "behaviour", "finding", "record"]

_RESOLVER_PORT = 53
_SHOWN = 300  # characters of what was run or sent that a finding quotes; the record has more
_WRITES = frozenset(
    "unlink unlinkat rename renameat renameat2 link linkat symlink symlinkat mkdir mkdirat rmdir mknod "
    "mknodat truncate chmod fchmodat fchmodat2 chown fchownat lchown utime utimes utimensat futimesat".split()
)

#: Python reads its own source to show where a warning came from; ours lies on the stack.
_OWN = str(Path(sandbox.__file__).resolve().parent) + "/"


#: How a finding on data that was sent begins.
SENT = "The model sent"


@dataclass(frozen=True)
class Behaviour:
    """What recorded events amount to."""

    findings: list[Finding]
    egress: list[Egress]
    processes: list[Process]
    decoys: list[Decoy]


_Heard = tuple[Egress, tuple[str, ...]]


@dataclass(frozen=True)
class _Context:
    """heard: by address and port, what the sinkhole heard, each with the decoys that are in it;
    decoys: what was planted for the worker to find."""

    heard: dict[tuple[str, int | None], list[_Heard]]
    decoys: Decoys

    def told(self) -> Iterator[Egress]:
        return (each for said in self.heard.values() for each, _ in said)


def _context(heard: Sequence[Egress], decoys: Decoys) -> _Context:
    """Each conversation is searched for decoys once, however many calls led to it."""
    by_target: dict[tuple[str, int | None], list[_Heard]] = {}
    names = [each.domain or "" for each in heard if each.protocol == "dns"]
    together = iter(tunnels.spelled(names))
    for each in heard:
        said = each.payload_preview
        if each.protocol == "dns":  # names know no case: who sends in them may write in either
            said = f"{each.domain} {next(together)}"
            said += f" {said.upper()}"
        stolen = decoys.stolen(said)
        found = (msgspec.structs.replace(each, carries=stolen), tuple(stolen))
        by_target.setdefault((each.address, each.port), []).append(found)
    return _Context(by_target, decoys)


def behaviour(
    events: Sequence[Event], heard: Sequence[Egress] = (), decoys: Decoys | None = None
) -> Behaviour:
    """Judge recorded events, what the sinkhole heard, and whether a decoy is in it. Repeated equal
    findings become one, with all their evidence."""
    context = _context(heard, decoys or Decoys())
    judged_targets: set[tuple[str, int | None]] = set()
    found: dict[tuple[str, str], Finding] = {}
    for index, event in enumerate(events):
        target = _target(event) if event.decision == "redirected" else None
        if target is not None and event.syscall == "connect":
            if target[1:] in judged_targets:
                continue  # what was said there is told already
            judged_targets.add(target[1:])
        for judged in _judge(event, index, context):
            key = (judged.id, judged.detail)
            if key in found:
                found[key].evidence.append(index)
            else:
                found[key] = judged
    return Behaviour(
        findings=list(found.values()),
        egress=sorted([*context.told(), *filter(None, map(_egress, events))], key=lambda e: e.t),
        processes=[
            Process(event.t, event.pid, event.ppid, _argv(event))
            for event in events
            if event.syscall in ("execve", "execveat")
        ],
        decoys=context.decoys.opened(events),
    )


def record(dropped: int) -> list[Finding]:
    """Judge a record that could not keep everything: who makes that many different calls hides
    something in them, or might."""
    if not dropped:
        return []
    return [
        finding(
            "SL401",
            f"The model made {dropped:,} more calls than the record keeps; their arguments are not known",
            "the record",
        )
    ]


def _judge(event: Event, index: int, context: _Context) -> Iterator[Finding]:
    rule = _RULE_OF.get(event.syscall)
    if event.decision == "redirected":
        yield from _redirected(event, index, context)
    elif rule is not None:
        yield from rule(event, index, context)
    elif event.syscall in _WRITES:
        yield from _write(event, index, context)
    elif event.decision == "denied":
        yield from _refused(event, index)


def _program(event: Event, index: int, _: _Context) -> Iterator[Finding]:
    command = visible(" ".join(map(str, _argv(event))), _SHOWN)
    yield finding(
        "SL101",
        f"The model tried to run: {command}",
        str(event.args.get("path")),
        [index],
    )


def _argv(event: Event) -> list[str]:
    return event.args.get("argv") or [str(event.args.get("path"))]


def _connection(event: Event, index: int, _: _Context) -> Iterator[Finding]:
    target = _target(event)
    if target is None:
        return
    family, address, port = target
    if family == "AF_UNIX":
        if address != "/var/run/nscd/socket":  # the C library asks it for names
            yield finding(
                "SL203", f"The model tried to reach the local service {address}", address, [index]
            )
    elif port == _RESOLVER_PORT:
        yield finding(
            "SL202",
            f"The model asked the name server {address} for a name",
            f"{address}:{port}",
            [index],
        )
    elif port is not None:
        yield finding(
            "SL201",
            f"The model tried to reach {_endpoint(address, port)}",
            _endpoint(address, port),
            [index],
        )
    else:
        yield finding(
            "SL203", f"The model tried to reach an address of family {family}", family, [index]
        )


def _redirected(event: Event, index: int, context: _Context) -> Iterator[Finding]:
    """What was said, where the sinkhole answered in the network's place."""
    target = _target(event)
    if target is None:
        return
    _, address, port = target
    said = context.heard.get((address, port), [])
    for look_up, stolen in (each for each in said if each[0].protocol == "dns"):
        if stolen:
            yield _theft(
                stolen,
                f"the name {look_up.domain}, which the model looked up",
                str(look_up.domain),
                index,
            )
        yield finding(
            "SL202", f"The model looked up {look_up.domain}", str(look_up.domain), [index]
        )
    talk = [each for each in said if each[0].protocol != "dns"]
    silent = event.syscall == "connect" and event.args.get("type") == "SOCK_DGRAM"
    if not talk and (said or silent):
        return  # connecting a datagram socket sends nothing: the resolver does it to sort addresses
    where = _endpoint(address, port or 0)
    for each, stolen in talk:
        if stolen:
            yield _theft(
                stolen,
                f"the data sent to {each.domain or where}: {each.payload_preview[:_SHOWN]}",
                where,
                index,
            )
    first = max((each for each, _ in talk), key=lambda each: each.payload_bytes, default=None)
    whom = f"{first.domain} ({where})" if first and first.domain else where
    if first is None or first.payload_bytes == 0:
        yield finding("SL201", f"The model connected to {whom}", where, [index])
    else:
        yield finding(
            "SL201",
            f"{SENT} {first.payload_bytes} bytes to {whom}: {first.payload_preview[:_SHOWN]}",
            where,
            [index],
        )


def _theft(stolen: Sequence[str], where: str, location: str, index: int) -> Finding:
    detail = f"The model stole {' and '.join(stolen)}: the decoy's mark is in {where}"
    return finding("SL301", detail, location, [index], "critical")


def _target(event: Event) -> tuple[str, str, int | None] | None:
    where = event.args.get("to") or (event.args.get("message") or {}).get("address")
    if not isinstance(where, dict):
        return None
    return str(where.get("family")), str(where.get("address", "?")), where.get("port")


def _endpoint(address: str, port: int | None) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _socket(event: Event, index: int, _: _Context) -> Iterator[Finding]:
    if event.decision == "denied" and event.args.get("family") != "AF_NETLINK":
        family = event.args.get("family")
        yield finding(
            "SL203", f"The model asked for a socket of family {family}", str(family), [index]
        )


def _binding(event: Event, index: int, _: _Context) -> Iterator[Finding]:
    where = event.args.get("address")
    if isinstance(where, dict) and where.get("family") in ("AF_INET", "AF_INET6"):
        place = _endpoint(str(where.get("address")), where.get("port"))
        yield finding(
            "SL203", f"The model tried to wait for connections at {place}", place, [index]
        )


def _open(event: Event, index: int, context: _Context) -> Iterator[Finding]:
    path = event.args.get("path")
    if not isinstance(path, str):
        return
    flags = str(event.args.get("flags", ""))
    if any(flag in flags for flag in ("O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC")):
        yield from _write(event, index, context)
    elif path in context.decoys.titles:
        title = context.decoys.titles[path]
        yield finding(
            "SL301",
            f"The model read {title} at {path}, a decoy that was planted for this load",
            path,
            [index],
        )
    elif _matches(path, "libraries") or path.startswith(_OWN):
        return
    elif _matches(path, "secrets"):
        yield finding(
            "SL301", f"The model tried to read {path}. The room has no such file.", path, [index]
        )
    elif not _matches(path, "expected"):
        yield finding(
            "SL303", f"The model tried to read {path}", path, [index], _outside_severity(path)
        )


def _outside_severity(path: str) -> Severity:
    """Looking for an own setting in the home folder is what many honest libraries do."""
    return "low" if path.startswith(("/home/ubuntu/.", "/etc/")) else "medium"


def _write(event: Event, index: int, _: _Context) -> Iterator[Finding]:
    for label in ("path", "old", "new"):
        path = event.args.get(label)
        if isinstance(path, str) and not _matches(path, "scratch"):
            severity: Severity = (
                "low"
                if path.startswith(("/home/ubuntu/.cache", "/home/ubuntu/.config"))
                else "medium"
            )
            yield finding(
                "SL302",
                f"The model tried to change {path} ({event.syscall})",
                path,
                [index],
                severity,
            )


def _refused(event: Event, index: int) -> Iterator[Finding]:
    calls = rules("behaviour")["calls"]
    if event.syscall in calls["ordinary"]:
        return
    severity: Severity = "high" if event.syscall in calls["forbidden"] else "medium"
    yield finding(
        "SL401",
        f"The model called {event.syscall}, which was refused",
        event.syscall,
        [index],
        severity,
    )


_RULE_OF: dict[str, Callable[[Event, int, _Context], Iterator[Finding]]] = {
    "execve": _program,
    "execveat": _program,
    "connect": _connection,
    "sendto": _connection,
    "sendmsg": _connection,
    "sendmmsg": _connection,
    "socket": _socket,
    "open": _open,
    "openat": _open,
    "openat2": _open,
    "creat": _write,
    "bind": _binding,
    "listen": lambda *_: iter(()),
    "accept": lambda *_: iter(()),
    "accept4": lambda *_: iter(()),
}


def _matches(path: str, table: str) -> bool:
    patterns = rules("behaviour")["reads"][table]
    if table == "expected":
        patterns = [*patterns, *rules("baseline")["reads"]["recorded"]]
    return any(fnmatchcase(path, pattern) for pattern in patterns)


def _egress(event: Event) -> Egress | None:
    target = (
        _target(event) if event.syscall in ("connect", "sendto", "sendmsg", "sendmmsg") else None
    )
    if event.decision == "redirected" or target is None or target[0] not in ("AF_INET", "AF_INET6"):
        return None
    _, address, port = target
    data = event.args.get("data") or (event.args.get("message") or {}).get("data") or ""
    connects = event.syscall == "connect" or "MSG_FASTOPEN" in event.args.get("flags", "")
    protocol = "tcp" if connects and port != _RESOLVER_PORT else "udp"
    return Egress(event.t, protocol, address, port, None, str(data), len(str(data)))
