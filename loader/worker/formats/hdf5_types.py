"""Types and shapes of datasets of an HDF5 file. Zone: worker.

HDF5 File Format Specification 3.0, IV.A.2.b (dataspace) and IV.A.2.d (datatype).
"""

from __future__ import annotations

from dataclasses import dataclass

from safe_load.worker.refusal import RefusedError
from safe_load.worker.tensors.dtypes import TORCH

MAX_RANK = 32


@dataclass(frozen=True)
class Kind:
    """A type of numbers: as torch calls it, and its byte order."""

    dtype: str
    big_endian: bool = False


def kind_of(data: bytes) -> Kind | None:
    """The type that a message describes; None for what is no number. Raises IndexError."""
    group, bits, size = data[0] & 15, data[1], int.from_bytes(data[4:8], "little")
    if group == 0:
        precise = int.from_bytes(data[10:12], "little") == 8 * size and not any(data[8:10])
        name = f"{'' if bits & 8 else 'u'}int{8 * size}"
        return Kind(name, bool(bits & 1)) if precise and name in TORCH else None
    if group == 1:
        if bits & 0x40:
            return None  # the order of a VAX
        layout = (size, *data[12:16])
        name = _FLOATS.get(layout, "")
        return Kind(name, bool(bits & 1)) if name else None
    if group == 8:
        base = kind_of(data[8:])
        truth = b"FALSE\0" in data and b"TRUE\0" in data and bits == 2
        return Kind("bool") if truth and base is not None and size == 1 else base
    if group == 6 and size in (8, 16) and bits == 2:
        return _complex(data, size)
    return None


#: Bytes; where the exponent begins and its bits; where the mantissa begins and its bits.
_FLOATS = {
    (2, 10, 5, 0, 10): "float16",
    (2, 7, 8, 0, 7): "bfloat16",
    (4, 23, 8, 0, 23): "float32",
    (8, 52, 11, 0, 52): "float64",
}


def _complex(data: bytes, size: int) -> Kind | None:
    """The type, where a structure is h5py's of a complex number: r and i, two floats of half its size."""
    half = size // 2
    exponent, bits, mantissa = (23, 8, 23) if half == 4 else (52, 11, 52)
    # Size, where the number begins and its bits, and where its parts do: what follows class and byte order.
    sizes = half.to_bytes(4, "little") + bytes(2) + (8 * half).to_bytes(2, "little")
    layout = sizes + bytes((exponent, bits, 0, mantissa))
    first = data.find(layout)
    second = data.find(layout, first + 1)
    if data[8:10] != b"r\0" or b"i\0" not in data[10:] or first < 4 or second < 0:
        return None
    orders = [data[at - 4 : at - 2] for at in (first, second)]  # class, and the first bits
    if orders[0] != orders[1] or orders[0][0] & 15 != 1 or orders[0][1] & 0x40:
        return None
    return Kind(f"complex{8 * size}", bool(orders[0][1] & 1))


def shape_of(data: bytes) -> tuple[int, ...] | None:
    """The shape that a message describes; None for a dataset without values. Raises IndexError, RefusedError."""
    version, rank = data[0], data[1]
    if version == 2 and data[3] == 2:
        return None
    at = 8 if version == 1 else 4
    if rank > MAX_RANK or len(data) < at + 8 * rank:
        raise RefusedError(f"a dataset has {rank} dimensions, more than it says or may have")
    return tuple(int.from_bytes(data[at + 8 * i : at + 8 * i + 8], "little") for i in range(rank))
