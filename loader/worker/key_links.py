"""Links and texts that hold a key: who reads them may do what the key allows.

Zone: worker, for the texts of a model; the controller uses it for the source's name and for what it shows. Standard
library only. Nothing here asks a network, so whether a key still opens anything is not known.

The parameters are those of Azure's shared access signatures ("Create an account SAS" and "Create a service SAS",
learn.microsoft.com), of Amazon's Signature Version 4 ("Authenticating Requests: Using Query Parameters") and of Google's V4
signed URLs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

#: How a sentence on a key that changes nothing ends; what cannot is less grave.
READS_ONLY = "may only read"
_LINK = re.compile(r"""://[^\s"'<>`\\^{}|]{1,4000}""")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{1,20}$")
_TOKEN = re.compile(
    r"(?<![A-Za-z0-9_])(hf_[A-Za-z0-9]{30,60}|gh[pousr]_[A-Za-z0-9]{36,100}|github_pat_[A-Za-z0-9_]{40,120}|glpat-[A-Za-z0-9_-]{20,60})(?![A-Za-z0-9_])"
)
_MARKS = ("hf_", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-")
_TOKENS = {"hf": "a token of the hub", "gh": "a token of GitHub", "gi": "a token of GitHub", "gl": "a token of GitLab"}  # fmt: skip
_ACCOUNT = re.compile(r"(?<=://)([^\s/?#@:]{0,200}):([^\s/?#@]{1,500})@")
_SECRET = re.compile(
    r"(?i)([?&;](?:sig|x-amz-signature|x-amz-security-token|x-goog-signature|signature|awsaccesskeyid|sas|token|access_token|api_key|key-pair-id|policy)=)[^&#\s\"'<>]{4,}"
)
#: What manuals write where a password stands.
_EXAMPLE = re.compile(
    r"(?i)[<\[${%*.].*|.*[>\]}]|x+|\*+|\.+|(your|my|the)?[-_]?(pass(word|wd|phrase)?|pw|pwd|secret|token|key|api[-_]?key)[0-9]?"
)
_WRITES = {"w": "write", "d": "delete", "c": "create", "a": "add", "u": "update", "x": "delete versions", "p": "change access"}  # fmt: skip
#: Beyond this a key for reading one thing is told too: Amazon's own bound for a signed link.
_FAR = timedelta(days=7)
MOST = 20
_LONGEST = 8 << 20


@dataclass(frozen=True)
class Key:
    """link: masked; what: a clause without a subject, "holds a key of Azure that may write"."""

    link: str
    what: str


def find(text: str, now: datetime | None = None) -> list[Key]:
    """The keys in a text, at most MOST, of its first 8 Mi characters; none that has expired or that a manual would
    write as an example."""
    now = now or datetime.now(UTC)
    found: list[Key] = []
    text = text[:_LONGEST]
    for key in _all(text, now):
        if key not in found:
            found.append(key)
        if len(found) >= MOST:
            break
    return found


def _all(text: str, now: datetime) -> Iterator[Key]:
    for match in _LINK.finditer(text):
        scheme = _SCHEME.search(text[max(0, match.start() - 21) : match.start()])
        if scheme is not None:
            link = (scheme[0] + match[0]).rstrip(".,;:)]")
            yield from (Key(mask(link)[:300], what) for what in _of_link(link, now))
    if any(mark in text for mark in _MARKS):
        for match in _TOKEN.finditer(text):
            if _random(match[1]):
                yield Key(mask(match[1]), f"holds {_TOKENS[match[1][:2]]}")


def mask(text: str) -> str:
    """The text without the secrets in its links: what they are and where they point stays."""
    if "://" in text:
        text = _ACCOUNT.sub(r"\1:***@", text)
        text = _SECRET.sub(r"\1***", text)
    return _TOKEN.sub(lambda match: f"{match[1][:3]}***", text)


def _random(token: str) -> bool:
    """Whether it looks drawn, and not written as an example (hf_xxxxxxxx)."""
    return len(set(token[4:])) >= 10


def _of_link(link: str, now: datetime) -> Iterator[str]:
    if (account := _ACCOUNT.search(link)) and not _EXAMPLE.fullmatch(unquote(account[2])):
        yield "holds a user's name and password"
    try:
        query = {
            key.lower(): value for key, value in parse_qsl(urlsplit(link).query, max_num_fields=50)
        }
    except ValueError:
        return
    if "sig" in query and ("sv" in query or "se" in query):
        yield from _azure(query, now)
    for prefix, whose in (("x-amz", "Amazon"), ("x-goog", "Google")):
        if f"{prefix}-signature" in query:
            begun = _compact(query.get(f"{prefix}-date", ""))
            lasts = _number(query.get(f"{prefix}-expires", ""))
            ends = begun + timedelta(seconds=lasts) if begun and lasts is not None else None
            yield from _signed(whose, ends, now)
            return
    if "signature" in query and {"awsaccesskeyid", "googleaccessid"} & query.keys():
        seconds = _number(query.get("expires", ""))
        whose = "Amazon" if "awsaccesskeyid" in query else "Google"
        yield from _signed(whose, _moment(seconds), now)


def _azure(query: dict[str, str], now: datetime) -> Iterator[str]:
    ends = _iso(query.get("se", ""))
    if ends is not None and ends < now:
        return
    whole = "ss" in query and "srt" in query
    may = [word for letter, word in _WRITES.items() if letter in query.get("sp", "")]
    far = ends is None or ends - now > _FAR
    if not (whole or may or far):
        return
    until = "without a day on which it ends" if ends is None else f"until {ends.date().isoformat()}"
    scope = "a whole storage account" if whole else _scope(query.get("sr", ""))
    rights = f"that may {', '.join(may)}" if may else f"that {READS_ONLY}"
    yield f"holds a key of Azure for {scope}, {until}, {rights}"


def _scope(kind: str) -> str:
    return {"c": "a whole container", "d": "a folder", "s": "a whole share"}.get(kind, "one object")


def _signed(whose: str, ends: datetime | None, now: datetime) -> Iterator[str]:
    if ends is not None and ends < now:
        return
    until = "without a day on which it ends" if ends is None else f"until {ends.date().isoformat()}"
    yield f"holds a signature of {whose} for one object, {until}, that {READS_ONLY}"


def _iso(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(unquote(text).strip())
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _compact(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 12 else None


def _moment(seconds: int | None) -> datetime | None:
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return None
