"""What the texts of an MCP server do to a model that reads them, and the digest of each definition.

Zone: controller. The texts are hostile. Every check is linear: a table of patterns over bounded text, and no
pattern that backtracks. What a person would have to weigh is a finding with the words themselves.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from safe_load.core.escape import visible
from safe_load.core.tool_report import Offer
from safe_load.judge.findings import finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from safe_load.core.report import Finding

_MOST_DEPTH, _MOST_NODES, _LONGEST_TEXT = 64, 200_000, 100_000
_QUOTED = 160
#: Shorter names are words of everyday language.
_SHORTEST_NAME = 6
_TAGS = range(0xE0000, 0xE0080)
#: Variation selectors and joiners stand in honest emoji and scripts; many in a row carry bytes.
_FEW_JOINERS = re.compile("[\u200c\u200d\ufe0e\ufe0f]{3}|[\U000e0100-\U000e01ef]{2}")
_HIDE = "asks to hide something from the user"
_REPLACE = "takes the place of instructions"
#: What is asked for, and how texts that ask for it read. Repetitions are bounded, so that none takes long.
_STEERING: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (what, re.compile(pattern, re.IGNORECASE))
    for what, pattern in (
        (
            _HIDE,
            (
                r"\b(?:do not|don't|never|without) (?:\w{1,20} ){0,3}?"
                r"(?:tell|mention|inform|notify|show|reveal|alert|disclose)(?:ing)?\b"
                r"(?: \w{1,20}){0,5}? ?\b(?:user|human|anyone|them)\b"
            ),
        ),
        (
            _HIDE,
            r"\b(?:do not|don't|never) (?:mention|reveal|disclose|explain) (?:this|it|that|these)\b",
        ),
        (
            _HIDE,
            (
                r"\b(?:secretly|covertly|silently) (?:send|read|copy|forward|upload|include|call|pass|post|add|execute)\b"
                r"|\bhide (?:this|it|that) from\b"
            ),
        ),
        (
            _REPLACE,
            (
                r"\b(?:ignore|disregard|forget|override) (?:\w{1,20} ){0,3}?"
                r"(?:previous|prior|above|earlier|other|system|safety) (?:\w{1,20} ){0,2}?"
                r"(?:instruction|prompt|rule|message|guideline)s?\b"
            ),
        ),
        (
            _REPLACE,
            (
                r"< ?/? ?(?:important|system|secret|instructions?|hidden|assistant|critical) ?>"
                r"|\[/?(?:inst|system)\]|<\|(?:im_start|system)"
            ),
        ),
        (
            "asks for a file with secrets",
            (
                r"\.ssh\b|\bid_(?:rsa|ed25519)\b|\.aws/|\b(?:mcp|claude_desktop_config)\.json\b"
                r"|/etc/(?:passwd|shadow)\b|\.netrc\b|\.kube/|\.git-credentials\b"
                r"|\b(?:read|open|load|cat|get|fetch)\b[^.]{0,60}[ /\"'`]\.env\b"
            ),
        ),
        (
            "asks to pass data along",
            (
                r"\b(?:pass|include|put|send|attach|append|forward|copy|bcc) (?:\w{1,20} ){0,6}?"
                r"(?:contents?|conversation|chat history|api[ _-]?keys?|credentials|passwords?|system prompt"
                r"|environment variables?)\b(?: \w{1,20}){0,6}? (?:as|into|to|via)\b"
            ),
        ),
        (
            "speaks of all other tools' calls",
            (
                r"\b(?:before|after|instead of|when(?:ever)?) (?:\w{1,20} ){0,3}?"
                r"(?:using|calling|invoking|running) (?:any|all|every|other|another)\b(?: other)? "
                r"(?:tool|server|function)s?\b"
            ),
        ),
    )
)


@dataclass(frozen=True)
class Definition:
    """One thing that a server offers. kind: tool, prompt, resource or template; given: as the server gave it."""

    server: str
    kind: str
    name: str
    given: dict[str, Any]

    @property
    def digest(self) -> str:
        """SHA-256 of the definition in one form: JSON with sorted keys, no spaces, UTF-8. "" where it has none."""
        try:
            text = json.dumps(
                self.given,
                sort_keys=True,
                separators=(",", ":"),
                ensure_ascii=False,
                allow_nan=False,
            )
            return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        except (ValueError, RecursionError, TypeError):
            return ""

    def offer(self) -> Offer:
        """As the report has it."""
        text = self.given.get("description")
        return Offer(self.server, self.kind, self.name, self.digest, str(text or "")[:1000])


def definitions(server: str, offers: object) -> list[Definition]:
    """The definitions in what the client's room returned. What does not fit is left out."""
    found = []
    for each in offers if isinstance(offers, list) else []:
        if isinstance(each, dict) and isinstance(given := each.get("definition"), dict):
            name = given.get("name") or given.get("uri") or given.get("uriTemplate") or ""
            found.append(Definition(server, str(each.get("kind")), str(name)[:1000], given))
    return found


def judge(offered: Sequence[Definition], instructions: dict[str, str]) -> list[Finding]:
    """Findings on texts. instructions: server -> what it tells the model at the start."""
    found: list[Finding] = []
    for server, text in instructions.items():
        found += _on_text(text[:_LONGEST_TEXT], f"{server}: instructions")
    for each in offered:
        where = f"{each.server}: {each.kind} {visible(each.name, 80)}"
        texts = _texts(each.given)
        if texts is None or not each.digest:
            found.append(
                finding(
                    "SL902", f"{where}: its definition is too large or too deep to be read", where
                )
            )
            continue
        whole = "\n".join(texts)
        if len(whole) > _LONGEST_TEXT:
            found.append(
                finding(
                    "SL902",
                    f"{where}: its texts are too long to be read: {len(whole):,} characters",
                    where,
                )
            )
        found += _on_text(whole[:_LONGEST_TEXT], where)
    return found


def across(offered: Sequence[Definition]) -> list[Finding]:
    """Findings on several servers that one model sees: a tool that speaks of another server's, or has its name."""
    names = {each.name: each.server for each in offered if each.kind == "tool"}
    found: list[Finding] = []
    for each in offered:
        where = f"{each.server}: {each.kind} {visible(each.name, 80)}"
        if (texts := _texts(each.given)) is not None:
            found += _on_names("\n".join(texts)[:_LONGEST_TEXT], where, each, names)
    return found + list(_twice(offered))


def changed(offered: Iterable[Definition], known: Iterable[Offer]) -> list[Finding]:
    """What differs from an earlier list: the harmless server that is so no more."""
    before = {(each.server, each.kind, each.name): each.digest for each in known}
    servers = {server for server, _, _ in before}
    found = []
    now = {(each.server, each.kind, each.name): each.digest for each in offered}
    for key, digest in now.items():
        where = f"{key[0]}: {key[1]} {visible(key[2], 80)}"
        if key in before and before[key] != digest:
            found.append(
                finding(
                    "SL904", f"{where} is defined otherwise than in the list that is known", where
                )
            )
        elif key not in before and key[0] in servers:
            found.append(
                finding(
                    "SL904", f"{where} is new: the list that is known has no such {key[1]}", where
                )
            )
    for key in before.keys() - now.keys():
        if key[0] in {server for server, _, _ in now}:
            where = f"{key[0]}: {key[1]} {visible(key[2], 80)}"
            found.append(
                finding(
                    "SL904", f"{where} is gone from the list that is known", where, severity="low"
                )
            )
    return found


def _on_text(text: str, where: str) -> Iterator[Finding]:
    if hidden := _hidden(text):
        shown = visible(text[max(0, hidden[0] - 20) :], _QUOTED)
        yield finding("SL901", f"{where} holds {hidden[1]}: {shown}", where)
    plain = _plain(text)
    told: set[str] = set()
    for what, pattern in _STEERING:
        match = pattern.search(plain)
        if match and what not in told:
            told.add(what)
            around = plain[max(0, match.start() - 30) : match.end() + 60]
            yield finding("SL902", f"{where} {what}: {visible(around, _QUOTED)}", where)


def _hidden(text: str) -> tuple[int, str] | None:
    """(place, what) of the first character that shows as nothing, or steers how the rest shows."""
    for place, char in enumerate(text):
        code = ord(char)
        if code in _TAGS:
            return place, "tag characters, which spell text that nobody sees"
        if char == "\x1b" or (code < 32 and char not in "\t\n\r") or 0x7F <= code < 0xA0:
            return place, "control characters of a terminal"
        if "\u202a" <= char <= "\u202e" or "\u2066" <= char <= "\u2069":
            return place, "characters that turn the direction of text"
        if (
            char
            in "\u200b\u2060\u2061\u2062\u2063\u2064\ufeff\u00ad\u034f\u115f\u1160\u3164\uffa0\u180e"
        ):
            return place, "characters that show as nothing"
        if unicodedata.category(char) == "Co":
            return place, "characters without a meaning of their own"
    if match := _FEW_JOINERS.search(text):
        return (
            match.start(),
            "joiners or variation selectors in a row, which carry text that nobody sees",
        )
    return None


def _plain(text: str) -> str:
    """The text as a model may take it: compatible forms folded, what does not show left out, one space."""
    folded = unicodedata.normalize("NFKC", text)
    kept = "".join(char for char in folded if unicodedata.category(char) not in ("Cf", "Mn", "Co"))
    return re.sub(r"\s+", " ", kept.replace("\u2019", "'"))


def _on_names(text: str, where: str, each: Definition, names: dict[str, str]) -> Iterator[Finding]:
    words = {word.strip(".-") for word in re.findall(r"[\w.-]+", text)}
    for name in sorted(words & names.keys()):
        if names[name] != each.server and len(name) >= _SHORTEST_NAME and name != each.name:
            yield finding(
                "SL903", f"{where} speaks of {name}, a tool of the server {names[name]}", where
            )


def _twice(offered: Sequence[Definition]) -> Iterator[Finding]:
    seen: dict[str, str] = {}
    for each in offered:
        if each.kind == "tool" and seen.setdefault(each.name, each.server) != each.server:
            where = f"{each.server}: tool {visible(each.name, 80)}"
            yield finding(
                "SL903", f"{where} has the name of a tool of the server {seen[each.name]}", where
            )


def _texts(value: object) -> list[str] | None:
    """Every string in a definition, keys included; None where it is too deep or has too many parts."""
    found: list[str] = []
    waiting: list[tuple[object, int]] = [(value, 0)]
    count = 0
    while waiting:
        at, depth = waiting.pop()
        count += 1
        if depth > _MOST_DEPTH or count > _MOST_NODES:
            return None
        if isinstance(at, str):
            found.append(at)
        elif isinstance(at, dict):
            waiting += [(each, depth + 1) for each in reversed(list(at.values()))]
            found += [str(key) for key in at]
        elif isinstance(at, list):
            waiting += [(each, depth + 1) for each in reversed(at)]
    return found
