"""References in Terraform and other HCL, by line: images, variables of containers, arguments, defaults, scripts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from safe_load.register import commands, configs, documents
from safe_load.register.words import LONGEST_LINE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from safe_load.register.rows import Reference

_PAIR = re.compile(r'(?<![\w.-])"?([\w.-]{1,100})"?\s*[=:]\s*"([^"\n]*)"')
_LIST = re.compile(r"\s*(\w+)\s*=\s*\[(.*)")
_HEREDOC = re.compile(r"\s*[\w.-]+\s*=.*<<[-~]?\s*(\w+)\s*$")
_TEXT = re.compile(r'"((?:[^"\\\n]|\\.)*)"')
_COMMANDS = frozenset({"args", "command", "entrypoint", "entry_point", "container_args"})
_MOST_LINES = 200


class _Block:
    """The pairs of one { }. name: what a `variable` or an output is called."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.pairs: list[tuple[str, str, int]] = []

    def settings(self) -> list[tuple[str, str, int]]:
        """Its pairs; `name = "X"` before `value = "Y"` is X = "Y", a variable's default its value."""
        made, named = [], self.name
        for key, value, line in self.pairs:
            named = value if key in {"name", "key"} else named
            made.append((named if key in {"value", "default"} and named else key, value, line))
        return made


def read(text: str) -> Iterator[Reference]:
    """The references of one file."""
    stack = [_Block("")]
    lines = text.split("\n")
    number = 0
    while number < len(lines):
        line = lines[number]
        number += 1
        if len(line) > LONGEST_LINE or line.lstrip().startswith(("#", "//")):
            continue
        listed = _LIST.match(line)
        if heredoc := _HEREDOC.fullmatch(line):
            ends = (n for n in range(number, len(lines)) if lines[n].strip() == heredoc[1])
            end = next(ends, len(lines))
            yield from commands.script("\n".join(lines[number:end]), number + 1)
            number = end + 1
        elif listed and listed[1] in _COMMANDS:
            body = [listed[2]]
            while "]" not in body[-1] and number < len(lines) and len(body) < _MOST_LINES:
                body.append(lines[number])
                number += 1
            yield from _command(body, number - len(body) + 1)
        else:
            stack[-1].pairs += [(key, value, number) for key, value in _PAIR.findall(line)]
            if line.rstrip().endswith("{"):
                stack.append(_Block((_TEXT.findall(line) or [""])[-1]))
            elif line.lstrip().startswith("}") and len(stack) > 1:
                yield from _block(stack.pop())
    for each in reversed(stack):
        yield from _block(each)


def _command(body: list[str], first: int) -> Iterator[Reference]:
    """A list of words, each with its line."""
    words = [
        documents.Text(word, first + number)
        for number, line in enumerate(body)
        for word in _TEXT.findall(line)
    ]
    for each in commands.command(words, first, {}):
        yield configs.moved(each, words)


def _block(block: _Block) -> Iterator[Reference]:
    settings = block.settings()
    for name, value, line in settings:
        if re.search(r"(?i)image(?:_ur[il]|_name)?$", name):
            yield from commands.from_image(value, line)
    yield from commands.environment([each for each in settings if "${" not in each[1]])
