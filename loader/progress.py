"""How far a load has come, on stderr, for someone who is watching. Zone: controller."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from safe_load.formats.escape import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.progress import TaskID
    from safe_load.options import Progress

DOING = {
    "fetch": "downloading from the hub",
    "inventory": "listing and hashing files",
    "wait": "waiting for another process that clears it",
    "extract": "reading the weights as data",
    "detonate": "opening it inside the sandbox",
    "convert": "converting the tokenizer",
    "compare": "comparing what loaded with the bytes",
    "export": "writing the cleared copy",
}
_NAME_WIDTH = 30


def watched(*, quiet: bool) -> bool:
    """Whether anyone is there to see progress."""
    return not quiet and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


@contextmanager
def shown(source: str, *, color: bool) -> Iterator[Callable[[Progress], None]]:
    """A line for each running stage of one source, gone when the block ends."""
    from rich import progress as bars  # noqa: PLC0415 (60 ms that only a watched run pays)
    from rich.console import Console  # noqa: PLC0415

    console = Console(stderr=True, markup=False, highlight=False, emoji=False, no_color=not color)
    tasks: dict[str, TaskID] = {}
    name = visible(Path(source).name or source, _NAME_WIDTH)
    with bars.Progress(
        bars.SpinnerColumn(),
        bars.TextColumn(name, markup=False, style="bold"),
        bars.TextColumn("{task.description}", markup=False),
        bars.BarColumn(bar_width=20),
        bars.TaskProgressColumn(),
        bars.TimeElapsedColumn(),
        console=console,
        transient=True,
    ) as display:

        def show(step: Progress) -> None:
            if step.state == "start":
                tasks[step.stage] = display.add_task(DOING[step.stage], total=step.total)
            elif (task := tasks.get(step.stage)) is None:
                return
            elif step.state == "end":
                display.remove_task(tasks.pop(step.stage))
            else:
                display.update(task, completed=step.done or 0, total=step.total)

        yield show
