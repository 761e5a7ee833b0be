"""The controller's end of the line to the fetcher: what it may answer, and for how long it may not.

Zone: controller. The fetcher repeats what a hub says, so each answer is bounded and typed here.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Self

import msgspec
from safe_load.core import typed
from safe_load.core.errors import LimitHit, NotLoadable
from safe_load.sources.hub.listing import MAX_LISTED, Listed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import TracebackType

#: Seconds without any sign of life. A hub that counts requests may ask for five minutes' patience.
STALLED = 330.0
#: What a download may take in all: this, and besides a second for each of so many bytes.
_ALWAYS, _SLOWEST = 900.0, 50_000
_MAX_LINE = 64 << 10


_SHORT = Annotated[str, msgspec.Meta(max_length=200)]
_COUNT = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]


class Facts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the hub says of the repository, bounded; the fields of report.HubWord."""

    name: _SHORT | None = None
    created: _SHORT | None = None
    changed: _SHORT | None = None
    downloads: _COUNT | None = None
    likes: _COUNT | None = None
    base_models: Annotated[list[_SHORT], msgspec.Meta(max_length=10)] = []
    verified: bool | None = None
    scan: _SHORT | None = None


class Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of the fetcher: a listed file (path, size, blob, sha256), the commit (cached: why the
    cache stands in for the hub; standing: see fetcher._Hub.standing; facts: of the repository), some bytes that came, a file that is there (`place`; cached: it was before), the end of an order, or an error."""

    file: tuple[str, Annotated[int, msgspec.Meta(ge=0)], str, str | None] | None = None
    commit: str | None = None
    cached: str | bool | None = None
    standing: str | None = None
    facts: Facts | None = None
    bytes: int | None = None
    done: str | None = None
    place: str | None = None
    end: bool = False
    error: str | None = None
    status: int | None = None
    errno: int | None = None
    what: str | None = None
    path: str | None = None
    retry_after: Annotated[int, msgspec.Meta(ge=0)] | None = None
    needed: int | None = None
    free: int | None = None


class Refused(Exception):
    """The fetcher's reason to stop."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.error)
        self.answer = answer


class Fetcher:
    """One process for one repository; use it as a context manager. Methods raise Refused, LimitHit
    for a hub that keeps silent, NotLoadable for a malformed answer. patience: seconds for `look_up`."""

    def __init__(
        self,
        repo: str,
        revision: str,
        *,
        cache_dir: str | None,
        token: str | bool | None,
        offline: bool,
        force: bool,
        patience: float = _ALWAYS,
    ) -> None:
        self._asked = {
            "repo": repo,
            "revision": revision,
            "cache": cache_dir,
            "token": token,
            "offline": offline,
            "force": force,
        }
        self._rest = b""
        self._deadline = time.monotonic() + patience

    def __enter__(self) -> Self:
        # Xet would transfer by an HTTP client of its own, which cannot be looked at.
        environment = os.environ | {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
        environment.pop("HF_DEBUG", None)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-B", "-X", "utf8", "-m", "safe_load.sources.hub.fetcher"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,  # a Ctrl-C is for the one who waits; it ends this one too
        )
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        process = self._process
        assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018
        with suppress(BrokenPipeError):
            process.stdin.close()  # at which it cleans up and leaves
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()

    def look_up(self) -> tuple[Answer, list[Listed]]:
        """The answer with the commit, and the files."""
        self._say(self._asked)
        files: list[Listed] = []
        for answer in self._answers():
            if answer.file is not None:
                files.append(Listed(*answer.file))
                if len(files) > MAX_LISTED:
                    raise NotLoadable(f"the repository holds more than {MAX_LISTED:,} files")
            elif answer.commit is not None:
                return answer, files
        raise NotLoadable("the hub's answer is malformed")

    def download(
        self, files: Sequence[Listed], tell: Callable[[int], None]
    ) -> dict[str, tuple[str, bool]]:
        """Have the files in the cache. Returns for each path where it is, and whether it was there
        before. tell: called with the bytes that came."""
        self._deadline = time.monotonic() + _ALWAYS + sum(file.size for file in files) / _SLOWEST
        self._say({"get": [[file.path, file.size] for file in files]})
        places: dict[str, tuple[str, bool]] = {}
        for answer in self._answers():
            if answer.bytes is not None:
                tell(answer.bytes)
            elif answer.done is not None and answer.place is not None:
                places[answer.done] = answer.place, answer.cached is True
            elif answer.end:
                break
        if missing := [file.path for file in files if file.path not in places]:
            raise NotLoadable(f"the hub did not give {missing[0]!r}")
        return places

    def _say(self, order: object) -> None:
        assert self._process.stdin is not None  # noqa: S101
        with suppress(BrokenPipeError):  # then its last words tell why
            self._process.stdin.write(msgspec.json.encode(order) + b"\n")
            self._process.stdin.flush()

    def _answers(self) -> Iterator[Answer]:
        while True:
            line = self._line()
            try:
                answer = typed.decode(line, Answer)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise NotLoadable("the hub's answer is malformed") from error
            if answer.error is not None:
                raise Refused(answer)
            yield answer

    def _line(self) -> bytes:
        assert self._process.stdout is not None  # noqa: S101
        descriptor = self._process.stdout.fileno()
        silent = time.monotonic() + STALLED
        while b"\n" not in self._rest:
            left = min(silent, self._deadline) - time.monotonic()
            if left <= 0:
                slow = "keeps silent" if silent < self._deadline else "is too slow"
                raise LimitHit(f"time limit: the hub {slow}")
            if not select.select([descriptor], [], [], left)[0]:
                continue
            data = os.read(descriptor, _MAX_LINE)
            if not data or len(self._rest) > _MAX_LINE:
                raise Refused(
                    Answer(error="broken", what="the process that talks to the hub ended early")
                )
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        return line
