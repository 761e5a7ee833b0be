"""A zip archive as torch's reader sees it, and what is wrong with it. Zone: worker.

torch reads with miniz: names without regard to case, no CRC, flags mostly ignored. This reader goes
on where miniz would, so that a payload behind a defect is still seen, and keeps what it found:
an archive with a defect is never extracted. Format: PKWARE APPNOTE 6.3.
"""

from __future__ import annotations

import stat
import struct
import zlib
from typing import TYPE_CHECKING

from safe_load.worker.refusal import RefusedError, bomb
from safe_load.worker.spans import DeflatedSource, Span

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_MEMBERS = 200_000
MAX_DIRECTORY = 64 << 20
_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_FULL = 0xFFFFFFFF
_LOCAL_MAGIC = b"PK\3\4"
_WITHOUT_MODES = (0, 10, 11, 14)
#: Bytes that are looked at between two members.
MAX_GAP = 64 << 10


class Member:
    """One file of the archive. header: where its local header begins; begin: where its bytes do."""

    __slots__ = ("begin", "crc32", "flags", "header", "method", "mode", "name", "packed", "size")

    def __init__(
        self,
        name: str,
        *,
        method: int,
        flags: int,
        packed: int,
        size: int,
        header: int,
        crc32: int,
        mode: int,
    ) -> None:
        #: Kind and permissions as Unix has them, 0 where the archive does not say.
        self.mode = mode
        self.crc32 = crc32
        self.name = name
        self.method = method
        self.flags = flags
        self.packed = packed
        self.size = size
        self.header = header
        self.begin = 0


class Archive:
    """The members of the zip that fills a span, in the order of its directory.

    defects: what makes it ambiguous or broken, a sentence each. Raises RefusedError when there is
    no directory to read.
    """

    def __init__(self, span: Span) -> None:
        self._span = span
        self.defects: list[str] = []
        self.members: list[Member] = []
        begin, size, count = self._directory()
        for member in self._entries(begin, size):
            self.members.append(member)
        if len(self.members) != count:
            self._defect(f"the zip directory lists {len(self.members)} members, but states {count}")
        self._by_name: dict[str, Member] = {}
        self._kept: dict[int, Span] = {}
        for member in self.members:
            self._locate(member, begin)
            key = member.name.lower()
            if key in self._by_name:
                self._defect(
                    f"the zip holds {member.name[:200]!a} twice, and readers differ in which they take"
                )
            self._by_name[key] = member
        self._overlaps(begin)

    def find(self, name: str) -> Member | None:
        """The member of that name, without regard to case, as torch finds it."""
        return self._by_name.get(name.lower())

    def keep(self, member: Member, span: Span) -> None:
        """Take what a member unpacks to, which `bytes_of` then gives."""
        self._kept[member.header] = span

    def packed_of(self, member: Member) -> Span:
        """Its bytes as they lie there. Raises RefusedError when they do not."""
        if member.begin + member.packed > self._span.length or not member.begin:
            raise RefusedError(
                f"the zip member {member.name[:200]!a} reaches past the end of the file"
            )
        return Span(self._span.source, self._span.offset + member.begin, member.packed)

    def bytes_of(self, member: Member) -> Span:
        """Its content. Raises RefusedError when it cannot be read."""
        if (kept := self._kept.get(member.header)) is not None:
            return kept
        packed = self.packed_of(member)
        if member.method == 0:
            # Stored: torch takes the size that the directory gives.
            return Span(packed.source, packed.offset, min(member.packed, member.size))
        if member.method == 8:
            source = DeflatedSource(self._span, member.begin, member.packed, member.size)
            return Span(source, 0, member.size)
        raise RefusedError(
            f"the zip member {member.name[:200]!a} is packed with method {member.method}, which safe-load does not read"
        )

    def check_sums(self) -> None:
        """A defect for each member whose bytes do not give the checksum that its directory says: zipfile does not
        read them, other programs do. Raises RefusedError for bytes that are not there."""
        for member in self.members:
            found = 0
            span = self.bytes_of(member) if member.size else None
            for chunk in span.chunks(0, span.length) if span is not None else ():
                found = zlib.crc32(chunk, found)
            if found != member.crc32:
                self._defect(
                    f"the zip member {member.name[:200]!a} has another checksum than it says"
                )

    def _defect(self, sentence: str) -> None:
        if len(self.defects) < 16:
            self.defects.append(sentence)

    def _directory(self) -> tuple[int, int, int]:
        """Offset, size and count of the central directory."""
        length = self._span.length
        tail_at = max(0, length - 65_557)
        tail = self._span.read(tail_at, length - tail_at)
        place = bytes(tail).rfind(b"PK\5\6", 0, max(0, len(tail) - 18))
        if place < 0:
            raise RefusedError("the zip archive is cut off: its directory, at the end, is missing")
        end_at = tail_at + place
        _, disk, _, _, count, size, begin, comment = _END.unpack_from(tail, place)
        if end_at + _END.size + comment != length:
            self._defect("bytes follow the end of the zip archive")
        locator_at = end_at - _LOCATOR.size
        record_at = end_at
        if locator_at >= 0:
            magic, _, end64_at, _ = _LOCATOR.unpack(self._span.read(locator_at, _LOCATOR.size))
            if magic == b"PK\6\7" and end64_at + _END64.size <= locator_at:
                fields = _END64.unpack(self._span.read(end64_at, _END64.size))
                if fields[0] == b"PK\6\6":
                    narrow = (count, size, begin)
                    count, size, begin = fields[7:10]
                    for small, large, full in zip(
                        narrow, (count, size, begin), (0xFFFF, _FULL, _FULL), strict=True
                    ):
                        if small not in {full, large}:
                            self._defect("the two directories of the zip archive differ")
                    record_at = end64_at
        if disk:
            self._defect("the zip archive says it is one of several disks")
        if begin + size != record_at:
            self._defect("the zip directory is not where the archive says")
        if begin + size > length:
            raise RefusedError("the zip directory reaches past the end of the file")
        if size > MAX_DIRECTORY:
            raise bomb(f"the zip directory takes {size} bytes, more than {MAX_DIRECTORY}")
        return begin, size, count

    def _entries(self, begin: int, size: int) -> Iterator[Member]:
        directory = bytes(self._span.read(begin, size))
        offset = number = 0
        while offset + _CENTRAL.size <= size:
            fields = _CENTRAL.unpack_from(directory, offset)
            if fields[0] != b"PK\1\2":
                break
            flags, method = fields[3], fields[4]
            packed, unpacked, name_length, extra_length, comment_length = fields[8:13]
            header = fields[16]
            name_at = offset + _CENTRAL.size
            name = directory[name_at : name_at + name_length]
            extra = directory[name_at + name_length : name_at + name_length + extra_length]
            offset = name_at + name_length + extra_length + comment_length
            unpacked, packed, header = _zip64(extra, [unpacked, packed, header])
            number += 1
            if number > MAX_MEMBERS:
                raise bomb(f"the zip archive holds more than {MAX_MEMBERS} members")
            yield Member(
                name.decode("utf-8", "surrogateescape"),
                method=method,
                flags=flags,
                packed=packed,
                size=unpacked,
                header=header,
                crc32=fields[7],
                mode=_mode(fields[1] >> 8, fields[15] >> 16),
            )
        if offset != size:
            self._defect("the zip directory does not end where it says")

    def _locate(self, member: Member, directory: int) -> None:
        """Find where the bytes begin, and compare the local header with the directory."""
        shown = ascii(member.name[:200])
        if member.header + _LOCAL.size > self._span.length:
            self._defect(f"the zip member {shown} lies past the end of the file")
            return
        fields = _LOCAL.unpack(self._span.read(member.header, _LOCAL.size))
        if fields[0] != b"PK\3\4":
            self._defect(f"the zip member {shown} has no header of its own")
            return
        flags, method, packed, size, name_length, extra_length = *fields[2:4], *fields[7:11]
        member.begin = member.header + _LOCAL.size + name_length + extra_length
        if member.begin + member.packed > directory:
            self._defect(
                f"the zip member {shown} reaches into the directory or past the end of the file"
            )
            return
        rest = bytes(self._span.read(member.header + _LOCAL.size, name_length + extra_length))
        if rest[:name_length] != member.name.encode("utf-8", "surrogateescape"):
            self._defect(f"the zip member {shown} has another name in its own header")
        if method != member.method:
            self._defect(f"the zip member {shown} is packed in two ways at once")
        if not flags & 8:  # else the sizes follow the data
            size, packed, _ = _zip64(rest[name_length:], [size, packed, 0])
            if (packed, size) != (member.packed, member.size):
                self._defect(f"the zip member {shown} has two sizes")
        if member.method == 0 and member.packed != member.size:
            self._defect(f"the zip member {shown} is stored and yet has two sizes")
        if (flags | member.flags) & 0x2061:
            self._defect(f"the zip member {shown} says that it is encrypted")

    def _overlaps(self, directory: int) -> None:
        """Members that share bytes, and members between those that the directory lists: who reads from the
        front finds these."""
        end, before = 0, ""
        for member in sorted(self.members, key=lambda m: (m.header, m.begin)):
            if member.header < end:
                self._defect(f"the zip members {before[:200]!a} and {member.name[:200]!a} overlap")
            self._gap(end, member.header)
            if member.begin + member.packed > end:
                end, before = member.begin + member.packed, member.name
        self._gap(end, directory)

    def _gap(self, begin: int, end: int) -> None:
        if end - begin < _LOCAL.size or end > self._span.length:
            return
        start = bytes(self._span.read(begin, min(end - begin, MAX_GAP)))
        if _LOCAL_MAGIC in start:
            self._defect(
                f"the zip archive holds a member at byte {begin + start.index(_LOCAL_MAGIC)} that its "
                "directory does not list"
            )


def _mode(system: int, mode: int) -> int:
    """What Unix says of a member. PKZIP for Unix calls its system FAT and writes the same; other programs of FAT and
    NTFS may leave anything there, so that of these a link alone is believed."""
    return 0 if system in _WITHOUT_MODES and not stat.S_ISLNK(mode) else mode


def _zip64(extra: bytes, values: list[int]) -> list[int]:
    """Sizes and offset with those that did not fit in 32 bits taken from the extra field."""
    offset = 0
    while offset + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, offset)
        if kind == 1:
            field = extra[offset + 4 : offset + 4 + length]
            for index, value in enumerate(values):
                if value == _FULL and len(field) >= 8:
                    values[index] = int.from_bytes(field[:8], "little")
                    field = field[8:]
            break
        offset += 4 + length
    return values
