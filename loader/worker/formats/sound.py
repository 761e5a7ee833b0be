"""Sound and film in further containers, fonts, and what a desktop leaves in folders. Zone: worker.

Nothing is decoded; a walk over the structure ends where the file does.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from safe_load.worker.formats.media import Media
from safe_load.worker.refusal import RefusedError

if TYPE_CHECKING:
    from safe_load.worker.formats.cursor import Cursor

_TRACKS = re.compile(rb"\xff[\xe2-\xff]")
_BIT_RATES = {  # kilobits, by version and layer (ISO 11172-3, ISO 13818-3)
    (3, 1): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_SAMPLES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}


def _mp3(cursor: Cursor) -> None:
    while cursor.end - cursor.position >= 10:
        head = cursor.take(4)
        if head[:3] == b"ID3":
            cursor.skip(2)
            size = 0
            for byte in cursor.take(4):
                size = size << 7 | byte & 0x7F
            cursor.skip(size)
        elif head[:3] == b"TAG" and cursor.end - cursor.position == 124:
            cursor.skip(124)
        elif _TRACKS.match(head):
            cursor.skip(_frame(head, cursor.position) - 4)
        elif not head.strip(b"\0"):
            continue
        else:
            raise RefusedError(f"there is no frame at byte {cursor.position - 4}")
    cursor.position = cursor.end


def _frame(head: bytes, at: int) -> int:
    """Bytes of a frame of layer III."""
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    rate, sample, padded = head[2] >> 4, head[2] >> 2 & 3, head[2] >> 1 & 1
    if layer != 1 or version == 1 or rate in (0, 15) or sample == 3:
        raise RefusedError(f"there is no frame of sound at byte {at - 4}")
    bits = _BIT_RATES[(3 if version == 3 else 2, 1)][rate] * 1000
    return (144 if version == 3 else 72) * bits // _SAMPLES[version][sample] + padded


def _flac(cursor: Cursor) -> None:
    cursor.skip(4)
    last = False
    while not last:
        kind = cursor.number(1)
        last = bool(kind & 0x80)
        cursor.skip(cursor.number(3, "big"))
    if cursor.take(2) not in (b"\xff\xf8", b"\xff\xf9"):
        raise RefusedError(f"there is no frame at byte {cursor.position - 2}")
    cursor.position = cursor.end  # frames of compressed samples say no length


def _matroska(cursor: Cursor) -> None:
    while not cursor.done:
        first = cursor.take(1)[0]
        if not first >> 4:
            raise RefusedError(f"there is no part at byte {cursor.position - 1}")
        cursor.skip(8 - first.bit_length())
        size = cursor.take(1)[0]
        if not size:
            raise RefusedError(f"a part before byte {cursor.position} has no size")
        more = 8 - size.bit_length()
        length = (size & (1 << 7 - more) - 1) << 8 * more | cursor.number(more, "big")
        if length == (1 << 7 * (more + 1)) - 1:  # unknown: to the end
            cursor.position = cursor.end
            return
        cursor.skip(length)


def _font(cursor: Cursor) -> None:
    cursor.skip(4)
    count = cursor.number(2, "big")
    cursor.skip(6)
    for _ in range(count):
        cursor.skip(8)
        at, length = cursor.number(4, "big"), cursor.number(4, "big")
        if at + length > cursor.end:
            raise RefusedError("a table of the font lies outside of it")
    cursor.position = cursor.end


def _tiff(cursor: Cursor) -> None:
    order = "little" if cursor.take(2) == b"II" else "big"
    cursor.skip(2)
    at = cursor.number(4, order)
    for _ in range(10_000):
        if not at:
            break
        cursor.position = at
        cursor.skip(12 * cursor.number(2, order))
        at = cursor.number(4, order)
    cursor.position = cursor.end


def _icon(cursor: Cursor) -> None:
    cursor.skip(4)
    for _ in range(cursor.number(2)):
        cursor.skip(8)
        length, at = cursor.number(4), cursor.number(4)
        if at + length > cursor.end:
            raise RefusedError("a picture of the icon lies outside of it")
    cursor.position = cursor.end


def _desktop(cursor: Cursor) -> None:
    cursor.skip(8)
    first, size, again = cursor.number(4, "big"), cursor.number(4, "big"), cursor.number(4, "big")
    if first != again or first + size > cursor.end - 4:
        raise RefusedError("its directory lies outside of it")
    cursor.position = cursor.end


def _glb(cursor: Cursor) -> None:
    cursor.skip(8)
    if cursor.number(4) != cursor.end:
        raise RefusedError("its size is not the one that it says")
    while not cursor.done:
        length = cursor.number(4)
        if cursor.take(4) not in (b"JSON", b"BIN\0"):
            raise RefusedError(f"there is no part before byte {cursor.position}")
        cursor.skip(length)


def _netpbm(cursor: Cursor) -> None:
    """P4 bits, P5 grey, P6 colours: a header of text, then one row after the other (netpbm's pgm(5), ppm(5))."""
    while not cursor.done:
        kind = cursor.take(2)
        if kind not in _CHANNELS:
            raise RefusedError(f"there is no picture at byte {cursor.position - 2}")
        wide, high = _netpbm_number(cursor), _netpbm_number(cursor)
        if kind == b"P4":
            cursor.skip((wide + 7) // 8 * high)
        else:
            deep = 2 if _netpbm_number(cursor) > 255 else 1
            cursor.skip(wide * high * _CHANNELS[kind] * deep)


_CHANNELS = {b"P4": 1, b"P5": 1, b"P6": 3}


def _netpbm_number(cursor: Cursor) -> int:
    """The next number of the header, and the one blank behind it."""
    digits = b""
    for _ in range(1000):
        letter = cursor.take(1)
        if letter == b"#" and not digits:
            while letter != b"\n":
                letter = cursor.take(1)
        elif letter.isdigit() and len(digits) < 9:
            digits += letter
        elif not letter.isspace():
            break
        elif digits:
            return int(digits)
    raise RefusedError(f"there is no number before byte {cursor.position}")


MORE_MEDIA: tuple[Media, ...] = (
    Media("mp3", "an MP3 file", re.compile(rb"ID3[\x02-\x04]|\xff[\xe2\xe3\xf2\xf3\xfa\xfb]"), _mp3),
    Media("flac", "a FLAC file", re.compile(rb"fLaC"), _flac),
    Media("matroska", "a WebM or Matroska film", re.compile(rb"\x1a\x45\xdf\xa3"), _matroska),
    Media("font", "a font", re.compile(rb"(?:\0\x01\0\0|OTTO|true)\0[\x04-\x40]"), _font),
    Media("tiff", "a TIFF picture", re.compile(rb"II\x2a\0|MM\0\x2a"), _tiff),
    Media("icon", "an icon", re.compile(rb"\0\0\x01\0[\x01-\x40]\0"), _icon),
    Media("ds-store", "what macOS leaves in folders", re.compile(rb"\0\0\0\x01Bud1"), _desktop),
    Media("netpbm", "a picture of netpbm", re.compile(rb"P[456][\s#]"), _netpbm),
    Media("glb", "a scene of glTF", re.compile(rb"glTF\x02\0\0\0"), _glb),
)  # fmt: skip
