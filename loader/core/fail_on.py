"""From which severity on a finding rejects."""

from __future__ import annotations

from typing import Literal, get_args

FailOn = Literal["low", "medium", "high", "critical", "never"]
FAIL_ON: tuple[FailOn, ...] = get_args(FailOn)
