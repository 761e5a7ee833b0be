"""Files that are valid as more than one format: programs differ in which of them they open. Zone: worker.

What a file is by its first bytes is read by its own module. Here the signatures of other formats are looked for
where their readers look for them: a zip's directory at the end (zipfile._EndRecData, miniz), HDF5's superblock
behind a block of the user's own (H5FD_locate_signature), a tar archive's header under any first bytes, a PDF's
header in the first kilobyte, the header of a Windows program at the place that its first bytes name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from safe_load.worker.formats.interface import File
from safe_load.worker.spans import Span

if TYPE_CHECKING:
    from collections.abc import Iterator

_HDF5 = b"\x89HDF\r\n\x1a\n"
_END, _CENTRAL, _LOCATOR = b"PK\5\6", b"PK\1\2", b"PK\6\7"
_END_SIZE, _LOCATOR_SIZE = 22, 20
MAX_COMMENT = 65_535
_FULL = 0xFFFF_FFFF
_USER_BLOCK = 512
#: Formats whose members may lie at any place, and are judged as files of their own.
_ARCHIVES = frozenset(("zip", "tar"))


def zip_behind(file: File) -> File | None:
    """The zip archive that ends near the end of a file, if there is one: Python opens it whatever lies before and
    for some bytes behind, and counts its offsets from where they lead to its directory. One that does not end where
    the file does may be honest, as the content of a value or a member."""
    size = min(file.size, MAX_COMMENT + _END_SIZE)
    tail = file.read(file.size - size, size)
    at = tail.rfind(_END)
    while at >= 0:
        end = tail[at : at + _END_SIZE]
        if len(end) == _END_SIZE:
            place = file.size - size + at
            shift = _shift(file, end, place)
            if shift is not None:
                comment = int.from_bytes(end[20:22], "little")
                length = min(file.size, place + _END_SIZE + comment) - shift
                return File(file.name, Span(file.span.source, file.span.offset + shift, length))
        at = tail.rfind(_END, 0, at)
    return None


def _shift(file: File, end: bytes, place: int) -> int | None:
    """How far an archive's offsets are behind the file's, None where `end` ends no archive. place: of `end`."""
    count, size, begin = (
        int.from_bytes(end[a:b], "little") for a, b in ((10, 12), (12, 16), (16, 20))
    )
    if _FULL in (size, begin) or count == _FULL >> 16:
        at = place - _LOCATOR_SIZE
        return 0 if at >= 0 and file.read(at, 4) == _LOCATOR else None
    directory = place - size
    if directory < begin:
        return None
    if not count:  # without members it is one only where it ends the file
        comment = int.from_bytes(end[20:22], "little")
        return directory - begin if place + _END_SIZE + comment == file.size else None
    return directory - begin if file.read(directory, 4) == _CENTRAL else None


def others(file: File, kind: str) -> Iterator[str]:
    """What else a file is, in noun phrases, besides a zip archive and a pickle. kind: the name of its format."""
    head = file.head
    if kind in _ARCHIVES:
        return
    if kind != "tar" and is_tar(head):
        yield "a tar archive"
    if kind not in ("pdf", "text") and b"%PDF-" in head[:1024]:
        yield "a PDF document"
    if kind != "tflite" and head[4:8] == b"TFL3":
        yield "a TensorFlow Lite model"
    if kind != "program" and _is_windows_program(file):
        yield "a Windows program"
    if kind != "hdf5" and _has_hdf5(file):
        yield "an HDF5 file"


def is_tar(head: bytes) -> bool:
    """Whether the first bytes are a tar archive's header, by its magic or its checksum."""
    if head[257:262] == b"ustar":
        return True
    try:
        said = int(head[148:156].strip(b" \0") or b"x", 8)
    except ValueError:
        return False
    return len(head) >= 512 and said == sum(head[:148]) + 256 + sum(head[156:512])


def is_odd_name(head: bytes) -> bool:
    """Whether the name of a tar archive's first member, with which the file begins, is none that people give."""
    try:
        return not head[:100].partition(b"\0")[0].decode().isprintable()
    except UnicodeDecodeError:
        return True


def _is_windows_program(file: File) -> bool:
    if not file.head.startswith(b"MZ") or len(file.head) < 64:
        return False
    at = int.from_bytes(file.head[60:64], "little")
    return at + 4 <= file.size and file.read(at, 4) == b"PE\0\0"


def _has_hdf5(file: File) -> bool:
    at = _USER_BLOCK
    while at + len(_HDF5) <= file.size:
        if file.read(at, len(_HDF5)) == _HDF5:
            return True
        at *= 2
    return False
