"""Reads OSV's advisories on packages of PyPI and npm: one JSON file, or the zip of them that OSV publishes.

Zone: controller. The format is that of the Open Source Vulnerability schema 1.6. An advisory on a malicious package has an id
or an alias that begins with MAL-.
"""

from __future__ import annotations

import re
import zipfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from safe_load.advisories import versions
from safe_load.core import typed
from safe_load.core.errors import UsageError
from safe_load.core.escape import visible

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ECOSYSTEMS = ("PyPI", "npm")
#: Bytes of one advisory, of a zip, and of all that it unpacks to; advisories of one file.
MAX_ADVISORY, MAX_ZIP, MAX_UNPACKED, MAX_ADVISORIES = 16 << 20, 4 << 30, 32 << 30, 2_000_000
_MAX_VERSIONS = 20_000
_ID = re.compile(r"[A-Za-z0-9][\w.:-]{1,99}", re.ASCII)
_ANY_VERSION = {"0", "0.0.0", "0.0.0-0"}

_Text = Annotated[str, msgspec.Meta(max_length=1000)]
_Many = Annotated[list[_Text], msgspec.Meta(max_length=_MAX_VERSIONS)]


class _Package(msgspec.Struct):
    ecosystem: _Text
    name: _Text


class _Range(msgspec.Struct):
    type: _Text = ""
    events: Annotated[list[dict[str, str]], msgspec.Meta(max_length=_MAX_VERSIONS)] = []


class _Affected(msgspec.Struct):
    package: _Package | None = None
    versions: _Many | None = None
    ranges: Annotated[list[_Range], msgspec.Meta(max_length=1000)] | None = None


class _Advisory(msgspec.Struct):
    id: _Text
    modified: _Text
    withdrawn: str | None = None
    summary: str | None = None
    details: str | None = None
    aliases: _Many | None = None
    affected: Annotated[list[_Affected], msgspec.Meta(max_length=100_000)] | None = None


@dataclass(frozen=True)
class Advisory:
    """One advisory on one package. versions: those that it lists; every: whether it is about all versions;
    ranges: further ones, as OSV's events. withdrawn: it does not hold any more."""

    ident: str
    modified: str
    withdrawn: bool
    malicious: bool
    summary: str
    ecosystem: str
    package: str
    versions: tuple[str, ...] = ()
    every: bool = False
    ranges: tuple[dict[str, str], ...] = field(default=())

    def covers(self, version: str) -> bool:
        """Whether it is about that version, by the rules of its ecosystem. A version or a bound that does not compare
        counts. Raises ModuleNotFoundError where the extra `register` is not installed and only its ranges tell."""
        if self.every or version in self.versions:
            return True
        rules = self.ecosystem.lower()
        return any(versions.same(rules, version, each) for each in self.versions) or any(
            versions.within(rules, version, each) for each in versions.intervals(self.ranges)
        )


def normal(ecosystem: str, name: str) -> str:
    """A package's name as it is compared: of PyPI by PEP 503."""
    return re.sub(r"[-_.]+", "-", name).lower() if ecosystem == "PyPI" else name


def read(path: Path) -> Iterator[Advisory | None]:
    """The advisories of a file, one for each package; None for each that is about another ecosystem.

    Raises UsageError, which names file, member and reason.
    """
    if not zipfile.is_zipfile(path):
        yield from _parsed(_whole(path), str(path))
        return
    if path.stat().st_size > MAX_ZIP:
        raise UsageError(f"{path} is larger than {MAX_ZIP >> 30} GiB, the bound for a zip of OSV")
    unpacked = 0
    try:
        with zipfile.ZipFile(path) as archive:
            members = [each for each in archive.infolist() if each.filename.endswith(".json")]
            if len(members) > MAX_ADVISORIES:
                raise UsageError(f"{path} holds more than {MAX_ADVISORIES:,} advisories")
            if not members:
                raise UsageError(f"{path} holds no JSON file, and so no advisory of OSV")
            for member in members:
                where = f"{path}: {visible(member.filename, 200)}"
                with archive.open(member) as file:
                    data = file.read(MAX_ADVISORY + 1)
                unpacked += len(data)
                if len(data) > MAX_ADVISORY or unpacked > MAX_UNPACKED:
                    raise UsageError(f"{where} unpacks to more than the bound for advisories")
                yield from _parsed(data, where)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        raise UsageError(f"{path} cannot be unpacked: {visible(str(error), 200)}") from error
    except (ValueError, zipfile.zlib.error) as error:  # type: ignore[attr-defined]
        raise UsageError(f"{path} cannot be unpacked: {visible(str(error), 200)}") from error


def _whole(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_ADVISORY + 1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    if len(data) > MAX_ADVISORY:
        raise UsageError(
            f"{path} is larger than {MAX_ADVISORY >> 20} MiB, the bound for one advisory"
        )
    return data


def _parsed(data: bytes, where: str) -> Iterator[Advisory | None]:
    try:
        found = typed.decode(data, _Advisory)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(
            f"{where} is not an advisory of OSV: {visible(str(error), 200)}"
        ) from error
    if not _ID.fullmatch(found.id):
        raise UsageError(f"{where} is not an advisory of OSV: id is {visible(found.id, 60)!r}")
    malicious = any(name.startswith("MAL-") for name in (found.id, *(found.aliases or ())))
    told = (found.summary or found.details or "").strip().partition("\n")[0][:300]
    ours = 0
    for each in found.affected or ():
        if each.package is None or each.package.ecosystem.partition(":")[0] not in ECOSYSTEMS:
            continue
        ours += 1
        yield _of(found, each, each.package, malicious, told)
    if not ours:
        yield None


def _of(
    found: _Advisory, each: _Affected, package: _Package, malicious: bool, told: str
) -> Advisory:
    events: list[dict[str, Any]] = []
    every = False
    for span in each.ranges or ():
        if span.type == "GIT":
            continue
        begins = {event.get("introduced") for event in span.events}
        if len(span.events) == 1 and begins & _ANY_VERSION:
            every = True
        events += [{key[:20]: value[:100] for key, value in event.items()} for event in span.events]
    ecosystem = package.ecosystem.partition(":")[0]
    return Advisory(
        found.id,
        found.modified,
        found.withdrawn is not None,
        malicious,
        told,
        ecosystem,
        normal(ecosystem, package.name),
        tuple(each.versions or ()),
        every or not (each.versions or events),
        () if every else tuple(events),
    )
