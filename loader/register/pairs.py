"""Names and the revisions that go with them, where a call may take several of both.

`for name, revision in PAIRS`, `load(name, revision)` called twice, `MODELS[key]["name"]` beside `MODELS[key]["revision"]`:
each name has its own revision. Where nothing says which belongs to which, a name has the loosest.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from safe_load.register.names import commit_state

if TYPE_CHECKING:
    from collections.abc import Iterator

    from safe_load.register.scopes import Scope
    from safe_load.register.syntax import Module

#: (revision, whether it is known).
Revision = tuple[str | None, bool]
_MOST = 64


def pairs(
    module: Module, scope: Scope, name: ast.AST, revision: ast.AST | None, unset: Revision
) -> list[tuple[str, Revision]]:
    """Each name that a call may load, and its revision. revision: None where the call has no such argument, and then
    `unset` holds. [] where no name is known."""
    if revision is not None:
        for one, _other, where in _together(module, scope, name, revision):
            texts = module.texts(one, where)
            if not texts:
                continue
            return [
                (text, pin)
                for each, beside, at in _together(module, scope, name, revision)
                for text in module.texts(each, at)
                for pin in [_loosest(_values(module, beside, at))]
            ][:_MOST]
    pin = unset if revision is None else _loosest(_values(module, revision, scope))
    return [(text, pin) for text in module.texts(name, scope)]


def _values(module: Module, node: ast.AST, scope: Scope) -> list[Revision]:
    values = module.constants(node, scope)
    return [(value if isinstance(value, str) else None, True) for value in values] or [
        (None, False)
    ]


def _loosest(pins: list[Revision]) -> Revision:
    floating = [pin for pin in pins if pin[1] and commit_state(pin[0]) == "floating"]
    return (floating or [pin for pin in pins if not pin[1]] or pins)[0]


def _together(
    module: Module, scope: Scope, name: ast.AST, revision: ast.AST
) -> Iterator[tuple[ast.AST, ast.AST, Scope]]:
    if isinstance(name, ast.Name) and isinstance(revision, ast.Name):
        yield from _bound(module, scope, name.id, revision.id)
        yield from _unpacked(module, scope, name.id, revision.id)
    elif isinstance(name, ast.Subscript) and isinstance(revision, ast.Subscript):
        if ast.dump(name.value) != ast.dump(revision.value):
            return
        for base, where in module.values(name.value, scope):
            if isinstance(base, ast.Dict | ast.List | ast.Tuple):
                yield _at(base, name.slice), _at(base, revision.slice), where


def _bound(
    module: Module, scope: Scope, name: str, revision: str
) -> Iterator[tuple[ast.AST, ast.AST, Scope]]:
    """Parameters of the function around the call: one pair for each call of it."""
    around: Scope | None = scope
    while around is not None and name not in around.names:
        around = around.parent
    if around is None:
        return
    for binding in module.bindings.get(around, []):
        if name in binding and (len(module.bindings[around]) == 1 or binding):
            value, where = binding[name]
            pin, beside = binding.get(revision, (ast.Constant(None), where))
            if beside is where or isinstance(pin, ast.Constant):
                yield value, pin, where
            else:
                yield value, pin, beside


def _unpacked(
    module: Module, scope: Scope, name: str, revision: str
) -> Iterator[tuple[ast.AST, ast.AST, Scope]]:
    """for name, revision in PAIRS."""
    for one, where in scope.find(name):
        for other, _ in scope.find(revision):
            if (
                isinstance(one, ast.Subscript)
                and isinstance(other, ast.Subscript)
                and isinstance(one.value, ast.Starred)
                and one.value is other.value
            ):
                for element, at in module.each(one.value.value, where, 0):
                    yield _at(element, one.slice), _at(element, other.slice), at


def _at(base: ast.AST, key: ast.AST) -> ast.AST:
    return ast.Subscript(value=base, slice=key, ctx=ast.Load())  # type: ignore[arg-type]
