"""How a pickle uses a callable, in a word that an allowlist can name. Zone: worker.

new             made without arguments by NEWOBJ, OBJ, INST or copyreg._reconstructor, then given a dict
(str,int)       called, with arguments of these kinds; "data" is a container, "dtype" an element type of torch
                or numpy, "=x.y" the callable of that name, "<x.y>" what a call of it returned, "**" stands for keywords
enum            a member of an enumeration: called with one plain value, or named by getattr
dict, slots     BUILD with a dict, or with the pair that objects with __slots__ give
code            the same, where a text in it is one that such a class is known to run
state:KIND      BUILD with anything else
items, pairs    APPEND(S) or ADDITEMS, SETITEM(S)
key             a key of a dict or an element of a set
value           stands where it may be called later, with whatever is at hand
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeGuard

from safe_load.worker.pickle_vm.values import (
    ByteArray,
    Global,
    Inexpressible,
    Storage,
    Stub,
    Tensor,
)
from safe_load.worker.spans import Span
from safe_load.worker.tensors.dtypes import TORCH, NumpyDtype

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Attributes that classes run as a program when pickle gives them back, with all that they may say: None for
#: nothing. scipy's distributions (1.2 to 1.17) run the template of their arguments; what statsmodels keeps of
#: a formula (0.9 to 0.15) is a program of Python to patsy and formulaic.
_RUNS: dict[str, re.Pattern[str] | None] = {
    "_parse_arg_template": re.compile(
        r"\ndef _parse_args\(self, (?P<names>(?:[A-Za-z]\w{0,30}, ){0,12}) (?P<given>loc=0(?:, scale=1)?)\):\n"
        r"    return \((?P=names)\), (?P<kept>loc, (?:scale|1))\n\n"
        r"def _parse_args_rvs\(self, (?P=names) (?P=given), size=None\):\n"
        r"    return self\._argcheck_rvs\((?P=names) (?P=kept), size=size\)\n\n"
        r"def _parse_args_stats\(self, (?P=names) (?P=given), moments='mv'\):\n"
        r"    return \((?P=names)\), (?P=kept), moments\n",
        re.ASCII,
    ),
    "restore_design_info": None,
    "restore_model_spec": None,
}

#: Opcodes that make an object by its class's __new__ alone when there are no arguments.
MAKERS = frozenset({"NEWOBJ", "NEWOBJ_EX", "OBJ", "INST"})

#: Constants that nothing can be done with.
_DTYPES = frozenset(f"torch.{name}" for name in TORCH)
_KINDS: dict[type, str] = {
    type(None): "none",
    bool: "bool",
    int: "int",
    float: "float",
    complex: "complex",
    str: "str",
    bytes: "bytes",
    bytearray: "bytes",
    Span: "bytes",
    ByteArray: "bytes",
    Tensor: "tensor",
    Inexpressible: "tensor",
    Storage: "storage",
    NumpyDtype: "dtype",
}


def kind(value: object) -> str:
    """The kind of one argument."""
    if isinstance(value, Global):
        return "dtype" if value.name in _DTYPES else f"={value.name}"
    if isinstance(value, Stub):
        return f"<{value.made_by}>"
    if type(value) in _KINDS:
        return _KINDS[type(value)]
    return "data" if isinstance(value, (list, tuple, dict, set, frozenset)) else "other"


def of_call(args: Iterable[object], kwargs: object, opcode: str) -> str:
    """The shape of a call."""
    kinds = [kind(arg) for arg in args]
    if not kinds and not kwargs and opcode in MAKERS:
        return "new"
    return f"({','.join([*kinds, '**'] if kwargs else kinds)})"


def of_state(state: object) -> str:
    """The shape of what BUILD gives."""
    if isinstance(state, dict):
        return "code" if _runs(state) else "dict"
    if is_slots(state):
        return "code" if any(part and _runs(part) for part in state) else "slots"
    return f"state:{','.join(map(kind, state)) if isinstance(state, tuple) else kind(state)}"


def _runs(state: dict[object, object]) -> bool:
    """Whether a text in it may be one that is run."""
    for key in _RUNS.keys() & state.keys():
        pattern, text = _RUNS[key], state[key]
        if pattern is None or not isinstance(text, str) or len(text) > 4000:
            return True
        if not pattern.fullmatch(text):
            return True
    return False


def is_slots(state: object) -> TypeGuard[tuple[dict[object, object] | None, ...]]:
    """Whether it is a __dict__ and the values of __slots__, either of which may be missing."""
    return (
        isinstance(state, tuple)
        and len(state) == 2
        and all(part is None or isinstance(part, dict) for part in state)
    )


def is_small(args: tuple[object, ...], opcode: str) -> bool:
    """Whether a class is given what makes a member of an enumeration, one number or word, or, by its
    __new__ alone, a named tuple without any text but words."""
    if opcode not in MAKERS:
        return len(args) == 1 and is_word(args[0])
    return 0 < len(args) <= 32 and all(
        is_word(arg)
        or arg is None
        or isinstance(arg, (float, Tensor))
        or (isinstance(arg, (tuple, list)) and len(arg) <= 64 and all(map(is_word, arg)))
        for arg in args
    )


def is_word(value: object) -> bool:
    """Whether a value is a number, or a short text of letters and digits: no name of a file, no code."""
    if isinstance(value, str):
        # A dotted name is what an importer is given.
        return (
            len(value) <= 64
            and not re.search(r"[A-Za-z_]\.[A-Za-z_]", value)
            and all(part.isalnum() for part in re.split(r"[-_. ]", value) if part)
        )
    return isinstance(value, int)
