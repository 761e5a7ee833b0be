"""What a machine of a fleet is given, and what it answers. Files are named by their SHA-256.

Zone: controller. Both come from elsewhere: they are typed and bounded when they are read.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import fields
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from safe_load.core import typed
from safe_load.core.errors import SafeLoadError, UsageError
from safe_load.core.exceptions import Accepted
from safe_load.core.options import Options, OptionsDict
from safe_load.core.outside_words import HubWord  # noqa: TC002 - msgspec reads it
from safe_load.export.manifest import check_path
from safe_load.sources import hub

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_Digest = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
#: A folder of a hub's cache, or no name at all.
_Place = Annotated[
    str, msgspec.Meta(pattern=r"^(model|models--[\w.-]{1,200}/snapshots/[0-9a-f]{40})$")
]
#: Outcomes after which a job is not done again. Everything else is a machine's fault.
FINAL = frozenset(("ok", "rejected", "not_loadable", "limit_hit"))
#: Those that hold for whoever asks for the same bytes later. A limit of time is one of that day's machine.
LASTING = frozenset(("ok", "rejected", "not_loadable"))
#: Options that name a file of the machine where they were given, or write one there.
_LOCAL = ("trust", "require_attestation", "trace")


class JobFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file. path: relative, with slashes; size: bytes."""

    path: str
    size: Annotated[int, msgspec.Meta(ge=0)]
    sha256: _Digest


class Published(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where files of a hub come from, as sources.hub.Snapshot has it."""

    repo: str
    revision: str
    path: str
    commit: str
    notes: tuple[str, ...]
    standing: str
    word: HubWord

    @staticmethod
    def of(snapshot: hub.Snapshot) -> Published:
        """What a snapshot says of itself, without its files."""
        name = snapshot.name
        return Published(
            name.repo, name.revision, name.path, snapshot.commit, snapshot.notes, snapshot.standing, snapshot.word
        )  # fmt: skip

    def snapshot(self, path: Path, files: frozenset[str]) -> hub.Snapshot:
        """The snapshot again, of files that lie in another place."""
        return hub.Snapshot(
            hub.Name(self.repo, self.revision, self.path), self.commit, path, files, self.notes, self.standing, self.word
        )  # fmt: skip


class Job(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One model. place: the path of its files, as far as that says which repository they are of; folder: whether it is one, or
    one file; beside: it is what lies beside the models of a tree; clears:
    whether a cleared copy is made; options: those that are not the default; policy: what the verdict must go by."""

    files: Annotated[tuple[JobFile, ...], msgspec.Meta(min_length=1, max_length=10_000)]
    folder: bool
    place: _Place = "model"
    beside: bool = False
    clears: bool = False
    published: Published | None = None
    options: dict[str, Any] = {}
    exceptions: tuple[tuple[str, str, str, str, str], ...] = ()
    policy: _Digest

    @property
    def key(self) -> str:
        """Names this job everywhere: SHA-256, in hex, of all that it says. The same bytes under the same policy have one."""
        return hashlib.sha256(msgspec.json.encode(self, order="sorted")).hexdigest()


class Ended(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a job ended. outcome: a report's; sentence: why, where there is no report; report: its address;
    cleared: the files of the cleared copy; worker: who did it."""

    outcome: str
    sentence: str = ""
    report: _Digest | None = None
    cleared: tuple[JobFile, ...] = ()
    worker: str = ""

    @property
    def final(self) -> bool:
        """Whether this is about the model, and not about a machine."""
        return self.outcome in FINAL and self.report is not None


def stated(options: Options) -> tuple[dict[str, Any], tuple[tuple[str, str, str, str, str], ...]]:
    """Options as a job holds them. Raises UsageError for those that name files of this machine."""
    found: dict[str, Any] = {}
    for option in fields(options):
        value = getattr(options, option.name, None)
        if option.name in ("origins", "exceptions") or value == option.default:
            continue
        if option.name in _LOCAL or (option.name == "profile" and str(value).endswith(".toml")):
            raise UsageError(
                f"{option.name.replace('_', '-')} names a file of this machine, which others do not have"
            )
        found[option.name] = list(value) if isinstance(value, tuple) else value
    accepted = tuple(
        (each.finding, each.sha256, each.reason, each.until.isoformat(), each.origin)
        for each in options.exceptions
        if each.holds
    )
    return found, accepted


def options_of(job: Job) -> Options:
    """The options that a job states. Raises UsageError."""
    given = {key: tuple(value) if isinstance(value, list) else value for key, value in job.options.items()}  # fmt: skip
    if given.keys() & set(_LOCAL):
        raise UsageError("the job names files of another machine")
    try:
        accepted = tuple(
            Accepted(finding, sha256, reason, date.fromisoformat(until), origin)
            for finding, sha256, reason, until, origin in job.exceptions
        )
    except ValueError as error:
        raise UsageError(f"the job's exceptions: {error}") from None
    chosen: OptionsDict = {**given, "exceptions": accepted}  # type: ignore[typeddict-item] # Options checks them
    return Options(**chosen)


def read(data: bytes, kind: type[Any]) -> Any:
    """A Job or an Ended that came from elsewhere. Raises SafeLoadError."""
    try:
        return typed.decode(data, kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SafeLoadError(f"what the fleet says cannot be read: {error}") from None


def placed(home: Path, files: Sequence[JobFile]) -> Mapping[JobFile, Path]:
    """Where each file of a job belongs below a folder. Raises SafeLoadError for a path that leads elsewhere."""
    found: dict[JobFile, Path] = {}
    for file in files:
        try:
            found[file] = home / check_path(file.path)
        except (ValueError, SafeLoadError, OSError) as error:
            raise SafeLoadError(f"the job names a file that cannot be: {error}") from None
    if len({os.path.normpath(place) for place in found.values()}) != len(files):
        raise SafeLoadError("the job names a file twice")
    return found
