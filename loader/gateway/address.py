"""What a request is about: its path, parsed once, as it came over the wire.

Zone: controller. Everything that is not plainly one of the hub's addresses is None. A path is split at its slashes
before it is decoded, so that an encoded slash is part of a name and never a separator.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote_to_bytes

from safe_load.core.errors import UsageError
from safe_load.sources import hub

Kind = Literal["info", "tree", "paths-info", "refs", "resolve"]

_LONGEST = 4096
_MOST_PARTS = 64
#: What follows the name of a repository under /api/models.
_BELOW = ("revision", "tree", "paths-info", "refs")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\\]")
#: Other kinds of repository, as their addresses begin.
OTHERS = ("datasets", "spaces", "kernels", "buckets")
_WORDS = re.compile(r"[A-Za-z0-9][\w.-]{0,95}", re.ASCII)


@dataclass(frozen=True)
class Address:
    """One of the hub's addresses. path: of a file or folder in the repository, "" for all."""

    kind: Kind
    repo: str
    revision: str = "main"
    path: str = ""


def parts(raw: bytes) -> list[str] | None:
    """The parts of a path, decoded; None for one that no client sends: parts that are empty or lead elsewhere, bytes
    that are no UTF-8, a null byte, a backslash, anything unprintable."""
    if len(raw) > _LONGEST or not raw.startswith(b"/"):
        return None
    split = raw[1:].split(b"/")
    if len(split) > _MOST_PARTS:
        return None
    found = []
    for part in split:
        try:
            text = unquote_to_bytes(part).decode("utf-8")
        except UnicodeDecodeError:
            return None
        if text in ("", ".", "..") or _UNPRINTABLE.search(text):
            return None
        found.append(text)
    return found


def parse(raw: bytes) -> Address | None:
    """The address that a path is, None for any other."""
    found = parts(raw)
    if found is None:
        return None
    if found[:2] == ["api", "models"]:
        return _api(found[2:])
    if "resolve" in found[1:3] and found[0] not in ("api", *OTHERS):
        where = found.index("resolve", 1)
        return _address("resolve", found[:where], found[where + 1 :])
    return None


def _api(rest: list[str]) -> Address | None:
    for count in (1, 2):
        below = rest[count:]
        if count == 1 and len(rest) > 1 and rest[1] not in _BELOW:
            continue  # a name with an organisation
        if len(rest) < count:
            return None
        if not below:
            return _address("info", rest, [])
        if below[0] == "refs" and len(below) == 1:
            return _address("refs", rest[:count], [])
        if below[0] in _BELOW and len(below) > 1:
            kind: Kind = "info" if below[0] == "revision" else below[0]  # type: ignore[assignment]
            return _address(kind, rest[:count], below[1:])
    return None


def _address(kind: Kind, repo: list[str], rest: list[str]) -> Address | None:
    """rest: the revision, and the parts of a path."""
    if any("/" in part for part in (*repo, *rest[1:])) or not 0 < len(repo) <= 2:
        return None
    revision, path = (rest[0] if rest else "main"), "/".join(rest[1:])
    if (kind in ("info", "refs", "paths-info") and path) or (kind == "resolve" and not path):
        return None
    try:
        name = hub.named("/".join(repo), revision)
    except UsageError:
        return None
    return Address(kind, name.repo, name.revision, path)


def is_word(text: str) -> bool:
    """Whether it may be the name of an organisation or a user."""
    return _WORDS.fullmatch(text) is not None
