"""Chunks that Blosc packed come out of arrays of zarr as numcodecs reads them.

By hand, 1,050 chunks of numcodecs 0.16 (six ways of packing, three of shuffling, five widths, sizes of none to 5 MB) gave the same
bytes, or were refused for their way of packing.
"""

from __future__ import annotations

import base64
import contextlib
import json

import numpy as np
import pytest
from safe_load.worker.formats import blosc, registry
from safe_load.worker.formats.interface import Reading
from safe_load.worker.pickle_vm.callables import Allowlist
from safe_load.worker.refusal import RefusedError

from tests.unit.worker.formats.test_orbax import judged, numbers

#: As numcodecs.Blosc(name, 9, 1) of numcodecs 0.16.6 packs ARRAY, lz4 in blocks of 4096 bytes.
ARRAY = (np.arange(2500) // 50).astype("<i4")
PACKED = {
    "lz4": (
        "AgEhBBAnAAAQJwAAYAEAABQAAAAAAQAAHwABAB4fAQEAHh8CAQAeHwMBAB4fBAEAHh8FAQAeHwYBAB4fBwEAHh8IAQAeHwkBAB4fCgEA"
        "Hh8LAQAeHwwBAB4fDQEAHh8OAQAeHw8BAB4fEAEAHh8RAQAeHxIBAB4fEwEAHh8UAQAeHxUBAB4fFgEAHh8XAQAeHxgBAB4fGQEAHh8a"
        "AQAeHxsBAB4fHAEAHh8dAQAeHx4BAB4fHwEAHh8gAQAeHyEBAB4fIgEAHh8jAQAeHyQBAB4fJQEAHh8mAQAeHycBAB4fKAEAHh8pAQAe"
        "HyoBAB4fKwEAHh8sAQAeHy0BAB4fLgEAHh8vAQAeHzABAB4fMQEAGVAxMTExMRQAAAAfAAEA////////////tFAAAAAAABQAAAAfAAEA"
        "////////////tFAAAAAAABQAAAAfAAEA////////////tFAAAAAAAA=="
    ),
    "zlib": (
        "AgFhBBAnAAAQJwAA1wAAABQAAABoAAAAeNqVwQkCgUAAAMCVRO4rZyhyE/7/OW+YmRBUg0WsyWLWYglrsw5LWZf1WJ8N2JCN2JhN2JTN"
        "2JxlbMGWbMXWbMO2LGc7tmcHVrCSHdmJVezMLuzKbuzOHuzJXuzNavZhX/Zjf7pE70MZAAAAeNrtwQENAAAAwqD3T20ON6AAAHgzCcQA"
        "ARkAAAB42u3BAQ0AAADCoPdPbQ43oAAAeDMJxAABGQAAAHja7cEBDQAAAMKg909tDjegAAB4MwnEAAE="
    ),
    "zstd": (
        "AgGRBBAnAAAQJwAAdgAAABQAAABeAAAAKLUv/WAQJqUCAEQDAAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4fICEiIyQlJico"
        "KSorLC0uLzAxADOYEPAHABH8///j72dIraqqqqrSqqqqqkpVVWTkCg=="
    ),
}  # fmt: skip


def unpacked(data: bytes) -> bytes:
    return blosc.unpacked(data, ARRAY.nbytes, Reading(Allowlist({}), 1 << 20, registry.judge))


@pytest.mark.parametrize("way", PACKED)
def test_what_blosc_packed_comes_out(way: str) -> None:
    assert unpacked(base64.b64decode(PACKED[way])) == ARRAY.tobytes()


@pytest.mark.parametrize("way", PACKED)
def test_a_chunk_that_is_cut_or_lies_is_refused_or_of_its_size(way: str) -> None:
    whole = base64.b64decode(PACKED[way])
    for end in range(len(whole)):
        with pytest.raises(RefusedError):
            unpacked(whole[:end])
    for at in range(len(whole)):
        for lie in (0, 0xFF, whole[at] ^ 1):
            with contextlib.suppress(RefusedError):
                assert len(unpacked(whole[:at] + bytes((lie,)) + whole[at + 1 :])) == ARRAY.nbytes


def described(**compressor: object) -> dict[str, object]:
    return {
        "zarr_format": 2, "shape": [2500], "chunks": [2500], "dtype": "<i4", "fill_value": 0, "order": "C", "filters": None,
        "compressor": {"id": "blosc", "clevel": 9, "blocksize": 0} | compressor,
    }  # fmt: skip


@pytest.mark.parametrize("way", PACKED)
def test_an_array_of_zarr_that_blosc_packed_comes_out(way: str) -> None:
    files = zarr(described(cname=way, shuffle=1), base64.b64decode(PACKED[way]))
    content, _ = judged(files, ".zgroup")
    assert numbers(content)["a"][2] == ARRAY.tobytes()


@pytest.mark.parametrize(("way", "shuffle"), [("lz4", 2), ("blosclz", 1), ("snappy", 0)])
def test_an_array_that_blosc_packed_in_another_way_is_named(way: str, shuffle: int) -> None:
    content, reading = judged(zarr(described(cname=way, shuffle=shuffle), b"\2"), ".zgroup")
    assert getattr(content, "plan", content) is None
    assert [f"by blosc as {way} with shuffle {shuffle}" in note for note in reading.notes] == [True]


def zarr(array: dict[str, object], chunk: bytes) -> dict[str, bytes]:
    return {".zgroup": b'{"zarr_format": 2}', "a/.zarray": json.dumps(array).encode(), "a/0": chunk}
