"""A report for the person at the terminal: the verdict first, then what it tried, then what is left."""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from safe_load.formats import story
from safe_load.formats.escape import visible
from safe_load.formats.interface import Format
from safe_load.profiles.units import format_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from safe_load.formats.story import Tone
    from safe_load.report import Report, Severity

_COLORS: dict[Tone, str] = {"good": "green", "warn": "yellow", "bad": "red", "plain": "cyan"}
_SEVERITY: dict[Severity, str] = {
    "critical": "bold red",
    "high": "red",
    "medium": "yellow",
    "low": "cyan",
}
_MOST = {"tried": 20, "findings": 50, "exported": 10, "notes": 10}
_MIN_WIDTH = 40
#: Characters of one string: a quarter of a screen, so that none pushes the rest out of sight.
_LONGEST = 500


class Human(Format):
    """Text for a terminal of `view.width` columns. All strings go through rich's Text, never markup."""

    name = "human"

    def render(self, reports: Sequence[Report]) -> bytes:
        out = StringIO()
        console = Console(
            file=out,
            width=max(self.view.width, _MIN_WIDTH),
            # One palette for all: the sixteen colours that a terminal's own theme decides.
            force_terminal=self.view.color,
            color_system="standard" if self.view.color else None,
            no_color=not self.view.color,
            markup=False,
            highlight=False,
            emoji=False,
            legacy_windows=False,
        )
        for number, report in enumerate(reports):
            if number and not self.view.brief:
                console.print()
            _headline(console, report)
            if not self.view.brief:
                _body(console, report)
        if len(reports) != 1:
            if not self.view.brief:
                console.print()
            console.print(_text(story.totals(reports), "bold"))
        # rich pads every cell of a grid; trailing blanks only get in the way of a copy and paste.
        lines = [line.rstrip() for line in out.getvalue().splitlines()]
        return ("\n".join(lines) + "\n").encode("utf-8", "backslashreplace")


def _text(text: str, style: str = "") -> Text:
    return Text(visible(text, _LONGEST), style=style, overflow="fold")


def _headline(console: Console, report: Report) -> None:
    head = story.headline(report)
    color = _COLORS[head.tone]
    line = Text.assemble(
        _text(f"{head.mark} {head.word}", f"bold {color}"), "  ", _text(head.source, "bold")
    )
    where = _text(f"sandbox: {head.sandbox}", "dim")
    if line.cell_len + 3 + where.cell_len <= console.width:
        console.print(Text.assemble(line, "   ", where))
    else:
        console.print(line)
        console.print(Padding(where, (0, 0, 0, 2)))
    ended = story.outcome(report)
    if ended:
        console.print(Padding(_text(ended), (0, 0, 0, 2)))


def _body(console: Console, report: Report) -> None:
    tried = story.attempts(report)
    _section(
        console,
        "What it tried",
        [
            (_text(attempt.kind), Text.assemble(_text(attempt.what), "  ", _text(attempt.note, "dim")))
            for attempt in tried
        ],
        _MOST["tried"],
    )
    _section(
        console,
        "Findings",
        [
            (
                _text(finding.severity, _SEVERITY[finding.severity]),
                _lines(
                    Text.assemble(_text(finding.id, "bold"), " ", _text(finding.title)),
                    _text(finding.detail),
                    _text(f"at {finding.location}" if finding.location else "", "dim"),
                ),
            )
            for finding in story.by_severity(report.findings)
        ],
        _MOST["findings"],
    )
    facts = {
        "read": story.files(report) if report.files else "",
        "weights": story.weights(report),
    }
    _section(console, "Contents", [(_text(k), _text(v)) for k, v in facts.items() if v])
    notes = [*story.caveats(report), *report.notes]
    _section(console, "Notes", [(_text("·"), _text(note)) for note in notes], _MOST["notes"])
    if report.export is not None:
        _section(
            console,
            f"Exported to {visible(report.export.path)}",
            [(_text(f.path), _text(format_size(f.size), "dim")) for f in report.export.files],
            _MOST["exported"],
        )
        if code := story.next_step(report):
            console.print()
            console.print(_text("Use it", "bold"))
            for line in code:
                console.print(Padding(_text(line), (0, 0, 0, 2)))


def _lines(*lines: Text) -> Text:
    return Text("\n", overflow="fold").join(line for line in lines if line.plain)


def _section(
    console: Console, title: str, rows: Sequence[tuple[Text, Text]], most: int | None = None
) -> None:
    if not rows:
        return
    console.print()
    console.print(_text(title, "bold"))
    shown: Iterable[tuple[Text, Text]] = rows if most is None else rows[:most]
    table = Table.grid(padding=(0, 2, 0, 0))
    # A long label folds rather than pushing what it labels off the screen.
    table.add_column(overflow="fold", max_width=max(console.width // 2, 12))
    table.add_column(overflow="fold")
    for label, text in shown:
        table.add_row(label, text)
    console.print(Padding(table, (0, 0, 0, 2)))
    left = len(rows) - most if most is not None else 0
    if left > 0:
        console.print(_text(f"  and {left} more; --format json has them all", "dim"))
