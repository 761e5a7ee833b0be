"""YAML, JSON and TOML as plain values whose texts know their line. Bounded in depth and in the number of nodes."""

from __future__ import annotations

import json
import re
import tomllib
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAX_DEPTH = 64
MAX_NODES = 400_000
#: Texts that are not found in the file as they were read, after which no further line is looked for.
_MOST_MISSES = 200
_COMMENTS = re.compile(r'"(?:[^"\\\n]|\\.)*"|//[^\n]*|/\*.*?\*/|,(?=\s*[}\]])', re.DOTALL)


class TooMuchError(ValueError):
    """A limit of this module was hit."""


class Text(str):
    """A text of a document, and the line that it stands in."""

    __slots__ = ("line",)
    line: int

    def __new__(cls, text: str, line: int) -> Self:
        made = super().__new__(cls, text)
        made.line = line
        return made


def line_of(*texts: object) -> int:
    """The line of the first text that has one; 1 of none."""
    return next((text.line for text in texts if isinstance(text, Text)), 1)


def read_json(text: str) -> Any:
    """A JSON document; comments and trailing commas are allowed, as editors' settings have them.

    Raises ValueError, RecursionError."""
    text = text.removeprefix("\ufeff")
    try:
        data = json.loads(text)
    except ValueError:
        bare = _COMMENTS.sub(
            lambda match: match[0] if match[0][0] == '"' else re.sub(r"[^\n]", " ", match[0]), text
        )
        data = json.loads(bare)
    finder = _Finder(text, lambda s: (json.dumps(s, ensure_ascii=False), json.dumps(s)))
    return finder.lined(data, 0)


def read_toml(text: str) -> dict[str, Any]:
    """A TOML document. Raises ValueError, RecursionError."""
    data = tomllib.loads(text)
    finder = _Finder(text, lambda s: (f'"{s}"', f"'{s}'", s), again=True)
    lined = finder.lined(data, 0)
    return lined if isinstance(lined, dict) else {}


class _Finder:
    """Gives each text its line: texts come in the order in which they stand in the file."""

    def __init__(
        self, text: str, forms: Callable[[str], tuple[str, ...]], *, again: bool = False
    ) -> None:
        self._text, self._forms, self._again = text, forms, again
        self._at, self._line = 0, 1
        self._misses = self._nodes = 0

    def lined(self, node: Any, depth: int) -> Any:
        self._nodes += 1
        if depth > MAX_DEPTH:
            raise TooMuchError(f"it is nested deeper than {MAX_DEPTH} levels")
        if self._nodes > MAX_NODES:
            raise TooMuchError(f"it holds more than {MAX_NODES} values")
        if isinstance(node, str):
            return self._found(node)
        if isinstance(node, dict):
            return {self._found(key): self.lined(value, depth + 1) for key, value in node.items()}
        if isinstance(node, list):
            return [self.lined(value, depth + 1) for value in node]
        return node

    def _found(self, text: str) -> Text:
        if self._misses < _MOST_MISSES and text:
            places = [(self._text.find(form, self._at), form) for form in self._forms(text)]
            ahead = [(place, form) for place, form in places if place >= 0]
            if ahead:
                # Quoted before bare: "1" is nearer to its place than any 1.
                place, form = ahead[0] if self._again else min(ahead)
                self._line += self._text.count("\n", self._at, place)
                self._at = place + (0 if self._again and len(ahead) == 1 else len(form))
                self._line += self._text.count("\n", place, self._at)
                return Text(text, self._line)
            self._misses += 1
            if self._again and (place := self._text.find(self._forms(text)[-1])) >= 0:
                return Text(text, self._text.count("\n", 0, place) + 1)
        return Text(text, self._line)


def read_yaml(text: str) -> list[Any]:
    """Every document of a YAML stream. Scalars are texts as written. An alias is the value of its anchor itself, not a
    copy: whoever walks the value takes each once. Raises ValueError."""
    import yaml  # noqa: PLC0415 (an extra)

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return list(_documents(yaml, yaml.parse(text, Loader=loader)))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark is not None else ""
        raise ValueError(
            f"it is no YAML{where}: {getattr(error, 'problem', None) or 'malformed'}"
        ) from None


def _documents(yaml: Any, events: Iterator[Any]) -> Iterator[Any]:
    anchors: dict[str, Any] = {}
    stack: list[tuple[Any, list[Any], str | None]] = []
    count = 0
    for event in events:
        count += 1
        if count > MAX_NODES:
            raise TooMuchError(f"it holds more than {MAX_NODES} values")
        node: Any = None
        if isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            if len(stack) >= MAX_DEPTH:
                raise TooMuchError(f"it is nested deeper than {MAX_DEPTH} levels")
            stack.append((event, [], event.anchor))
            continue
        if isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            start, held, anchor = stack.pop()
            node = _mapping(held) if isinstance(start, yaml.MappingStartEvent) else held
            if anchor:
                anchors[anchor] = node
        elif isinstance(event, yaml.ScalarEvent):
            # The text of a block begins in the line below its mark.
            node = Text(event.value, event.start_mark.line + 1 + (event.style in {"|", ">"}))
            if event.anchor:
                anchors[event.anchor] = node
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor not in anchors:
                raise ValueError("an alias stands in its own anchor, or has none")
            node = anchors[event.anchor]
        elif isinstance(event, yaml.DocumentStartEvent):
            anchors = {}
            continue
        else:
            continue
        if stack:
            stack[-1][1].append(node)
        else:
            yield node


def _mapping(held: list[Any]) -> dict[Any, Any]:
    """Keys and values in turn. A key that is no scalar is left out; `<<` brings what its mapping holds."""
    made: dict[Any, Any] = {}
    for key, value in zip(held[::2], held[1::2], strict=False):
        if key == "<<":
            for each in value if isinstance(value, list) else [value]:
                if isinstance(each, dict) and len(made) < MAX_NODES:
                    made = {**each, **made}
        elif isinstance(key, str):
            made[key] = value
    return made
