"""A function that an object holds, wherever in it, is told: who has the object may call it."""

from __future__ import annotations

import functools
import pickle
import textwrap
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safe_load import profiles
from safe_load.worker.formats import registry
from safe_load.worker.formats.interface import File, Reading
from safe_load.worker.pickle_vm.callables import Allowlist
from safe_load.worker.spans import MemorySource, Span

from tests.unit.worker.checkpoints import saved

if TYPE_CHECKING:
    from collections.abc import Callable

FUNCTION = textwrap.dedent
NAME = "textwrap.dedent"


def uses(data: bytes) -> dict[str, str]:
    """Callable -> how the file uses it, for those that are not ordinary."""
    reading = Reading(Allowlist(profiles.ordinary_callables()), 1 << 30, registry.judge)
    registry.judge(File("model.bin", Span(MemorySource(data), 0, len(data))), reading)
    return {str(entry["name"]): str(entry["use"]) for entry in reading.callables}


def layer(**attributes: object) -> Any:
    """A layer as torch pickles one, with those attributes too."""
    made = torch.nn.Linear(1, 1)
    vars(made).update(attributes)
    return made


def array(*items: object) -> Any:
    made = np.empty(len(items), dtype=object)
    made[:] = items
    return made


def tensor(**attributes: object) -> Any:
    """A parameter with attributes, which torch keeps as its state."""
    made = torch.nn.Parameter(torch.ones(2))
    vars(made).update(attributes)
    return made


def mapping(**attributes: object) -> Any:
    made: Any = OrderedDict(a=1)
    vars(made).update(attributes)
    return made


HOLDING: dict[str, Callable[[], object]] = {
    "attribute": lambda: layer(hook=FUNCTION),
    "array of objects": lambda: layer(hooks=array(1, FUNCTION)),
    "array in an array": lambda: layer(hooks=array(array(FUNCTION, 1), 2)),
    "array in a list in a dict": lambda: layer(hooks={"a": [array(FUNCTION, 1)]}),
    "attribute of a parameter": lambda: tensor(hook=FUNCTION),
    "array of a parameter": lambda: tensor(hooks=array(FUNCTION, 1)),
    "attribute of a mapping": lambda: mapping(hook=FUNCTION),
    "array of a mapping": lambda: mapping(hooks=[array(FUNCTION, 1)]),
    "mapping of a mapping": lambda: mapping(inner=mapping(hook=FUNCTION)),
    "partial": lambda: layer(hook=functools.partial(torch.nn.functional.relu, array(FUNCTION, 1))),
}


@pytest.mark.parametrize("where", HOLDING)
@pytest.mark.parametrize("write", [pickle.dumps, saved], ids=["pickle", "torch"])
def test_a_function_within_an_object_is_told(where: str, write: Callable[[object], bytes]) -> None:
    assert uses(write(HOLDING[where]()))[NAME] == "held"


def test_what_honest_objects_hold_there_is_not() -> None:
    assert uses(saved({"w": layer(hook=torch.nn.functional.relu, more=array(1, np.float64))})) == {}
    assert uses(saved(tensor(names_of=["a"], scale=2.0))) == {}


@pytest.mark.parametrize(
    "key", ["data", "grad", "_grad", "real", "imag", "__class__", "_backward_hooks", "_post_accumulate_grad_hooks"]
)  # fmt: skip
def test_state_that_sets_what_a_tensor_is_made_of_is_told(key: str) -> None:
    from torch._utils import _rebuild_parameter_with_state

    class Made:
        def __reduce__(self) -> Any:
            state = {key: torch.zeros(2)}
            return _rebuild_parameter_with_state, (torch.ones(2), True, OrderedDict(), state)

    assert uses(saved(Made()))["Tensor.__setstate__"] == "call"


@pytest.mark.parametrize(
    ("arguments", "keywords", "told"),
    [
        ((), {"eps": 1e-6}, False), ((3,), {"elementwise_affine": False}, False), (((2, 3),), {}, False),
        ((), {"activation": "relu"}, False), (("/etc/passwd",), {}, True), ((), {"a": "x = __import__('os')"}, True),
        ((), {"a": {"b": ["../../x"]}}, True), ((torch.nn.ReLU(),), {}, True), ((b"\x80\x04.",), {}, True),
    ],
    ids=str,
)  # fmt: skip
def test_a_partial_is_weighed_by_what_it_is_given(
    arguments: tuple[object, ...], keywords: dict[str, object], told: bool
) -> None:
    norm: Any = torch.nn.LayerNorm
    made = functools.partial(norm, *arguments, **keywords)
    found = uses(saved({"norm": made}))
    assert ("functools.partial.__setstate__" in found) is told, found


def test_a_target_of_hydra_in_a_checkpoint_is_told() -> None:
    for holder in (dict, OrderedDict):
        config = holder(_target_="os.system", command="true")
        assert uses(saved({"hyper_parameters": {"model": config}}))["os.system"] == "named"
    assert "builtins.print" not in uses(saved({"_target_": None}))


@pytest.mark.parametrize(
    ("name", "told"),
    [("x.pkl_01.npy", False), ("../x.npy", True), ("/tmp/x.npy", True), ("..", True), (b"x", True)],
)
def test_an_array_of_joblib_lies_beside_its_pickle(name: object, told: bool) -> None:
    from joblib.numpy_pickle import NDArrayWrapper

    stream = pickle.dumps(NDArrayWrapper(name, np.ndarray), 2)
    stream = stream.replace(
        b"numpy_pickle_compat", b"numpy_pickle"
    )  # as joblib before 0.10 wrote it
    assert uses(stream) == ({"joblib.numpy_pickle.NDArrayWrapper.read": "state"} if told else {})


@pytest.mark.parametrize(("name", "told"), [("x.pkl_01.npy.z", False), ("../x.npy.z", True)])
def test_a_packed_array_of_joblib_lies_beside_its_pickle(name: str, told: bool) -> None:
    """As joblib 0.9 wrote one with compress=True."""
    from joblib.numpy_pickle import ZNDArrayWrapper

    state = (1, (5,), np.dtype("i8"), False)
    stream = pickle.dumps(ZNDArrayWrapper(name, (np.ndarray, (0,), b"b"), state), 2)
    stream = stream.replace(b"numpy_pickle_compat", b"numpy_pickle")
    assert uses(stream) == ({"joblib.numpy_pickle.ZNDArrayWrapper.read": "state"} if told else {})


@pytest.mark.parametrize(
    ("argument", "use"), [("relu", "fields"), ("2.13.0", "fields"), ("evil.payload", "call")]
)
def test_a_dotted_name_is_no_word_for_a_class_that_is_not_here(argument: str, use: str) -> None:
    stream = b"cabsent.library\nThing\n(S'" + argument.encode() + b"'\ntR."
    assert uses(stream)["absent.library.Thing"] == use


@pytest.mark.parametrize("which", ["tensor", "parameter", "parameter with a state"])
@pytest.mark.filterwarnings("ignore")
def test_a_backward_hook_is_told(which: str) -> None:
    from torch import _utils

    class Made:
        def __init__(self, hooks: object) -> None:
            self.hooks = hooks

        def __reduce__(self) -> Any:
            place = torch.ones(2).storage(), 0, (2,), (1,)
            if which == "tensor":
                return _utils._rebuild_tensor_v2, (*place, True, self.hooks)
            if which == "parameter":
                return _utils._rebuild_parameter, (torch.ones(2), True, self.hooks)
            return _utils._rebuild_parameter_with_state, (torch.ones(2), True, self.hooks, {})

    assert uses(saved(Made(OrderedDict({0: FUNCTION})))) == {NAME: "held"}
    assert uses(saved(Made(OrderedDict()))) == {}


@pytest.mark.parametrize(
    ("value", "told"),
    [("org/kernel", True), ("org/kernel@v1:f", True), ("sdpa", False), (None, False)],
)
@pytest.mark.parametrize("key", ["_attn_implementation", "_attn_implementation_internal"])
def test_a_pickled_configuration_names_no_kernel(key: str, value: object, told: bool) -> None:
    from transformers import BertConfig

    config = BertConfig()
    vars(config)[key] = value
    found = uses(saved({"config": config}))
    assert any("_attn_implementation" in name for name in found) is told


def test_what_a_checkpoint_has_instantiated_by_a_target_with_params_is_told() -> None:
    for value in ({"_target_": "os.system"}, {"target": "os.system", "params": {"command": "id"}}):
        assert uses(pickle.dumps({"hyper_parameters": value})) == {"os.system": "named"}
    assert uses(pickle.dumps({"target": "os.system", "step": 1})) == {}
