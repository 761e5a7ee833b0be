"""Checkpoints of TensorFlow: a sorted table of variables, and files that hold their numbers. Zone: worker.

The index is a table as LevelDB writes it (tensorflow/core/lib/io/table_builder.cc): blocks of keys that share
prefixes, each block with a checksum. Its values are BundleEntryProto (tensorflow/core/protobuf/tensor_bundle.proto),
which say in which file a variable lies and where. What tf.train.load_checkpoint reads is what comes out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from safe_load.worker.formats import snappy
from safe_load.worker.formats.checksums import MAX_CHECKED, masked_crc32c
from safe_load.worker.formats.cursor import Cursor
from safe_load.worker.formats.interface import Content, File, Format
from safe_load.worker.refusal import RefusedError, bomb
from safe_load.worker.spans import MemorySource, Span
from safe_load.worker.tensors import places

if TYPE_CHECKING:
    from collections.abc import Iterator

    from safe_load.worker.formats.interface import Reading

_MAGIC = b"\x57\xfb\x80\x8b\x24\x75\x47\xdb"
_FOOTER = 48
MAX_BLOCK = 64 << 20
MAX_ENTRIES = 1_000_000
MAX_KEY = 4096
#: Number of an element type -> what torch calls it (tensorflow/core/framework/types.proto).
_TYPES = {1: "float32", 2: "float64", 3: "int32", 4: "uint8", 5: "int16", 6: "int8", 8: "complex64"}
_TYPES |= {9: "int64", 10: "bool", 14: "bfloat16", 17: "uint16", 18: "complex128", 19: "float16"}
_TYPES |= {22: "uint32", 23: "uint64", 24: "float8_e5m2", 25: "float8_e4m3fn"}
#: What training needs besides the weights.
_TRAINING = ("optimizer/", "save_counter/", "_CHECKPOINTABLE_OBJECT_GRAPH")
_SLOT = ".OPTIMIZER_SLOT"


@dataclass
class _Entry:
    """What a BundleEntryProto says. sliced: the variable lies in parts; parts: these, each with the row at which
    it begins, None for one that is not some whole rows."""

    kind: int = 0
    shape: list[int] = field(default_factory=list)
    shard: int = 0
    offset: int = 0
    size: int = 0
    sliced: bool = False
    parts: list[tuple[int | None, _Entry]] = field(default_factory=list)


class TfCheckpoint(Format):
    """The index of a checkpoint of TensorFlow, read together with the files of numbers beside it."""

    name, called = "tf-checkpoint", "the index of a TensorFlow checkpoint"
    loader = "tf.train.load_checkpoint"
    weights = "variables, under their keys"
    hides = "offsets that lie; nothing in it can run"
    foreign = True

    def recognise(self, file: File) -> bool:
        """By the magic at its end."""
        return file.size >= _FOOTER and file.read(file.size - 8, 8) == _MAGIC

    def read(self, file: File, reading: Reading) -> Content:
        """Its variables."""
        why = "the index of a TensorFlow checkpoint: names, shapes and places"
        shards, entries = _entries(file)
        stem = file.name.rpartition("/")[2].removesuffix(".index")
        names = [f"{stem}.data-{number:05}-of-{shards:05}" for number in range(shards)]
        reading.claims += names
        content = Content(self.name, "data", why, loads=False)
        parts = reading.parts or {}
        named: places.Named = {}
        left = 0
        for key, entry in entries.items():
            if entry.kind not in _TYPES:
                continue
            if entry.sliced and not _join(entry):
                reading.notes.append(
                    f"{key[:200]!a} lies in parts that are not rows one behind the other, and is left out"
                )
                continue
            if reading.choice.keep != "all" and (key.startswith(_TRAINING) or _SLOT in key):
                left += 1
                continue
            if not 0 <= entry.shard < shards or names[entry.shard] not in parts:
                content.lacks = f"the numbers of {key[:200]!a} lie in {stem}.data-..., which is not there: name the folder that holds both"
                return content
            where = parts[names[entry.shard]]
            places.require_own(where)
            dtype, shape = _TYPES[entry.kind], tuple(entry.shape)
            if places.nbytes(dtype, shape) != entry.size or entry.offset + entry.size > where.size:
                raise RefusedError(
                    f"{key[:200]!a} is {entry.size} bytes at byte {entry.offset} of a file of {where.size}, which does not fit"
                )
            span = Span(where.span.source, where.span.offset + entry.offset, entry.size)
            places.add(named, key, places.tensor(dtype, shape, span))
        if left:
            reading.notes.append(
                f"{left} variables of its optimizer are left out; --keep all keeps them"
            )
        if not named:
            content.lacks = "it is a TensorFlow checkpoint without variables of numbers"
            return content
        return places.content(named, self.name, reading, why=why)


def _entries(file: File) -> tuple[int, dict[str, _Entry]]:
    """How many files hold the numbers, and the entry of each key. Raises RefusedError."""
    footer = Cursor(file, file.size - _FOOTER, file.size - 8)
    footer.varint(), footer.varint()  # of the block that describes the others
    index = (footer.varint(), footer.varint())
    shards = 0
    entries: dict[str, _Entry] = {}
    parts: dict[str, list[tuple[int | None, _Entry]]] = {}
    count = 0
    for _, handle in _block(file, *index):
        place = Cursor(_file(handle))
        for key, value in _block(file, place.varint(), place.varint()):
            count += 1
            if count > MAX_ENTRIES:
                raise bomb(f"the checkpoint lists more than {MAX_ENTRIES} variables")
            if not key:
                shards = _header(value)
            elif key[:1] == b"\0":
                name, row = _part(key)
                parts.setdefault(name, []).append((row, _entry(value)))
            else:
                text = key.decode("utf-8", "replace")
                if text in entries:
                    raise RefusedError(f"the checkpoint lists {text[:200]!a} twice")
                entries[text] = _entry(value)
    if not 0 < shards < 100_000:
        raise RefusedError(f"the checkpoint says that it lies in {shards} files")
    for name, found in parts.items():
        if name in entries:
            entries[name].parts = found
    return shards, entries


def _part(key: bytes) -> tuple[str, int | None]:
    """The variable of which a coded key names a part, and the row at which that begins; None for a part that is
    not whole rows (tensorflow/core/util/saved_tensor_slice_util.cc, EncodeTensorNameSlice, and ordered_code.cc).
    Raises RefusedError."""
    end = key.find(b"\0\1", 1)
    if end < 0:
        raise RefusedError("the key of a part of a variable has no end")
    name = key[1:end].replace(b"\0\xff", b"\0").replace(b"\xff\0", b"\xff")
    cursor = Cursor(_file(key[end + 2 :]))
    extents = []
    for _ in range(int.from_bytes(cursor.take(cursor.number(1)), "big") if not cursor.done else 0):
        if cursor.done:
            raise RefusedError("the key of a part of a variable is cut off")
        extents.append((_signed(cursor), _signed(cursor)))
    whole = not any(start for start, _ in extents[1:])
    return name.decode("utf-8", "replace"), extents[0][0] if extents and whole else None


def _signed(cursor: Cursor) -> int:
    """A number whose first bits say how many bytes it takes. Only -1 below 0 is one of a part."""
    first = cursor.number(1)
    if first == 0x7F:
        return -1
    length = 8 - (first ^ 0xFF).bit_length()
    if not 1 <= length <= 7:
        raise RefusedError("the key of a part of a variable holds a number that no part has")
    rest = int.from_bytes(cursor.take(length - 1), "big")
    return (first & (0x7F >> length)) << 8 * (length - 1) | rest


def _join(entry: _Entry) -> bool:
    """Make one place of the parts, whether they are rows that lie one behind the other, as TensorFlow writes them."""
    row = None
    for begin, part in sorted(entry.parts, key=lambda each: -1 if each[0] is None else each[0]):
        fits = part.kind == entry.kind and part.shape[1:] == entry.shape[1:] and bool(part.shape)
        if row is None:
            entry.shard, entry.offset, entry.size, row = part.shard, part.offset, 0, 0
        if not fits or begin != row or part.shard != entry.shard or part.sliced:
            return False
        if part.offset != entry.offset + entry.size:
            return False
        if part.size != places.nbytes(_TYPES[part.kind], tuple(part.shape)):
            return False
        entry.size += part.size
        row += part.shape[0]
    return row is not None and row == (entry.shape[0] if entry.shape else None)


def _file(data: bytes) -> File:
    return File("", Span(MemorySource(data), 0, len(data)))


def _block(file: File, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """The keys and values of a block."""
    if size > MAX_BLOCK:
        raise bomb(f"a block of the table takes {size} bytes, more than {MAX_BLOCK >> 20} MiB")
    data = file.read(offset, size + 5)
    known = file.size > MAX_CHECKED
    if not known and masked_crc32c(data[: size + 1]) != int.from_bytes(data[size + 1 :], "little"):
        raise RefusedError(
            f"the block of the table at byte {offset} has another checksum than it says"
        )
    if data[size] == 1:
        data = snappy.unpacked(data[:size], MAX_BLOCK)
        size = len(data)
    elif data[size]:
        raise RefusedError("its table is packed in a way that TensorFlow does not have")
    if size < 4:
        raise RefusedError("a block of the table is too short")
    restarts = int.from_bytes(data[size - 4 : size], "little")
    end = size - 4 - 4 * restarts
    if end < 0:
        raise RefusedError("a block of the table is too short")
    cursor = Cursor(_file(data), 0, end)
    key = b""
    while not cursor.done:
        shared, own, length = cursor.varint(), cursor.varint(), cursor.varint()
        if shared > len(key) or shared + own > MAX_KEY:
            raise RefusedError("a key of the table is longer than it may be")
        key = key[:shared] + cursor.take(own)
        yield key, cursor.take(length)


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a message of protocol buffers."""
    cursor = Cursor(_file(data))
    while not cursor.done:
        key = cursor.varint()
        wire = key & 7
        if wire == 0:
            yield key >> 3, cursor.varint()
        elif wire == 2:
            yield key >> 3, cursor.take(cursor.varint())
        elif wire in (1, 5):
            cursor.skip(8 if wire == 1 else 4)
        else:
            raise RefusedError("an entry of the checkpoint is damaged")


def _header(data: bytes) -> int:
    """How many files there are, of a BundleHeaderProto."""
    shards = 1
    for number, value in _fields(data):
        if number == 2 and value:
            raise RefusedError("the checkpoint was written on a big-endian machine")
        if number == 1 and isinstance(value, int):
            shards = value
    return shards


def _entry(data: bytes) -> _Entry:
    entry = _Entry()
    for number, value in _fields(data):
        if number == 2 and isinstance(value, bytes):
            for inner, dim in _fields(value):
                if inner == 2 and isinstance(dim, bytes):
                    sizes = [size for at, size in _fields(dim) if at == 1]
                    size = sizes[0] if sizes else 0
                    entry.shape.append(size if isinstance(size, int) else 0)
        elif number == 7:
            entry.sliced = True
        elif isinstance(value, int):
            name = {1: "kind", 3: "shard", 4: "offset", 5: "size"}.get(number)
            if name:
                setattr(entry, name, value)
    return entry
