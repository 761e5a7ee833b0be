"""References in JavaScript and TypeScript, by their text: models of transformers.js, names and hosts of clients."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from safe_load.register import calls, found, names, servers
from safe_load.register.rows import Fact, Reference

if TYPE_CHECKING:
    from collections.abc import Iterator

_CONSTANT = re.compile(
    r"\b(?:const|let|var)\s+(\w{1,80})(?:\s*:\s*\w+)?\s*=\s*(?:process\.env[\w.\[\]'\"]{0,80}\s*(?:\|\||\?\?)\s*)?(['\"`])([^'\"`\n]{1,500})\2"
)
#: An object of constants; its keys are named behind a dot.
_OBJECT = re.compile(r"\b(?:const|let|var)\s+(\w{1,80})(?:\s*:\s*\w+)?\s*=\s*\{([^{}]{1,4000})\}")
_LOAD = re.compile(
    r"\b(from_pretrained|pipeline|snapshotDownload|downloadFile)\s*(?:<[^<>()]{0,200}>)?\s*\("
)
_PAIR = re.compile(
    r"\b([A-Za-z_]\w{0,60})['\"]?\s*[:=]\s*(?:process\.env[\w.\[\]'\"]{0,80}\s*(?:\|\||\?\?)\s*)?(['\"`])([^'\"`\n]{1,500})\2"
)
_PROVIDER = re.compile(
    r"\b(?:openai|anthropic|google|mistral|groq|cohere|xai|deepseek|bedrock|azure|createOpenAI\([^)]{0,200}\))(?:\.\w+)?\(\s*(['\"`])([^'\"`\n]{1,100})\1"
)
_FETCH = re.compile(
    r"\b(?:fetch|endpoint|WebSocket|axios(?:\.\w+)?|got(?:\.\w+)?|URL)\(\s*(['\"`])((?:https?|wss?)://[^'\"`\s]{1,500})\1"
)
#: web-llm: names of the library's own list.
_ENGINE = re.compile(
    r"\bCreate(?:\w{0,20})MLCEngine\(\s*(?:\w+\s*,\s*)?(['\"`])([^'\"`\n]{1,200})\1"
)
#: The transport of an MCP client, and what its options are of.
_STDIO = re.compile(
    r"\bcommand\s*:\s*(['\"`])([^'\"`\n]{1,200})\1\s*,\s*args\s*:\s*\[([^\]]{0,2000})\]"
)
_TEXT = re.compile(r"(['\"`])([^'\"`\n]{1,500})\1")
_REVISION = re.compile(r"\brevision\s*:\s*(?:(['\"`])([^'\"`\n]{1,100})\1|(\w+))")
_COMMENT = re.compile(r"^\s*(?://|\*|/\*).*$", re.MULTILINE)


def read(text: str) -> list[Reference]:
    """The references of one file."""
    bare = _COMMENT.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)
    return list(_Reader(bare).references())


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._constants = {name: value for name, _, value in _CONSTANT.findall(text)[:5000]}
        for match in _OBJECT.finditer(text):
            for key, _, value in _PAIR.findall(match[2]):
                self._constants[f"{match[1]}.{key}"] = value
        self._lines = [match.start() for match in re.finditer(r"\n", text)]
        self._used: set[str] = set()

    def _line(self, at: int) -> int:
        from bisect import bisect_left  # noqa: PLC0415

        return bisect_left(self._lines, at) + 1

    def references(self) -> Iterator[Reference]:
        for match in _LOAD.finditer(self._text):
            yield from self._load(match)
        for match in _PROVIDER.finditer(self._text):
            self._used.add(match[2])
            if names.hosted(match[2]):
                yield from found.named(match[2], self._line(match.start()))
        for match in _ENGINE.finditer(self._text):
            self._used.add(match[2])
            yield from found.model(match[2], self._line(match.start()), what="sized")
        for match in _STDIO.finditer(self._text):
            at = self._line(match.start())
            words = [text for _, text in _TEXT.findall(match[3])]
            yield from servers.server(
                "", {"command": match[2], "args": words}, lambda *_, at=at: at
            )
        for match in _FETCH.finditer(self._text):
            yield from found.link(match[2], self._line(match.start()))
            self._used.add(match[2])
        for match in _PAIR.finditer(self._text):
            word, text, line = match[1], match[3], self._line(match.start())
            if text in self._used or "${" in text:
                continue
            if names.url_of(text):
                if calls.names_host(word):
                    yield from found.host(text, line)
            elif calls.names_model(word):
                yield from found.named(text, line, strict=True, weak=True)

    def _load(self, match: re.Match[str]) -> Iterator[Reference]:
        inside = self._text[match.end() : match.end() + 1000]
        inside = inside[: _closing(inside)]
        parts = _arguments(inside)
        at = 1 if match[1] == "pipeline" else 0
        line = self._line(match.start())
        if len(parts) <= at:
            task = self._value(parts[0]) if match[1] == "pipeline" and parts else None
            if task:
                yield found.default_of(task, line)
            return
        name = self._value(parts[at])
        revision = _REVISION.search(inside)
        pin = (revision[2] or self._constants.get(revision[3] or "")) if revision else None
        if name is None:
            if match[1] == "from_pretrained":
                told = Fact("computed", "the name is known only when the program runs")
                yield Reference(
                    "model", f"<{names.masked(parts[at].strip())[:80]}>", line, facts=(told,)
                )
            return
        self._used.add(name)
        yield from found.model(
            name,
            line,
            pin,
            known=pin is not None or revision is None,
            fix=f'{match[1]}(..., "NAME", {{ revision: "COMMIT" }})',
        )

    def _value(self, text: str) -> str | None:
        text = text.strip()
        literal = _TEXT.fullmatch(text)
        if literal:
            return None if "${" in literal[2] else literal[2]
        return self._constants.get(text)


def _closing(text: str) -> int:
    """Where the call's parenthesis closes; the end where it does not."""
    depth = 0
    for at, char in enumerate(text):
        depth += (char in "([{") - (char in ")]}")
        if depth < 0:
            return at
    return len(text)


def _arguments(text: str) -> list[str]:
    """A call's arguments, split at the commas that stand in no bracket or quote."""
    parts, depth, quote, start = [], 0, "", 0
    for at, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"`":
            quote = char
        elif char == "," and depth == 0:
            parts.append(text[start:at])
            start = at + 1
        else:
            depth += (char in "([{") - (char in ")]}")
    return [part for part in [*parts, text[start:]] if part.strip()]
