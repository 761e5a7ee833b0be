"""Ways of compression that several archives share, unpacked into memory within bounds. Zone: worker.

The standard library unpacks all but zstd, which it knows from Python 3.14 on; before, its maintained backport does
(backports.zstd, the same code for older versions).
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from safe_load.worker.refusal import RefusedError
from safe_load.worker.spans import CHUNK, MemorySource, Span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from safe_load.worker.formats.interface import Reading

#: Bytes of the history that a decoder may keep.
MAX_WINDOW = 128 << 20
ZSTD = b"\x28\xb5\x2f\xfd"
ZSTD_LIBRARY = "backports-zstd"


class Decoder(Protocol):
    """As the standard library's decoders are, those of bz2 and lzma."""

    @property
    def eof(self) -> bool:
        """Whether the stream has ended."""

    @property
    def needs_input(self) -> bool:
        """Whether nothing more comes of what was given."""

    @property
    def unused_data(self) -> bytes:
        """What was given behind the end of the stream."""

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        """At most that many further bytes."""


class Zlib:
    """zlib's object with the ways of the others."""

    def __init__(self, bits: int) -> None:
        self._inner = zlib.decompressobj(bits)
        self._tail = b""

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    @property
    def needs_input(self) -> bool:
        return not self._tail

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        out = self._inner.decompress(self._tail + data, max_length)
        self._tail = self._inner.unconsumed_tail
        return out


def bzip2() -> Decoder:
    """A decoder of one stream of bzip2."""
    return bz2.BZ2Decompressor()


def xz() -> Decoder:
    """A decoder of one stream of xz or of lzma's own form."""
    return lzma.LZMADecompressor(memlimit=2 * MAX_WINDOW)


def zstd(reading: Reading) -> Decoder:
    """A decoder of one frame of zstd. Raises RefusedError where no library has one."""
    module: Any
    try:
        module = import_module("compression.zstd")
    except ImportError:
        module = reading.library("backports.zstd", ZSTD_LIBRARY)
    limit = MAX_WINDOW.bit_length() - 1
    made: Decoder = module.ZstdDecompressor(
        options={module.DecompressionParameter.window_log_max: limit}
    )
    return made


def raw_lzma1(properties: bytes, size: int) -> Decoder:
    """LZMA without a header. properties: five bytes that 7z and zip keep for it; size: of what it unpacks to.
    Raises RefusedError."""
    rest, lc = divmod(properties[0] if len(properties) == 5 else 255, 9)
    pb, lp = divmod(rest, 5)
    if pb > 4 or lc + lp > 4:
        raise RefusedError("the settings of the LZMA data are not any that exist")
    window = _window(int.from_bytes(properties[1:5], "little"), size)
    return _raw({"id": lzma.FILTER_LZMA1, "dict_size": window, "lc": lc, "lp": lp, "pb": pb})


def raw_lzma2(properties: bytes, size: int, *before: dict[str, Any]) -> Decoder:
    """The same of LZMA2, whose setting is one byte. before: filters of liblzma that the bytes passed first."""
    if len(properties) != 1 or properties[0] > 40:
        raise RefusedError("the settings of the LZMA2 data are not any that exist")
    bits = properties[0]
    window = _window((2 | bits & 1) << (bits // 2 + 11), size)
    return _raw(*before, {"id": lzma.FILTER_LZMA2, "dict_size": window})


def _window(stated: int, size: int) -> int:
    """No history is longer than what there is."""
    return max(4096, min(stated, size, MAX_WINDOW))


def _raw(*filters: dict[str, Any]) -> Decoder:
    return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=list(filters))


def unpacked(
    chunks: Iterator[bytes | memoryview], decoder: Decoder, size: int, what: str
) -> Iterator[bytes]:
    """All of one stream, which must give exactly `size` bytes. what: a noun phrase, for sentences. Raises RefusedError."""
    left = size
    pending = b""
    while left > 0 and not decoder.eof:
        if not pending and decoder.needs_input:
            pending = bytes(next(chunks, b""))
        fed = pending
        data = decode(decoder, pending, min(CHUNK, left))
        pending = b""
        if not data and not fed and decoder.needs_input:
            break
        left -= len(data)
        yield data
    if left:
        raise RefusedError(f"{what} unpacks to {left} bytes fewer than it says")


def decode(decoder: Decoder, data: bytes, most: int) -> bytes:
    """What a decoder makes of some bytes. Raises RefusedError where they are damaged."""
    try:
        return decoder.decompress(data, most)
    except (zlib.error, OSError, lzma.LZMAError, EOFError, ValueError, MemoryError) as error:
        raise RefusedError(f"the compressed data is damaged: {str(error)[:200]}") from None
    except Exception as error:  # ZstdError, of whichever library
        if type(error).__name__ != "ZstdError":
            raise
        raise RefusedError(f"the compressed data is damaged: {str(error)[:200]}") from None


def in_memory(parts: Iterator[bytes], packed: int, reading: Reading) -> Span:
    """Those bytes, kept and accounted for. packed: of how many they were made. Raises RefusedError."""
    kept = []
    for part in parts:
        reading.spend(len(part), packed)
        kept.append(part)
    data = b"".join(kept)
    return Span(MemorySource(data), 0, len(data))
