"""Where a finding is, as code scanning wants it: a path from the repository's root, and a byte."""

from __future__ import annotations

import os
import posixpath
import re
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from safe_load.core.report import Finding, Report

#: "file: place", "file!member", "file#x".
_ENDS = ":!#"
_MOST_ENDS = 50
_BYTE = re.compile(r" at byte (\d{1,18})$")


def beginnings(location: str) -> list[str]:
    """What may be the file's path in a location such as "file: member at byte 3". Of very many, the first."""
    ends = islice((at for at, char in enumerate(location) if char in _ENDS), _MOST_ENDS)
    return [location, *(location[:at] for at in ends)]


def file_of(finding: Finding, report: Report) -> str | None:
    """The file of the source that a finding is about: of its origin, or that its location begins with, else the
    source's only one."""
    paths = {file.path for file in report.files}
    if finding.origin is not None and finding.origin.file in paths:
        return finding.origin.file
    # The longest first: "a.bin" is not the file of "a.bin: weight_map" where there is one of that name.
    starts = sorted(beginnings(finding.location), key=len, reverse=True)
    found = next((start for start in starts if start in paths), None)
    if found is None and len(paths) == 1:
        return next(iter(paths))
    return found


def byte_of(finding: Finding, path: str | None) -> int | None:
    """The byte of the file, where it is known."""
    if finding.origin is not None and finding.origin.file == path:
        return finding.origin.at
    return None


def place_of(finding: Finding) -> str:
    """What stays the same of a location when the file around it grows or shrinks."""
    if finding.origin is not None and not finding.evidence:
        return f"{finding.origin.file}: {finding.origin.callable}"
    return _BYTE.sub("", finding.location)


def uri_of(report: Report, path: str | None, root: str) -> str:
    """The file's path from `root`, "/"-separated and without dot segments. What lies elsewhere keeps its path
    without a leading slash; what lies on a hub is told by its name there."""
    source = report.source.path
    if "://" in source:
        base = source.replace("://", "/")
    else:
        base = source
        if root:
            absolute = os.path.abspath(source)  # noqa: PTH100 - resolves no links: paths are told as given
            if os.path.commonpath((absolute, root)) == root:
                base = os.path.relpath(absolute, root)
    whole = base
    if path is not None and not (len(report.files) == 1 and posixpath.basename(base) == path):
        whole = f"{base}/{path}"
    parts = [part for part in whole.split("/") if part not in ("", ".")]
    return "/".join("__" if part == ".." else part for part in parts) or "."


def repository(folder: str) -> str:
    """The root of the checkout that the folder lies in, by its .git; else the folder."""
    at = os.path.abspath(folder)  # noqa: PTH100
    while True:
        if os.path.lexists(os.path.join(at, ".git")):
            return at
        above = os.path.dirname(at)  # noqa: PTH120
        if above == at:
            return os.path.abspath(folder)  # noqa: PTH100
        at = above
