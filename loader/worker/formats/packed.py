"""Compressed streams, as gzip, joblib and numpy's users write them: unpacked within bounds, then read.

Zone: worker. Standard library; LZ4, which it lacks, is unpacked here (lz4_Frame_format.md 1.6.3), and zstd by a
library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from safe_load.worker.formats import codecs
from safe_load.worker.formats.cursor import Cursor
from safe_load.worker.formats.interface import Content, File, Format
from safe_load.worker.refusal import RefusedError
from safe_load.worker.spans import CHUNK, MemorySource, Span, StreamedSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from safe_load.worker.formats.interface import Reading

#: Unpacked bytes up to which they are kept in memory.
MAX_SHORT = 32 << 20
_SUFFIXES = (".gz", ".gzip", ".z", ".bz2", ".xz", ".lzma", ".lz4", ".zst", ".zstd", ".tgz")


class Packed(Format):
    """One way of compression."""

    loader = "joblib.load, or gzip.open and pickle.load"
    weights = "those of what is packed in it"
    hides = "whatever is packed in it, bombs"

    def __init__(
        self,
        name: str,
        magics: tuple[bytes, ...],
        unpack: Callable[[File, Reading], Iterator[bytes]],
        bits: int = 0,
        libraries: tuple[str, ...] = (),
    ) -> None:
        """bits: of zlib's, where it packs."""
        self.libraries = libraries
        self.foreign = bool(libraries)  # joblib, which opens the others, does not know it
        self.loader = "a program that unpacks it" if libraries else Packed.loader
        self._bits = bits
        self.name = name
        self.called = f"{name} data"
        self._magics = magics
        self._unpack = unpack

    def recognise(self, file: File) -> bool:
        """By its magic."""
        return file.head.startswith(self._magics)

    def read(self, file: File, reading: Reading) -> Content:
        """What it unpacks to, as if that lay there itself."""
        span = self._unpacked(file, reading)
        stem = next(
            (file.name[: -len(s)] for s in _SUFFIXES if file.name.lower().endswith(s)), file.name
        )
        if self.name == "zlib":
            span = _git_object(span)
        inner = File(stem.rpartition("/")[2] or self.name, span)
        reading.packed += 1
        try:
            content = reading.judge(inner)
        finally:
            reading.packed -= 1
        content.format = f"{content.format} in {self.name}"[:64]
        if content.state != "not_judged":
            content.why = f"unpacked: {content.why}"
        return content

    def _unpacked(self, file: File, reading: Reading) -> Span:
        """In memory, where it is short or cannot be read from any place on."""
        parts: list[bytes] = []
        size, streamed = 0, False
        for part in self._unpack(file, reading):
            reading.spend(len(part), file.size, streamed=bool(self._bits))
            size += len(part)
            if not streamed:
                parts.append(part)
            if self._bits and size > MAX_SHORT:
                parts, streamed = [], True
        if streamed or (self._bits and not reading.keeps(size)):
            return Span(StreamedSource(file.span, 0, file.size, size, self._bits), 0, size)
        return Span(MemorySource(b"".join(parts)), 0, size)


def _git_object(span: Span) -> Span:
    """The content of a loose object of git, or what was given."""
    head, nul, _ = bytes(span.read(0, min(40, span.length))).partition(b"\0")
    kind, _, size = head.partition(b" ")
    if not nul or kind not in (b"blob", b"tree", b"commit", b"tag") or not size.isdigit():
        return span
    begin = len(head) + 1
    if kind == b"tree" and span.length - begin == int(size):
        return Span(MemorySource(b""), 0, 0)
    return Span(span.source, span.offset + begin, span.length - begin)


def _streams(
    make: Callable[[Reading], codecs.Decoder], padding: bytes = b""
) -> Callable[[File, Reading], Iterator[bytes]]:
    """Unpack the streams that follow each other up to the end of the file."""

    def unpack(file: File, reading: Reading) -> Iterator[bytes]:
        chunks = file.span.chunks(0, file.size)
        pending = b""
        while True:
            inner = make(reading)
            while not inner.eof:
                if not pending and inner.needs_input:
                    pending = bytes(next(chunks, b""))
                    if not pending:
                        raise RefusedError("the compressed data is cut off")
                data = codecs.decode(inner, pending, CHUNK)
                pending = b""
                if data:
                    yield data
            pending = inner.unused_data or bytes(next(chunks, b""))
            while padding and not pending.strip(padding) and (more := bytes(next(chunks, b""))):
                pending = more
            if padding:
                pending = pending.lstrip(padding)
            if not pending:
                return

    return unpack


def _zfile(file: File, reading: Reading) -> Iterator[bytes]:
    """joblib's before 0.10: "ZF", a length of 19 characters, on Python 2 a space less, then zlib
    (joblib/numpy_pickle_compat.py, read_zfile)."""
    begin = 22 if file.read(21, 1) == b" " else 21
    inner = File(file.name, Span(file.span.source, file.span.offset + begin, file.size - begin))
    try:
        stated = int(file.read(2, 19), 16)
    except ValueError:
        raise RefusedError("the length in the file's head is not a number") from None
    size = 0
    for part in _streams(lambda _: codecs.Zlib(15))(inner, reading):
        size += len(part)
        yield part
    if size != stated:
        raise RefusedError(f"the file's head says {stated} bytes, and {size} were packed")


def _lz4(file: File, reading: Reading) -> Iterator[bytes]:  # noqa: ARG001 - as all of them
    cursor = Cursor(file)
    while not cursor.done:
        if cursor.take(4) != b"\x04\x22\x4d\x18":
            raise RefusedError(f"other data follows the LZ4 data at byte {cursor.position - 4}")
        flags = cursor.take(2)[0]
        if flags >> 6 != 1 or flags & 1:
            raise RefusedError("the LZ4 data needs a dictionary, which safe-load does not support")
        cursor.skip((8 if flags & 8 else 0) + 1)
        history = b""
        while size := cursor.number(4):
            block = cursor.take(size & 0x7FFF_FFFF)
            if not size >> 31:
                block = lz4_block(block, history)
            if flags & 0x10:
                cursor.skip(4)
            history = b"" if flags & 0x20 else (history + block)[-65536:]
            yield block
        if flags & 4:
            cursor.skip(4)


def lz4_block(block: bytes, history: bytes, most: int = 4 << 20) -> bytes:
    """One block, of at most that many bytes: runs of bytes as they are, and of bytes that came before."""
    out = bytearray(history)
    most += len(history)
    at = 0
    try:
        while True:
            token = block[at]
            at, count = _lz4_length(block, at + 1, token >> 4)
            if at + count > len(block):
                raise IndexError
            out += block[at : at + count]
            at += count
            if at == len(block):
                return bytes(out[len(history) :])
            back = block[at] | block[at + 1] << 8
            at, count = _lz4_length(block, at + 2, token & 15)
            count += 4
            if not 0 < back <= len(out) or len(out) + count > most:
                raise IndexError
            source = out[-back : len(out) - back + count] if count < back else None
            out += (
                source if source is not None else (bytes(out[-back:]) * (count // back + 1))[:count]
            )
    except IndexError:
        raise RefusedError("the LZ4 data is damaged") from None


def _lz4_length(block: bytes, at: int, length: int) -> tuple[int, int]:
    if length == 15:
        while True:
            more = block[at]
            at += 1
            length += more
            if more != 255:
                break
    return at, length


PACKED: tuple[Packed, ...] = (
    Packed("gzip", (b"\x1f\x8b",), _streams(lambda _: codecs.Zlib(31), b"\0"), 31),
    Packed("zlib", (b"x\x01", b"x^", b"x\x9c", b"x\xda"), _streams(lambda _: codecs.Zlib(15)), 15),
    Packed("bzip2", (b"BZh",), _streams(lambda _: codecs.bzip2())),
    Packed("xz", (b"\xfd7zXZ\0",), _streams(lambda _: codecs.xz(), b"\0")),
    Packed("lzma", (b"]\0\0",), _streams(lambda _: codecs.xz())),
    Packed("joblib-zfile", (b"ZF0x",), _zfile),
    Packed("zstd", (codecs.ZSTD,), _streams(codecs.zstd), libraries=(codecs.ZSTD_LIBRARY,)),
    Packed("lz4", (b"\x04\x22\x4d\x18",), _lz4),
)  # fmt: skip
