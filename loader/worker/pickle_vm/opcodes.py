"""What each pickle opcode does to a machine: the table of protocols 0 to 5. Zone: worker.

Each function is the counterpart of one load_ function of CPython's Modules/_pickle.c, whose names
for the opcodes (Lib/pickle.py) are those of the table at the end. `opcodes_data` has the opcodes that
push a number or a text and do no more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from safe_load.worker.pickle_vm import opcodes_data
from safe_load.worker.pickle_vm.opcodes_data import push, sized
from safe_load.worker.pickle_vm.values import Deque
from safe_load.worker.spans import Span

if TYPE_CHECKING:
    from collections.abc import Callable

    from safe_load.worker.pickle_vm.state import State

STOP = 0x2E


def _proto(m: State) -> None:
    proto = m.take(1)[0]
    if proto > 5:
        raise m.malformed(f"protocol {proto} does not exist")
    m.proto = proto


def _frame(m: State) -> None:
    # The C unpickler prefetches a frame and then reads on as if there were none.
    length = m.unsigned(8)
    if m.position + length > m.end:
        raise m.malformed("a frame reaches past the end")


def _list(m: State) -> None:
    m.push_container(m.pop_mark())


def _tuple(m: State) -> None:
    m.push_container(tuple(m.pop_mark()))


def _small_tuple(m: State, count: int) -> None:
    if len(m.stack) < count:
        raise m.malformed("the stack underflows")
    m.stack[-count:] = [tuple(m.stack[-count:])]
    m.charge_container()


def _dict(m: State) -> None:
    items = m.pop_mark()
    target: dict[object, object] = {}
    m.set_items(target, items, "DICT")
    m.push_container(target)


def _frozenset(m: State) -> None:
    m.push_container(frozenset([m.key(item) for item in m.pop_mark()]))


def _append(m: State) -> None:
    value = m.stack.pop()
    _extend(m, [value], "APPEND")


def _appends(m: State) -> None:
    _extend(m, m.pop_mark(), "APPENDS")


def _extend(m: State, items: list[object], opcode: str) -> None:
    target = m.stack[-1]
    if not items:
        return  # do_append looks at the object only when there is something to append
    if type(target) is list or type(target) is Deque:
        target.extend(items)
    elif isinstance(target, bytearray):
        for item in items:
            target.append(_byte(m, item))
    else:
        m.refuse_plain(target)
        m.world.add(target, items, opcode, m.offset)


def _byte(m: State, value: object) -> int:
    if isinstance(value, int) and 0 <= value < 256:
        return value
    raise m.malformed("something that is not a byte for a bytearray")


def _setitem(m: State) -> None:
    value, key = m.stack.pop(), m.stack.pop()
    m.set_items(m.stack[-1], [key, value], "SETITEM")


def _setitems(m: State) -> None:
    items = m.pop_mark()
    target = m.stack[-1]
    if items:
        m.set_items(target, items, "SETITEMS")


def _additems(m: State) -> None:
    items = m.pop_mark()
    target = m.stack[-1]
    if type(target) is set:
        target.update([m.key(item) for item in items])
    elif items:
        m.refuse_plain(target)
        m.world.add(target, items, "ADDITEMS", m.offset)


def _pop(m: State) -> None:
    if m.stack:
        m.stack.pop()
    else:
        m.pop_mark()


def _pop_to_mark(m: State) -> None:
    m.pop_mark()


def _mark(m: State) -> None:
    m.charge_container()
    m.marks.append(m.stack)
    m.stack = []


def _get(m: State) -> None:
    m.recall(m.integer(m.line(), 10))


def _put(m: State) -> None:
    line = m.line()
    if not m.stack:
        raise m.malformed("the stack underflows")
    index = m.integer(line, 10)
    if not 0 <= index < 1 << 63:  # Py_ssize_t
        raise m.malformed("a PUT out of range")
    m.remember(index)


def _global(m: State) -> None:
    names = []
    for line in (m.line(), m.line()):
        try:
            names.append(line[:-1].decode("utf-8"))
        except UnicodeDecodeError:
            raise m.malformed("a global's name is not UTF-8") from None
    m.stack.append(m.world.find(names[0], names[1], "GLOBAL", m.offset, old=m.proto < 3))


def _stack_global(m: State) -> None:
    name, module = m.stack.pop(), m.stack.pop()
    if type(name) is not str or type(module) is not str:
        raise m.malformed("STACK_GLOBAL needs two strings")
    m.stack.append(m.world.find(module, name, "STACK_GLOBAL", m.offset, old=m.proto < 3))


def _extension(m: State, size: int) -> None:
    code = int.from_bytes(m.take(size), "little", signed=size == 4)
    if code <= 0:
        raise m.malformed(f"extension code {code}")
    m.push_container(m.world.extension(code, f"EXT{size}", m.offset))


def _call(m: State, func: object, args: object, kwargs: object, opcode: str) -> None:
    if not isinstance(args, tuple):
        raise m.malformed(f"the arguments of {opcode} are no tuple")
    m.push_container(m.world.call(func, args, kwargs, opcode, m.offset))


def _reduce(m: State) -> None:
    args, func = m.stack.pop(), m.stack.pop()
    _call(m, func, args, None, "REDUCE")


def _inst(m: State) -> None:
    args = tuple(m.pop_mark())
    module, name = m.ascii(m.line()), m.ascii(m.line())
    _call(m, m.world.find(module, name, "INST", m.offset, old=m.proto < 3), args, None, "INST")


def _obj(m: State) -> None:
    items = m.pop_mark()
    _call(m, items[0], tuple(items[1:]), None, "OBJ")


def _newobj(m: State) -> None:
    args, cls = m.stack.pop(), m.stack.pop()
    _call(m, cls, args, None, "NEWOBJ")


def _newobj_ex(m: State) -> None:
    kwargs, args, cls = m.stack.pop(), m.stack.pop(), m.stack.pop()
    if not isinstance(kwargs, dict):
        raise m.malformed("the keywords of NEWOBJ_EX are no dict")
    _call(m, cls, args, kwargs, "NEWOBJ_EX")


def _build(m: State) -> None:
    state = m.stack.pop()
    m.stack[-1] = m.world.build(m.stack[-1], state, m.offset)


def _persid(m: State) -> None:
    m.stack.append(m.world.persistent(m.ascii(m.line(1)), "PERSID", m.offset))


def _binpersid(m: State) -> None:
    m.stack.append(m.world.persistent(m.stack.pop(), "BINPERSID", m.offset))


def _next_buffer(m: State) -> None:
    raise m.malformed("NEXT_BUFFER needs an out-of-band buffer, which a file cannot have")


def _readonly_buffer(m: State) -> None:
    if not isinstance(m.stack[-1], (bytes, bytearray, Span)):
        raise m.malformed("READONLY_BUFFER of something that is not a buffer")


def _unknown(m: State) -> None:
    raise m.malformed(f"there is no opcode {m.buffer[m.opcode_at]:#04x}")


def _empty(kind: Callable[[], object]) -> Callable[[State], None]:
    return lambda m: m.push_container(kind())


_TABLE: dict[bytes, Callable[[State], None]] = {
    **opcodes_data.TABLE,
    b"(": _mark,
    b"0": _pop,
    b"1": _pop_to_mark,
    b"2": lambda m: m.stack.append(m.stack[-1]),
    b"P": _persid,
    b"Q": _binpersid,
    b"R": _reduce,
    b"a": _append,
    b"b": _build,
    b"c": _global,
    b"d": _dict,
    b"}": _empty(dict),
    b"e": _appends,
    b"g": _get,
    b"h": sized(lambda m, index: m.recall(index), 1),
    b"i": _inst,
    b"j": sized(lambda m, index: m.recall(index), 4),
    b"l": _list,
    b"]": _empty(list),
    b"o": _obj,
    b"p": _put,
    b"q": sized(lambda m, index: m.remember(index), 1),
    b"r": sized(lambda m, index: m.remember(index), 4),
    b"s": _setitem,
    b"t": _tuple,
    b")": push(()),
    b"u": _setitems,
    b"\x80": _proto,
    b"\x81": _newobj,
    b"\x82": lambda m: _extension(m, 1),
    b"\x83": lambda m: _extension(m, 2),
    b"\x84": lambda m: _extension(m, 4),
    b"\x85": lambda m: _small_tuple(m, 1),
    b"\x86": lambda m: _small_tuple(m, 2),
    b"\x87": lambda m: _small_tuple(m, 3),
    b"\x8f": _empty(set),
    b"\x90": _additems,
    b"\x91": _frozenset,
    b"\x92": _newobj_ex,
    b"\x93": _stack_global,
    b"\x94": lambda m: m.remember(len(m.memo)),
    b"\x95": _frame,
    b"\x97": _next_buffer,
    b"\x98": _readonly_buffer,
}
#: Opcode -> what it does.
HANDLERS: list[Callable[[State], None]] = [
    _TABLE.get(bytes([opcode]), _unknown) for opcode in range(256)
]
