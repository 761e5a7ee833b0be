"""Tensors of safetensors files, read in blocks of rows as float32. Zone: worker.

Nothing is mapped: a file of any size costs the memory of one block.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from safe_load.worker.formats import safetensors
from safe_load.worker.refusal import RefusedError
from safe_load.worker.spans import FileSource, Span

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

#: Elements of one block.
BLOCK = 1 << 20
#: Tensors of one model.
MAX_TENSORS = 50_000
#: safetensors' name -> the type that numpy reads, for those that it has.
_NUMPY = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "U64": "<u8", "I32": "<i4", "U32": "<u4",
    "I16": "<i2", "U16": "<u2", "I8": "i1", "U8": "u1", "BOOL": "u1", "BF16": "<u2", "C64": "<f4",
}  # fmt: skip
#: Floats of a byte: bits of exponent and mantissa, bias, and whether the highest exponent is a number too.
_BYTE_FLOATS = {
    "F8_E4M3": (4, 3, 7), "F8_E5M2": (5, 2, 15), "F8_E4M3FNUZ": (4, 3, 8), "F8_E5M2FNUZ": (5, 2, 16),
}  # fmt: skip


@dataclass(frozen=True)
class Tensor:
    """One tensor of a file. fd: of the file; begin: its first byte there; size: bytes."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    fd: int
    begin: int
    size: int

    @property
    def rows(self) -> int:
        """The rows of the tensor as a matrix; 1 for one of fewer than two dimensions."""
        return self.shape[0] if len(self.shape) > 1 else 1

    @property
    def columns(self) -> int:
        """The elements of a row; of a complex tensor, two for each."""
        count = prod(self.shape[1:]) if len(self.shape) > 1 else prod(self.shape)
        return count * 2 if self.dtype == "C64" else count

    @property
    def readable(self) -> bool:
        """Whether its numbers can be read here."""
        return self.dtype in _NUMPY or self.dtype in _BYTE_FLOATS

    @property
    def is_float(self) -> bool:
        """Whether it holds floating point numbers."""
        return self.dtype[0] in "FB" and self.dtype != "BOOL"

    def read(self, begin: int, count: int) -> Floats:
        """`count` elements from the element `begin` on, in order."""
        import numpy as np  # noqa: PLC0415 - only where there is something to compare

        width = self.size // max(1, self.rows * self.columns)
        data = self.bytes(begin * width, count * width)
        if self.dtype in _BYTE_FLOATS:
            return _table(self.dtype)[np.frombuffer(data, np.uint8)]
        raw = np.frombuffer(data, _NUMPY[self.dtype])
        if self.dtype == "BF16":
            return (raw.astype(np.uint32) << 16).view(np.float32)
        with np.errstate(all="ignore"):
            return raw.astype(np.float32)

    def bytes(self, begin: int, count: int) -> bytes:
        """`count` bytes of it. Raises RefusedError where the file ends before."""
        pieces, at, end = [], self.begin + begin, self.begin + begin + count
        while at < end:
            piece = os.pread(self.fd, end - at, at)
            if not piece:
                raise RefusedError(f"the file ends inside the tensor {self.name[:200]!a}")
            pieces.append(piece)
            at += len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def block(self, begin: int, end: int) -> Floats:
        """The rows from `begin` to `end`, of the tensor as a matrix."""
        found = self.read(begin * self.columns, (end - begin) * self.columns)
        return found.reshape(end - begin, self.columns)

    def columns_as_rows(self, begin: int, end: int) -> Floats:
        """The columns from `begin` to `end`, as rows: block by block, for a tensor that lies the other way."""
        import numpy as np  # noqa: PLC0415

        found = np.empty((end - begin, self.rows), np.float32)
        step = max(1, BLOCK // self.columns)
        for row in range(0, self.rows, step):
            last = min(row + step, self.rows)
            found[:, row:last] = self.block(row, last)[:, begin:end].T
        return found


def tensors(files: Sequence[tuple[str, str]]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of these files by name, and further names -> the tensor that each is tied to.

    files: each with what its tensors' names begin with besides. Raises RefusedError for a file that is no safetensors, and for a name that stands in two files.
    """
    found: dict[str, Tensor] = {}
    tied: dict[str, str] = {}
    for place, prefix in files:
        fd = os.open(place, os.O_RDONLY | os.O_CLOEXEC)
        source = FileSource(fd)
        layout, _ = safetensors.read(Span(source, 0, source.size), source.size, lambda _: None)
        for entry in layout.entries:
            name = prefix + entry.name
            if name in found:
                raise RefusedError(f"two files hold the tensor {name[:200]!a}")
            begin = entry.view.span.offset + entry.view.offset
            found[name] = Tensor(
                name, entry.dtype, tuple(entry.shape), fd, begin, entry.view.nbytes
            )
        for group in layout.tied:
            tied |= dict.fromkeys((prefix + name for name in group[1:]), prefix + group[0])
        if len(found) + len(tied) > MAX_TENSORS:
            raise RefusedError(f"it holds more than {MAX_TENSORS:,} tensors")
    return found, {name: kept for name, kept in tied.items() if name not in found}


_tables: dict[str, Any] = {}


def _table(dtype: str) -> Floats:
    """The number that each byte stands for. Source: OCP OFP8 and torch/headeronly/util/Float8_*.h."""
    import numpy as np  # noqa: PLC0415

    if dtype not in _tables:
        _, mantissa, bias = _BYTE_FLOATS[dtype]
        codes = np.arange(256)
        sign = np.where(codes & 0x80, -1.0, 1.0)
        power, low = (codes & 0x7F) >> mantissa, codes & ((1 << mantissa) - 1)
        scale = 2.0**-mantissa
        value = np.where(
            power == 0,
            low * scale * 2.0 ** (1 - bias),
            (1 + low * scale) * 2.0 ** (power.astype(float) - bias),
        )
        if dtype.endswith("FNUZ"):
            value[0x80] = np.nan
        elif dtype == "F8_E4M3":
            value[[0x7F, 0xFF]] = np.nan
        else:
            top = power == 31
            value[top] = np.where(low[top] == 0, np.inf, np.nan)
        _tables[dtype] = (sign * value).astype(np.float32)
    table: Floats = _tables[dtype]
    return table
