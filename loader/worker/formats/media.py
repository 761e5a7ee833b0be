"""Pictures, sound and film: data, when every byte belongs to their structure. Zone: worker.

Nothing is decoded. What lies behind the end of a picture is not part of it: such a file is refused.
"""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING

from safe_load.worker.formats.cursor import Cursor
from safe_load.worker.formats.interface import Content, Format
from safe_load.worker.refusal import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from safe_load.worker.formats.interface import File, Reading

#: A marker in the compressed part of a JPEG that ends it: no stuffed zero, no restart.
_MARKER = re.compile(rb"\xff+[^\x00\xd0-\xd7\xff]")
_LONE_MARKERS = frozenset({0x01, *range(0xD0, 0xD8)})
_CHUNK = 1 << 20
MAX_PARTS = 1_000_000


def _png(cursor: Cursor) -> None:
    cursor.skip(8)
    kind = b""
    while kind != b"IEND":
        length = cursor.number(4, "big")
        kind = cursor.take(4)
        if not kind.isalpha():
            raise RefusedError(f"a part of the picture before byte {cursor.position} has no name")
        crc = zlib.crc32(kind)
        while length:
            crc = zlib.crc32(cursor.take(step := min(length, _CHUNK)), crc)
            length -= step
        if cursor.number(4, "big") != crc:
            raise RefusedError(f"a part of the picture before byte {cursor.position} is damaged")


def _jpeg(cursor: Cursor) -> None:
    while True:  # a camera may put further pictures behind the first
        if cursor.take(2) != b"\xff\xd8":
            raise RefusedError(f"bytes that belong to no picture at byte {cursor.position - 2}")
        _jpeg_segments(cursor)
        if cursor.done:
            return


def _jpeg_segments(cursor: Cursor) -> None:
    while True:
        if cursor.take(1) != b"\xff":
            raise RefusedError(f"there is no marker at byte {cursor.position - 1}")
        while (marker := cursor.take(1)[0]) == 0xFF:
            continue
        if marker == 0xD9:
            return
        if marker in _LONE_MARKERS:
            continue
        length = cursor.number(2, "big")
        cursor.skip(length - 2)
        if marker == 0xDA:
            _jpeg_scan(cursor)


def _jpeg_scan(cursor: Cursor) -> None:
    """Go to the marker that ends the compressed part."""
    while True:
        at = cursor.position
        data = cursor.take(min(_CHUNK, cursor.end - at))
        found = _MARKER.search(data)
        if found:
            cursor.position = at + found.start()
            return
        if cursor.done:
            raise RefusedError("the picture has no end")
        cursor.position -= 1  # the first half of a marker may be the last byte


def _gif(cursor: Cursor) -> None:
    cursor.skip(10)
    flags = cursor.take(1)[0]
    cursor.skip(2 + (3 << (flags & 7) + 1 if flags & 0x80 else 0))
    while (kind := cursor.take(1)) != b";":
        if kind == b",":
            cursor.skip(8)
            flags = cursor.take(1)[0]
            cursor.skip((3 << (flags & 7) + 1 if flags & 0x80 else 0) + 1)
        elif kind == b"!":
            cursor.skip(1)
        else:
            raise RefusedError(f"there is no part of a picture at byte {cursor.position - 1}")
        while length := cursor.take(1)[0]:
            cursor.skip(length)


def _riff(cursor: Cursor) -> None:
    cursor.skip(4)
    if cursor.number(4) + 8 != cursor.end:
        raise RefusedError("the size in the header is not the file's size")
    cursor.skip(4)
    while not cursor.done:
        if not re.fullmatch(rb"[\x20-\x7e]{4}", cursor.take(4)):
            raise RefusedError(f"a part before byte {cursor.position} has no name")
        length = cursor.number(4)
        cursor.skip(length + length % 2 if cursor.position + length < cursor.end else length)


def _boxes(cursor: Cursor) -> None:
    while not cursor.done:
        at = cursor.position
        length = cursor.number(4, "big")
        if not re.fullmatch(rb"[\x20-\x7e\xa9]{4}", cursor.take(4)):
            raise RefusedError(f"a part before byte {cursor.position} has no name")
        length = cursor.number(8, "big") if length == 1 else length or cursor.end - at
        cursor.skip(length - (cursor.position - at))


def _ogg(cursor: Cursor) -> None:
    while not cursor.done:
        if cursor.take(4) != b"OggS":
            raise RefusedError(f"there is no page at byte {cursor.position - 4}")
        cursor.skip(22)
        cursor.skip(sum(cursor.take(cursor.take(1)[0])))


def _bmp(cursor: Cursor) -> None:
    cursor.skip(2)
    if cursor.number(4) != cursor.end:
        raise RefusedError("the size in the header is not the file's size")
    cursor.position = cursor.end  # one header, then nothing but dots


class Media(Format):
    """One such format: where its magic lies, and how it is walked."""

    loader = "an image or audio library"

    def __init__(
        self, name: str, called: str, magic: re.Pattern[bytes], walk: Callable[[Cursor], None]
    ) -> None:
        self.name = name
        self.called = called
        self._magic = magic
        self._walk = walk

    def recognise(self, file: File) -> bool:
        """By its first bytes."""
        return self._magic.match(file.head) is not None

    def read(self, file: File, reading: Reading) -> Content:  # noqa: ARG002 - a format's entry
        """Data, if the walk ends where the file does."""
        cursor = Cursor(file)
        self._walk(cursor)
        if not cursor.done:
            raise RefusedError(f"{cursor.end - cursor.position} bytes follow the end of the data")
        return Content(
            self.name, "data", f"{self.called}, complete and without other data", loads=False
        )


MEDIA: tuple[Media, ...] = (
    Media("png", "a PNG picture", re.compile(rb"\x89PNG\r\n\x1a\n"), _png),
    Media("jpeg", "a JPEG picture", re.compile(rb"\xff\xd8\xff"), _jpeg),
    Media("gif", "a GIF picture", re.compile(rb"GIF8[79]a"), _gif),
    Media("riff", "a WebP picture or a WAV file", re.compile(rb"RIFF....(?:WEBP|WAVE|AVI )", re.DOTALL), _riff),
    Media("mp4", "an MP4 file", re.compile(rb"\0\0..ftyp", re.DOTALL), _boxes),
    Media("ogg", "an Ogg file", re.compile(rb"OggS\0"), _ogg),
    Media("bmp", "a BMP picture", re.compile(rb"BM....\0\0\0\0", re.DOTALL), _bmp),
)  # fmt: skip
