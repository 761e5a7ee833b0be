"""The installed version of safe-load. Zone: controller."""

from __future__ import annotations

from functools import cache


@cache
def version() -> str:
    """The version of the installed distribution, "unknown" when run from a bare source tree."""
    # importlib.metadata costs 15 ms, a tenth of what `safe-load --help` may take.
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415

    try:
        return version("safe-load")
    except PackageNotFoundError:
        return "unknown"
