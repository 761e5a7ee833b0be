"""HTTP responses: what every one carries, refusals as the hub words them, and files in ranges.

Zone: controller. A header holds printable ASCII alone, whoever wrote the text.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

import msgspec
from safe_load.core.escape import visible
from safe_load.gateway.refusal import Refusal
from starlette.responses import Response

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import ExitStack
    from io import FileIO

    from safe_load.gateway.records import File
    from safe_load.gateway.sending import Sending
    from starlette.types import Message, Receive, Scope, Send

_PIECE = 64 << 10
#: Seconds that a client may take to take one chunk.
_STALLED = 120.0
_LONGEST = 900
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
#: Nothing that comes from here is a page, may be shown in one, or is the same for everybody.
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox; frame-ancestors 'none'",
    "Cache-Control": "private, no-cache",
    "Vary": "Authorization",
}


def header(text: str) -> str:
    """A text for a header: one line of printable ASCII."""
    return visible(text, _LONGEST).encode("ascii", "backslashreplace").decode("ascii")


def said(value: Any, headers: Mapping[str, str] | None = None, status: int = 200) -> Response:
    """A value as JSON."""
    return Response(
        msgspec.json.encode(value), status, {**HEADERS, **(headers or {})}, "application/json"
    )


def refused(refusal: Refusal, *, gated: bool = True) -> Response:
    """Why nothing is served, in the hub's headers. gated: whether the client shows its user the sentence of a GatedRepo
    error, and of no other; else a plain 403 shows it."""
    # Clients put a full stop after it.
    headers = {"X-Error-Message": header(refusal.sentence).removesuffix(".")}
    code = refusal.code if gated or refusal.code != "GatedRepo" else ""
    if code:
        headers["X-Error-Code"] = code
    if refusal.again is not None:
        headers["Retry-After"] = str(refusal.again)
    if refusal.commit is not None:
        headers["X-Safe-Load-Upstream-Commit"] = refusal.commit
    if refusal.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="safe-load"'
    return said({"error": visible(refusal.sentence)}, headers, refusal.status)


class Pieces(Response):
    """A large body that lies in memory. It goes piece by piece, and a client that takes none is left. ending: closed when
    the body has gone, or does not go on."""

    def __init__(
        self, body: bytes, headers: Mapping[str, str], media_type: str, ending: ExitStack
    ) -> None:
        super().__init__(body, 200, headers, media_type)
        self._ending = ending

    async def __call__(self, scope: Scope, _: Receive, send: Send) -> None:
        with self._ending:
            await send(_start(self))
            left = memoryview(self.body if scope["method"] != "HEAD" else b"")
            while len(left) > _PIECE:
                await _send(send, bytes(left[:_PIECE]), more=True)
                left = left[_PIECE:]
            await _send(send, bytes(left), more=False)


class Ranged(Response):
    """A file, or one range of it. The body is read while it is sent; a client that takes nothing is left."""

    def __init__(
        self,
        file: File,
        open_it: Callable[[], FileIO],
        headers: Mapping[str, str],
        asked: Mapping[str, str],
        count: Callable[[int], None],
        sending: Sending,
    ) -> None:
        etag = f'"{file.sha256}"'
        self._open, self._count, self._sending = open_it, count, sending
        self._start, end, status = 0, file.size, 200
        wanted = asked.get("range")
        if wanted is not None and asked.get("if-range", etag) == etag:
            span = span_of(wanted, file.size)
            if span == (0, 0):
                status, end = 416, 0
            elif span is not None:
                (self._start, end), status = span, 206
        more = {"ETag": etag, "Accept-Ranges": "bytes", "Content-Length": str(end - self._start)}
        if status == 206:
            more["Content-Range"] = f"bytes {self._start}-{end - 1}/{file.size}"
        if status == 416:
            more["Content-Range"] = f"bytes */{file.size}"
        if status == 200 and etag in [
            each.strip() for each in asked.get("if-none-match", "").split(",")
        ]:
            status, end = 304, 0
            del more["Content-Length"]
        self._left = end - self._start
        super().__init__(None, status, {**HEADERS, **headers, **more}, "application/octet-stream")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "HEAD" or not self._left:
            await send(_start(self))
            await _send(send, b"", more=False)
            return
        if self._sending.full():
            told = Refusal(503, "", "the gateway sends too many files at present", 10)
            await refused(told)(scope, receive, send)
            return
        with (
            self._sending.one(),
            await asyncio.to_thread(self._open) as file,
        ):  # before the status, so that it can still be another
            await send(_start(self))
            file.seek(self._start)
            while self._left:
                data = await asyncio.to_thread(file.read, min(self._sending.chunk, self._left))
                if not data:
                    raise OSError("a cleared file is shorter than it was")
                self._left -= len(data)
                self._count(len(data))
                await _send(send, data, more=self._left > 0)


def _start(response: Response) -> Message:
    return {
        "type": "http.response.start",
        "status": response.status_code,
        "headers": response.raw_headers,
    }


async def _send(send: Send, data: bytes, *, more: bool) -> None:
    async with asyncio.timeout(_STALLED):
        await send({"type": "http.response.body", "body": data, "more_body": more})


def span_of(wanted: str, size: int) -> tuple[int, int] | None:
    """The bytes of a Range header (RFC 9110, 14.2): the first, and the one after the last. (0, 0): it can not be
    satisfied, or is malformed. None: it is to be ignored, because it has another unit or several ranges."""
    if not wanted.startswith("bytes=") or "," in wanted:
        return None
    match = _RANGE.fullmatch(wanted.replace(" ", ""))
    if match is None or not (match[1] or match[2]):
        return 0, 0
    if not match[1]:  # the last so many bytes
        count = min(int(match[2]), size)
        return (size - count, size) if count else (0, 0)
    start, end = int(match[1]), min(int(match[2] or size - 1) + 1, size)
    return (start, end) if start < end else (0, 0)
