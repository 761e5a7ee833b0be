"""States that compiled code would follow out of its arrays are told; honest ones are not."""

from __future__ import annotations

import contextlib
import pickle
import struct
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from safe_load import profiles
from safe_load.worker.formats import registry
from safe_load.worker.formats.interface import File, Reading
from safe_load.worker.pickle_vm.callables import Allowlist
from safe_load.worker.refusal import RefusedError
from safe_load.worker.spans import MemorySource, Span

if TYPE_CHECKING:
    from collections.abc import Callable

    Make = Callable[..., Any]

TREE = "sklearn.tree._tree.Tree"
CLASSIFIER = "sklearn.tree._classes.DecisionTreeClassifier"
FOREST = "sklearn.ensemble._forest.RandomForestClassifier"
PREDICTOR = "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"
BOOSTING = (
    "sklearn.ensemble._hist_gradient_boosting.gradient_boosting.HistGradientBoostingClassifier"
)
BALLS = "sklearn.neighbors._ball_tree"
METRIC = "sklearn.metrics._dist_metrics"
NODE = [("left_child", "<i8"), ("right_child", "<i8"), ("feature", "<i8"), ("threshold", "<f8")]
LEAF = [
    ("left", "<u4"), ("feature_idx", "<i8"), ("right", "<u4"), ("is_leaf", "u1"), ("is_categorical", "u1"),
    ("bitset_idx", "<u4"),
]  # fmt: skip
BALL = [("idx_start", "<i8"), ("idx_end", "<i8"), ("is_leaf", "<i8"), ("radius", "<f8")]


class Made:
    """What pickles as a call of a global, and a state."""

    def __init__(self, *reduced: object) -> None:
        self.reduced = reduced

    def __reduce__(self) -> Any:
        return self.reduced


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Make:
    """Pickles as objects of libraries that are not installed here, under their names."""

    def find(dotted: str) -> Any:
        *path, last = dotted.split(".")
        module = ".".join(path)
        for length in range(1, len(path) + 1):
            part = ".".join(path[:length])
            if part not in sys.modules:
                monkeypatch.setitem(sys.modules, part, ModuleType(part))
        if not hasattr(sys.modules[module], last):
            cls = type(last, (), {"__module__": module, "__qualname__": last})
            monkeypatch.setattr(sys.modules[module], last, cls, raising=False)
        return getattr(sys.modules[module], last)

    def make(dotted: str, args: tuple[object, ...], *states: object) -> Any:
        arguments = tuple(find(a[1:]) if isinstance(a, str) and a[:1] == "=" else a for a in args)
        return Made(find(dotted), arguments, *states)

    return make


def instance(make: Make, dotted: str, **state: object) -> Any:
    """An object that only has attributes."""
    made = make(dotted, ()).reduced[0]()
    vars(made).update(state)
    return made


def reduced(value: Any) -> Any:
    """How numpy pickles it: a function, its arguments, a state."""
    return value.__reduce__()


def told(value: object, protocol: int = 4) -> set[str]:
    """The objects whose state is said to lead out of bounds; any other word fails the test."""
    data = pickle.dumps(value, protocol=protocol)
    reading = Reading(Allowlist(profiles.ordinary_callables()), 1 << 30, registry.judge)
    registry.judge(File("model.pkl", Span(MemorySource(data), 0, len(data))), reading)
    assert {entry["use"] for entry in reading.callables} <= {"native"}, reading.callables
    return {str(entry["name"]).removesuffix(".__setstate__") for entry in reading.callables}


def tree(make: Make, features: int = 3, **changed: int) -> Any:
    """A root with two leaves; changed: fields of the root, or count."""
    nodes = np.array([(1, 2, 0, 0.5), (-1, -1, -2, 0.0), (-1, -1, -2, 0.0)], dtype=NODE)
    count = changed.pop("count", 3)
    for field, number in changed.items():
        nodes[field][0] = number
    state = {"max_depth": 1, "node_count": count, "nodes": nodes, "values": np.ones((3, 1, 2))}
    return make(TREE, (features, np.array([2]), 1), state)


@pytest.mark.parametrize(
    "changed",
    [
        {"left_child": 3}, {"right_child": 1 << 40}, {"left_child": -7}, {"right_child": 0}, {"feature": 3},
        {"feature": -1}, {"count": 4}, {"count": -1},
    ],
    ids=str,
)  # fmt: skip
def test_a_tree_whose_nodes_lead_out_of_it_is_told(made: Make, changed: dict[str, int]) -> None:
    assert told(tree(made)) == set()
    assert told(tree(made, **changed)) == {TREE}


def test_a_tree_that_lies_about_its_features_is_told_by_who_holds_it(made: Make) -> None:
    honest, lying = tree(made), tree(made, features=10**6, feature=10**5)
    for inner, expected in ((honest, set()), (lying, {CLASSIFIER})):
        assert told(instance(made, CLASSIFIER, tree_=inner, n_features_in_=3)) == expected
    inner = instance(made, CLASSIFIER, tree_=lying, n_features_in_=10**6)
    assert told(instance(made, FOREST, estimators_=[inner], n_features_in_=3)) == {FOREST}
    trees = np.array([inner, inner], dtype=object)
    assert told(instance(made, FOREST, estimators_=trees, n_features_in_=3)) == {FOREST}


def test_a_second_state_is_looked_at_too(made: Make) -> None:
    good, bad = tree(made), tree(made, left_child=99)
    stream = pickle.dumps(good, 2)[:-1] + pickle.dumps(bad.reduced[2], 2)[2:-1] + b"b."
    reading = Reading(Allowlist(profiles.ordinary_callables()), 1 << 30, registry.judge)
    with contextlib.suppress(RefusedError):  # where its values, there twice, have one name
        registry.judge(File("model.pkl", Span(MemorySource(stream), 0, len(stream))), reading)
    assert [entry["use"] for entry in reading.callables] == ["native"]


@pytest.mark.parametrize(
    ("changed", "who"),
    [
        ({}, set()), ({"left": 3}, {PREDICTOR}), ({"right": 0}, {PREDICTOR}), ({"feature_idx": 7}, {BOOSTING}),
        ({"is_categorical": 1, "bitset_idx": 9}, {PREDICTOR}),
    ],
    ids=str,
)  # fmt: skip
def test_a_histogram_predictor_keeps_within_its_nodes(
    made: Make, changed: dict[str, int], who: set[str]
) -> None:
    nodes = np.array([(1, 0, 2, 0, 0, 0), (0, 0, 0, 1, 0, 0), (0, 0, 0, 1, 0, 0)], dtype=LEAF)
    for field, number in changed.items():
        nodes[field][0] = number
    sets = np.zeros((0, 8), "u4")
    inner = instance(
        made, PREDICTOR, nodes=nodes, raw_left_cat_bitsets=sets, binned_left_cat_bitsets=sets
    )
    assert told(instance(made, BOOSTING, _predictors=[[inner]], n_features_in_=3)) == who


@pytest.mark.parametrize(
    ("place", "wrong"),
    [
        (1, np.array([0, 1, 9])), (1, np.array([0, 1])), (2, np.array([(0, 9, 1, 0.0)], dtype=BALL)),
        (2, np.array([(0, 3, 0, 0.0)], dtype=BALL)), (5, 3), (6, 2), (3, np.zeros((1, 1, 1))),
    ],
)  # fmt: skip
def test_the_points_of_a_ball_tree_lie_in_its_data(made: Make, place: int, wrong: object) -> None:
    metric = made(
        f"{METRIC}.newObj", (f"={METRIC}.EuclideanDistance64",), (2.0, np.ones(1), np.ones((1, 1)))
    )
    state: list[object] = [np.zeros((3, 2)), np.arange(3), np.array([(0, 3, 1, 1.0)], dtype=BALL)]
    state += [np.zeros((1, 1, 2)), 40, 1, 1, 0, 0, 0, 0, metric, None]
    name = f"{BALLS}.newObj"
    assert told(made(name, (f"={BALLS}.BallTree",), tuple(state))) == set()
    state[place] = wrong
    assert told(made(name, (f"={BALLS}.BallTree",), tuple(state))) == {name}


SPARSE: dict[str, tuple[dict[str, object], list[dict[str, object]]]] = {
    "csr": (
        {"indices": np.array([0, 4], "i4"), "indptr": np.array([0, 1, 2], "i4"), "data": np.ones(2)},
        [
            {"indices": np.array([0, 5], "i4")}, {"indices": np.array([-1, 0], "i4")}, {"data": np.ones(1)},
            {"indptr": np.array([0, 9, 2], "i4")}, {"indptr": np.array([0, 2], "i4")}, {"_shape": (2, 1)},
        ],
    ),
    "csc": (
        {"indices": np.array([0, 1], "i4"), "indptr": np.array([0, 1, 2, 2, 2, 2], "i4"), "data": np.ones(2)},
        [{"indices": np.array([0, 2], "i4")}, {"indptr": np.array([0, 1, 2], "i4")}],
    ),
    "bsr": (
        {"indices": np.array([0], "i4"), "indptr": np.array([0, 1, 1], "i4"), "data": np.ones((1, 1, 5))},
        [{"indices": np.array([1], "i4")}, {"data": np.ones((1, 2, 5))}],
    ),
    "coo": (
        {"coords": (np.array([0, 1], "i4"), np.array([0, 4], "i4")), "data": np.ones(2)},
        [{"coords": (np.array([0, 2], "i4"), np.array([0, 4], "i4"))}, {"data": np.ones(3)}],
    ),
    "dia": (
        {"offsets": np.array([0, 1], "i4"), "data": np.ones((2, 5))},
        [{"offsets": np.arange(9, dtype="i4")}],
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", SPARSE)
def test_a_sparse_matrix_keeps_within_its_shape(made: Make, form: str) -> None:
    good, wrong = SPARSE[form]
    for kind in ("matrix", "array"):
        name = f"scipy.sparse._{form}.{form}_{kind}"
        assert told(instance(made, name, _shape=(2, 5), **good)) == set()
        for changed in wrong:
            assert told(instance(made, name, **({"_shape": (2, 5)} | good | changed))) == {name}, (
                changed
            )


def test_a_spline_has_a_weight_for_each_of_its_intervals(made: Make) -> None:
    name = "scipy.interpolate._bsplines.BSpline"
    assert told(instance(made, name, _t=np.arange(10.0), _c=np.ones(6), k=3)) == set()
    for changed in ({"_c": np.ones(5)}, {"k": 30}, {"k": -1}):
        state = {"_t": np.arange(10.0), "_c": np.ones(6), "k": 3} | changed
        assert told(instance(made, name, **state)) == {name}


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_a_random_generator_goes_on_within_its_buffer(protocol: int) -> None:
    for generator in (
        np.random.RandomState(0),
        np.random.default_rng(0),
        np.random.MT19937(1),
        np.random.Philox(1),
    ):
        assert told(generator, protocol) == set()
    make, args, state = reduced(np.random.RandomState(0))
    for place in (625, -1, 1 << 40):
        wrong = state | {"state": state["state"] | {"pos": place}}
        assert told(Made(make, args, wrong), protocol) == {f"{make.__module__}.{make.__name__}"}
    make, args, state = reduced(np.random.Philox(1))
    wrong = (state[0] | {"buffer_pos": 5}, state[1])
    assert told(Made(make, args, wrong), protocol) == {f"{make.__module__}.{make.__name__}"}


@pytest.mark.parametrize(
    ("codes", "within"),
    [([0, 1, -1], True), ([0, 1, 2], False), ([0, -2, 1], False), ([100, 0, 0], False)],
)
def test_the_codes_of_a_multi_index_are_places_in_its_levels(
    made: Make, codes: list[int], within: bool
) -> None:
    new = "pandas.core.indexes.base._new_Index"
    numbers = made(new, ("=pandas.Index", {"data": np.array([5, 7]), "name": None}))
    steps = made(new, ("=pandas.RangeIndex", {"start": 0, "stop": 4, "step": 2, "name": None}))
    offsets = struct.pack("<3i", 0, 1, 2)
    buffers = [None, *(made("pyarrow.lib.py_buffer", (data,)) for data in (offsets, b"ab"))]
    kind = made("pyarrow.lib.type_for_alias", ("string",))
    texts = made("pyarrow.lib._restore_array", ((kind, 2, 0, 0, buffers, [], None),))
    made("pandas.arrays.ArrowStringArray", ())
    held = sys.modules["pandas.arrays"].ArrowStringArray()
    held._pa_array = texts
    names = made(new, ("=pandas.Index", {"data": held, "name": None}))
    for level in (numbers, steps, names):
        state = {"levels": [level], "codes": [np.array(codes, "i1")], "sortorder": None}
        index = made(new, ("=pandas.MultiIndex", state))
        assert told(index) == (set() if within else {new})
