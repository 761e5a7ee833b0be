"""Arrays of flax's MessagePack come out under their paths, with the bytes that flax wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safe_load.worker.formats.interface import Content
from safe_load.worker.refusal import RefusedError

from tests.unit.worker.formats.test_data import judged, packed

if TYPE_CHECKING:
    from collections.abc import Callable

TYPES = ("float32", "float16", "float64", "int8", "int32", "int64", "uint8", "bool", "complex64")


def test_arrays_have_the_names_of_their_paths(
    exported: Callable[..., dict[str, torch.Tensor]],
) -> None:
    arrays = {kind: np.arange(6).reshape(2, 3).astype(kind) for kind in TYPES}
    brain = packed(np.arange(4, dtype="u2")).replace(b"\xa6uint16", b"\xa8bfloat16")
    brain = brain[:1] + bytes((brain[1] + 2,)) + brain[2:]
    layer = packed({"layer": arrays})
    data = b"\x82" + layer[1:] + b"\xa5brain" + brain
    got = exported(data)
    assert got.keys() == {f"layer.{kind}" for kind in TYPES} | {"brain"}
    for kind, array in arrays.items():
        assert got[f"layer.{kind}"].numpy().tobytes() == array.tobytes()
    assert got["brain"].view(torch.uint16).tolist() == [0, 1, 2, 3]


def test_weights_beside_an_optimizer_are_unwrapped(
    exported: Callable[..., dict[str, torch.Tensor]],
) -> None:
    array = np.ones(3, "f4")
    state = {"params": {"dense": {"kernel": array}}, "opt_state": {"mu": {"kernel": array + 1}}}
    assert exported(packed(state)).keys() == {"dense.kernel"}


def test_an_array_in_pieces_is_one(exported: Callable[..., dict[str, torch.Tensor]]) -> None:
    pieces = {str(i): np.arange(3, dtype="f4") + 3 * i for i in range(4)}
    size = b"\x82\xa10\x03\xa11\x04"
    cut = b"\x83\xb9__msgpack_chunked_array__\xc3\xa5shape" + size + b"\xa6chunks" + packed(pieces)
    got = exported(b"\x81\xa1w" + cut)
    assert got["w"].tolist() == np.arange(12, dtype="f4").reshape(3, 4).tolist()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda data: data.replace(b"float32", b"float64"), "are no float64 of shape"),
        (lambda data: data.replace(b"float32", b"object3"), "are not numbers"),
        (lambda data: data + b"\x01", "1 bytes follow"),
        (lambda data: b"\x82" + data[1:] + data[1:], "twice"),
        (lambda data: data.replace(b"\x92\x02\x03", b"\x92\x02\xff"), "not one of numbers"),
    ],
)
def test_what_lies_is_refused(change: Callable[[bytes], bytes], says: str) -> None:
    data = packed({"w": np.zeros((2, 3), "f4")})
    assert isinstance(judged(data)[0], Content)
    result: Any = judged(change(data))[0]
    assert isinstance(result, RefusedError)
    assert says in result.reason
