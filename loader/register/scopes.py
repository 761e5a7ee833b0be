"""Names of a Python file and what they may stand for; small readers of calls."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Expressions of one name, and texts of one expression, that count.
MOST = 16


class Resolver(Protocol):
    """The file that a scope is of; `syntax.Module` is the one that there is."""

    classes: dict[str, Scope]

    def values(
        self, node: ast.AST, scope: Scope, depth: int = 0
    ) -> Iterator[tuple[ast.AST, Scope]]:
        """The expressions that a node may stand for."""

    def constant(self, node: ast.AST, scope: Scope, depth: int) -> list[object]:
        """The constants that a resolved node is."""

    def texts(self, node: ast.AST, scope: Scope) -> list[str]:
        """The texts that an expression may be."""


@dataclass(eq=False)
class Scope:
    """Names of a module, a class or a function, and the expressions that they may stand for."""

    module: Resolver
    parent: Scope | None = None
    names: dict[str, list[tuple[ast.AST, Scope]]] = field(default_factory=dict)

    def add(self, name: str, node: ast.AST, scope: Scope) -> None:
        held = self.names.setdefault(name, [])
        if len(held) < MOST:
            held.append((node, scope))

    def find(self, name: str) -> list[tuple[ast.AST, Scope]]:
        """The expressions of a name, of the innermost scope that has it."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.names:
                return scope.names[name]
            scope = scope.parent
        return []


def called(call: ast.Call) -> str:
    """The last part of the name of what is called; "" where it has none."""
    function = call.func
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def keyword_of(call: ast.Call, name: str) -> ast.expr | None:
    """The value of a keyword argument that stands in the call."""
    return next((keyword.value for keyword in call.keywords if keyword.arg == name), None)


def formatted(pattern: str, values: list[str]) -> str | None:
    """ "{}/{}".format(...) and "%s/%s" % (...) of texts; None for any other form."""
    marks = "{}" if "{}" in pattern else "%s" if "%s" in pattern else ""
    if not marks or pattern.count(marks) != len(values):
        return None
    parts = pattern.split(marks)
    return parts[0] + "".join(value + part for value, part in zip(values, parts[1:], strict=True))


def joined(parts: list[list[object]]) -> list[object]:
    """Every way to put texts together, one of each part; [] where a part is unknown."""
    done = [""]
    for part in parts:
        done = [f"{head}{tail}" for head in done for tail in part if tail is not None][:MOST]
    return [text for text in done if len(text) <= 2000]
