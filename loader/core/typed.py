"""Values read as types, by whichever thread.

msgspec writes what it knows of a Struct into the class at its first use, and shows it to other threads
before it is whole: two threads that first read one type at the same time crash the process (seen with
0.22 on Python 3.11: 3 of 40 runs of two first loads). Here a type is learnt by one thread while the
others wait, and read by all of them from then on. ruff forbids msgspec's own functions elsewhere.
"""

from __future__ import annotations

import threading
from typing import Any, TypeVar

import msgspec

_T = TypeVar("_T")

# A decoder is safe in several threads once it is made.
_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}
_learning = threading.Lock()


_plain = msgspec.json.Decoder[Any]()


def plain(data: bytes | bytearray | str) -> Any:
    """JSON as dicts, lists, text, numbers, True, False and None. Raises as `decode` does."""
    return _plain.decode(data)


def decoder(kind: type[_T]) -> msgspec.json.Decoder[_T]:
    """The decoder from JSON to `kind`, made once."""
    known = _decoders.get(kind)
    if known is None:
        with _learning:
            known = _decoders.get(kind) or msgspec.json.Decoder(kind)
            _decoders[kind] = known
    return known


def decode(data: bytes | bytearray | str, kind: type[_T]) -> _T:
    """JSON as a value of `kind`. Raises msgspec.DecodeError where it is none, and UnicodeDecodeError."""
    return decoder(kind).decode(data)


def convert(value: object, kind: type[_T]) -> _T:
    """Plain values (dicts, lists, text, numbers) as a value of `kind`. Raises msgspec.ValidationError."""
    decoder(kind)
    return msgspec.convert(value, kind)
