"""Markdown for a pull request's comment or a job's summary page."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from safe_load.formats import story
from safe_load.formats.escape import visible
from safe_load.formats.interface import Format
from safe_load.profiles.units import format_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safe_load.report import Report

_MOST = 50
_LONGEST = 500
# Words that no renderer reads anything into: no dots, colons, slashes or at signs (autolinks and
# mentions work on plain text), no brackets, no emphasis, no entity, and no list at the start.
_WORDS = re.compile(r"[A-Za-z](?:[A-Za-z0-9 ,']|(?<=[A-Za-z0-9])-(?=[A-Za-z0-9]))*")


def cell(text: str) -> str:
    """Hostile text as inline markdown: as it is when it is plain words, else as a code span.

    In a code span nothing has a meaning but its own closing run of backticks, so the span is
    fenced with a longer one than any in the text (CommonMark 6.1). Not for tables: those split
    rows at a pipe before they look for code.
    """
    text = visible(text, _LONGEST)
    if _WORDS.fullmatch(text):
        return text
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * (longest + 1)
    if not text.strip():
        return "` `"
    # One space on each side is stripped by the reader, and keeps backticks at the ends apart.
    pad = " " if text[0] in "` " or text[-1] in "` " else ""
    return f"{fence}{pad}{text}{pad}{fence}"


class Markdown(Format):
    """CommonMark without tables, raw HTML or links."""

    name = "markdown"

    def render(self, reports: Sequence[Report]) -> bytes:
        blocks = [block for report in reports for block in _report(report)]
        if len(reports) != 1:
            blocks.insert(0, f"**{story.totals(reports)}**")
        return ("\n\n".join(blocks) + "\n").encode("utf-8", "backslashreplace")


def _report(report: Report) -> list[str]:
    head = story.headline(report)
    blocks = [f"## {head.mark} {head.word} {cell(head.source)}"]
    ended = story.outcome(report)
    blocks.append(f"sandbox: {cell(head.sandbox)}" + (f"  \n{cell(ended)}" if ended else ""))
    blocks += _list(
        "Findings",
        [
            f"**{finding.severity}** {cell(finding.id)} {cell(finding.title)}"
            + (f"  \n  {cell(finding.detail)}" if finding.detail else "")
            + (f"  \n  at {cell(finding.location)}" if finding.location else "")
            for finding in story.by_severity(report.findings)
        ],
    )
    blocks += _list(
        "What it tried",
        [
            f"{attempt.kind} {cell(attempt.what)}"
            + (f" {cell(attempt.note)}" if attempt.note else "")
            for attempt in story.attempts(report)
        ],
    )
    facts = {"read": story.files(report) if report.files else "", "weights": story.weights(report)}
    blocks += _list("Contents", [f"{name}: {cell(fact)}" for name, fact in facts.items() if fact])
    blocks += _list("Notes", [cell(note) for note in (*story.caveats(report), *report.notes)])
    if report.export is not None:
        files = [f"{cell(f.path)} {format_size(f.size)}" for f in report.export.files]
        blocks += _list(f"Exported to {cell(report.export.path)}", files)
        # Every line begins with a word of ours, so none can close the fence.
        if code := [visible(line, _LONGEST) for line in story.next_step(report)]:
            blocks.append("\n".join(["```python", *code, "```"]))
    return blocks


def _list(title: str, items: Sequence[str]) -> list[str]:
    if not items:
        return []
    shown = [f"- {item}" for item in items[:_MOST]]
    if len(items) > _MOST:
        shown.append(f"- and {len(items) - _MOST} more")
    return [f"### {title}", "\n".join(shown)]
