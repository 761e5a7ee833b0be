"""Numbers of float32 blocks: their real precision, rounding to another, and exact sums. Zone: worker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from safe_load.worker.weights.reading import Floats

#: Different numbers that say something of their precision: zeros and ones fit any.
_TELLING = 8
#: Bits of mantissa of safetensors' types.
BITS = {"F64": 23, "F32": 23, "F16": 10, "BF16": 7, "F8_E4M3": 3, "F8_E5M2": 2, "F8_E4M3FNUZ": 3,
        "F8_E5M2FNUZ": 2}  # fmt: skip


def rounded(block: Floats, bits: int) -> Floats:
    """The nearest numbers with so many bits of mantissa, ties to even; float16 with its subnormals too."""
    import numpy as np  # noqa: PLC0415

    if bits == 10:
        return block.astype(np.float16).astype(np.float32)
    drop = 23 - bits
    whole = np.ascontiguousarray(block).view(np.uint32)
    half = np.uint32((1 << (drop - 1)) - 1) + ((whole >> np.uint32(drop)) & np.uint32(1))
    return ((whole + half) & np.uint32(0xFFFFFFFF << drop & 0xFFFFFFFF)).view(np.float32)


def precision_of(block: Floats) -> int | None:
    """The bits of mantissa that float32 numbers really have: 7, 10 or 23; None where too few differ to say."""
    import numpy as np  # noqa: PLC0415

    sample = np.ascontiguousarray(block).reshape(-1)[: 1 << 18]
    if np.unique(sample[:4096]).size < _TELLING:
        return None
    if not (sample.view(np.uint32) & np.uint32(0xFFFF)).any():
        return 7
    with quiet():
        return 10 if bool((rounded(sample, 10) == sample).all()) else 23


def squares(block: Floats) -> float:
    return dot(block, block)


def dot(a: Floats, b: Floats) -> float:
    """In float64 over pieces, so that long sums stay exact enough."""
    import numpy as np  # noqa: PLC0415

    flat: NDArray[np.float32] = np.ascontiguousarray(a).reshape(-1)
    other: NDArray[np.float32] = np.ascontiguousarray(b).reshape(-1)
    step = 1 << 16
    return float(
        sum(
            np.einsum(
                "i,i->", flat[i : i + step], other[i : i + step], dtype=np.float64, casting="unsafe"
            )
            for i in range(0, flat.size, step)
        )
    )


def quiet() -> Any:
    import numpy as np  # noqa: PLC0415

    return np.errstate(all="ignore")
