"""One pass over a pair of tensors: every sum that is asked for. Zone: worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safe_load.worker.weights.precision import BITS, dot, precision_of, quiet, rounded, squares

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    from numpy.typing import NDArray
    from safe_load.worker.weights.pairs import Pair
    from safe_load.worker.weights.reading import Floats

#: Elements of a difference that is kept in memory: 64 MiB.
_KEPT = 16 << 20
#: Numbers in which repetitions are counted: what block quantisation writes with one scale.
_WINDOW = 32
#: Windows that are looked at in one tensor.
_MOST_WINDOWS = 1 << 15


class Sums:
    """One pass over a pair: every sum that is asked for."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self.a = self.b = self.product = self.difference = self.residual = 0.0
        self.nonfinite_a = self.nonfinite_b = self.beyond = self.zeroed = 0
        self.precision = 23
        self._precise = [BITS.get(pair.a.dtype, 23), BITS.get(pair.b.dtype, 23)]
        self._kept: list[Floats] | None = [] if pair.rows * pair.columns <= _KEPT else None
        self._distinct = [[0, 0], [0, 0]]
        self._first = True
        self._columns: NDArray[np.float64] | None = None

    def run(self) -> None:
        """Read the pair once."""
        for a, b in self.pair.blocks():
            with quiet():
                self._add(*self._finite(a, b, count=True))

    def _finite(self, a: Floats, b: Floats, *, count: bool = False) -> tuple[Floats, Floats]:
        import numpy as np  # noqa: PLC0415

        fine_a, fine_b = np.isfinite(a), np.isfinite(b)
        fine = fine_a & fine_b
        if fine.all():
            return a, b
        if count:
            self.nonfinite_a += int(a.size - np.count_nonzero(fine_a))
            self.nonfinite_b += int(b.size - np.count_nonzero(fine_b))
        zero = np.float32(0)
        return np.where(fine, a, zero), np.where(fine, b, zero)

    def _add(self, a: Floats, b: Floats) -> None:
        import numpy as np  # noqa: PLC0415

        if self._first:
            self._first = False
            self._precise = [
                (precision_of(block) or usual) if bits == 23 else bits
                for block, bits, usual in zip((a, b), self._precise, self.pair.usual, strict=True)
            ]
            self.precision = min(self._precise)
        difference = b - a
        self.a += squares(a)
        self.b += squares(b)
        self.product += dot(a, b)
        self.difference += squares(difference)
        self.zeroed += int(np.count_nonzero((b == 0) & (a != 0)))
        residual = self._residual(a, b)
        self.residual += squares(residual)
        by_column = np.einsum("ij,ij->j", residual, residual, dtype=np.float64)
        self._columns = by_column if self._columns is None else self._columns + by_column
        if self.precision < 23:
            near = np.maximum(np.abs(a), np.abs(b)) * np.float32(2.0**-self.precision)
            # The subnormals of float16, which another 16-bit precision may have gone through.
            near = np.maximum(near, np.float32(2.0**-24))
            self.beyond += int(np.count_nonzero(np.abs(residual) > near))
        else:
            self.beyond += int(np.count_nonzero(residual))
        for side, block in enumerate((a, b)):
            self._count(side, block)
        if self._kept is not None:
            self._kept.append(residual)

    def _residual(self, a: Floats, b: Floats) -> Floats:
        """What is left of the difference when both are rounded to the coarser precision of the two."""
        if self.precision >= 23:
            return b - a
        return rounded(b, self.precision) - rounded(a, self.precision)

    def _count(self, side: int, block: Floats) -> None:
        import numpy as np  # noqa: PLC0415

        seen, windows = self._distinct[side]
        width = block.shape[1] // _WINDOW * _WINDOW
        room = _MOST_WINDOWS - windows
        if not width or room <= 0:
            return
        rows = max(1, min(block.shape[0], room * _WINDOW // width))
        parts = np.sort(block[:rows, :width].reshape(-1, _WINDOW)[:room], axis=1)
        self._distinct[side][0] = seen + int(np.count_nonzero(np.diff(parts, axis=1))) + len(parts)
        self._distinct[side][1] = windows + len(parts)

    def levels(self) -> tuple[float, float] | None:
        """See Change."""
        (a, windows), (b, _) = self._distinct
        return (a / (windows * _WINDOW), b / (windows * _WINDOW)) if windows else None

    def residuals(self) -> Callable[[], Iterator[Floats]]:
        """Blocks of what rounding does not explain, scaled to a norm of 1."""
        if self._kept is None:
            return self.residuals_again()
        scale = self._scale()
        kept = [block * scale for block in self._kept]
        self._kept = None
        return lambda: iter(kept)

    def residuals_again(self) -> Callable[[], Iterator[Floats]]:
        """The same, read anew each time."""
        scale = self._scale()

        def again() -> Iterator[Floats]:
            for a, b in self.pair.blocks():
                with quiet():
                    yield self._residual(*self._finite(a, b)) * scale

        return again

    def balance(self) -> Callable[[Floats], Floats]:
        """Scales the columns of all rows, and then each row, to one size."""
        import numpy as np  # noqa: PLC0415

        size = np.sqrt(self._columns) / self.residual**0.5 if self._columns is not None else 1.0
        inverse = np.where(size > 1e-12, 1.0 / np.maximum(size, 1e-12), 0.0).astype(np.float32)

        def even(block: Floats) -> Floats:
            scaled = block * inverse
            rows = np.sqrt(np.einsum("ij,ij->i", scaled, scaled))[:, None]
            return np.where(rows > 0, scaled / np.maximum(rows, np.float32(1e-30)), np.float32(0))

        return even

    def _scale(self) -> np.float32:
        import numpy as np  # noqa: PLC0415

        return np.float32(1.0 / self.residual**0.5) if self.residual > 1e-70 else np.float32(0)
