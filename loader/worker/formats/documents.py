"""PDF documents: data, when nothing in them is a script or starts something. Zone: worker.

The format is that of ISO 32000. What a viewer runs is named in dictionaries, which may be packed in streams: each
stream that unpacks is searched too. What is encrypted cannot be.
"""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING

from safe_load.worker.formats.interface import Content, Format
from safe_load.worker.refusal import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from safe_load.worker.formats.interface import File, Reading

MAX_SIZE = 256 << 20
MAX_STREAM = 64 << 20
#: Names of what runs, starts a program or carries a file.
_RUNS = re.compile(
    rb"/(JavaScript|JS|Launch|EmbeddedFiles?|XFA|RichMedia|SubmitForm|ImportData|GoToE|Rendition|Movie|Sound)(?![A-Za-z0-9])"
)
_STREAM = re.compile(rb"(?<!end)stream\r?\n")
_ESCAPED = re.compile(rb"#([0-9A-Fa-f]{2})")
_OTHER_PACKING = re.compile(
    rb"/(LZWDecode|ASCII85Decode|ASCIIHexDecode|RunLengthDecode|Crypt)(?![A-Za-z0-9])"
)


class Pdf(Format):
    """A PDF document."""

    name, called, loader = "pdf", "a PDF document", "a viewer"

    def recognise(self, file: File) -> bool:
        """By its magic."""
        return file.head.startswith(b"%PDF-")

    def read(self, file: File, reading: Reading) -> Content:
        """Data, if no part of it names what runs."""
        if file.size > MAX_SIZE:
            raise RefusedError(f"it is a PDF document of more than {MAX_SIZE >> 20} MiB")
        data = file.read(0, file.size)
        if b"%%EOF" not in data[-2048:]:
            raise RefusedError("it is a PDF document without an end")
        for part in _parts(data, reading):
            plain = _ESCAPED.sub(lambda found: bytes((int(found[1], 16),)), part)
            if b"/Encrypt" in plain:
                raise RefusedError("it is a PDF document that is encrypted")
            found = _RUNS.search(plain)
            if found:
                reading.carries("SL506", f"is a PDF document with {found[0].decode()}")
                return Content(
                    self.name, "opened", "a PDF document that can do something", loads=False
                )
        return Content(self.name, "data", "a PDF document in which nothing runs", loads=False)


def _parts(data: bytes, reading: Reading) -> Iterator[bytes]:
    """What lies between streams, and what streams of objects unpack to. Raises RefusedError for such streams
    that are packed in another way than zlib's."""
    at = 0
    for match in _STREAM.finditer(data):
        if match.start() < at:
            continue
        head = data[at : match.start()]
        yield head
        end = data.find(b"endstream", match.end())
        if end < 0:
            raise RefusedError("a stream of the PDF document has no end")
        at = end
        dictionary = head[head.rfind(b"obj") :]
        if b"/ObjStm" in dictionary:
            if b"/FlateDecode" not in dictionary or _OTHER_PACKING.search(dictionary):
                raise RefusedError(
                    "objects of the PDF document are packed in a way that is not read"
                )
            unpacker = zlib.decompressobj()
            try:
                objects = unpacker.decompress(data[match.end() : end], MAX_STREAM)
            except zlib.error as error:
                raise RefusedError(f"a stream of the PDF document is damaged: {error}") from None
            if unpacker.unconsumed_tail:
                raise RefusedError("a stream of the PDF document is too long")
            reading.spend(len(objects), len(data))
            yield objects
    yield data[at:]
