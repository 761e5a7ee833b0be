"""States that compiled code believes: indexes into arrays that it follows without a look. Zone: worker.

A pickle that names only what honest ones name may still hold a tree whose child lies outside of it, or
a sparse matrix whose column does. Whoever uses that object reads and writes memory that is not its own.
So what the compiled code does not check is checked here, when the stream has ended, and with all that
its objects were given. Each check is the counterpart of the loop that it names.
"""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Any

from safe_load.worker.pickle_vm import builders_arrow, pictures
from safe_load.worker.pickle_vm.arguments import UnexpectedArgument, expect, fields, integer, need
from safe_load.worker.pickle_vm.values import Global, Stub, Tensor
from safe_load.worker.refusal import RefusedError
from safe_load.worker.tensors.dtypes import NumpyDtype

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    #: Column of a record -> its values.
    Columns = list[tuple[int, ...]]

#: Bytes of arrays that are looked through in all states of one file.
MAX_BYTES = 4 << 30
#: Objects within an object that are looked at.
MAX_OBJECTS = 1_000_000
_CODES = {"i1": "b", "u1": "B", "i2": "h", "u2": "H", "i4": "i", "u4": "I", "i8": "q", "u8": "Q", "b1": "B"}  # fmt: skip
_LEAF = -1


class Arrays:
    """Reads the numbers of arrays, within a common bound."""

    def __init__(self) -> None:
        self._left = MAX_BYTES

    def _raw(self, array: Tensor) -> bytes:
        need(array.raw is not None and array.raw.length <= 1 << 30)
        raw = array.raw
        assert raw is not None  # noqa: S101 - for the type checker
        self._left -= raw.length
        if self._left < 0:
            raise RefusedError(f"its states hold more than {MAX_BYTES >> 20} MiB of indexes")
        return raw.whole()

    def integers(self, value: object) -> Sequence[int]:
        """The numbers of an array of integers. Raises UnexpectedArgument for anything else."""
        array = expect(value, Tensor)
        element = expect(array.element, NumpyDtype)
        need(element.letters in _CODES and element.order != ">" and not element.structured)
        raw = self._raw(array)
        need(len(raw) == math.prod(_sizes(array)) * element.itemsize)
        numbers: Any = memoryview(raw)  # whose type has a method for each code
        return numbers.cast(_CODES[element.letters])  # type: ignore[no-any-return]

    def records(self, value: object, *names: str) -> list[tuple[int, ...]]:
        """Those columns of an array of structures. Raises UnexpectedArgument where one is missing."""
        array = expect(value, Tensor)
        element = expect(array.element, NumpyDtype)
        places = []
        for name in names:
            need(name in element.fields)
            part, offset = element.fields[name]
            need(part.letters in _CODES and part.order != ">" and not part.structured)
            places.append((offset, part.itemsize, _CODES[part.letters], name))
        places.sort()
        form, at = "<", 0
        for offset, size, code, _ in places:
            need(offset >= at)
            form += f"{offset - at}x{code}"
            at = offset + size
        form += f"{element.itemsize - at}x"
        raw = self._raw(array)
        need(len(raw) == math.prod(_sizes(array)) * element.itemsize)
        rows = list(struct.iter_unpack(form, raw))
        order = [name for *_, name in places]
        columns: Columns = list(zip(*rows, strict=True)) if rows else [()] * len(names)
        return [columns[order.index(name)] for name in names]


def check(stub: Stub, arrays: Arrays) -> bool:
    """Whether compiled code may follow what that object holds. True for what is no object of that kind."""
    checks = CHECKS.get(stub.made_by)
    if checks is None:
        return True
    try:
        checks(stub, _merged(stub), arrays)
    except (UnexpectedArgument, LookupError, AttributeError, TypeError, ValueError, struct.error):
        return False
    return True


def _merged(stub: Stub) -> dict[Any, Any]:
    """The attributes that all BUILDs together gave."""
    result: dict[Any, Any] = {}
    for state in stub.state:
        for part in state if isinstance(state, tuple) else (state,):
            if isinstance(part, dict):
                result |= part
    return result


def _sizes(value: object) -> tuple[int, ...]:
    """The shape of an array of numpy."""
    sizes = expect(value, Tensor).sizes
    if sizes is None:
        raise UnexpectedArgument
    return sizes


def _size(value: object) -> int:
    if type(value) is int and 0 <= value < 1 << 40:
        return value
    raise UnexpectedArgument


def _within(numbers: Sequence[int], end: int) -> None:
    need(len(numbers) == 0 or (min(numbers) >= 0 and max(numbers) < end))


def _tree(stub: Stub, _: object, arrays: Arrays) -> None:
    """sklearn/tree/_tree.pyx, Tree._apply_dense and compute_node_depths: children and features are followed."""
    features, _, _ = expect(stub.args, tuple)
    for state in stub.state:
        parts = expect(state, dict)
        left, right, feature = arrays.records(
            parts["nodes"], "left_child", "right_child", "feature"
        )
        need(_size(parts["node_count"]) == len(left) and _size(features) >= 0)
        for node, (a, b, column) in enumerate(zip(left, right, feature, strict=True)):
            if a != _LEAF:  # a child is made after its parent: so no path is a ring
                need(node < a < len(left) and node < b < len(left) and 0 <= column < features)


def _predictor(_: Stub, state: dict[Any, Any], arrays: Arrays) -> None:
    """sklearn/ensemble/_hist_gradient_boosting/_predictor.pyx, _predict_one_from_raw_data."""
    left, right, column, leaf, categorical, bits = arrays.records(
        state["nodes"], "left", "right", "feature_idx", "is_leaf", "is_categorical", "bitset_idx"
    )
    sets = min(
        _rows(state.get("raw_left_cat_bitsets")), _rows(state.get("binned_left_cat_bitsets"))
    )
    need(left)
    for node in range(len(left)):
        if not leaf[node]:
            need(node < left[node] < len(left) and node < right[node] < len(left))
            need(column[node] >= 0 and (not categorical[node] or bits[node] < sets))


def _rows(value: object) -> int:
    if value is None:
        return 0
    sizes = _sizes(value)
    need(len(sizes) == 2 and sizes[1] == 8)
    return sizes[0]


def _boosting(_: Stub, state: dict[Any, Any], arrays: Arrays) -> None:
    """No predictor asks for a feature that the estimator does not."""
    if "_predictors" not in state:
        return
    features = _size(state.get("n_features_in_", state.get("_n_features")))
    inner = state.get("_preprocessor")  # it only orders the columns
    need(inner is None or isinstance(inner, Stub))
    for predictor in _objects(state["_predictors"]):
        if isinstance(predictor, Stub):
            column, leaf = arrays.records(_merged(predictor)["nodes"], "feature_idx", "is_leaf")
            need(all(end or place < features for place, end in zip(column, leaf, strict=True)))


def _forest(_: Stub, state: dict[Any, Any], __: Arrays) -> None:
    """sklearn gives the trees of an estimator what it has checked against its own number of features."""
    if "n_features_in_" not in state and "n_features_" not in state:
        return
    features = _size(state.get("n_features_in_", state.get("n_features_")))
    for each in _objects((state.get("tree_"), state.get("estimators_"))):
        tree = (
            _merged(each).get("tree_")
            if isinstance(each, Stub) and each.made_by not in _TREES
            else each
        )
        if isinstance(tree, Stub) and tree.made_by in _TREES:
            need(_size(expect(tree.args, tuple)[0]) <= features)


def _objects(value: object) -> Iterator[object]:
    """What lies in lists, tuples and arrays of objects."""
    todo, left = [value], MAX_OBJECTS
    while todo:
        item = todo.pop()
        left -= 1
        need(left > 0)
        if isinstance(item, (list, tuple)):
            todo += item
        elif isinstance(item, Tensor):
            todo += item.parts.values()
        else:
            yield item


def _binary_tree(stub: Stub, _: object, arrays: Arrays) -> None:
    """sklearn/neighbors/_binary_tree.pxi.tp: node i has the children 2 i + 1 and 2 i + 2, and points by index."""
    for state in stub.state:
        data, index, nodes, bounds, _, levels, count = expect(state, tuple)[:7]
        levels, count = _size(levels), _size(count)
        points, width = _sizes(data)
        start, end, leaf = arrays.records(nodes, "idx_start", "idx_end", "is_leaf")
        need(levels < 40 and count == len(start) == (1 << levels) - 1)
        order = arrays.integers(index)
        need(len(order) == points)
        _within(order, points)
        sides, held, wide = _sizes(bounds)
        need(0 < sides < 3 and held == count and wide == width)
        for node in range(count):
            need(0 <= start[node] <= end[node] <= points)
            need(leaf[node] or 2 * node + 2 < count)


def _compressed(stub: Stub, state: dict[Any, Any], arrays: Arrays) -> None:
    """scipy/sparse/sparsetools/csr.h and bsr.h: rows and columns are added to addresses."""
    kind = stub.made_by.rpartition(".")[2][:3]
    rows, columns = map(_size, state["_shape"] if "_shape" in state else state["shape"])
    starts, index = arrays.integers(state["indptr"]), arrays.integers(state["indices"])
    data = _sizes(state["data"])
    if kind == "bsr":
        count, high, wide = data
        need(high and wide and rows % high == 0 and columns % wide == 0)
        rows, columns = rows // high, columns // wide
    else:
        (count,) = data
    if kind == "csc":
        rows, columns = columns, rows
    need(len(starts) == rows + 1 and starts[0] == 0)
    need(all(map(int.__le__, starts, starts[1:])) and starts[rows] <= min(len(index), count))
    _within(index[: starts[rows]], columns)


def _coordinates(_: Stub, state: dict[Any, Any], arrays: Arrays) -> None:
    """scipy/sparse/sparsetools/coo.h."""
    sizes = [_size(size) for size in (state["_shape"] if "_shape" in state else state["shape"])]
    places = state["coords"] if "coords" in state else (state["row"], state["col"])
    (count,) = _sizes(state["data"])
    need(len(places) == len(sizes))
    for place, size in zip(places, sizes, strict=True):
        numbers = arrays.integers(place)
        need(len(numbers) == count)
        _within(numbers, size)


def _diagonals(_: Stub, state: dict[Any, Any], arrays: Arrays) -> None:
    """scipy/sparse/sparsetools/dia.h: one row of numbers for each diagonal."""
    count, _width = _sizes(state["data"])
    need(len(arrays.integers(state["offsets"])) == count)


def _spline(_: Stub, state: dict[Any, Any], __: Arrays) -> None:
    """scipy/interpolate/_bsplines.py, BSpline.__init__: k + 1 coefficients for each interval of knots."""
    (knots,) = _sizes(state["_t"] if "_t" in state else state["t"])
    weights = _sizes(state["_c"] if "_c" in state else state["c"])[0]
    order = _size(state["k"])
    need(knots >= 2 * order + 2 and weights >= knots - order - 1)


def _multi_index(stub: Stub, _: object, arrays: Arrays) -> None:
    """pandas/core/indexes/multi.py, MultiIndex.__new__ and _get_level_values: codes are places in levels."""
    cls, state = expect(stub.args, tuple)
    if not (isinstance(cls, Global) and cls.name.endswith(".MultiIndex")):
        return
    given = expect(state, dict)
    levels, codes = expect(given["levels"], list), expect(given["codes"], list)
    need(len(levels) == len(codes))
    for level, places in zip(levels, codes, strict=True):
        numbers = arrays.integers(places)
        need(len(numbers) == 0 or (min(numbers) >= -1 and max(numbers) < _length(level)))


def _length(index: object) -> int:
    """Of an index of pandas, as its pickle makes it."""
    _, given = expect(expect(index, Stub).args, tuple)
    parts = expect(given, dict)
    if "start" in parts:
        return len(range(parts["start"], parts["stop"], parts["step"]))
    data = parts["data"]
    for _step in range(4):  # an array within an array of pandas' own
        if isinstance(data, Tensor):
            return _sizes(data)[-1]
        if (arrow := _merged(expect(data, Stub)).get("_pa_array")) is not None:
            made = expect(arrow, Stub)  # an array of pyarrow, whose length its builder has checked
            need(made.made_by == builders_arrow.RESTORED and made.trust == "inert")
            return integer(fields(made.args, 1, 1)[0])
        inner = list(_objects_of(expect(data, Stub).state))
        # Its array, before the type of its elements.
        kinds = [part for kind in (Tensor, Stub) for part in inner if isinstance(part, kind)]
        data = kinds[0]
    raise UnexpectedArgument


def _objects_of(states: list[object]) -> Iterator[object]:
    for state in states:
        parts = state if isinstance(state, tuple) else (state,)
        for part in parts:
            yield from part if isinstance(part, tuple) else (part,)


def _generator(stub: Stub, _: object, __: Arrays) -> None:
    """numpy/random/src/mt19937/mt19937.h and philox.h: where in its buffer the next number lies."""
    todo: list[object] = [stub.state, stub.args]
    for _step in range(10_000):
        if not todo:
            return
        item = todo.pop()
        if isinstance(item, dict):
            if "pos" in item:
                need(0 <= _number(item["pos"]) <= 624)
            if "buffer_pos" in item:
                need(0 <= _number(item["buffer_pos"]) <= 4)
            todo += item.values()
        elif isinstance(item, (list, tuple)):
            # What RandomState.set_state took before 1.17: a name, a key, a place, ...
            if len(item) >= 3 and item[0] == "MT19937":
                need(0 <= _number(item[2]) <= 624)
            todo += item
    raise UnexpectedArgument


def _number(value: object) -> int:
    if isinstance(value, Stub) and value.made_by.endswith("multiarray.scalar"):
        _, data = expect(value.args, tuple)
        return int.from_bytes(expect(data, bytes), "little", signed=True)
    return value if type(value) is int else -1


_TREES = frozenset({"sklearn.tree._tree.Tree", "sklearn.tree.tree.Tree"})
_ENSEMBLES = {
    f"sklearn.ensemble.{module}.{name}"
    for modules, names in (
        (
            ("_forest", "forest"),
            "RandomForestClassifier RandomForestRegressor ExtraTreesClassifier ExtraTreesRegressor RandomTreesEmbedding",
        ),
        (
            ("_gb", "gb", "gradient_boosting"),
            "GradientBoostingClassifier GradientBoostingRegressor",
        ),
        (("_iforest", "iforest"), "IsolationForest"),
    )
    for module in modules
    for name in names.split()
}
_SINGLE = {
    f"sklearn.tree.{module}.{name}"
    for module in ("_classes", "classes", "tree")
    for name in (
        "DecisionTreeClassifier DecisionTreeRegressor ExtraTreeClassifier ExtraTreeRegressor".split()
    )
}
_BOOSTING = "sklearn.ensemble._hist_gradient_boosting"
CHECKS: dict[str, Callable[[Stub, dict[Any, Any], Arrays], None]] = {
    **dict.fromkeys(pictures.CLASSES, pictures.check),
    **dict.fromkeys(_TREES, _tree),
    **dict.fromkeys(_ENSEMBLES | _SINGLE, _forest),
    f"{_BOOSTING}.predictor.TreePredictor": _predictor,
    f"{_BOOSTING}.gradient_boosting.HistGradientBoostingClassifier": _boosting,
    f"{_BOOSTING}.gradient_boosting.HistGradientBoostingRegressor": _boosting,
    "sklearn.neighbors._kd_tree.newObj": _binary_tree,
    "sklearn.neighbors._ball_tree.newObj": _binary_tree,
    **{
        f"scipy.sparse.{module}.{form}_{kind}": checks
        for forms, checks in (
            (("csr", "csc", "bsr"), _compressed),
            (("coo",), _coordinates),
            (("dia",), _diagonals),
        )
        for form in forms
        for module in (f"_{form}", form)
        for kind in ("matrix", "array")
    },
    "scipy.interpolate._bsplines.BSpline": _spline,
    "pandas.core.indexes.base._new_Index": _multi_index,
    **dict.fromkeys(
        (
            "numpy.random.__RandomState_ctor",
            "numpy.random.mtrand.__RandomState_ctor",
            *(
                f"numpy.random._pickle.__{kind}_ctor"
                for kind in ("randomstate", "generator", "bit_generator")
            ),
        ),
        _generator,
    ),
}
