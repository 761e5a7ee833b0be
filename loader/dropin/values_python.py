"""Values of Python's own classes, and of OmegaConf's, as pickles call for them.

Zone: the caller's process. A closed table: each function makes one kind of value, which has no code of
its own, from arguments of exactly the types that pickle gives it; it raises for any other.
"""

from __future__ import annotations

import argparse
import collections
import datetime as dt
import decimal
import enum
import fractions
import pathlib
import re
import sys
import types
import uuid
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from safe_load.dropin.called import Found, is_special

if TYPE_CHECKING:
    from collections.abc import Callable

    from safe_load.dropin.called import Called


#: Objects that are their attributes and nothing else.
PLAIN_OBJECTS: dict[str, Callable[[], Any]] = {
    "argparse.Namespace": argparse.Namespace,
    "types.SimpleNamespace": types.SimpleNamespace,
}
_BUILTINS = (
    *(int, float, complex, bool, str, bytes, bytearray, list, tuple, dict, set, frozenset, object),
    *(slice, range, type, len, min, max, sum, abs, round, sorted),
)
_CLASSES = (
    *(collections.OrderedDict, collections.defaultdict, collections.Counter, collections.deque),
    *(dt.datetime, dt.date, dt.time, dt.timedelta, dt.timezone),
    *(decimal.Decimal, fractions.Fraction, uuid.UUID),
    *(pathlib.PurePath, pathlib.Path, pathlib.PosixPath, pathlib.PurePosixPath),
    *(argparse.Namespace, types.SimpleNamespace),
)
_NAMES: dict[str, Any] = {
    **{f"builtins.{thing.__name__}": thing for thing in _BUILTINS},
    **{f"{cls.__module__}.{cls.__name__}": cls for cls in _CLASSES},
    "builtins.Ellipsis": ...,
    "builtins.NotImplemented": NotImplemented,
}
#: Dicts and lists with nothing but a way to reach their items, given out where they are imported already.
_ATTRIBUTE_DICTS = frozenset(
    f"{module}.AttributeDict"
    for module in (
        *("lightning.fabric.utilities.data", "lightning_fabric.utilities.data"),
        *("lightning.pytorch.utilities.parsing", "pytorch_lightning.utilities.parsing"),
    )
)
_LONGEST_PATH = 1 << 16
_CONFIGS = frozenset({"omegaconf.dictconfig.DictConfig", "omegaconf.listconfig.ListConfig"})


def named(dotted: str) -> Found | None:
    """What may be given out under that name."""
    if dotted in _NAMES:
        return Found(_NAMES[dotted])
    if dotted in _ATTRIBUTE_DICTS or dotted in _CONFIGS:
        cls = _imported(dotted)
        return None if cls is None else Found(cls)
    return None


def _imported(dotted: str) -> Any:
    """What stands under that name in the modules that this process has imported, looked up without any
    code of theirs; None where nothing does."""
    parts = dotted.split(".")
    for count in range(len(parts) - 1, 0, -1):
        module = sys.modules.get(".".join(parts[:count]))
        if isinstance(module, types.ModuleType):
            found: Any = module
            for part in parts[count:]:
                held = found.__dict__ if isinstance(found, types.ModuleType | type) else {}
                found = held.get(part)
            return found
    return None


def member(called: Called) -> Found | None:
    """The member of an enumeration that this process has imported already. None is made."""
    if called.keywords or called.states or called.items or called.pairs:
        return None
    if called.args:
        owner = _imported(called.name)
        if len(called.args) == 1 and isinstance(owner, enum.EnumMeta):
            known = type.__getattribute__(owner, "_value2member_map_")
            value = called.args[0]
            return Found(known[value]) if value in known else None
        return None
    name, _, last = called.name.rpartition(".")
    owner = _imported(name)
    if isinstance(owner, enum.EnumMeta):
        members = type.__getattribute__(owner, "_member_map_")
        return Found(members[last]) if last in members else None
    return None


def _exactly(value: Any, *kinds: type) -> Any:
    if type(value) not in kinds:
        raise TypeError("another type than pickle gives")
    return value


def _bare(called: Called, count: int | None = None) -> tuple[Any, ...]:
    """The arguments of a call that gets nothing else."""
    if called.keywords or called.states or called.items or called.pairs:
        raise TypeError("more than arguments")
    if count is not None and len(called.args) != count:
        raise TypeError("another number of arguments")
    return called.args


def _plain_object(called: Called) -> Any:
    if called.args or called.keywords or called.items or called.pairs:
        raise TypeError("more than attributes")
    made = PLAIN_OBJECTS[called.name]()
    for state in called.states:
        for key, value in _exactly(state, dict).items():
            if not is_special(_exactly(key, str)):
                made.__dict__[key] = value
    return made


def _path(called: Called) -> Any:
    parts = [_exactly(part, str) for part in _bare(called)]
    if sum(map(len, parts)) > _LONGEST_PATH:
        raise ValueError("a longer path than any system has")
    # A path of the other system can be looked at, and not be opened.
    if "Windows" in called.name:
        return pathlib.PureWindowsPath(*parts)
    return (pathlib.PurePosixPath if "Pure" in called.name else pathlib.Path)(*parts)


def _dated(kind: type, sizes: int) -> Callable[[Called], Any]:
    def make(called: Called) -> Any:
        data, *zone = _bare(called)
        if len(_exactly(data, bytes)) != sizes or len(zone) > 1:
            raise ValueError("no packed date")
        if zone:
            _exactly(zone[0], dt.timezone)
        return kind(data, *zone)

    return make


def _numbers(kind: Callable[..., Any], least: int, most: int) -> Callable[[Called], Any]:
    def make(called: Called) -> Any:
        given = _bare(called)
        if not least <= len(given) <= most:
            raise TypeError("another number of arguments")
        return kind(*(_exactly(number, int, type(None)) for number in given))

    return make


def _timezone(called: Called) -> Any:
    offset, *name = _bare(called)
    _exactly(offset, dt.timedelta)
    return dt.timezone(offset, *(_exactly(part, str) for part in name))


def _decimal(called: Called) -> Any:
    (text,) = _bare(called, 1)
    if len(_exactly(text, str)) > 5000:
        raise ValueError("a longer number than anyone writes")
    return decimal.Decimal(text)


def _fraction(called: Called) -> Any:
    given = _bare(called)
    if len(given) == 1 and not re.fullmatch(r"-?[0-9]{1,4000}(/[0-9]{1,4000})?", given[0]):
        raise ValueError("no fraction")  # as Fraction writes it: 1e999999999 would be calculated
    if len(given) > 1 and any(_exactly(part, int).bit_length() > 20_000 for part in given):
        raise ValueError("a longer number than anyone writes")
    return fractions.Fraction(*(_exactly(part, str, int) for part in given))


def _uuid(called: Called) -> Any:
    (state,) = called.states
    if called.args:
        raise TypeError("more than its number")
    return uuid.UUID(int=_exactly(state["int"], int))


def _slice(called: Called) -> Any:
    return slice(*_bare(called, 3))


def _type_of(called: Called) -> Any:
    (value,) = _bare(called, 1)
    if value not in (None, ..., NotImplemented):
        raise TypeError("no singleton")
    return type(value)


def _attribute_dict(called: Called) -> Any:
    cls = _imported(called.name)
    if called.args or called.keywords or called.items or not isinstance(cls, type):
        raise TypeError("more than items")
    if any(is_special(key) for key, _ in called.pairs):
        raise TypeError("a name that protocols ask for")
    return cls(dict(called.pairs))


# OmegaConf


def _config(called: Called) -> Any:
    """A container made anew of what it holds. Its classes of fields are left out: they would have to be
    imported."""
    if find_spec("omegaconf") is None or called.args:
        raise TypeError("not installed")
    from omegaconf import OmegaConf  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415

    (state,) = called.states
    content = state["_content"]
    if isinstance(content, dict):
        content = {key: _held(value) for key, value in content.items()}
    elif isinstance(content, list):
        content = [_held(value) for value in content]
    else:
        raise TypeError("no content")  # of a text OmegaConf reads YAML
    if calls_resolver(content):
        raise TypeError("a function that would run when a value is read")
    flags = getattr(state.get("_metadata"), "__dict__", {}).get("flags") or {}
    kept = {key: flag for key, flag in flags.items() if key in ("struct", "readonly")}
    return OmegaConf.create(content, flags={**kept, "allow_objects": True})


def calls_resolver(content: object) -> bool:
    """Whether a text in it calls a function that somebody registered, as ${eval:...} and ${oc.env:...}
    do. A reference to another value, as ${model.width}, calls none. Containers of OmegaConf within it were
    asked when they were made."""
    left, seen = [content], set()
    while left:
        value = left.pop()
        if isinstance(value, str) and ":" in value.partition("${")[2]:
            return True
        if isinstance(value, dict | list | tuple) and id(value) not in seen:
            seen.add(id(value))
            left += [*value, *value.values()] if isinstance(value, dict) else value
        elif isinstance(value, _Node):
            left.append(value.value)
    return False


@dataclass
class _Node:
    value: Any


def _held(value: Any) -> Any:
    return value.value if isinstance(value, _Node) else value


def _config_node(called: Called) -> Any:
    (state,) = called.states
    return _Node(state["_val"])


MAKERS: dict[str, Callable[[Called], Any]] = {
    **dict.fromkeys(PLAIN_OBJECTS, _plain_object),
    **{
        f"pathlib.{local}{name}": _path
        for local in ("", "_local.")
        for name in (
            *("Path", "PosixPath", "WindowsPath"),
            *("PurePath", "PurePosixPath", "PureWindowsPath"),
        )
    },
    "datetime.datetime": _dated(dt.datetime, 10),
    "datetime.date": _dated(dt.date, 4),
    "datetime.time": _dated(dt.time, 6),
    "datetime.timedelta": _numbers(dt.timedelta, 0, 3),
    "datetime.timezone": _timezone,
    "decimal.Decimal": _decimal,
    "fractions.Fraction": _fraction,
    "uuid.UUID": _uuid,
    "builtins.range": _numbers(range, 3, 3),
    "builtins.slice": _slice,
    "builtins.type": _type_of,
    **dict.fromkeys(_ATTRIBUTE_DICTS, _attribute_dict),
    **dict.fromkeys(_CONFIGS, _config),
    **{
        f"omegaconf.nodes.{kind}Node": _config_node
        for kind in (
            *("Any", "String", "Integer", "Float", "Boolean", "Bytes", "Path", "Enum"),
            *("InterpolationResult", "Union"),
        )
    },
}
