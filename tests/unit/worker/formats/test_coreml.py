"""Constants of Core ML programs come out by the names of their outputs.

The bytes are put together by the fields of MIL.proto and the layout of MILBlob. By hand, a package of 21 constants that
a development version of coremltools wrote was read here and by coremltools 9: names, shapes and values were equal.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from safe_load import profiles
from safe_load.export import copying
from safe_load.sources import inventory
from safe_load.worker import extract
from safetensors.numpy import load_file

from tests.unit.worker.formats.test_data import judged

if TYPE_CHECKING:
    from pathlib import Path

W = np.arange(6, dtype="<f4").reshape(2, 3)
H = np.array([0.5, 2.0, -1.0], "<f2")
TYPES = {"float32": 2, "float16": 1}
NAMES = ("model.mlmodel", "weights/weight.bin")


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes((*out, value))


def message(number: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return varint(number << 3 | 2) + varint(len(body)) + body


def whole(number: int, value: int) -> bytes:
    return varint(number << 3) + varint(value)


def constant(name: str, shape: tuple[int, ...], offset: int, path: str) -> bytes:
    """A `const` operation whose value lies in the file of numbers."""
    sizes = [message(3, message(1, whole(1, size))) for size in shape]
    kind = message(2, message(1, whole(1, 11), whole(2, len(shape)), *sizes))
    place = message(5, message(1, path.encode()), whole(2, offset))
    attributes = message(5, message(1, b"val"), message(2, kind, place))
    output = message(3, message(1, name.encode()), message(2, message(1, whole(1, 11))))
    return message(3, message(1, b"const"), output, attributes)


def model(*operations: bytes, kind: int = 502) -> bytes:
    """A model of one function of one block."""
    block = message(3, message(1, b"CoreML5"), message(2, *operations))
    function = message(2, message(1, b"main"), message(2, message(2, b"CoreML5"), block))
    return whole(1, 6) + message(2, message(1, b"x")) + message(kind, whole(1, 1), function)


def blobs(*arrays: Any) -> tuple[bytes, list[int]]:
    """The file of numbers, and where the entries begin."""
    out, places = bytearray(struct.pack("<2I", len(arrays), 2) + bytes(56)), []
    for array in arrays:
        out += bytes(-len(out) % 64)
        places.append(len(out))
        kind = TYPES[array.dtype.name]
        out += struct.pack("<2I2Q", 0xDEADBEEF, kind, array.nbytes, len(out) + 64) + bytes(40)
        out += array.tobytes()
    return bytes(out), places


NUMBERS, (AT_W, AT_H) = blobs(W, H)
PATH = "@model_path/weights/weight.bin"
MODEL = model(constant("w", (2, 3), AT_W, PATH), constant("h", (3,), AT_H, PATH))


def opened(
    tmp_path: Path, program: bytes = MODEL, numbers: bytes = NUMBERS
) -> list[dict[str, Any]]:
    """The results for a model and its numbers, read together; what is exported is in out.safetensors."""
    (tmp_path / "weights").mkdir(exist_ok=True)
    for name, data in zip(NAMES, (program, numbers), strict=True):
        (tmp_path / name).write_bytes(data)
    with (tmp_path / "out.safetensors").open("wb") as output:
        files: list[dict[str, Any]] = [
            {"path": str(tmp_path / NAMES[0]), "name": NAMES[0], "output": 0, "parts": [NAMES[1]]},
            {"path": str(tmp_path / NAMES[1]), "name": NAMES[1], "output": None},
        ]
        argument = {"files": files, "callables": profiles.ordinary_callables()}
        results: list[dict[str, Any]] = extract.main(argument, [output.fileno()])["files"]
    with (
        (tmp_path / NAMES[0]).open("rb") as head,
        (tmp_path / NAMES[1]).open("rb") as raw,
        (tmp_path / "out.safetensors").open("r+b") as output,
    ):
        copying.copy([head.fileno(), raw.fileno()], output.fileno(), results[0]["runs"])
    return results


def test_constants_bear_the_names_of_their_outputs(tmp_path: Path) -> None:
    head, numbers = opened(tmp_path)
    assert (head["status"], head["state"], numbers["state"]) == ("ok", "data", "opened"), head
    found = load_file(tmp_path / "out.safetensors")
    assert found.keys() == {"w", "h"}
    assert np.array_equal(found["w"], W)
    assert found["h"].dtype == H.dtype
    assert np.array_equal(found["h"], H)


def test_a_package_is_taken_for_one_model(tmp_path: Path) -> None:
    opened(tmp_path)
    (tmp_path / "out.safetensors").unlink()
    (tmp_path / "m.xml").write_text("<net/>")
    (tmp_path / "m.bin").write_bytes(b"x")
    (entry, graph) = inventory.take(str(tmp_path)).weights[::-1]
    assert (entry.path, entry.export, entry.parts) == (NAMES[0], "model.safetensors", (NAMES[1],))
    assert (graph.path, graph.export, graph.parts) == ("m.xml", "m.safetensors", ("m.bin",))


@pytest.mark.parametrize("kind", [555, 556, 3000])
def test_a_model_that_lies_elsewhere_is_not_judged(kind: int) -> None:
    content, _ = judged(model(kind=kind))
    assert getattr(content, "state", None) == "not_judged"


LIES = {
    "a place without an entry": (model(constant("w", (2, 3), 640, PATH)), NUMBERS, "no tensor of"),
    "another file": (model(constant("w", (2, 3), AT_W, "../../etc/passwd")), NUMBERS, "names the file"),
    "a name twice": (model(*[constant("w", (2, 3), AT_W, PATH)] * 2), NUMBERS, "both called"),
    "bytes behind the numbers": (MODEL, NUMBERS + b"more", "bytes follow"),
    "bytes between the numbers": (MODEL, NUMBERS.replace(struct.pack("<2I", 0xDEADBEEF, 1), bytes(8)), "no entry"),
    "more tensors than there are": (MODEL, b"\xff" + NUMBERS[1:], "missing"),
    "a length that lies": (MODEL, NUMBERS[: AT_W + 8] + b"\xff" * 7 + NUMBERS[AT_W + 15 :], "missing"),
}  # fmt: skip


def test_metadata_that_is_a_program_is_told() -> None:
    for text, count in (("__import__('os').system('id')", 1), ("{0: 'person'}", 0)):
        entry = message(100, message(100, message(1, b"names"), message(2, text.encode())))
        data = whole(1, 6) + message(2, entry) + message(500)
        assert len(judged(data)[1].carried) == count


def nested(kind: int, *inner: bytes) -> bytes:
    """A model of another kind with these messages in it."""
    return whole(1, 6) + message(2, message(1, b"x")) + message(kind, *inner)


@pytest.mark.parametrize("kind", [555, 556, 3000])
@pytest.mark.parametrize("pipeline", [200, 201, 202])
def test_a_pipeline_of_models_that_lie_elsewhere_is_not_judged(pipeline: int, kind: int) -> None:
    inner = message(1, nested(303), b""), message(1, nested(kind, message(1, b"../escape")))
    data = nested(pipeline, *inner if pipeline == 202 else (message(1, *inner),))
    content, _ = judged(data)
    assert content.state == "not_judged"
    assert "lies elsewhere" in getattr(content, "reason", "")


@pytest.mark.parametrize("within", [None, (605, 2), (615, 4)])
def test_a_layer_of_another_class_is_told(within: tuple[int, int] | None) -> None:
    layers = message(1, message(1, b"own"), message(500, message(10, b"com.example.Layer")))
    if within is not None:
        layers = message(1, message(within[0], message(within[1], layers)))
    _, reading = judged(
        nested(202, message(1, nested(500, message(1, message(1, b"plain")), layers)))
    )
    said = "has a layer of the class 'com.example.Layer' of the program that loads it"
    assert reading.carried == [("SL506", said)]


@pytest.mark.parametrize("after", [message(500), whole(501, 7), message(303, b"")])
def test_a_layer_is_told_whatever_kind_stands_behind_it(after: bytes) -> None:
    """Readers put messages of one field together, and leave out a field of another kind of value."""
    layer = message(1, message(500, message(10, b"com.example.Layer")))
    _, reading = judged(nested(500, layer) + after)
    assert [ident for ident, _ in reading.carried] == ["SL506"]


def test_models_within_models_are_bounded() -> None:
    data = nested(500)
    for _ in range(100):
        data = nested(202, message(1, data))
    content, _ = judged(data)
    assert getattr(content, "status", "") == "bomb"


@pytest.mark.parametrize("lie", LIES)
def test_a_model_that_lies_is_refused_in_one_sentence(lie: str, tmp_path: Path) -> None:
    program, numbers, reason = LIES[lie]
    head, _ = opened(tmp_path, program, numbers)
    assert head["status"] == "not_loadable"
    assert reason in head["reason"]


def test_blocks_within_each_other_and_a_model_that_is_cut_end_in_one_sentence() -> None:
    block = constant("w", (1,), 64, PATH)
    for _ in range(100):
        block = message(3, message(1, b"cond"), message(4, block))
    content, _ = judged(model(block))
    assert "nested" in getattr(content, "reason", "")
    for number in range(1, 20):
        for data in (MODEL, NUMBERS):
            content, _ = judged(data[: len(data) * number // 20])
            assert getattr(content, "state", None) == "not_judged"
