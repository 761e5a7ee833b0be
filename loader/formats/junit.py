"""JUnit XML, which every CI system shows: one suite for the run, one test case for each source."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from safe_load.formats import story
from safe_load.formats.escape import visible
from safe_load.formats.interface import Format

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safe_load.report import Report


class JUnit(Format):
    """A rejected source is a failure; one that could not be judged is an error; the rest pass."""

    name = "junit"

    def render(self, reports: Sequence[Report]) -> bytes:
        totals = {
            "tests": len(reports),
            "failures": sum(report.outcome == "rejected" for report in reports),
            "errors": sum(report.outcome not in ("ok", "rejected") for report in reports),
            "skipped": 0,
            "time": f"{sum(report.duration_s for report in reports):.3f}",
        }
        attributes = {key: str(value) for key, value in totals.items()}
        root = ET.Element("testsuites", {"name": "safe-load", **attributes})
        suite = ET.SubElement(root, "testsuite", {"name": "safe-load", **attributes})
        if reports:
            suite.set("timestamp", visible(reports[0].started).rstrip("Z"))
        for report in reports:
            _case(suite, report)
        ET.indent(root)
        # What XML 1.0 cannot hold (control characters, surrogates, U+FFFE) `visible` has escaped.
        text = ET.tostring(root, encoding="unicode")
        return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'.encode()


def _case(suite: ET.Element, report: Report) -> None:
    case = ET.SubElement(
        suite,
        "testcase",
        {
            "classname": "safe-load",
            "name": visible(story.headline(report).source),
            "time": f"{report.duration_s:.3f}",
        },
    )
    found = "\n".join(_lines(report))
    if report.outcome == "ok":
        if found:
            ET.SubElement(case, "system-out").text = found
        return
    result = ET.SubElement(
        case,
        "failure" if report.outcome == "rejected" else "error",
        {"type": report.outcome, "message": visible(story.outcome(report))},
    )
    result.text = found


def _lines(report: Report) -> list[str]:
    lines = [
        f"{finding.severity}  {visible(finding.id)} {visible(finding.title)}: {visible(finding.detail)}"
        + (f" (at {visible(finding.location)})" if finding.location else "")
        for finding in story.by_severity(report.findings)
    ]
    lines += [
        f"{attempt.kind}  {visible(attempt.what)}  {visible(attempt.note)}".rstrip()
        for attempt in story.attempts(report)
    ]
    return lines
