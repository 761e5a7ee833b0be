"""7z archives: the members that the standard library can unpack, each a file. Zone: worker.

Layout: 7zFormat.txt of the LZMA SDK. What is read is what py7zr and 7-Zip write unless they are asked for something
else: LZMA2 and LZMA, bzip2, Deflate, zstd, bytes as they are, and liblzma's filters before LZMA2. PPMd, BCJ2, Deflate64
and encryption end as one sentence that names them, after all other members were judged.
"""

from __future__ import annotations

import stat
import zlib
from itertools import pairwise
from typing import TYPE_CHECKING

from safe_load.worker.formats import links, sevenzip_header
from safe_load.worker.formats.codecs import ZSTD_LIBRARY
from safe_load.worker.formats.interface import Content, File, Format, LibraryError
from safe_load.worker.formats.members import members_of
from safe_load.worker.formats.sevenzip_coders import UnsupportedError, unpack
from safe_load.worker.refusal import RefusedError
from safe_load.worker.spans import Span

if TYPE_CHECKING:
    from safe_load.worker.formats.interface import Reading
    from safe_load.worker.formats.sevenzip_header import Header, Member

_MAGIC = b"7z\xbc\xaf\x27\x1c"
#: Of a member's attributes: that the upper half is a mode of Unix, and a link of Windows.
_UNIX, _REPARSE_POINT = 0x8000, 0x400


class SevenZip(Format):
    """A 7z archive."""

    name, called, loader = "7z", "a 7z archive", "py7zr.SevenZipFile, or 7-Zip"
    weights = "those of its members, of several each as a file"
    hides = "pickles and programs among its members, names and links that leave the folder, bombs"
    libraries = (ZSTD_LIBRARY,)
    foreign = True

    def recognise(self, file: File) -> bool:
        """By its magic."""
        return file.head.startswith(_MAGIC)

    def read(self, file: File, reading: Reading) -> Content:
        """By what its members are."""
        try:
            header = sevenzip_header.read(file, lambda folder: unpack(file, folder, reading))
        except RefusedError as refusal:
            if refusal.status == "bomb":
                raise
            # Damaged ones too: 7-Zip looks for the members of such an archive all the same.
            return Content(self.name, "not_judged", refusal.reason, loads=False)
        parts, unread, damaged = _parts(file, header, reading)
        content = members_of(parts, reading, self.name)
        if damaged:
            raise RefusedError(damaged)
        if unread:
            return Content(self.name, "not_judged", unread, loads=False)
        return content


def _parts(file: File, header: Header, reading: Reading) -> tuple[list[File], str, str]:
    """The members that can be read; why the first of the others cannot be; and what is wrong with the first that is
    damaged. Those with a wrong checksum are judged too: some programs unpack them all the same."""
    parts: list[File] = []
    linked: list[tuple[str, str]] = []
    unread = damaged = ""
    members = iter([member for member in header.members if member.has_stream])
    for folder in header.folders:
        mine = [member for _, member in zip(folder.streams, members, strict=False)]
        for member in mine:
            links.outside(member.name, reading)
        try:
            whole = unpack(file, folder, reading)
        except (UnsupportedError, LibraryError) as refusal:
            unread = unread or _about(mine, refusal.reason)
            continue
        except RefusedError as refusal:
            if refusal.status == "bomb":
                raise
            damaged = damaged or _about(mine, refusal.reason)
            continue
        ends = [0]
        for stream in folder.streams:
            ends.append(ends[-1] + stream.size)
        for member, stream, (begin, end) in zip(mine, folder.streams, pairwise(ends), strict=True):
            span = Span(whole.source, whole.offset + begin, end - begin)
            if stream.crc32 is not None and _checksum(span) != stream.crc32:
                damaged = damaged or (
                    f"the member {member.name[:200]!a} has another checksum than it says"
                )
            if not _is_special(member, span, linked):
                parts.append(File(member.name, span))
    links.symbolic(linked, reading)
    for member in header.members:
        if not member.has_stream:
            links.outside(member.name, reading)
    return parts, unread, damaged


def _about(members: list[Member], reason: str) -> str:
    more = f" and {len(members) - 1} more" if len(members) > 1 else ""
    return f"the member {members[0].name[:200]!a}{more}: {reason}" if members else reason


def _checksum(span: Span) -> int:
    found = 0
    for chunk in span.chunks(0, span.length):
        found = zlib.crc32(chunk, found)
    return found


def _is_special(member: Member, span: Span, linked: list[tuple[str, str]]) -> bool:
    """Whether it is a link, which programs that unpack follow. Raises RefusedError for devices and the like."""
    mode = member.attributes >> 16 if member.attributes & _UNIX else 0
    is_link = stat.S_ISLNK(mode) or bool(member.attributes & _REPARSE_POINT)
    if not is_link and stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise RefusedError(f"the member {member.name[:200]!a} is not a file")
    if not is_link:
        return not span.length
    if span.length > links.MAX_LINK:
        raise RefusedError(f"the member {member.name[:200]!a} is not a file")
    linked.append((member.name, span.whole().decode("utf-8", "replace")))
    return True
