"""Why the fetcher refuses or fails, as a kind and numbers: a server or an exception may repeat a token in
its text.

Zone: the fetcher's process.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


class Refused(Exception):
    """What the fetcher does not do. kind, **numbers: as answered."""

    def __init__(self, kind: str, **numbers: Any) -> None:
        super().__init__(kind)
        self.answer = {"error": kind, **numbers}


def kind_of(error: BaseException) -> dict[str, Any]:
    """What went wrong, as the other side knows it. Looks through what an exception stands for."""
    for cause in _causes(error):
        if isinstance(cause, Refused):
            return dict(cause.answer)
        for kind, names in _KINDS.items():
            if names & {base.__name__ for base in type(cause).__mro__}:
                return {"error": kind}
        status = getattr(getattr(cause, "response", None), "status_code", None)
        if isinstance(status, int):
            return {"error": _STATUSES.get(status, "down"), "status": status} | _patience(cause)
    if "LocalEntryNotFoundError" in {base.__name__ for base in type(error).__mro__}:
        return {"error": "not-cached"}
    if isinstance(error, OSError) and error.errno is not None:
        return {"error": "file", "errno": error.errno}
    if isinstance(error, OSError) and "Consistency check failed" in str(error):
        return {"error": "truncated"}
    return {"error": "broken", "what": type(error).__name__}


def _patience(error: Any) -> dict[str, int]:
    """The seconds that a refusal asks to wait, by Retry-After (RFC 9110, 10.2.3) or by the field "t" of
    RateLimit (draft-ietf-httpapi-ratelimit-headers), which the hub sends. {} where it names none."""
    headers = getattr(getattr(error, "response", None), "headers", {})
    found = re.fullmatch(r"\s*(\d{1,6})\s*", str(headers.get("retry-after", "")))
    found = found or re.search(r";\s*t=(\d{1,6})\b", str(headers.get("ratelimit", ""))[:1000])
    return {"retry_after": int(found[1])} if found else {}


def _causes(error: BaseException) -> Iterator[BaseException]:
    current: BaseException | None = error
    for _ in range(8):
        if current is None:
            return
        yield current
        current = current.__cause__ or current.__context__


_STATUSES = {401: "denied", 403: "denied", 404: "no-repository", 429: "busy"}
#: Exceptions by their names, since the libraries below huggingface_hub change.
_KINDS = {
    "gated": {"GatedRepoError"},
    "no-revision": {"RevisionNotFoundError"},
    "no-repository": {"RepositoryNotFoundError"},
    "disabled": {"DisabledRepoError"},
    "token": {"LocalProtocolError", "LocalTokenNotFoundError", "UnicodeEncodeError"},
    "no-file": {"RemoteEntryNotFoundError"},
    "offline": {"OfflineModeIsEnabled"},
    "proxy": {"ProxyError"},
    "redirects": {"TooManyRedirects"},
    "unreachable": {"TransportError", "ConnectionError"},
    "listing": {"JSONDecodeError", "RecursionError", "DecodingError", "KeyError", "TypeError"},
}
