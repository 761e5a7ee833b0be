"""How the numbers of a tensor are spread, from a bounded sample of them. Zone: worker.

Made only where a user asks for it: a histogram reads numbers that the rest of a load has no need of.
"""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from safe_load.worker.tensors.layout import Entry
    from safe_load.worker.tensors.views import View

#: Numbers that are looked at, and how many places of the tensor they come from.
MOST, PLACES = 4096, 16
BINS = 24
_BFLOAT16 = "BF16"
#: safetensors' name -> the letter of `struct`, which has none for bfloat16: its bits are read.
_KINDS = {
    _BFLOAT16: "H",
    "F64": "d",
    "F32": "f",
    "F16": "e",
    "I64": "q",
    "U64": "Q",
    "I32": "i",
    "U32": "I",
    "I16": "h",
    "U16": "H",
    "I8": "b",
    "U8": "B",
    "BOOL": "?",
}


def of(entry: Entry) -> dict[str, object] | None:
    """The histogram of a tensor as it is written; None for a type whose elements are no single numbers.

    Returns {"counts": numbers in each of BINS equal steps from "low" to "high", "low", "high", "sampled": how many
    numbers were looked at, "not_finite": how many of them are infinite or no number}. Raises RefusedError where
    the file ends in the tensor.
    """
    kind = _KINDS.get(entry.dtype)
    if kind is None or not entry.view.nbytes:
        return None
    size = struct.calcsize(f"<{kind}")
    raw = _sampled(entry.view, size)
    count = len(raw) // size
    numbers = struct.unpack(f"<{count}{kind}", raw[: count * size])
    if entry.dtype == _BFLOAT16:  # the upper half of a float32
        raw = struct.pack(f"<{count}I", *(half << 16 for half in numbers))
        numbers = struct.unpack(f"<{count}f", raw)
    return _spread(numbers)


def _sampled(view: View, size: int) -> bytes:
    """Numbers from evenly spread places of what lies in the file as it is written, else the first ones."""
    count = view.nbytes // size
    if not view.direct:
        raw = bytearray()
        for chunk in view.chunks():
            raw += chunk[: MOST * size - len(raw)]
            if len(raw) >= MOST * size:
                break
        return bytes(raw)
    if count <= MOST:
        return bytes(view.span.read(view.offset, count * size))
    each = MOST // PLACES
    starts = (index * (count - each) // (PLACES - 1) for index in range(PLACES))
    return b"".join(
        bytes(view.span.read(view.offset + start * size, each * size)) for start in starts
    )


def _spread(numbers: tuple[float, ...]) -> dict[str, object]:
    finite = [float(number) for number in numbers if math.isfinite(number)]
    result: dict[str, object] = {
        "counts": [],
        "low": 0.0,
        "high": 0.0,
        "sampled": len(numbers),
        "not_finite": len(numbers) - len(finite),
    }
    if not finite:
        return result
    low, high = min(finite), max(finite)
    half = high / 2 - low / 2  # the whole may be more than a number holds
    counts = [0] * BINS
    for number in finite:
        place = (number / 2 - low / 2) / half if half > 0 else 0.5
        counts[min(int(place * BINS), BINS - 1)] += 1
    return result | {"counts": counts, "low": low, "high": high}
