"""The command that asks a cleared model for triggers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text
from safe_load.cli import answers
from safe_load.cli.show import Page
from safe_load.core.escape import visible
from safe_load.render.json import dump

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safe_load.cli.settings import Settings
    from safe_load.core.probe import Trigger
    from safe_load.probing.opening import Probed

#: Candidates that are told one by one on a screen.
_MOST, _MOST_VERBOSE = 3, 50


def run(
    cleared: str, settings: Settings, output: str | None, base: str | None, sets: Sequence[str], seed: int
) -> int:  # fmt: skip
    """Ask, and show what came of it. Returns 0, or 1 for a finding at or above --fail-on.

    Raises UsageError for a set that cannot be read and an output that cannot be written, and what opening the
    folder raises.
    """
    from safe_load.probing import opening  # noqa: PLC0415 (not before the command line is known to be right)

    return answers.answer(
        cleared,
        settings,
        output,
        lambda show: opening.probe(
            cleared, settings.options, base=base, own_sets=tuple(sets), seed=seed, progress=show
        ),
        lambda done: dump(done.probing) if settings.format == "json" else _human(done, settings),
    )


def _human(done: Probed, settings: Settings) -> bytes:
    page = Page(settings.color)
    found = done.probing.result == "found"
    style = "bold red" if not done.ok else "bold yellow" if found else "bold cyan"
    page.line(f"{'✗' if found else '-'} {done.probing.sentence}", style)
    page.line(f"  {done.source}")
    if settings.quiet:
        return page.data()
    answers.told(page, done)
    told = done.probing.triggers[: _MOST_VERBOSE if settings.verbose else _MOST]
    if told:
        page.line("", gap=False)
        head = ("tried", "from", "the model writes", "in", "probability", "without", "q")
        page.table([tuple(Text(column, "dim") for column in head), *map(_row, told)])
    for note in done.notes:
        page.line(f"  Note: {note}")
    return page.data()


def _row(each: Trigger) -> tuple[str, ...]:
    return (
        visible(each.text, 40), (each.id and visible(each.id, 24)) or each.origin, visible(each.output, 40),
        f"{each.agreement:.0%}", f"{each.probability:.2f}", f"{each.before:.2f}", f"{each.q:.3f}",
    )  # fmt: skip
