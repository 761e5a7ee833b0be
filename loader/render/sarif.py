"""SARIF 2.1.0, which code scanning dashboards and editors read: one run for all sources.

GitHub takes at most 20 runs of a file, shows a result beside the code only where its path starts at the root of
the checkout, wants a fullDescription with each rule, and goes by `primaryLocationLineHash` to know a result again
(docs.github.com, "SARIF support for code scanning").
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from safe_load.core.escape import visible
from safe_load.core.report import EXIT_CODES
from safe_load.core.version import version
from safe_load.render import origins, places, story, summary
from safe_load.render.interface import Format
from safe_load.render.json import dump
from safe_load.render.meanings import meanings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safe_load.core.report import Finding, Report, Severity

#: GitHub shows the first 5,000 results of a run and refuses one of more than 25,000; the gravest come first.
_MOST = 5000

#: What the root of the checkout is called by tools that GitHub knows.
_BASE = "%SRCROOT%"
_ARTICLES = frozenset(("a", "an", "the", "s"))
_LEVELS: dict[Severity, str] = {
    "low": "note",
    "medium": "warning",
    "high": "error",
    "critical": "error",
}
# "security-severity" is what dashboards sort by: the middle of each CVSS v3 band.
_SCORES: dict[Severity, str] = {"low": "2.0", "medium": "5.5", "high": "8.0", "critical": "9.5"}


class Sarif(Format):
    """Locations are relative to `view.root`, the root of the checkout. A rule carries the text of its section in
    docs/findings.md, and a link to it where `view.findings_url` says where that is."""

    name = "sarif"

    def render(self, reports: Sequence[Report]) -> bytes:
        return dump(
            {
                "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
                "version": "2.1.0",
                "runs": [self._run(reports)],
            }
        )

    def _run(self, reports: Sequence[Report]) -> dict[str, Any]:
        ordered = story.worst_first(reports)
        worst: dict[str, Finding] = {}
        for report in reports:
            for finding in report.findings:
                held = worst.get(finding.id)
                if held is None or _SCORES[finding.severity] > _SCORES[held.severity]:
                    worst[finding.id] = finding
        rules = sorted(worst)
        artifacts: dict[str, dict[str, Any]] = {}
        results: list[dict[str, Any]] = []
        seen: dict[str, int] = {}
        for report in ordered:
            found = story.by_severity(report.findings)[: _MOST - len(results)]
            results += [
                _result(finding, report, self.view.root, rules, seen, artifacts)
                for finding in found
            ]
        return {
            "tool": {
                "driver": {
                    "name": "safe-load",
                    "fullName": "safe-load, a sandbox that opens models and records what they do",
                    "version": visible(reports[0].tool.version if reports else version()),
                    "semanticVersion": _semantic(reports[0].tool.version if reports else version()),
                    **({"informationUri": url} if (url := self.view.findings_url) else {}),
                    "rules": [_rule(worst[rule], url) for rule in rules],
                }
            },
            "automationDetails": {"id": "safe-load/"},
            "originalUriBaseIds": {_BASE: {"description": {"text": "The root of the checkout."}}},
            "invocations": [_invocation(report) for report in ordered]
            or [{"executionSuccessful": True}],
            "columnKind": "unicodeCodePoints",
            "artifacts": list(artifacts.values()),
            "results": results,
            "properties": {
                "sources": [
                    {
                        "source": visible(story.headline(report).source),
                        "verdict": report.verdict,
                        "outcome": report.outcome,
                        "sandbox": visible(story.sandbox(report)),
                        "publisher": visible(origins.publisher(report)),
                        "pin": visible(origins.pin(report)),
                    }
                    for report in ordered
                ]
            },
        }


def _semantic(text: str) -> str:
    found = re.match(r"\d+\.\d+\.\d+", text)
    return found[0] if found else "0.0.0"


def _invocation(report: Report) -> dict[str, Any]:
    loaded = report.outcome in ("ok", "rejected")
    invocation: dict[str, Any] = {
        "executionSuccessful": loaded,
        "exitCode": EXIT_CODES[report.outcome],
        "exitCodeDescription": visible(story.OUTCOMES[report.outcome]),
    }
    if not loaded:
        source = visible(story.headline(report).source)
        invocation["toolExecutionNotifications"] = [
            {
                "level": "error",
                "message": {"text": _plain(f"{source}: {visible(story.outcome(report))}")},
            }
        ]
    return invocation


def _rule(finding: Finding, url: str) -> dict[str, Any]:
    known = meanings().get(finding.id)
    title = visible(finding.title)
    rule: dict[str, Any] = {
        "id": visible(finding.id),
        "name": _name(known.title if known else title),
        "shortDescription": {"text": title},
        "fullDescription": {"text": _sentence(known.meaning if known else title)},
        "help": {"text": title},
        "defaultConfiguration": {"level": _LEVELS[finding.severity]},
        "properties": {
            "security-severity": _SCORES[finding.severity],
            "precision": "high",
            "tags": ["security", *(re.split(r" · |, ", known.maps) if known else [])],
        },
    }
    if url:
        rule["helpUri"] = f"{url}#{quote(finding.id.lower())}"
    if known:
        parts = [known.meaning, f"What to do: {known.advice}", f"Maps to: {known.maps}"]
        rule["help"] = {
            "text": "\n\n".join(parts),
            "markdown": f"{known.meaning}\n\n**What to do.** {known.advice}\n\n_{known.maps}_",
        }
    return rule


def _sentence(text: str) -> str:
    """The first paragraph, with a full stop."""
    first = text.partition("\n")[0][:1000]
    return first if first.endswith(".") else f"{first.rstrip(':')}."


def _name(title: str) -> str:
    """The title as an identifier without articles: "ModelTriedToRunProgram"."""
    words = [word for word in re.findall(r"[A-Za-z]+", title) if word.lower() not in _ARTICLES]
    return "".join(map(str.capitalize, words))[:100] or "Finding"


def _result(
    finding: Finding,
    report: Report,
    root: str,
    rules: list[str],
    seen: dict[str, int],
    artifacts: dict[str, dict[str, Any]],
) -> dict[str, Any]:
    path = places.file_of(finding, report)
    uri = places.uri_of(report, path, root)
    message = ". ".join(
        visible(part).rstrip(".") for part in (finding.title, summary.detail(finding)) if part
    )
    if finding.origin is not None and finding.evidence:
        origin = finding.origin
        message += f". The call came from {visible(origin.file)}: {visible(origin.callable)}"
    # Times, process numbers and offsets change from run to run; these three do not.
    identity = f"{finding.id}\0{uri}\0{places.place_of(finding)}"
    print_ = hashlib.sha256(identity.encode("utf-8", "backslashreplace")).hexdigest()[:32]
    seen[print_] = seen.get(print_, 0) + 1
    mark = f"{print_}:{seen[print_]}"
    result: dict[str, Any] = {
        "ruleId": visible(finding.id),
        "ruleIndex": rules.index(finding.id),
        "level": _LEVELS[finding.severity],
        "kind": "fail",
        "message": {"text": f"{_plain(message) or visible(finding.id)}."},
        "locations": [_location(finding, report, path, uri, artifacts)],
        "partialFingerprints": {"primaryLocationLineHash": mark, "safeLoadFinding/v2": mark},
        "rank": float(_SCORES[finding.severity]) * 10,
        "properties": {
            "severity": finding.severity,
            "security-severity": _SCORES[finding.severity],
            "source": visible(story.headline(report).source),
        },
    }
    if finding.accepted is not None:  # code scanning shows it as dismissed
        told = visible(story.accepted(finding))
        result["suppressions"] = [{"kind": "external", "status": "accepted", "justification": told}]
    return result


def _plain(message: str) -> str:
    """Text in which no [text](target) becomes a link (SARIF 2.1.0, 3.11.6)."""
    return re.sub(r"(\\*)([\[\]])", r"\1\1\\\2", message)


def _location(
    finding: Finding,
    report: Report,
    path: str | None,
    uri: str,
    artifacts: dict[str, dict[str, Any]],
) -> dict[str, Any]:
    encoded = quote(uri.encode("utf-8", "backslashreplace"), safe="/.")
    if encoded not in artifacts:
        artifacts[encoded] = _artifact(report, path, encoded, len(artifacts))
    region: dict[str, Any] = {"startLine": finding.line or 1}
    if (at := places.byte_of(finding, path)) is not None:
        region |= {"byteOffset": at, "byteLength": 1}
    location: dict[str, Any] = {
        "physicalLocation": {
            "artifactLocation": {
                "uri": encoded,
                "uriBaseId": _BASE,
                "index": artifacts[encoded]["location"]["index"],
            },
            "region": region,
        }
    }
    if finding.location:
        location["logicalLocations"] = [{"fullyQualifiedName": visible(finding.location)}]
    return location


def _artifact(report: Report, path: str | None, encoded: str, index: int) -> dict[str, Any]:
    location = {"uri": encoded, "uriBaseId": _BASE, "index": index}
    artifact: dict[str, Any] = {"location": location}
    file = next((file for file in report.files if file.path == path), None)
    if file is not None:
        artifact["length"] = file.size
        if file.sha256:
            artifact["hashes"] = {"sha-256": visible(file.sha256)}
    return artifact
