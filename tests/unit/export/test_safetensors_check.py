from __future__ import annotations

import json
import os
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import safetensors
import safetensors.numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safe_load.export.safetensors_check import DTYPE_BITS, Header, Malformed, check

if TYPE_CHECKING:
    from pathlib import Path


SHARED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def build(header: object, data: bytes | int = b"", *, pad: int = 0) -> bytes:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    raw += b" " * pad
    return len(raw).to_bytes(8, "little") + raw + (bytes(data) if isinstance(data, int) else data)


def entry(dtype: str, shape: list[Any], begin: int, end: int) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def library_accepts(content: bytes) -> dict[str, Any] | None:
    """What the library's own parser says, entry by entry; None when it refuses."""
    try:
        return dict(safetensors.deserialize(content))
    except safetensors.SafetensorError:
        return None


def ours(path: Path, content: bytes) -> Header | None:
    path.write_bytes(content)
    try:
        return check(path)
    except Malformed:
        return None


DTYPES = [np.float32, np.float16, np.int64, np.uint8, np.bool_, np.complex64, np.uint64]
NAMES = st.text(
    st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40
).filter(lambda name: name != "__metadata__")  # fmt: skip


@SHARED
@given(
    st.dictionaries(
        NAMES,
        st.tuples(st.sampled_from(DTYPES), st.lists(st.integers(0, 4), max_size=4)),
        max_size=8,
    ),
    st.sampled_from([None, {}, {"format": "pt"}, {"format": "pt", "safe_load.x": "y: z-1"}]),
)
def test_what_the_library_writes_passes_with_the_same_tensors(
    tmp_path: Path, tensors: dict[str, Any], metadata: dict[str, str] | None
) -> None:
    arrays = {name: np.zeros(shape, dtype) for name, (dtype, shape) in tensors.items()}
    content = safetensors.numpy.save(arrays, metadata)
    header = ours(tmp_path / "f", content)
    theirs = library_accepts(content)
    assert (header is None) == (theirs is None)
    if header is None or theirs is None:
        # With metadata and no tensor, safetensors 0.8 writes broken JSON, and refuses it itself.
        assert not tensors
        assert metadata is not None
        return
    assert {t.name: (t.dtype, list(t.shape), t.end - t.begin) for t in header.tensors} == {
        name: (info["dtype"], info["shape"], len(info["data"])) for name, info in theirs.items()
    }
    assert header.count == len(arrays)
    assert header.parameters == sum(array.size for array in arrays.values())
    assert header.bytes == sum(array.nbytes for array in arrays.values())
    assert sum(header.dtypes.values()) == len(arrays)
    assert header.data_start + header.bytes == len(content)
    assert header.metadata == (metadata or {})


NUMBER = st.integers(-1, 40) | st.sampled_from([True, None, 1.0, "1", 2**62, 2**63, 2**64, 10**30])
ENTRY = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from([*DTYPE_BITS, "F12", 3, None]),
        "shape": st.lists(st.integers(0, 4) | NUMBER, max_size=4),
        "data_offsets": st.tuples(st.integers(0, 40), st.integers(0, 40)).map(list)
        | st.lists(NUMBER, max_size=3),
    },
    optional={"extra": st.just(1)},
)


@SHARED
@given(
    st.dictionaries(st.sampled_from(["a", "b", "__metadata__", ""]), ENTRY, max_size=3),
    st.integers(0, 80),
)
def test_no_invented_header_passes_that_the_library_refuses(
    tmp_path: Path, header: dict[str, Any], size: int
) -> None:
    content = build(header, size)
    if ours(tmp_path / "f", content) is not None:
        assert library_accepts(content) is not None


@settings(SHARED, max_examples=400)
@given(st.data())
def test_no_mutated_file_passes_that_the_library_refuses(
    tmp_path: Path, data: st.DataObject
) -> None:
    whole = {
        "a": entry("F32", [2, 3], 0, 24),
        "b": entry("F4", [2], 24, 25),
        "c": entry("U8", [0], 25, 25),
    }
    content = bytearray(build(whole, 25))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content) - 1))
        piece = data.draw(
            st.sampled_from(
                [
                    b"",
                    b"0",
                    b"9",
                    b"-",
                    b".",
                    b'"',
                    b"\\",
                    b",",
                    b"[",
                    b"}",
                    b" ",
                    b"\x00",
                    b"e",
                    b"\xff",
                    b'"a":',
                    b":1,",
                ]
            )
        )
        content[at : at + data.draw(st.integers(0, 2))] = piece
    # The header's length is put right again most of the time, or nearly every mutation dies of it.
    if data.draw(st.integers(0, 9)):
        end = bytes(content).rfind(b"}") + 1
        content[:8] = max(end - 8, 0).to_bytes(8, "little")
    if ours(tmp_path / "f", bytes(content)) is not None:
        assert library_accepts(bytes(content)) is not None


@pytest.mark.parametrize("dtype", DTYPE_BITS)
def test_every_dtype_of_the_library_passes(tmp_path: Path, dtype: str) -> None:
    size = prod([8, 3]) * DTYPE_BITS[dtype] // 8
    content = build({"x": entry(dtype, [8, 3], 0, size)}, size)
    header = ours(tmp_path / "f", content)
    assert header is not None
    assert library_accepts(content) is not None
    assert header.dtypes == {dtype: 1}


def test_no_dtype_of_the_library_is_missing() -> None:
    # The library names its dtypes when it meets one that it does not know.
    with pytest.raises(safetensors.SafetensorError) as caught:
        safetensors.deserialize(build({"x": entry("F12", [1], 0, 1)}, 1))
    _, _, listed = str(caught.value).partition("expected one of ")
    assert {name.strip("` ") for name in listed.split(" at ")[0].split(",")} == set(DTYPE_BITS)


GOOD = entry("U8", [4], 0, 4)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "too short"),
        (b"\x01\x00\x00", "too short"),
        (build({"x": GOOD}, 3), "the file holds 3"),
        (build({"x": GOOD}, 5), "the file holds 5"),
        (build(b"[]"), "opening brace"),
        (build(b" {}"), "opening brace"),
        (build(b""), "opening brace"),
        ((1 << 62).to_bytes(8, "little") + b"{}", "claims"),
        ((100).to_bytes(8, "little") + b"{}", "the file has"),
        (build(b'{"x":' + json.dumps(GOOD).encode() + b',"x":' + json.dumps(GOOD).encode() + b"}", 4), "twice"),
        (build(b'{"x":{"dtype":"U8","dtype":"U8","shape":[4],"data_offsets":[0,4]}}', 4), "twice"),
        (build(b'{"__metadata__":{"format":"pt","format":"pt"}}'), "twice"),
        (build(b'{"__metadata__":{"format":"pt"},"__metadata__":{}}'), "twice"),
        (build(b'{"\\u0061:":' + json.dumps(entry("U8", [0], 0, 0)).encode() + b',"a:":' + json.dumps(GOOD).encode() + b"}", 4), "twice"),
        (build({"x": {**GOOD, "more": 1}}, 4), "header"),
        (build({"x": {**GOOD, "more": "1"}}, 4), "exactly dtype, shape and data_offsets"),
        (build({"x": {"dtype": "U8", "shape": [4]}}, 4), "exactly dtype"),
        (build({"x": entry("U7", [4], 0, 4)}, 4), "'U7' is unknown"),
        (build({"x": entry("U8", [3], 0, 4)}, 4), "does not fit"),
        (build({"x": entry("F4", [3], 0, 2)}, 2), "does not fit"),
        (build({"x": entry("U8", [2**40, 2**40], 0, 4)}, 4), "too large"),
        (build({"x": entry("U8", [2**62, 4, 0], 0, 0)}), "too large"),
        (build({"x": entry("U8", [1] * 65, 0, 1)}, 1), "at most 64"),
        (build(b'{"x":{"dtype":"U8","shape":[4],"data_offsets":[-0,4]}}', 4), "minus"),
        (build({"x": entry("U8", [True], 0, 1)}, 1), "int"),
        (build({"x": GOOD, "y": entry("U8", [4], 5, 9)}, 9), "a hole at byte 4"),
        (build({"x": GOOD, "y": entry("U8", [4], 2, 6)}, 6), "an overlap at byte 4"),
        (build({"x": GOOD, "y": GOOD}, 4), "an overlap"),
        (build({"x": entry("U8", [4], 4, 8)}, 8), "a hole at byte 0"),
        (build({"\u4e2d" * 400: GOOD}, 4), "longer than 1024 bytes"),
        (build(b'{"\\ud800":' + json.dumps(GOOD).encode() + b"}", 4), "header"),
        (build(b'{"\xff":' + json.dumps(GOOD).encode() + b"}", 4), "header"),
        (build({"x": GOOD, "__metadata__": {"format": "np"}}, 4), "is not 'pt'"),
        (build({"x": GOOD, "__metadata__": {"y": "z"}}, 4), "names no tensor"),
        (build({"x": GOOD, "__metadata__": {"x": "x"}}, 4), "a tensor too"),
        (build({"x": GOOD, "__metadata__": {"format": 1}}, 4), "header"),
        (build({"x": GOOD, "__metadata__": {"safe_load.x": [1]}}, 4), "not a string"),
        (build({"x": GOOD, "__metadata__": {"safe_load.x": "\x07"}}, 4), "control"),
        (build({"x": GOOD, "__metadata__": []}, 4), "header"),
        (build(b'{"x":' * 50_000), "header"),
        (build(b'{"x":' + b"[" * 50_000), "header"),
        (build(b'{"x":{"shape":[' + b"9" * 5000 + b"]}}"), "header"),
        (build(b'{"x":{"shape":[NaN]}}'), "header"),
        (build(b"{}{}"), "header"),
    ],
)  # fmt: skip
def test_a_bad_file_is_refused_with_the_place_and_the_reason(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(Malformed, match=reason) as caught:
        check(path, where="model.safetensors")
    assert str(caught.value).startswith("model.safetensors")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["", "a\x1b[2J", "a\x00", "a\nb", "\x85", "имя"])
def test_a_name_of_any_characters_passes_as_it_does_in_the_library(
    tmp_path: Path, name: str
) -> None:
    content = build({name: GOOD, "__metadata__": {"format": "pt", "alias": name}}, 4)
    header = ours(tmp_path / "f", content)
    assert header is not None
    assert [tensor.name for tensor in header.tensors] == [name]
    assert header.aliases == {"alias": name}
    assert library_accepts(content) is not None


def test_header_order_is_free_and_tensors_come_in_the_order_of_their_bytes(tmp_path: Path) -> None:
    content = build({"b": entry("U8", [4], 4, 8), "a": GOOD, "z": entry("U8", [0], 4, 4)}, 8, pad=7)
    header = ours(tmp_path / "f", content)
    assert header is not None
    assert [tensor.name for tensor in header.tensors] == ["a", "z", "b"]
    assert library_accepts(content) is not None


def test_aliases_name_a_tensor_of_the_file(tmp_path: Path) -> None:
    content = build(
        {"x": GOOD, "__metadata__": {"format": "pt", "lm_head": "x", "safe_load.v": "1"}}, 4
    )
    header = ours(tmp_path / "f", content)
    assert header is not None
    assert header.aliases == {"lm_head": "x"}


def test_bounds_on_header_and_entries_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(build({str(n): entry("U8", [1], n, n + 1) for n in range(11)}, 11))
    assert check(path, max_entries=11).count == 11
    with pytest.raises(Malformed, match="more than 10 tensors"):
        check(path, max_entries=10)
    with pytest.raises(Malformed, match="more than 100"):
        check(path, max_header=100)


def test_links_and_pipes_are_refused_and_a_descriptor_stays_open(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(build({"x": GOOD}, 4))
    (tmp_path / "link").symlink_to("f")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="link"):
        check(tmp_path / "link")
    with pytest.raises(OSError, match="pipe"):
        check(tmp_path / "pipe")
    descriptor = os.open(tmp_path / "f", os.O_RDONLY)
    try:
        assert check(descriptor).count == 1
        assert check(descriptor).count == 1
    finally:
        os.close(descriptor)
    reader, writer = os.pipe()
    with pytest.raises(Malformed, match="not a regular file"):
        check(reader)
    os.close(reader)
    os.close(writer)


@pytest.mark.timeout(120)  # seconds; compared each with each, they would take hours
def test_two_hundred_thousand_entries_take_seconds_at_most(tmp_path: Path) -> None:
    count = 200_000
    path = tmp_path / "f"
    path.write_bytes(
        build({f"layers.{n}.weight": entry("U8", [1], n, n + 1) for n in range(count)}, count)
    )
    assert check(path).count == count
