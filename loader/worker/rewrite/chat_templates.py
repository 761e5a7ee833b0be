"""What a chat template reaches for besides text.

Zone: worker. Templates are read as text, bounded, and never rendered here. What is exported has
also passed the stricter `template_ast`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from safe_load.worker.formats import template_text
from safe_load.worker.rewrite import template_ast
from safe_load.worker.rewrite.config_requests import ConfigRequest
from safe_load.worker.strict_json import Malformed, parse, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from safe_load.worker.rewrite.files import File

MAX_BYTES = 32 << 20
#: Of one expression or statement: enough to judge it by.
MAX_CODE = 10_000
_MAX_SHOWN = 200
_OVERLAP = 500
#: Stock code renders what stands in these, and keeps a template wherever it likes.
_FILES = re.compile(
    r"(.*/)?([^/]*config[^/]*\.json|chat_template\.json|modules\.json|special_tokens_map\.json|[^/]*\.jinja2?)"
)
_BRACKETS = re.compile(r"\{\{|\{%|\}\}|%\}")
_UNICODE = re.compile(r"\\u([0-9a-fA-F]{4})")
#: What leads from a value to Python, or to another file. Templates of honest models have none of it.
_REACHES = {
    re.compile(r"__\w+__"): "asks for a special attribute of Python",
    re.compile(r"\|\s*attr\b"): "looks up an attribute by a computed name",
    re.compile(r"\b(lipsum|cycler|joiner)\s*[.\[|]"): "takes an attribute of a function of jinja's",
    re.compile(r"^\s*+[-+]?\s*+(import|include|extends|from)\b"): "reads another file",
    re.compile(
        r"\b(gi_frame|cr_frame|f_globals|f_back|func_globals|mro)\b"
    ): "walks Python's frames",
}


#: What every such request ends with: nothing of it is in a cleared copy.
LEFT_OUT = "(it was left out)"


def may_hold(name: str) -> bool:
    """Whether a file of this name, which may begin with its folder's, may hold a template."""
    return _FILES.fullmatch(name) is not None


def reaches(files: Iterable[File]) -> Iterator[tuple[str, str, str]]:
    """(file, what its template does, the code that does it) for each template that reaches for more than text."""
    for file in files:
        if may_hold(file.name) and file.size > MAX_BYTES:
            yield file.name, f"may be anything: the file is longer than {MAX_BYTES >> 20} MiB", ""
        elif may_hold(file.name):
            for template in _templates(file):
                for what, code in _reaching(template):
                    yield file.name, what, code


def rewritten(value: Any, location: str, requests: list[ConfigRequest]) -> Any:
    """The template, or those of several that do no more than put text together; None if there is
    none. Each of the others is told to `asks`. value: a string, or as a configuration holds several."""
    if isinstance(value, str):
        return value if _is_text(value, location, requests) else None
    if isinstance(value, dict):
        named = {
            name: template
            for name, template in value.items()
            if isinstance(template, str)
            and _is_text(template, f"{location}.{shown(name)}", requests)
        }
        return named or None
    if isinstance(value, list):
        listed = [
            {"name": each["name"], "template": each["template"]}
            for each in value
            if isinstance(each, dict)
            and isinstance(each.get("name"), str)
            and isinstance(each.get("template"), str)
            and _is_text(each["template"], f"{location}.{shown(each['name'])}", requests)
        ]
        return listed or None
    return None


def _is_text(template: str, location: str, requests: list[ConfigRequest]) -> bool:
    reason = template_ast.refusal(template)
    # What reaches for more has a finding of its own, with what it reaches for.
    if reason is not None and not any(_reaching(template)):
        said = f"the template {reason}"
        requests.append(
            ConfigRequest(location, said, LEFT_OUT, "cost", "medium", "SL603")
            if template_ast.costly(template)
            else ConfigRequest(location, said, LEFT_OUT, "template", "low", "SL504")
        )
    return reason is None


def _reaching(template: str) -> Iterator[tuple[str, str]]:
    """What it does, and the code that does it."""
    if not any(pattern.search(template) for pattern in _REACHES) and _spells(template):
        yield (
            "looks up a name that it puts together of pieces which Python keeps for itself",
            template,
        )
    for code in _code(template):
        for pattern, what in _REACHES.items():
            if pattern.search(code):
                yield f"{what}: {_cut(code.strip())}", code


def _spells(template: str) -> bool:
    """Whether it looks a computed name up, and has the pieces of a name of Python's own."""
    if not template_text.reaches(template.encode("utf-8", "surrogatepass")):
        return False
    return "computed" in (template_ast.refusal(template) or "")


def _code(template: str) -> Iterator[str]:
    """What stands in the brackets of expressions and statements."""
    begin: int | None = None
    for bracket in _BRACKETS.finditer(template):
        if bracket[0].startswith("{"):
            begin = bracket.end() if begin is None else begin
        elif begin is not None:
            yield from _pieces(template, begin, bracket.start())
            begin = None
    if begin is not None:
        yield from _pieces(template, begin, len(template))


def _pieces(template: str, begin: int, end: int) -> Iterator[str]:
    """A part of a template in pieces, each with the end of the one before it."""
    while begin < end:
        yield template[begin : min(end, begin + MAX_CODE)]
        begin += MAX_CODE - _OVERLAP


def _cut(code: str) -> str:
    more = len(code) - _MAX_SHOWN
    return f"{code[:_MAX_SHOWN]}… ({more} more characters)" if more > 0 else code


def _templates(file: File) -> Iterator[str]:
    """Every text of the file that may be a template: all of a .jinja, each long string of a JSON."""
    data = file.read()
    if not file.name.endswith(".json"):
        yield data.decode("utf-8", "replace")
        return
    try:
        waiting: list[Any] = [
            parse(
                data,
                where=file.name,
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
