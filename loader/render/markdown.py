"""Markdown for a pull request's comment or a job's summary page."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from safe_load.core.escape import visible
from safe_load.core.units import format_size
from safe_load.render import acts, origins, story, summary
from safe_load.render.interface import Format

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safe_load.core.report import Report
    from safe_load.render.acts import Act

_MOST = 50
_LONGEST = 500
#: Characters of a code span beside others.
_SHORT = 200
#: GitHub takes 65,536 characters in a comment, and a mebibyte in a job's summary.
_LONGEST_PAGE = 60_000
#: Sources that are told one by one; further clean ones are counted.
_MOST_CLEAN = 20
# Words that no renderer reads anything into: no dots, colons, slashes or at signs (autolinks and
# mentions work on plain text), no brackets, no emphasis, no entity, and no list at the start.
_WORDS = re.compile(r"[A-Za-z](?:[A-Za-z0-9 ,']|(?<=[A-Za-z0-9])-(?=[A-Za-z0-9]))*")


def cell(text: str, longest: int = _LONGEST) -> str:
    """Hostile text as inline markdown: as it is when it is plain words, else as a code span.

    In a code span nothing has a meaning but its own closing run of backticks, so the span is
    fenced with a longer one than any in the text (CommonMark 6.1). Not for tables: those split
    rows at a pipe before they look for code.
    """
    text = visible(text, longest)
    if _WORDS.fullmatch(text):
        return text
    longest_run = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * (longest_run + 1)
    if not text.strip():
        return "` `"
    # One space on each side is stripped by the reader, and keeps backticks at the ends apart.
    pad = " " if text[0] in "` " or text[-1] in "` " else ""
    return f"{fence}{pad}{text}{pad}{fence}"


class Markdown(Format):
    """CommonMark without tables, raw HTML or links, short enough for a comment."""

    name = "markdown"

    def render(self, reports: Sequence[Report]) -> bytes:
        unsafe = dict.fromkeys(filter(None, map(story.unsafe_profile, reports)))
        blocks = [f"**{cell(line)}**" for line in unsafe]
        if len(reports) != 1:
            blocks.append(f"**{story.totals(reports)}**")
        ordered = story.worst_first(reports)
        clean = [report for report in ordered if story.headline(report).tone == "good"]
        if len(clean) > _MOST_CLEAN:
            names = ", ".join(cell(story.headline(one).source, 80) for one in clean[:_MOST_CLEAN])
            counted = f"## ✓ {len(clean)} clean\n\n{names} and {len(clean) - _MOST_CLEAN} more"
            ordered = [report for report in ordered if story.headline(report).tone != "good"]
        else:
            counted = ""
        size = sum(map(len, blocks))
        for number, report in enumerate(ordered):
            told = _report(report)
            size += sum(len(block) + 2 for block in told)
            if number and size > _LONGEST_PAGE:
                left = len(ordered) - number
                blocks.append(f"**and {story.plural(left, 'source')} more: see the other reports**")
                blocks += [f"- {_head(one)}" for one in ordered[number : number + _MOST]]
                break
            blocks += told
        blocks += [counted] if counted else []
        blocks += [f"- {cell(line)}" for line in story.left_alone(reports)]
        return ("\n\n".join(blocks) + "\n").encode("utf-8", "backslashreplace")


def _head(report: Report) -> str:
    head = story.headline(report)
    return f"{head.mark} {head.word} {cell(head.source, _SHORT)}"


def _report(report: Report) -> list[str]:
    done = acts.acts(report)
    blocks = [f"## {_head(report)}"]
    blocks += [cell(said)] if (said := origins.line(report)) else []
    reason = [cell(sentence) for sentence in summary.reason(report, done)]
    calming = [*summary.calming(report, [act for act in done if act.findings])]
    blocks += ["  \n".join([*reason, *calming])] if reason or calming else []
    blocks += _list("What it did", [_act(act) for act in done if act.findings])
    blocks += _list("What to do", [_sentence(line) for line in summary.advice(report, done)])
    hashes = [f"SHA-256 {cell(digest)} {cell(path)}" for path, digest in summary.digests(report)]
    blocks += ["\n".join(f"- {line}" for line in hashes[:_MOST])] if hashes else []
    blocks += _list(
        "Findings",
        [
            f"**{finding.severity}** {cell(finding.id)} {cell(finding.title)}"
            + (f"  \n  {cell(summary.detail(finding))}" if finding.detail else "")
            + (f"  \n  at {cell(finding.location, _SHORT)}" if finding.location else "")
            + (f"  \n  {cell(story.accepted(finding), _SHORT)}" if finding.accepted else "")
            for finding in story.by_severity(report.findings)
        ],
    )
    others = [_act(act) for act in done if not act.findings]
    blocks += _list("Refused, and no finding", others)
    facts = {"sandbox": story.sandbox(report)}
    facts["read"] = story.files(report) if report.files else ""
    facts |= {"weights": story.weights(report), "settings": story.settings(report)}
    facts |= {"signed": story.signed(report)}
    blocks += _list("Contents", [f"{name}: {cell(fact)}" for name, fact in facts.items() if fact])
    blocks += _list("Notes", [cell(note) for note in (*story.caveats(report), *report.notes)])
    if report.export is not None:
        files = [f"{cell(f.path)} {format_size(f.size)}" for f in report.export.files]
        blocks += _list(f"Exported to {cell(report.export.path)}", files)
        # Every line begins with a word of ours, so none can close the fence.
        if code := [visible(line, _LONGEST) for line in story.next_step(report)]:
            blocks.append("\n".join(["```python", *code, "```"]))
    return blocks


def _act(act: Act) -> str:
    found = f", {cell(act.findings[0][0])} {act.findings[0][1]}" if act.findings else ""
    told = f" {cell(act.told, _SHORT)}" if act.told else ""
    payload = f"  \n  {cell(act.payload)}" if act.payload else ""
    return f"**{act.did}** {cell(act.short, _LONGEST)}{told} → {act.wall}{found}{payload}"


def _sentence(text: str) -> str:
    """Advice: a sentence of ours, which may hold names of the model's."""
    plain = text.removesuffix(".")
    return text if plain != text and _WORDS.fullmatch(plain) else cell(text)


def _list(title: str, items: Sequence[str]) -> list[str]:
    if not items:
        return []
    shown = [f"- {item}" for item in items[:_MOST]]
    if len(items) > _MOST:
        shown.append(f"- and {len(items) - _MOST} more")
    return [f"### {title}", "\n".join(shown)]
