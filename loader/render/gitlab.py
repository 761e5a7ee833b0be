"""GitLab's code quality report: a JSON array that a merge request shows beside the changed files.

The fields are those of docs.gitlab.com, "Code Quality", "Code Quality report format".
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from safe_load.core.escape import visible
from safe_load.render import places, story, summary
from safe_load.render.interface import Format
from safe_load.render.json import dump

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safe_load.core.report import Finding, Report, Severity

_SEVERITIES: dict[Severity, str] = {
    "low": "info",
    "medium": "major",
    "high": "critical",
    "critical": "blocker",
}
#: Characters of a description; a merge request shows one line.
_LONGEST = 300


class GitLab(Format):
    """One entry for each finding, and one for each source that could not be judged."""

    name = "gitlab"

    def render(self, reports: Sequence[Report]) -> bytes:
        entries: list[dict[str, Any]] = []
        seen: dict[str, int] = {}
        for report in story.worst_first(reports):
            found = story.counting(report)
            entries += [self._finding(finding, report, seen) for finding in found]
            if report.outcome not in ("ok", "rejected"):
                uri = places.uri_of(report, None, self.view.root)
                entries.append(
                    _entry("not-judged", story.outcome(report), "blocker", uri, uri, seen)
                )
        return dump(entries)

    def _finding(self, finding: Finding, report: Report, seen: dict[str, int]) -> dict[str, Any]:
        uri = places.uri_of(report, places.file_of(finding, report), self.view.root)
        told = f"{finding.title}: {summary.detail(finding)}".rstrip(": ")
        place = f"{uri}\0{places.place_of(finding)}"
        return _entry(
            finding.id, told, _SEVERITIES[finding.severity], uri, place, seen, finding.line or 1
        )


def _entry(
    check: str, told: str, severity: str, uri: str, place: str, seen: dict[str, int], line: int = 1
) -> dict[str, Any]:
    identity = f"{check}\0{place}".encode("utf-8", "backslashreplace")
    print_ = hashlib.sha256(identity).hexdigest()[:32]
    seen[print_] = seen.get(print_, 0) + 1
    if seen[print_] > 1:  # GitLab takes entries of one fingerprint for one
        print_ = hashlib.sha256(f"{print_}:{seen[print_]}".encode()).hexdigest()[:32]
    return {
        "description": visible(told, _LONGEST),
        "check_name": visible(check),
        "fingerprint": print_,
        "severity": severity,
        "location": {"path": visible(uri), "lines": {"begin": line}},
    }
