"""Progress for people who load models from Python: a line in a terminal, a bar in a notebook.

Zone: controller. Nothing is shown where nobody looks, where SAFE_LOAD_QUIET is set, and for a model
that the cache has already.
"""

from __future__ import annotations

import html
import os
import sys
import time
from contextlib import ExitStack, contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any

from safe_load.core.escape import visible
from safe_load.render.progress import DOING, shown, watched

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from safe_load.core.options import Progress

    Watcher = Callable[[Progress], None]

#: Stages that a model from the cache goes through too.
_AT_ONCE = frozenset({"inventory"})
_TICK = 0.1  # seconds
#: Held by the one load that is shown.
_shown = Lock()


@contextmanager
def watching(source: str, given: Watcher | None = None) -> Iterator[Watcher | None]:
    """Who is told of the steps of one load. given: the caller's own, which comes before ours."""
    begin = _notebook if _in_notebook() else _terminal
    if (
        given is not None
        or os.environ.get("SAFE_LOAD_QUIET")
        or not (_in_notebook() or watched(quiet=False))
    ):
        yield given
        return
    with ExitStack() as stack:
        lock = Lock()
        show: Watcher | None = None

        def start() -> Watcher:
            if not _shown.acquire(blocking=False):
                return _mute  # another thread's load has the line
            stack.callback(_shown.release)
            return stack.enter_context(begin(source))

        def tell(step: Progress) -> None:
            nonlocal show
            if step.stage in _AT_ONCE:
                return
            with lock:
                show = show or start()
                show(step)

        yield tell


def _mute(_: Progress) -> None:
    pass


@contextmanager
def _terminal(source: str) -> Iterator[Watcher]:
    from rich.errors import LiveError  # noqa: PLC0415

    line = shown(source, color=not os.environ.get("NO_COLOR"))
    try:
        show = line.__enter__()
    except LiveError:  # the program has a line of its own there
        yield _mute
        return
    try:
        yield show
    finally:
        line.__exit__(None, None, None)


def _in_notebook() -> bool:
    """Whether this is the kernel of a notebook."""
    shell: Any = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None


@contextmanager
def _notebook(source: str) -> Iterator[Watcher]:
    from IPython.display import HTML, display  # noqa: PLC0415 - only there is it installed

    handle: Any = display(HTML(""), display_id=True)
    running: dict[str, Progress] = {}
    updated = 0.0

    def show(step: Progress) -> None:
        nonlocal updated
        if step.state == "end":
            running.pop(step.stage, None)
        else:
            running[step.stage] = step
        if step.state == "progress" and time.monotonic() - updated < _TICK:
            return
        updated = time.monotonic()
        handle.update(HTML("".join(_bar(source, DOING[s.stage], s) for s in running.values())))

    try:
        yield show
    finally:
        handle.update(HTML(""))


def _bar(source: str, doing: str, step: Progress) -> str:
    name = html.escape(visible(os.path.basename(source) or source, 60))  # noqa: PTH119 - no path on a hub
    value = f' value="{step.done or 0}" max="{step.total}"' if step.total else ""
    return f"<div><b>{name}</b> {doing} <progress{value}></progress></div>"
