"""How grave it is that a pickle names something, or calls it.

Zone: controller. Judged by the name alone: nothing was called to find out. Patterns are in
profiles/rules/callables.toml.
"""

from __future__ import annotations

import re
import sys
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import TYPE_CHECKING

from safe_load.profiles import rules

if TYPE_CHECKING:
    from safe_load.inside import NamedCallable
    from safe_load.report import Severity

#: Packages that every room has, of which honest pickles call classes, and few functions.
_INSTALLED = frozenset({"torch", "numpy", "transformers", "tokenizers", "safetensors"})
#: How Python, Cython, numpy and torch call the functions that only put an object together again.
_REBUILDS = re.compile(r"_{0,2}(pyx_unpickle|rebuild|reconstruct|unpickle)\w*")
#: What is written for a member of an enumeration (before Python 3.12) and for a bound method.
_MEMBER = re.compile(r"\(<?([\w.]+)(?:\(\.\.\.\)>)?, '([A-Za-z]\w*|_[A-Za-z]\w*)'\)")
#: How Python 3.11.0 to 3.11.3 pickles a member of a Flag that is made of others: an or of getattrs,
#: each of which is weighed for itself, or of such ors. Of anything else, or_ stays what it is.
_UNIONS = frozenset({"operator.or_", "_operator.or_"})
_PART = r"<(?:builtins\.getattr|_?operator\.or_)\(\.\.\.\)>"
_UNION = re.compile(rf"\({_PART}, {_PART}\)")
_STANDARD = frozenset(sys.stdlib_module_names) | {"__builtin__", "copy_reg"}


def weigh(named: NamedCallable) -> tuple[Severity, str]:
    """The severity of one entry, and a clause that says why, "" where there is nothing to add."""
    name, called = named.name, named.called
    if name == "builtins.getattr" and _is_member(named.arguments):
        return "low", ""
    if name in _UNIONS and _UNION.fullmatch(named.arguments):
        return "low", ""
    if _matches(name, "harmless"):
        return "low", ""
    if _dangerous(name):
        return ("high" if called else "medium"), "it can run code, or reach files and networks"
    if not called:
        return "low", ""
    root, last = name.partition(".")[0], name.rpartition(".")[2]
    if name.endswith("()"):
        return "medium", "it calls what another call returned, which no data needs"
    if re.fullmatch(r"__\w+__|append|extend|add", last):
        return "medium", "it uses pickle's ways to fill an object to call something"
    if root in _STANDARD:
        return "medium", "it is a part of Python that no checkpoint needs"
    if root in _INSTALLED and not last.lstrip("_")[:1].isupper() and not _REBUILDS.fullmatch(last):
        return "medium", f"it is a function of {root} that no checkpoint needs"
    return "low", ""


def _is_member(arguments: str) -> bool:
    """Whether getattr is asked for a plain attribute of a class, or of an instance of one."""
    match = _MEMBER.fullmatch(arguments)
    if match is None:
        return False
    owner, member = match.groups()
    return (
        owner.rpartition(".")[2][:1].isupper()
        and owner.partition(".")[0] not in _STANDARD
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
