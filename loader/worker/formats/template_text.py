"""Whether a chat template spells, or puts together, a name that reaches for more than text.

Zone: worker, standard library only. A file that nothing is exported of (GGUF) is judged by the text of its
template: jinja2, which would parse it, is not shown to the room that reads files. So the rule is about the
pieces that a hidden name is made of, and stricter than the one for templates that are exported.
"""

from __future__ import annotations

import json
import re

MAX_TEMPLATE = 1 << 20
#: Characters of one part of a template that are looked at in a file of which nobody knows what it is.
MAX_BODY = 4096
_OPENS = re.compile(r"\{[{%]")
_CLOSES = re.compile(r"[}%]\}(?![\"'])")
_TEXT = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\""
_LITERAL = re.compile(_TEXT, re.DOTALL)
#: As jinja2 reads them: an end within a text is none.
_BODIES = re.compile(rf"\{{[{{%]((?:[^'\"}}%]|{_TEXT}|[}}%](?!\}}))*)", re.DOTALL)
#: A filter, method or format that reads attributes, or makes characters of numbers.
_REACHING = re.compile(
    r"__\w*__|\|\s*attr\b|\battr\s*\(|\|\s*format\b|\.\s*format(?:_map)?\s*\(|%[cx]|\bdict\s*\(\s*_"
)
_LEAVING = re.compile(
    rb"__(?:class|base|bases|mro|subclasses|globals|builtins|import|init|dict|code|getattribute|reduce\w*|self|func)__"
    rb"|\|\s*attr\s*\(|\\+(?:x5f|u005f|137)"
)
#: What a text is given to that only replaces or removes: no name is read off it.
_REPLACING = re.compile(
    r"(?:\|\s*replace|\.\s*(?:replace|split|r?strip|lstrip|startswith|endswith))\s*\([^()]*\)"
)
#: Escapes that spell an underscore, or any other character, otherwise.
_ESCAPE = re.compile(r"\\[xuUN0-7]")
#: Names that a template gives to texts which it puts together of three parts and more, and what is looked up by a name
#: or by such a text.
_MADE = re.compile(r"[-+]?\s*set\s+(\w+)\s*=(.*)", re.DOTALL)
_PARTS = re.compile(r"~[^~]*~|''\s*\+[^+]*\+|\+[^+']*''\s*\+|\+[^+']*\+\s*''", re.DOTALL)
_OWNER = r"(?<=[\w)\]'])(?<!\bin)(?<!\bor)(?<!\bif)(?<!\band)(?<!\bnot)(?<!\belse)\s*"
_LOOKED_UP = re.compile(_OWNER + r"\[\s*(\w+)\s*\]")
#: The same with the text in its place, or of a text itself; texts are empty by then.
_LOOKS_UP = re.compile(_OWNER + r"\[[^\[\]~]*~[^\[\]~]*~|''\s*\[\s*[A-Za-z_]\w*\s*\]")
#: Behind a text: single characters or parts of it are taken.
_TAKEN_APART = re.compile(
    r"\s*(?:\)\s*)?(?:\[|\|\s*(?:list|first|last|batch|slice|reverse|map|join)\b)"
)


def reaches(template: bytes) -> bool:
    """Whether a template is more than one that puts text together. True for what is too long or no UTF-8."""
    if len(template) > MAX_TEMPLATE:
        return True
    try:
        text = template.decode("utf-8")
    except UnicodeDecodeError:
        return True
    bodies = _BODIES.findall(text)
    return any(map(_is_reaching, bodies)) or _looks_up(
        [_LITERAL.sub("''", each) for each in bodies]
    )


def _looks_up(bodies: list[str]) -> bool:
    """Whether something is looked up by a text that the template puts together. bodies: without their texts."""
    found = filter(None, map(_MADE.match, bodies))
    made = {each[1] for each in found if _PARTS.search(each[2])}
    return any(
        _LOOKS_UP.search(body) or not made.isdisjoint(_LOOKED_UP.findall(body)) for body in bodies
    )


def leaves_text(text: bytes) -> bool:
    """Whether a file of any kind holds a template that spells what no honest one does: an attribute of Python's
    own, or a filter that reads attributes. For texts of which nobody knows whether they are rendered."""
    if (b"{{" not in text and b"{%" not in text) or _LEAVING.search(text) is None:
        return False
    try:
        todo: list[object] = [json.loads(text)]
    except (ValueError, RecursionError):
        todo = [text.decode("utf-8", "replace")]
    while todo:
        part = todo.pop()
        if isinstance(part, str):
            if _leaves(part):
                return True
        elif isinstance(part, dict):
            todo += [*part.keys(), *part.values()]
        elif isinstance(part, list):
            todo += part
    return False


def _leaves(text: str) -> bool:
    end = 0
    for found in _OPENS.finditer(text):
        if found.start() < end - MAX_BODY // 2:
            continue  # half of what is looked at was, in the body before
        begin, end = max(found.start(), end), found.start() + MAX_BODY
        # An end before a quote may be the text of a literal.
        body, *_ = _CLOSES.split(text[begin:end], maxsplit=1)
        if _LEAVING.search(body.encode("utf-8", "surrogatepass")):
            return True
        end = begin + len(body)
    return False


def _is_reaching(body: str) -> bool:
    if _REACHING.search(body):
        return True
    body = _REPLACING.sub("", body)
    for found in _LITERAL.finditer(body):
        literal = found[0][1:-1]
        if _ESCAPE.search(literal):
            return True
        if "_" in literal and (
            literal.startswith("_")
            or literal.endswith("_")
            or _TAKEN_APART.match(body, found.end())
        ):
            return True
    return False
