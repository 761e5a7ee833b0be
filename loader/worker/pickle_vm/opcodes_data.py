"""The pickle opcodes that push one number, text or byte string. Zone: worker.

Each function is the counterpart of one load_ function of CPython's Modules/_pickle.c.
"""

from __future__ import annotations

import _codecs
import re
import struct
import warnings
from typing import TYPE_CHECKING

from safe_load.worker.pickle_vm.values import ByteArray

if TYPE_CHECKING:
    from collections.abc import Callable

    from safe_load.worker.pickle_vm.state import State

#: Bytes of the longest binary integer; decimal ones end at Python's own limit of 4300 digits.
MAX_INT = 64 << 10

_FLOAT = re.compile(
    rb"[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|inf(?:inity)?|nan)", re.IGNORECASE
)
#: What strtol reads with base 0: white space, a sign, a prefix that names the base, digits.
_STRTOL = re.compile(rb"[ \t\n\v\f\r]*([+-]?)(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)")


def push(value: object) -> Callable[[State], None]:
    return lambda m: m.stack.append(value)


def sized(action: Callable[[State, int], None], size: int) -> Callable[[State], None]:
    """The opcode whose argument is a number of `size` bytes."""
    return lambda m: action(m, m.unsigned(size))


def signed(action: Callable[[State, int], None], size: int) -> Callable[[State], None]:
    return lambda m: action(m, int.from_bytes(m.take(size), "little", signed=True))


def _int(m: State) -> None:
    line = m.line()
    # load_int: strtol with base 0, so that 010 is 8, 0x10 is 16, and "I01" is True.
    match = _STRTOL.match(line)
    after = line[match.end() : match.end() + 1] if match else line[:1]
    if after in {b"\n", b"\0", b""}:
        value = 0
        if match:
            digits = match[2]
            octal = digits[:1] == b"0" and digits[1:2].isdigit()
            value = m.integer(digits, 8 if octal else 0) * (-1 if match[1] == b"-" else 1)
        if -(1 << 63) <= value < 1 << 63:
            m.stack.append(bool(value) if len(line) == 3 and value in (0, 1) else value)
            return
    m.stack.append(m.integer(line, 0))


def _long(m: State) -> None:
    line = m.line()
    if line[-2:-1] == b"L":
        line = line[:-2]
    m.stack.append(m.integer(line, 0))


def _long_bytes(m: State, length: int) -> None:
    if not 0 <= length <= MAX_INT:
        raise m.malformed(f"an integer of {length} bytes")
    m.stack.append(int.from_bytes(m.take(length), "little", signed=True))


def _float(m: State) -> None:
    text = re.split(rb"[\n\0]", m.line(), maxsplit=1)[0]
    if not _FLOAT.fullmatch(text):
        raise m.malformed("a number does not read as a float")
    value = float(text)
    if value in (float("inf"), float("-inf")) and b"n" not in text.lower():
        raise m.malformed("a float is too large")
    m.stack.append(value)


def _string(m: State) -> None:
    line = m.line()[:-1]
    m.charge_text(len(line))
    if len(line) < 2 or line[0] != line[-1] or line[:1] not in {b"'", b'"'}:
        raise m.malformed("a STRING is not quoted")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an unknown escape stays as it is
            raw, _ = _codecs.escape_decode(line[1:-1])
    except ValueError as error:
        raise m.malformed(f"a STRING has a bad escape ({error})") from None
    m.stack.append(_old_text(raw))


def _old_text(raw: bytes) -> str:
    # Python 2's str. torch.load reads it as UTF-8; numpy's arrays of that time need latin-1.
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _binstring(m: State, length: int) -> None:
    m.stack.append(_old_text(m.take_text(length)))


def _unicode(m: State) -> None:
    line = m.line(1)[:-1]
    m.charge_text(len(line))
    try:
        # Not line.decode: that would import a codec when it is first needed.
        m.stack.append(_codecs.raw_unicode_escape_decode(line, "strict", True)[0])
    except UnicodeDecodeError as error:
        raise m.malformed(f"a string has a bad escape ({error.reason})") from None


def _bytearray(m: State) -> None:
    data = m.binary(m.unsigned(8))
    if isinstance(data, bytes):
        m.push_container(bytearray(data))
    else:
        m.push_container(ByteArray(data.source, data.offset, data.length))


def _push_int(m: State, value: int) -> None:
    m.stack.append(value)


def _push_bytes(m: State, length: int) -> None:
    m.stack.append(m.binary(length))


def _push_text(m: State, length: int) -> None:
    m.stack.append(m.text(length))


def _binfloat(m: State) -> None:
    m.stack.append(struct.unpack(">d", m.take(8))[0])


#: Opcode -> what it does.
TABLE: dict[bytes, Callable[[State], None]] = {
    b"F": _float,
    b"I": _int,
    b"J": signed(_push_int, 4),
    b"K": sized(_push_int, 1),
    b"L": _long,
    b"M": sized(_push_int, 2),
    b"N": push(None),
    b"S": _string,
    b"T": sized(_binstring, 4),
    b"U": sized(_binstring, 1),
    b"V": _unicode,
    b"X": sized(_push_text, 4),
    b"G": _binfloat,
    b"\x88": push(True),
    b"\x89": push(False),
    b"\x8a": sized(_long_bytes, 1),
    b"\x8b": signed(_long_bytes, 4),
    b"B": sized(_push_bytes, 4),
    b"C": sized(_push_bytes, 1),
    b"\x8c": sized(_push_text, 1),
    b"\x8d": sized(_push_text, 8),
    b"\x8e": sized(_push_bytes, 8),
    b"\x96": _bytearray,
}
