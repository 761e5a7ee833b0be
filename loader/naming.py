"""How grave it is that a pickle names something, or calls it.

Zone: controller. Judged by the name alone: nothing was called to find out. Patterns are in
profiles/rules/callables.toml.
"""

from __future__ import annotations

import sys
from fnmatch import fnmatchcase
from functools import cache
from typing import TYPE_CHECKING

from safe_load.profiles import rules

if TYPE_CHECKING:
    from safe_load.inside import NamedCallable
    from safe_load.report import Severity

#: Packages that every room has, of which honest pickles call classes, and few functions.
_INSTALLED = frozenset({"torch", "numpy", "transformers", "tokenizers", "safetensors"})
_STANDARD = frozenset(sys.stdlib_module_names) | {"__builtin__", "copy_reg"}


def weigh(named: NamedCallable) -> tuple[Severity, str]:
    """The severity of one entry, and a clause that says why, "" where there is nothing to add."""
    name, called = named.name, named.called
    if _dangerous(name):
        return ("high" if called else "medium"), "it can run code, or reach files and networks"
    if not called:
        return "low", ""
    root, last = name.partition(".")[0], name.rpartition(".")[2]
    if name.endswith("()"):
        return "medium", "it calls what another call returned, which no data needs"
    if last.startswith("__") or last in {"append", "extend", "add"}:
        return "medium", "it uses pickle's ways to fill an object to call something"
    if root in _STANDARD:
        return "medium", "it is a part of Python that no checkpoint needs"
    if root in _INSTALLED and not last.lstrip("_")[:1].isupper():
        return "medium", f"it is a function of {root} that no checkpoint needs"
    return "low", ""


@cache
def _dangerous(name: str) -> bool:
    table = rules("callables")["dangerous"]
    if any(fnmatchcase(name, pattern) for pattern in table["harmless"]):
        return False
    if any(fnmatchcase(name, pattern) for pattern in table["patterns"]):
        return True
    # From one module of Python's to another through its imports: logging.os.system.
    root, *path = name.split(".")
    return root in _STANDARD and any(
        fnmatchcase(".".join(path[start:]).lstrip("_"), pattern)
        for start in range(len(path))
        for pattern in table["patterns"]
        if not pattern.startswith("*")
    )
