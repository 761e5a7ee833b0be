"""Files of XGBoost and LightGBM: their trees as arrays. Zone: worker."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from safe_load.worker.formats import pickles, ubjson
from safe_load.worker.formats.interface import Content, Format
from safe_load.worker.refusal import RefusedError

if TYPE_CHECKING:
    from safe_load.worker.formats.boosters import Arrays
    from safe_load.worker.formats.interface import File, Reading
    from safe_load.worker.tensors.dtypes import NumpyDtype


def content(arrays: Arrays, format_: str, why: str, reading: Reading) -> Content:
    """What a file of numbers that a strict parse found comes to. why: what it is, without its subject."""
    _follow(arrays)
    if not arrays:
        return Content(format_, "data", why, loads=False)
    made = pickles.content_of(arrays, format_, reading)
    made.state, made.why = "data", why
    return made


def _follow(arrays: Arrays) -> None:
    """Raises RefusedError where a node of a tree has a child outside of the tree: compiled code follows it without
    a look (xgboost/src/predictor/cpu_predictor.cc; LightGBM/include/LightGBM/tree.h, Tree::GetLeaf)."""
    for path, array in arrays.items():
        prefix, _, key = path.rpartition(".")
        if key not in _CHILDREN or array.raw is None or array.element is None:
            continue
        numbers = _numbers(array.raw.whole(), array.element)
        # Of LightGBM's, one below 0 is the number of a leaf.
        low = -1 if key.endswith("children") else -len(numbers) - 1
        if len(numbers) and (min(numbers) < low or max(numbers) >= len(numbers)):
            raise RefusedError(
                f"a node of the tree {prefix[-100:]!a} has a child that is not in the tree"
            )


_CHILDREN = frozenset(("left_children", "right_children", "left_child", "right_child"))


def _numbers(data: bytes, element: NumpyDtype) -> tuple[int, ...]:
    code = {"i1": "b", "u1": "B", "i2": "h", "i4": "i", "i8": "q"}.get(element.letters)
    if code is None:
        raise RefusedError("the children of a tree's nodes are no whole numbers")
    order = ">" if element.order == ">" else "<"
    return struct.unpack(f"{order}{len(data) // struct.calcsize(code)}{code}", data)


class UbJson(Format):
    """One object in UBJSON."""

    name, called, loader = (
        "ubjson",
        "a UBJSON file, as XGBoost writes it",
        "xgboost.Booster.load_model",
    )
    opens = "xgboost:Booster"
    weights = "all lists of numbers, by the keys that lead to them"

    def recognise(self, file: File) -> bool:
        """An object whose first key is a short text."""
        return ubjson.recognise(file)

    def read(self, file: File, reading: Reading) -> Content:
        """Its lists of numbers, if it is one value of known kinds."""
        why = "UBJSON of numbers, text and containers"
        return content(ubjson.arrays(file), self.name, why, reading)
