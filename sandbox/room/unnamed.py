"""Take our names off a worker, so that a model does not find safe-load in its own process.

A payload that looks for a sandbox asks `sys.modules`, the frames below it, the files of functions and
the interpreter's arguments, and keeps still where one of them says safe_load. After `take_names_off`
the modules live on by reference alone, and every frame is that of a script from standard input.
"""

from __future__ import annotations

import _imp
import gc
import sys
from contextlib import suppress
from functools import cached_property, partial
from types import CellType, CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_OURS = "safe_load"
#: What `python3 < script` says of itself.
_NAME, _FILE, _ARGUMENTS = "__main__", "<stdin>", ("python3",)
_ATTRIBUTES = "__cached__ __doc__ __file__ __loader__ __package__ __path__ __spec__".split()
#: What may hold a function, and how large a container may be to be looked into.
_CARRIERS = (
    *(cached_property, CellType, classmethod, dict, frozenset, list),
    *(partial, property, set, staticmethod, tuple),
)
_MOST_ITEMS = 1000
#: The modules that have lost their names.
_held: list[ModuleType] = []


def take_names_off() -> None:
    """Remove our modules' names from this process. From here on, nothing can import a module of ours."""
    ours = {name: module for name, module in sys.modules.items() if _is_ours(name)}
    folders = tuple(path for module in ours.values() for path in getattr(module, "__path__", ()))
    _rename([*(vars(module) for module in ours.values()), *_running()])
    for name, module in ours.items():
        _held.append(sys.modules.pop(name))
        attributes = vars(module)
        for attribute in _ATTRIBUTES:
            attributes.pop(attribute, None)
        attributes["__name__"] = _NAME
    started = vars(sys.modules["__main__"])
    for name in [name for name in started if not name.startswith("__")]:
        del started[name]
    for path in [path for path in sys.path_importer_cache if str(path).startswith(folders)]:
        del sys.path_importer_cache[path]
    sys.orig_argv[:] = _ARGUMENTS


def _is_ours(name: object) -> bool:
    return isinstance(name, str) and name.partition(".")[0] == _OURS


def _running() -> Iterator[CodeType]:
    """The code of the frames below, whose first function nothing refers to but its frame."""
    frame = sys._getframe()
    while frame is not None:
        yield frame.f_code
        frame = frame.f_back  # type: ignore[assignment]


def _rename(waiting: list[Any]) -> None:
    """Every class, function and code object of ours that can be reached from these."""
    seen: set[int] = set()
    renamed: set[type] = set()
    while waiting:
        item = waiting.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, CodeType):
            if not item.co_filename.startswith("<"):
                _imp._fix_co_filename(item, _FILE)  # type: ignore[attr-defined] # of nested code too
        elif isinstance(item, type):
            if _is_ours(item.__module__):
                waiting += vars(item).values()
                renamed.add(item)
                with suppress(AttributeError, TypeError):
                    item.__module__ = _NAME
        elif isinstance(item, FunctionType) or hasattr(type(item), "cache_info"):
            if _is_ours(getattr(item, "__module__", None)):
                item.__module__ = _NAME
                waiting += gc.get_referents(
                    item
                )  # its code, closure and defaults, or what is cached
        elif _is_ours(type(item).__module__) or type(item) in renamed:
            waiting += gc.get_referents(item)  # what an object of ours holds in its fields
        elif type(item) in _CARRIERS and (not hasattr(item, "__len__") or len(item) <= _MOST_ITEMS):
            waiting += gc.get_referents(item)
