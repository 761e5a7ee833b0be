"""The numbers of gradient boosting models in their own formats: XGBoost's JSON and UBJSON, LightGBM's text. Zone: worker.

Each list of numbers becomes a tensor, named by the keys that lead to it: `learner.gradient_booster.model.trees.0.
split_conditions` of XGBoost, `tree.0.threshold` of LightGBM. The types are those that the libraries keep the
numbers in (xgboost/src/tree/tree_model.cc, SaveModel; LightGBM/src/io/tree.cpp, Tree::ToString).
"""

from __future__ import annotations

import json
import re
import struct
from typing import TYPE_CHECKING

from safe_load.worker.pickle_vm.builders_numpy import fill
from safe_load.worker.pickle_vm.values import Tensor
from safe_load.worker.refusal import RefusedError
from safe_load.worker.spans import MemorySource, Span
from safe_load.worker.tensors.dtypes import NumpyDtype

if TYPE_CHECKING:
    from collections.abc import Sequence

Arrays = dict[str, Tensor]

#: Lists of one file: of those that hold more, none is exported.
MAX_ARRAYS = 100_000
#: Bytes of a path of keys.
MAX_PATH = 900
#: Key of XGBoost's -> numpy's letters and struct's: others are whole numbers of 64 bits, or of 32 and float.
_OF_XGBOOST = {
    **dict.fromkeys(
        ("base_weights", "loss_changes", "split_conditions", "sum_hessian", "weights", "weight_drop"), ("<f4", "f")
    ),
    **dict.fromkeys(
        ("left_children", "right_children", "parents", "split_indices", "categories", "categories_nodes",
         "feature_segments", "sorted_idx"), ("<i4", "i")
    ),
    **dict.fromkeys(("default_left", "split_type"), ("|u1", "B")),
    **dict.fromkeys(("categories_segments", "categories_sizes"), ("<i8", "q")),
}  # fmt: skip
LIGHTGBM = b"tree\nversion=v"
#: Key of a tree of LightGBM's -> numpy's letters and struct's; of all others, the values are numbers of 64 bits.
_OF_LIGHTGBM = {
    **dict.fromkeys(
        ("split_feature", "left_child", "right_child", "leaf_count", "internal_count", "cat_boundaries"), ("<i4", "i")
    ),
    "decision_type": ("|i1", "b"),
    "cat_threshold": ("<u4", "I"),
    **dict.fromkeys(("num_leaves", "num_cat", "is_linear"), ("<i4", "i")),
}  # fmt: skip
_ALONE = frozenset(("num_leaves", "num_cat", "is_linear", "shrinkage"))
_NUMBERS = re.compile(r"[-+0-9.eEinfa ]*")


def tensor(letters: str, shape: tuple[int, ...], span: Span) -> Tensor:
    """An array of numpy over bytes. letters: numpy's type, with its order. Raises UnexpectedArgument where the
    shape and the bytes do not fit."""
    result = Tensor(None, None, 0, (0,), (1,), kind="numpy")
    fill(result, shape, NumpyDtype(letters), False, span)
    return result


def numbers(
    values: Sequence[int | float], kinds: tuple[str, str], *, alone: bool = False
) -> Tensor:
    """The same of numbers that were read from text. kinds: letters of numpy and of struct. Raises RefusedError
    for a number that the type does not hold."""
    try:
        data = struct.pack(f"<{len(values)}{kinds[1]}", *values)
    except (struct.error, OverflowError):
        raise RefusedError("it holds a number that is too large for its place") from None
    return tensor(kinds[0], () if alone else (len(values),), Span(MemorySource(data), 0, len(data)))


def of_text(text: bytes) -> tuple[str, Arrays] | None:
    """The format and the numbers of a model of XGBoost in JSON or of LightGBM in text; None for any other
    text. Raises RefusedError."""
    if text.startswith(LIGHTGBM):
        return "lightgbm", of_lightgbm(text)
    if text[:1] == b"{" and b'"learner"' in text and b'"gradient_booster"' in text:
        arrays = of_xgboost(text)
        return None if arrays is None else ("xgboost-json", arrays)
    return None


def of_xgboost(text: bytes) -> Arrays | None:
    """None where the text is no model of XGBoost, or holds more lists than are exported."""
    try:
        root = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(root, dict) or not isinstance(root.get("learner"), dict):
        return None
    found: Arrays = {}
    todo: list[tuple[str, object]] = [("learner", root["learner"])]
    while todo:
        path, value = todo.pop()
        if len(path) > MAX_PATH or len(found) > MAX_ARRAYS:
            return None
        if isinstance(value, dict):
            todo += ((f"{path}.{key}", part) for key, part in reversed(value.items()))
        elif isinstance(value, list):
            kinds = _kinds(path.rpartition(".")[2], value)
            if kinds is not None:
                found[path] = numbers(value, kinds)
            else:
                todo += ((f"{path}.{at}", part) for at, part in reversed([*enumerate(value)]))
    return found


def _kinds(key: str, values: list[object]) -> tuple[str, str] | None:
    """The type of a list of numbers; None for a list of anything else."""
    kinds = {type(value) for value in values}
    if not kinds <= {int, float} or (not kinds and key not in _OF_XGBOOST):
        return None
    if key in _OF_XGBOOST and not (float in kinds and _OF_XGBOOST[key][1] in "iB"):
        return _OF_XGBOOST[key]
    return ("<f4", "f") if float in kinds else ("<i8", "q")


def of_lightgbm(text: bytes) -> Arrays:
    """Everything in blocks of `Tree=N` that is a list of numbers. Raises RefusedError."""
    found: Arrays = {}
    prefix = ""
    for raw in text.split(b"\n"):
        if raw.startswith(b"end of trees"):
            break
        line = raw.decode("utf-8", "replace").strip()
        key, _, value = line.partition("=")
        if key == "Tree":
            prefix = f"tree.{value}." if value.isascii() and value.isdigit() else ""
        elif prefix and value and len(key) < 100 and _NUMBERS.fullmatch(value):
            if len(found) >= MAX_ARRAYS:
                raise RefusedError(f"it holds more than {MAX_ARRAYS} lists of numbers")
            kinds = _OF_LIGHTGBM.get(key, ("<f8", "d"))
            convert = float if kinds[1] == "d" else int
            try:
                values = [convert(part) for part in value.split()]
            except ValueError:
                raise RefusedError(f"the numbers of {prefix}{key[:50]} cannot be read") from None
            alone = key in _ALONE and len(values) == 1
            found[f"{prefix}{key}"] = numbers(values, kinds, alone=alone)
    return found
