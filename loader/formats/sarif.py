"""SARIF 2.1.0, which code scanning dashboards and editors read. One run for each source."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from safe_load.formats import story
from safe_load.formats.escape import visible
from safe_load.formats.interface import Format
from safe_load.formats.json import dump
from safe_load.report import EXIT_CODES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safe_load.report import Finding, Report, Severity

#: Where each finding's id has a section. The format wants rules' helpUri to be absolute: as soon
#: as this page has an address of its own, put it here and every rule links to it.
FINDINGS_PAGE = "docs/findings.md"

_LEVELS: dict[Severity, str] = {
    "low": "note",
    "medium": "warning",
    "high": "error",
    "critical": "error",
}
# "security-severity" is what dashboards sort by: the middle of each CVSS v3 band.
_SCORES: dict[Severity, str] = {"low": "2.0", "medium": "5.5", "high": "8.0", "critical": "9.5"}


class Sarif(Format):
    """Locations are relative to the source, whose place is the run's uri base `SOURCE`."""

    name = "sarif"

    def render(self, reports: Sequence[Report]) -> bytes:
        return dump(
            {
                "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
                "version": "2.1.0",
                "runs": [_run(report) for report in reports],
            }
        )


def _run(report: Report) -> dict[str, Any]:
    worst: dict[str, Finding] = {}
    for finding in story.by_severity(report.findings):
        worst.setdefault(finding.id, finding)
    rules = sorted(worst)
    loaded = report.outcome in ("ok", "rejected")
    invocation: dict[str, Any] = {
        "executionSuccessful": loaded,
        "exitCode": EXIT_CODES[report.outcome],
    }
    if not loaded:
        invocation["toolExecutionNotifications"] = [
            {"level": "error", "message": {"text": visible(story.outcome(report))}}
        ]
    seen: dict[str, int] = {}
    # Longest first: "a.bin" is not the file of "a.bin.index.json: weight_map".
    paths = sorted((file.path for file in report.files), key=len, reverse=True)
    return {
        "tool": {
            "driver": {
                "name": visible(report.tool.name),
                "version": visible(report.tool.version),
                "rules": [_rule(worst[rule]) for rule in rules],
            }
        },
        "automationDetails": {"id": f"safe-load/{visible(report.source.path)}/"},
        "originalUriBaseIds": {"SOURCE": {"description": {"text": visible(report.source.path)}}},
        "invocations": [invocation],
        "columnKind": "unicodeCodePoints",
        "results": [_result(finding, paths, rules, seen) for finding in report.findings],
        "properties": {
            "verdict": report.verdict,
            "outcome": report.outcome,
            "sandbox": visible(story.sandbox(report)),
            "revision": visible(report.source.revision or ""),
        },
    }


def _rule(finding: Finding) -> dict[str, Any]:
    section = f"{FINDINGS_PAGE}#{quote(visible(finding.id).lower(), safe='')}"
    rule: dict[str, Any] = {
        "id": visible(finding.id),
        "shortDescription": {"text": visible(finding.title)},
        "help": {"text": f"What it means and what to do: {section}"},
        "defaultConfiguration": {"level": _LEVELS[finding.severity]},
        "properties": {"security-severity": _SCORES[finding.severity], "tags": ["security"]},
    }
    if "://" in FINDINGS_PAGE:
        rule["helpUri"] = section
    return rule


def _result(
    finding: Finding, paths: list[str], rules: list[str], seen: dict[str, int]
) -> dict[str, Any]:
    message = ": ".join(visible(part) for part in (finding.title, finding.detail) if part)
    # Times and process numbers change from run to run; these three do not.
    identity = f"{finding.id}\0{finding.location}\0{finding.title}"
    print_ = hashlib.sha256(identity.encode("utf-8", "backslashreplace")).hexdigest()[:32]
    seen[print_] = seen.get(print_, 0) + 1
    return {
        "ruleId": visible(finding.id),
        "ruleIndex": rules.index(finding.id),
        "level": _LEVELS[finding.severity],
        "message": {"text": _plain(message) or visible(finding.id)},
        "locations": [_location(finding, paths)],
        "partialFingerprints": {"safeLoadFinding/v1": f"{print_}:{seen[print_]}"},
        "rank": float(_SCORES[finding.severity]) * 10,
        "properties": {"severity": finding.severity},
    }


def _plain(message: str) -> str:
    """Text in which no [text](target) becomes a link (SARIF 2.1.0, 3.11.6)."""
    return re.sub(r"(\\*)([\[\]])", r"\1\1\\\2", message)


def _location(finding: Finding, paths: list[str]) -> dict[str, Any]:
    """The file that a finding's location begins with, else the source's only file, else itself."""
    path = next((path for path in paths if _within(finding.location, path)), None)
    if path is None:
        path = paths[0] if len(paths) == 1 else "."
    location: dict[str, Any] = {
        "physicalLocation": {
            "artifactLocation": {
                "uri": quote(path.lstrip("/").encode("utf-8", "backslashreplace"), safe="/."),
                "uriBaseId": "SOURCE",
            },
            "region": {"startLine": 1},
        }
    }
    if finding.location:
        location["logicalLocations"] = [{"fullyQualifiedName": visible(finding.location)}]
    return location


def _within(location: str, path: str) -> bool:
    """Whether a location is that file, or a place in it ("file: key", "file!member", "file#x")."""
    if not location.startswith(path):
        return False
    after = location[len(path) : len(path) + 1]
    return not after.isalnum() and after not in ("_", "-", ".", "/")
