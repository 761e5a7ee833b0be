"""How grave it is that a pickle names something, or calls it.

Zone: controller. Judged by the name alone: nothing was called to find out. Patterns are in
profiles/rules/callables.toml.
"""

from __future__ import annotations

import re
import sys
from fnmatch import fnmatchcase
from functools import lru_cache
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING

from safe_load.profiles import rules

if TYPE_CHECKING:
    from safe_load.core.report import Severity
    from safe_load.export.extracted import NamedCallable

#: Libraries whose every class and function was looked through for what honest pickles use: what is not
#: listed of them has no business in a pickle.
_LOOKED_THROUGH = frozenset(
    {"torch", "numpy", "scipy", "sklearn", "transformers", "tokenizers", "safetensors", "joblib"}
)
#: What is written for a member of an enumeration (before Python 3.12) and for a bound method.
_MEMBER = re.compile(r"\(<?([\w.]+)(?:\(\.\.\.\)>)?, '([A-Za-z]\w*|_[A-Za-z]\w*)'\)")
#: How Python 3.11.0 to 3.11.3 pickles a member of a Flag that is made of others: an or of getattrs,
#: each of which is weighed for itself, or of such ors. Of anything else, or_ stays what it is.
_UNIONS = frozenset({"operator.or_", "_operator.or_"})
_PART = r"<(?:builtins\.getattr|_?operator\.or_)\(\.\.\.\)>"
_UNION = re.compile(rf"\({_PART}, {_PART}\)")
_PACKAGES = re.compile(r"[/\\](?:site|dist)-packages[/\\]")
_STANDARD = frozenset(sys.stdlib_module_names) | {"__builtin__", "copy_reg"}


#: What a call is given -> how a sentence says so.
_GIVEN = {"code": "code", "command": "a command", "address": "an address", "path": "a path"}


def weigh(named: NamedCallable, inert: frozenset[str] = frozenset()) -> tuple[Severity, str]:
    """The severity of one entry, and a clause that says why, "" where there is nothing to add. inert: installed
    classes of which a room said that pickle makes plain objects of them without running their code."""
    name = named.name
    if name == "builtins.getattr" and _is_member(named.arguments):
        return "low", ""
    if name in _UNIONS and _UNION.fullmatch(named.arguments):
        return "low", ""
    if _matches(name, "harmless"):
        return "low", ""
    if named.use == "code":
        return "medium", "the pickle brings code of its own"
    if _dangerous(name):
        used = named.called or named.use == "held"
        return ("high" if used else "medium"), "it can run code, or reach files and networks"
    if named.use == "held":
        return _weigh_held(name)
    if not named.called:
        return "low", ""
    if named.use == "new":
        return _weigh_new(named, inert)
    kind, _, excerpt = named.text.partition(": ")
    if kind in _GIVEN:
        return "high", f"it is given {_GIVEN[kind]}, {excerpt}"
    if named.use == "fields" and _is_class(name) and not _is_here(name):
        return "low", ""
    return "medium", _why(named)


def _weigh_held(name: str) -> tuple[Severity, str]:
    if _is_here(name):
        return "medium", "an object holds this callable, and may call it later"
    if not _is_class(name):
        return "medium", "an object holds this function, and may call it later"
    return "low", ""


def _weigh_new(named: NamedCallable, inert: frozenset[str]) -> tuple[Severity, str]:
    """An object made as pickle makes one of any class. Of a class that is here, a room says what it then
    does; of one that is not, nobody can say."""
    here = _is_here(named.name)
    if here and named.name not in inert:
        return "medium", "no known honest pickle holds objects of this class"
    kind, _, excerpt = named.text.partition(": ")
    if kind in ("code", "command", "more"):
        given = f"{_GIVEN.get(kind, 'more than can be looked through')}, {excerpt}"
        known = (
            "safe-load does not know what its class does with that"
            if here
            else "its class is not installed here"
        )
        return "medium", f"it is given {given}, and {known}"
    return "low", ""


def _why(named: NamedCallable) -> str:
    name = named.name
    root, last = name.partition(".")[0], name.rpartition(".")[2]
    if name.endswith("()"):
        return "it calls the result of another call, which plain data never needs"
    if named.use == "native":
        return "compiled code follows the indexes in these arrays, and one index leads out of them"
    if named.use == "key":
        return "an object as a key runs its class's own code for hashing"
    if named.use in ("state", "items") or re.fullmatch(r"__\w+__|append|extend|add", last):
        return "it fills an object in a way that calls code"
    if root in _STANDARD:
        return "it belongs to a part of Python that no checkpoint needs"
    if root in _LOOKED_THROUGH:
        return f"it is a part of {root} that no checkpoint calls in this way"
    return "safe-load knows its arguments, but not what it does with them"


def _is_class(name: str) -> bool:
    """Whether a name is spelled like a class's."""
    return name.rpartition(".")[2].lstrip("_")[:1].isupper()


def _is_here(name: str) -> bool:
    """Whether the name's library is Python's own, is installed on this host, or was looked through."""
    root = name.partition(".")[0]
    return root in _STANDARD or root in _LOOKED_THROUGH or installed(root)


@lru_cache(maxsize=1024)
def installed(root: str) -> bool:
    """Whether this Python has a top-level package of that name. Looks, and imports nothing."""
    if not root.isidentifier():
        return False
    spec = PathFinder.find_spec(root, [place for place in sys.path if place])
    if spec is None or spec.origin is not None:
        return spec is not None
    # A package without an __init__ (ruamel, google), where packages are installed: any folder looks like one.
    places = spec.submodule_search_locations or ()
    return any(_PACKAGES.search(place) for place in places)


def _is_member(arguments: str) -> bool:
    """Whether getattr is asked for a plain attribute of a class that is not here, or of an instance of one."""
    match = _MEMBER.fullmatch(arguments)
    if match is None:
        return False
    owner, member = match.groups()
    return (
        owner.rpartition(".")[2][:1].isupper()
        and not _is_here(owner)
        and not _dangerous(owner)
        and not _dangerous(f"{owner}.{member}")
    )


@lru_cache(maxsize=4096)
def _dangerous(name: str) -> bool:
    if _matches(name, "patterns"):
        return True
    # From one module of Python's to another through its imports: logging.os.system.
    root, *path = name.split(".")
    return root in _STANDARD and any(
        fnmatchcase(".".join(path[start:]).lstrip("_"), pattern)
        for start in range(len(path))
        for pattern in rules("callables")["dangerous"]["patterns"]
        if not pattern.startswith("*")
    )


def _matches(name: str, table: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in rules("callables")["dangerous"][table])
