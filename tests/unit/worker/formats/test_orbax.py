"""Checkpoints of orbax, and the zarr arrays in them: tensors as jax had them, and no file that lies ends otherwise than in a
sentence."""

from __future__ import annotations

import json
import struct
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from safe_load.sources import groups
from safe_load.worker.formats import registry
from safe_load.worker.formats.checksums import crc32c
from safe_load.worker.formats.interface import Content, File, Reading
from safe_load.worker.pickle_vm.callables import Allowlist
from safe_load.worker.refusal import RefusedError
from safe_load.worker.spans import MemorySource, Span
from safe_load.worker.tensors.export_names import Choice

from tests.unit.worker.formats import zstd_packing as zstd
from tests.unit.worker.formats.orbax_checkpoints import WRITTEN
from tests.unit.worker.formats.test_data import judged as alone

if TYPE_CHECKING:
    from collections.abc import Iterator

Files = dict[str, bytes]
HEADS = {"OCDBT": "manifest.ocdbt", "zarr": "_METADATA"}


def judged(files: Files, head: str, **options: Any) -> tuple[Content | RefusedError, Reading]:
    def file(name: str) -> File:
        return File(name, Span(MemorySource(files[name]), 0, len(files[name])))

    reading = Reading(Allowlist({}), 1 << 26, registry.judge, wanted=True, choice=Choice(**options))
    reading.parts = {name: file(name) for name in groups.find(files)[head]}
    try:
        return registry.judge(file(head), reading), reading
    except RefusedError as refusal:
        return refusal, reading


def numbers(content: Content | RefusedError) -> dict[str, tuple[str, list[int], bytes]]:
    assert isinstance(content, Content), content
    assert content.plan is not None
    return {
        entry.name: (
            entry.dtype, list(entry.shape), b"".join(map(bytes, entry.view.chunks()))
        )
        for entry in content.plan.entries
    }  # fmt: skip


@pytest.mark.parametrize("kind", WRITTEN)
def test_a_checkpoint_of_orbax_gives_its_arrays(kind: str) -> None:
    content, reading = judged(WRITTEN[kind], HEADS[kind])
    kernel = np.arange(12, dtype="<f4").reshape(3, 4)
    expected = {
        "params.kernel": ("F32", [3, 4], kernel.tobytes()),
        "params.bias": ("BF16", [4], b"\x80\x3f" * 4),
        "step": ("I64", [], (7).to_bytes(8, "little")),
    }
    assert numbers(content) == expected
    assert isinstance(content, Content)
    assert content.state == "data"
    assert set(content.parts.values()) == {""}
    assert any("opt_state" not in name and "optimizer" in name for name in reading.notes)
    content, _ = judged(WRITTEN[kind], HEADS[kind], keep="all")
    assert numbers(content)["opt_state.mu"] == ("F32", [2], bytes(8))


def array3(shape: tuple[int, ...], chunk: tuple[int, ...], dtype: str, codecs: list[Any]) -> bytes:
    return json.dumps({
        "zarr_format": 3, "node_type": "array", "shape": shape, "data_type": dtype, "fill_value": 0,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunk}},
        "chunk_key_encoding": {"name": "default"}, "codecs": codecs}).encode()  # fmt: skip


BYTES = {"name": "bytes", "configuration": {"endian": "little"}}
GROUP = b'{"zarr_format": 3, "node_type": "group"}'


def test_chunks_at_the_edge_missing_ones_and_shards_are_put_together() -> None:
    array = np.arange(35, dtype="<i4").reshape(5, 7)
    padded = np.zeros((6, 8), "<i4")
    padded[:5, :7] = array
    files = {"zarr.json": GROUP, "a/zarr.json": array3((5, 7), (3, 4), "int32", [BYTES, {"name": "zstd"}])}  # fmt: skip
    for row, column in ((0, 0), (0, 1), (1, 0)):
        part = padded[row * 3 : row * 3 + 3, column * 4 : column * 4 + 4]
        files[f"a/c/{row}/{column}"] = zstd.compress(part.tobytes())
    inner = [padded[:, :4].tobytes(), padded[:, 4:].tobytes()]
    index = struct.pack("<4Q", 0, len(inner[0]), len(inner[0]), len(inner[1]))
    shards = {"chunk_shape": [6, 4], "codecs": [BYTES], "index_codecs": [BYTES, {"name": "crc32c"}]}
    files["b/zarr.json"] = array3(
        (5, 7), (6, 8), "int32", [{"name": "sharding_indexed", "configuration": shards}]
    )
    files["b/c/0/0"] = b"".join(inner) + index + crc32c(index).to_bytes(4, "little")
    content, _ = judged(files, "zarr.json")
    found = numbers(content)
    array = array.copy()
    assert found["b"][2] == array.tobytes()
    array[3:, 4:] = 0
    assert found["a"][2] == array.tobytes()


LEFT = {
    "blosc": [BYTES, {"name": "blosc"}],
    "transpose": [{"name": "transpose", "configuration": {"order": [1, 0]}}, BYTES],
}


@pytest.mark.parametrize("way", LEFT)
def test_an_array_that_is_kept_in_another_way_is_named(way: str) -> None:
    files = {"zarr.json": GROUP, "a/zarr.json": array3((1, 1), (1, 1), "int8", LEFT[way])}
    files["a/c/0/0"] = b"\1"
    content, reading = judged(files, "zarr.json")
    assert isinstance(content, Content)
    assert content.plan is None
    assert "a/c/0/0" not in content.parts  # it is judged by itself
    assert [way in note for note in reading.notes] == [True]


def changed(files: Files) -> Iterator[Files]:
    for name, data in files.items():
        for number in range(20):
            yield files | {name: data[: len(data) * number // 20]}
        for number in range(40):
            at = len(data) * number // 40
            yield files | {name: data[:at] + b"\xff" * min(4, len(data) - at) + data[at + 4 :]}
        yield {other: data for other, data in files.items() if other != name}


@pytest.mark.parametrize("kind", WRITTEN)
def test_a_damaged_checkpoint_ends_in_one_sentence(kind: str) -> None:
    started = time.monotonic()
    for files in changed(WRITTEN[kind]):
        if HEADS[kind] not in files or HEADS[kind] not in groups.find(files):
            continue
        content, _ = judged(files, HEADS[kind])
        if isinstance(content, Content) and content.plan is not None:
            try:
                numbers(content)
            except RefusedError as refusal:
                content = refusal
        if isinstance(content, RefusedError):
            assert "\n" not in content.reason
    assert time.monotonic() - started < 20


def node(body: bytes, magic: bytes = b"\x0c\xdb\x3a\x2a") -> bytes:
    data = magic + (len(body) + 18).to_bytes(8, "little") + b"\0\0" + body
    return data + crc32c(data).to_bytes(4, "little")


def listed(path: bytes, at: bytes) -> bytes:
    """A list whose newest version lies in a file. at: offset and length, as it writes them."""
    files = b"\1" + bytes((len(path),)) + b"\0" + path
    return node(bytes(16) + b"\0\1\1\4\0" + files + b"\1\1\0\0" + at + b"\1\1\1" + bytes(8) + b"\0")


def test_a_list_that_names_a_file_elsewhere_is_told() -> None:
    for path in (b"../../etc/passwd", b"/etc/passwd"):
        files = {"manifest.ocdbt": listed(path, b"\0\x20"), "d/" + "0" * 32: bytes(32)}
        content, reading = judged(files, "manifest.ocdbt")
        assert isinstance(content, RefusedError)
        assert [finding for finding, _ in reading.carried] == ["SL505"]


LIES = {
    "a file that is not there": listed(b"d/1", b"\0\x20"),
    "an end behind the file's": listed(b"d/" + b"0" * 32, b"\0\xff\xff\xff\xff\xff\xff\x0f"),
    "2^62 files": node(bytes(16) + b"\0\1\1\4\0" + b"\xff" * 8 + b"\x3f"),
    "2^62 versions": node(bytes(16) + b"\0\1\1\4\0\0" + b"\xff" * 8 + b"\x3f"),
    "an endless number": node(bytes(16) + b"\xff" * 40),
    "itself": listed(b"manifest.ocdbt", b"\0\x20"),
}


@pytest.mark.parametrize("kind", LIES)
def test_a_list_that_lies_ends_at_once(kind: str) -> None:
    files = {"manifest.ocdbt": LIES[kind], "d/" + "0" * 32: bytes(32)}
    started = time.monotonic()
    content, _ = judged(files, "manifest.ocdbt")
    assert isinstance(content, RefusedError)
    assert time.monotonic() - started < 1


def test_bytes_that_nothing_refers_to_are_told() -> None:
    files = dict(WRITTEN["OCDBT"])
    name = next(each for each in files if "/d/" in each)
    files[name] += b"cos\nsystem\n(S'true'\ntR."
    content, _ = judged(files, "manifest.ocdbt")
    assert isinstance(content, Content)
    assert "nothing refers to" in content.parts[name]


def test_a_chunk_that_is_a_pickle_is_told() -> None:
    payload = b"cos\nsystem\n(S'true'\ntR."
    files = {"zarr.json": GROUP, "a/c/0": payload}
    files["a/zarr.json"] = array3((len(payload),), (len(payload),), "uint8", [BYTES])
    content, reading = judged(files, "zarr.json")
    assert isinstance(content, Content)
    assert "pickle" in content.parts["a/c/0"]
    assert [entry["name"] for entry in reading.callables] == ["os.system"]


def test_a_description_is_judged_as_any_text_is() -> None:
    call = b', "a": {"py/reduce": [{"py/type": "os.system"}]}}'
    for files in (
        {"zarr.json": GROUP[:-1] + call, "b/zarr.json": GROUP},
        {"zarr.json": GROUP, "b/zarr.json": array3((1,), (1,), "int8", [BYTES])[:-1] + call},
    ):
        _, reading = judged(files, "zarr.json")
        assert [finding for finding, _ in reading.carried] == ["SL506"]
    content, reading = alone(GROUP[:-1] + call, "hole.json")
    assert [finding for finding, _ in reading.carried] == ["SL506"]
    assert isinstance(content, Content)


def test_a_chunk_that_unpacks_to_more_than_it_may_is_refused() -> None:
    files = {"zarr.json": GROUP, "a/c/0": zstd.compress(bytes(64 << 20))}
    files["a/zarr.json"] = array3((8,), (8,), "uint8", [BYTES, {"name": "zstd"}])
    content, _ = judged(files, "zarr.json")
    with pytest.raises(RefusedError, match="more or fewer"):
        numbers(content)
    files["a/zarr.json"] = array3((1 << 40,), (1 << 30,), "uint8", [BYTES, {"name": "zstd"}])
    content, _ = judged(files, "zarr.json")
    assert isinstance(content, RefusedError)
