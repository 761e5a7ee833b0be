"""JSON that a model brought, parsed with every bound checked before Python's own parser sees it.

Zone: worker; the controller parses by it too. Python's json recurses once per bracket, converts integers of any length, keeps
the last of two equal keys and takes NaN, byte order marks and half surrogates. Each of these is
refused here with one sentence. The checks before parsing are regular expressions without
backtracking and byte translations, so hostile megabytes cost milliseconds.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from typing import Any

# One string as JSON spells it. One without an end runs to the end of the data: without that
# alternative, the search would start again at each following quote (quadratic time).
_STRING = re.compile(rb'"([^"\\]*+(?:\\.[^"\\]*+)*+)(?:"|\\?\Z)', re.DOTALL)
_LONG_NUMBER = re.compile(rb"[0-9]{101}")
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_OPENERS = bytes.maketrans(b"{}", b"[]")
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))

MAX_DIGITS = 100
"""The longest run of digits in a number; 64-bit integers have 20, doubles 17."""


class Malformed(ValueError):
    """Bytes from a model are not what they must be. The message is one sentence with the place."""


def parse(
    data: bytes,
    *,
    where: str,
    max_bytes: int = 16 << 20,
    max_depth: int = 32,
    max_string: int = 1 << 20,
    max_items: int = 2_000_000,
    allow_nonfinite: bool = False,
) -> object:
    """The value that `data` spells, made of dict, list, str, int, float, bool and None.

    where: the file's name, for messages. max_bytes: of the whole; max_string: of one string, in
    bytes as written; max_depth: of nested arrays and objects; max_items: of all arrays and objects
    together. allow_nonfinite: take NaN, Infinity and numbers too large for a double, as Python
    writes them. Raises Malformed.
    """
    check_bounds(
        data,
        where=where,
        max_bytes=max_bytes,
        max_depth=max_depth,
        max_string=max_string,
        max_items=max_items,
    )
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise Malformed(f"{where}, line {line}: not UTF-8") from None

    def pairs(items: list[tuple[str, object]]) -> dict[str, object]:
        found = dict(items)
        if len(found) != len(items):
            twice, _ = Counter(key for key, _ in items).most_common(1)[0]
            raise Malformed(f"{where}: the key {shown(twice)} appears twice in one object")
        return found

    def constant(name: str) -> float:
        if allow_nonfinite:
            return float(name)
        raise Malformed(f"{where}: {name} is not JSON")

    def number(digits: str) -> float:
        value = float(digits)
        if math.isinf(value) and not allow_nonfinite:
            raise Malformed(f"{where}: the number {digits[:40]} is too large")
        return value

    try:
        value: object = json.loads(
            text, object_pairs_hook=pairs, parse_constant=constant, parse_float=number
        )
    except json.JSONDecodeError as error:
        raise Malformed(f"{where}, line {error.lineno}: not JSON: {error.msg}") from None
    if _SURROGATE.search(data):
        try:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
        except UnicodeEncodeError:
            raise Malformed(f"{where}: a string holds half of a surrogate pair") from None
    return value


def check_bounds(
    data: bytes,
    *,
    where: str,
    max_bytes: int,
    max_depth: int = 32,
    max_string: int = 1 << 20,
    max_items: int = 2_000_000,
) -> None:
    """What `parse` refuses before any parser sees the data, in linear time. Raises Malformed."""
    if len(data) > max_bytes:
        raise Malformed(f"{where}: {len(data):,} bytes of JSON, more than {max_bytes:,}")
    if data.startswith(b"\xef\xbb\xbf"):
        raise Malformed(f"{where}: it begins with a byte order mark")
    strings, bare = split(data)
    if len(max(strings, key=len, default=b"")) > max_string:
        raise Malformed(f"{where}: a string is longer than {max_string:,} bytes")
    if _LONG_NUMBER.search(bare):
        raise Malformed(f"{where}: a number has more than {MAX_DIGITS} digits")
    _check_nesting(bare, where, max_depth, max_items)


def require_object(value: object, where: str) -> dict[str, Any]:
    """The value, which must be an object. Raises Malformed."""
    if not isinstance(value, dict):
        raise Malformed(f"{where}: not a JSON object")
    return value


def split(data: bytes) -> tuple[list[bytes], bytes]:
    """The strings of a JSON text as written, and all that stands outside of them. Linear time."""
    if b"\\" not in data:
        pieces = data.split(b'"')
        return pieces[1::2], b"".join(pieces[::2])
    return _STRING.findall(data), b"".join(_STRING.split(data)[::2])


def shown(text: str, limit: int = 80) -> str:
    """Hostile text as a message may carry it: quoted, in ASCII, cut to `limit` characters."""
    return ascii(text if len(text) <= limit else text[:limit] + "...")


def _check_nesting(bare: bytes, where: str, max_depth: int, max_items: int) -> None:
    brackets = bare.translate(_OPENERS, _NOT_BRACKETS)
    items = bare.count(b",") + brackets.count(b"[") + 1
    if items > max_items:
        raise Malformed(f"{where}: {items:,} items, more than {max_items:,}")
    # Each pass takes the innermost pairs away. Which kind closes which is the parser's business.
    for _ in range(max_depth):
        brackets = brackets.replace(b"[]", b"")
    if brackets:
        raise Malformed(f"{where}: nested deeper than {max_depth} levels, or a bracket is missing")
