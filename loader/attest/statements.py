"""Statements of one load, made from its report: what was decided, and what was seen.

Zone: controller. Two in-toto statements over the same subjects, the source's files by their SHA-256: an SLSA verification
summary (https://slsa.dev/verification_summary/v1) and a runtime trace (https://in-toto.io/attestation/runtime-trace/v0.1).
A load adds a summary over the files of the cleared copy. What the standard forms have no field for stands under one key
of our own, `safeLoad`, which other readers leave out.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from safe_load.attest import envelope, files_beside
from safe_load.core import typed
from safe_load.core.errors import UsageError
from safe_load.core.escape import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from safe_load.core.report import Egress, Event, FileInfo, Report

SUMMARY = "https://slsa.dev/verification_summary/v1"
TRACE = "https://in-toto.io/attestation/runtime-trace/v0.1"
VERIFIER = "urn:safe-load:verifier"
#: Entries of each list of a trace; how many more there were is said.
MOST = 2000
_Of = Literal["source", "export"]


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """By what a load was judged: what decides whether another gate may rely on it. excepted: findings that the user
    accepted; tier: of the room, None where none ran."""

    profile: str
    weaknesses: list[str]
    fail_on: Literal["low", "medium", "high", "critical", "never"]
    depth: Literal["auto", "static", "weights", "model", "run"]
    tier: str | None
    excepted: int

    def digest(self) -> str:
        """SHA-256 of its one form as JSON, in hex."""
        return hashlib.sha256(msgspec.json.encode(self, order="sorted")).hexdigest()


def policy_of(report: Report) -> Policy:
    """The policy that a report went by. Raises UsageError for a report that does not say."""
    held = {each.name: each.value for each in report.settings}
    stated = {
        "profile": report.sandbox.profile,
        "weaknesses": report.sandbox.weaknesses,
        "fail_on": held.get("fail-on"),
        "depth": held.get("depth"),
        "tier": report.sandbox.tier,
        "excepted": sum(each.accepted is not None for each in report.findings),
    }
    try:
        return typed.convert(stated, Policy)
    except msgspec.ValidationError as error:
        raise UsageError(
            f"the report does not say by which settings it was made: {error}"
        ) from None


def passed(report: Report) -> bool:
    """Whether the source was opened to the end and nothing at or above the threshold speaks against it."""
    return report.outcome == "ok" and policy_of(report).fail_on != "never"


def of(report: Report, data: bytes) -> list[bytes]:
    """The payloads to sign. data: the report's own bytes, of which the statements have the digest.

    Raises UsageError for a report without the SHA-256 of each file.
    """
    subjects = _subjects(report.files)
    kept = {"name": "report", "digest": {"sha256": hashlib.sha256(data).hexdigest()}}
    left = [each.path for each in report.files if each.state in ("left_out", "not_judged")]
    payloads = [
        _statement(subjects, SUMMARY, _summary(report, "source", kept, left)),
        _statement(subjects, TRACE, _trace(report, kept)),
    ]
    exported = report.export.files if report.export else []
    if exported and all(each.digests.sha256 for each in exported):
        copies = {each.path: str(each.digests.sha256) for each in exported}
        payloads.append(_statement(copies, SUMMARY, _summary(report, "export", kept, [])))
    return payloads


def _subjects(files: Iterable[FileInfo]) -> dict[str, str]:
    found = {}
    for each in files:
        if each.path in files_beside.NAMES:
            continue
        if each.sha256 is None:
            raise UsageError(
                f"the report has no SHA-256 of {visible(each.path)}: make it without --no-hash"
            )
        found[each.path] = each.sha256
    if not found:
        raise UsageError("the report lists no file, so there is nothing that can be attested")
    return found


def _statement(subjects: Mapping[str, str], kind: str, predicate: dict[str, Any]) -> bytes:
    return msgspec.json.encode(
        {
            "_type": envelope.STATEMENT_TYPE,
            "subject": [
                {"name": path, "digest": {"sha256": digest}} for path, digest in subjects.items()
            ],
            "predicateType": kind,
            "predicate": predicate,
        }
    )


def _summary(report: Report, of_what: _Of, kept: dict[str, Any], left: list[str]) -> dict[str, Any]:
    policy = policy_of(report)
    good = passed(report)
    return {
        "verifier": {"id": VERIFIER, "version": {"safe-load": report.tool.version}},
        "timeVerified": _times(report)[1],
        "resourceUri": resource(report),
        "policy": {"uri": "urn:safe-load:policy", "digest": {"sha256": policy.digest()}},
        "verificationResult": "PASSED" if good else "FAILED",
        "verifiedLevels": [f"SAFE_LOAD_{policy.depth.upper()}"] if good else ["FAILED"],
        "slsaVersion": "1.0",
        "safeLoad": {
            "of": of_what,
            "policy": msgspec.to_builtins(policy),
            "verdict": report.verdict,
            "outcome": report.outcome,
            "findings": sorted({each.id for each in report.findings}),
            "notOpened": left,
            "report": kept,
        },
    }


def _trace(report: Report, kept: dict[str, Any]) -> dict[str, Any]:
    recording, room = report.recording, report.sandbox
    started, ended = _times(report)
    digests = {each.path: each.sha256 for each in report.files}
    opened = [
        {"name": each.path, "digest": {"sha256": digests[each.path]}}
        for each in report.files
        if each.state == "opened"
    ]
    files = opened + [_access(each) for each in recording.events if "path" in each.args]
    processes = [msgspec.to_builtins(each) for each in report.processes]
    network = [_sent(each) for each in report.egress]
    cut = {"process": processes, "network": network, "fileAccess": files}
    return {
        "monitor": {
            "type": f"urn:safe-load:monitor:{report.tool.version}",
            "configSource": {
                "uri": f"urn:safe-load:profile:{room.profile}",
                "digest": {"sha256": policy_of(report).digest()},
            },
            "tracePolicy": {
                "level": recording.level,
                "complete": recording.complete,
                "dropped": recording.dropped,
                "backend": room.backend,
                "runtime": room.runtime,
                "tier": room.tier,
            },
        },
        "monitoredProcess": {
            "hostID": f"urn:safe-load:room:{room.backend}",
            "type": "urn:safe-load:load" if report.export else "urn:safe-load:scan",
            "event": f"{resource(report)} {started}",
        },
        "monitorLog": {name: entries[:MOST] for name, entries in cut.items()},
        "metadata": {"buildStartedOn": started, "buildFinishedOn": ended},
        "safeLoad": {
            "omitted": {name: max(0, len(entries) - MOST) for name, entries in cut.items()},
            "report": kept,
        },
    }


def _sent(egress: Egress) -> dict[str, Any]:
    """In the words that version 0.2 of the trace recommends. Nothing of it left the room."""
    return {
        "t": egress.t,
        "protocol": egress.protocol,
        "ip": egress.address,
        "port": egress.port,
        "hostname": egress.domain,
        "payloadBytes": egress.payload_bytes,
        "carries": egress.carries,
    }


def _access(event: Event) -> dict[str, Any]:
    """A recorded call that names a file, as a descriptor of that file."""
    noted = {
        "syscall": event.syscall,
        "decision": event.decision,
        "errno": event.errno,
        "count": event.count,
        "pid": event.pid,
    }
    return {"name": str(event.args["path"]), "annotations": noted}


def resource(report: Report) -> str:
    """A URI of what was opened: hf://ORG/NAME@COMMIT, or the name of a local file or folder."""
    path, revision = report.source.path, report.source.revision
    if "://" in path:
        return f"{path.partition('@')[0]}@{revision}" if revision else path
    return f"file:{path.rstrip('/').rpartition('/')[2]}"


def _times(report: Report) -> tuple[str, str]:
    """When it began and ended: RFC 3339."""
    try:
        began = datetime.fromisoformat(report.started)
        ended = began + timedelta(seconds=report.duration_s)
    except (ValueError, OverflowError) as error:
        raise UsageError(f"the report says no time when it began: {error}") from None
    return began.isoformat(timespec="seconds"), ended.isoformat(timespec="seconds")
