"""Checkpoints in the forms that people save them in: what stands in them beside, or instead of, a
plain dict of float tensors.

Each function returns the object to save; a dict of tensors in it under "weights", or all of it, is
what must come out of the cleared copy.
"""

from __future__ import annotations

import argparse
import collections
import datetime as dt
import decimal
import enum
import fractions
import functools
import pathlib
import random
import types
import uuid
import warnings
from typing import Any

import numpy as np
import torch

WEIGHTS = {"layer.weight": torch.arange(12.0).reshape(3, 4), "layer.bias": torch.ones(3)}
_DTYPES = (
    "float64 float32 float16 bfloat16 int64 int32 int16 int8 uint8 uint16 uint32 uint64 bool complex64 "
    "float8_e4m3fn float8_e5m2"
)


class Colour(enum.Enum):
    """An enumeration of a training repository."""

    RED = 1


class Level(enum.IntEnum):
    """Another, of numbers."""

    HIGH = 3


def every_dtype() -> dict[str, torch.Tensor]:
    return {name: torch.zeros(2, 3).to(getattr(torch, name)) for name in _DTYPES.split()}


def views() -> dict[str, torch.Tensor]:
    base = torch.arange(24.0).reshape(4, 6)
    return {
        "base": base,
        "transposed": base.T,
        "row": base[1],
        "strided": base[::2, ::3],
        "expanded": torch.ones(3, 1).expand(3, 5),
    }


def tied() -> dict[str, torch.Tensor]:
    weight = torch.randn(5, 4)
    return {"embed.weight": weight, "head.weight": weight}


def empty_and_scalar() -> dict[str, torch.Tensor]:
    return {"none": torch.empty(0, 4), "scalar": torch.tensor(2.5), "count": torch.tensor(7)}


def parameters() -> dict[str, torch.Tensor]:
    return {
        "trained": torch.nn.Parameter(torch.randn(3)),
        "frozen": torch.nn.Parameter(torch.ones(2), False),
    }


def module_state() -> Any:
    return torch.nn.Sequential(
        torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3), torch.nn.LSTM(3, 2)
    ).state_dict()


def odd_names() -> dict[str, torch.Tensor]:
    return {
        name: torch.ones(1)
        for name in ("слой.вес", "层.权重", "a b", "x/y", "__class__", "os.system", "")
    }


def names_alike() -> dict[Any, Any]:
    """Keys that print alike, paths that meet, and names that no shell takes: one name each, in both rooms."""
    one = torch.ones(1)
    keys = (1, "1", True, "True", None, "None", (1, "a"), "(1, 'a')", b"x", "b'x'", 0.5, "0.5")
    state: dict[Any, Any] = {"a.b": one, "a": {"b": one * 2, "": one * 3}, "a.b#2": one * 4}
    state |= {key: {"t": torch.full((2,), float(at))} for at, key in enumerate(keys)}
    return state | {"": {"x": one}, "x": one, "\n\t\x00": one, "__metadata__": one, "tensor": one}


def whole_module() -> torch.nn.Module:
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, 2, 3), torch.nn.GELU(), torch.nn.MultiheadAttention(4, 2)
    )


def recurrent_module() -> torch.nn.Module:
    return torch.nn.ModuleDict({"rnn": torch.nn.LSTM(3, 4, 2), "emb": torch.nn.Embedding(5, 3)})


def adam() -> dict[str, Any]:
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters(), amsgrad=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    schedule.step()
    return {
        "weights": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "lr_scheduler": schedule.state_dict(),
        "scaler": torch.amp.GradScaler("cpu").state_dict(),
        "epoch": 3,
    }


def scaler_object() -> dict[str, Any]:
    return {"weights": WEIGHTS, "scaler": torch.amp.GradScaler("cpu")}


def schedulers() -> dict[str, Any]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(2))], lr=0.1, momentum=0.9)
    return {
        "weights": WEIGHTS,
        "plateau": torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer).state_dict(),
        "one_cycle": torch.optim.lr_scheduler.OneCycleLR(
            optimizer, 0.1, total_steps=9
        ).state_dict(),
        "sequence": torch.optim.lr_scheduler.MultiStepLR(optimizer, [2, 4]).state_dict(),
    }


def random_states() -> dict[str, Any]:
    return {
        "python": random.getstate(),
        "numpy": np.random.get_state(),
        "cpu": torch.get_rng_state(),
        "cuda": [torch.get_rng_state()],
    }


def numpy_generators() -> dict[str, Any]:
    return {"weights": WEIGHTS, "rng": np.random.default_rng(0), "old": np.random.RandomState(0)}


def hyperparameters() -> dict[str, Any]:
    return {
        "weights": WEIGHTS,
        "args": argparse.Namespace(
            lr=1e-3, out=pathlib.Path("runs/1"), device=torch.device("cuda", 0)
        ),
        "simple": types.SimpleNamespace(depth=3),
        "command": "python train.py --lr 1e-3; os.system('x') # eval(exec)",
        "activation": "<function <lambda> at 0x7f00>",
    }


def dates_and_numbers() -> dict[str, Any]:
    now = dt.datetime(2024, 5, 1, 12, tzinfo=dt.UTC)
    return {
        "weights": WEIGHTS,
        "saved": [now, now.date(), now.time(), dt.timedelta(hours=1)],
        "loss": [
            decimal.Decimal("0.1"),
            fractions.Fraction(1, 3),
            1 << 200,
            float("nan"),
            1j,
            None,
            ...,
        ],
        "run": uuid.UUID(int=5),
        "ranges": [range(3), slice(1, 2), frozenset({1}), {2}, b"x", bytearray(b"y")],
    }


def numpy_values() -> dict[str, Any]:
    return {
        "weights": WEIGHTS,
        "best": np.float64(0.9),
        "step": np.int64(7),
        "flag": np.bool_(True),
        "mean": np.zeros(3, np.float32),
        "names": np.array(["a", "b"]),
        "mixed": np.array([1, "x", None], object),
        "dtype": np.dtype("float16"),
        "record": np.zeros(2, [("a", "i4"), ("b", "f8")]),
        "when": np.datetime64("2024-05-01"),
        "masked": np.ma.masked_array([1.0, 2.0], [False, True]),
    }


def containers() -> dict[str, Any]:
    return {
        "weights": WEIGHTS,
        "ordered": collections.OrderedDict(a=1),
        "default": collections.defaultdict(list, a=[1]),
        "nested": collections.defaultdict(dict, {3: {"x": (1, 2)}}),
        "counter": collections.Counter("aab"),
        "queue": collections.deque([1, 2], maxlen=5),
    }


def torch_values() -> dict[str, Any]:
    return {
        "weights": WEIGHTS,
        "dtype": torch.float16,
        "device": torch.device("cpu"),
        "size": torch.Size([1, 2]),
        "layout": torch.strided,
        "version": torch.__version__,
        "loss": torch.nn.CrossEntropyLoss(),
    }


def partials() -> dict[str, Any]:
    return {
        "weights": WEIGHTS,
        "norm": functools.partial(torch.nn.LayerNorm, eps=1e-6),
        "init": functools.partial(torch.nn.init.trunc_normal_, std=0.02),
        "activation": torch.nn.functional.gelu,
        "loss": torch.nn.functional.cross_entropy,
        "cls": torch.nn.ReLU,
        "kind": float,
    }


def textual_inversion() -> dict[str, Any]:
    vectors = torch.nn.ParameterDict({"*": torch.nn.Parameter(torch.randn(2, 4))})
    return {"string_to_token": {"*": 265}, "string_to_param": vectors, "name": "style", "step": 500}


def averaged() -> dict[str, Any]:
    return {"weights": torch.optim.swa_utils.AveragedModel(torch.nn.Linear(2, 2)).state_dict()}


def parametrized() -> Any:
    return torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(3, 3)).state_dict()


def hooked_module() -> torch.nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.nn.utils.spectral_norm(torch.nn.Linear(3, 3))


def half() -> Any:
    return torch.nn.Linear(8, 8).to(torch.bfloat16).state_dict()


def list_of_tensors() -> list[torch.Tensor]:
    return [torch.ones(2), torch.zeros(3, dtype=torch.int64)]


def bare_tensor() -> torch.Tensor:
    return torch.randn(7)


def quantized() -> dict[str, torch.Tensor]:
    weights = torch.randn(3, 4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        by_channel = torch.quantize_per_channel(
            weights, torch.ones(3) / 9, torch.zeros(3), 0, torch.qint8
        )
        return {
            "tensor": torch.quantize_per_tensor(weights, 0.1, 2, torch.quint8),
            "channel": by_channel,
        }


def many() -> dict[str, torch.Tensor]:
    return {f"layers.{n}.weight": torch.full((16, 16), float(n)) for n in range(500)}


def large() -> dict[str, torch.Tensor]:
    return {"embed": torch.randn(1_000_000, 4), "head": torch.randn(4, 1_000_000).half()}


#: Saved as they are, in torch's zip, and compared to the last bit.
EXACT = (
    every_dtype, views, tied, empty_and_scalar, parameters, module_state, parametrized, half, many, large
)  # fmt: skip
#: What is compared lies under "weights", or nothing is (the names are the path's, see test_honest).
BESIDE = (
    odd_names, names_alike, adam, scaler_object, schedulers, random_states, numpy_generators, hyperparameters,
    dates_and_numbers, numpy_values, containers, torch_values, partials, textual_inversion, averaged,
    whole_module, recurrent_module, hooked_module, list_of_tensors, bare_tensor, quantized
)  # fmt: skip
