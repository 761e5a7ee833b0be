"""Where the numbers of a dataset of an HDF5 file lie. Zone: worker.

HDF5 File Format Specification 3.0, IV.A.2.i (layouts). Contiguous numbers are copied as
they lie; chunks are put together one band of rows at a time. What h5py reads is what comes out.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

from safe_load.worker.formats.hdf5_chunks import Chunk, Chunked, Filled, UnreadError, filters
from safe_load.worker.formats.hdf5_objects import (
    FILL,
    FILTERS,
    LAYOUT,
    NOWHERE,
    SPACE,
    TYPE,
    VIRTUAL,
)
from safe_load.worker.formats.hdf5_types import kind_of, shape_of
from safe_load.worker.refusal import RefusedError, bomb
from safe_load.worker.spans import MemorySource, Span
from safe_load.worker.tensors import places
from safe_load.worker.tensors.dtypes import TORCH

if TYPE_CHECKING:
    from safe_load.worker.formats.hdf5_objects import Dataset, Objects
    from safe_load.worker.pickle_vm.values import Tensor

#: Bytes of a dataset for each that is stored of it, from which on more than MOST_UNSUSPECTED are a bomb: deflate makes
#: of one byte at most 1032.
MAX_RATIO = 1100
MOST_UNSUSPECTED = 64 << 20


def tensor_of(dataset: Dataset, objects: Objects) -> Tensor | None:
    """Its numbers, None where it holds none. Raises RefusedError, UnreadError, IndexError."""
    kind, shape = kind_of(dataset.messages[TYPE]), shape_of(dataset.messages[SPACE])
    if kind is None or shape is None:
        return None
    size = places.nbytes(kind.dtype, shape)
    span = _place(dataset, objects, shape, size, TORCH[kind.dtype].size)
    return places.tensor(kind.dtype, shape, span, big_endian=kind.big_endian)


def _place(
    dataset: Dataset, objects: Objects, shape: tuple[int, ...], size: int, width: int
) -> Span:
    data = dataset.messages[LAYOUT]
    version, group = data[0], data[1]
    if version in (1, 2):
        rank, group = data[1], data[2]
        at, dims = 8 + (8 if group else 0), data[8 + (8 if group else 0) :]
        address = int.from_bytes(data[8:16], "little")
        if group == 0:
            begin = 4 * rank + 4
            return _memory(dims[begin : begin + size], size)
        if group == 1:
            return _contiguous(dataset, objects, address, size, width)
        return _chunked(dataset, objects, shape, width, address, _numbers(data[at:], rank, 4))
    if version not in (3, 4, 5):
        raise UnreadError(f"its layout is of version {version}")
    if group == 0:
        length = int.from_bytes(data[2:4], "little")
        return _memory(data[4 : 4 + length], size)
    if group == VIRTUAL:
        raise UnreadError("it is put together of other datasets of the file")
    if group == 1:
        address, stored = (int.from_bytes(data[i : i + 8], "little") for i in (2, 10))
        if address != NOWHERE and stored != size:
            raise RefusedError(f"its shape takes {size} bytes, and {stored} are stored")
        return _contiguous(dataset, objects, address, size, width)
    if version == 3:
        rank = data[2]
        address = int.from_bytes(data[3:11], "little")
        return _chunked(dataset, objects, shape, width, address, _numbers(data[11:], rank, 4))
    return _chunked_new(dataset, objects, shape, width, data)


def _numbers(data: bytes, count: int, size: int) -> tuple[int, ...]:
    if len(data) < count * size:
        raise RefusedError("its layout is too short")
    return tuple(int.from_bytes(data[i * size : i * size + size], "little") for i in range(count))


def _memory(data: bytes, size: int) -> Span:
    if len(data) != size:
        raise RefusedError(f"its shape takes {size} bytes, and {len(data)} are stored")
    return Span(MemorySource(data), 0, size)


def _contiguous(dataset: Dataset, objects: Objects, address: int, size: int, width: int) -> Span:
    span = objects.file.span
    if address == NOWHERE:
        source = Filled(_fill(dataset, width), size)
        _require_credible(size, 0)
        return Span(source, 0, size)
    if address + size > span.length:
        raise RefusedError(f"its {size} bytes at byte {address} reach past the end of the file")
    return Span(span.source, span.offset + address, size)


def _fill(dataset: Dataset, width: int) -> bytes:
    """The value that stands where nothing is stored."""
    data = dataset.messages.get(FILL, b"")
    value = b""
    if data[:1] in (b"\1", b"\2") and len(data) >= 8 and (data[0] == 1 or data[3]):
        value = data[8 : 8 + int.from_bytes(data[4:8], "little")]
    elif data[:1] == b"\3" and data[1] & 0x20:
        value = data[6 : 6 + int.from_bytes(data[2:6], "little")]
    return value if len(value) == width else bytes(width)


def _require_credible(size: int, stored: int) -> None:
    if size > max(MOST_UNSUSPECTED, MAX_RATIO * stored):
        raise bomb(f"a dataset of {size} bytes has {stored} bytes in the file")


def _chunked(
    dataset: Dataset,
    objects: Objects,
    shape: tuple[int, ...],
    width: int,
    root: int,
    dims: tuple[int, ...],
) -> Span:
    """dims: of a chunk, and the bytes of an element."""
    step = dims[:-1]
    if len(step) != len(shape) or not all(step) or dims[-1] != width:
        raise RefusedError("its chunks do not fit its shape")
    chunks: dict[tuple[int, ...], Chunk] = {}
    todo, seen = [root], set[int]()
    rank = len(dims)
    key = 8 + 8 * rank
    while todo:
        objects.spend()
        node = todo.pop()
        if node == NOWHERE:
            continue
        if node in seen or objects.file.read(node, 5) != b"TREE\1":
            raise RefusedError(f"there is no node of chunks at byte {node}")
        seen.add(node)
        level, count = objects.number(node + 5, 1), objects.number(node + 6, 2)
        rows = objects.file.read(node + 24, count * (key + 8))
        for at in range(0, len(rows), key + 8):
            objects.spend()
            address = int.from_bytes(rows[at + key : at + key + 8], "little")
            if level:
                todo.append(address)
                continue
            offsets = _numbers(rows[at + 8 :], rank, 8)[:-1]
            index = tuple(begin // size for begin, size in zip(offsets, step, strict=True))
            size, mask = _numbers(rows[at:], 2, 4)
            if index in chunks or any(b % s for b, s in zip(offsets, step, strict=True)):
                raise RefusedError("two of its chunks are one, or lie between others")
            chunks[index] = Chunk(address, size, mask)
    return _together(dataset, objects, shape, step, width, chunks)


def _chunked_new(
    dataset: Dataset, objects: Objects, shape: tuple[int, ...], width: int, data: bytes
) -> Span:
    """Layouts of version 4, and 5 of HDF5 2.0. Read are one chunk, chunks in a row, and a fixed array."""
    flags, rank, each = data[2], data[3], data[4]
    dims = _numbers(data[5:], rank, each)
    at = 5 + rank * each
    index = data[at]
    step = dims[:-1]
    if len(step) != len(shape) or not all(step) or dims[-1] != width:
        raise RefusedError("its chunks do not fit its shape")
    size = math.prod(step) * width
    if index == 1:
        mask = 0
        at += 1
        if flags & 2:
            size, mask = (
                int.from_bytes(data[at : at + 8], "little"),
                int.from_bytes(data[at + 8 : at + 12], "little"),
            )
            at += 12
        address = int.from_bytes(data[at : at + 8], "little")
        one = {} if address == NOWHERE else {(0,) * len(step): Chunk(address, size, mask)}
        return _together(dataset, objects, shape, step, width, one)
    if index == 2:
        address = int.from_bytes(data[at + 1 : at + 9], "little")
        grid = [range(-(-n // s)) for n, s in zip(shape, step, strict=True)]
        count = math.prod(len(side) for side in grid)
        if address == NOWHERE or count * size > objects.file.size:
            raise RefusedError("its chunks reach past the end of the file")
        chunks = {
            place: Chunk(address + number * size, size)
            for number, place in enumerate(itertools.product(*grid))
        }
        return _together(dataset, objects, shape, step, width, chunks)
    if index == 3:
        address = int.from_bytes(data[at + 2 : at + 10], "little")
        grid = [range(-(-n // s)) for n, s in zip(shape, step, strict=True)]
        listed = _fixed_array(objects, address, math.prod(map(len, grid)), size)
        chunks = {
            place: chunk
            for place, chunk in zip(itertools.product(*grid), listed, strict=False)
            if chunk.address != NOWHERE
        }
        return _together(dataset, objects, shape, step, width, chunks)
    raise UnreadError("its chunks are listed as those of a dataset that can grow (libver='latest')")


def _fixed_array(objects: Objects, at: int, count: int, size: int) -> list[Chunk]:
    """The chunks in an index of the kind "fixed array" (VII.B), in the order of the grid. size: bytes of one that is not
    packed."""
    if at == NOWHERE:
        return []
    if objects.file.read(at, 5) != b"FAHD\0":
        raise RefusedError(f"there is no list of chunks at byte {at}")
    packed, each, bits = objects.file.read(at + 5, 3)
    listed, block = objects.number(at + 8), objects.number(at + 16)
    if each != (8 if not packed else each) or (packed and not 13 <= each <= 20) or bits > 30:
        raise RefusedError("its list of chunks is damaged")
    if listed != count or listed * each > objects.file.size:
        raise RefusedError(f"its list has {listed} chunks, its shape {count}")
    if block == NOWHERE:
        return []
    if objects.file.read(block, 5) != b"FADB\0":
        raise RefusedError(f"there is no list of chunks at byte {block}")
    start, page = block + 14, 1 << bits
    parts = [(start, listed)]
    if listed > page:  # in pages, each with a checksum, after a bit for each and one checksum
        pages = -(-listed // page)
        start += -(-pages // 8) + 4
        parts = [
            (start + n * (page * each + 4), min(page, listed - n * page)) for n in range(pages)
        ]
        marks = objects.file.read(block + 14, -(-pages // 8))
        # A page of which the bit is not set was never written.
        made = [bool(marks[n // 8] >> (7 - n % 8) & 1) for n in range(pages)]
    else:
        made = [True]
    found: list[Chunk] = []
    for (begin, entries), written in zip(parts, made, strict=True):
        if not written:
            found += [Chunk(NOWHERE, 0)] * entries
            continue
        rows = objects.file.read(begin, entries * each)
        for row in range(0, len(rows), each):
            objects.spend()
            address, *_ = _numbers(rows[row:], 1, 8)
            stored = int.from_bytes(rows[row + 8 : row + each - 4], "little") if packed else size
            mask = int.from_bytes(rows[row + each - 4 : row + each], "little") if packed else 0
            found.append(Chunk(address, stored, mask))
    return found


def _together(
    dataset: Dataset,
    objects: Objects,
    shape: tuple[int, ...],
    step: tuple[int, ...],
    width: int,
    chunks: dict[tuple[int, ...], Chunk],
) -> Span:
    source = Chunked(objects.file.span, shape, step, width, chunks, _fill(dataset, width))
    source.filters = filters(dataset.messages.get(FILTERS, b""))
    stored = sum(chunk.size for chunk in chunks.values())
    if stored > objects.file.size or any(
        chunk.address + chunk.size > objects.file.size for chunk in chunks.values()
    ):
        raise RefusedError("its chunks reach past the end of the file, or lie over each other")
    _require_credible(source.size, stored)
    _require_credible(math.prod(step) * width, stored)
    return Span(source, 0, source.size)
