"""What a source did, act by act, in the order in which it happened, and what the wall made of each act.

The strings in it are still hostile: each format makes them visible where it writes them down.
"""

from __future__ import annotations

import re
import shlex
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from safe_load.core.report import SEVERITIES
from safe_load.core.units import format_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from safe_load.core.report import Egress, Event, Finding, Report

Verb = Literal[
    "read",
    "asked",
    "sent",
    "contacted",
    "ran",
    "wrote",
    "deleted",
    "renamed",
    "changed",
    "called",
]
#: decoy: a fake credential was there; no secret: nothing worth stealing was there; room: it saw what the room
#: holds, and nothing of this machine; sinkhole: the room answered in the network's place; refused: the kernel did.
Wall = Literal["decoy", "no secret", "room", "sinkhole", "refused"]

_EXEC = frozenset({"execve", "execveat"})
_NETWORK = frozenset({"connect", "sendto", "sendmsg", "sendmmsg"})
_OPENS = frozenset({"open", "openat", "openat2", "creat"})
# Arguments of a recorded call that name a file.
_PATHS = ("path", "pathname", "filename", "oldpath", "newpath", "target")
_VERBS: dict[str, Verb] = {
    **dict.fromkeys(("unlink", "unlinkat", "rmdir"), "deleted"),
    **dict.fromkeys(("rename", "renameat", "renameat2"), "renamed"),
    **dict.fromkeys(("chmod", "fchmodat", "fchmodat2", "chown", "fchownat", "lchown"), "changed"),
    **dict.fromkeys(("utime", "utimes", "utimensat", "futimesat", "truncate"), "changed"),
    **dict.fromkeys(("link", "linkat", "symlink", "symlinkat", "creat"), "wrote"),
    **dict.fromkeys(("mkdir", "mkdirat", "mknod", "mknodat"), "wrote"),
}
#: What a refused act was an attempt at.
_TRIED: dict[Verb, str] = {
    "read": "read",
    "asked": "ask",
    "sent": "send",
    "contacted": "contact",
    "ran": "run",
    "wrote": "write",
    "deleted": "delete",
    "renamed": "rename",
    "changed": "change",
    "called": "call",
}
#: Of an address, what is shown.
_PLACE = ("address", "port")
_WRITING = re.compile(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC")
_REQUEST = re.compile(r"([A-Z]{3,10} \S{1,200}) HTTP/\d")
#: The home folder of a room, whoever runs it.
_HOME = "/home/ubuntu/"


@dataclass(frozen=True)
class Act:
    """One thing that a source did or tried. t: seconds since the load began; note: a few words; carries: the
    decoys in what it sent; payload: the first of `size` bytes that it sent; findings: id and severity, the
    gravest first; count: how often it did this."""

    t: float
    verb: Verb
    what: str
    wall: Wall
    note: str = ""
    carries: tuple[str, ...] = ()
    payload: str = ""
    size: int = 0
    findings: tuple[tuple[str, str], ...] = ()
    count: int = 1

    @property
    def gravity(self) -> int:
        """0 without a finding, up to 4 with a critical one."""
        return SEVERITIES.index(self.findings[0][1]) + 1 if self.findings else 0

    @property
    def did(self) -> str:
        """ "ran" for what happened in the room, "tried to run" for what the kernel refused."""
        return f"tried to {self.word}" if self.wall == "refused" else self.verb

    @property
    def word(self) -> str:
        """The same where the wall stands in the same row: "ran", and "run" beside "refused"."""
        return _TRIED[self.verb] if self.wall == "refused" else self.verb

    @property
    def short(self) -> str:
        """What was done to, with `~` for the room's home folder."""
        if self.verb == "ran":
            return self.what
        return self.what.replace(_HOME, "~/") if self.what.startswith(_HOME) else self.what

    @property
    def told(self) -> str:
        """What a payload was and carried, and how often: "POST /up, 576 B with SSH key"."""
        parts = [self.note] if self.note else []
        if self.size:
            parts.append(format_size(self.size))
        if self.carries:
            carried = f"with {', '.join(map(bare, self.carries))}"
            parts[-1:] = [f"{parts[-1]} {carried}" if parts else carried]
        if self.count > 1 and self.verb != "asked":  # one for each kind of address
            parts.append(f"{self.count:,} times")
        return ", ".join(parts)


def bare(title: str) -> str:
    """What is planted, without its article: "SSH key"."""
    return title.removeprefix("an ").removeprefix("a ")


def listing(words: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def acts(report: Report) -> list[Act]:
    """What the source did that a finding rests on or that was refused, in order; equal acts are one."""
    merged: dict[tuple[str, str, str], Act] = {}
    for act in sorted(_all(report), key=lambda each: each.t):
        key = (act.verb, act.what, act.wall)
        before = merged.get(key)
        merged[key] = act if before is None else _both(before, act)
    return list(merged.values())


def ordinary(report: Report) -> Counter[str]:
    """Refused calls that name nothing and support no finding: an honest load makes some."""
    cited = _cited(report)
    rest: Counter[str] = Counter()
    for index, event in enumerate(report.recording.events):
        if event.decision != "allowed" and index not in cited and not _is_told(report, event):
            rest[event.syscall] += event.count
    return rest


def _both(one: Act, other: Act) -> Act:
    findings = dict.fromkeys((*one.findings, *other.findings))
    return replace(
        one,
        note=one.note or other.note,
        carries=tuple(dict.fromkeys((*one.carries, *other.carries))),
        payload=max(one.payload, other.payload, key=len),
        size=one.size + other.size,
        findings=_sorted(findings),
        count=one.count + other.count,
    )


def _sorted(findings: Any) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(findings, key=lambda each: -SEVERITIES.index(each[1])))


def _named(findings: Sequence[Finding]) -> tuple[tuple[str, str], ...]:
    return _sorted(dict.fromkeys((found.id, found.severity) for found in findings))


def _cited(report: Report) -> dict[int, list[Finding]]:
    cited: dict[int, list[Finding]] = {}
    for finding in report.findings:
        for index in finding.evidence if finding.accepted is None else ():
            cited.setdefault(index, []).append(finding)
    return cited


def _all(report: Report) -> Iterator[Act]:
    cited = _cited(report)
    events = report.recording.events
    programs, ran = _programs(report), executed(report)
    for process in report.processes:
        place = process.t, process.pid
        found = [each for index in programs.get(place, ()) for each in cited.get(index, ())]
        wall: Wall = "room" if place in ran else "refused"
        yield Act(process.t, "ran", shlex.join(process.argv), wall, findings=_named(found))
    by_target: dict[tuple[str, int | None], list[int]] = {}
    for index, event in enumerate(events):
        if event.syscall in _NETWORK and (target := _target(event)):
            by_target.setdefault(target, []).append(index)
    for egress in report.egress:
        yield _sent(egress, by_target.get((egress.address, egress.port), []), events, cited)
    decoys = {decoy.path for decoy in report.decoys}
    for index, event in enumerate(events):
        told = _path(event) is not None or index in cited
        if not told or (event.decision == "allowed" and index not in cited):
            continue
        if not _is_sent(report, event):
            yield _call(event, cited.get(index, []), decoys)


def _programs(report: Report) -> dict[tuple[float, int], list[int]]:
    """The time and pid of each process -> the events that it stands for."""
    found: dict[tuple[float, int], list[int]] = {}
    for index, event in enumerate(report.recording.events):
        if event.syscall in _EXEC:
            found.setdefault((event.t, event.pid), []).append(index)
    return found


def executed(report: Report) -> set[tuple[float, int]]:
    """Time and pid of the programs that were executed; no model's room lets one be."""
    events = report.recording.events
    return {
        place
        for place, calls in _programs(report).items()
        if any(events[index].decision == "allowed" for index in calls)
    }


def _is_sent(report: Report, event: Event) -> bool:
    """Whether the processes or the egress of the report tell it better."""
    return bool(
        (event.syscall in _EXEC and report.processes)
        or (event.syscall in _NETWORK and report.egress and _target(event))
    )


def _is_told(report: Report, event: Event) -> bool:
    return _is_sent(report, event) or _path(event) is not None


def _path(event: Event) -> str | None:
    return next((event.args[k] for k in _PATHS if isinstance(event.args.get(k), str)), None)


def _target(event: Event) -> tuple[str, int | None] | None:
    """The internet address that a call leads to."""
    message = event.args.get("message")
    inner = message.get("address") if isinstance(message, dict) else None
    for where in (event.args.get("to"), inner, event.args):
        if isinstance(where, dict) and isinstance(where.get("address"), str):
            return (where["address"], where["port"]) if isinstance(where.get("port"), int) else None
    return None


def endpoint(egress: Egress) -> str:
    """Whom data went to, by name where one was looked up."""
    host = egress.domain or (f"[{egress.address}]" if ":" in egress.address else egress.address)
    return host if egress.port is None else f"{host}:{egress.port}"


def _sent(
    egress: Egress, calls: list[int], events: list[Event], cited: dict[int, list[Finding]]
) -> Act:
    found = {id(each): each for index in calls for each in cited.get(index, ())}.values()
    refused = bool(calls) and all(events[index].decision == "denied" for index in calls)
    wall: Wall = "refused" if refused else "sinkhole"
    carries = tuple(egress.carries)
    if egress.protocol == "dns":
        name = egress.domain or egress.payload_preview or egress.address
        mine = [each for each in found if each.location == name]
        return Act(egress.t, "asked", name, wall, "", carries, findings=_named(mine))
    mine = [each for each in found if each.id != "SL202"]
    size = max(egress.payload_bytes, 0)
    request = _REQUEST.match(egress.payload_preview)
    return Act(
        egress.t,
        "sent" if size else "contacted",
        endpoint(egress),
        wall,
        request[1] if request else "" if egress.protocol == "tcp" else egress.protocol,
        carries,
        egress.payload_preview,
        size,
        _named(mine),
    )


def _call(event: Event, found: list[Finding], decoys: set[str]) -> Act:
    """An act that is neither a program nor data that was sent."""
    path, ids = _path(event), {each.id for each in found}
    verb: Verb = _VERBS.get(event.syscall, "called")
    wall: Wall = {"denied": "refused", "redirected": "sinkhole"}.get(event.decision, "room")  # type: ignore[assignment]
    note, what = "", event.syscall
    if event.syscall in _OPENS:
        writing = event.syscall == "creat" or _WRITING.search(str(event.args.get("flags", "")))
        verb = "wrote" if writing or "SL302" in ids else "read"
        note = "append" if "O_APPEND" in str(event.args.get("flags", "")) else ""
    if verb == "renamed":
        what = f"{event.args.get('old', path)} → {event.args.get('new', '?')}"
    elif path is not None and (verb != "called" or not found):
        what = path
    elif event.syscall == "connect" and (address := _local(event)):
        verb, what = "contacted", address
    else:
        what = f"{event.syscall}({_arguments(event)})"
    if "SL302" in ids:
        wall = "refused"  # nothing but /tmp can be written
    elif verb == "read" and path in decoys:
        wall = "decoy"
    elif verb == "read" and "SL301" in ids and wall == "room":
        wall = "no secret"
    return Act(event.t, verb, what, wall, note, findings=_named(found), count=event.count)


def _local(event: Event) -> str | None:
    where = event.args.get("to")
    address = where.get("address") if isinstance(where, dict) else None
    return address if isinstance(address, str) else None


def _arguments(event: Event) -> str:
    """Those that say something: neither descriptors nor numbers that were not decoded."""
    shown = []
    for name, value in event.args.items():
        if name == "fd" or name.startswith("arg") or value in ("", None):
            continue
        parts = [value[k] for k in _PLACE if k in value] if isinstance(value, dict) else [value]
        shown.append(":".join(map(str, parts))[:80])
    return ", ".join(shown[:3])
