"""Sources on a hub: a name becomes a commit, the commit's files a checked folder on this disk.

Zone: controller. huggingface_hub runs in a process of its own (`fetcher`) and is not believed: names
are checked and chosen here (`listing`), and so is the content of each file, against the hash that the
hub lists for it.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from safe_load.core.errors import LimitHit, NotLoadable, SafeLoadError, UsageError
from safe_load.core.escape import visible
from safe_load.core.hashing import open_regular, sha256_files
from safe_load.core.outside_words import HubWord
from safe_load.core.units import format_size
from safe_load.sources.hub import listing, words
from safe_load.sources.hub.process import Answer, Fetcher, Refused
from safe_load.worker.key_links import mask

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from safe_load.sources.hub.listing import Choice, Listed

    #: Called with the bytes that came and those in all.
    Tell = Callable[[int, int], None]
    Digest = Callable[[Collection[Path]], Mapping[Path, str]]

SCHEME = "hf://"

_REPOSITORY = re.compile(r"[A-Za-z0-9](?:[\w.-]{0,94}\w)?(?:/\w(?:[\w.-]{0,94}\w)?)?", re.ASCII)
_SPECIAL = re.compile(r"refs/(?:pr/\d{1,9}|convert/[\w.-]{1,100})(?=/|$)", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MOST_NAMES = 3


@dataclass(frozen=True)
class Name:
    """A source as hf:// spells it. repo: "org/name"; revision: a branch, tag, refs/pr/N or commit;
    path: of a file or folder in it, "" for all."""

    repo: str
    revision: str = "main"
    path: str = ""

    def __str__(self) -> str:
        path = f"/{self.path}" if self.path else ""
        return f"{SCHEME}{self.repo}@{self.revision}{path}"


@dataclass(frozen=True)
class Snapshot:
    """What was asked for, on this disk and checked. commit: 40 hex digits; path: the folder in the
    hub's cache, or the file; files: those that were checked, relative to `path` where that is a
    folder: what else lies there is not part of it. notes: what a reader should know. standing: of
    the commit: "accepted", "pull_request", "unreferenced" (on no branch) or "unknown". word: what the hub says of
    the repository."""

    name: Name
    commit: str
    path: Path
    files: frozenset[str]
    notes: tuple[str, ...] = ()
    standing: str = "unknown"
    word: HubWord = field(default=HubWord("no answer"))

    @property
    def pinned(self) -> bool:
        """Whether the user named the full commit."""
        return self.name.revision == self.commit

    @property
    def pin(self) -> str:
        """The name that gives the same files next time."""
        return str(replace(self.name, revision=self.commit))


def is_name(source: str) -> bool:
    """Whether a source is meant to be on a hub."""
    return source.startswith(SCHEME)


def parse(source: str) -> Name:
    """Read hf://ORG/NAME[@REVISION][/PATH]. A slash in a revision is written %2F, but for refs/pr/N.
    Raises UsageError."""
    rest = source.removeprefix(SCHEME).removeprefix("models/")
    repo, at, rest = rest.partition("@") if "@" in rest else (rest, "", "")
    if not at:
        parts = repo.split("/", 2)
        repo, path = "/".join(parts[:2]), "/".join(parts[2:])
        revision = "main"
    elif special := _SPECIAL.match(rest):
        revision, path = special[0], rest[special.end() :].removeprefix("/")
    else:
        revision, _, path = rest.partition("/")
        revision = unquote(revision)
    if "/" not in repo or not revision or not is_name(source):
        raise UsageError(f"{visible(mask(source))!r} is not {SCHEME}ORG/NAME@REVISION")
    return named(repo, revision, path.rstrip("/"))


def named(repo: str, revision: str | None = None, path: str = "") -> Name:
    """A checked name. repo: also without an organisation. Raises UsageError."""
    revision = revision or "main"
    if not _REPOSITORY.fullmatch(repo) or "--" in repo or ".." in repo:
        raise UsageError(
            f"{visible(mask(repo))!r} is not the name of a repository, such as org/name"
        )
    if (
        not re.fullmatch(r"[\w./+-]{1,250}", revision)
        or {"", ".", ".."} & set(revision.split("/"))
        or ".." in revision
    ):
        raise UsageError(f"{visible(revision)!r} is not a branch, a tag or a commit")
    return Name(repo, revision, path)


def fetch(
    name: Name,
    *,
    cache_dir: str | os.PathLike[str] | None = None,
    token: str | bool | None = None,
    local_files_only: bool = False,
    force_download: bool = False,
    variant: str | None = None,
    use_safetensors: bool | None = None,
    weights: bool = True,
    every: bool = False,
    progress: Tell | None = None,
    sha256: Digest = sha256_files,
) -> Snapshot:
    """Resolve the name to a commit, download what a load of it opens, and check it.

    cache_dir, token, local_files_only, force_download, variant, use_safetensors: as from_pretrained
    has them, and None means what it means there. weights: whether any are wanted, or only what says
    how to read text and images. every: all files, not only what a load opens.
    progress: called with the bytes that came and those in all. sha256: what hashes files, or knows
    their hashes. Raises NotLoadable, LimitHit for time and disk space.
    """
    fetcher = Fetcher(
        name.repo,
        name.revision,
        cache_dir=None if cache_dir is None else str(Path(cache_dir).absolute()),
        token=token,
        offline=local_files_only,
        force=force_download,
    )
    try:
        with fetcher:
            found, listed = fetcher.look_up()
            if found.cached is None and not all(map(_expected, listed)):
                raise Refused(Answer(error="listing"))
            files = listing.check(listed)
            choice = listing.choose(
                files,
                name.path,
                variant=variant,
                use_safetensors=use_safetensors,
                weights=weights,
                every=every,
            )
            return _have(fetcher, name, found, files, choice, progress, sha256)
    except Refused as refused:
        raise explained(name, refused.answer) from None
    except (NotLoadable, LimitHit) as error:
        raise type(error)(f"{name}: {error}") from error


def commit_of(name: Name, *, offline: bool = False) -> str:
    """The commit that a revision is now, as the hub says, or the hub cache where it is not asked; nothing is downloaded.
    Raises NotLoadable, LimitHit."""
    fetcher = Fetcher(
        name.repo, name.revision, cache_dir=None, token=None, offline=offline, force=False
    )
    try:
        with fetcher:
            found, _ = fetcher.look_up()
    except Refused as refused:
        raise explained(name, refused.answer) from None
    if found.commit is None or not _COMMIT.fullmatch(found.commit):
        raise NotLoadable(f"{name}: the hub named no commit for this revision")
    return found.commit


def _have(
    fetcher: Fetcher,
    name: Name,
    found: Answer,
    files: Mapping[str, Listed],
    choice: Choice,
    progress: Tell | None,
    sha256: Digest,
) -> Snapshot:
    """Download the choice, and what its indexes name, and check it."""
    commit = found.commit or ""
    if not _COMMIT.fullmatch(commit):
        raise NotLoadable("the hub named no commit for this revision")
    if _COMMIT.fullmatch(name.revision) and commit != name.revision:
        raise NotLoadable(f"the hub answers with another commit, {commit}")
    if not choice.now:
        raise NotLoadable("the repository holds no model file")
    wanted = list(choice.now)
    came = 0

    def tell(count: int) -> None:
        nonlocal came
        came += count
        if progress is not None:
            total = sum(file.size for file in wanted)
            progress(min(max(came, 0), total), total)

    places = fetcher.download(choice.now, tell)
    root = _root(choice.now[0].path, places[choice.now[0].path][0], commit)
    _check([file for file in wanted if not file.sha256], places, root, sha256)
    for index in choice.indexes:
        more = listing.shards(files, index, _index(root / index, name, index))
        wanted += more
        places |= fetcher.download(more, tell)
    _check([file for file in wanted if file.sha256], places, root, sha256)
    below = f"{name.path}/" if name.path and name.path not in files else ""
    return Snapshot(
        name,
        commit,
        root / name.path,
        frozenset(file.path.removeprefix(below) for file in wanted),
        tuple(_notes(name, found, choice.left, wanted)),
        found.standing or "unknown",
        words.of(found),
    )


def _root(path: str, place: str, commit: str) -> Path:
    """The snapshot's folder, from where one of its files is."""
    root = Path(place)
    for _ in path.split("/"):
        root = root.parent
    if root / path != Path(place) or root.name != commit:
        raise NotLoadable(
            "the downloaded files lie outside of the commit's folder in the hub cache"
        )
    return root


def _index(place: Path, name: Name, index: str) -> Iterable[str]:
    from safe_load.sources.shards import read_index  # noqa: PLC0415 - which imports much of this

    return read_index(name.repo, index, Path(os.path.realpath(place)), place.stat().st_size)


def _check(
    files: Iterable[Listed], places: dict[str, tuple[str, bool]], root: Path, sha256: Digest
) -> None:
    """Compare each file with what the hub lists. What has just come and is not that, is removed, so
    that it does not stay in the cache. Raises NotLoadable."""
    large = {file: Path(os.path.realpath(root / file.path)) for file in files if file.sha256}
    small = {file: Path(os.path.realpath(root / file.path)) for file in files if not file.sha256}
    try:
        digests = sha256(list(large.values()))
        found = {file: digests[place] for file, place in large.items()}
        found |= {file: _git_digest(place) for file, place in small.items()}
        sizes = {file: place.stat().st_size for file, place in (large | small).items()}
    except OSError as error:
        raise NotLoadable(f"the hub's cache cannot be read: {error}") from error
    for file, digest in found.items():
        place, cached = places[file.path]
        if place != str(root / file.path):
            raise NotLoadable(
                f"{visible(file.path)} lies outside of the commit's folder in the hub cache"
            )
        expected = _expected(file)
        if digest == expected and sizes[file] == file.size:
            continue
        if expected is None:
            continue  # a cache without links does not say what it should be; a note does
        kind = "SHA-256" if file.sha256 else "git SHA-1"
        if not cached:
            _forget(Path(place))
        advice = f"; remove {place}, and safe-load downloads the file again" if cached else ""
        raise NotLoadable(
            f"{visible(file.path)} differs from the hub's listing: its {kind} is {digest}, and the hub lists {expected}{advice}"
        )


def _expected(file: Listed) -> str | None:
    """What the hub says that a file's content hashes to."""
    if file.sha256 is not None:
        return file.sha256 if _SHA256.fullmatch(file.sha256) else None
    return file.blob if _COMMIT.fullmatch(file.blob) else None


def _git_digest(place: Path) -> str:
    """Git's name of the content: SHA-1, which is all that a hub lists for a small file."""
    with open(open_regular(place), "rb") as file:
        digest = hashlib.sha1(usedforsecurity=False)
        digest.update(b"blob %d\0" % os.fstat(file.fileno()).st_size)
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _forget(link: Path) -> None:
    """Take a file out of the cache: the link in the snapshot and the file of the repository's own that
    it points to. What repositories share stays."""
    if link.is_symlink():
        (link.parent / link.readlink()).unlink(missing_ok=True)
    link.unlink(missing_ok=True)


def _notes(
    name: Name,
    found: Answer,
    left: tuple[Listed, ...],
    wanted: list[Listed],
) -> Iterable[str]:
    if isinstance(found.cached, str):
        why = _WHY_CACHED.get(found.cached, _WHY_CACHED["down"])
        yield f"{why}: safe-load used the files that the hub cache holds of {name.revision}"
    elif found.standing == "unknown":
        yield "the hub did not say whether the commit is on a branch of the repository"
    if unchecked := [file.path for file in wanted if not _expected(file)]:
        yield f"not checked, because the hub cache does not record the hub's hashes: {_some(unchecked)}"
    paths = {file.path for file in wanted}
    if stays := [file for file in left if file.path not in paths]:
        size = format_size(sum(file.size for file in stays))
        largest = sorted(stays, key=lambda file: -file.size)
        yield (
            f"left on the hub and not judged: {len(stays)} file{'s' if len(stays) > 1 else ''}, "
            f"{size}, because no load opens them (--all-files judges them too): "
            + _some([file.path for file in largest])
        )


def _some(paths: list[str]) -> str:
    more = len(paths) - _MOST_NAMES
    return ", ".join(visible(path, 100) for path in paths[:_MOST_NAMES]) + (
        f" and {more} more" if more > 0 else ""
    )


_WHY_CACHED = {
    "offline": "the hub was not asked",
    "unreachable": "the hub could not be reached",
    "busy": "the hub rate-limits this address (HTTP 429)",
    "down": "the hub failed",
}
#: What went wrong, and what to do about it.
_SENTENCES = {
    "not-installed": "sources on a hub need huggingface_hub: pip install 'safe-load[hub]'",
    "not-cached": "the repository is not in the hub cache, and local_files_only forbids asking the hub",
    "no-repository": "there is no such repository, or it is private and the token does not open it",
    "no-revision": "the repository has no such revision",
    "no-file": "the hub lists {path}, but does not have the file",
    "gated": "the repository is gated: ask for access on its page, and log in (hf auth login, HF_TOKEN)",
    "denied": "the hub answers permission denied (HTTP {status}): log in (hf auth login, HF_TOKEN)",
    "disabled": "the hub has disabled this repository",
    "token": "the token is missing, or holds characters that no token has",
    "offline": "HF_HUB_OFFLINE is set, and the repository is not in the hub cache: unset it to ask the hub",
    "unreachable": "the hub cannot be reached, and the repository is not in the hub cache: check the network and "
    "HF_ENDPOINT, or name a folder of this machine",
    "proxy": "the proxy cannot be reached: check HTTPS_PROXY",
    "busy": "the hub rate-limits this address (HTTP 429): try again in {wait}, or log in (hf auth login)",
    "down": "the hub failed (HTTP {status}): try again later",
    "redirects": "the hub redirects too many times",
    "unencrypted": "the hub redirects to an address without encryption",
    "longer": "{path} is longer than the size that the hub lists",
    "truncated": "the download of {path} was cut off: try again",
    "listing": "the hub's list of files is malformed",
    "broken": "huggingface_hub failed ({what})",
}


def explained(name: Name, answer: Answer) -> SafeLoadError:
    """A sentence for the fetcher's reason. No text in it is a server's, but for a listed path."""
    if answer.error == "disk":
        needed, free = format_size(answer.needed or 0), format_size(answer.free or 0)
        return LimitHit(
            f"{name}: no disk space for the download: {needed} are needed, and {free} are free"
        )
    if answer.error == "file":
        return NotLoadable(
            f"{name}: the hub cache cannot be written: {os.strerror(answer.errno or 0)}"
        )
    sentence = _SENTENCES.get(answer.error or "", "huggingface_hub failed")
    told = sentence.format(
        path=visible(answer.path or "a file", 200),
        status=answer.status,
        wait="a few minutes" if answer.retry_after is None else f"{answer.retry_after} s",
        what=visible(answer.what or "no reason given", 100),
    )
    return NotLoadable(f"{name}: {told}")
