"""What torch.load gives is made again from data: each kind of value as it was."""

from __future__ import annotations

import argparse
import bz2
import collections
import datetime as dt
import decimal
import fractions
import gzip
import pathlib
import pickle
import random
import types
import uuid
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safe_load.core.errors import NotLoadable

from tests.unit.dropin.alike import assert_alike
from tests.unit.dropin.making import made_again

if TYPE_CHECKING:
    from pathlib import Path


#: Of storages, quantised, sparse and nested tensors, as torch speaks of them when they are used.
pytestmark = pytest.mark.filterwarnings("ignore")


def _quantized(*kinds: torch.dtype) -> list[torch.Tensor]:
    scales, zeros = torch.tensor([0.1, 0.2]), torch.zeros(2, dtype=torch.long)
    made = [torch.quantize_per_tensor(torch.randn(2, 3), 0.1, 3, kind) for kind in kinds]
    return [
        *made,
        torch.quantize_per_channel(torch.randn(2, 3), scales, zeros, 0, torch.qint8),
        torch.quantize_per_channel(torch.randn(2, 5), scales, torch.zeros(2), 0, torch.quint4x2),
    ]


_PLAIN = {
    "numbers": [0, -1, 2**63 - 1, -(2**63), 2**63, -(2**200), True, None, 1.5, -0.0, 1e-320],
    "odd floats": [float("inf"), float("-inf"), float("nan"), np.float64(np.nan).item() * -1],
    "complex": [1j, complex(float("nan"), -0.0)],
    "text": ["", "😀", "a\nb\0", "\ud800 half", "x" * 70_000],
    "bytes": [b"", b"\0\xff", b"y" * 5000, bytearray(b"z"), bytearray(b"z" * 5000)],
    "containers": [
        (),
        [],
        {},
        set(),
        frozenset({(1, "a")}),
        {1, "b"},
        collections.deque([1, 2], 5),
    ],
    "dicts": [
        collections.OrderedDict(a=1, b=2),
        collections.Counter("aab"),
        collections.defaultdict(list, {"a": [1]}),
        {1: 2, (1, (2, 3)): 3, None: 4, False: 5, b"k": 6, 0.5: 7, frozenset({1}): 8},
    ],
    "dates": [
        dt.datetime(2024, 2, 29, 1, 2, 3, 4),
        dt.datetime(2024, 1, 1, tzinfo=dt.UTC),
        dt.datetime(2024, 1, 1, fold=1, tzinfo=dt.timezone(dt.timedelta(hours=2), "here")),
        dt.date(1, 1, 1),
        dt.time(23, 59),
        dt.timedelta(days=-1, microseconds=5),
    ],
    "exact numbers": [decimal.Decimal("1.50"), fractions.Fraction(1, 3), uuid.UUID(int=3)],
    "paths": [pathlib.Path("/x/y"), pathlib.PurePosixPath("a"), pathlib.PureWindowsPath("C:\\x")],
    "ranges": [range(1, 10, 3), slice(1, None), slice(None, 2, 3), ...],
    "namespaces": [argparse.Namespace(lr=1, path=pathlib.Path("a")), types.SimpleNamespace(a=[1])],
    "classes": [
        int,
        dict,
        collections.OrderedDict,
        dt.datetime,
        torch.nn.Linear,
        torch.optim.AdamW,
    ],
    "generators": [random.getstate(), np.random.get_state(), torch.Generator().get_state()],
}
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of what is a prototype
    _NESTED = torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])
    _QUANTIZED = _quantized(torch.qint8, torch.quint8, torch.qint32)
_TORCH = {
    "dtypes": [torch.float32, torch.bfloat16, torch.float8_e4m3fn, torch.complex64, torch.uint4],
    "devices": [torch.device("cpu"), torch.device("cuda:1"), torch.device("meta")],
    "layouts": [torch.strided, torch.sparse_coo, torch.sparse_csr],
    "sizes": [torch.Size([1, 2]), torch.Size([])],
    "schemes": [torch.per_tensor_affine],
    "storages": [torch.ones(3).untyped_storage()],
    "elements": [
        torch.arange(4).to(kind)
        for kind in (torch.uint8, torch.int64, torch.uint16, torch.uint64, torch.bool, torch.half)
    ],
    "narrow": [torch.randn(4).to(kind) for kind in (torch.float8_e4m3fn, torch.float8_e5m2fnuz)],
    "fp4": torch.randint(0, 255, (4, 4), dtype=torch.uint8).view(torch.float4_e2m1fn_x2),
    "complex": [
        torch.randn(2, dtype=torch.complex128),
        torch.randn(3, dtype=torch.complex64).conj(),
    ],
    "negative": torch.randn(3, dtype=torch.complex64).conj().imag,
    "quantized": _QUANTIZED,
    "coo": [torch.eye(3).to_sparse(), torch.eye(3).to_sparse().coalesce()],
    "nested": _NESTED,
    "meta": [torch.empty(2, 3, device="meta"), torch.ones(1)],
    "empty": [torch.empty(0, 4), torch.empty(0), torch.tensor(3.5)],
    "parameters": [
        torch.nn.Parameter(torch.ones(2)),
        torch.nn.Parameter(torch.ones(2), requires_grad=False),
        torch.ones(2, requires_grad=True),
        torch.nn.Buffer(torch.ones(2), persistent=False),
    ],
    "modules": torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3),
        torch.nn.BatchNorm2d(4),
        torch.nn.LSTM(3, 2),
        torch.nn.ParameterDict({"*": torch.nn.Parameter(torch.ones(2))}),
        torch.nn.MultiheadAttention(4, 2),
    ),
    "optimizer": torch.optim.Adam([torch.nn.Parameter(torch.ones(2))]).state_dict(),
}
_RECORD = np.dtype([("a", "<i4"), ("b", ">f8", (2, 2)), ("c", "S3")], align=True)
_NUMPY = {
    "scalars": [
        *(np.float64(1.5), np.float32("nan"), np.int8(-3), np.bool_(True), np.complex64(1j)),
        *(
            np.datetime64("2024-01-01T00", "h"),
            np.timedelta64(3, "ms"),
            np.str_("é"),
            np.bytes_(b"x"),
        ),
    ],
    "kinds": [
        np.arange(6).astype(kind)
        for kind in (
            "?",
            "i1",
            "<u2",
            ">i4",
            ">f8",
            "f2",
            "g",
            "c16",
            "S3",
            "U2",
            "M8[25s]",
            "m8[D]",
        )
    ],
    "orders": [
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(24).reshape(2, 3, 4)[:, ::2],
        np.array(3.0),
        np.empty((0, 3)),
        np.arange(1000.0),
    ],
    "records": [np.zeros(2, _RECORD), np.ones(1, _RECORD)[0], np.zeros(2, "V5")],
    "classes of arrays": [
        np.arange(4).reshape(2, 2).view(np.matrix),
        np.rec.array([(1, 2.0)], dtype=[("a", "i4"), ("b", ">f8")]),
        np.rec.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")])[0],
        np.rec.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]).dtype,
        np.char.array(["a", "bb"]),
    ],
    "masked": [
        np.ma.array([[1, 2, 3], [4, 5, 6]], mask=[[0, 1, 0], [1, 0, 0]], fill_value=9),
        np.ma.array(np.asfortranarray([[1.0, 2], [3, 4]]), mask=[[1, 0], [0, 0]]),
        np.ma.array([(1, 2.0), (3, 4.0)], mask=[(0, 1), (1, 0)], dtype=[("a", "i4"), ("b", "f8")]),
        np.ma.array(np.arange(9000), mask=np.arange(9000) % 3 == 0),
        np.ma.array([None, {"a": 1}], mask=[1, 0], dtype=object),
        *(np.ma.array(3.0, mask=True), np.ma.array([]), np.ma.array(["a", "bb"], mask=[1, 0])),
        *(np.ma.array([1, 2], dtype=">i4", mask=[1, 0]), np.ma.array([1, 2])),
    ],
    "types": [np.dtype("f4"), np.dtype(">i2"), _RECORD, np.dtype("M8[ns]"), np.dtype("U7")],
    "objects": [np.array([{"a": 1}, None, 2**70], dtype=object)],
    "classes": [np.float32, np.ndarray],
}
_KINDS = {
    f"{group}: {name}": value
    for group, kinds in (("python", _PLAIN), ("torch", _TORCH), ("numpy", _NUMPY))
    for name, value in kinds.items()
}


@pytest.mark.parametrize("kind", _KINDS)
def test_each_kind_of_value_comes_back_as_it_was(kind: str, tmp_path: Path) -> None:
    for legacy in (False, True):
        held = {"w": torch.ones(2), "v": _KINDS[kind]}
        try:
            torch.save(held, tmp_path / "c.pt", _use_new_zipfile_serialization=not legacy)
            expected = torch.load(tmp_path / "c.pt", weights_only=False)
        except (AttributeError, NotImplementedError, RuntimeError, TypeError):
            assert legacy  # that format has no way to say it
            continue
        got, making = made_again(tmp_path / "c.pt", tmp_path / str(legacy))
        assert making.stand_ins.used == {}
        assert_alike(expected, got)


@pytest.mark.parametrize("protocol", range(6))
def test_values_come_back_from_pickles_of_each_protocol(protocol: int, tmp_path: Path) -> None:
    held = {**_PLAIN, **{key: _NUMPY[key] for key in ("scalars", "kinds", "orders", "records")}}
    if protocol < 2:  # which have no slices, and write classes of numpy in another way
        held = {key: held[key] for key in ("numbers", "text", "bytes", "dicts", "dates", "orders")}
    data = pickle.dumps(held, protocol)
    (tmp_path / "v.pkl").write_bytes(data)
    got, making = made_again(tmp_path / "v.pkl", tmp_path / "out")
    assert making.stand_ins.used == {}
    assert_alike(pickle.loads(data), got)


def test_values_come_back_from_compressed_files(tmp_path: Path) -> None:
    data = pickle.dumps(held := {"w": np.arange(3.0), "when": dt.date(2024, 1, 1)})
    for name, packed in (
        ("a.gz", gzip.compress(data)),
        ("a.bz2", bz2.compress(gzip.compress(data))),
    ):
        (tmp_path / name).write_bytes(packed)
        assert_alike(held, made_again(tmp_path / name, tmp_path / "out")[0])


def test_a_checkpoint_without_tensors_comes_back(tmp_path: Path) -> None:
    scheduler = torch.optim.lr_scheduler.StepLR(torch.optim.SGD([torch.ones(1)]), 3).state_dict()
    for number, value in enumerate(
        (scheduler, {"step": 3}, None, [], "text", argparse.Namespace())
    ):
        torch.save(value, tmp_path / f"{number}.pt")
        got, _ = made_again(tmp_path / f"{number}.pt", tmp_path / str(number))
        assert_alike(value, got)


def test_large_storages_are_mapped_at_multiples_of_64_bytes(tmp_path: Path) -> None:
    held = {"odd": torch.ones(1 << 21, dtype=torch.uint8)[1:].clone()}
    held |= {f"c{n}": torch.zeros(1 << 18, dtype=torch.complex128) for n in range(2)}
    torch.save(held, tmp_path / "l.pt")
    got, _ = made_again(tmp_path / "l.pt", tmp_path / "out")
    assert_alike(held, got)
    assert all(got[name].data_ptr() % 64 == 0 for name in ("c0", "c1"))


def test_what_is_shared_stays_shared(tmp_path: Path) -> None:
    whole, names = torch.arange(12.0), ["a"]
    held = {
        "whole": whole, "same": whole, "slice": whole[2:6], "turned": whole.view(3, 4).T,
        "one": names, "two": (names, names), "part": torch.nn.Parameter(whole),
    }  # fmt: skip
    torch.save(held, tmp_path / "s.pt")
    got, _ = made_again(tmp_path / "s.pt", tmp_path / "out")
    assert got["whole"] is got["same"]
    assert got["one"] is got["two"][0] is got["two"][1]
    got["whole"][2] = 99.0
    assert got["slice"][0] == 99.0
    assert got["turned"][2, 0] == 99.0
    assert got["part"][2] == 99.0
    again, _ = made_again(tmp_path / "s.pt", tmp_path / "again")
    assert again["whole"][2] == 2.0


def test_what_holds_itself_comes_back(tmp_path: Path) -> None:
    a: dict[str, Any] = {"list": []}
    a["list"].append(a)
    names = argparse.Namespace(inner=types.SimpleNamespace())
    names.inner.outer = names
    ring = (["x"],)
    ring[0].append(ring)  # type: ignore[arg-type]
    torch.save([a, names, ring], tmp_path / "c.pt")
    got, making = made_again(tmp_path / "c.pt", tmp_path / "out")
    assert got[0]["list"][0] is got[0]
    assert got[1].inner.outer is got[1]
    assert type(got[1]) is argparse.Namespace
    assert got[2][0][0] == "x"
    assert "holds itself" in " ".join(
        making.stand_ins.used
    )  # a tuple cannot be made before its items


def test_map_location_is_what_it_is_in_torch(tmp_path: Path) -> None:
    torch.save({"a": torch.arange(3), "b": torch.arange(3)}, tmp_path / "m.pt")

    def moved(where: Any) -> Any:
        return made_again(tmp_path / "m.pt", tmp_path / "out", where)[0]["a"]

    seen = []

    def by_function(storage: Any, location: str) -> Any:
        seen.append((type(storage), location))
        return None if len(seen) > 1 else storage

    for where in (None, "cpu", torch.device("cpu"), {"cpu": "cpu"}, by_function):
        assert moved(where).tolist() == [0, 1, 2]
    assert seen == [(torch.UntypedStorage, "cpu")] * 2
    for where in ("meta", torch.device("meta"), {"cpu": "meta"}):
        assert moved(where).is_meta
    with pytest.raises((RuntimeError, NotLoadable)):
        moved("nowhere")
