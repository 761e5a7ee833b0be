"""What a room says of containers is typed and checked before it is written, and made again exactly."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from safe_load import structure
from safe_load.errors import NotLoadable, SandboxError
from safe_load.worker import structure as worker
from safe_load.worker.values import Mapping, Stub, Tensor

if TYPE_CHECKING:
    from pathlib import Path


def _nodes(value: Any) -> list[structure.Node]:
    return msgspec.convert(value, structure.Structure, strict=True)


def _again(root: object, names: dict[int, str]) -> Any:
    nodes = worker.of(root, names)
    assert nodes is not None
    known = _nodes(msgspec.json.decode(msgspec.json.encode(nodes)))
    written = structure.encode(known, set(names.values()))
    read = msgspec.json.decode(written, type=structure.Structure)
    return structure.rebuild(read, lambda *of: of, lambda name: (name,), "model.pt")


def test_what_a_worker_tells_is_made_again() -> None:
    tensor = Tensor(None, None, 0, (), ())
    tensor.grad = True
    shared = [1, "two", None, True, float("-inf")]
    ordered = Mapping("collections.OrderedDict")
    ordered["w"] = tensor
    ordered.state = {"_metadata": {"": {"version": 1}}}
    root = {"a": ordered, 7: (shared, shared, ()), "deep.er": {"t": tensor}, "": {}}
    got = _again(root, {id(tensor): "a.w"})
    assert got == {
        "a": OrderedDict(w=("a.w", True, False)),
        7: (shared, shared, ()),
        "deep.er": {"t": ("a.w", True, False)},
        "": {},
    }
    assert list(got) == list(root)
    assert got[7][0] is got[7][1]
    assert got["a"]._metadata == {"": {"version": 1}}


@pytest.mark.parametrize(
    ("root", "told"),
    [
        ({"a": [Stub("argparse.Namespace")]}, "argparse.Namespace at a.0"),
        ({"a": Mapping("collections.defaultdict")}, "collections.defaultdict at a"),
        ({"a": {("t", 1): 1}}, "dict at a"),
        ({"a": 1 << 100}, "int at a"),
        ({"a": "\ud800"}, "str at a"),
        ({"a": {1, 2}}, "set at a"),
    ],
)
def test_what_cannot_be_made_again_is_named(root: object, told: str) -> None:
    with pytest.raises(NotLoadable, match=told):
        _again(root, {})


def test_cycles_depth_and_size_have_an_end() -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    with pytest.raises(NotLoadable, match="a container that holds itself"):
        _again(cycle, {})
    deep: list[Any] = []
    for _ in range(10_000):
        deep = [deep]
    assert worker.of(deep, {}) is None
    assert worker.of([float(number) for number in range(worker.MAX_NODES + 1)], {}) is None
    doubled: list[Any] = []
    for _ in range(90):
        doubled = [doubled, doubled]  # 2**90 paths, 91 containers
    nodes = worker.of(doubled, {})
    assert nodes is not None
    assert len(nodes) == 91


@pytest.mark.parametrize(
    "nodes",
    [
        [],
        [["list", [0]]],
        [["list", [1]], ["value", 1]],
        [["value", 1], ["dict", [[0, 2]], None], ["value", 2]],
        [["list", []], ["value", 1], ["dict", [[0, 1]], None]],
        [["list", []], ["tuple", [0]], ["dict", [[1, 0]], None]],
        [["tensor", "another", ""]],
        [["value", 1], ["OrderedDict", [], 5]],
    ],
    ids=str,
)
def test_nodes_that_no_worker_of_ours_tells_are_not_written(nodes: Any) -> None:
    with pytest.raises(SandboxError):
        structure.encode(_nodes(nodes), {"w"})


@pytest.mark.parametrize(
    "nodes",
    [
        [["call", "os.system"]],
        [["value", [1]]],
        [["list", [-1]]],
        [["list", ["0"]]],
        [["tensor", "w", "evil"]],
        [["float", "1e999"]],
        [["dict", [[0]], None]],
        [["value", 1, 2]],
        "text",
        {"a": 1},
    ],
    ids=str,
)
def test_other_nodes_are_not_nodes(nodes: Any) -> None:
    with pytest.raises(msgspec.ValidationError):
        _nodes(nodes)


def test_a_structure_that_was_changed_is_told(tmp_path: Path) -> None:
    assert structure.read(tmp_path) is None
    (tmp_path / structure.NAME).write_text("[[")
    with pytest.raises(NotLoadable, match="cannot be read"):
        structure.read(tmp_path)
