"""What a report says, put the way people ask for it. Shared by the formats that people read.

The strings in it are still hostile: each format makes them visible where it writes them down.
"""

from __future__ import annotations

import json
import shlex
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from safe_load.profiles.units import format_size
from safe_load.report import SEVERITIES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safe_load.report import Egress, Finding, Outcome, Report

Tone = Literal["good", "warn", "bad", "plain"]

OUTCOMES: dict[Outcome, str] = {
    "ok": "ok",
    "rejected": "rejected",
    "not_loadable": "not loadable",
    "sandbox_error": "sandbox error",
    "limit_hit": "limit hit",
    "interrupted": "interrupted",
}
_MARKS: dict[Tone, str] = {"good": "✓", "warn": "!", "bad": "✗", "plain": "?"}
_TONES: dict[str, Tone] = {
    "clean": "good",
    "suspicious": "warn",
    "malicious": "bad",
    "sandbox error": "bad",
    "limit hit": "bad",
}

# Calls whose story the processes and the egress of the report tell better.
_EXEC = frozenset({"execve", "execveat"})
_SEND = frozenset({"connect", "sendto", "sendmsg", "sendmmsg"})
# Arguments of a recorded call that name a file.
_PATHS = ("path", "pathname", "filename", "oldpath", "newpath", "target")


@dataclass(frozen=True)
class Headline:
    """mark: one character. word: "clean", "malicious", "not loadable", "malicious, limit hit" ..."""

    mark: str
    word: str
    tone: Tone
    source: str
    sandbox: str


@dataclass(frozen=True)
class Attempt:
    """One thing that the source tried. kind: a verb in the past tense; note: how it ended."""

    kind: Literal["ran", "looked up", "sent", "touched", "called"]
    what: str
    note: str


def headline(report: Report) -> Headline:
    """The one line that answers "can I use it?"."""
    word: str = report.verdict
    if report.outcome not in ("ok", "rejected"):
        ended = OUTCOMES[report.outcome]
        word = f"{word}, {ended}" if word in ("suspicious", "malicious") else ended
    tone = _TONES.get(word.partition(",")[0], "plain")
    source = report.source.path
    if report.source.revision:
        source += f"{' at ' if '@' in source else '@'}{report.source.revision}"
    return Headline(_MARKS[tone], word, tone, source, sandbox(report))


def sandbox(report: Report) -> str:
    """Where it was opened: "docker (runsc), tier A, 2.1 s"."""
    room = report.sandbox
    runtime = f" ({room.runtime})" if room.runtime else ""
    tier = f"tier {room.tier}" if room.tier else "no tier"
    return f"{room.backend}{runtime}, {tier}, {report.duration_s:.1f} s"


def outcome(report: Report) -> str:
    """How the load ended, in one sentence. Empty when there is nothing to add to the headline."""
    detail = report.outcome_detail or ""
    if report.outcome == "ok":
        return detail
    word = OUTCOMES[report.outcome]
    return f"{word}: {detail}" if detail else word


def attempts(report: Report) -> list[Attempt]:
    """What it tried: programs, names, connections, files, calls.

    Files and calls are those that were refused or that a finding rests on. Refused calls that
    name nothing and support no finding (an honest load makes some) share one line.
    """
    telling = {index for finding in report.findings for index in finding.evidence}
    files: Counter[tuple[str, str, str]] = Counter()
    calls: Counter[tuple[str, str]] = Counter()
    rest: Counter[str] = Counter()
    for index, event in enumerate(report.recording.events):
        if event.decision == "allowed" and index not in telling:
            continue
        if (event.syscall in _EXEC and report.processes) or (
            event.syscall in _SEND and report.egress
        ):
            continue
        path = next((event.args[k] for k in _PATHS if isinstance(event.args.get(k), str)), None)
        how = event.errno or event.decision
        if path is not None:
            files[path, event.syscall, how] += event.count
        elif index in telling:
            calls[event.syscall, how] += event.count
        else:
            rest[event.syscall] += event.count
    told = [
        *(Attempt("ran", shlex.join(process.argv), "") for process in report.processes),
        *(_sent(egress) for egress in report.egress),
        *(
            Attempt("touched", path, f"{call} → {how}{_times(count)}")
            for (path, call, how), count in files.items()
        ),
        *(
            Attempt("called", call, f"→ {how}{_times(count)}")
            for (call, how), count in calls.items()
        ),
    ]
    if rest:
        named = ", ".join(f"{call}{_times(count)}" for call, count in rest.most_common(12))
        more = f" and {len(rest) - 12} more" if len(rest) > 12 else ""
        told.append(Attempt("called", named + more, "refused, without a finding"))
    return told


def _sent(egress: Egress) -> Attempt:
    if egress.protocol == "dns":
        return Attempt("looked up", egress.domain or egress.payload_preview, f"→ {egress.address}")
    host = f"[{egress.address}]" if ":" in egress.address else egress.address
    place = host if egress.port is None else f"{host}:{egress.port}"
    if egress.domain:
        place = f"{egress.domain} ({place})"
    note = f"{egress.protocol}, {format_size(max(egress.payload_bytes, 0))}"
    if egress.payload_preview:
        note += f": {egress.payload_preview}"
    return Attempt("sent", place, note)


def _times(count: int) -> str:
    return f" ({count} times)" if count > 1 else ""


def by_severity(findings: Sequence[Finding]) -> list[Finding]:
    """The findings, worst first, otherwise in the order of the report."""
    return sorted(findings, key=lambda finding: -SEVERITIES.index(finding.severity))


def weights(report: Report) -> str:
    """What the weights hold: "199 tensors, 124.4 M parameters, 548.1 MB, float32"."""
    held = report.tensors
    if not held.count:
        return ""
    dtypes = ", ".join(held.dtypes)
    parts = [
        plural(held.count, "tensor"),
        f"{amount(held.parameters)} parameters",
        format_size(held.bytes),
        *([dtypes] if dtypes else []),
        *([plural(len(held.tied), "tied group")] if held.tied else []),
    ]
    return ", ".join(parts)


def files(report: Report) -> str:
    """What was read: "7 files, 1.9 GB"."""
    return f"{plural(len(report.files), 'file')}, {format_size(sum(f.size for f in report.files))}"


def caveats(report: Report) -> list[str]:
    """What weakens the report's word: walls that do not stand in full, a record with gaps."""
    weak = [wall for wall in report.sandbox.walls if wall.state != "standing"]
    said = [
        f"wall {wall.name}: {wall.state}" + (f", {wall.detail}" if wall.detail else "")
        for wall in weak
    ]
    if report.sandbox.tier == "B" and weak:
        weaker = plural(len(weak), "wall")
        said = [
            f"tier B, the cell alone: {weaker} weaker than in tier A; docs/backends.md says how"
        ]
    if not report.recording.complete:
        said.append(f"the record has gaps: {plural(report.recording.dropped, 'event')} dropped")
    return said


def next_step(report: Report) -> list[str]:
    """Python that uses what was exported, [] when nothing was."""
    if report.export is None:
        return []
    names = [file.path for file in report.export.files]
    if "config.json" in names:
        return [
            "from transformers import AutoModel",
            f"model = AutoModel.from_pretrained({_literal(report.export.path)})",
        ]
    weights = next((name for name in names if name.endswith(".safetensors")), None)
    if weights is None:
        return []
    path = f"{report.export.path.rstrip('/')}/{weights}"
    return ["from safetensors.torch import load_file", f"state = load_file({_literal(path)})"]


def _literal(text: str) -> str:
    """A Python string literal in double quotes: JSON's escapes mean the same in Python."""
    return json.dumps(text)


def totals(reports: Sequence[Report]) -> str:
    """One line over several sources: "3 sources: 1 malicious, 2 clean"."""
    words = Counter(headline(report).word for report in reports)
    counted = ", ".join(f"{count} {word}" for word, count in words.most_common())
    return f"{plural(len(reports), 'source')}: {counted}" if words else "no sources"


def amount(count: int) -> str:
    """A count for people: 512, 66.4 M, 7.2 B."""
    size = float(count)
    for unit in ("", "k", "M", "B"):
        if abs(size) < 1000:
            return f"{size:.1f} {unit}" if unit else str(count)
        size /= 1000
    return f"{size:.1f} T"


def plural(count: int, noun: str) -> str:
    """ "1 file", "2 files"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
