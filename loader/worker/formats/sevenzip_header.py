"""The header of a 7z archive, which lies at its end: folders of packed streams, and the members in them. Zone: worker.

Layout: 7zFormat.txt of the LZMA SDK. A folder is what is unpacked at once; it holds one member or many.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from safe_load.worker.refusal import RefusedError, bomb

if TYPE_CHECKING:
    from collections.abc import Callable

    from safe_load.worker.formats.interface import File
    from safe_load.worker.spans import Span

MAX_HEADER = 16 << 20
MAX_MEMBERS = 20_000
#: Coders of one folder, and headers packed in each other.
MAX_CODERS, MAX_PACKED = 8, 4
_START = struct.Struct("<6s2BLQQL")
# The words of the header (7zFormat.txt, Property IDs).
_END, _HEADER, _STREAMS, _FILES = 0x00, 0x01, 0x04, 0x05
_PACK, _UNPACK, _SUBSTREAMS, _SIZE, _CRC, _FOLDER = 0x06, 0x07, 0x08, 0x09, 0x0A, 0x0B
_UNPACK_SIZE, _COUNT, _EMPTY_STREAM, _EMPTY_FILE = 0x0C, 0x0D, 0x0E, 0x0F
_ANTI, _NAMES, _ATTRIBUTES, _ENCODED = 0x10, 0x11, 0x15, 0x17


@dataclass
class Coder:
    """One way of packing. size: bytes that it unpacks to."""

    method: bytes
    properties: bytes
    inputs: int
    outputs: int
    size: int = 0


@dataclass
class Stream:
    """The bytes of one member within its folder. crc32: None where the archive does not say."""

    size: int
    crc32: int | None


@dataclass
class Folder:
    """What is unpacked at once. pairs: (input, output) of its coders that are bound; first: the input that takes the
    packed bytes; packed: (offset in the file, length); crc32: of all that it unpacks to."""

    coders: list[Coder]
    pairs: list[tuple[int, int]]
    first: int
    packed: list[tuple[int, int]] = field(default_factory=list)
    crc32: int | None = None
    streams: list[Stream] = field(default_factory=list)
    inputs: int = 1

    @property
    def size(self) -> int:
        """Bytes that it unpacks to: the output that nothing takes."""
        taken = {output for _, output in self.pairs}
        at = 0
        for coder in self.coders:
            if at not in taken:
                return coder.size
            at += coder.outputs
        raise RefusedError("the archive binds its coders in a way that is not any")


@dataclass
class Member:
    """A file, a folder or a link. attributes: of Windows in the lower half, of Unix in the upper."""

    name: str
    has_stream: bool = True
    attributes: int = 0


@dataclass
class Header:
    """All folders, and all members: the streams of the folders are those of the members that have one, in order."""

    folders: list[Folder] = field(default_factory=list)
    members: list[Member] = field(default_factory=list)


def read(file: File, unpack: Callable[[Folder], Span]) -> Header:
    """The header. unpack: all of a folder. Raises RefusedError."""
    _, major, _, checksum, offset, size, crc32 = _START.unpack(file.read(0, _START.size))
    if zlib.crc32(file.read(12, 20)) != checksum:
        raise RefusedError("the checksum of its first bytes does not fit")
    if major:
        raise RefusedError(f"it is of version {major} of the format, and only version 0 is known")
    if size == 0:
        if file.size != _START.size:
            raise RefusedError("bytes follow the end of the archive")
        return Header()
    end = _START.size + offset + size
    if end > file.size:
        raise RefusedError("the archive is cut off: its header, at the end, is missing")
    if end < file.size:
        raise RefusedError("bytes follow the end of the archive")
    if size > MAX_HEADER:
        raise bomb(f"the archive's header takes {size} bytes, more than {MAX_HEADER}")
    data = file.read(_START.size + offset, size)
    for _ in range(MAX_PACKED):
        if zlib.crc32(data) != crc32:
            raise RefusedError("the checksum of its header does not fit")
        reader = _Reader(data, _START.size + offset)
        word = reader.byte()
        if word == _HEADER:
            return _header(reader)
        if word != _ENCODED:
            raise RefusedError("its header is not any")
        folders = _streams(reader)
        if len(folders) != 1 or len(folders[0].streams) != 1:
            raise RefusedError("its header is not any")
        folder = folders[0]
        if folder.size > MAX_HEADER:
            raise bomb(f"the archive's header takes {folder.size} bytes, more than {MAX_HEADER}")
        data = unpack(folder).whole()
        crc32 = folder.streams[0].crc32 or zlib.crc32(data)
    raise RefusedError("its header is packed several times")


class _Reader:
    """The bytes of a header, one after the other. most: how far the packed streams may reach."""

    def __init__(self, data: bytes, most: int) -> None:
        self._data = data
        self._at = 0
        self.most = most

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def take(self, length: int) -> bytes:
        if not 0 <= length <= self.left:
            raise RefusedError("its header ends early")
        self._at += length
        return self._data[self._at - length : self._at]

    def byte(self) -> int:
        return self.take(1)[0]

    def number(self) -> int:
        """As 7z writes it: the first byte's leading ones count the bytes that follow."""
        first = self.byte()
        mask, value = 0x80, 0
        for index in range(8):
            if not first & mask:
                return value | (first & (mask - 1)) << (8 * index)
            value |= self.byte() << (8 * index)
            mask >>= 1
        return value

    def count(self, what: str) -> int:
        """A number of things that lie in the header or are members."""
        value = self.number()
        if value > MAX_MEMBERS:
            raise bomb(f"the archive states {value} {what}, more than {MAX_MEMBERS}")
        return value

    def bits(self, count: int) -> list[bool]:
        data = self.take((count + 7) // 8)
        return [bool(data[index // 8] & 0x80 >> index % 8) for index in range(count)]

    def known(self, count: int) -> list[bool]:
        """Of how many things something is said."""
        return [True] * count if self.byte() else self.bits(count)

    def checksums(self, count: int) -> list[int | None]:
        return [
            int.from_bytes(self.take(4), "little") if known else None for known in self.known(count)
        ]

    def expect(self, word: int) -> None:
        if self.byte() != word:
            raise RefusedError("its header is not in order")


def _header(reader: _Reader) -> Header:
    header = Header()
    word = reader.byte()
    if word == _STREAMS:
        header.folders = _streams(reader)
        word = reader.byte()
    if word == _FILES:
        header.members = _files(reader)
        word = reader.byte()
    if word != _END or reader.left:
        raise RefusedError("its header holds something that safe-load does not know")
    streams = sum(len(folder.streams) for folder in header.folders)
    if streams != sum(member.has_stream for member in header.members):
        raise RefusedError("its header names more or fewer members than there are")
    return header


def _streams(reader: _Reader) -> list[Folder]:
    packed: list[tuple[int, int]] = []
    folders: list[Folder] = []
    word = reader.byte()
    if word == _PACK:
        packed = _packed(reader)
        word = reader.byte()
    if word == _UNPACK:
        folders = _folders(reader)
        word = reader.byte()
    given = iter(packed)
    for folder in folders:
        folder.packed = [piece for _, piece in zip(range(folder.inputs), given, strict=False)]
        if len(folder.packed) != folder.inputs:
            raise RefusedError("its header names fewer packed streams than there are")
    if word == _SUBSTREAMS:
        _substreams(reader, folders)
        word = reader.byte()
    else:
        for folder in folders:
            folder.streams = [Stream(folder.size, folder.crc32)]
    if word != _END:
        raise RefusedError("its header is not in order")
    return folders


def _packed(reader: _Reader) -> list[tuple[int, int]]:
    begin = _START.size + reader.number()
    count = reader.count("packed streams")
    sizes: list[int] = []
    while (word := reader.byte()) != _END:
        if word == _SIZE:
            sizes = [reader.number() for _ in range(count)]
        elif word == _CRC:
            reader.checksums(count)
        else:
            raise RefusedError("its header is not in order")
    pieces = []
    for size in sizes:
        if begin + size > reader.most:
            raise RefusedError("a packed stream reaches past the end of the file")
        pieces.append((begin, size))
        begin += size
    return pieces


def _folders(reader: _Reader) -> list[Folder]:
    reader.expect(_FOLDER)
    count = reader.count("folders")
    if reader.byte():
        raise RefusedError("parts of its header lie elsewhere")
    folders = [_folder(reader) for _ in range(count)]
    reader.expect(_UNPACK_SIZE)
    for folder in folders:
        for coder in folder.coders:
            for _ in range(coder.outputs):
                coder.size = reader.number()
    word = reader.byte()
    if word == _CRC:
        for folder, crc32 in zip(folders, reader.checksums(count), strict=True):
            folder.crc32 = crc32
        word = reader.byte()
    if word != _END:
        raise RefusedError("its header is not in order")
    return folders


def _folder(reader: _Reader) -> Folder:
    coders = []
    for _ in range(count := reader.number()):
        if count > MAX_CODERS:
            raise RefusedError(f"it packs bytes in {count} ways at once")
        flags = reader.byte()
        if flags & 0xC0:
            raise RefusedError("its header is not any")
        method = reader.take(flags & 15)
        inputs, outputs = (reader.number(), reader.number()) if flags & 16 else (1, 1)
        if max(inputs, outputs) > MAX_CODERS:
            raise RefusedError(f"it packs bytes in {max(inputs, outputs)} ways at once")
        properties = reader.take(reader.number()) if flags & 32 else b""
        coders.append(Coder(method, properties, inputs, outputs))
    if not coders:
        raise RefusedError("its header is not any")
    total_in, total_out = sum(c.inputs for c in coders), sum(c.outputs for c in coders)
    if total_out < 1 or total_in < total_out - 1:
        raise RefusedError("its header is not any")
    pairs = [(reader.number(), reader.number()) for _ in range(total_out - 1)]
    inputs = total_in - len(pairs)
    bound = {given for given, _ in pairs}
    free = [index for index in range(total_in) if index not in bound]
    taken = [reader.number() for _ in range(inputs)] if inputs > 1 else free
    if len(bound) != len(pairs) or not free or sorted(taken) != free:
        raise RefusedError("the archive binds its coders in a way that is not any")
    return Folder(coders, pairs, taken[0], inputs=inputs)


def _substreams(reader: _Reader, folders: list[Folder]) -> None:
    counts = [1] * len(folders)
    word = reader.byte()
    if word == _COUNT:
        counts = [reader.count("members") for _ in folders]
        word = reader.byte()
    if sum(counts) > MAX_MEMBERS:
        raise bomb(f"the archive states {sum(counts)} members, more than {MAX_MEMBERS}")
    sizes_said = word == _SIZE
    for folder, count in zip(folders, counts, strict=True):
        if count > 1 and not sizes_said:
            raise RefusedError("its header does not say the sizes of its members")
        sizes = [reader.number() for _ in range(count - 1)]
        last = folder.size - sum(sizes)
        if last < 0:
            raise RefusedError("its members are larger than what they lie in")
        folder.streams = [Stream(size, None) for size in (*sizes, last)] if count else []
    if sizes_said:
        word = reader.byte()
    for folder in folders:
        if len(folder.streams) == 1:
            folder.streams[0].crc32 = folder.crc32
    unknown = [s for folder in folders for s in folder.streams if s.crc32 is None]
    if word == _CRC:
        for stream, crc32 in zip(unknown, reader.checksums(len(unknown)), strict=True):
            stream.crc32 = crc32
        word = reader.byte()
    if word != _END:
        raise RefusedError("its header is not in order")


def _files(reader: _Reader) -> list[Member]:
    count = reader.count("members")
    members = [Member("") for _ in range(count)]
    while (word := reader.number()) != _END:
        inner = _Reader(reader.take(reader.number()), 0)
        if word == _EMPTY_STREAM:
            for member, empty in zip(members, inner.bits(count), strict=True):
                member.has_stream = not empty
        elif word == _NAMES:
            _not_elsewhere(inner)
            for member, name in zip(members, _names(inner, count), strict=True):
                member.name = name
        elif word == _ATTRIBUTES:
            known = inner.known(count)
            _not_elsewhere(inner)
            for member, said in zip(members, known, strict=True):
                if said:
                    member.attributes = int.from_bytes(inner.take(4), "little")
        elif word == _ANTI:
            raise RefusedError("it deletes files where it is unpacked")
    return members


def _not_elsewhere(reader: _Reader) -> None:
    if reader.byte():
        raise RefusedError("parts of its header lie elsewhere")


def _names(reader: _Reader, count: int) -> list[str]:
    text = reader.take(reader.left).decode("utf-16-le", "replace")
    names = text.split("\0")
    if len(names) != count + 1 or names[-1]:
        raise RefusedError("its header names more or fewer members than there are")
    return names[:-1]
