"""What a model may be said to be of its base. Zone: controller."""

from __future__ import annotations

from typing import Literal, get_args

Claim = Literal["copy", "quantisation", "conversion"]
CLAIMS: tuple[Claim, ...] = get_args(Claim)
