"""JUnit XML, which every CI system shows: one suite for the run, one test case for each source.

There is no one standard. This is what the two schemas in use both take, that of Ant's JUnit task (windyroad/
JUnit-Schema) and that of the Jenkins xUnit plugin: the attributes and the order of elements that the first demands,
none that the second does not know, and no output within a test case.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from safe_load.core.escape import visible
from safe_load.render import acts, story, summary
from safe_load.render.interface import Format

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safe_load.core.report import Report

#: ISO 8601 without a zone, as the schemas want it; all times of reports are UTC.
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")


class JUnit(Format):
    """A rejected source is a failure; one that could not be judged is an error; the rest pass."""

    name = "junit"

    def render(self, reports: Sequence[Report]) -> bytes:
        began = _TIME.match(reports[0].started) if reports else None
        root = ET.Element("testsuites")
        suite = ET.SubElement(
            root,
            "testsuite",
            {
                "id": "0",
                "name": "safe-load",
                "package": "safe-load",
                "timestamp": began[0] if began else "1970-01-01T00:00:00",
                "hostname": "localhost",
                "tests": str(len(reports)),
                "failures": str(sum(report.outcome == "rejected" for report in reports)),
                "errors": str(sum(report.outcome not in ("ok", "rejected") for report in reports)),
                "skipped": "0",
                "time": f"{sum(report.duration_s for report in reports):.3f}",
            },
        )
        properties = ET.SubElement(suite, "properties")
        for name, value in _properties(reports):
            ET.SubElement(properties, "property", {"name": name, "value": value})
        for report in reports:
            _case(suite, report)
        passed = [line for report in reports if report.outcome == "ok" for line in _passed(report)]
        ET.SubElement(suite, "system-out").text = "\n".join([*passed, *story.left_alone(reports)])
        ET.SubElement(suite, "system-err").text = ""
        ET.indent(root)
        # What XML 1.0 cannot hold (control characters, surrogates, U+FFFE) `visible` has escaped.
        text = ET.tostring(root, encoding="unicode")
        return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'.encode()


def _properties(reports: Sequence[Report]) -> list[tuple[str, str]]:
    tools = dict.fromkeys(f"{report.tool.name} {report.tool.version}" for report in reports)
    profiles = dict.fromkeys(report.sandbox.profile for report in reports)
    return [
        *(("tool", visible(tool)) for tool in tools),
        *(("profile", visible(profile)) for profile in profiles),
    ]


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
    if report.outcome == "ok":
        return
    why = " ".join(summary.reason(report, acts.acts(report))) or story.outcome(report)
    result = ET.SubElement(
        case,
        "failure" if report.outcome == "rejected" else "error",
        {"type": report.outcome, "message": visible(f"{report.outcome}: {why}")},
    )
    result.text = "\n".join(_lines(report))


def _passed(report: Report) -> list[str]:
    """What is known of a source that passed, if anything."""
    return [f"{visible(story.headline(report).source)}: {line}" for line in _lines(report)]


def _lines(report: Report) -> list[str]:
    done = acts.acts(report)
    lines = [
        f"{finding.severity}  {visible(finding.id)} {visible(finding.title)}: {visible(finding.detail)}"
        + (f" (at {visible(finding.location)})" if finding.location else "")
        + (f"  {visible(story.accepted(finding))}" if finding.accepted else "")
        for finding in story.by_severity(report.findings)
    ]
    lines += [
        f"{act.did}  {visible(act.what)}  {visible(act.told)}".rstrip()
        + f"  {act.wall}"
        + (f"  {visible(act.payload)}" if act.payload else "")
        for act in done
    ]
    return [*lines, *(f"what to do: {visible(line)}" for line in summary.advice(report, done))]
