"""Checkpoints of orbax in the form that it writes unless it is asked for another: OCDBT of tensorstore. Zone: worker.

A tree of keys and values (tensorstore/kvstore/ocdbt/index.rst): manifest.ocdbt names the root of the newest version,
nodes and values lie in files of the folders d/ below. The values are the files of a zarr store, see zarr.py. A node is
packed by zstd and has a checksum.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from safe_load.worker.formats import codecs, zarr
from safe_load.worker.formats.checksums import crc32c
from safe_load.worker.formats.cursor import Cursor
from safe_load.worker.formats.interface import Content, File, Format
from safe_load.worker.refusal import RefusedError, bomb
from safe_load.worker.spans import MemorySource, Span
from safe_load.worker.tensors import places

if TYPE_CHECKING:
    from safe_load.worker.formats.interface import Reading

_MANIFEST, _NODE = b"\x0c\xdb\x3a\x2a", b"\x0c\xdb\x20\xde"
#: Nodes of any kind, and of versions.
_NODES = (_NODE, b"\x0c\xdb\x12\x34")
#: Bytes of one node packed and of all unpacked, keys, and how deep nodes lie.
MAX_NODE, MAX_NODES, MAX_KEYS, MAX_DEPTH = 16 << 20, 64 << 20, 1_000_000, 8
MAX_KEY = 4096


class Ocdbt(Format):
    """The list of an orbax checkpoint, read together with the files that hold its values."""

    name, called = "ocdbt", "the list of an orbax checkpoint (OCDBT)"
    loader = "orbax.checkpoint.PyTreeCheckpointer().restore"
    weights = "arrays, under their paths; packed by zstd, gzip or not at all"
    hides = "values of other folders; nothing in it can run"
    libraries = (codecs.ZSTD_LIBRARY,)
    foreign = True

    def recognise(self, file: File) -> bool:
        """By its magic."""
        return file.head.startswith(_MANIFEST)

    def read(self, file: File, reading: Reading) -> Content:
        """Its arrays."""
        why = "the list of an orbax checkpoint: keys and places"
        tree = _Tree(reading)
        tree.read(file)
        if reading.parts is None:
            lacks = "its numbers lie in the files beside it: name the folder that holds all of them"
            return Content(self.name, "data", why, lacks=lacks, loads=False)
        content = zarr.arrays(tree.store, self.name, reading, set())
        content.parts = {
            name: zarr.two_formats(part, reading)
            or _unread(part, tree.read_of.get(name, []), reading)
            for name, part in reading.parts.items()
        }
        return content


class _Tree:
    """The keys of the newest version. read_of: for each file, what of it was read (begin, end)."""

    def __init__(self, reading: Reading) -> None:
        self.store: zarr.Store = {}
        self.read_of: dict[str, list[tuple[int, int]]] = {}
        self._reading = reading
        self._unpacked = 0

    def read(self, file: File) -> None:
        """All of it. Raises RefusedError."""
        cursor = self._body(file.span, _MANIFEST, "the list")
        cursor.skip(16)
        kind = cursor.varint()
        if kind:
            raise RefusedError("it is a list in several files, which is not read")
        _ = cursor.varint(), cursor.varint(), cursor.number(1)
        if method := cursor.varint():
            if method != 1:
                raise RefusedError(f"its nodes are packed in the way {method}, which is not known")
            cursor.skip(4)
        files = _files(cursor)
        count = _count(cursor)
        columns = [[cursor.varint() for _ in range(count)]]
        columns.append([cursor.number(1) for _ in range(count)])
        columns += [[cursor.varint() for _ in range(count)] for _ in range(6)]
        if not count:
            return
        _, heights, ids, offsets, lengths, keys, _, _ = columns
        if keys[-1] and self._reading.parts is not None:
            at = (ids[-1], offsets[-1], lengths[-1])
            self._node(files, "", at, b"", min(heights[-1], MAX_DEPTH + 1))

    def _node(
        self,
        files: list[tuple[str, str]],
        above: str,
        at: tuple[int, int, int],
        prefix: bytes,
        height: int,
    ) -> None:
        """One node with all below it. above: what stands before the paths of `files`."""
        if height > MAX_DEPTH:
            raise RefusedError(f"its nodes lie more than {MAX_DEPTH} deep in each other")
        path, base = self._path(files, above, at[0])
        cursor = self._body(self._span(path, at[1], at[2]), _NODE, "a node")
        if cursor.number(1) != height:
            raise RefusedError("a node is not as deep as the one above it says")
        mine = _files(cursor)
        count = _count(cursor)
        shared = [0, *(cursor.varint() for _ in range(count - 1))][:count]
        own = [cursor.varint() for _ in range(count)]
        common = [cursor.varint() for _ in range(count)] if height else []
        keys: list[bytes] = []
        key = b""
        for begin, length in zip(shared, own, strict=True):
            if begin > len(key) or begin + length > MAX_KEY:
                raise RefusedError("a key of the list is longer than it may be")
            key = key[:begin] + cursor.take(length)
            keys.append(key)
        if height:
            children = list(
                zip(*([cursor.varint() for _ in range(count)] for _ in range(3)), strict=True)
            )
            for key, length, child in zip(keys, common, children, strict=True):
                self._node(mine, base, child, prefix + key[:length], height - 1)
        else:
            self._leaf(cursor, mine, base, [prefix + key for key in keys])

    def _leaf(
        self, cursor: Cursor, files: list[tuple[str, str]], above: str, keys: list[bytes]
    ) -> None:
        lengths = [cursor.varint() for _ in keys]
        kinds = [cursor.varint() for _ in keys]
        if any(kind > 1 for kind in kinds):
            raise RefusedError("a value is stored in a way that is not known")
        elsewhere = sum(kinds)
        ids = iter([cursor.varint() for _ in range(elsewhere)])
        offsets = iter([cursor.varint() for _ in range(elsewhere)])
        for key, length, kind in zip(keys, lengths, kinds, strict=True):
            if kind:
                path, _ = self._path(files, above, next(ids))
                span = self._span(path, next(offsets), length)
            else:
                span = Span(MemorySource(cursor.take(length)), 0, length)
            name = f"/{key.decode('utf-8', 'replace')}"
            if name in self.store:
                raise RefusedError(f"its list holds {name[:200]!a} twice")
            if len(self.store) >= MAX_KEYS:
                raise bomb(f"its list holds more than {MAX_KEYS} keys")
            self.store[name] = span

    def _path(self, files: list[tuple[str, str]], above: str, number: int) -> tuple[str, str]:
        """A file's path from the folder of the list, and what stands before the paths that its nodes give."""
        if number >= len(files):
            raise RefusedError("a node names a file that is not listed")
        base, rest = files[number]
        path = above + base + rest
        if path.startswith(("/", "\\")) or ".." in path.replace("\\", "/").split("/"):
            self._reading.carries("SL505", f"names a file {path[:200]!a} outside of its folder")
            raise RefusedError(f"it names a file {path[:200]!a} outside of its folder")
        return path, above + base

    def _span(self, path: str, offset: int, length: int) -> Span:
        part = (self._reading.parts or {}).get(path)
        if part is None:
            raise RefusedError(f"its file {path[:200]!a} is not there")
        if offset + length > part.size:
            raise RefusedError(f"its file {path[:200]!a} ends early")
        places.require_own(part)
        self.read_of.setdefault(path, []).append((offset, offset + length))
        return Span(part.span.source, part.span.offset + offset, length)

    def _body(self, span: Span, magic: bytes, what: str) -> Cursor:
        """What a node or a list holds, unpacked."""
        if not 18 <= span.length <= MAX_NODE:
            raise RefusedError(f"{what} of {span.length} bytes is too short or too long")
        data = span.whole()
        if data[:4] != magic or int.from_bytes(data[4:12], "little") != len(data):
            raise RefusedError(f"{what} is not where it should be, or of another length")
        self._count_bytes(len(data))
        if crc32c(data[:-4]) != int.from_bytes(data[-4:], "little"):
            raise RefusedError(f"the checksum of {what} does not fit")
        if data[12] or data[13] > 1:
            raise RefusedError(f"{what} is of another version of the format")
        body = data[14:-4]
        if data[13]:
            decoder = codecs.zstd(self._reading)
            parts = [codecs.decode(decoder, body, MAX_NODE)]
            while not decoder.eof and not decoder.needs_input:
                self._count_bytes(len(parts[-1]))
                parts.append(codecs.decode(decoder, b"", MAX_NODE))
            self._count_bytes(len(parts[-1]))
            if not decoder.eof or decoder.unused_data:
                raise RefusedError(f"{what} is damaged")
            body = b"".join(parts)
        return Cursor(File("", Span(MemorySource(body), 0, len(body))))

    def _count_bytes(self, size: int) -> None:
        self._unpacked += size
        if self._unpacked > MAX_NODES:
            raise bomb(f"its lists take more than {MAX_NODES >> 20} MiB")


def _count(cursor: Cursor) -> int:
    """How many entries follow, of which each takes bytes."""
    count = cursor.varint()
    if count > cursor.end - cursor.position:
        raise RefusedError("a node states more entries than it has bytes")
    return count


def _files(cursor: Cursor) -> list[tuple[str, str]]:
    """The table of files of a node: what stands before the paths of its nodes in turn, and the rest of a path."""
    count = _count(cursor)
    shared = [0, *(cursor.varint() for _ in range(count - 1))][:count]
    own = [cursor.varint() for _ in range(count)]
    bases = [cursor.varint() for _ in range(count)]
    found: list[tuple[str, str]] = []
    path = b""
    for begin, length, base in zip(shared, own, bases, strict=True):
        if begin > len(path) or begin + length > MAX_KEY or base > begin + length:
            raise RefusedError("a path in a node is longer than it may be")
        path = path[:begin] + cursor.take(length)
        text = path[:base].decode("utf-8", "replace"), path[base:].decode("utf-8", "replace")
        found.append(text)
    return found


def _unread(part: File, taken: list[tuple[int, int]], reading: Reading) -> str:
    """Why not all of a file was read, "" where it was: what nothing refers to must be older nodes, or a list."""
    if part.head.startswith(_MANIFEST):
        _Tree(reading)._body(part.span, _MANIFEST, "a list")
        return ""
    at = 0
    for begin, end in [*sorted(taken), (part.size, part.size)]:
        while at < begin:
            head = part.read(at, min(12, begin - at))
            size = int.from_bytes(head[4:12], "little")
            if head[:4] not in _NODES or not 18 <= size <= begin - at:
                return f"nothing refers to its bytes from {at} to {begin}"
            at += size
        at = max(at, end)
    return ""
