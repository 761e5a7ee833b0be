"""Which findings the user's exceptions cover. Zone: controller."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from safe_load.core.escape import visible
from safe_load.core.report import AcceptedBy

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from safe_load.core.exceptions import Accepted
    from safe_load.core.report import FileInfo, Finding


def apply(
    findings: Sequence[Finding], files: Sequence[FileInfo], exceptions: Sequence[Accepted]
) -> tuple[list[Finding], list[str]]:
    """The findings, those that an exception covers marked with it; and a note for each of these, and for each
    that an expired one would cover. A finding is covered only where it is known which file it is about, and its digest."""
    if not exceptions:
        return list(findings), []
    by_key = {(each.finding, each.sha256): each for each in exceptions}
    digests = {file.path: file.sha256 for file in files if file.sha256}
    told, notes = [], []
    for found in findings:
        about = file_of(found, digests)
        exception = by_key.get((found.id, digests[about])) if about is not None else None
        if exception is not None and exception.holds:
            until = exception.until.isoformat()
            by = AcceptedBy(exception.sha256, exception.reason, until, exception.origin)
            told.append(msgspec.structs.replace(found, accepted=by))
            notes.append(
                f"{found.id} of {visible(str(about))} is accepted until {until} ({exception.origin}): "
                f"{exception.reason}"
            )
            continue
        if exception is not None:
            notes.append(
                f"The exception for {found.id} of {visible(str(about))} ended on "
                f"{exception.until.isoformat()} ({exception.origin}): the finding counts."
            )
        told.append(found)
    return told, list(dict.fromkeys(notes))


def file_of(found: Finding, digests: dict[str, str]) -> str | None:
    """The file that a finding is about: the one that its call stands in, the one that its location begins
    with, or the only one that there is."""
    if found.origin is not None:
        return found.origin.file if found.origin.file in digests else None
    # Of what happened, the location is an address or a path in the room, which the model chose.
    if (
        not found.evidence
        and (path := next(_beginnings(found.location, digests), None)) is not None
    ):
        return path
    return next(iter(digests)) if len(digests) == 1 else None


def _beginnings(location: str, digests: dict[str, str]) -> Iterator[str]:
    yield from (location for _ in (1,) if location in digests)
    for end, char in reversed(list(enumerate(location))):
        if char in ":!#" and location[:end] in digests:
            yield location[:end]
