"""What the tensors of a checkpoint are called in its export, and which of them are its weights."""

from __future__ import annotations

import sys
import types
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file

from tests.unit.worker.checkpoints import Calls, saved

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Tensors = dict[str, torch.Tensor]


class Net(torch.nn.Module):
    """Buffers of both kinds, a shared part, lists and dicts of parameters, and a tensor beside them."""

    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.Linear(2, 2)
        self.again = self.first
        self.norm = torch.nn.BatchNorm1d(2)
        self.register_buffer("kept", torch.ones(2))
        self.register_buffer("fleeting", torch.ones(3), persistent=False)
        self.register_parameter("none", None)
        self.by_name = torch.nn.ParameterDict({"a": torch.nn.Parameter(torch.ones(1))})
        self.listed = torch.nn.ParameterList([torch.nn.Parameter(torch.ones(4))])
        self.parts = torch.nn.ModuleDict({"x": torch.nn.Sequential(torch.nn.Conv1d(1, 1, 1))})
        self.beside = torch.zeros(7)


def trained() -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    """A layer and an optimizer that made one step; the first parameter had no part in it."""
    layer = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2, bias=False))
    layer[0].weight.requires_grad_(False)
    optimizer = torch.optim.AdamW([{"params": [p]} for p in layer.parameters()])
    layer(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    return layer, optimizer


@pytest.fixture
def written(extracted: Callable[..., Any], tmp_path: Path) -> Callable[..., tuple[Tensors, str]]:
    """Call it with an object and options: what its export holds, and all notes."""

    def run(value: object, **options: Any) -> tuple[Tensors, str]:
        result = extracted(saved(value), **options)
        assert result["status"] == "ok", result["reason"]
        return load_file(tmp_path / "out.safetensors"), "\n".join(result["notes"])

    return run


def same(got: Tensors, want: dict[str, Any]) -> None:
    """The same names and the same numbers."""
    assert sorted(got) == sorted(want)
    for name, tensor in got.items():
        assert torch.equal(tensor, want[name].detach()), name


@pytest.mark.parametrize("wrap", [torch.nn.Sequential, torch.nn.DataParallel, lambda net: net])
def test_a_module_comes_out_as_its_state_dict(
    written: Any, wrap: Callable[[torch.nn.Module], torch.nn.Module]
) -> None:
    net = wrap(Net())
    got, notes = written(net)
    same(got, net.state_dict())
    net.load_state_dict(got)
    assert "2 tensors of its modules and optimizers that no state_dict names are left out" in notes


def test_modules_within_containers_have_their_path_before_their_names(written: Any) -> None:
    net, other = Net(), torch.nn.Linear(1, 1)
    got, _ = written({"nets": [net, (other,)], "w": torch.ones(5)})
    want = {f"nets.0.{name}": value for name, value in net.state_dict().items()}
    want |= {f"nets.1.0.{name}": value for name, value in other.state_dict().items()}
    same(got, want | {"w": torch.ones(5)})


def test_an_optimizer_comes_out_as_its_state_dict_by_number_with_its_parameters(
    written: Any,
) -> None:
    layer, optimizer = trained()
    got, _ = written(optimizer)
    state = optimizer.state_dict()["state"]
    assert set(state) == {1, 2}
    want = {f"state.{n}.{key}": value for n, held in state.items() for key, value in held.items()}
    parameters = enumerate(layer.parameters())
    same(got, want | {f"param_groups.{at}.params.0": value for at, value in parameters})


def test_a_module_that_a_call_makes_again_is_one(written: Any, monkeypatch: Any) -> None:
    library = types.ModuleType("persistence_like")
    rebuild = types.FunctionType((lambda meta: meta).__code__, {}, "rebuild")
    rebuild.__module__, rebuild.__qualname__ = "persistence_like", "rebuild"
    library.rebuild = rebuild  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "persistence_like", library)
    state = {"_parameters": {"w": torch.nn.Parameter(torch.ones(3))}, "_modules": {}}
    meta = {"class_name": "G", "state": state | {"_buffers": {"b": torch.ones(2)}}}
    got, _ = written({"G": Calls(rebuild, meta), "seed": 1})
    assert got.keys() == {"G.w", "G.b"}


WEIGHTS = {"a.weight": torch.ones(2), "a.bias": torch.ones(3)}
OTHER = {"b.weight": torch.ones(4)}
LAYER, OPTIMIZER = trained()
MOMENTS = {"state": {0: {"exp_avg": torch.ones(9)}}, "param_groups": [{"lr": 1e-3, "params": [0]}]}

WRAPPED = {
    "state_dict": {"state_dict": WEIGHTS, "epoch": 3},
    "lightning": {
        "state_dict": WEIGHTS,
        "callbacks": {"Checkpoint": {"best_model_score": torch.tensor(0.5)}},
        "optimizer_states": [MOMENTS],
        "loops": {"fit_loop": {"state_dict": {"t": torch.ones(2)}}},
    },
    "model and optimizer": {"model": WEIGHTS, "optimizer": MOMENTS, "epoch": torch.tensor(3)},
    "module": {"module": WEIGHTS, "param_shapes": [torch.Size([2])]},
    "voice": {"weight": WEIGHTS, "config": [1, 2], "sr": "40k"},
    "params": {"params": WEIGHTS},
    "params_ema": {"params_ema": WEIGHTS},
    "whisper": {"dims": {"n": 1}, "model_state_dict": WEIGHTS},
    "generator": {"generator": WEIGHTS, "optim_g": MOMENTS, "steps": 5},
    "a wrapper in a wrapper": {"checkpoint": {"model": WEIGHTS, "amp": {"scale": torch.ones(1)}}},
    "a key of one's own beside an optimizer": {"unet": WEIGHTS, "optimizer": MOMENTS},
    "a random state": {"model": WEIGHTS, "rng_state": torch.get_rng_state()},
}


@pytest.mark.parametrize("checkpoint", WRAPPED.values(), ids=WRAPPED)
def test_wrapped_weights_come_out_under_their_own_names(written: Any, checkpoint: Any) -> None:
    got, notes = written(checkpoint)
    same(got, WEIGHTS)
    assert "its weights are those under '" in notes


def test_what_was_left_out_is_told_with_the_way_to_keep_it(written: Any) -> None:
    _, notes = written({"model": LAYER, "optimizer": OPTIMIZER, "epoch": torch.tensor(3)})
    assert notes == (
        "its weights are those under 'model', exported under their own names; left out: 'optimizer' "
        "(6 tensors), 'epoch' (1 tensor); --keep all keeps the rest, --names path every full path"
    )


PLAIN = {
    "a state dict": ({"weight": torch.ones(2), "model": torch.ones(1)}, {"weight", "model"}),
    "parts of a model": ({"encoder": WEIGHTS, "decoder": OTHER}, {"encoder.a.weight", "encoder.a.bias", "decoder.b.weight"}),
    "one part": ({"encoder": OTHER}, {"encoder.b.weight"}),
    "a list": ([WEIGHTS, OTHER], {"0.a.weight", "0.a.bias", "1.b.weight"}),
    "an optimizer's state": (MOMENTS, {"state.0.exp_avg"}),
    "a bare tensor": (torch.ones(2), {"tensor"}),
    "an empty name": ({"": torch.ones(2)}, {""}),
}  # fmt: skip


@pytest.mark.parametrize(("value", "names"), PLAIN.values(), ids=PLAIN)
def test_what_wraps_nothing_keeps_its_names(written: Any, value: Any, names: set[str]) -> None:
    got, notes = written(value)
    assert got.keys() == names
    assert notes == ""


@pytest.mark.parametrize(
    ("vectors", "beside", "name"),
    [
        ({"*": OTHER["b.weight"]}, {"name": "my style", "step": 500}, "my style"),
        ({"*": OTHER["b.weight"]}, {"string_to_token": {"*": torch.tensor(265)}}, "*"),
        (torch.nn.ParameterDict({"*": torch.nn.Parameter(OTHER["b.weight"])}), {"name": 5}, "*"),
    ],
)
def test_a_textual_inversion_comes_out_under_the_name_of_its_token(
    written: Any, vectors: Any, beside: dict[str, Any], name: str
) -> None:
    got, notes = written({"string_to_param": vectors, **beside})
    same(got, {name: OTHER["b.weight"]})
    assert "its weights are those under 'string_to_param'" in notes


@pytest.mark.parametrize(
    ("checkpoint", "keys"),
    [
        ({"params": WEIGHTS, "params_ema": OTHER}, ["params", "params_ema"]),
        ({"generator": WEIGHTS, "discriminator": OTHER}, ["generator", "discriminator"]),
        ({"state_dict": WEIGHTS, "state_dict_ema": OTHER}, ["state_dict", "state_dict_ema"]),
        ({"checkpoint": {"net": WEIGHTS, "ema": OTHER}}, ["checkpoint.net", "checkpoint.ema"]),
    ],
)
def test_where_nobody_can_choose_all_keeps_its_path_and_the_choice_is_told(
    written: Any, checkpoint: Any, keys: list[str]
) -> None:
    got, notes = written(checkpoint)
    first, second = keys
    assert got.keys() >= {f"{first}.a.weight", f"{second}.b.weight"} or "checkpoint" in checkpoint
    assert f"--weights-of {first} or --weights-of {second}" in notes
    chosen, _ = written(checkpoint, weights_of=second)
    same(chosen, OTHER)
    assert written(checkpoint, weights_of=second, names="path")[0].keys() == {f"{second}.b.weight"}


def test_a_key_that_holds_no_tensors_is_refused_with_those_that_do(extracted: Any) -> None:
    result = extracted(saved({"model": WEIGHTS, "ema": OTHER, "epoch": 1}), weights_of="emma")
    assert result["status"] == "not_loadable"
    assert result["reason"].endswith(
        "it holds no tensors under the key 'emma': --weights-of takes one of 'model', 'ema'"
    )


def test_a_key_says_nothing_of_files_without_tensors_and_of_those_that_are_not_exported(
    extracted: Any,
) -> None:
    assert extracted(saved({"lr": 0.1}), weights_of="ema")["status"] == "no_tensors"
    assert extracted(saved({"a": WEIGHTS}), weights_of="ema", export=False)["status"] == "ok"


def test_names_path_gives_every_tensor_its_full_path(written: Any) -> None:
    got, _ = written({"model": LAYER, "optimizer": MOMENTS}, names="path")
    want = {f"model.{name}": value for name, value in LAYER.state_dict().items()}
    same(got, want | {"optimizer.state.0.exp_avg": torch.ones(9)})


def test_keep_all_exports_the_rest_beside_the_weights(written: Any) -> None:
    net = Net()
    got, notes = written({"model": net, "optimizer": MOMENTS}, keep="all")
    want: dict[str, Any] = dict(net.state_dict()) | {"optimizer.state.0.exp_avg": torch.ones(9)}
    same(got, want | {"model.beside": net.beside, "model._buffers.fleeting": net.fleeting})
    assert notes == ""


def test_keys_that_print_alike_have_names_of_their_own(written: Any) -> None:
    keys = [1, "1", True, "True", (1, "a"), "(1, 'a')", b"a", "b'a'", None, "None", 1.5, "1.5"]
    for first, second in zip(keys[::2], keys[1::2], strict=True):
        got, _ = written({first: {"t": torch.ones(2)}, second: {"t": torch.ones(3)}})
        assert sorted(map(len, got.values())) == [2, 3]
