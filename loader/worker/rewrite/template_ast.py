"""Whether a chat template does nothing but put text together.

Zone: worker. The template is parsed with jinja's own parser, within bounds, and every node of what
it means must be on the lists here; it is never compiled and never rendered. What passes reads no
attribute that Python keeps for itself, imports nothing, and computes no name to look up: so it is
harmless in a plain jinja environment as well as in the sandboxed one of transformers.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

from safe_load.worker.rewrite.template_cost import excess
from safe_load.worker.rewrite.template_flow import all_computed, computes, walk
from safe_load.worker.strict_json import shown

if TYPE_CHECKING:
    from jinja2 import Environment, nodes

MAX_LENGTH = 512 << 10
_MAX_NODES = 100_000
_MAX_BRACKETS = 64
#: What may be multiplied by, or counted to: a line of dashes, not a gigabyte.
_MAX_NUMBER = 100_000
_MAX_CONSTANT = 100_000_000

_NODES = frozenset(
    "Template Output TemplateData Const Name NSRef Assign AssignBlock For If Macro CallBlock FilterBlock "
    "With Break Continue Scope Call Filter Test Getattr Getitem Slice Keyword CondExpr Concat Compare "
    "Operand And Or Not Neg Pos Add Sub Mul Div FloorDiv Mod List Tuple Dict Pair".split()
)
_FILTERS = frozenset(
    "abs batch capitalize center count d default dictsort e escape first float forceescape format groupby "
    "indent int items join last length list lower map max min pprint random reject rejectattr replace "
    "reverse round safe select selectattr slice sort string striptags sum title tojson trim truncate "
    "unique upper urlencode wordcount wordwrap fromjson from_json".split()
)
#: Filters whose first argument, or "attribute", is a name to look up.
_LOOKING = frozenset("map selectattr rejectattr groupby sort unique min max sum join".split())
_TESTS = frozenset(
    "boolean callable defined divisibleby eq equalto even false filter float ge gt greaterthan in integer "
    "iterable le lessthan lower lt mapping ne none number odd sameas sequence string true undefined upper "
    "test == != < <= > >=".split()
)
_METHODS = frozenset(
    "append capitalize clear copy count endswith extend find get index insert isalnum isalpha isdigit "
    "islower isspace isupper items join keys lower lstrip partition pop remove removeprefix removesuffix "
    "replace reverse rfind rpartition rsplit rstrip setdefault sort split splitlines startswith strip title "
    "update upper values zfill rindex index0 cycle strftime isoformat".split()
)
_FUNCTIONS = frozenset("range dict namespace raise_exception strftime_now caller".split())
_RESERVED = re.compile(r"_|.*__|(gi|cr|ag|tb|f|func|co)_|mro$")
#: The same within a text that stands in the template, since it may look something up by it, or by a
#: piece of it. Nothing that it puts together may be looked up by.
_HIDDEN = re.compile(
    r"__[A-Za-z]|[A-Za-z]__|(gi|cr|ag|tb)_(frame|code|next|await|yield)|func_(globals|code)"
    r"|f_(globals|locals|builtins|back|code)"
)
_PRIVATE = re.compile(r"_[A-Za-z]\w*")
_PYTHONS = frozenset(
    "mro format format_map encode decode translate func_globals func_code f_globals f_locals f_back "
    "gi_frame gi_code cr_frame cr_code ag_frame ag_code tb_frame environment".split()
)


def may_be(text: str) -> bool:
    """Whether a text holds something that a template's renderer would act on."""
    return any(mark in text for mark in ("{{", "{%", "{#"))


def refusal(template: str) -> str | None:
    """Why the template is more than text, or None when it is not. Completes "it ..."."""
    import jinja2  # noqa: PLC0415 - only where there is a template

    if len(template) > MAX_LENGTH:
        return f"is longer than {MAX_LENGTH:,} characters"
    if _deep(template):
        return f"has more than {_MAX_BRACKETS} brackets open at once"
    try:
        tree = _environment().parse(template)
        return _Judge().judge(tree) or excess(tree)
    except jinja2.TemplateError as error:
        return f"is not a template: {shown(str(error.message or ''))[1:-1]}"
    except RecursionError:
        return "is nested too deep"
    except Exception as error:  # noqa: BLE001 - whatever a parser trips over, nothing can be said of it
        return f"is not a template that can be read: {type(error).__name__}"


def costly(template: str) -> str | None:
    """Why rendering it could take too long or too much; None also for what cannot be read as one."""
    if len(template) > MAX_LENGTH or _deep(template):
        return None
    try:
        return excess(_environment().parse(template))
    except Exception:  # noqa: BLE001 - then rendering it ends as soon
        return None


def _deep(template: str) -> bool:
    """Whether more brackets are open at once than a parser should recurse into."""
    depth = 0
    for bracket in re.findall(r"[\[({})\]]", template):
        depth = depth + 1 if bracket in "[({" else max(0, depth - 1)
        if depth > _MAX_BRACKETS:
            return True
    return False


@cache
def _environment() -> Environment:
    """As transformers makes it (utils/chat_template_utils.py), for parsing alone."""
    from jinja2 import Environment, nodes  # noqa: PLC0415
    from jinja2.ext import Extension  # noqa: PLC0415
    from jinja2.parser import Parser  # noqa: TC002, PLC0415

    class Generation(Extension):
        """{% generation %}: what an assistant said. Parsed as the block that it stands for."""

        tags = {"generation"}  # noqa: RUF012 - as jinja declares it

        def parse(self, parser: Parser) -> nodes.Node:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return nodes.Scope(body, lineno=line)

    return Environment(  # noqa: S701 - nothing is rendered
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, "jinja2.ext.loopcontrols"]
    )


class _Judge:
    """One look at one template. computed: names that hold text which the template put together."""

    def __init__(self) -> None:
        self._computed: set[str] = set()
        self._macros: dict[str, nodes.Macro] = {}

    def judge(self, tree: nodes.Template) -> str | None:
        from jinja2 import nodes  # noqa: PLC0415

        every = list(walk(tree))
        if len(every) > _MAX_NODES:
            return f"has more than {_MAX_NODES:,} parts"
        self._macros = {node.name: node for node in every if isinstance(node, nodes.Macro)}
        self._computed = all_computed(every, self._macros)
        for node in every:
            kind = type(node).__name__
            if kind not in _NODES:
                return f"uses {_STATEMENTS.get(kind, kind)}"
            if reason := getattr(self, f"_{kind.lower()}", _harmless)(node):
                return str(reason)
        return None

    def _name(self, node: nodes.Name) -> str | None:
        return f"uses the name {shown(node.name)}" if _RESERVED.match(node.name) else None

    def _const(self, node: nodes.Const) -> str | None:
        if isinstance(node.value, str):
            return _text(node.value)
        return "holds a number past all use" if _number(node) > _MAX_CONSTANT else None

    def _keyword(self, node: nodes.Keyword) -> str | None:
        return _text(node.key)

    def _macro(self, node: nodes.Macro) -> str | None:
        if len({each.name for each in node.args}) < len(node.args):
            return "is not a template that can be read: a macro has two arguments of one name"
        return _text(node.name)

    def _nsref(self, node: nodes.NSRef) -> str | None:
        return _attribute(node.attr)

    def _getattr(self, node: nodes.Getattr) -> str | None:
        return _attribute(node.attr)

    def _getitem(self, node: nodes.Getitem) -> str | None:
        from jinja2 import nodes  # noqa: PLC0415

        if isinstance(node.arg, nodes.Const):
            return _attribute(node.arg.value) if isinstance(node.arg.value, str) else None
        if not isinstance(node.arg, nodes.Slice) and computes(node.arg, self._computed):
            return "looks up a computed name"
        return None

    def _call(self, node: nodes.Call) -> str | None:
        from jinja2 import nodes  # noqa: PLC0415

        if node.dyn_args is not None or node.dyn_kwargs is not None:
            return "passes computed arguments"
        match node.node:
            case nodes.Name(name=name):
                if name not in _FUNCTIONS and name not in self._macros:
                    return f"calls {shown(name)}"
                if name == "range" and any(_number(each) > _MAX_NUMBER for each in node.args):
                    return "counts further than any text is long"
                return None
            case nodes.Getattr(attr=attr):
                return None if attr in _METHODS else f"calls the method {shown(attr)}"
        return "calls a computed value"

    def _filter(self, node: nodes.Filter) -> str | None:
        if node.name not in _FILTERS:
            return f"uses the filter {shown(node.name)}"
        if node.dyn_args is not None or node.dyn_kwargs is not None:
            return "passes computed arguments"
        if node.name in _LOOKING:
            return self._looking(node)
        return None

    def _looking(self, node: nodes.Filter) -> str | None:
        """A filter that looks something up on each element: by a name that stands in the template."""
        from jinja2 import nodes  # noqa: PLC0415

        given = [each.value for each in node.kwargs if each.key == "attribute"]
        first = node.args[:1] if node.name != "join" else node.args[1:2]
        if node.name in ("sort", "unique", "min", "max", "sum"):
            first = node.args[2:3] if node.name == "sort" else node.args[1:2]
            first = node.args[:1] if node.name == "sum" else first
        for each in (*given, *first):
            if not isinstance(each, nodes.Const):
                return f"gives the filter {node.name} a computed name"
            parts = each.value.split(".") if isinstance(each.value, str) else []
            if reason := next(filter(None, map(_attribute, parts)), None):
                return reason
        if node.name == "map" and not given and first:
            named = first[0]
            known = isinstance(named, nodes.Const) and named.value in _FILTERS
            return None if known else "maps with an unknown filter"
        tested = node.args[1:2] if node.name in ("selectattr", "rejectattr") else []
        return self._tested(tested)

    def _tested(self, arguments: list[Any]) -> str | None:
        from jinja2 import nodes  # noqa: PLC0415

        for each in arguments:
            if not (isinstance(each, nodes.Const) and each.value in _TESTS):
                return "selects with an unknown test"
        return None

    def _test(self, node: nodes.Test) -> str | None:
        return None if node.name in _TESTS else f"uses the test {shown(node.name)}"

    def _mul(self, node: nodes.Mul) -> str | None:
        if max(_number(node.left), _number(node.right)) > _MAX_NUMBER:
            return "multiplies to more than any text is long"
        return None


def _harmless(_: object) -> None:
    return None


_STATEMENTS = {
    "Import": "import", "FromImport": "from ... import", "Include": "include", "Extends": "extends",
    "Block": "block", "Pow": "**", "ExtensionAttribute": "an extension of jinja's",
    "ScopedEvalContextModifier": "autoescape",
}  # fmt: skip


def _attribute(name: str) -> str | None:
    if _RESERVED.match(name) or name in _PYTHONS:
        return f"asks for {shown(name)}, which Python keeps for itself"
    return None


def _text(text: str) -> str | None:
    for way in (text, text[::-1]):
        if _HIDDEN.search(way) or _PRIVATE.fullmatch(way):
            return f"holds {shown(text[:100])}, which Python keeps for itself"
    return None


def _number(node: nodes.Node) -> float:
    from jinja2 import nodes  # noqa: PLC0415

    value = node.value if isinstance(node, nodes.Const) else 0
    return value if isinstance(value, int | float) else 0
