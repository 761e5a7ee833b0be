"""Files of protocol buffers whose messages are all known, and SentencePiece's vocabularies. Zone: worker.
A field that the schema does not have makes the file one that is not judged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from safe_load.worker.formats.cursor import Cursor
from safe_load.worker.formats.interface import Content, Format
from safe_load.worker.refusal import RefusedError, bomb

if TYPE_CHECKING:
    from safe_load.worker.formats.interface import File, Reading

MAX_FIELDS = 5_000_000
MAX_DEPTH = 60
#: Field number -> the message that it holds, or None for numbers, texts and bytes.
Schema = dict[int, Any]


def leaves(*numbers: int) -> Schema:
    """Fields that are no messages."""
    return dict.fromkeys(numbers)


_SPECIFICATION = leaves(*range(1, 64))
_PIECES: Schema = {1: leaves(1, 2, 3), 2: _SPECIFICATION, 3: _SPECIFICATION, 5: _SPECIFICATION}
_PIECES |= {4: {1: leaves(1, 2)}}

_FIXED = {1: 8, 5: 4}


def fills(file: File) -> bool:
    """Whether the file is the fields of some message up to its end, as far as can be told without its schema."""
    cursor = Cursor(file)
    try:
        for _ in range(MAX_FIELDS):
            if cursor.done:
                return True
            key = cursor.varint()
            if not 0 < key >> 3 < 1 << 29 or key & 7 not in (0, 1, 2, 5):
                return False
            if key & 7 == 0:
                cursor.varint()
            else:
                cursor.skip(cursor.varint() if key & 7 == 2 else _FIXED[key & 7])
    except RefusedError:
        return False
    return True


class Walk:
    """One walk over a message and those in it; a subclass is told of what it meets."""

    def __init__(self, file: File) -> None:
        self.file = file
        self.left = MAX_FIELDS

    def met(self, schema: Schema, number: int, start: int, length: int) -> None:
        """A field with a length, of a message of that schema: its number, and where its bytes lie."""

    def message(self, begin: int, end: int, schema: Schema) -> None:
        """Go over a message. Raises RefusedError for what its schema does not have."""
        stack = [(Cursor(self.file, begin, end), schema)]
        while stack:
            cursor, schema = stack[-1]
            if cursor.done:
                stack.pop()
                continue
            self.left -= 1
            if self.left < 0:
                raise bomb(f"the file holds more than {MAX_FIELDS} fields")
            key = cursor.varint()
            number, wire = key >> 3, key & 7
            if number not in schema:
                raise RefusedError(f"the field {number} at byte {cursor.position} is unknown")
            inner = schema[number]
            if wire == 2:
                length = cursor.varint()
                start = cursor.position
                cursor.skip(length)
                self.met(schema, number, start, length)
                if inner is not None:
                    if len(stack) >= MAX_DEPTH:
                        raise RefusedError(f"its messages are nested more than {MAX_DEPTH} deep")
                    stack.append((Cursor(self.file, start, cursor.position), inner))
            elif inner is not None:
                raise RefusedError(f"the field {number} at byte {cursor.position} is no message")
            elif wire == 0:
                cursor.varint()
            elif wire in _FIXED:
                cursor.skip(_FIXED[wire])
            else:
                raise RefusedError(f"a field of an unknown kind at byte {cursor.position}")


class SentencePiece(Format):
    """A vocabulary of SentencePiece."""

    name, called, loader = (
        "sentencepiece",
        "a SentencePiece vocabulary",
        "sentencepiece.SentencePieceProcessor",
    )
    opens = "sentencepiece:SentencePieceProcessor"

    def recognise(self, file: File) -> bool:
        """By its first piece: a text and a score."""
        head = file.head
        if len(head) < 8 or head[0] != 10 or head[2] != 10:
            return False
        return head[3] + 4 < len(head) and head[4 + head[3]] in b"\x15\x18"

    def read(self, file: File, reading: Reading) -> Content:  # noqa: ARG002 - a format's entry
        """Data, if each of its fields is known."""
        Walk(file).message(0, file.size, _PIECES)
        return Content(
            self.name, "data", "a SentencePiece vocabulary of known fields only", loads=False
        )
