"""What torch saved comes out of extraction bit by bit as torch.load would have given it."""

from __future__ import annotations

import argparse
import collections
import datetime as dt
import enum
import functools
import pathlib
import sys
import types
import warnings
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safe_load.worker.tensors import fingerprints
from safetensors.torch import load_file, load_model

from tests.unit.worker.checkpoints import rezipped, saved
from tests.unit.worker.same_tensors import assert_same, raw

if TYPE_CHECKING:
    from pathlib import Path


Exported = "Callable[..., dict[str, torch.Tensor]]"
FORMATS = pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])


EXACT = [
    torch.bool, torch.uint8, torch.int8, torch.uint16, torch.int16, torch.uint32, torch.int32,
    torch.uint64, torch.int64, torch.float16, torch.bfloat16, torch.float32, torch.float64,
    torch.complex64, torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e4m3fnuz,
    torch.float8_e5m2fnuz, torch.float8_e8m0fnu, torch.float4_e2m1fn_x2,
]  # fmt: skip


@FORMATS
def test_every_element_type_that_safetensors_has_comes_out_as_it_is(
    exported: Any, legacy: bool
) -> None:
    state = {}
    for dtype in EXACT:
        data = (
            torch.arange(48, dtype=torch.uint8) % 2
            if dtype == torch.bool
            else torch.randint(0, 256, (48,), dtype=torch.uint8)
        )
        state[str(dtype)] = data.view(dtype).reshape(2, -1)
    assert_same(exported(saved(state, legacy=legacy)), state)


@FORMATS
def test_an_element_type_that_safetensors_lacks_is_a_view_and_says_so(
    extracted: Any, tmp_path: Path, legacy: bool
) -> None:
    from safetensors import safe_open

    value = torch.randn(3, 4, dtype=torch.complex128)
    result = extracted(saved({"z": value, "plain": torch.ones(1)}, legacy=legacy))
    with safe_open(tmp_path / "out.safetensors", "pt") as file:
        assert file.metadata() == {"format": "pt", "safe_load.view:z": "complex128"}
        assert torch.equal(torch.view_as_complex(file.get_tensor("z")), value)
    row = next(row for row in result["tensors"] if row["name"] == "z")
    assert (row["dtype"], row["shape"], row["torch_dtype"]) == ("F64", (3, 4, 2), "complex128")


def test_a_quantised_tensor_is_its_integers_and_the_metadata_has_its_scale(
    extracted: Any, tmp_path: Path
) -> None:
    from safetensors import safe_open

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        value = torch.quantize_per_tensor(torch.randn(6), 0.5, 3, torch.quint8)
        data = saved({"q": value})
    assert extracted(data)["status"] == "ok"
    with safe_open(tmp_path / "out.safetensors", "pt") as file:
        assert (
            file.metadata()["safe_load.view:q"] == "quint8 per_tensor_affine scale=0.5 zero_point=3"
        )
        assert torch.equal(file.get_tensor("q"), value.int_repr())


def views() -> dict[str, torch.Tensor]:
    base = torch.arange(7 * 11 * 13, dtype=torch.float32).reshape(7, 11, 13)
    wide = torch.randint(0, 1 << 30, (300, 500), dtype=torch.int32)
    return {
        "transposed": wide.t(),
        "permuted": base.permute(2, 0, 1).contiguous().permute(1, 2, 0),
        "every_third": base[:, ::3, 1::4],
        "inner": base[2:5, 3:9, 4:12],
        "one_row": base[3],
        "one_column": wide[:, 7],
        "channels_last": torch.randn(4, 16, 3, 3).to(memory_format=torch.channels_last),
        "expanded": torch.randn(5, 1).expand(5, 6),
        "scalar_expanded": torch.tensor(2.5).expand(3, 4),
        "windows": torch.arange(20.0).unfold(0, 5, 2),
        "bytes": torch.randint(0, 255, (64, 33), dtype=torch.uint8).t(),
        "halves": torch.randn(64, 33).to(torch.bfloat16).t(),
        "doubles": torch.randn(8, 9, dtype=torch.float64).t(),
        "conjugate": torch.randn(4, 5, dtype=torch.complex64).conj().t(),
        "negative": torch.randn(4, 5, dtype=torch.complex64).conj().imag,
        "empty": torch.zeros(0, 4),
        "empty_transposed": torch.zeros(4, 0).t(),
        "scalar": torch.tensor(7),
        "one": torch.ones(1, 1, 1),
    }


@FORMATS
def test_views_are_written_in_their_logical_order(exported: Any, legacy: bool) -> None:
    state = views()
    assert_same(exported(saved(state, legacy=legacy)), state)


def test_views_larger_than_a_block_are_put_together_from_several(
    exported: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safe_load.worker.tensors import views as worker_views

    monkeypatch.setattr(worker_views, "BLOCK", 1000)
    monkeypatch.setattr(worker_views, "WINDOW", 4000)
    state = views()
    assert_same(exported(saved(state)), state)


def test_complex_views_of_sixteen_bytes_are_transposed_too(extracted: Any, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    value = torch.randn(6, 5, dtype=torch.complex128).t().conj()
    extracted(saved({"z": value}))
    assert torch.equal(torch.view_as_complex(load_file(tmp_path / "out.safetensors")["z"]), value)


@FORMATS
def test_overlapping_views_of_one_storage_are_each_written(exported: Any, legacy: bool) -> None:
    base = torch.randn(100)
    state = {"head": base[:60], "tail": base[40:], "all": base}
    assert_same(exported(saved(state, legacy=legacy)), state)


@FORMATS
def test_tied_tensors_are_written_under_every_name_and_load_model_finds_them(
    extracted: Any, tmp_path: Path, legacy: bool
) -> None:
    class Tied(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = torch.nn.Embedding(10, 4)
            self.head = torch.nn.Linear(4, 10, bias=False)
            self.head.weight = self.embed.weight

    model = Tied()
    result = extracted(saved(model.state_dict(), legacy=legacy))
    assert result["tied"] == [["embed.weight", "head.weight"]]
    assert [row["name"] for row in result["tensors"]] == ["embed.weight", "head.weight"]
    other = Tied()
    other.load_state_dict(load_file(tmp_path / "out.safetensors"))
    assert torch.equal(other.head.weight, model.embed.weight)
    # load_model calls the second name one too many; it takes both where it is not strict.
    other = Tied()
    load_model(other, tmp_path / "out.safetensors", strict=False)
    assert torch.equal(other.head.weight, model.embed.weight)


def test_tied_tensors_that_would_grow_beyond_the_bound_are_written_once(extracted: Any) -> None:
    weight = torch.ones(1 << 10)
    state = {f"layer.{index:02}": weight for index in range(8)} | {"b": torch.ones(2)}
    result = extracted(saved(state), size_limit=8 << 10)
    assert {row["name"] for row in result["tensors"]} == {"b", "layer.00"}
    assert result["tied"] == [[f"layer.{index:02}" for index in range(8)]]
    assert "7 names of tied tensors are written as aliases alone" in result["notes"][0]


@FORMATS
def test_names_are_paths_of_keys_indices_and_attributes(exported: Any, legacy: bool) -> None:
    one, two, three = torch.ones(1), torch.ones(2), torch.ones(3)
    state = {
        "first": {"a.b": one},
        "list": [two, (three,)],
        7: {True: one * 4},
        "n": {None: one * 5},
    }
    want = {
        "first.a.b": one,
        "list.0": two,
        "list.1.0": three,
        "7.True": one * 4,
        "n.None": one * 5,
    }
    assert_same(exported(saved(state, legacy=legacy)), want)


@FORMATS
def test_a_bare_tensor_is_called_tensor(exported: Any, legacy: bool) -> None:
    value = torch.randn(3)
    assert_same(exported(saved(value, legacy=legacy)), {"tensor": value})


@FORMATS
def test_a_parameter_is_its_tensor(exported: Any, legacy: bool) -> None:
    value = torch.nn.Parameter(torch.randn(3))
    assert_same(exported(saved({"p": value}, legacy=legacy)), {"p": value.detach()})


def test_a_container_that_stands_twice_gives_its_tensors_twice(exported: Any) -> None:
    shared = {"w": torch.ones(2)}
    assert exported(saved({"a": shared, "b": shared})).keys() == {"a.w", "b.w"}


def test_a_cyclic_checkpoint_gives_its_tensors_once(exported: Any) -> None:
    loop: dict[str, Any] = {"w": torch.ones(2)}
    loop["self"] = loop
    assert exported(saved(loop)).keys() == {"w"}


class Colour(enum.Enum):
    RED = "red"


def test_what_honest_checkpoints_hold_beside_tensors_is_nothing_to_report(exported: Any) -> None:
    weight = torch.ones(2)
    state = {
        "weight": weight,
        "args": argparse.Namespace(lr=0.1, out=pathlib.PurePosixPath("/tmp/x")),
        "when": dt.datetime(2024, 5, 6, tzinfo=dt.UTC),
        "counts": collections.defaultdict(int, a=1),
        "counter": collections.Counter("abc"),
        "queue": collections.deque([1, 2], 5),
        "scalars": (np.float64(0.5), np.int64(3), np.bool_(True)),
        "dtype": torch.float16,
        "device": torch.device("cpu"),
        "size": torch.Size([1, 2]),
        "init": functools.partial(torch.nn.init.normal_, std=0.02),
        "rng": np.random.RandomState(3).get_state(),
        "complex": 1 + 2j,
        "bytes": bytearray(b"x") + b"y",
        "set": {1, 2},
        "frozen": frozenset({"a"}),
        "gelu": torch.nn.functional.gelu,
    }
    got = exported(saved(state))
    assert_same(got, {"weight": weight})


def test_classes_that_are_not_installed_are_reported_and_do_not_hide_the_weights(
    extracted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = types.ModuleType("lightning_like")
    module.Checkpoint = type("Checkpoint", (), {"__module__": "lightning_like"})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "lightning_like", module)
    callback = module.Checkpoint()
    callback.best = torch.ones(3)
    data = saved({"state_dict": {"w": torch.ones(2)}, "hyper_parameters": {"cb": callback}})
    monkeypatch.delitem(sys.modules, "lightning_like")
    result = extracted(data)
    assert result["status"] == "ok"
    assert {row["name"]: row["path"] for row in result["tensors"]} == {"w": "state_dict.w"}
    assert [row["name"] for row in result["left"]] == ["hyper_parameters.cb.best"]
    (found,) = result["callables"]
    assert (found["name"], found["opcode"], found["called"]) == (
        "lightning_like.Checkpoint",
        "BUILD",
        True,
    )


def test_a_subclass_of_tensor_gives_its_numbers_and_is_reported(extracted: Any) -> None:
    value = torch.ones(2).as_subclass(Odd)
    result = extracted(saved({"w": value}))
    assert [row["name"] for row in result["tensors"]] == ["w"]
    assert [entry["name"] for entry in result["callables"]] == [f"{__name__}.Odd"]


class Odd(torch.Tensor):
    pass


def test_a_sparse_tensor_is_written_as_its_parts(extracted: Any) -> None:
    result = extracted(saved({"grid": torch.eye(3).to_sparse()}))
    assert [row["name"] for row in result["tensors"]] == ["grid.indices", "grid.values"]
    assert result["metadata"] == {"grid.values": "float32 sparse_coo size=3x3 coalesced"}
    assert result["notes"] == ["'grid' is a sparse tensor; it is written as its indices and values"]


@pytest.mark.parametrize(
    "method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED], ids=["stored", "deflated"]
)
def test_an_archive_that_was_packed_anew_is_the_same(exported: Any, method: int) -> None:
    state = views() | {"large": torch.randn(400_000)}
    assert_same(exported(rezipped(saved(state), method=method), fingerprint_budget=64), state)


def test_a_big_endian_checkpoint_is_turned_around(exported: Any) -> None:
    value = torch.randn(3, 4)
    swapped = torch.frombuffer(
        bytearray(value.numpy().astype(">f4").tobytes()), dtype=torch.float32
    ).reshape(3, 4)
    got = exported(rezipped(saved({"w": swapped}), byteorder=b"big"))
    assert torch.equal(got["w"], value)


@pytest.mark.parametrize("budget", [64, 100_000])
@pytest.mark.parametrize("export", [True, False], ids=["export", "scan"])
def test_fingerprints_are_those_of_the_logical_bytes(
    extracted: Any, budget: int, export: bool
) -> None:
    state = views() | {"large": torch.randn(3, 9000).t()}
    result = extracted(saved(state), fingerprint_budget=budget, export=export)
    assert len(result["tensors"]) == len(state)
    for row in result["tensors"]:
        data = raw(state[row["name"]])
        ranges = fingerprints.plan(len(data), budget)
        want = fingerprints.digest(data[at : at + size] for at, size in ranges) if ranges else None
        assert row["crc32"] == want, row["name"]


def test_the_output_is_laid_out_as_the_safetensors_library_does(
    extracted: Any, tmp_path: Path
) -> None:
    from safetensors.torch import save

    state = {
        name: torch.ones(3).to(dtype)
        for name, dtype in zip(
            "zyxwvu",
            [torch.uint8, torch.int64, torch.float64, torch.bool, torch.bfloat16, torch.float32],
            strict=True,
        )
    }
    state |= {'é"quoted"': torch.ones(2), "scalar": torch.tensor(1.0)}
    extracted(saved(state))
    assert (tmp_path / "out.safetensors").read_bytes() == save(state, metadata={"format": "pt"})


def test_a_safetensors_file_comes_out_with_nothing_but_its_tensors(
    extracted: Any, exported: Any, tmp_path: Path
) -> None:
    from safetensors.torch import save, save_model

    state = {"a": torch.randn(3), "b": torch.ones(2, 2, dtype=torch.int8)}
    data = save(state, metadata={"format": "pt", "author": "x"})
    assert_same(exported(data), state)
    assert extracted(data)["notes"] == ["metadata left out: 'author'"]
    model = torch.nn.ModuleDict(
        {"a": torch.nn.Linear(2, 2, bias=False), "b": torch.nn.Linear(2, 2, bias=False)}
    )
    model["b"].weight = model["a"].weight  # type: ignore[assignment]
    save_model(model, str(tmp_path / "tied.safetensors"))
    assert extracted(tmp_path / "tied.safetensors")["tied"] == [["a.weight", "b.weight"]]


def test_torchscript_gives_its_parameters_and_says_what_it_is(
    extracted: Any, tmp_path: Path
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(torch.nn.Linear(2, 3)), str(tmp_path / "m.pt"))
    result = extracted(tmp_path / "m.pt")
    assert (result["format"], result["status"], result["callables"]) == ("torchscript", "ok", [])
    assert {row["name"] for row in result["tensors"]} == {"weight", "bias"}
