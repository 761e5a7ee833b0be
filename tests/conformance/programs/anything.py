"""The one entry that all jobs of the suite have, as a warm room must know its entries ahead."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


def run(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    """Call argument["entry"], "module:function", with argument["argument"]."""
    module, _, name = argument["entry"].partition(":")
    value: dict[str, Any] = getattr(importlib.import_module(module), name)(
        argument["argument"], outputs
    )
    return value
