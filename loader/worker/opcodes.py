"""What each pickle opcode does to a machine: the table of protocols 0 to 5. Zone: worker.

Each function is the counterpart of one load_ function of CPython's Modules/_pickle.c, whose names
for the opcodes (Lib/pickle.py) are those of the table at the end.
"""

from __future__ import annotations

import _codecs
import re
import struct
import warnings
from typing import TYPE_CHECKING

from safe_load.worker.sources import Span

if TYPE_CHECKING:
    from collections.abc import Callable

    from safe_load.worker.pickle_machine import Machine

STOP = 0x2E
#: Bytes of the longest binary integer; decimal ones end at Python's own limit of 4300 digits.
MAX_INT = 64 << 10

_FLOAT = re.compile(
    rb"[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|inf(?:inity)?|nan)", re.IGNORECASE
)
#: What strtol reads with base 0: white space, a sign, a prefix that names the base, digits.
_STRTOL = re.compile(rb"[ \t\n\v\f\r]*([+-]?)(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)")


def _proto(m: Machine) -> None:
    proto = m.take(1)[0]
    if proto > 5:
        raise m.malformed(f"protocol {proto} does not exist")
    m.proto = proto


def _frame(m: Machine) -> None:
    # The C unpickler prefetches a frame and then reads on as if there were none.
    length = m.unsigned(8)
    if m.position + length > m.end:
        raise m.malformed("a frame reaches past the end")


def _int(m: Machine) -> None:
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


def _long(m: Machine) -> None:
    line = m.line()
    if line[-2:-1] == b"L":
        line = line[:-2]
    m.stack.append(m.integer(line, 0))


def _long_bytes(m: Machine, length: int) -> None:
    if not 0 <= length <= MAX_INT:
        raise m.malformed(f"an integer of {length} bytes")
    m.stack.append(int.from_bytes(m.take(length), "little", signed=True))


def _float(m: Machine) -> None:
    text = re.split(rb"[\n\0]", m.line(), maxsplit=1)[0]
    if not _FLOAT.fullmatch(text):
        raise m.malformed("a number does not read as a float")
    value = float(text)
    if value in (float("inf"), float("-inf")) and b"n" not in text.lower():
        raise m.malformed("a float is too large")
    m.stack.append(value)


def _string(m: Machine) -> None:
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


def _binstring(m: Machine, length: int) -> None:
    m.stack.append(_old_text(m.take_text(length)))


def _unicode(m: Machine) -> None:
    line = m.line(1)[:-1]
    m.charge_text(len(line))
    try:
        # Not line.decode: that would import a codec when it is first needed.
        m.stack.append(_codecs.raw_unicode_escape_decode(line, "strict", True)[0])
    except UnicodeDecodeError as error:
        raise m.malformed(f"a string has a bad escape ({error.reason})") from None


def _bytearray(m: Machine) -> None:
    data = m.binary(m.unsigned(8))
    m.push_container(bytearray(data) if isinstance(data, bytes) else data)


def _list(m: Machine) -> None:
    m.push_container(m.pop_mark())


def _tuple(m: Machine) -> None:
    m.push_container(tuple(m.pop_mark()))


def _small_tuple(m: Machine, count: int) -> None:
    if len(m.stack) < count:
        raise m.malformed("the stack underflows")
    m.stack[-count:] = [tuple(m.stack[-count:])]
    m.charge_container()


def _dict(m: Machine) -> None:
    items = m.pop_mark()
    target: dict[object, object] = {}
    m.set_items(target, items, "DICT")
    m.push_container(target)


def _frozenset(m: Machine) -> None:
    m.push_container(frozenset([m.key(item) for item in m.pop_mark()]))


def _append(m: Machine) -> None:
    value = m.stack.pop()
    _extend(m, [value], "APPEND")


def _appends(m: Machine) -> None:
    _extend(m, m.pop_mark(), "APPENDS")


def _extend(m: Machine, items: list[object], opcode: str) -> None:
    target = m.stack[-1]
    if not items:
        return  # do_append looks at the object only when there is something to append
    if type(target) is list:
        target.extend(items)
    elif isinstance(target, bytearray):
        for item in items:
            target.append(_byte(m, item))
    else:
        m.refuse_plain(target)
        m.world.add(target, items, opcode, m.at)


def _byte(m: Machine, value: object) -> int:
    if isinstance(value, int) and 0 <= value < 256:
        return value
    raise m.malformed("something that is no byte for a bytearray")


def _setitem(m: Machine) -> None:
    value, key = m.stack.pop(), m.stack.pop()
    m.set_items(m.stack[-1], [key, value], "SETITEM")


def _setitems(m: Machine) -> None:
    items = m.pop_mark()
    target = m.stack[-1]
    if items:
        m.set_items(target, items, "SETITEMS")


def _additems(m: Machine) -> None:
    items = m.pop_mark()
    target = m.stack[-1]
    if type(target) is set:
        target.update([m.key(item) for item in items])
    elif items:
        m.refuse_plain(target)
        m.world.add(target, items, "ADDITEMS", m.at)


def _pop(m: Machine) -> None:
    if m.stack:
        m.stack.pop()
    else:
        m.pop_mark()


def _pop_to_mark(m: Machine) -> None:
    m.pop_mark()


def _mark(m: Machine) -> None:
    m.charge_container()
    m.marks.append(m.stack)
    m.stack = []


def _get(m: Machine) -> None:
    m.recall(m.integer(m.line(), 10))


def _put(m: Machine) -> None:
    line = m.line()
    if not m.stack:
        raise m.malformed("the stack underflows")
    index = m.integer(line, 10)
    if not 0 <= index < 1 << 63:  # Py_ssize_t
        raise m.malformed("a PUT out of range")
    m.remember(index)


def _global(m: Machine) -> None:
    names = []
    for line in (m.line(), m.line()):
        try:
            names.append(line[:-1].decode("utf-8"))
        except UnicodeDecodeError:
            raise m.malformed("a global's name is not UTF-8") from None
    m.stack.append(m.world.find(names[0], names[1], "GLOBAL", m.at, old=m.proto < 3))


def _stack_global(m: Machine) -> None:
    name, module = m.stack.pop(), m.stack.pop()
    if type(name) is not str or type(module) is not str:
        raise m.malformed("STACK_GLOBAL needs two strings")
    m.stack.append(m.world.find(module, name, "STACK_GLOBAL", m.at, old=m.proto < 3))


def _extension(m: Machine, size: int) -> None:
    code = int.from_bytes(m.take(size), "little", signed=size == 4)
    if code <= 0:
        raise m.malformed(f"extension code {code}")
    m.push_container(m.world.extension(code, f"EXT{size}", m.at))


def _call(m: Machine, func: object, args: object, kwargs: object, opcode: str) -> None:
    if not isinstance(args, tuple):
        raise m.malformed(f"the arguments of {opcode} are no tuple")
    m.push_container(m.world.call(func, args, kwargs, opcode, m.at))


def _reduce(m: Machine) -> None:
    args, func = m.stack.pop(), m.stack.pop()
    _call(m, func, args, None, "REDUCE")


def _inst(m: Machine) -> None:
    args = tuple(m.pop_mark())
    module, name = m.ascii(m.line()), m.ascii(m.line())
    _call(m, m.world.find(module, name, "INST", m.at, old=m.proto < 3), args, None, "INST")


def _obj(m: Machine) -> None:
    items = m.pop_mark()
    _call(m, items[0], tuple(items[1:]), None, "OBJ")


def _newobj(m: Machine) -> None:
    args, cls = m.stack.pop(), m.stack.pop()
    _call(m, cls, args, None, "NEWOBJ")


def _newobj_ex(m: Machine) -> None:
    kwargs, args, cls = m.stack.pop(), m.stack.pop(), m.stack.pop()
    if not isinstance(kwargs, dict):
        raise m.malformed("the keywords of NEWOBJ_EX are no dict")
    _call(m, cls, args, kwargs, "NEWOBJ_EX")


def _build(m: Machine) -> None:
    state = m.stack.pop()
    m.stack[-1] = m.world.build(m.stack[-1], state, m.at)


def _persid(m: Machine) -> None:
    m.stack.append(m.world.persistent(m.ascii(m.line(1)), "PERSID", m.at))


def _binpersid(m: Machine) -> None:
    m.stack.append(m.world.persistent(m.stack.pop(), "BINPERSID", m.at))


def _next_buffer(m: Machine) -> None:
    raise m.malformed("it wants an out-of-band buffer, and a file has none")


def _readonly_buffer(m: Machine) -> None:
    if not isinstance(m.stack[-1], (bytes, bytearray, Span)):
        raise m.malformed("READONLY_BUFFER of something that is no buffer")


def _unknown(m: Machine) -> None:
    raise m.malformed(f"there is no opcode {m.buffer[m.opcode_at]:#04x}")


def _push(value: object) -> Callable[[Machine], None]:
    return lambda m: m.stack.append(value)


def _sized(action: Callable[[Machine, int], None], size: int) -> Callable[[Machine], None]:
    """The opcode whose argument is a number of `size` bytes."""
    return lambda m: action(m, m.unsigned(size))


def _signed(action: Callable[[Machine, int], None], size: int) -> Callable[[Machine], None]:
    return lambda m: action(m, int.from_bytes(m.take(size), "little", signed=True))


def _push_int(m: Machine, value: int) -> None:
    m.stack.append(value)


def _push_bytes(m: Machine, length: int) -> None:
    m.stack.append(m.binary(length))


def _push_text(m: Machine, length: int) -> None:
    m.stack.append(m.text(length))


def _binfloat(m: Machine) -> None:
    m.stack.append(struct.unpack(">d", m.take(8))[0])


def _empty(kind: Callable[[], object]) -> Callable[[Machine], None]:
    return lambda m: m.push_container(kind())


_TABLE: dict[bytes, Callable[[Machine], None]] = {
    b"(": _mark,
    b"0": _pop,
    b"1": _pop_to_mark,
    b"2": lambda m: m.stack.append(m.stack[-1]),
    b"F": _float,
    b"I": _int,
    b"J": _signed(_push_int, 4),
    b"K": _sized(_push_int, 1),
    b"L": _long,
    b"M": _sized(_push_int, 2),
    b"N": _push(None),
    b"P": _persid,
    b"Q": _binpersid,
    b"R": _reduce,
    b"S": _string,
    b"T": _sized(_binstring, 4),
    b"U": _sized(_binstring, 1),
    b"V": _unicode,
    b"X": _sized(_push_text, 4),
    b"a": _append,
    b"b": _build,
    b"c": _global,
    b"d": _dict,
    b"}": _empty(dict),
    b"e": _appends,
    b"g": _get,
    b"h": _sized(lambda m, index: m.recall(index), 1),
    b"i": _inst,
    b"j": _sized(lambda m, index: m.recall(index), 4),
    b"l": _list,
    b"]": _empty(list),
    b"o": _obj,
    b"p": _put,
    b"q": _sized(lambda m, index: m.remember(index), 1),
    b"r": _sized(lambda m, index: m.remember(index), 4),
    b"s": _setitem,
    b"t": _tuple,
    b")": _push(()),
    b"u": _setitems,
    b"G": _binfloat,
    b"\x80": _proto,
    b"\x81": _newobj,
    b"\x82": lambda m: _extension(m, 1),
    b"\x83": lambda m: _extension(m, 2),
    b"\x84": lambda m: _extension(m, 4),
    b"\x85": lambda m: _small_tuple(m, 1),
    b"\x86": lambda m: _small_tuple(m, 2),
    b"\x87": lambda m: _small_tuple(m, 3),
    b"\x88": _push(True),
    b"\x89": _push(False),
    b"\x8a": _sized(_long_bytes, 1),
    b"\x8b": _signed(_long_bytes, 4),
    b"B": _sized(_push_bytes, 4),
    b"C": _sized(_push_bytes, 1),
    b"\x8c": _sized(_push_text, 1),
    b"\x8d": _sized(_push_text, 8),
    b"\x8e": _sized(_push_bytes, 8),
    b"\x8f": _empty(set),
    b"\x90": _additems,
    b"\x91": _frozenset,
    b"\x92": _newobj_ex,
    b"\x93": _stack_global,
    b"\x94": lambda m: m.remember(len(m.memo)),
    b"\x95": _frame,
    b"\x96": _bytearray,
    b"\x97": _next_buffer,
    b"\x98": _readonly_buffer,
}
#: Opcode -> what it does.
HANDLERS: list[Callable[[Machine], None]] = [
    _TABLE.get(bytes([opcode]), _unknown) for opcode in range(256)
]
