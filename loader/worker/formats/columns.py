"""Tables of columns: Parquet, and Arrow's streams and files. Zone: worker.

Columns are numbers and texts. What can run is a pickle in the schema: pyarrow before 14.0.1 unpickles the class of
an extension type that Python made (CVE-2023-47248), so schemas are searched for it.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

from safe_load.worker.formats import flatbuffer, pickles
from safe_load.worker.formats.cursor import Cursor
from safe_load.worker.formats.interface import Content, File, Format
from safe_load.worker.refusal import RefusedError, bomb
from safe_load.worker.spans import MemorySource, Span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from safe_load.worker.formats.interface import Reading

MAX_DIRECTORY = 64 << 20
MAX_VALUES = 5_000_000
MAX_DEPTH = 40
MAX_MESSAGES = 1_000_000
_PICKLED = b"arrow.py_extension_type"


def _search_schema(schema: bytes, reading: Reading) -> None:
    """Note an extension type that pyarrow would unpickle, and what its pickle calls."""
    if _PICKLED not in schema:
        return
    reading.carries(
        "SL506", "has a column whose type is a pickle, which old versions of pyarrow unpickle"
    )
    at = schema.find(b"\x80")
    tries = 0
    while at >= 0 and tries < 100:
        if schema[at + 1 : at + 2] and schema[at + 1] <= 5:
            tries += 1
            rest = Span(MemorySource(schema), at, len(schema) - at)
            try:
                pickles.unpickle(File("schema", rest), reading)
            except RefusedError as refusal:
                reading.notes.append(f"a pickle in its schema: {refusal.reason}")
        at = schema.find(b"\x80", at + 1)


class Parquet(Format):
    """A Parquet table: pages of columns, and a directory in Thrift's compact protocol at its end
    (https://parquet.apache.org/docs/file-format)."""

    name, called, loader = "parquet", "a Parquet table", "pandas.read_parquet"

    def recognise(self, file: File) -> bool:
        """By its magic at both ends."""
        return (
            file.head.startswith(b"PAR1")
            and file.size >= 12
            and file.read(file.size - 4, 4) == b"PAR1"
        )

    def read(self, file: File, reading: Reading) -> Content:
        """Data, if the directory is one, all its columns lie in the file, and no type is a pickle."""
        size = int.from_bytes(file.read(file.size - 8, 4), "little")
        if size > MAX_DIRECTORY or size + 12 > file.size:
            raise RefusedError(f"its directory of {size} bytes does not fit into it")
        begin = file.size - 8 - size
        thrift = _Thrift(Cursor(file, begin, begin + size))
        thrift.struct(())
        for offset, length in thrift.chunks:
            if offset < 4 or length < 0 or offset + length > begin:
                raise RefusedError("a column lies outside of the file")
        for text in thrift.schemas:
            try:
                _search_schema(base64.b64decode(text), reading)
            except (binascii.Error, ValueError):
                raise RefusedError("its schema of Arrow is not in base64") from None
        return Content(
            self.name, "data", "a Parquet table whose columns all lie in it", loads=False
        )


class _Thrift:
    """A walk over a Parquet directory. chunks: place and length of each column's pages; schemas: Arrow's.

    FileMetaData: 4 row groups, 5 keys and values; RowGroup: 1 columns; ColumnChunk: 3 its ColumnMetaData,
    of which 7 is the packed length, 9 and 11 the first page and the dictionary (parquet.thrift).
    """

    def __init__(self, cursor: Cursor) -> None:
        self.cursor = cursor
        self.left = MAX_VALUES
        self.chunks: list[tuple[int, int]] = []
        self.schemas: list[bytes] = []

    def struct(self, path: tuple[int, ...]) -> dict[int, object]:
        """Go over one structure: its fields that are numbers or texts."""
        if len(path) > MAX_DEPTH:
            raise RefusedError(f"its directory is nested more than {MAX_DEPTH} deep")
        found: dict[int, object] = {}
        field = 0
        while head := self.cursor.take(1)[0]:
            step, kind = head >> 4, head & 15
            field = field + step if step else self._zigzag()
            if kind > 2:
                found[field] = self.value(kind, (*path, field))
        if path == (4, 1, 3):
            self._chunk(found)
        elif path == (5,) and found.get(1) == b"ARROW:schema":
            self.schemas.append(bytes(found.get(2) or b""))  # type: ignore[call-overload]
        return found

    def value(self, kind: int, path: tuple[int, ...]) -> object:
        """Go over one value of a kind of the compact protocol."""
        self.left -= 1
        if self.left < 0:
            raise bomb(f"its directory holds more than {MAX_VALUES} values")
        if kind == 3:
            return self.cursor.take(1)[0]
        if kind in (4, 5, 6):
            return self._zigzag()
        if kind == 7:
            return self.cursor.take(8)
        if kind == 8:
            return self.cursor.take(self.cursor.varint())
        if kind in (9, 10):
            self._list(path)
            return None
        if kind == 12:
            return self.struct(path)
        raise RefusedError(
            f"its directory holds a value of an unknown kind before byte {self.cursor.position}"
        )

    def _list(self, path: tuple[int, ...]) -> None:
        head = self.cursor.take(1)[0]
        count, kind = head >> 4, head & 15
        if count == 15:
            count = self.cursor.varint()
        for _ in range(count):
            self.value(3 if kind in (1, 2) else kind, path)

    def _chunk(self, found: dict[int, object]) -> None:
        places = [found[key] for key in (9, 11) if isinstance(found.get(key), int) and found[key]]
        length = found.get(7)
        if not places or not isinstance(length, int):
            raise RefusedError("a column of its directory has no place")
        self.chunks.append((min(places), length))  # type: ignore[type-var, arg-type]

    def _zigzag(self) -> int:
        number = self.cursor.varint()
        return (number >> 1) ^ -(number & 1)


class Arrow(Format):
    """Arrow's messages, one after the other, or the same in a file with a directory at its end
    (https://arrow.apache.org/docs/format/Columnar.html)."""

    name, called, loader = "arrow", "an Arrow table", "pyarrow.ipc"

    def recognise(self, file: File) -> bool:
        """By the file's magic, or by a first message that is a schema."""
        if file.head.startswith(b"ARROW1\0\0"):
            return True
        if not file.head.startswith(b"\xff\xff\xff\xff") or len(file.head) < 32:
            return False
        try:
            size = int.from_bytes(file.head[4:8], "little")
            message = flatbuffer.root(file.read(8, min(size, MAX_DIRECTORY)))
            return message.number(1, 1) == 1
        except RefusedError:
            return False

    def read(self, file: File, reading: Reading) -> Content:
        """Data, if each byte belongs to a message and no type of the schema is a pickle."""
        cursor = Cursor(file)
        end = file.size
        if file.head.startswith(b"ARROW1\0\0"):
            cursor.skip(8)
            size = int.from_bytes(file.read(file.size - 10, 4), "little")
            if file.read(file.size - 6, 6) != b"ARROW1" or size > MAX_DIRECTORY:
                raise RefusedError("it has no end")
            end = file.size - 10 - size
            _search_schema(file.read(end, size), reading)
        for metadata in _messages(cursor, end):
            message = flatbuffer.root(metadata)
            if message.number(1, 1) not in (1, 2, 3):
                raise RefusedError("it holds a message of an unknown kind")
            _search_schema(metadata, reading)
        if cursor.position != end:
            raise RefusedError(f"{end - cursor.position} bytes follow its messages")
        return Content(self.name, "data", "Arrow's messages and nothing else", loads=False)


def _messages(cursor: Cursor, end: int) -> Iterator[bytes]:
    """The metadata of each message; its body is left behind."""
    for _ in range(MAX_MESSAGES):
        if cursor.position == end:
            return
        if cursor.take(4) != b"\xff\xff\xff\xff":
            raise RefusedError(f"there is no message at byte {cursor.position - 4}")
        size = cursor.number(4)
        if size == 0:
            return
        if size > MAX_DIRECTORY:
            raise RefusedError(f"a message before byte {cursor.position} is too long")
        metadata = cursor.take(size)
        cursor.skip(flatbuffer.root(metadata).number(3, 8))
        yield metadata
    raise bomb(f"it holds more than {MAX_MESSAGES} messages")
