"""A report for the person at the terminal: the verdict first, then what it tried, then what is left."""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING, TypeVar

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from safe_load.formats import story
from safe_load.formats.escape import visible
from safe_load.formats.interface import Format
from safe_load.profiles.units import format_size

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from safe_load.formats.story import Attempt, Tone
    from safe_load.report import Finding, Report, Severity

_Item = TypeVar("_Item")

_COLORS: dict[Tone, str] = {"good": "green", "warn": "yellow", "bad": "red", "plain": "cyan"}
_SEVERITY: dict[Severity, str] = {
    "critical": "bold red",
    "high": "red",
    "medium": "yellow",
    "low": "cyan",
}
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
    _section(console, "What it tried", story.attempts(report), _attempt, 20)
    _section(console, "Findings", story.by_severity(report.findings), _finding, 50)
    facts = {
        "read": story.files(report) if report.files else "",
        "weights": story.weights(report),
    }
    _section(console, "Contents", [fact for fact in facts.items() if fact[1]], _fact)
    notes = [*story.caveats(report), *report.notes]
    _section(console, "Notes", [("·", note) for note in notes], _fact, 10)
    if report.export is None:
        return
    files = [(file.path, format_size(file.size)) for file in report.export.files]
    _section(console, f"Exported to {report.export.path}", files, _fact, 10)
    if code := story.next_step(report):
        console.print()
        console.print(_text("Use it", "bold"))
        for line in code:
            console.print(Padding(_text(line), (0, 0, 0, 2)))


def _attempt(attempt: Attempt) -> tuple[Text, Text]:
    what = Text.assemble(_text(attempt.what), "  ", _text(attempt.note, "dim"))
    return _text(attempt.kind), what


def _finding(finding: Finding) -> tuple[Text, Text]:
    return _text(finding.severity, _SEVERITY[finding.severity]), _lines(
        Text.assemble(_text(finding.id, "bold"), " ", _text(finding.title)),
        _text(finding.detail),
        _text(f"at {finding.location}" if finding.location else "", "dim"),
    )


def _fact(fact: tuple[str, str]) -> tuple[Text, Text]:
    return _text(fact[0]), _text(fact[1])


def _lines(*lines: Text) -> Text:
    return Text("\n", overflow="fold").join(line for line in lines if line.plain)


def _section(
    console: Console,
    title: str,
    items: Sequence[_Item],
    row: Callable[[_Item], tuple[Text, Text]],
    most: int | None = None,
) -> None:
    """A title and a table with a row for each item, of the first `most` items."""
    if not items:
        return
    console.print()
    console.print(_text(title, "bold"))
    table = Table.grid(padding=(0, 2, 0, 0))
    # A long label folds rather than pushing what it labels off the screen.
    table.add_column(overflow="fold", max_width=max(console.width // 2, 12))
    table.add_column(overflow="fold")
    for item in items[:most]:
        table.add_row(*row(item))
    console.print(Padding(table, (0, 0, 0, 2)))
    if most is not None and len(items) > most:
        left = len(items) - most
        console.print(_text(f"  and {left} more; --format json has them all", "dim"))
