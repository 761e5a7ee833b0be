"""What transformers keeps to itself and the drop-in has to know, one module for each range of versions."""

from __future__ import annotations

import re
import shlex
import sys
from functools import cache
from typing import TYPE_CHECKING

from safe_load.core.errors import UsageError
from safe_load.core.escape import visible
from safe_load.core.installed import need

if TYPE_CHECKING:
    from safe_load.dropin.compat.interface import Upstream

__all__ = ["upstream"]


@cache
def upstream() -> Upstream:
    """What the installed transformers is like inside. Imports transformers.

    Raises:
        UsageError: It is not installed, or no module here knows its version.
    """
    return of_version(need("transformers").__version__)


def of_version(version: str) -> Upstream:
    """What transformers of that version ("4.57.6") is like inside.

    Raises:
        UsageError: No module here knows this version.
    """
    numbers = re.match(r"(\d+)\.(\d+)", version)
    release = (int(numbers[1]), int(numbers[2])) if numbers else (0, 0)
    if (4, 57) <= release < (5, 0):
        from safe_load.dropin.compat.v4_57 import V4  # noqa: PLC0415 - one of them is needed

        return V4()
    if (5, 0) <= release < (6, 0):
        from safe_load.dropin.compat.v5 import V5  # noqa: PLC0415

        return V5()
    raise UsageError(
        f"transformers {visible(version)} is not supported: safe-load supports "
        f"versions 4.57 to 5. Install one of these: {shlex.quote(sys.executable)} -m pip install 'transformers>=4.57,<6'"
    )
