"""Say of classes of installed packages whether pickle makes objects of them without running their code.

Zone: worker. Runs in a room of its own, which is shown no file of the model: only installed packages run
here, so the model cannot change the answer. The names come from its pickles.
"""

from __future__ import annotations

import importlib
import sys
from abc import ABCMeta
from contextlib import suppress
from types import GetSetDescriptorType, MemberDescriptorType
from typing import TYPE_CHECKING, Any

from safe_load.worker.detonate.main import prepare

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main", "prepare"]

#: What pickle, a copy, a container or the end of an object's life would call if a class has it.
_RUNS = frozenset(
    "__new__ __getattribute__ __getattr__ __setattr__ __delattr__ __setstate__ __reduce__ __reduce_ex__ "
    "__getstate__ __getnewargs__ __getnewargs_ex__ __getinitargs__ __copy__ __deepcopy__ __del__ "
    "__class__ __call__ __missing__ __setitem__ append extend add".split()
)
_HEAP_TYPE = 1 << 9


def main(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:  # noqa: ARG001 - a room's entry
    """argument: {"packages": names of packages to import, for what that does; "names": dotted names of
    classes}. Returns {"inert": those of them of which objects are made, and filled with a dict, by Python
    alone}."""
    for package in argument["packages"]:
        with suppress(BaseException):  # what an import does was recorded, whatever it raises
            importlib.import_module(package)
    return {"inert": [name for name in argument["names"] if _is_inert_name(name)]}


def _is_inert_name(name: str) -> bool:
    try:
        return all(_is_inert(cls, name) for cls in _meant(name))
    except BaseException:  # noqa: BLE001 - an import may raise anything; any doubt means no
        return False


def _meant(name: str) -> list[Any]:
    """What the name may mean, whichever part of it is the module. Raises LookupError for nothing."""
    parts = name.split(".")
    found = []
    for length in range(1, len(parts)):
        module = ".".join(parts[:length])
        try:
            importlib.import_module(module)
        except ModuleNotFoundError:
            break
        value: Any = sys.modules[module]
        try:
            for part in parts[length:]:
                value = getattr(value, part)
        except AttributeError:
            continue
        found.append(value)
    if not found:
        raise LookupError(name)
    return found


def _is_inert(cls: Any, name: str) -> bool:
    """Whether this is a class of that name, and no code of its own or of a base runs for NEWOBJ and BUILD."""
    if type(cls) not in (type, ABCMeta) or f"{cls.__module__}.{cls.__qualname__}" != name:
        return False
    if cls.__new__ is not object.__new__:
        return False
    return all(_adds_nothing(each) for each in cls.__mro__ if each is not object)


def _adds_nothing(cls: type) -> bool:
    held = vars(cls)
    if type(cls) not in (type, ABCMeta) or not cls.__flags__ & _HEAP_TYPE or _RUNS & held.keys():
        return False
    if type(held.get("__dict__")) not in (type(None), GetSetDescriptorType):
        return False
    return not any(map(_takes_values, held.values()))


def _takes_values(value: object) -> bool:
    """Whether setting an attribute of this name runs code."""
    if isinstance(value, (GetSetDescriptorType, MemberDescriptorType)):
        return False
    if type(value) is property:
        return value.fset is not None
    return hasattr(type(value), "__set__") or hasattr(type(value), "__delete__")
