"""The process that speaks to a hub, with huggingface_hub, and the only one that knows a token.

Zone: a process of the controller's own, with the user's rights and no say: it lists and downloads
what it is told to, parses no model file, and everything that it answers is checked by the one that
started it. Apart, so that it can be ended at any moment, bounded by the kernel, and configured
without a change to the program that safe_load is used in.

Lines of JSON on its standard streams: first what to look up, answered by a line for each file and
then by the commit; then, as often as wanted, which files to download. Errors are answered by a kind
and numbers, never by text: a server or an exception may repeat a token in it.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Self

from safe_load.sources.hub import facts
from safe_load.sources.hub.refusals import Refused, kind_of

if TYPE_CHECKING:
    from collections.abc import Callable

_THREADS = 8
_CHUNK = 1 << 20  # bytes between two signs of life
_MAX_SHOWN = 50_001  # one more than the other side accepts
_MARGIN = 256 << 20  # bytes of the disk that are left free
_MAX_DESCRIPTORS = 1024
_LIMITS = {
    resource.RLIMIT_AS: 4 << 30,  # bytes
    resource.RLIMIT_CORE: 0,
    resource.RLIMIT_NOFILE: _MAX_DESCRIPTORS,
}
_MOST_BRANCHES = 20
_HISTORY = 20.0  # seconds to look through the history of a repository
_TIMEOUT = 10.0  # seconds for an answer about a repository

_write = threading.Lock()
_answers = sys.stdout


def main() -> None:
    """Answer on stdout what is asked on stdin, until that ends."""
    global _answers  # noqa: PLW0603 - libraries print to the other one
    _answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)
    signal.signal(signal.SIGTERM, lambda *_: _leave())
    for what, most in _LIMITS.items():
        hard = resource.getrlimit(what)[1]
        bound = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (bound, bound))
    try:
        _serve(json.loads(sys.stdin.readline()))
    except Exception as error:  # noqa: BLE001 - the border of a process: whatever it is has a kind
        _say(**kind_of(error))


def _serve(asked: dict[str, Any]) -> None:
    try:
        hub = _Hub(asked)
    except ImportError:
        raise Refused("not-installed") from None
    commit, why, files = hub.look_up()
    for file in files:
        _say(file=file)
    standing, said = (None, None) if why else (hub.standing(commit), hub.facts())
    _say(commit=commit, cached=why, standing=standing, facts=said)
    lines = iter(sys.stdin.readline, "")
    orders: list[dict[str, Any]] = []
    arrived = threading.Condition()

    def listen() -> None:
        for line in lines:
            with arrived:
                orders.append(json.loads(line))
                arrived.notify()
        _leave()

    # While files are on their way, someone must notice that nobody waits for them any more.
    threading.Thread(target=listen, daemon=True).start()
    while True:
        with arrived:
            arrived.wait_for(lambda: orders)
            order = orders.pop(0)
        hub.download(commit, order["get"])
        _say(end=True)


def _leave() -> NoReturn:
    """End at once, and take what is half downloaded along."""
    # From here on no thread opens another file, and a link is read without opening it.
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
    for descriptor in range(_MAX_DESCRIPTORS):
        try:
            target = Path(f"/proc/self/fd/{descriptor}").readlink()
            if target.name.endswith(".incomplete"):
                target.unlink(missing_ok=True)
        except OSError:
            continue
    os._exit(1)


def _say(**answer: Any) -> None:
    with _write:
        _answers.write(json.dumps(answer) + "\n")
        _answers.flush()


class _Hub:
    """huggingface_hub, with one repository in mind."""

    def __init__(self, asked: dict[str, Any]) -> None:
        from huggingface_hub import HfApi, constants, set_client_factory  # noqa: PLC0415

        constants.DOWNLOAD_CHUNK_SIZE = _CHUNK
        self.repo: str = asked["repo"]
        self.revision: str = asked["revision"]
        self.token: str | bool | None = asked["token"]
        self.offline: bool = asked["offline"]
        self.force: bool = asked["force"]
        self.cache = Path(asked["cache"] or constants.HF_HUB_CACHE).expanduser().resolve()
        self.api = HfApi(token=self.token)
        self.info: Any = None
        set_client_factory(_guarded(constants.ENDPOINT))

    def look_up(self) -> tuple[str, str | None, list[list[Any]]]:
        """The commit, why the cache stands in for the hub (None where it does not), the files."""
        if self.offline:
            return self._cached("offline")
        try:
            self.info = self.api.model_info(
                self.repo,
                revision=self.revision,
                timeout=_TIMEOUT,
                securityStatus=True,
                token=self.token,
            )
            commit = self.info.sha
            files = []
            tree = self.api.list_repo_tree(self.repo, recursive=True, revision=commit)
            for entry in tree:
                lfs, blob = getattr(entry, "lfs", None), getattr(entry, "blob_id", None)
                if blob is not None:
                    size, sha256 = (lfs.size, lfs.sha256) if lfs else (entry.size, None)  # type: ignore[union-attr]
                    files.append([entry.path, size, blob, sha256])
                if len(files) >= _MAX_SHOWN:
                    break
        except Exception as error:
            kind = kind_of(error)["error"]
            if kind in ("offline", "unreachable", "down", "busy") and not self.force:
                try:
                    return self._cached(kind)
                except Refused:
                    raise error from None
            raise
        if commit is None:
            raise Refused("listing")
        self._remember(commit)
        return commit, None, files

    def standing(self, commit: str) -> str:
        """Where the commit is: "accepted" on a branch or a tag; "pull_request" if the revision names a pull
        request, which anyone may open; "unreferenced" on no branch, most likely a pull request's too;
        "unknown" if the hub does not answer in time."""
        if not commit.startswith(self.revision.lower()):
            return "pull_request" if self.revision.startswith("refs/pr/") else "accepted"
        answer: list[str] = []

        def ask() -> None:
            try:
                refs = self.api.list_repo_refs(self.repo)
                named = [*refs.branches, *refs.tags, *refs.converts]
                found = commit in {ref.target_commit for ref in named} or any(
                    commit
                    in {
                        each.commit_id
                        for each in self.api.list_repo_commits(self.repo, revision=branch.name)
                    }
                    for branch in refs.branches[:_MOST_BRANCHES]
                )
                if found or len(refs.branches) <= _MOST_BRANCHES:
                    answer.append("accepted" if found else "unreferenced")
            except Exception:  # noqa: BLE001 - a hub without a history: it does not say
                answer.append("unknown")

        _within(_HISTORY, ask)
        return answer[0] if answer else "unknown"

    def facts(self) -> dict[str, Any]:
        """What the hub says of the repository and of the organisation, as far as it answers in time."""
        name = self.info.id or self.repo
        verified: list[bool | None] = []

        def ask() -> None:
            if "/" in name:
                overview = self.api.get_organization_overview(name.partition("/")[0])
                said = overview.is_verified
                verified.append(said if isinstance(said, bool) else None)

        _within(_TIMEOUT, ask)  # of a user, the hub says that there is no such organisation
        said: dict[str, Any] = facts.of(self.info)
        return said | {"verified": verified[0] if verified else None}

    @property
    def _folder(self) -> Path:
        from huggingface_hub.file_download import repo_folder_name  # noqa: PLC0415

        return self.cache / repo_folder_name(repo_id=self.repo, repo_type="model")

    def _cached(self, why: str) -> tuple[str, str, list[list[Any]]]:
        """What the cache holds of the revision. A link's target is named for what the hub said of
        the content: SHA-256 of a file kept by LFS, git's SHA-1 of any other."""
        reference = self._folder / "refs" / self.revision
        commit = reference.read_text().strip() if reference.is_file() else self.revision
        snapshot = self._folder / "snapshots" / commit
        if not snapshot.is_dir() or len(commit) != 40:
            raise Refused("not-cached")
        files: list[list[Any]] = []
        for path in snapshot.rglob("*"):
            if path.is_dir():
                continue
            blob = path.readlink().name if path.is_symlink() else ""
            sha256 = blob if len(blob) == 64 else None
            files.append([str(path.relative_to(snapshot)), path.stat().st_size, blob, sha256])
        return commit, why, files

    def _remember(self, commit: str) -> None:
        """Note which commit the name stood for, as huggingface_hub does, for a time without the hub."""
        if self.revision == commit:
            return
        reference = self._folder / "refs" / self.revision
        try:
            reference.parent.mkdir(parents=True, exist_ok=True)
            fresh = reference.with_name(f".{reference.name}.{os.getpid()}")
            fresh.write_text(commit)
            fresh.replace(reference)
        except OSError:
            return  # a cache that is only read

    def download(self, commit: str, files: list[list[Any]]) -> None:
        """Have all the files in the cache. files: path and size."""
        from huggingface_hub import try_to_load_from_cache  # noqa: PLC0415

        there = {
            path
            for path, _ in files
            if not self.force
            and isinstance(
                try_to_load_from_cache(self.repo, path, cache_dir=self.cache, revision=commit), str
            )
        }
        needed = sum(size for path, size in files if path not in there)
        if needed:
            self.cache.mkdir(parents=True, exist_ok=True)
            status = os.statvfs(self.cache)
            free = status.f_bavail * status.f_frsize
            if needed + _MARGIN > free:
                raise Refused("disk", needed=needed, free=free)

        def one(file: list[Any]) -> None:
            path, size = file
            place = self._download(commit, path, size)
            _say(done=path, place=place, cached=path in there)

        with ThreadPoolExecutor(_THREADS) as pool:
            tasks = [pool.submit(one, file) for file in files]
            try:
                for task in tasks:
                    task.result()
            except BaseException:
                # The other downloads would be waited for: nobody wants them any more.
                _say_and_leave(sys.exception())
                raise

    def _download(self, commit: str, path: str, size: int) -> str:
        from huggingface_hub import hf_hub_download  # noqa: PLC0415

        try:
            return hf_hub_download(
                self.repo,
                path,
                revision=commit,
                cache_dir=self.cache,
                token=self.token,
                force_download=self.force,
                local_files_only=self.offline,
                tqdm_class=_counting(size),
            )
        except Exception as error:  # noqa: BLE001 - raised again, with the file's name
            answer = kind_of(error)
            raise Refused(answer.pop("error"), **answer, path=path) from None


def _within(seconds: float, ask: Callable[[], None]) -> None:
    """Ask what is worth only so much time. Whatever fails stays unanswered."""

    def quietly() -> None:
        with suppress(Exception):
            ask()

    asking = threading.Thread(target=quietly, daemon=True)
    asking.start()
    asking.join(seconds)


def _say_and_leave(error: BaseException | None) -> None:
    if isinstance(error, Exception):
        _say(**kind_of(error))
        _leave()


def _counting(size: int) -> type:
    """What takes the place of a progress bar for a file of that size: tells how far it has come,
    and ends a download that brings more than the hub listed."""

    class Counting:
        def __init__(self, *_: object, initial: int = 0, **__: object) -> None:
            self.n = initial
            self.total = size

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            return

        def close(self) -> None:
            return

        def update(self, count: float | None = 1) -> None:
            self.n += int(count or 0)
            if self.n > size:
                raise Refused("longer")
            _say(bytes=int(count or 0))

    return Counting


def _guarded(endpoint: str) -> Callable[[], Any]:
    """What makes huggingface_hub's HTTP clients: its own kind, and before each request, also one of a
    redirect or a further page, a look at where it goes. A token goes to the hub itself only."""
    from huggingface_hub import get_session  # noqa: PLC0415

    default = get_session()
    kind, hooks = type(default), default.event_hooks["request"]
    url_type = type(default.base_url)
    home = _origin(url_type(endpoint))

    def look(request: Any) -> None:
        origin = _origin(request.url)
        if home[0] == "https" and origin[0] != "https":
            raise Refused("unencrypted")
        if origin != home:
            for header in ("authorization", "cookie"):
                request.headers.pop(header, None)

    def make() -> Any:
        return kind(
            event_hooks={"request": [*hooks, look]}, follow_redirects=True, timeout=_TIMEOUT
        )

    return make


def _origin(url: Any) -> tuple[str, str, int]:
    return url.scheme, url.host, url.port or {"http": 80, "https": 443}.get(url.scheme, 0)


if __name__ == "__main__":
    main()
