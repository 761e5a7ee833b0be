"""Mappings that a call is given: a client's configuration, a payload."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from safe_load.register import calls, found

if TYPE_CHECKING:
    from collections.abc import Iterator

    from safe_load.register.rows import Reference
    from safe_load.register.scopes import Scope
    from safe_load.register.syntax import Module

_DEEPEST = 6


def of_call(module: Module, call: ast.Call, scope: Scope) -> Iterator[Reference]:
    """The models and hosts that keys of mappings in the arguments name."""
    for argument in [*call.args, *(keyword.value for keyword in call.keywords)]:
        for held in _mappings(argument, 0):
            texts = {
                str(key.value): module.texts(value, scope)
                for key, value in zip(held.keys, held.values, strict=True)
                if isinstance(key, ast.Constant)
            }
            revision = next(iter(texts.get("revision", [])), None)
            for key, values in texts.items():
                for text in values:
                    if calls.names_model(key):
                        yield from found.named(text, held.lineno, revision, strict=True, weak=True)
                    elif calls.names_host(key):
                        yield from found.host(text, held.lineno)


def _mappings(node: ast.AST, depth: int) -> Iterator[ast.Dict]:
    """Not those in further calls, which are looked at themselves."""
    if depth > _DEEPEST or isinstance(node, ast.Call):
        return
    if isinstance(node, ast.Dict):
        yield node
    for child in ast.iter_child_nodes(node):
        yield from _mappings(child, depth + 1)
