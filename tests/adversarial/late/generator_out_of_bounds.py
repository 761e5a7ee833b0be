"""Class: late. The place in a random generator's buffer lies outside of it: the next number is other memory."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.adversarial.craft import write

if TYPE_CHECKING:
    from pathlib import Path

EXPECT = {"finding": "SL501", "severity": "medium", "detail": "compiled code follows"}


def make(folder: Path) -> Path:
    make, arguments, state = np.random.RandomState(0).__reduce__()  # type: ignore[misc]

    class Generator:
        def __reduce__(self) -> Any:
            return make, arguments, state | {"state": state["state"] | {"pos": 1 << 30}}

    return write(folder, "rng_state.pkl", pickle.dumps(Generator()))
