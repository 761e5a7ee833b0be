"""Commands that answer with one document of their own form: asked with progress, shown or written, findings told."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from safe_load.cli import outputs, terminal
from safe_load.core.atomic_files import replace_file
from safe_load.core.errors import UsageError
from safe_load.render.progress import shown, watched

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from safe_load.cli.settings import Settings
    from safe_load.cli.show import Page
    from safe_load.core.options import Progress
    from safe_load.core.report import Finding


class Done(Protocol):
    """What came of it. ok: no finding reaches --fail-on."""

    @property
    def ok(self) -> bool: ...

    @property
    def notes(self) -> Sequence[str]: ...

    @property
    def findings(self) -> Sequence[Finding]: ...


_Done = TypeVar("_Done", bound=Done)


def answer(
    source: str,
    settings: Settings,
    output: str | None,
    ask: Callable[[Callable[[Progress], None] | None], _Done],
    document: Callable[[_Done], bytes],
) -> int:
    """Ask, and show what came of it. Returns 0, or 1 for a finding at or above --fail-on.

    Raises UsageError for an output that cannot be written, and what asking raises.
    """
    place = None if output is None else Path(output)
    outputs.check([(settings.format, place)])
    watching = watched(quiet=settings.quiet)
    color = settings.color is not False
    with shown(source, color=color) if watching else nullcontext() as show:
        done = ask(show)
    data = document(done)
    if place is None:
        terminal.write(data)
    else:
        try:
            replace_file(place.resolve(), data, mode=0o666)
        except OSError as error:
            raise UsageError(f"{output} was not written: {error.strerror or error}") from error
    if settings.format != "human" or place is not None:
        for note in done.notes:
            terminal.note(f"note: {note}")
        for found in done.findings:
            terminal.note(f"{found.severity} {found.id}: {found.title}: {found.detail}")
    return 0 if done.ok else 1


def told(page: Page, done: Done) -> None:
    """The findings on a page."""
    for each in done.findings:
        page.line(f"{each.severity} {each.id}  {each.title}", "bold red", gap=True)
        page.line(f"  {each.detail}")
