"""Frozen dataclasses to JSON and back: what does not fit is refused with the name of its field.

Zone: both sides of a room's border, so standard library only. A type is turned into a reader once;
a reader checks types and builds nothing but the dataclass that was asked for.
"""

from __future__ import annotations

import json
import types
from collections.abc import Callable
from dataclasses import MISSING, fields
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

_Reader = Callable[[Any, str], Any]


class ProtocolError(ValueError):
    """An order or a message does not fit. The text names the field and says what it should be."""


def parsed(data: bytes) -> dict[str, Any]:
    """An object in JSON. Raises ProtocolError."""
    try:
        found = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"not JSON: {error}") from error
    if not isinstance(found, dict):
        raise ProtocolError("an object is needed")
    return found


def fields_of(value: Any) -> dict[str, Any]:
    """The fields of a dataclass, as JSON takes them."""
    return {each.name: plain(getattr(value, each.name)) for each in fields(value)}


def plain(value: Any) -> Any:
    """A value as JSON takes it."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, frozenset):
        return sorted(value)
    if hasattr(value, "__dataclass_fields__"):
        return fields_of(value)
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    return value


@cache
def reader(hint: Any) -> _Reader:
    """What turns a decoded value into one of that type, or raises ProtocolError."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return lambda value, _: value
    if hint in _SCALARS:
        return _scalar(hint)
    if hint is bytes:
        return _bytes
    if origin is Literal:
        return _literal(arguments)
    if origin in (Union, types.UnionType):
        return _either(tuple(map(reader, arguments)))
    if origin is dict:
        return _mapping(*arguments)
    if origin is frozenset:
        items = _sequence((arguments[0], ...))
        return lambda value, place: frozenset(items(value, place))
    if origin is tuple:
        return _sequence(arguments)
    return _structure(hint)


_SCALARS: dict[Any, str] = {
    str: "text",
    int: "an integer",
    float: "a number",
    bool: "true or false",
    type(None): "null",
}


def _refuse(place: str, wanted: str, value: object) -> ProtocolError:
    found = {**_SCALARS, list: "a list", dict: "an object"}.get(type(value), "this")
    return ProtocolError(f"{place}: {wanted} is needed, not {found}")


def _scalar(kind: type) -> _Reader:
    name = _SCALARS[kind]

    def read(value: Any, place: str) -> Any:
        if type(value) is kind:
            return value
        if kind is float and type(value) is int and abs(value) < 1 << 53:
            return float(value)
        raise _refuse(place, name, value)

    return read


def _bytes(value: Any, place: str) -> bytes:
    try:
        return bytes.fromhex(value)
    except (TypeError, ValueError) as error:
        raise _refuse(place, "hexadecimal text", value) from error


def _literal(values: tuple[Any, ...]) -> _Reader:
    def read(value: Any, place: str) -> Any:
        if isinstance(value, str) and value in values:
            return value
        raise ProtocolError(f"{place}: one of {', '.join(values)} is needed")

    return read


def _either(readers: tuple[_Reader, ...]) -> _Reader:
    def read(value: Any, place: str) -> Any:
        for index, reader in enumerate(readers):
            try:
                return reader(value, place)
            except ProtocolError:
                if index == len(readers) - 1:
                    raise
        raise AssertionError("a union has members")

    return read


def _mapping(key: Any, item: Any) -> _Reader:
    read_item = reader(item)

    def read(value: Any, place: str) -> Any:
        if not isinstance(value, dict):
            raise _refuse(place, "an object", value)
        if key is int:
            try:
                value = {int(name): each for name, each in value.items()}
            except ValueError as error:
                raise ProtocolError(f"{place}: its keys are not integers") from error
        if item is Any:
            return value
        return {name: read_item(each, f"{place}.{name}") for name, each in value.items()}

    return read


def _sequence(arguments: tuple[Any, ...]) -> _Reader:
    if arguments[-1] is Ellipsis:
        item = reader(arguments[0])

        def read_all(value: Any, place: str) -> Any:
            if not isinstance(value, list):
                raise _refuse(place, "a list", value)
            return tuple([item(each, f"{place}[{at}]") for at, each in enumerate(value)])

        return read_all
    items = tuple(map(reader, arguments))

    def read_each(value: Any, place: str) -> Any:
        if not isinstance(value, list) or len(value) != len(items):
            raise _refuse(place, f"a list of {len(items)}", value)
        return tuple(
            [
                item(each, f"{place}[{at}]")
                for at, (item, each) in enumerate(zip(items, value, strict=True))
            ]
        )

    return read_each


def _structure(kind: type) -> _Reader:
    hints = get_type_hints(kind)
    readers = {each.name: reader(hints[each.name]) for each in fields(kind)}
    needed = [
        each.name
        for each in fields(kind)
        if each.default is MISSING and each.default_factory is MISSING
    ]

    def read(value: Any, place: str) -> Any:
        if not isinstance(value, dict):
            raise _refuse(place, "an object", value)
        prefix = f"{place}." if place else ""
        found = {}
        for name, each in value.items():
            reader = readers.get(name)
            if reader is None:
                raise ProtocolError(f"{prefix}{str(name)[:40]}: no such field is known")
            found[name] = reader(each, prefix + name)
        for name in needed:
            if name not in found:
                raise ProtocolError(f"{prefix}{name}: it is missing")
        return kind(**found)

    return read
