"""Which commit a name stands for, asked of the upstream hub in a process of its own (sources/hub).

Zone: controller.
"""

from __future__ import annotations

import asyncio
import re
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from safe_load.core.errors import SafeLoadError
from safe_load.sources import hub
from safe_load.sources.hub.process import Fetcher, Refused

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Kind = Literal["no-repository", "no-revision", "down"]

#: Seconds for the hub to say what a name stands for.
_PATIENCE = 30.0

_COMMIT = re.compile("[0-9a-f]{40}")
#: The fetcher's reasons that say something about the name. A hub answers "denied" and "gated" where there may be a
#: repository that the gateway's token does not open: nobody learns from the gateway whether there is.
_KINDS: dict[str, Kind] = {
    "no-repository": "no-repository",
    "denied": "no-repository",
    "gated": "no-repository",
    "disabled": "no-repository",
    "no-revision": "no-revision",
}


@dataclass(eq=False)
class Unresolved(Exception):
    """Why a name has no commit now. kind: "down": the hub could not say."""

    kind: Kind
    sentence: str


async def commit_of(
    repo: str,
    revision: str,
    *,
    token: str | Literal[False],
    cache_dir: Path,
    alike: Callable[[str], bool],
) -> str:
    """The commit, 40 hex digits, that the hub says a name stands for.

    cache_dir: for the fetcher's own notes; it holds no files of a model. alike: whether the same rules hold for another
    name, by which the hub calls the repository. Raises Unresolved.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[str] = loop.create_future()

    def give(commit: str | None, no: BaseException | None) -> None:
        if not answer.done():
            answer.set_exception(no) if no is not None else answer.set_result(commit or "")

    def ask() -> None:
        found: tuple[str | None, BaseException | None]
        try:
            found = _asked(repo, revision, token, cache_dir, alike), None
        except Exception as error:  # noqa: BLE001 - given to the one who waits
            found = None, error
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(give, *found)

    # A daemon, since a gateway that ends does not wait for a hub that stalls.
    threading.Thread(target=ask, daemon=True).start()
    return await answer


def _asked(
    repo: str,
    revision: str,
    token: str | Literal[False],
    cache_dir: Path,
    alike: Callable[[str], bool],
) -> str:
    name = hub.named(repo, revision)
    try:
        with Fetcher(
            repo,
            revision,
            cache_dir=str(cache_dir),
            token=token,
            offline=False,
            force=True,
            patience=_PATIENCE,
        ) as fetcher:
            found, _ = fetcher.look_up()
    except Refused as refused:
        kind = _KINDS.get(refused.answer.error or "", "down")
        raise Unresolved(kind, str(hub.explained(name, refused.answer))) from None
    except SafeLoadError as error:
        raise Unresolved("down", f"{name}: {error}") from None
    commit = found.commit or ""
    if not _COMMIT.fullmatch(commit) or (_COMMIT.fullmatch(revision) and commit != revision):
        raise Unresolved("down", f"{name}: the hub names another commit, or none")
    called = found.facts.name if found.facts is not None else None
    if called is not None and called.lower() != repo.lower() and not alike(called):
        # A repository that was renamed answers to its old name too, which other rules may match.
        told = "the hub has it under another name, for which this gateway has other rules: ask for it by that name"
        raise Unresolved("no-repository", f"{name}: {told}")
    return commit
