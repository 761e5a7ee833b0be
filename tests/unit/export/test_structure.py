"""What a room says of a file's values is typed and checked before it is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from safe_load.core.errors import NotLoadable, SandboxError
from safe_load.export import structure
from safe_load.worker.pickle_vm.values import Mapping
from safe_load.worker.tensors import structure as worker

if TYPE_CHECKING:
    from pathlib import Path


def _structure(nodes: Any, storages: Any = ((8, "cpu"),)) -> structure.Structure:
    told = {"storages": [list(storage) for storage in storages], "nodes": nodes}
    return msgspec.convert(told, structure.Structure, strict=True)


def test_what_a_worker_tells_is_written_as_it_is() -> None:
    root = {"a": Mapping("collections.OrderedDict"), 7: [1, "two", None, (float("-inf"),)]}
    whole = worker.of(root)
    assert whole is not None
    told = _structure(whole.nodes, ())
    assert msgspec.json.decode(structure.encode(told), type=structure.Structure) == told


def test_cycles_depth_and_size_have_an_end() -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    whole = worker.of(cycle)
    assert whole is not None
    assert [node[0] for node in whole.nodes] == ["open", "list", "fill"]
    deep: list[Any] = []
    for _ in range(10_000):
        deep = [deep]
    assert worker.of(deep) is None
    assert worker.of([float(number) for number in range(worker.MAX_NODES + 1)]) is None
    doubled: list[Any] = []
    for _ in range(90):
        doubled = [doubled, doubled]  # 2**90 paths, 91 containers
    whole = worker.of(doubled)
    assert whole is not None
    assert len(whole.nodes) == 91


_ONE = ["value", 1]


@pytest.mark.parametrize(
    "nodes",
    [
        [["list", "list", [0], None]],
        [["list", "list", [1], None], _ONE],
        [_ONE, ["dict", "dict", [[0, 2]], None, None], ["value", 2]],
        [_ONE, ["dict", "OrderedDict", [], None, 5]],
        [["call", "os.system", 0, None, None, None, None]],
        [["tensor", 1, "float32", 0, [2], [1], "", "", None]],
        [["tensor", 0, "float33", 0, [2], [1], "", "", None]],
        [["tensor", 0, "float32", 0, [3], [1], "", "", None]],
        [["tensor", 0, "float32", 1, [2], [1], "", "", None]],
        [["tensor", 0, "float32", 0, [2, 2], [1], "", "", None]],
        [["tensor", 0, "float32", 0, [2, 2], [1 << 62, 1], "", "", None]],
        [["storage", 0, "os.system"]],
        [["storage", 3, "uint8"]],
        [["blob", "bytes", 1]],
        [_ONE, ["array", 0, [2], False, 1, None, False]],
        [_ONE, _ONE, ["fill", 0, 1]],
        [["open", "dict", "dict"], ["list", "list", [], None], ["fill", 0, 1]],
    ],
    ids=str,
)
def test_nodes_that_no_worker_of_ours_tells_are_not_written(nodes: Any) -> None:
    with pytest.raises(SandboxError):
        structure.encode(_structure(nodes))


@pytest.mark.parametrize(
    "nodes",
    [
        [],
        [["run", "os.system"]],
        [["value", [1]]],
        [["value", 1, 2]],
        [["value", 1 << 64]],
        [["list", "list", [-1], None]],
        [["list", "list", ["0"], None]],
        [["list", "heap", [], None]],
        [["tensor", 0, "float32", 0, [2], [-1], "", "", None]],
        [["tensor", 0, "float32", 0, [2], [1], "", "evil", None]],
        [["tensor", 0, "float32", 0, [1] * 65, [1] * 65, "", "", None]],
        [["float", "1e999"]],
        [["int", "12;"]],
        [["bytes", "bytes", "no base64!"]],
        [["name", ""]],
        [["name", "x" * 1001]],
        [["dict", "dict", [[0]], None, None]],
        "text",
        {"a": 1},
    ],
    ids=lambda nodes: str(nodes)[:60],
)
def test_other_nodes_are_not_nodes(nodes: Any) -> None:
    with pytest.raises(msgspec.ValidationError):
        _structure(nodes)


def test_a_structure_that_was_changed_is_told(tmp_path: Path) -> None:
    assert structure.read(tmp_path) is None
    (tmp_path / structure.NAME).write_text("[[")
    with pytest.raises(NotLoadable, match="cannot be read"):
        structure.read(tmp_path)
