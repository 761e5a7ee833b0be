"""The report of a tool's run, made when its room has ended.

Zone: controller. The command waits for nothing of this: it is imported last.
"""

from __future__ import annotations

import shlex
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import msgspec
from safe_load.core import report
from safe_load.core.report import EXIT_CODES, SEVERITIES, Report, SandboxInfo, Setting, WallState
from safe_load.core.tool_report import Connection as Reported
from safe_load.core.version import version
from safe_load.rooms.recorded import egress_of, event_of
from safe_load.sandbox.room.root import SCRATCH
from safe_load.tools import judging

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safe_load.core.report import Finding, Severity
    from safe_load.profiles import Profile
    from safe_load.rooms.decoys import Decoys
    from safe_load.sandbox.backends.interface import RoomResult
    from safe_load.tools.finding_files import Found
    from safe_load.tools.options import ToolOptions
    from safe_load.tools.relay import Connection

_OUTCOMES: dict[str, report.Outcome] = {
    "ok": "ok",
    "crashed": "sandbox_error",
    "limit": "limit_hit",
    "broken": "sandbox_error",
    "interrupted": "interrupted",
}


@dataclass(frozen=True)
class Ran:
    """How a run ended. code: the exit code of safe-load for it; command_code: the command's own, None where
    it has none; notes: on the room."""

    report: Report
    code: int
    command_code: int | None
    notes: list[str] = field(default_factory=list)


def ran(
    options: ToolOptions,
    profile: Profile,
    room: RoomResult,
    found: Found,
    decoys: Decoys,
    passed: list[Connection],
    began: float,
    at: str,
) -> Ran:
    """The report of one run. A rejection beats every other end."""
    events = [event_of(event, began) for event in room.events]
    judged = judging.judge(
        events,
        [egress_of(said, began) for said in room.egress],
        decoys,
        passed,
        options.rules,
        (*found.folders, SCRATCH),
        room.left,
        room.dropped,
    )
    notes = list(found.notes)
    if room.code is not None:
        notes.append(f"The command exited with status {room.code}")
    done = Report(
        tool=report.Tool("safe-load", version()),
        source=report.Source(shlex.join(options.command)),
        started=at,
        duration_s=round(time.monotonic() - began, 6),
        settings=_settings(options, profile),
        verdict="unknown",
        outcome=_OUTCOMES[room.status],
        outcome_detail=room.reason or None,
        sandbox=SandboxInfo(
            "native",
            None,
            room.tier or None,
            profile.name,
            [WallState(wall.name, wall.state, wall.detail) for wall in room.walls],
        ),
        stages=[report.Stage("run", round(room.duration_s, 6))],
        recording=report.Recording(
            complete=room.complete,
            dropped=room.dropped,
            syscalls={
                name: report.SyscallCount(*counts) for name, counts in sorted(room.syscalls.items())
            },
            events=events,
        ),
        egress=judged.behaviour.egress,
        processes=judged.behaviour.processes,
        decoys=judged.behaviour.decoys,
        connections=[
            _connection(each, at=time.time() - (time.monotonic() - began)) for each in passed
        ],
        resources=report.Resources(room.peak_memory, round(room.cpu_s, 3), room.peak_processes),
        notes=notes,
    )
    done = judged_by(done, judged.findings, options.fail_on or profile.fail_on)
    code = EXIT_CODES[done.outcome]
    if done.outcome == "ok" and room.code is not None:
        code = room.code
    return Ran(done, code, room.code, found.notes)


def judged_by(done: Report, findings: Sequence[Finding], fail_on: str) -> Report:
    """The report with these findings, the gravest first, and what they make of its end: a rejection beats every
    other."""
    findings = sorted(findings, key=lambda each: -SEVERITIES.index(each.severity))
    done = msgspec.structs.replace(
        done, findings=findings, verdict=report.verdict_of(findings, loaded=done.outcome == "ok")
    )
    if fail_on == "never" or not findings:
        return done
    gravest, threshold = findings[0], SEVERITIES.index(cast("Severity", fail_on))
    if SEVERITIES.index(gravest.severity) < threshold:
        return done
    return msgspec.structs.replace(
        done, outcome="rejected", outcome_detail=f"{gravest.title}: {gravest.detail}"
    )


def _connection(each: Connection, at: float) -> Reported:
    return Reported(
        t=round(max(0.0, each.began - at), 6),
        pid=each.pid,
        comm=each.comm,
        host=each.host,
        address=each.address,
        port=each.port,
        tls_name=each.name,
        bytes_sent=each.sent,
        bytes_received=each.received,
        decision=each.decision,
        rule=each.rule,
        why=each.why,
    )


def _settings(options: ToolOptions, profile: Profile) -> list[Setting]:
    lists = {
        "allow": [str(rule) for rule in options.rules if not rule.private],
        "unsafe-allow-private": [str(rule) for rule in options.rules if rule.private],
        "read": options.read,
        "write": options.write,
        "env": options.env,
    }
    settings = [Setting(name, ", ".join(value), "flag") for name, value in lists.items() if value]
    for name in ("fail_on", "timeout", "memory"):
        value = getattr(options, name)
        held = profile.fail_on if name == "fail_on" else getattr(profile.limits, name)
        origin = "flag" if value is not None else f"profile {profile.name}"
        settings.append(Setting(name.replace("_", "-"), held if value is None else value, origin))
    return settings
