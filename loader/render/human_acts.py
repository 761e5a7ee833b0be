"""The acts of a source at the terminal: a table, and where that is too wide, one below the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.padding import Padding
from rich.text import Text
from safe_load.core.escape import visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console
    from safe_load.render.acts import Act

SEVERITY = {"critical": "bold red", "high": "red", "medium": "yellow", "low": "cyan"}
#: Columns below which a table of acts would leave no room for what was done.
_TABLE_WIDTH = 66
#: Characters of one string: a quarter of a screen, so that none pushes the rest out of sight.
LONGEST = 500
#: The same where the whole answer is to fit on a screen.
SHORT = 160
#: Acts that fit on a screen beside the rest.
_MOST_ACTS = 10


def text_of(text: str, style: str = "", most: int = LONGEST) -> Text:
    return Text(visible(text, most), style=style, overflow="fold")


def lines_of(*lines: Text) -> Text:
    return Text("\n", overflow="fold").join(line for line in lines if line.plain)


def show(
    console: Console, done: Sequence[Act], most: int = _MOST_ACTS, *, payloads: bool = False
) -> None:
    if not done:
        return
    # Of very many, the grave ones; those that are shown stay in their order.
    kept = sorted(sorted(done, key=lambda act: -act.gravity)[:most], key=lambda act: act.t)
    console.print()
    if console.width < _TABLE_WIDTH:
        _stacked(console, kept, payloads=payloads)
    else:
        _table(console, kept, payloads=payloads)
    if len(done) > len(kept):
        console.print(text_of(f"  and {len(done) - len(kept)} more: -v, or --format json", "dim"))


def _since(act: Act, first: float) -> str:
    after = max(act.t - first, 0.0)
    return f"{after * 1000:.0f} ms" if after < 1 else f"{after:.1f} s"


def _table(console: Console, done: Sequence[Act], *, payloads: bool) -> None:
    """Rows whose notes may run below the columns of wall and finding: a note folds less there."""
    verbs = max(len(act.word) for act in done)
    walls = max(len(act.wall) for act in done)
    findings = max(_findings(act).cell_len for act in done)
    indent = 7 + 2 + verbs + 2
    room = console.width - indent - 2 - walls - 2 - findings
    titles = f"{'when':>7}  {'act':{verbs}}  {'what':{room}}  {'wall':{walls}}  finding"
    console.print(text_of(titles, "dim"))
    for act in done:
        what = text_of(act.short, most=LONGEST if payloads else SHORT)
        told = text_of(act.told, "dim", SHORT)
        if what.cell_len + 2 + told.cell_len <= room and told.plain:
            what, told = Text.assemble(what, "  ", told), Text()
        first, *more = what.wrap(console, room, overflow="fold")
        first.pad_right(room - first.cell_len)
        start = Text.assemble(
            text_of(f"{_since(act, done[0].t):>7}  ", "dim"), text_of(f"{act.word:{verbs}}", "bold")
        )
        end = Text.assemble(f"{act.wall:{walls}}  ", _findings(act))
        console.print(Text.assemble(start, "  ", first, "  ", end))
        below = [*more, *told.wrap(console, console.width - indent, overflow="fold")]
        if payloads and act.payload:
            below += text_of(act.payload, "dim").wrap(
                console, console.width - indent, overflow="fold"
            )
        for line in below:
            if line.plain:
                console.print(Text.assemble(" " * indent, line))


def _stacked(console: Console, done: Sequence[Act], *, payloads: bool) -> None:
    most = LONGEST if payloads else SHORT
    for act in done:
        console.print(
            Padding(
                lines_of(
                    Text.assemble(text_of(act.did, "bold"), " ", text_of(act.short, most=most)),
                    text_of(f"  {act.told}" if act.told else "", "dim", most),
                    text_of(act.payload if payloads else "", "dim"),
                    Text.assemble("  ", text_of(act.wall), " ", _findings(act)),
                ),
                (0, 0, 0, 2),
            )
        )


def _findings(act: Act) -> Text:
    if not act.findings:
        return text_of("none", "dim")
    ident, severity = act.findings[0]
    return Text.assemble(Text(f"{visible(ident)[:8]} "), text_of(severity, SEVERITY[severity]))
