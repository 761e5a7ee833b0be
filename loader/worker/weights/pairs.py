"""Two tensors that are one: which rows belong together, and which way round. Zone: worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safe_load.worker.weights.precision import quiet
from safe_load.worker.weights.reading import BLOCK

if TYPE_CHECKING:
    from collections.abc import Iterator

    from safe_load.worker.weights.reading import Floats, Tensor

#: Heads of llama's query and key, whose rows GGUF keeps in another order.
_HEADS = (64, 128, 32, 16, 96, 80, 48, 256, 8, 112, 160, 192, 4, 2)


class Pair:
    """Two tensors that are one: which rows and which way round is found out here."""

    def __init__(
        self, a: Tensor, b: Tensor, *, reordered: str = "", usual: tuple[int, int] = (23, 23)
    ) -> None:
        """reordered: "a" or "b" for the side whose rows may stand in the order of transformers, where the
        other's stand in llama.cpp's; "" where they stand in the same. usual: bits of mantissa that float32
        numbers of either side have, for tensors too small to say so themselves."""
        self.usual = usual
        self.a, self.b = a, b
        self.turned = a.shape != b.shape and a.shape == b.shape[::-1] and len(a.shape) == 2
        self.rows = a.rows if self.turned else min(a.rows, b.rows)
        self.columns = a.columns
        self.resized = not self.turned and a.rows != b.rows
        self.comparable = self.turned or (
            a.columns == b.columns
            if len(a.shape) == len(b.shape) and len(a.shape) > 1
            else a.shape == b.shape
        )
        self.comparable = self.comparable and a.readable and b.readable
        self._side, self._head = reordered, 0
        if self.comparable and len(a.shape) == 2 and a.shape == b.shape:
            self._look_closer(square=a.rows == a.columns)

    def _look_closer(self, *, square: bool) -> None:
        """Choose between orders of rows, and for a square matrix between both ways round, by the numbers."""
        if not self._side and not square:
            return
        best = self._distance()
        if best < 0.5:
            return
        tried: list[tuple[int, bool]] = []
        if self._side:
            tried += [(head, False) for head in _HEADS if self.rows % head == 0]
        if square:
            tried.append((0, True))
        for head, turned in tried:
            before = self._head, self.turned
            self._head, self.turned = head, turned
            found = self._distance()
            if found < best * 0.7:
                best = found
            else:
                self._head, self.turned = before

    def _distance(self) -> float:
        import numpy as np  # noqa: PLC0415

        step = self._step(1 << 18)
        a, b = self._pair(0, min(step, self.rows))
        with quiet():
            size = float(np.linalg.norm(a))
            return float(np.linalg.norm(a - b)) / size if size else 0.0

    def _step(self, elements: int) -> int:
        step = max(1, elements // max(1, self.columns))
        return max(self._head, step // self._head * self._head) if self._head else step

    def blocks(self) -> Iterator[tuple[Floats, Floats]]:
        """Blocks of rows of both. A single row that is too long comes in pieces, as rows of one block each."""
        if self.rows == 1 and not self.turned:
            for begin in range(0, self.columns, BLOCK):
                count = min(BLOCK, self.columns - begin)
                yield self.a.read(begin, count)[None], self.b.read(begin, count)[None]
            return
        step = self._step(BLOCK)
        for begin in range(0, self.rows, step):
            yield self._pair(begin, min(begin + step, self.rows))

    def _pair(self, begin: int, end: int) -> tuple[Floats, Floats]:
        a = self.a.block(begin, end)
        b = self.b.columns_as_rows(begin, end) if self.turned else self.b.block(begin, end)
        if self._head:
            a, b = (self._reorder(a), b) if self._side == "a" else (a, self._reorder(b))
        return a, b

    def _reorder(self, rows: Floats) -> Floats:
        """As llama.cpp's convert_hf_to_gguf.py, LlamaModel.permute."""
        heads = rows.reshape(-1, 2, self._head // 2, rows.shape[1])
        return heads.swapaxes(1, 2).reshape(rows.shape)

    def same_bytes(self) -> bool:
        """Whether both hold the same bytes in the same order."""
        a, b = self.a, self.b
        if (a.dtype, a.shape, a.size) != (b.dtype, b.shape, b.size):
            return False
        step = BLOCK * 4
        return all(
            a.bytes(begin, min(step, a.size - begin)) == b.bytes(begin, min(step, a.size - begin))
            for begin in range(0, a.size, step)
        )
