"""Which names of a chat template may hold text that the template put together.

Zone: worker. Such a text may be the name of an attribute, so a template may look nothing up by it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from jinja2 import nodes

_TOKENS = ("_token", "_tokens")
#: Filters and methods after which a text is still one that was there before, or no text at all.
_KEEPING = frozenset("first last length count list int float default d abs items dictsort".split())
_KEEPING_METHODS = frozenset("get items keys values index find count".split())


def all_computed(every: list[nodes.Node], macros: Mapping[str, nodes.Macro]) -> set[str]:
    """The names that may hold a text which the template put together. Each expression is looked at
    once; what one name hands to another follows from that, in linear time."""
    computed: set[str] = set()
    #: Name -> what each statement that its value goes into gives a value to.
    hands_to: dict[str, list[list[str]]] = {
        _called(name): [[each.name for each in macro.args]] for name, macro in macros.items()
    }
    for node in every:
        computed.update(_from_blocks(node))
        for targets, values in _given(node, macros):
            parts = [_parts(value) for value in values]
            if any(makes for makes, _ in parts):
                computed.update(targets)
                continue
            for name in {name for _, names in parts for name in names}:
                hands_to.setdefault(name, []).append(targets)
    waiting = [*computed, *filter(_is_token, hands_to)]
    while waiting:
        for targets in hands_to.pop(waiting.pop(), ()):
            fresh = [target for target in targets if target not in computed]
            targets.clear()  # a statement speaks once, whatever comes into it
            computed.update(fresh)
            waiting += fresh
    return computed


def _given(
    node: nodes.Node, macros: Mapping[str, nodes.Macro]
) -> Iterator[tuple[list[str], list[nodes.Node]]]:
    """The names that a statement gives values to, and these values."""
    from jinja2 import nodes  # noqa: PLC0415

    match node:
        case nodes.Assign(target=target, node=value) | nodes.For(target=target, iter=value):
            yield list(_names(target)), [value]
        case nodes.With(targets=targets, values=values):
            for target, value in zip(targets, values, strict=True):
                yield list(_names(target)), [value]
        case nodes.Call(node=nodes.Name(name=name), args=args, kwargs=kwargs) if name in macros:
            yield [_called(name)], [*args, *kwargs]


def computes(node: nodes.Node, computed: Collection[str]) -> bool:
    """Whether an expression may put a new text together. computed: as `all_computed` has them."""
    makes, names = _parts(node)
    return makes or any(name in computed or _is_token(name) for name in names)


def walk(tree: nodes.Node) -> Iterator[nodes.Node]:
    """Every node of a template, in no order."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += node.iter_child_nodes()


def _parts(expression: nodes.Node) -> tuple[bool, list[str]]:
    """Whether an expression puts a text together by itself, and the names (with one attribute: "a.b")
    whose values may be in what it gives."""
    from jinja2 import nodes  # noqa: PLC0415

    names: list[str] = []
    for each in walk(expression):
        match each:
            case nodes.Concat() | nodes.Mod() | nodes.Mul() | nodes.FilterBlock() | nodes.Add():
                if not _numeric(each):
                    return True, []
            case nodes.Filter(name=name) if name not in _KEEPING:
                return True, []
            case nodes.Call(node=nodes.Getattr(attr=attr)) if attr not in _KEEPING_METHODS:
                return True, []
            case nodes.Getitem(arg=nodes.Slice(step=step)) if not _whole(step):
                return True, []
            case nodes.Name(name=name):
                names.append(name)
            case nodes.Getattr(node=nodes.Name(name=name), attr=attr):
                names.append(f"{name}.{attr}")
    return False, names


def _called(macro: str) -> str:
    """What stands for the arguments of all calls of a macro. No name has a bracket."""
    return f"{macro}("


def _is_token(name: str) -> bool:
    """What the tokens of a tokenizer are is not the template's to say."""
    return name.endswith(_TOKENS) and "." not in name


def _from_blocks(node: nodes.Node) -> Iterator[str]:
    """Names that are given what a block renders."""
    from jinja2 import nodes  # noqa: PLC0415

    if isinstance(node, nodes.AssignBlock):
        yield from _names(node.target)


def _whole(step: nodes.Node | None) -> bool:
    """Whether what is cut out by this step is what stood there, or that turned around."""
    from jinja2 import nodes  # noqa: PLC0415

    match step:
        case None | nodes.Const(value=1) | nodes.Neg(node=nodes.Const(value=1)):
            return True
    return False


def _numeric(node: Any) -> bool:
    """Whether one side of a sum or a product is a number that stands there: then it is one itself."""
    from jinja2 import nodes  # noqa: PLC0415

    sides = (getattr(node, "left", None), getattr(node, "right", None))
    return any(
        isinstance(side, nodes.Const) and isinstance(side.value, int | float) for side in sides
    ) and not any(isinstance(side, nodes.Const) and isinstance(side.value, str) for side in sides)


def _names(target: nodes.Node) -> Iterator[str]:
    from jinja2 import nodes  # noqa: PLC0415

    for each in (target, *target.find_all((nodes.Name, nodes.NSRef))):
        if isinstance(each, nodes.NSRef):
            yield f"{each.name}.{each.attr}"
        elif isinstance(each, nodes.Name):
            yield each.name
