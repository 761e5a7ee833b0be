"""Constants of a Python file, resolved through its syntax tree: nothing is imported or run.

A name may have several values (an assignment in each branch, the entries of a dict that is looked up with a key of the
moment): all of them count. The work is bounded: `Module.BUDGET` steps for each file, `_DEEPEST` for each expression.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from safe_load.register.scopes import MOST, Scope, called, formatted, joined, keyword_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_DEEPEST = 24
_Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
#: Calls that hand their first argument through, as far as a name is concerned.
_THROUGH = frozenset({"str", "Path", "PurePath", "Field", "SecretStr", "AnyUrl", "HttpUrl", "cast", "Option", "Argument", "field", "URL", "dict"})  # fmt: skip
_DEFAULTS = ("default", "default_factory")
_GETTERS = frozenset({"get", "getenv", "setdefault", "pop", "getattr", "config", "env", "str"})


class Module:
    """One file. calls: every call in it with its scope, in the order of the text."""

    BUDGET = 60_000

    def __init__(
        self,
        tree: ast.Module,
        path: str,
        importer: Callable[[str, int, str], Module | None] | None = None,
    ) -> None:
        self.path = path
        self.importer = importer
        self.top = Scope(self)
        self.calls: list[tuple[ast.Call, Scope]] = []
        self.imports: dict[str, tuple[str, str, int]] = {}
        self.fields: dict[str, list[tuple[ast.AST, Scope]]] = {}
        self.classes: dict[str, Scope] = {}
        #: Of a function's scope: what its parameters are, for its defaults and for each call of this file.
        self.bindings: dict[Scope, list[dict[str, tuple[ast.AST, Scope]]]] = {}
        self._functions: dict[str, tuple[_Function, Scope]] = {}
        self._left = self.BUDGET
        self._walk(tree)
        for call, scope in self.calls:
            self._bind(call, scope)
            self._option(call, scope)

    def renew(self) -> None:
        """Allow as many steps as at first: another file may have used them up."""
        self._left = self.BUDGET

    # Collecting: an explicit stack, so that no nesting exhausts Python's.

    def _walk(self, tree: ast.Module) -> None:
        stack: list[tuple[ast.AST, Scope]] = [(tree, self.top)]
        while stack:
            node, scope = stack.pop()
            inner = self._enter(node, scope)
            stack += [(child, inner) for child in reversed(list(ast.iter_child_nodes(node)))]

    def _enter(self, node: ast.AST, scope: Scope) -> Scope:
        """Note what the node says of names. Returns the scope of what is in it."""
        if isinstance(node, _Function):
            inner = Scope(self, scope)
            self._parameters(node, scope, inner)
            if not isinstance(node, ast.Lambda):
                scope.add(node.name, node, scope)
                self._functions[node.name] = (node, inner)
            return inner
        if isinstance(node, ast.ClassDef):
            inner = Scope(self, scope)
            scope.add(node.name, node, scope)
            self.classes[node.name] = inner
            return inner
        if isinstance(node, ast.Call):
            self.calls.append((node, scope))
        elif isinstance(node, ast.Import | ast.ImportFrom):
            self._imported(node)
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                self._assign(target, node.value, scope)
        elif isinstance(node, ast.AnnAssign | ast.NamedExpr) and node.value is not None:
            self._assign(node.target, node.value, scope)
        elif isinstance(node, ast.For | ast.AsyncFor | ast.comprehension):
            self._assign(node.target, ast.Starred(value=node.iter, ctx=ast.Load()), scope)
        return scope

    def _parameters(self, node: _Function, outer: Scope, inner: Scope) -> None:
        arguments = node.args
        plain = [*arguments.posonlyargs, *arguments.args]
        for argument, default in zip(reversed(plain), reversed(arguments.defaults), strict=False):
            inner.add(argument.arg, default, outer)
        for argument, given in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
            if given is not None:
                inner.add(argument.arg, given, outer)
        self.bindings[inner] = [{name: held[0] for name, held in inner.names.items()}]

    def _imported(self, node: ast.Import | ast.ImportFrom) -> None:
        if isinstance(node, ast.Import):
            for alias in node.names:
                local = alias.asname or alias.name.split(".")[0]
                self.imports[local] = (alias.name if alias.asname else local, "", 0)
            return
        for alias in node.names:
            self.imports[alias.asname or alias.name] = (node.module or "", alias.name, node.level)

    def _assign(self, target: ast.AST, value: ast.AST, scope: Scope) -> None:
        if isinstance(target, ast.Name):
            scope.add(target.id, value, scope)
            if scope is not self.top and scope in self.classes.values():
                self.fields.setdefault(target.id, []).append((value, scope))
        elif isinstance(target, ast.Attribute):
            self.fields.setdefault(target.attr, []).append((value, scope))
        elif isinstance(target, ast.Tuple | ast.List):
            spread = isinstance(value, ast.Tuple | ast.List) and len(value.elts) == len(target.elts)
            for number, each in enumerate(target.elts[:MOST]):
                if spread and isinstance(value, ast.Tuple | ast.List):
                    self._assign(each, value.elts[number], scope)
                else:  # for name, revision in PAIRS
                    at = ast.Subscript(value=value, slice=ast.Constant(number), ctx=ast.Load())  # type: ignore[arg-type]
                    self._assign(each, at, scope)

    def _bind(self, call: ast.Call, scope: Scope) -> None:
        """A function's parameters may be what this file calls it with."""
        name = call.func.id if isinstance(call.func, ast.Name) else ""
        if name not in self._functions:
            return
        function, inner = self._functions[name]
        plain = [*function.args.posonlyargs, *function.args.args]
        given: dict[str, tuple[ast.AST, Scope]] = {}
        for argument, each in zip(plain, call.args, strict=False):
            if not isinstance(each, ast.Starred):
                given[argument.arg] = (each, scope)
        given |= {keyword.arg: (keyword.value, scope) for keyword in call.keywords if keyword.arg}
        held = self.bindings.setdefault(inner, [{}])
        if len(held) < MOST:
            held.append({**held[0], **given})
        for word, (value, where) in given.items():
            inner.add(word, value, where)

    def _option(self, call: ast.Call, scope: Scope) -> None:
        """argparse, click and typer: an option's default is what its attribute or parameter may be."""
        name = called(call)
        if name not in {"add_argument", "option", "argument"}:
            return
        default = keyword_of(call, "default")
        words = [
            a.value for a in call.args if isinstance(a, ast.Constant) and isinstance(a.value, str)
        ]
        dest = keyword_of(call, "dest")
        if isinstance(dest, ast.Constant):
            words.append(str(dest.value))
        if default is None:
            return
        for word in words[:4]:
            plain = word.lstrip("-").replace("-", "_")
            self.fields.setdefault(plain, []).append((default, scope))
            if name != "add_argument":
                for function, inner in list(self._functions.values()):
                    if any(given.arg == plain for given in function.args.args):
                        inner.add(plain, default, scope)

    # Resolving

    def origin(self, node: ast.AST) -> str:
        """The dotted name that a call's function was imported by; "" where it was not."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if isinstance(node, ast.Name) and node.id in self.imports:
            module, name, _ = self.imports[node.id]
            return ".".join([*filter(None, (module, name)), *reversed(parts)])
        return ""

    def values(
        self, node: ast.AST, scope: Scope, depth: int = 0
    ) -> Iterator[tuple[ast.AST, Scope]]:
        """The expressions that a node may stand for: constants, strings with parts, dicts, lists, calls."""
        self._left -= 1
        if depth > _DEEPEST or self._left < 0:
            return
        deeper = depth + 1
        if isinstance(node, ast.Name):
            found = scope.find(node.id)
            for value, where in found:
                if isinstance(value, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                    yield value, where
                else:
                    yield from where.module.values(value, where, deeper)
            if not found:
                yield from self._from_elsewhere(node.id, deeper)
        elif isinstance(node, ast.Attribute):
            yield from self._attribute(node, scope, deeper)
        elif isinstance(node, ast.Subscript):
            yield from self._item(node, scope, deeper)
        elif isinstance(node, ast.IfExp | ast.BoolOp):
            for choice in node.values if isinstance(node, ast.BoolOp) else (node.body, node.orelse):
                yield from self.values(choice, scope, deeper)
        elif isinstance(node, ast.Starred):
            yield from self.each(node.value, scope, deeper)
        elif isinstance(node, ast.Await | ast.NamedExpr):
            yield from self.values(node.value, scope, deeper)
        elif isinstance(node, ast.Call):
            yield from self._call(node, scope, deeper)
        else:
            yield node, scope

    def _from_elsewhere(self, name: str, depth: int) -> Iterator[tuple[ast.AST, Scope]]:
        module, original, level = self.imports.get(name, ("", "", 0))
        if self.importer is None or not (module or level) or not original:
            return
        other = self.importer(module, level, self.path)
        if other is not None and other is not self:
            for value, where in other.top.names.get(original, []):
                if isinstance(value, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                    yield value, where
                else:
                    yield from other.values(value, where, depth)

    def _attribute(
        self, node: ast.Attribute, scope: Scope, depth: int
    ) -> Iterator[tuple[ast.AST, Scope]]:
        if isinstance(node.value, ast.Name):
            other = self._module_of(node.value.id)
            if other is not None:
                for value, where in other.top.names.get(node.attr, []):
                    yield from other.values(value, where, depth)
                return
        found = False
        for base, where in self.values(node.value, scope, depth):
            if node.attr == "value" and isinstance(base, ast.Constant):  # of an Enum
                found = True
                yield base, where
            of = (base, where)
            if isinstance(base, ast.Call) and isinstance(base.func, ast.Name):  # an instance
                of = next(where.module.values(base.func, where, depth), of)
            made, holder = of[0], of[1].module
            if isinstance(made, ast.ClassDef) and made.name in holder.classes:
                for value, inner in holder.classes[made.name].names.get(node.attr, []):
                    found = True
                    yield from holder.values(value, inner, depth)
        if not found:
            for value, where in self.fields.get(node.attr, [])[:MOST]:
                yield from self.values(value, where, depth)

    def _module_of(self, name: str) -> Module | None:
        module, original, level = self.imports.get(name, ("", "", 0))
        if self.importer is None or not (module or level or original):
            return None
        dotted = ".".join(filter(None, (module, original)))
        return self.importer(dotted, level, self.path)

    def _item(
        self, node: ast.Subscript, scope: Scope, depth: int
    ) -> Iterator[tuple[ast.AST, Scope]]:
        keys = set(self.constants(node.slice, scope, depth))
        sources = (
            self.each(node.value.value, scope, depth)
            if isinstance(node.value, ast.Starred)
            else self.values(node.value, scope, depth)
        )
        for base, where in sources:
            if isinstance(base, ast.Dict):
                for key, value in zip(base.keys, base.values, strict=True):
                    plain = key.value if isinstance(key, ast.Constant) else None
                    if key is None:  # {**OTHER}
                        at = ast.Subscript(value=value, slice=node.slice, ctx=ast.Load())
                        yield from self._item(at, where, depth + 1)
                    elif not keys or plain is None or plain in keys:
                        yield from where.module.values(value, where, depth)
            elif isinstance(base, ast.List | ast.Tuple):
                for number, value in enumerate(base.elts[:200]):
                    if not keys or number in keys:
                        yield from where.module.values(value, where, depth)

    def each(self, node: ast.AST, scope: Scope, depth: int) -> Iterator[tuple[ast.AST, Scope]]:
        """What a loop over the expression gives, one after the other."""
        view = node.func if isinstance(node, ast.Call) else None
        if isinstance(view, ast.Attribute) and view.attr in {"values", "items", "keys"}:
            yield from self._view(view, scope, depth)
            return
        for base, where in self.values(node, scope, depth):
            elements: list[ast.expr | None] = (
                base.keys if isinstance(base, ast.Dict) else getattr(base, "elts", [])
            )
            for element in elements[:200]:
                if element is not None:
                    yield from where.module.values(element, where, depth)

    def _view(
        self, view: ast.Attribute, scope: Scope, depth: int
    ) -> Iterator[tuple[ast.AST, Scope]]:
        """What .keys(), .values() and .items() of a dict give."""
        for base, where in self.values(view.value, scope, depth):
            if not isinstance(base, ast.Dict):
                continue
            for key, value in zip(base.keys, base.values, strict=True):
                if view.attr == "items":
                    yield ast.Tuple(elts=[key or ast.Constant(None), value], ctx=ast.Load()), where
                else:
                    each = key if view.attr == "keys" and key is not None else value
                    yield from where.module.values(each, where, depth)

    def _call(self, node: ast.Call, scope: Scope, depth: int) -> Iterator[tuple[ast.AST, Scope]]:
        name = called(node)
        if name in _GETTERS and len(node.args) >= 1:
            yield from self._getter(node, scope, depth)
            return
        if name in _THROUGH:
            for word in _DEFAULTS:
                if (value := keyword_of(node, word)) is not None:
                    made = value.body if isinstance(value, ast.Lambda) else value
                    yield from self.values(made, scope, depth)
                    return
            if node.args and name != "dict":
                yield from self.values(node.args[0], scope, depth)
                return
        if name == "dict":
            keys = [ast.Constant(k.arg) for k in node.keywords if k.arg]
            held = [k.value for k in node.keywords if k.arg]
            yield ast.Dict(keys=list(keys), values=held), scope
            return
        if name in {"strip", "lower", "rstrip", "lstrip"} and isinstance(node.func, ast.Attribute):
            yield from self.values(node.func.value, scope, depth)
            return
        if isinstance(node.func, ast.Name) and node.func.id in self._functions and not node.args:
            function, inner = self._functions[node.func.id]
            for part in ast.walk(function):
                if isinstance(part, ast.Return) and part.value is not None:
                    yield from self.values(part.value, inner, depth)
            return
        yield node, scope

    def _getter(self, node: ast.Call, scope: Scope, depth: int) -> Iterator[tuple[ast.AST, Scope]]:
        """os.environ.get("X", "default"), os.getenv, dict.get and getattr."""
        if isinstance(node.func, ast.Attribute) and node.func.attr in {"get", "pop"}:
            at = ast.Subscript(value=node.func.value, slice=node.args[0], ctx=ast.Load())
            yield from self._item(at, scope, depth)
        default = keyword_of(node, "default") or (node.args[-1] if len(node.args) > 1 else None)
        if default is not None:
            yield from self.values(default, scope, depth)
        elif called(node) == "str":
            yield from self.values(node.args[0], scope, depth)

    def constants(self, node: ast.AST, scope: Scope, depth: int = 0) -> list[object]:
        """The constants that an expression may be: text put together of parts, numbers, None. [] where unknown."""
        found: dict[object, None] = {}
        for value, where in self.values(node, scope, depth):
            for each in where.module.constant(value, where, depth + 1):
                found[each] = None
                if len(found) >= MOST:
                    return list(found)
        return list(found)

    def constant(self, node: ast.AST, scope: Scope, depth: int) -> list[object]:
        if depth > _DEEPEST or self._left < 0:
            return []
        if isinstance(node, ast.Constant):
            return [node.value] if isinstance(node.value, str | int | None) else []
        if isinstance(node, ast.JoinedStr):
            parts = [
                self.constants(
                    part.value if isinstance(part, ast.FormattedValue) else part, scope, depth + 1
                )
                for part in node.values
            ]
            return joined(parts)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Div):
            sides = [self.constants(side, scope, depth + 1) for side in (node.left, node.right)]
            if isinstance(node.op, ast.Div):
                sides.insert(1, ["/"])
            return joined(sides)
        return self._pattern(node, scope, depth + 1)

    def _pattern(self, node: ast.AST, scope: Scope, depth: int) -> list[object]:
        """Texts put together by % and .format()."""
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod):
            left: ast.AST = node.left
            given = node.right.elts if isinstance(node.right, ast.Tuple) else [node.right]
        elif isinstance(node, ast.Call) and called(node) == "format" and not node.keywords:
            left, given = node.func, node.args
            left = left.value if isinstance(left, ast.Attribute) else left
        else:
            return []
        parts = [self.constants(each, scope, depth) for each in given]
        if not all(parts):
            return []
        values = [str(part[0]) for part in parts]
        made = [formatted(str(text), values) for text in self.constants(left, scope, depth)]
        return [text for text in made if text is not None]

    def texts(self, node: ast.AST, scope: Scope) -> list[str]:
        """The texts among `constants`."""
        return [value for value in self.constants(node, scope) if isinstance(value, str)]
