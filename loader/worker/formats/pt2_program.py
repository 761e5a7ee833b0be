"""What loading or running an exported torch program (.pt2) runs besides arithmetic. Zone: worker.

ROOT/models/*.json, or serialized_exported_program.json before torch 2.8, is the program (torch/_export/serde/schema.py).
torch.export.load looks up the functions that the graph's nodes name, has sympy evaluate expressions as Python, and
compiles guards.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from safe_load.worker import strict_json
from safe_load.worker.refusal import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from safe_load.worker.formats.interface import File

MAX_PROGRAM = 64 << 20
MAX_PARTS = 5_000_000
_PROGRAM = re.compile(r"(?:[^/]+/)?models/[^/]+\.json|(?:[^/]+/)?serialized_exported_program\.json")
#: What nodes of honest graphs call: operators, which only compute, and arithmetic of sizes.
_COMPUTES = re.compile(
    r"torch\.ops\.(?:aten(?!\.(?:save|from_file)\b)|prims|quantized|quantized_decomposed|torchvision|higher_order(?!\.(?:\w*delegate|triton\w*|call_torchbind|inductor\w*)))\.\w+(?:\.\w+)?"
    r"|_operator\.(?:abs|add|and_|eq|floordiv|ge|getitem|gt|invert|le|lshift|lt|mod|mul|ne|neg|not_|or_|pos|pow|rshift|sub|truediv|xor)"
    r"|math\.[a-z]\w*|torch\.(?:sym_\w+|_sym_\w+)|torch\._higher_order_ops(?:\.\w+){1,3}"
)
#: What sizes are made of: numbers, symbols and these functions (torch/utils/_sympy/functions.py, sympy.srepr).
_FUNCTIONS = frozenset(
    "FloorDiv ModularIndexing Where PythonMod Mod CleanDiv CeilToInt FloorToInt CeilDiv LShift RShift PowByNatural FloatPow"
    " FloatTrueDiv IntTrueDiv TruncToInt TruncToFloat RoundToInt RoundDecimal ToFloat Identity Max Min Eq Ne Lt Le Gt Ge And"
    " Or Not Abs Pow Add Mul Integer Rational Equality Unequality LessThan StrictLessThan GreaterThan StrictGreaterThan"
    " floor ceiling BitwiseFn_bitwise_and BitwiseFn_bitwise_or".split()
)
_LEAF = re.compile(
    r"Symbol\('\w{1,60}'(?:, \w{1,20}=(?:True|False)){0,9}\)|Float\('[\d.e+-]{1,40}', precision=\d{1,4}\)",
    re.ASCII,
)
#: Sizes of inputs, as guards name them.
_SIZES = re.compile(
    r"L\['\w{1,100}'\](?:\[\d{1,4}\]|\['\w{1,100}'\]){0,9}\.(?:(?:size|stride)\(\)\[\d{1,4}\]|storage_offset\(\))",
    re.ASCII,
)
#: Characters of an expression and of a guard: longer ones are told, and none is read in part.
MAX_EXPRESSION = 16384
_EXPRESSION = re.compile(r"[\w\s.,()+\-*/%<>=!&|~]{0,8192}", re.ASCII)
_CALLED = re.compile(r"([A-Za-z_]\w*)\s*\(")
_REACHED = re.compile(r"[A-Za-z_)]\s*\.|__")


def runs(parts: list[File]) -> Iterator[str]:
    """A sentence without its subject for each thing in the archive's programs that is more than arithmetic.
    Raises RefusedError for a program that does not parse."""
    for part in parts:
        if _PROGRAM.fullmatch(part.name):
            yield from _of(_json(part))


def _json(part: File) -> object:
    if part.size > MAX_PROGRAM:
        raise RefusedError(f"{part.name[:200]!a} in it is longer than {MAX_PROGRAM >> 20} MiB")
    try:
        return strict_json.parse(
            part.read(0, part.size), where=part.name[:200], max_bytes=MAX_PROGRAM, max_depth=200,
            max_string=MAX_PROGRAM, max_items=MAX_PARTS, allow_nonfinite=True,
        )  # fmt: skip
    except strict_json.Malformed as error:
        raise RefusedError(str(error)) from None


def _of(program: object) -> Iterator[str]:
    todo: list[tuple[str, object]] = [("", program)]
    while todo:
        key, value = todo.pop()
        if isinstance(value, dict):
            if key == "range_constraints":
                todo += [("expr_str", symbol) for symbol in value]
            elif key == "guards_code":  # torch goes through its keys
                todo += [(key, guard) for guard in value]
            todo += value.items()
        elif isinstance(value, list):
            todo += [(key, item) for item in value]
        elif isinstance(value, str):
            # An operator may also be what another one is given, and calls.
            if key in ("target", "as_operator") and not _COMPUTES.fullmatch(value):
                yield f"names the function {value[:200]!a}, which the program calls"
            elif key == "expr_str" and not _is_arithmetic(value):
                yield f"holds the expression {value[:100]!a}, which torch.export.load evaluates as Python"
            elif key == "guards_code" and not _is_guard(value):
                yield f"holds a guard, which torch.export.load runs as Python: {value[:100]!a}"


def _is_guard(text: str) -> bool:
    return len(text) <= MAX_EXPRESSION and _is_arithmetic(_SIZES.sub("s", text))


def _is_arithmetic(text: str) -> bool:
    if len(text) > MAX_EXPRESSION:
        return False
    text = _LEAF.sub("s", text)
    return (
        _EXPRESSION.fullmatch(text) is not None
        and not _REACHED.search(text)
        and all(name in _FUNCTIONS for name in _CALLED.findall(text))
    )
