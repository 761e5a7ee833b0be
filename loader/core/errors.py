"""The errors a caller of safe_load can meet. Each carries the exit code of its row in the README.

Zone: controller.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, ClassVar

from safe_load.core.escape import visible

if TYPE_CHECKING:
    from collections.abc import Iterable

    from safe_load.core.result import BaseResult

#: Characters of an error's text. A model may have written part of it.
_LONGEST = 1000


class SafeLoadError(Exception):
    """Base of every error that safe_load raises on purpose.

    The text is one line of at most about a thousand characters. Control characters from a model are
    escaped.

    Attributes:
        result: The result of the load until it failed; None if nothing was opened.
        exit_code: The exit code of the command line for this error.
    """

    exit_code: ClassVar[int] = 4

    def __init__(self, message: str, result: BaseResult | None = None) -> None:
        super().__init__(visible(" ".join(message.split()), _LONGEST))
        self.result = result
        self._shown = False

    def _repr_html_(self) -> str | None:
        """What a notebook shows of the error: the card of its result."""
        card = getattr(self.result, "_repr_html_", None)
        return None if card is None else str(card())

    def _render_traceback_(self) -> list[str]:
        """IPython calls this in place of its own way to show an uncaught exception: a notebook gets the card of
        the result too, above the traceback."""
        ipython: Any = sys.modules.get("IPython")
        shell = getattr(ipython, "get_ipython", lambda: None)()
        if shell is None:
            import traceback  # noqa: PLC0415 - for notebooks

            return traceback.format_exception(self)
        kernel = getattr(shell, "kernel", None)
        if kernel is not None and not self._shown and (card := self._repr_html_()):
            self._shown = True  # ipykernel asks twice
            ipython.display.display(ipython.display.HTML(card))
        told = shell.InteractiveTB.structured_traceback(type(self), self, self.__traceback__)
        return list(told)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.result)


class Rejected(SafeLoadError):
    """A finding is at or above the threshold; nothing was exported. `result` has the findings."""

    exit_code = 1
    result: BaseResult

    def __init__(self, message: str, result: BaseResult) -> None:
        super().__init__(message, result)


class UsageError(SafeLoadError):
    """The call, the command line or the configuration is wrong."""

    exit_code = 2


class NotLoadable(SafeLoadError):
    """The source is corrupt, truncated, unsupported, or holds no model."""

    exit_code = 3


class SandboxError(SafeLoadError):
    """A wall that the profile demands could not be built, or broke. Nothing was exported."""

    exit_code = 4


class LimitHit(SafeLoadError):
    """A limit of the profile (time, memory, processes, disk) ended the load."""

    exit_code = 5


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, or SIGTERM, ended the load. `result` says what was seen until then."""

    exit_code: ClassVar[int] = 130

    def __init__(self, message: str = "interrupted", result: BaseResult | None = None) -> None:
        super().__init__(visible(" ".join(message.split()), _LONGEST))
        self.result = result


#: Which exit code speaks where several things ended badly: the first of these that any of them has.
#: The user's own Ctrl-C comes first, then known malice; a broken sandbox beats a limit, a limit beats
#: a source that is no model.
WORST_FIRST = (130, 1, 4, 5, 3, 2)


def code_of(error: BaseException) -> int:
    """The exit code that an error stands for: 4 for one that nobody planned."""
    if isinstance(error, KeyboardInterrupt):
        return Interrupted.exit_code
    return error.exit_code if isinstance(error, SafeLoadError) else SandboxError.exit_code


def worst(errors: Iterable[BaseException]) -> BaseException | None:
    """The first of the errors with the worst exit code, None of none."""
    return min(errors, key=lambda error: WORST_FIRST.index(code_of(error)), default=None)


def sentence(error: BaseException) -> str:
    """Why a load or a command ended, in a sentence for people."""
    if isinstance(error, KeyboardInterrupt):
        return str(error) or "interrupted"
    if isinstance(error, SafeLoadError):
        return str(error)
    what = f"{type(error).__name__}: {visible(str(error), 500)}".rstrip(": ")
    return (
        f"an unexpected failure inside safe-load ({what}); treat the source as not judged. "
        "SAFE_LOAD_DEBUG=1 shows the traceback"
    )
