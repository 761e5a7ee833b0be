"""What rendering a template could cost: how often its statements run, and how long its texts grow.

Zone: worker. A template is never rendered here. Two bounds are computed from what it says: each loop
counts as often as its constant says, one over what is given to the template a few times; what loops
and macros multiply must stay below a limit. And no value may be made of itself more than once in
a round: it would double, and sixty rounds fill any memory.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from jinja2 import nodes

#: Statements that run, with each loop over what is given counted `_GIVEN` times.
_MOST = 10_000_000
_GIVEN = 4
_MOST_MACROS = 200
#: What a count that the template computes may come to, at least.
_COUNTED = 1000
#: Methods that put their arguments into the object.
_GROWING = frozenset("append extend insert update setdefault".split())
#: Filters that fill up to a width, or to a number of parts.
_FILLING = frozenset("center indent batch slice wordwrap".split())
#: Functions of the renderer's own that give no more than they are given.
_PLAIN = frozenset("range dict namespace raise_exception strftime_now caller".split())
#: Copies of what is given in one value.
_MOST_COPIES = 1 << 20
#: Filters and methods after which a text may be longer by a factor.
_LENGTHENING = frozenset("tojson urlencode escape e forceescape".split())
#: What a macro that calls itself may make of what it was given: it must come closer to an end.
_DESCENDING = frozenset("get items keys values".split())


def excess(tree: nodes.Template) -> str | None:
    """Why rendering it could take too long or too much, or None. Completes "it ..."."""
    cost = _Cost(tree)
    if cost.macros > _MOST_MACROS:
        return f"has more than {_MOST_MACROS} macros"
    if (reason := cost.recursion()) is not None:
        return reason
    if cost.of(tree.body) > _MOST:
        return "runs more rounds than any text needs: its counts multiply"
    if cost.doubles(tree):
        return "puts a value into itself more than once in a round, so that it doubles"
    return None


class _Cost:
    """One look at one template. Everything here takes a time that grows with its nodes alone."""

    def __init__(self, tree: nodes.Template) -> None:
        from jinja2 import nodes  # noqa: PLC0415

        self._macros = {macro.name: macro for macro in tree.find_all(nodes.Macro)}
        self.macros = len(self._macros)
        self._recursive: set[str] = set()
        self._costs: dict[str, float] = {}
        numbers = [abs(each.value) for each in tree.find_all(nodes.Const) if _is_number(each.value)]
        multiplied = any(_is_product(each) for each in tree.find_all((nodes.Mul, nodes.Pow)))
        #: What a count comes to that is no constant.
        self._computed = math.inf if multiplied else max([_COUNTED, *numbers])

    def recursion(self) -> str | None:
        """Why a macro that calls itself need not come to an end in time."""
        from jinja2 import nodes  # noqa: PLC0415

        calls = {
            name: [each for each in macro.find_all(nodes.Call) if self._macro(each) is not None]
            for name, macro in self._macros.items()
        }
        reached = _closure(
            {name: {self._macro(each) or "" for each in calls[name]} for name in calls}
        )
        for name, made in calls.items():
            for call in made:
                if name in reached.get(self._macro(call) or "", ()) and not _descends(call):
                    return "has a macro that calls itself with computed values"
        self._recursive = {name for name in calls if name in reached.get(name, ())}
        return None

    def _macro(self, call: nodes.Call) -> str | None:
        from jinja2 import nodes  # noqa: PLC0415

        named = call.node
        return named.name if isinstance(named, nodes.Name) and named.name in self._macros else None

    def of(self, body: Iterable[nodes.Node]) -> float:
        """How many statements run at most."""
        return sum(self._node(node) for node in body)

    def _node(self, node: nodes.Node) -> float:
        from jinja2 import nodes  # noqa: PLC0415

        match node:
            case nodes.For(iter=source, body=body, else_=otherwise):
                return (
                    self._node(source)
                    + self._rounds(source) * (1 + self.of(body))
                    + self.of(otherwise)
                )
            case nodes.Macro():
                return 1
            case nodes.CallBlock(call=call, body=body):
                return self._node(call) * (1 + self.of(body))
            case nodes.Call() if (name := self._macro(node)) is not None:
                # What a macro is given it may write several times: calls within calls multiply.
                return self._called(name) * (1 + sum(map(self._node, (*node.args, *node.kwargs))))
            case nodes.Filter(name=name, args=args) if name in _FILLING:
                return 1 + sum(map(_value, args)) + sum(map(self._node, node.iter_child_nodes()))
            case nodes.Call(node=nodes.Getattr(attr="zfill"), args=args):
                return 1 + sum(map(_value, args))
            case nodes.Mul(left=left, right=right):
                return 1 + max(_value(left), _value(right)) + self._node(left) + self._node(right)
        return 1 + sum(self._node(each) for each in node.iter_child_nodes())

    def _called(self, name: str) -> float:
        if name in self._recursive:
            # How deep it goes is the data's to say; what one call does is in its body, counted once.
            return _GIVEN
        if name not in self._costs:
            macro = self._macros[name]
            self._costs[name] = 1 + self.of([*macro.defaults, *macro.body])
        return self._costs[name]

    def _rounds(self, source: nodes.Node) -> float:
        from jinja2 import nodes  # noqa: PLC0415

        ranges = [
            call
            for call in (source, *source.find_all(nodes.Call))
            if isinstance(call, nodes.Call)
            and isinstance(call.node, nodes.Name)
            and call.node.name == "range"
        ]
        constants = [
            len(each.items)
            for each in (source, *source.find_all(nodes.List))
            if isinstance(each, nodes.List)
        ]
        counts = [
            max(
                (_value(each) if isinstance(each, nodes.Const) else self._computed)
                for each in call.args
            )
            for call in ranges
            if call.args
        ]
        return max([_GIVEN, *constants, *counts])

    def doubles(self, tree: nodes.Template) -> bool:
        """Whether something is made of itself more than once: one statement after the other, or round
        after round, by itself or by way of others."""
        copies: dict[str, int] = {}
        into: dict[str, dict[str, int]] = {}
        lasting: set[str] = set()
        for target, value, lasts in _assignments(tree):
            uses = _uses(value)
            copies[target] = max(
                1, sum(times * copies.get(name, 1) for name, times in uses.items())
            )
            if copies[target] > _MOST_COPIES:
                return True
            if lasts:
                lasting.add(target)
            row = into.setdefault(target, {})
            for name, times in uses.items():
                row[name] = max(row.get(name, 0), times)
        for members in _components(into):
            edges = sum(
                times
                for target in members
                for name, times in into.get(target, {}).items()
                if name in members
            )
            # A plain name is another one in the next round of its loop.
            if edges > len(members) and not lasting.isdisjoint(members):
                return True
        return False


def _assignments(tree: nodes.Template) -> Iterator[tuple[str, nodes.Node, bool]]:
    """(name, what goes into it, whether that lasts to the next round of a loop), in their order."""
    from jinja2 import nodes  # noqa: PLC0415

    for node in tree.find_all((nodes.Assign, nodes.AssignBlock, nodes.Call)):
        match node:
            case nodes.Assign(target=target, node=value):
                for name in _targets(target):
                    yield name, value, "." in name
            case nodes.AssignBlock(target=target):
                shown = nodes.List(list(node.find_all(nodes.Output)))
                for name in _targets(target):
                    yield name, shown, "." in name
            case nodes.Call(node=nodes.Getattr(node=held, attr=attr), args=args) if (
                attr in _GROWING
            ):
                for name in _uses(held):
                    yield name, nodes.List([held, *args]), True


def _targets(target: nodes.Node) -> Iterator[str]:
    from jinja2 import nodes  # noqa: PLC0415

    for each in (target, *target.find_all((nodes.Name, nodes.NSRef))):
        if isinstance(each, nodes.NSRef):
            yield f"{each.name}.{each.attr}"
        elif isinstance(each, nodes.Name):
            yield each.name


def _uses(value: nodes.Node) -> dict[str, int]:
    """How often the value of each name may be in what an expression gives; bounded."""
    from jinja2 import nodes  # noqa: PLC0415

    match value:
        case nodes.Name(name=name):
            return {name: 1}
        case nodes.Getattr(node=nodes.Name(name=name), attr=attr):
            return {f"{name}.{attr}": 1, name: 1}
        case nodes.CondExpr(expr1=one, expr2=other):
            return _most([_uses(one), _uses(other) if other is not None else {}])
        case nodes.And(left=left, right=right) | nodes.Or(left=left, right=right):
            return _most([_uses(left), _uses(right)])
        case nodes.Compare() | nodes.Test() | nodes.Not() | nodes.Const():
            return {}
        case nodes.Getitem(node=held):
            return _uses(held)
        case nodes.Filter(name=name) if name in _LENGTHENING or (
            name == "replace" and _longer(value.args)
        ):
            return dict.fromkeys(_sum(value.iter_child_nodes()), 2)
        case nodes.Filter(name="length" | "count" | "int" | "float" | "abs"):
            return {}
        case nodes.Call(node=nodes.Getattr(node=held, attr="replace"), args=args):
            times = 2 if _longer(args) else 1
            return {each: times * count for each, count in _sum([held, *args]).items()}
        case nodes.Call(node=nodes.Getattr(node=held), args=args):
            return _sum([held, *args])
        case nodes.Call(node=nodes.Name(name=name), args=args, kwargs=kwargs):
            times = 1 if name in _PLAIN else 2  # a macro may write what it is given twice
            return {each: times * count for each, count in _sum([*args, *kwargs]).items()}
        case nodes.Mul(left=left, right=right):
            return dict.fromkeys(_sum([left, right]), 2)
    return _sum(value.iter_child_nodes())


def _sum(values: Iterable[nodes.Node]) -> dict[str, int]:
    found: dict[str, int] = {}
    for value in values:
        for name, times in _uses(value).items():
            found[name] = min(1000, found.get(name, 0) + times)
    return found


def _most(choices: Iterable[dict[str, int]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for choice in choices:
        for name, times in choice.items():
            found[name] = max(found.get(name, 0), times)
    return found


def _longer(args: list[nodes.Expr]) -> bool:
    """Whether what is put in may be longer than what is taken out."""
    from jinja2 import nodes  # noqa: PLC0415

    texts = [each.value for each in args[:2] if isinstance(each, nodes.Const)]
    if len(texts) < 2 or not all(isinstance(text, str) for text in texts):
        return True
    return len(texts[1]) > len(texts[0])


def _descends(call: nodes.Call) -> bool:
    """Whether a macro is called with parts of what there is, and nothing that was computed."""
    from jinja2 import nodes  # noqa: PLC0415

    for argument in (*call.args, *(each.value for each in call.kwargs)):
        for node in (argument, *argument.find_all(nodes.Expr)):
            match node:
                case nodes.Sub() | nodes.Mul() | nodes.Div() | nodes.FloorDiv() | nodes.Mod():
                    return False
                case nodes.Getitem(arg=nodes.Slice()):
                    return False
                case nodes.Add() if not _within_text(node):
                    return False
                case nodes.Call(node=nodes.Getattr(attr=attr)) if attr not in _DESCENDING:
                    return False
    return True


def _within_text(node: nodes.Add) -> bool:
    """Whether a sum is of texts: as an indentation that grows with each level."""
    from jinja2 import nodes  # noqa: PLC0415

    return any(
        isinstance(side, nodes.Const) and isinstance(side.value, str)
        for side in (node.left, node.right)
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _value(node: nodes.Node) -> float:
    from jinja2 import nodes  # noqa: PLC0415

    return abs(node.value) if isinstance(node, nodes.Const) and _is_number(node.value) else 0


def _is_product(node: nodes.BinExpr) -> bool:
    """Whether two computed values, or a power, are multiplied."""
    from jinja2 import nodes  # noqa: PLC0415

    return isinstance(node, nodes.Pow) or not any(
        isinstance(side, nodes.Const) for side in (node.left, node.right)
    )


def _closure(edges: dict[str, set[str]]) -> dict[str, set[str]]:
    """From each name, all that can be reached. The names of macros are few."""
    reached: dict[str, set[str]] = {}
    for start, first in edges.items():
        found: set[str] = set()
        waiting = [*first]
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting += edges.get(name, ())
        reached[start] = found
    return reached


def _components(into: dict[str, dict[str, int]]) -> list[set[str]]:
    """The groups of names that reach each other (Tarjan's way, without recursion)."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    held: set[str] = set()
    groups: list[set[str]] = []
    for start in into:
        if start in order:
            continue
        order[start] = low[start] = len(order)
        stack.append(start)
        held.add(start)
        path = [(start, iter(into.get(start, ())))]
        while path:
            name, others = path[-1]
            following = next(others, None)
            if following is None:
                path.pop()
                if path:
                    low[path[-1][0]] = min(low[path[-1][0]], low[name])
                if low[name] == order[name]:
                    group: set[str] = set()
                    while name not in group:
                        group.add(stack.pop())
                    held -= group
                    groups.append(group)
            elif following not in order:
                order[following] = low[following] = len(order)
                stack.append(following)
                held.add(following)
                path.append((following, iter(into.get(following, ()))))
            elif following in held:
                low[name] = min(low[name], order[following])
    return groups
