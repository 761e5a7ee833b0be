"""What a room writes is let out only as it is, and where making it again costs little."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from safe_load.core.errors import SandboxError
from safe_load.core.options import Options
from safe_load.export import publish, structure
from safe_load.export.extracted import Extracted, ExtractedFile
from safe_load.export.staging import Staging
from safe_load.sources import inventory

if TYPE_CHECKING:
    from pathlib import Path

_STORAGE = bytes(1 << 20)


def _checked(folder: Path, nodes: list[Any]) -> bytes:
    """What lies beside the weights of a file whose values a room told so."""
    source = folder / "model.pt"
    source.write_bytes(_STORAGE)
    told = {"storages": [[len(_STORAGE), "cpu"]], "nodes": nodes}
    typed = msgspec.convert(told, structure.Structure, strict=True)
    table = {"0": {"dtype": "U8", "shape": [len(_STORAGE)], "data_offsets": [0, len(_STORAGE)]}}
    header = json.dumps(table).encode()
    header += b" " * (-(len(header) + 8) % 64)
    with Staging.create(folder / "cleared") as staging, source.open("rb") as file:
        output = staging.open_output("model.safetensors")
        begin = len(header) + 8
        os.ftruncate(output, begin + len(_STORAGE))
        os.pwrite(output, len(header).to_bytes(8, "little") + header, 0)
        staging.fill(
            "model.safetensors", [file.fileno()], [(0, 0, begin, len(_STORAGE))], lambda _: None
        )
        taken = inventory.take(str(source), options=Options(whole=True))
        extracted = Extracted([ExtractedFile("model.pt", "torch", "ok", structure=typed)])
        publish.checked(staging, taken, extracted)
        return (staging.path / structure.NAME).read_bytes()


def _nested(count: int) -> list[list[Any]]:
    """A tuple of a tuple of ..., each twice: 2**count steps to its hash."""
    nodes: list[list[Any]] = [["value", 1]]
    for _ in range(count):
        nodes.append(["list", "tuple", [len(nodes) - 1] * 2, None])
    return nodes


def test_values_are_written_beside_the_weights(tmp_path: Path) -> None:
    nodes = [*_nested(2), ["dict", "dict", [[2, 0]], None, None]]
    assert msgspec.json.decode(_checked(tmp_path, nodes))["nodes"] == nodes


@pytest.mark.parametrize(
    ("nodes", "why"),
    [
        ([*_nested(40), ["dict", "dict", [[40, 0]], None, None]], "too long to compare"),
        ([*_nested(40), ["list", "set", [40], None]], "too long to compare"),
        (
            [["value", 1], ["list", "list", [0] * 1000, None], *[["call", "some.List", None, None, None, 1, None]] * 9000],
            "the same values in too many objects",
        ),
        ([["value", 1], *[["blob", "bytes", 0]] * 100], "the same bytes in too many objects"),
    ],
    ids=["a key", "a set", "copies", "bytes"],
)  # fmt: skip
def test_values_that_cost_much_to_make_again_are_not_let_out(
    tmp_path: Path, nodes: list[Any], why: str
) -> None:
    with pytest.raises(SandboxError, match=why):
        _checked(tmp_path, nodes)
    assert not (tmp_path / "cleared").exists()
