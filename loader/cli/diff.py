"""The command that compares two models: which tensors differ, how, and what kind of change that is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text
from safe_load.cli import answers, terminal
from safe_load.cli.show import Page
from safe_load.render import heat_map, weights
from safe_load.render.json import dump

if TYPE_CHECKING:
    from safe_load.cli.settings import Settings
    from safe_load.core.claims import Claim
    from safe_load.weights.opening import Comparison

FORMATS = ("human", "json", "html")
#: Tensors that are told one by one on a screen.
_MOST, _MOST_VERBOSE = 8, 200
_STYLES = {"good": "bold green", "plain": "bold cyan", "warn": "bold yellow", "bad": "bold red"}


def run(base: str, source: str, settings: Settings, output: str | None, claim: Claim | None) -> int:
    """Compare, and show what came of it. Returns 0, or 1 for a finding at or above --fail-on.

    Raises UsageError for a source that is not there and an output that cannot be written, and what opening
    a model raises.
    """
    from safe_load.weights import opening  # noqa: PLC0415 (not before the command line is known to be right)

    for each in (base, source):
        opening.require_there(each)
    return answers.answer(
        source,
        settings,
        output,
        lambda show: opening.compare(base, source, settings.options, claim=claim, progress=show),
        lambda done: _document(done, source, settings),
    )


def _document(done: Comparison, source: str, settings: Settings) -> bytes:
    if settings.format == "json":
        return dump(done.difference)
    if settings.format == "html":
        return weights.page(source, done.weights, done.findings, done.notes)
    return _human(done, source, settings)


def _human(done: Comparison, source: str, settings: Settings) -> bytes:
    page = Page(settings.color)
    told = done.weights
    mark, tone = weights.MARKS[told.difference.kind]
    style = _STYLES[tone if done.ok else "bad"]
    page.line(f"{mark} {weights.headline(told)}", style)
    page.line(f"  {source}, compared with {told.base}")
    if settings.quiet:
        return page.data()
    answers.told(page, done)
    rows = weights.told(told, _MOST_VERBOSE if settings.verbose else _MOST)
    if rows:
        page.line("", gap=False)
        head = tuple(Text(column, "dim") for column in ("tensor", *weights.COLUMNS))
        page.table([head, *rows])
        changed = sum(each.state != "identical" for each in told.difference.tensors)
        if changed > len(rows):
            page.line(f"  and {changed - len(rows)} more; --format json has all")
        for line in heat_map.lines(told, terminal.view(color=settings.color).width):
            page.line(f"  {line}".rstrip(), gap=line.startswith("layer"))
    for note in done.notes:
        page.line(f"  Note: {note}")
    if limit := weights.LIMIT[told.difference.kind]:
        page.line(f"  {limit}")
    return page.data()
