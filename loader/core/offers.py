"""What MCP servers offered, of the report that `safe-load mcp inspect` wrote. Read bounded and typed: its strings may be
a server's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from safe_load.core import typed
from safe_load.core.errors import UsageError
from safe_load.core.escape import visible
from safe_load.core.tool_report import Offer  # noqa: TC002 - msgspec reads it

if TYPE_CHECKING:
    from pathlib import Path

_LARGEST = 64 << 20


class _Saved(msgspec.Struct, frozen=True):
    """The part of a report, of one source or of several, that has offers."""

    offers: list[Offer] = []
    reports: list[_Saved] = []


def saved(path: Path, flag: str) -> list[Offer]:
    """The offers in a saved JSON report. flag: the option that named it. Raises UsageError."""
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError as error:
        raise UsageError(f"{flag} {path}: {error.strerror}") from error
    try:
        if len(data) > _LARGEST:
            raise ValueError(f"larger than {_LARGEST >> 20} MiB")
        held = typed.decode(data, _Saved)
    except (ValueError, RecursionError) as error:
        told = visible(str(error), 200)
        raise UsageError(f"{flag} {path}: no report of `safe-load mcp inspect`: {told}") from error
    return [*held.offers, *(offer for each in held.reports for offer in each.offers)]
