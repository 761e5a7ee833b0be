"""What a room that is not ours could write: no node reads the memory of the caller's process."""

from __future__ import annotations

import ctypes
import warnings
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest
from safe_load.core.errors import NotLoadable, SandboxError
from safe_load.dropin import values_python
from safe_load.dropin.making import Making
from safe_load.dropin.stored import Stored
from safe_load.dropin.unmodelled import StandIn
from safe_load.export import structure, structure_cost

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore")


def _made(folder: Path, nodes: list[Any], storage: bytes = b"\0" * 64) -> Any:
    told = {"storages": [[len(storage), "cpu"]], "nodes": nodes}
    typed = msgspec.convert(told, structure.Structure, strict=True)
    encoded = structure_cost.encode(typed)
    entry = {"dtype": "U8", "shape": [len(storage)], "data_offsets": [0, len(storage)]}
    header = msgspec.json.encode({"0": entry})
    header += b" " * (-(len(header) + 8) % 64)
    data = len(header).to_bytes(8, "little") + header + storage
    (folder / "model.safetensors").write_bytes(data)
    (folder / structure.NAME).write_bytes(encoded)
    read = structure.read(folder)
    assert read is not None
    return Making(read, Stored(folder, read), "model.pt").root()


def _interface(address: int) -> list[list[Any]]:
    """Nodes of {"__array_interface__": {...}}, the last of them that dict."""
    return [
        *(["value", text] for text in ("shape", "typestr", "|u1", "data", "version")),
        *(["value", number] for number in (3, 6, address)),
        ["value", False],
        *(["list", "tuple", [6], None], ["list", "tuple", [7, 8], None]),
        ["dict", "dict", [[0, 9], [1, 2], [3, 10], [4, 5]], None, None],
        ["value", "__array_interface__"],
        ["dict", "dict", [[12, 11]], None, None],
    ]


_BUFFERS = [
    *(["value", "_buffers"], ["value", "_parameters"], ["value", "_modules"]),
    ["dict", "dict", [], None, None],
    ["dict", "dict", [[14, 13], [15, 17], [16, 17]], None, None],
    ["list", "list", [18], None],
    ["call", "torch.nn.modules.linear.Identity", None, None, 19, None, None],
]


@pytest.mark.parametrize(
    "rest",
    [
        [["dict", "OrderedDict", [], None, 13]],
        [
            ["list", "list", [13], None],
            ["tensor", 0, "float32", 0, [2], [1], "", "", 14],
        ],
        [
            ["list", "tuple", [12, 11], None],
            ["list", "list", [14], None],
            ["call", "some.Dict", None, None, None, None, 15],
        ],
        _BUFFERS,
        [
            ["open", "call", "argparse.Namespace"],
            ["list", "list", [13], None],
            ["call", "some.Object", None, None, 15, None, None],
            ["fill", 14, 16],
        ],
    ],
    ids=["attributes of a dict", "of a tensor", "items", "buffers of a layer", "what holds itself"],
)
def test_numpy_is_told_no_address_by_a_file(tmp_path: Path, rest: list[Any]) -> None:
    secret = ctypes.create_string_buffer(b"secret")
    made = _made(tmp_path, [*_interface(ctypes.addressof(secret)), *rest])
    with warnings.catch_warnings(), pytest.raises((TypeError, AttributeError)):
        made.__array_interface__  # noqa: B018
    try:
        read = np.asarray(made).tobytes()
    except (TypeError, ValueError, RuntimeError):
        return
    assert b"secret" not in read


def _nested(kind: str, wide: int, count: int) -> list[list[Any]]:
    nodes: list[list[Any]] = [["value", 1]]
    for _ in range(count):
        nodes.append(["list", kind, [len(nodes) - 1] * wide, None])
    return nodes


def _many(first: list[list[Any]], node: list[Any], count: int) -> list[list[Any]]:
    return [*first, *[node] * count]


_WIDE = ["list", "list", [0] * 1000, None]


@pytest.mark.parametrize(
    "nodes",
    [
        [*_nested("tuple", 1, 100_000), ["list", "set", [100_000], None]],
        [*_nested("tuple", 2, 40), ["dict", "dict", [[40, 0]], None, None]],
        [*_nested("frozenset", 1, 5000), ["dict", "Counter", [[5000, 0]], None, None]],
        [
            *_nested("tuple", 2, 40),
            *(["list", "tuple", [40, 0], None], ["list", "list", [41], None]),
            ["call", "some.Dict", None, None, None, None, 42],
        ],
        [*_nested("tuple", 2, 40), ["call", "some.Enum", 40, None, None, None, None]],
        [*_nested("tuple", 2, 40), ["call", "builtins.slice", 40, None, None, None, None]],
        _many([["value", 1], _WIDE], ["call", "some.List", None, None, None, 1, None], 10_000),
        _many([["open", "list", "list"], ["value", 1], _WIDE], ["fill", 0, 2], 10_000),
        _many([], ["blob", "bytes", 0], 10_000),
        [
            *_nested("list", 2, 40),
            ["list", "list", [40], None],
            ["call", "omegaconf.listconfig.ListConfig", None, None, 41, None, None],
        ],
    ],
    ids=[
        *("deep key", "doubled key", "deep set", "key of an item", "value of an enumeration"),
        *("slice", "list copied", "list filled", "bytes copied", "configuration"),
    ],
)
def test_a_structure_that_takes_hours_is_refused_before_it_is_written(
    tmp_path: Path, nodes: list[Any]
) -> None:
    with pytest.raises(SandboxError, match="the structure h"):
        _made(tmp_path, nodes, bytes(1 << 16))


@pytest.mark.parametrize(
    "text",
    ["1e1000000", "1.5", "0x10", "1/" + "9" * 5000],
    ids=["exponent", "point", "hex", "long"],
)
def test_a_fraction_that_would_be_calculated_is_a_stand_in(tmp_path: Path, text: str) -> None:
    nodes = [["value", text], ["list", "tuple", [0], None]]
    nodes += [["call", "fractions.Fraction", 1, None, None, None, None]]  # type: ignore[list-item]
    assert isinstance(_made(tmp_path, nodes), StandIn)


def test_keys_chosen_to_have_one_hash_are_refused(tmp_path: Path) -> None:
    numbers = [["int", f"{(1 << 61) - 1:x}"]]
    numbers += [["int", f"{place * ((1 << 61) - 1):x}"] for place in range(2, 200)]
    with pytest.raises(NotLoadable, match="same hash"):
        _made(tmp_path, [*numbers, ["list", "frozenset", list(range(199)), None]])


def test_objects_of_endless_classes_are_refused(tmp_path: Path) -> None:
    calls = [["call", f"some.C{n}", None, None, None, None, None] for n in range(10_001)]
    with pytest.raises(NotLoadable, match="more classes"):
        _made(tmp_path, calls)


def test_a_recurrent_layer_goes_over_no_more_layers_than_there_are(tmp_path: Path) -> None:
    nodes = [
        *(["value", "num_layers"], ["value", 1 << 40]),
        *(["dict", "dict", [[0, 1]], None, None], ["list", "list", [2], None]),
        ["call", "torch.nn.modules.rnn.LSTM", None, None, 3, None, None],
    ]
    assert isinstance(_made(tmp_path, nodes), StandIn)


def test_numpy_makes_no_bytes_of_elements_that_have_none(tmp_path: Path) -> None:
    nodes = [
        *(["value", "S0"], ["list", "tuple", [0], None]),
        ["call", "numpy.dtype", 1, None, None, None, None],
        ["array", 2, [1 << 32], False, 0, None, False],
    ]
    with pytest.raises(NotLoadable, match="memory"):
        _made(tmp_path, nodes, b"")


def test_a_configuration_that_calls_functions_when_it_is_read_is_not_made() -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    for text in ("${eval:'1'}", "a ${ oc.env:HOME}", "${${name}:1}", "${a} ${now:%Y}"):
        assert values_python.calls_resolver({"a": [cycle, ({"b": text},)]})
    for text in ("${model.width}", "a: b", "x: ${a.b}", "${a[0]}"):
        assert not values_python.calls_resolver({"a": [cycle, ({"b": text},)]})


@pytest.mark.parametrize(
    ("kind", "shape", "mask"),
    [
        ("masked", [4], None),
        ("masked", [4], b"\0" * 3),
        ("masked", [4], b"\0" * 400),
        ("chararray", [4], b""),
    ],
)
def test_an_array_of_another_class_is_made_only_where_everything_fits(
    tmp_path: Path, kind: str, shape: list[int], mask: bytes | None
) -> None:
    nodes: list[Any] = [
        *(["value", "u1"], ["list", "tuple", [0], None]),
        ["call", "numpy.dtype", 1, None, None, None, None],
        *(["bytes", "bytes", b64encode(mask or b"").decode()], ["value", None]),
        ["list", "tuple", [3, 4], None],
        ["array", 2, shape, False, 0, None, False, kind, None if mask is None else 5],
    ]
    with pytest.raises(NotLoadable):
        _made(tmp_path, nodes, b"\1" * 4)


def test_what_stands_for_a_masked_element_is_never_asked_what_it_is(tmp_path: Path) -> None:
    start = len(_interface(0))
    nodes = [
        *_interface(ctypes.addressof(ctypes.create_string_buffer(b"x" * 64))),
        *(["value", "u1"], ["list", "tuple", [start], None]),
        ["call", "numpy.dtype", start + 1, None, None, None, None],
        ["list", "list", [start - 1], None],
        ["call", "some.Class", None, None, start + 3, None, None],
        ["bytes", "bytes", b64encode(bytes(4)).decode()],
        ["list", "tuple", [start + 5, start + 4], None],
        ["array", start + 2, [4], False, 0, None, False, "masked", start + 6],
    ]
    with pytest.raises(NotLoadable, match="stands for an element"):
        _made(tmp_path, nodes, b"\1" * 4)


def test_one_mask_of_many_arrays_is_counted_for_each() -> None:
    nodes: list[Any] = [
        *(["value", "S0"], ["list", "tuple", [0], None]),
        ["call", "numpy.dtype", 1, None, None, None, None],
        *(["blob", "bytes", 0], ["value", None], ["list", "tuple", [3, 4], None]),
        *[["array", 2, [1 << 20], False, None, None, False, "masked", 5]] * 100,
    ]
    told = {"storages": [[1 << 20, "cpu"]], "nodes": nodes}
    with pytest.raises(SandboxError, match="same bytes in too many"):
        structure_cost.encode(msgspec.convert(told, structure.Structure))
