"""How the bytes of a 7z archive are unpacked: a chain of coders, each with one input and one output. Zone: worker.

The numbers of the methods: Methods.txt of the LZMA SDK.
"""

from __future__ import annotations

import lzma
from typing import TYPE_CHECKING, Any

from safe_load.worker.formats import codecs
from safe_load.worker.refusal import RefusedError
from safe_load.worker.spans import Span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from safe_load.worker.formats.interface import File, Reading
    from safe_load.worker.formats.sevenzip_header import Coder, Folder

_COPY, _LZMA1, _LZMA2 = b"\0", b"\3\1\1", b"\x21"
_DEFLATE, _BZIP2, _ZSTD = b"\4\1\x08", b"\4\2\2", b"\4\xf7\x11\1"
_DELTA = b"\3"
_FILTERS = {
    b"\3\3\1\3": lzma.FILTER_X86,
    b"\4": lzma.FILTER_X86,
    b"\3\3\2\5": lzma.FILTER_POWERPC,
    b"\5": lzma.FILTER_POWERPC,
    b"\3\3\4\1": lzma.FILTER_IA64,
    b"\6": lzma.FILTER_IA64,
    b"\3\3\5\1": lzma.FILTER_ARM,
    b"\7": lzma.FILTER_ARM,
    b"\3\3\7\1": lzma.FILTER_ARMTHUMB,
    b"\x08": lzma.FILTER_ARMTHUMB,
    b"\3\3\x08\5": lzma.FILTER_SPARC,
    b"\x09": lzma.FILTER_SPARC,
}
#: Methods that are told by name where they are not read.
_OTHERS = {
    b"\3\4\1": "PPMd",
    b"\3\3\1\x1b": "BCJ2, as 7-Zip packs programs,",
    b"\4\1\x09": "Deflate64",
    b"\6\xf1\7\1": "AES",
    b"\4\xf7\x11\2": "Brotli",
    b"\4\xf7\x11\4": "LZ4",
}


class UnsupportedError(RefusedError):
    """The bytes are packed in a way that is not read here; no fault of the file."""


def unpack(file: File, folder: Folder, reading: Reading) -> Span:
    """All that a folder's streams unpack to, in place where they are not packed. Raises RefusedError."""
    chain = _chain(folder)
    begin, size = folder.packed[0]
    span = Span(file.span.source, file.span.offset + begin, size)
    for methods in _stages(chain):
        if methods[0].method == _COPY:
            if span.length != methods[0].size:
                raise RefusedError("stored bytes have two sizes")
            continue
        out = methods[-1].size
        decoder = _decoder(methods, reading)
        chunks = span.chunks(0, span.length)
        parts: Iterator[bytes] = codecs.unpacked(chunks, decoder, out, "the archive's data")
        span = codecs.in_memory(parts, size, reading)
    return span


def _chain(folder: Folder) -> list[Coder]:
    """The coders in the order in which bytes pass them to be unpacked. Raises RefusedError."""
    for coder in folder.coders:
        if coder.method in _OTHERS:
            raise UnsupportedError(_unread(_OTHERS[coder.method]))
        if coder.inputs != 1 or coder.outputs != 1:
            raise UnsupportedError(_unread(f"the method {coder.method.hex()}"))
    follows = {taken: given for given, taken in folder.pairs}  # output -> the input that takes it
    if len(folder.packed) != 1 or len(follows) != len(folder.coders) - 1:
        raise RefusedError("the archive binds its coders in a way that is not any")
    at: int | None = folder.first
    chain: list[Coder] = []
    while at is not None and len(chain) <= len(folder.coders):
        if not 0 <= at < len(folder.coders):
            raise RefusedError("the archive binds its coders in a way that is not any")
        chain.append(folder.coders[at])
        at = follows.get(at)
    if len(chain) != len(folder.coders):
        raise RefusedError("the archive binds its coders in a way that is not any")
    return chain


def _unread(method: str) -> str:
    if method == "AES":
        return "it is encrypted: unpack the archive and scan the files"
    return f"it is packed by {method}, which safe-load does not unpack: unpack the archive and scan the files"


def _stages(chain: list[Coder]) -> Iterator[list[Coder]]:
    """The coders with the filters that belong to LZMA2 in one stage with it."""
    stage: list[Coder] = []
    for coder in chain:
        is_filter = coder.method in _FILTERS or coder.method == _DELTA
        if is_filter and (not stage or stage[0].method != _LZMA2):
            raise UnsupportedError(_unread("a filter without LZMA2"))
        if not is_filter and stage:
            yield stage
            stage = []
        stage.append(coder)
    yield stage


def _decoder(stage: list[Coder], reading: Reading) -> codecs.Decoder:
    coder = stage[0]
    if coder.method == _LZMA2:
        filters = [_filter(each) for each in reversed(stage[1:])]
        if len(filters) > 3:
            raise RefusedError("the archive binds its coders in a way that is not any")
        return codecs.raw_lzma2(coder.properties, coder.size, *filters)
    if coder.method == _LZMA1:
        return codecs.raw_lzma1(coder.properties, coder.size)
    if coder.method == _DEFLATE:
        return codecs.Zlib(-15)
    if coder.method == _BZIP2:
        return codecs.bzip2()
    if coder.method == _ZSTD:
        return codecs.zstd(reading)
    raise UnsupportedError(_unread(f"the method {coder.method.hex()}"))


def _filter(coder: Coder) -> dict[str, Any]:
    if coder.method == _DELTA:
        return {"id": lzma.FILTER_DELTA, "dist": 1 + int.from_bytes(coder.properties[:1], "little")}
    return {"id": _FILTERS[coder.method]}
