"""YAML of the plain kind that programs write for settings: block mappings and lists, scalars, empty or short lists.
Zone: worker.

Whatever else YAML knows (anchors, aliases, tags, directives, mappings in braces, keys in escapes, several documents)
is refused, so that what is read here is what every reader of YAML reads. Values are text as written, without quotes;
None for a key without a value.
"""

from __future__ import annotations

import re

from safe_load.worker.refusal import RefusedError

MAX_BYTES = 4 << 20
MAX_DEPTH = 30
#: A key, and what follows it in the line.
_KEY = re.compile(
    r"""(?:([\w$][^:#'"{}\[\],&*!|>%@`]{0,200}?)|'([^'\\]*)'|"([^"\\]*)")[ ]*:(?:[ ]+(.*)|$)"""
)
_SHORT = re.compile(r"\[([^\[\]{}&*!|>]*)\]$")
_SPECIAL = tuple("&*!@%`{[?]}")

Node = dict[str, "Node"] | list["Node"] | str | None


def read(data: bytes) -> Node:
    """The document. Raises RefusedError with the line for anything that is not of the plain kind."""
    if len(data) > MAX_BYTES:
        raise RefusedError(f"the YAML takes {len(data)} bytes, more than {MAX_BYTES}")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise RefusedError("the YAML is not UTF-8") from None
    return _Reader(text).document()


class _Reader:
    def __init__(self, text: str) -> None:
        self._lines = text.removeprefix("\ufeff").split("\n")
        self._at = 0

    def document(self) -> Node:
        if self._peek() is not None and self._lines[self._at].rstrip() == "---":
            self._at += 1
        first = self._peek()
        if first is None:
            return None
        node = self._block(first, 0)
        if self._peek() is not None:
            raise self._odd()
        return node

    def _odd(self) -> RefusedError:
        line = self._lines[min(self._at, len(self._lines) - 1)]
        return RefusedError(f"line {self._at + 1} is YAML of an uncommon form: {line[:60]!a}")

    def _peek(self) -> int | None:
        """The indentation of the next line that says something; None at the end."""
        while self._at < len(self._lines):
            line = self._lines[self._at].rstrip("\r")
            if line.strip() and not line.lstrip().startswith("#"):
                if "\t" in line[: len(line) - len(line.lstrip())]:
                    raise self._odd()
                return len(line) - len(line.lstrip(" "))
            self._at += 1
        return None

    def _text(self, indent: int) -> str:
        return self._lines[self._at].rstrip("\r")[indent:].rstrip()

    def _block(self, indent: int, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise RefusedError(f"the YAML is nested more than {MAX_DEPTH} deep")
        text = self._text(indent)
        if text == "-" or text.startswith("- "):
            return self._list(indent, depth)
        return self._mapping(indent, depth)

    def _list(self, indent: int, depth: int) -> Node:
        found: list[Node] = []
        while self._peek() == indent:
            text = self._text(indent)
            if text != "-" and not text.startswith("- "):
                break  # the next key of the mapping around it
            rest = text[1:].lstrip()
            if rest and (_KEY.match(rest) or rest.startswith("- ")):
                # What stands behind the dash is a block of its own, indented as far.
                inner = indent + len(text) - len(rest)
                self._lines[self._at] = " " * inner + rest
                found.append(self._block(inner, depth + 1))
            else:
                found.append(self._value(rest, indent, depth))
        return found

    def _mapping(self, indent: int, depth: int) -> Node:
        found: dict[str, Node] = {}
        while self._peek() == indent:
            match = _KEY.match(self._text(indent))
            if match is None:
                raise self._odd()
            key = next(part for part in match.groups()[:3] if part is not None)
            if key in found or key == "<<":
                raise self._odd()
            found[key] = self._value((match[4] or "").strip(), indent, depth)
        if (after := self._peek()) is not None and after > indent:
            raise self._odd()
        return found

    def _value(self, text: str, indent: int, depth: int) -> Node:
        """What follows a key or a dash in its line, and in the lines below that are indented further."""
        if not text or text.startswith("#"):
            self._at += 1
            below = self._peek()
            if below is None or below < indent:
                return None
            if below > indent or self._text(below).startswith("-"):
                return self._block(below, depth + 1)
            return None
        if text[0] in "|>":
            self._at += 1
            return "\n".join(self._deeper(indent))
        if text in ("{}", "[]"):
            self._at += 1
            return {} if text == "{}" else []
        if match := _SHORT.match(text):
            self._at += 1
            return [part.strip().strip("'\"") for part in match[1].split(",") if part.strip()]
        if text[0] in "'\"":
            return self._quoted(text, indent)
        if text.startswith(_SPECIAL):
            raise self._odd()
        self._at += 1
        return " ".join([text.partition(" #")[0].strip(), *map(str.strip, self._deeper(indent))])

    def _deeper(self, indent: int) -> list[str]:
        """The lines that go on, empty ones too."""
        found = []
        while self._at < len(self._lines):
            line = self._lines[self._at].rstrip("\r")
            if line.strip() and len(line) - len(line.lstrip(" ")) <= indent:
                break
            found.append(line)
            self._at += 1
        while found and not found[-1].strip():
            found.pop()
        return found

    def _quoted(self, text: str, indent: int) -> str:
        quote, line, parts = text[0], text[1:], []
        while True:
            end = _end_of(quote, line)
            if end is not None:
                rest = line[end + 1 :].strip()
                if rest and not rest.startswith("#"):
                    raise self._odd()
                self._at += 1
                parts.append(line[:end])
                joined = " ".join(parts)
                return joined.replace("''", "'") if quote == "'" else joined
            parts.append(line)
            self._at += 1
            if self._at >= len(self._lines):
                raise self._odd()
            line = self._lines[self._at]
            if line.strip() and len(line) - len(line.lstrip(" ")) <= indent and indent:
                raise self._odd()
            line = line.strip()


def _end_of(quote: str, line: str) -> int | None:
    """Where a quoted text ends in a line; None where it goes on in the next."""
    at = 0
    while at < len(line):
        if quote == '"' and line[at] == "\\":
            at += 2
        elif line[at] != quote:
            at += 1
        elif quote == "'" and line[at + 1 : at + 2] == "'":
            at += 2
        else:
            return at
    return None
