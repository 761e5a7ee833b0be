"""Python's own containers and values as a pickle builds them. Zone: worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safe_load.worker.pickle_vm import held
from safe_load.worker.pickle_vm.arguments import UnexpectedArgument, expect, integer, need
from safe_load.worker.pickle_vm.shapes import is_word
from safe_load.worker.pickle_vm.values import ByteArray, Deque, Global, Mapping, Stub, parts_of
from safe_load.worker.spans import Span

if TYPE_CHECKING:
    from collections.abc import Callable

    from safe_load.worker.pickle_vm.calls import Call, Calling

PARTIAL = "functools.partial"


def _mapping(call: Call) -> object:
    return _filled(call.func.name, call.take(0, 1)[0])


def _filled(kind: str, first: object) -> Mapping:
    result = Mapping(kind)
    for pair in first.items() if isinstance(first, dict) else _sequence(first):
        key, value = _sequence(pair, 2)
        result[_hashable(key)] = value
    return result


def _sequence(value: object, length: int | None = None) -> list[object]:
    """The items of a list, tuple or set, of that length; nothing for None."""
    need(value is None or isinstance(value, (list, tuple, set, frozenset, dict)))
    items: list[object] = list(value or ())  # type: ignore[call-overload]
    need(length is None or len(items) == length)
    return items


def _defaultdict(call: Call) -> object:
    factory, *rest = call.take(0, 2)
    # It is called for every key that is missing.
    need(factory is None or _may_be_called(call.world, factory))
    result = _filled(call.func.name, rest[0])
    result.factory = factory
    return result


def _may_be_called(world: Calling, function: object) -> bool:
    """Whether an honest library's object holds that function or class, or a partial of it."""
    if isinstance(function, Global):
        return held.may_hold(world, function)
    # A stub: another partial, or what is recorded already.
    return isinstance(function, Stub) and (
        function.made_by == PARTIAL or function.trust in {"recorded", "code"}
    )


def _partial(call: Call) -> object:
    need(call.args and _is_partial_of(call.world, call.args[0], call.args[1:]))
    result = Stub(PARTIAL, call.args, trust="listed")
    call.world.hold(result, call.args[1:], call.opcode, call.offset)
    return result


def _is_partial_of(world: Calling, function: object, arguments: object) -> bool:
    """Whether honest objects hold that function or class, and are given such arguments for it: numbers and
    words, or what is weighed where it stands. A text, or an object, makes a call of it another one."""
    if not _may_be_called(world, function):
        return False
    if not isinstance(function, Global) or function.name in held.VALUES:
        return True
    if world.ledger.allows(function.name, "partial"):
        return True
    todo, left = [arguments], 1000
    while todo and left:
        item = todo.pop()
        left -= 1
        if isinstance(item, (list, tuple, dict)):
            todo += parts_of(item)
        elif not (item is None or isinstance(item, (float, Global)) or is_word(item)):
            return False
    return not todo


def is_partial(world: Calling, state: object) -> bool:
    """Whether BUILD gives a functools.partial what its pickles give it: function, arguments, keywords, attributes."""
    return (
        isinstance(state, tuple)
        and len(state) == 4
        and isinstance(state[1], tuple)
        and _is_partial_of(world, state[0], (state[1], state[2]))
        and all(part is None or isinstance(part, dict) for part in state[2:])
    )


def _hashable(value: object) -> object:
    """A key whose hash is cheap: a scalar, or something that is hashed by identity."""
    if isinstance(value, tuple):
        need(
            len(value) <= 64 and all(type(item) in {str, int, float, bool, bytes} for item in value)
        )
    else:
        need(not isinstance(value, (list, dict, set, bytearray, frozenset)))
        need(not isinstance(value, Stub) or value.trust in {"inert", "recorded"})
    return value


def _getter(call: Call) -> object:
    """operator.itemgetter and attrgetter: a function, of the index or the plain word that it is made with. Of a
    word that begins with an underscore or has a dot, it would reach further than a column."""
    need(0 < len(call.args) <= 64)
    attribute = call.func.name.endswith("attrgetter")
    for arg in call.args:
        if isinstance(arg, str):
            need(is_word(arg) and not arg.startswith("_") and (not attribute or arg.isidentifier()))
        else:
            need(type(arg) is int and not attribute)
    call.world.ledger.excuse(call.func.name)
    return Stub(call.func.name, call.args)


def _set(call: Call) -> object:
    return {_hashable(item) for item in _sequence(call.take(0, 1)[0])}


def _frozenset(call: Call) -> object:
    return frozenset(_set(call))  # type: ignore[call-overload]


def _list(call: Call) -> object:
    return _sequence(call.take(0, 1)[0])


def _plain_dict(call: Call) -> object:
    return dict(_filled("", call.take(0, 1)[0]))


def _plain_tuple(call: Call) -> object:
    return tuple(_sequence(call.take(0, 1)[0]))


def _singleton_type(call: Call) -> object:
    """type(None), type(Ellipsis): what Python writes for classes that have no name to be found by."""
    (value,) = call.take(1, 1)
    need(value is None or (isinstance(value, Global) and value.name in _SINGLETONS))
    return Stub("builtins.type", call.args)


_SINGLETONS = {"builtins.Ellipsis", "builtins.NotImplemented"}


def _new_object(call: Call) -> object:
    """copyreg.__newobj__: what protocol 2 and later write as NEWOBJ."""
    need(call.args)
    return call.world.call(call.args[0], call.args[1:], None, "NEWOBJ", call.offset)


def _new_object_ex(call: Call) -> object:
    cls, args, kwargs = call.take(3, 3)
    keywords = expect(kwargs, dict)
    return call.world.call(cls, expect(args, tuple), keywords, "NEWOBJ_EX", call.offset)


def _pattern(call: Call) -> object:
    """re._compile: a pattern that is compiled, and tried on nothing."""
    text, flags = call.take(2, 2)
    need(isinstance(text, (str, bytes)) and len(text) <= 4096)
    integer(flags)
    return Stub(call.func.name, call.args)


def _deque(call: Call) -> object:
    items, most = call.take(0, 2)
    return Deque(_sequence(items), None if most is None else integer(most))


def _bytearray(call: Call) -> object:
    data, encoding = call.take(0, 2)
    if isinstance(data, str) and encoding == "latin-1":
        return bytearray(_latin1(data))
    if isinstance(data, Span):
        return ByteArray(data.source, data.offset, data.length)
    return bytearray(expect(data or b"", bytes))


def _bytes(call: Call) -> object:
    need(not call.args)
    return b""


def _complex(call: Call) -> object:
    real, imaginary = call.take(2, 2)
    return complex(expect(real, float), expect(imaginary, float))


def _encode(call: Call) -> object:
    text, encoding = call.take(2, 2)
    need(expect(encoding, str) in {"latin1", "latin-1", "iso-8859-1"})
    return _latin1(expect(text, str))


def _latin1(text: str) -> bytes:
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        raise UnexpectedArgument from None


def _reconstructor(call: Call) -> object:
    """copyreg._reconstructor(cls, base, state): protocol 0 and 1 objects."""
    cls, base, state = call.take(3, 3)
    # It calls base.__new__ and base.__init__.
    need(expect(base, Global).name in _BASES and held.is_data(state))
    made = call.world.call(expect(cls, Global), (), None, "NEWOBJ", call.offset)
    if state is None:
        return made
    if isinstance(made, Stub):
        made.args = (state,)
    elif isinstance(made, dict) and isinstance(state, dict):
        made.update(state)
    else:
        raise UnexpectedArgument
    return made


_BASES = {"builtins.object"} | {
    f"builtins.{name}"
    for name in ("dict", "list", "tuple", "set", "frozenset", "str", "bytes", "int", "float")
}


def _getattr(call: Call) -> object:
    """Python 3.11 pickles an enum's member as getattr(its class, "MEMBER"), and below protocol 4 a
    class's own function for unpickling, as of ZoneInfo, in the same way."""
    owner, name, default = call.take(2, 3)
    member = expect(name, str)
    ledger = call.world.ledger
    if len(call.args) == 3:  # how dill, from 0.3.6 on, names what fills a cell
        names = [expect(item, Global).name for item in (owner, default)]
        need(names == ["dill._dill", "builtins.setattr"] and member == "_setattr")
        for each in (call.func.name, *names):
            ledger.excuse(each)
        return default
    need(member.isidentifier())
    if isinstance(owner, Stub):  # a method of an object that an honest library made
        full = f"{owner.made_by}.{member}"
        need(owner.trust == "listed" and full in ledger.allowlist)
        ledger.excuse(call.func.name)
        return Global(owner.made_by, member, allowed=True)
    cls = expect(owner, Global)
    full = f"{cls.name}.{member}"
    if full in ledger.allowlist:
        ledger.excuse(call.func.name)
        return Global(cls.module, full.removeprefix(f"{cls.module}."), allowed=True)
    if ledger.allows(cls.name, "enum"):
        need(not member.startswith("_"))
        ledger.excuse(call.func.name)
        return Stub(full)
    if member == "__new__" and cls.name in _OWN_NEW:
        ledger.excuse(call.func.name)
        ledger.called(full, call.opcode, call.offset, None, "code")
        return Stub(full, trust="recorded")
    raise UnexpectedArgument


#: Classes whose __new__ cloudpickle (3.1) writes among the attributes of an enumeration that it brings.
_OWN_NEW = frozenset(
    {
        *(f"enum.{name}" for name in ("Enum", "IntEnum", "StrEnum", "Flag", "IntFlag")),
        *(f"builtins.{name}" for name in ("object", "int", "str", "float", "tuple")),
    }
)

BUILDERS: dict[str, Callable[[Call], object]] = {
    "collections.OrderedDict": _mapping,
    "collections.defaultdict": _defaultdict,
    "collections.Counter": _mapping,
    "collections.deque": _deque,
    "builtins.set": _set,
    "builtins.frozenset": _frozenset,
    "builtins.list": _list,
    "builtins.dict": _plain_dict,
    "builtins.tuple": _plain_tuple,
    "builtins.type": _singleton_type,
    "builtins.bytearray": _bytearray,
    "builtins.bytes": _bytes,
    "builtins.complex": _complex,
    "builtins.getattr": _getattr,
    "_codecs.encode": _encode,
    "copyreg._reconstructor": _reconstructor,
    "copyreg.__newobj__": _new_object,
    "copyreg.__newobj_ex__": _new_object_ex,
    **{
        f"{module}.{kind}": _getter
        for module in ("operator", "_operator")
        for kind in ("itemgetter", "attrgetter")
    },
    "re._compile": _pattern,
    PARTIAL: _partial,
}
