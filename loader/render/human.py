"""A report for the person at the terminal: the verdict first and last, between them what the model did, why,
and what to do. `view.verbose` shows the rest."""

from __future__ import annotations

from collections import Counter
from io import StringIO
from typing import TYPE_CHECKING, TypeVar

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from safe_load.core.escape import visible
from safe_load.core.report import EXIT_CODES
from safe_load.core.units import format_size
from safe_load.render import acts, human_acts, origins, story, summary
from safe_load.render.human_acts import SEVERITY, SHORT, lines_of, text_of
from safe_load.render.interface import Format

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from safe_load.core.report import Finding, Report
    from safe_load.render.story import Tone

_Item = TypeVar("_Item")

_COLORS: dict[Tone, str] = {"good": "green", "warn": "yellow", "bad": "red", "plain": "cyan"}
_MIN_WIDTH = 40
#: Findings that fit on a screen beside the rest.
_MOST_FINDINGS = 5
#: Sources that are shown in full where several were opened.
_MOST_IN_FULL = 3


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
        for unsafe in dict.fromkeys(map(story.unsafe_profile, reports)):
            if unsafe:
                console.print(text_of(f"! {unsafe}", "bold red"))
        ordered = story.worst_first(reports)
        if len(reports) == 1:
            _one(console, reports[0], brief=self.view.brief, verbose=self.view.verbose)
        elif self.view.brief:
            for report in ordered:
                _headline(console, report, told=False)
                _reason(console, report)
        else:
            _several(console, ordered, verbose=self.view.verbose)
        if len(reports) != 1:
            _totals(console, ordered)
        for line in story.left_alone(reports):
            console.print(text_of(line, "dim"))
        # rich pads every cell of a grid; trailing blanks only get in the way of a copy and paste.
        lines = [line.rstrip() for line in out.getvalue().splitlines()]
        return ("\n".join(lines) + "\n").encode("utf-8", "backslashreplace")


def _one(console: Console, report: Report, *, brief: bool, verbose: bool) -> None:
    _headline(console, report, told=not brief)
    if brief:
        _reason(console, report)
        return
    if verbose:
        _in_full(console, report)
    elif report.verdict in ("malicious", "suspicious"):
        _alarm(console, report)
    else:
        _contents(console, report)
    if report.verdict in ("malicious", "suspicious"):
        console.print(_last_line(report))


def _several(console: Console, ordered: Sequence[Report], *, verbose: bool) -> None:
    """The bad ones first, in full while they are few; those that passed as one line, which counts them."""
    bad = [report for report in ordered if story.headline(report).tone != "good"]
    good = [report for report in ordered if story.headline(report).tone == "good"]
    for number, report in enumerate(bad):
        in_full = verbose or number < _MOST_IN_FULL
        if number and in_full:
            console.print()
        _headline(console, report, where=verbose)
        if verbose:
            _in_full(console, report)
        elif in_full and report.findings:
            _alarm(console, report, hint=False)
        else:
            _reason(console, report)
    if bad and good:
        console.print()
    if verbose or len(good) <= _MOST_IN_FULL:
        for report in good:
            _headline(console, report, where=verbose, told=verbose)
    elif good:
        counted = f"✓ {len(good)} clean"
        console.print(
            Text.assemble(text_of(counted, "bold green"), "  ", text_of("-v names them", "dim"))
        )
    console.print()


def _totals(console: Console, ordered: Sequence[Report]) -> None:
    console.print(text_of(story.totals(ordered), "bold"))
    bad = [report for report in ordered if report.outcome != "ok"]
    by_ending = Counter(story.OUTCOMES[report.outcome] for report in bad)
    for ending in by_ending:
        names = [
            visible(story.headline(report).source, SHORT)
            for report in bad
            if story.OUTCOMES[report.outcome] == ending
        ]
        shown = ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
        console.print(
            Text.assemble(text_of(f"{ending}: ", "bold red"), Text(shown, overflow="fold"))
        )


def _headline(console: Console, report: Report, *, where: bool = True, told: bool = True) -> None:
    """told: also publisher and pin."""
    head = story.headline(report)
    line = Text.assemble(
        text_of(f"{head.mark} {head.word}", f"bold {_COLORS[head.tone]}"),
        "  ",
        text_of(head.source, "bold"),
    )
    room = text_of(f"sandbox: {head.sandbox}", "dim")
    if where and line.cell_len + 3 + room.cell_len <= console.width:
        line = Text.assemble(line, "   ", room)
        where = False
    console.print(line)
    if where:
        console.print(Padding(room, (0, 0, 0, 2)))
    if told and (said := origins.line(report)):
        style = "dim" if report.source.pinned is not False else "yellow"
        console.print(Padding(text_of(said, style), (0, 0, 0, 2)))


def _last_line(report: Report) -> Text:
    head = story.headline(report)
    ended = story.OUTCOMES[report.outcome]
    ended = "" if report.outcome == "ok" else f", {ended} (exit {EXIT_CODES[report.outcome]})"
    return Text.assemble(
        text_of(f"{head.mark} {head.word}: ", f"bold {_COLORS[head.tone]}"),
        text_of(head.source, "bold", SHORT),
        text_of(ended),
    )


def _paragraph(console: Console, sentences: Sequence[str], style: str = "") -> None:
    if sentences:
        # Cut where the words are, so that one long name does not push the others out of sight.
        console.print(Padding(text_of(" ".join(sentences), style, 4 * SHORT), (0, 0, 0, 2)))


def _reason(console: Console, report: Report) -> None:
    """Why a source did not pass, in the first of its sentences."""
    if story.headline(report).tone != "good" and (
        said := summary.reason(report, acts.acts(report))
    ):
        console.print(Padding(text_of(said[0], most=2 * SHORT), (0, 0, 0, 2)))


def _alarm(console: Console, report: Report, *, hint: bool = True) -> None:
    """Why, what it did, what the files hold besides, and what to do: at most a screen."""
    done = acts.acts(report)
    _paragraph(console, summary.reason(report, done))
    judged = [act for act in done if act.findings]
    human_acts.show(console, judged)
    _others(console, report)
    console.print()
    _paragraph(console, summary.calming(report, judged))
    if todo := summary.advice(report, done):
        _paragraph(console, ["What to do:", *todo])
    for weak in story.caveats(report)[:1]:
        _paragraph(console, [f"{weak}."])
    if hint:
        bytes_ = "bytes, " if any(act.payload for act in judged) else ""
        found = story.plural(len(report.findings), "finding")
        said = f"-v: {bytes_}{found}, notes, hashes. --report html=FILE: a page to show."
        console.print(Padding(text_of(said, "dim"), (0, 0, 0, 2)))


def _others(console: Console, report: Report) -> None:
    """Findings on what the files hold, where they say more than the reason and the acts."""
    reason = summary.reason(report, acts.acts(report))
    origin = summary.cause(report)
    shown = [
        found
        for found in story.counting(report)
        if not found.evidence
        and not summary.is_call(found.origin, origin)
        and summary.detail(found)[:100] != (reason[0][:100] if reason else "")
    ]
    shown = [each for each in shown if each.severity != "low"]
    if not shown:
        return
    console.print()
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold", ratio=1)
    for found in shown[:_MOST_FINDINGS]:
        table.add_row(
            text_of(found.severity, SEVERITY[found.severity]),
            Text(visible(found.id)[:8], "bold"),
            text_of(summary.detail(found) or found.title, most=SHORT),
        )
    console.print(Padding(table, (0, 0, 0, 2)))
    if len(shown) > _MOST_FINDINGS:
        console.print(
            text_of(f"  and {len(shown) - _MOST_FINDINGS} more: -v, or --format json", "dim")
        )


def _in_full(console: Console, report: Report) -> None:
    done = acts.acts(report)
    _paragraph(console, summary.reason(report, done))
    human_acts.show(console, done, 200, payloads=True)
    if rest := acts.ordinary(report):
        named = ", ".join(f"{call} {count}" for call, count in rest.most_common(12))
        console.print(Padding(text_of(f"refused, and no finding: {named}", "dim"), (0, 0, 0, 2)))
    _section(console, "Findings", story.by_severity(report.findings), _finding, 50)
    advice = [*summary.calming(report, done), *summary.advice(report, done)]
    _section(console, "What to do", [("·", line) for line in advice], _fact)
    hashes = [(digest, path) for path, digest in summary.digests(report)]
    _section(console, "SHA-256", hashes, _fact, 10)
    weak = [w for w in report.sandbox.walls if w.state != "standing"]
    _section(console, "Walls", [(f"{w.name} {w.state}", w.detail) for w in weak], _fact)
    _contents(console, report, most=200)


def _contents(console: Console, report: Report, most: int = 10) -> None:
    if most == 10 and report.verdict not in ("malicious", "suspicious"):
        _paragraph(console, [said] if (said := story.outcome(report)) else [])
        low = story.by_severity(report.findings)
        _section(console, "Findings", low, _finding, _MOST_FINDINGS)
    facts = {
        "read": story.files(report) if report.files else "",
        "weights": story.weights(report),
        "names": story.names(report),
        "signed": story.signed(report),
        "settings": story.settings(report),
        **origins.facts(report, whole=most > 10),
    }
    _section(console, "Contents", [fact for fact in facts.items() if fact[1]], _fact)
    notes = [*story.caveats(report), *report.notes]
    _section(console, "Notes", [("·", note) for note in notes], _fact, most)
    if report.export is None:
        return
    files = [(file.path, format_size(file.size)) for file in report.export.files]
    _section(console, f"Exported to {report.export.path}", files, _fact, most)
    if code := story.next_step(report):
        console.print()
        console.print(text_of("Use it", "bold"))
        for line in code:
            # Not folded, however long a path is: what is copied from here has to run.
            console.print(text_of(f"  {line}"), soft_wrap=True)


def _finding(finding: Finding) -> tuple[Text, Text]:
    return text_of(finding.severity, SEVERITY[finding.severity]), lines_of(
        Text.assemble(text_of(finding.id, "bold"), " ", text_of(finding.title)),
        text_of(summary.detail(finding)),
        text_of(f"at {finding.location}" if finding.location else "", "dim"),
        text_of(story.accepted(finding), "green"),
    )


def _fact(fact: tuple[str, str]) -> tuple[Text, Text]:
    return text_of(fact[0]), text_of(fact[1])


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
    console.print(text_of(title, "bold"))
    table = Table.grid(padding=(0, 2, 0, 0))
    # A long label folds rather than pushing what it labels off the screen.
    table.add_column(overflow="fold", max_width=max(console.width // 2, 12))
    table.add_column(overflow="fold")
    for item in items[:most]:
        table.add_row(*row(item))
    console.print(Padding(table, (0, 0, 0, 2)))
    if most is not None and len(items) > most:
        left = len(items) - most
        console.print(text_of(f"  and {left} more: see --format json", "dim"))
