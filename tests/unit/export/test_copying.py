"""Runs are copied as they are asked for, or not at all, and the digest is that of the whole file."""

from __future__ import annotations

import hashlib
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st
from safe_load.core.hashing import Hashes
from safe_load.export.copying import BadRunError, Run, copy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    Files = tuple[list[int], int]

_SOURCE = os.urandom((3 << 20) + 77)
_OTHER = os.urandom(2 << 20)


@contextmanager
def files(path: Path, size: int, filler: bytes = b"\xee") -> Iterator[Files]:
    """Two sources, and an output of that size in which something was written already."""
    (path / "source").write_bytes(_SOURCE)
    (path / "other").write_bytes(_OTHER)
    (path / "output").write_bytes(filler * size)
    sources = [os.open(path / name, os.O_RDONLY) for name in ("source", "other")]
    output = os.open(path / "output", os.O_RDWR)
    try:
        yield sources, output
    finally:
        for descriptor in (*sources, output):
            os.close(descriptor)


@st.composite
def laid_out(draw: st.DrawFn) -> tuple[int, list[Run]]:
    """The size of an output, and runs in its order with room between them."""
    runs, position = [], 0
    for _ in range(draw(st.integers(0, 5))):
        position += draw(st.integers(0, 3000))
        length = draw(st.integers(0, 1 << 21))
        number = draw(st.integers(0, 1))
        start = draw(st.integers(0, len((_SOURCE, _OTHER)[number]) - length))
        runs.append((number, start, position, length))
        position += length
    return position + draw(st.integers(0, 3000)), runs


@settings(deadline=None)  # megabytes on a shared disk
@given(laid_out())
def test_runs_lie_where_they_shall_and_what_is_between_them_stays(
    tmp_path_factory: pytest.TempPathFactory, plan: tuple[int, list[Run]]
) -> None:
    size, runs = plan
    expected = bytearray(b"\xee" * size)
    for number, start, to, length in runs:
        expected[to : to + length] = (_SOURCE, _OTHER)[number][start : start + length]
    digest, told = Hashes(("blake3", "sha256")), []
    path = tmp_path_factory.mktemp("copy")
    with files(path, size) as (sources, output):
        copy(sources, output, runs, digest, told.append)
    assert (path / "output").read_bytes() == expected
    assert digest.hex() == {
        "blake3": blake3(expected).hexdigest(),
        "sha256": hashlib.sha256(expected).hexdigest(),
    }
    assert sum(told) == size


@pytest.mark.parametrize(
    "runs",
    [
        [(0, -1, 0, 10)],
        [(0, 0, -1, 10)],
        [(0, 0, 0, -1)],
        [(0, len(_SOURCE) - 9, 0, 10)],
        [(0, 0, 91, 10)],
        [(0, 0, 1 << 62, 1)],
        [(0, 1 << 62, 0, 1)],
        [(0, 0, 0, 10), (0, 0, 9, 10)],
        [(0, 0, 50, 10), (0, 0, 0, 10)],
        [(1, len(_OTHER) - 9, 0, 10)],
        [(2, 0, 0, 10)],
        [(-1, 0, 0, 10)],
    ],
)
def test_a_run_outside_its_files_or_out_of_order_copies_nothing(
    tmp_path: Path, runs: list[Run]
) -> None:
    with files(tmp_path, 100) as (sources, output), pytest.raises(BadRunError):
        copy(sources, output, runs)
    assert (tmp_path / "output").read_bytes() == b"\xee" * 100


def test_a_source_that_is_cut_off_meanwhile_ends_the_copy(tmp_path: Path) -> None:
    def cut(_: int) -> None:
        os.truncate(tmp_path / "source", 1 << 20)

    runs = [(0, 0, 0, len(_SOURCE))]
    with files(tmp_path, len(_SOURCE)) as (sources, output), pytest.raises(EOFError, match="byte"):
        copy(sources, output, runs, None, cut)


def test_whoever_watches_can_end_the_copy_and_its_error_is_what_is_raised(tmp_path: Path) -> None:
    def stop(_: int) -> None:
        raise TimeoutError("enough")

    with files(tmp_path, len(_SOURCE)) as (sources, output), pytest.raises(TimeoutError):
        copy(sources, output, [(0, 0, 0, len(_SOURCE))], hashlib.sha256(), stop)
