"""What a chat template reaches for besides text.

Zone: controller. Templates are read as text, bounded, and never rendered here. What is exported has
also passed the stricter `template_ast`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from safe_load.configuration import template_ast
from safe_load.configuration.config_asks import Ask
from safe_load.formats.escape import visible
from safe_load.json_strict import Malformed, parse, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from safe_load.inventory import Entry

MAX_BYTES = 32 << 20
#: Of one expression or statement: enough to judge it by.
MAX_CODE = 10_000
_FILES = re.compile(
    r"(.*/)?(tokenizer_config\.json|processor_config\.json|preprocessor_config\.json|chat_template\.json|[^/]*\.jinja2?)"
)
_BRACKETS = re.compile(r"\{\{|\{%|\}\}|%\}")
_UNICODE = re.compile(r"\\u([0-9a-fA-F]{4})")
#: What leads from a value to Python, or to another file. Templates of honest models have none of it.
_REACHES = {
    re.compile(r"__\w+__"): "asks for a special attribute of Python",
    re.compile(r"\|\s*attr\b"): "looks up an attribute by a computed name",
    re.compile(r"\b(lipsum|cycler|joiner)\s*[.\[|]"): "takes an attribute of a function of jinja's",
    re.compile(r"^\s*-?\s*(import|include|extends|from)\b"): "reads another file",
    re.compile(
        r"\b(gi_frame|cr_frame|f_globals|f_back|func_globals|mro)\b"
    ): "walks Python's frames",
}


def reaches(entries: tuple[Entry, ...]) -> Iterator[tuple[str, str]]:
    """(file, what its template does) for each template that reaches for more than text."""
    for entry in entries:
        if _FILES.fullmatch(entry.path):
            for template in _templates(entry):
                for what in _reaching(template):
                    yield entry.path, what


def rewritten(value: Any, location: str, asks: list[Ask]) -> Any:
    """The template, or those of several that do no more than put text together; None if there is
    none. Each of the others is told to `asks`. value: a string, or as a configuration holds several."""
    if isinstance(value, str):
        return value if _is_text(value, location, asks) else None
    if isinstance(value, dict):
        named = {
            name: template
            for name, template in value.items()
            if isinstance(template, str) and _is_text(template, f"{location}.{shown(name)}", asks)
        }
        return named or None
    if isinstance(value, list):
        listed = [
            {"name": each["name"], "template": each["template"]}
            for each in value
            if isinstance(each, dict)
            and isinstance(each.get("name"), str)
            and isinstance(each.get("template"), str)
            and _is_text(each["template"], f"{location}.{shown(each['name'])}", asks)
        ]
        return listed or None
    return None


def _is_text(template: str, location: str, asks: list[Ask]) -> bool:
    reason = template_ast.refusal(template)
    # What reaches for more has a finding of its own, with what it reaches for.
    if reason is not None and not any(_reaching(template)):
        asks.append(
            Ask(location, f"the template {reason}", "(it was left out)", "template", "low", "SL504")
        )
    return reason is None


def _reaching(template: str) -> Iterator[str]:
    for code in _code(template):
        for pattern, what in _REACHES.items():
            if pattern.search(code):
                yield f"{what}: {visible(code.strip(), 200)}"


def _code(template: str) -> Iterator[str]:
    """What stands in the brackets of expressions and statements."""
    begin: int | None = None
    for bracket in _BRACKETS.finditer(template):
        if bracket[0].startswith("{"):
            begin = bracket.end() if begin is None else begin
        elif begin is not None:
            yield template[begin : min(bracket.start(), begin + MAX_CODE)]
            begin = None
    if begin is not None:
        yield template[begin : begin + MAX_CODE]


def _templates(entry: Entry) -> Iterator[str]:
    """Every text of the file that may be a template: all of a .jinja, each long string of a JSON."""
    if entry.size > MAX_BYTES:
        return
    data = entry.place.read_bytes()
    if not entry.path.endswith(".json"):
        yield data.decode("utf-8", "replace")
        return
    try:
        waiting: list[Any] = [
            parse(
                data,
                where=entry.path,
                max_bytes=MAX_BYTES,
                max_string=MAX_BYTES,
                allow_nonfinite=True,
            )
        ]
    except Malformed:
        # Python's own parser takes more than ours does: then its text must do.
        text = data.decode("utf-8", "replace")
        yield _UNICODE.sub(lambda code: chr(int(code[1], 16)), text)
        return
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            if "{{" in value or "{%" in value:
                yield value
        elif isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
