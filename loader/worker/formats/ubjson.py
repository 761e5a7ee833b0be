"""Universal Binary JSON, in which XGBoost keeps its models: numbers, texts and containers. Zone: worker.

The format is that of https://ubjson.org, draft 12: a marker, then a value; `$` and `#` give the type and the
number of a container's values once for all of them.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from safe_load.worker.formats import boosters
from safe_load.worker.formats.cursor import Cursor
from safe_load.worker.refusal import RefusedError, bomb
from safe_load.worker.spans import Span

if TYPE_CHECKING:
    from safe_load.worker.formats.interface import File

MAX_VALUES = 20_000_000
MAX_DEPTH = 64
#: Marker -> bytes of a value of fixed size.
_FIXED = {
    b"Z": 0,
    b"T": 0,
    b"F": 0,
    b"N": 0,
    b"i": 1,
    b"U": 1,
    b"C": 1,
    b"I": 2,
    b"l": 4,
    b"L": 8,
    b"d": 4,
    b"D": 8,
}
_INTEGERS = b"iUIlL"
#: Marker -> numpy's letters. UBJSON is big-endian.
_NUMPY = {
    b"i": "|i1",
    b"U": "|u1",
    b"I": ">i2",
    b"l": ">i4",
    b"L": ">i8",
    b"d": ">f4",
    b"D": ">f8",
}
#: Lists of whole numbers without a type that are read as numbers.
MAX_LIST = 1_000_000


def recognise(file: File) -> bool:
    """An object whose first key is a short text."""
    head = file.head
    if len(head) < 4 or head[:1] != b"{" or head[1] not in _INTEGERS:
        return False
    width = _FIXED[head[1:2]]
    size = int.from_bytes(head[2 : 2 + width], "big")
    key = head[2 + width : 2 + width + size]
    return 0 < size < 256 and len(key) == size and key.isascii() and key.decode().isprintable()


def arrays(file: File) -> boosters.Arrays:
    """The lists of numbers in one value of known kinds, by the keys that lead to them; none where there are
    more than are exported. Raises RefusedError for any other file."""
    found = _Found(file)
    cursor = Cursor(file)
    _walk(cursor, found)
    if not cursor.done:
        raise RefusedError(f"{cursor.end - cursor.position} bytes follow its end")
    return {} if found.dropped else found.arrays


class _Found:
    """The lists of numbers that were met. dropped: whether there are more than are exported."""

    def __init__(self, file: File) -> None:
        self._file = file
        self.arrays: boosters.Arrays = {}
        self.dropped = False

    def typed(self, path: str, marker: bytes, begin: int, count: int) -> None:
        if marker not in _NUMPY or not self._takes(path):
            return
        span = self._file.span
        bytes_of = Span(span.source, span.offset + begin, count * _FIXED[marker])
        self.arrays[path] = boosters.tensor(_NUMPY[marker], (count,), bytes_of)

    def plain(self, path: str, values: list[int | float]) -> None:
        if path.rpartition(".")[2] != "version" and self._takes(path):
            whole = all(type(value) is int for value in values)
            self.arrays[path] = boosters.numbers(values, ("<i8", "q") if whole else ("<f4", "f"))

    def _takes(self, path: str) -> bool:
        fits = 0 < len(path) <= boosters.MAX_PATH and path not in self.arrays
        self.dropped = self.dropped or not fits or len(self.arrays) >= boosters.MAX_ARRAYS
        return not self.dropped


class _Open:
    """A container that has not ended. kind: of each of its values, b"" for any; left: how many there still
    are, None when an end marker tells; path: of the value that is read; at: how many were."""

    __slots__ = ("at", "keys", "kind", "left", "path", "prefix")

    def __init__(self, keys: bool, kind: bytes, left: int | None, path: str) -> None:
        self.keys = keys
        self.kind = kind
        self.left = left
        self.prefix = f"{path}." if path else ""
        self.path = path
        self.at = 0

    def name(self, key: str | None) -> None:
        """The next value has this key, or the next number."""
        self.path = (self.prefix + (str(self.at) if key is None else key))[: boosters.MAX_PATH + 1]
        self.at += 1


def _walk(cursor: Cursor, found: _Found) -> None:
    left = MAX_VALUES
    stack: list[_Open] = []
    marker = cursor.take(1)
    while True:
        left -= 1
        if left < 0:
            raise bomb(f"it holds more than {MAX_VALUES} values")
        if marker in (b"{", b"["):
            if len(stack) >= MAX_DEPTH:
                raise RefusedError(f"its containers are nested more than {MAX_DEPTH} deep")
            path = stack[-1].path if stack else ""
            container = _container(cursor, marker == b"{", path, found)
            if container is not None:
                stack.append(container)
        else:
            _leaf(cursor, marker)
        following = _next(cursor, stack)
        if following is None:
            return
        marker = following


def _next(cursor: Cursor, stack: list[_Open]) -> bytes | None:
    """The marker of the next value, None at the end of the outermost."""
    while stack:
        top = stack[-1]
        if top.left is not None:
            if top.left:
                top.left -= 1
                top.name(_text(cursor, cursor.take(1)) if top.keys else None)
                return top.kind or _marker(cursor)
        elif (marker := _marker(cursor)) != (b"}" if top.keys else b"]"):
            if not top.keys:
                top.name(None)
                return marker
            top.name(_text(cursor, marker))
            return _marker(cursor)
        stack.pop()
    return None


def _marker(cursor: Cursor) -> bytes:
    marker = cursor.take(1)
    while marker == b"N":  # no-op: between values
        marker = cursor.take(1)
    return marker


def _container(cursor: Cursor, keys: bool, path: str, found: _Found) -> _Open | None:
    """The container that begins, None where it holds numbers of one kind, which are left behind."""
    kind = b""
    at = cursor.position
    marker = cursor.take(1)
    if marker == b"$":
        kind = cursor.take(1)
        marker = cursor.take(1)
        if marker != b"#":
            raise RefusedError(f"the container at byte {at} has a type and no count")
    if marker != b"#":
        cursor.position = at
        if not keys and marker[0] in b"iUIlLd" and (values := _plain_numbers(cursor, None)):
            found.plain(path, values)
            return None
        cursor.position = at
        return _Open(keys, b"", None, path)
    count = _length(cursor, cursor.take(1))
    at = cursor.position
    if not kind and not keys and 0 < count <= MAX_LIST:
        if values := _plain_numbers(cursor, count):
            found.plain(path, values)
            return None
        cursor.position = at
    if kind in _FIXED and not keys:
        begin = cursor.position
        cursor.skip(count * _FIXED[kind])
        found.typed(path, kind, begin, count)
        return None
    return _Open(keys, kind, count, path)


def _plain_numbers(cursor: Cursor, count: int | None) -> list[int | float] | None:
    """The numbers of a list, up to its end where it has no count; None where it holds anything else."""
    values: list[int | float] = []
    while len(values) < MAX_LIST:
        if len(values) == count:
            return values
        marker = _marker(cursor)
        if marker == b"]":
            return values
        if marker == b"d":
            values.append(struct.unpack(">f", cursor.take(4))[0])
        elif marker[0] in _INTEGERS:
            signed = marker != b"U"
            values.append(int.from_bytes(cursor.take(_FIXED[marker]), "big", signed=signed))
        else:
            return None
    return values if len(values) == count else None


def _leaf(cursor: Cursor, marker: bytes) -> None:
    if marker in _FIXED:
        cursor.skip(_FIXED[marker])
    elif marker in (b"S", b"H"):
        cursor.skip(_length(cursor, cursor.take(1)))
    else:
        raise RefusedError(f"the byte {marker!a} before byte {cursor.position} begins no value")


def _text(cursor: Cursor, marker: bytes) -> str:
    """A key: no more of it than a path may have."""
    length = _length(cursor, marker)
    shown = min(length, boosters.MAX_PATH + 1)
    key = cursor.take(shown).decode("utf-8", "replace")
    cursor.skip(length - shown)
    return key


def _length(cursor: Cursor, marker: bytes) -> int:
    if marker not in _FIXED or marker[0] not in _INTEGERS:
        raise RefusedError(f"there is no length before byte {cursor.position}")
    return cursor.number(_FIXED[marker], "big")
