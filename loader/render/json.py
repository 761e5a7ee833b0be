"""The report itself: one object for one source; for any other number, one with a summary and the list."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec
from safe_load.core.errors import WORST_FIRST
from safe_load.core.report import EXIT_CODES, Reports, Run, Tool
from safe_load.core.version import version
from safe_load.render.interface import Format

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safe_load.core.report import Report

# What JSON lets stand in a string but a terminal, an editor or a log viewer may obey. The first
# class is all that JSON's own rules leave of the control characters and Unicode's bidi controls
# and invisible format characters; an escape of them means the same to every parser.
_STEERING = re.compile(
    "[\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff0-\ufffb"
    "\U000e0000-\U000e0fff]"
    # A command to Azure Pipelines or TeamCity, which counts anywhere in a line of a log.
    r"|#(?=#[\w.-]*\[)"
)


class Json(Format):
    """The schemas `safe-load/report/1` and, of several, `safe-load/reports/1`; indented. ASCII and UTF-8 text alike parse to the same."""

    name = "json"

    def render(self, reports: Sequence[Report]) -> bytes:
        return dump(reports[0] if len(reports) == 1 else _run(reports))


def _run(reports: Sequence[Report]) -> Run:
    codes = {EXIT_CODES[report.outcome] for report in reports}
    return Run(
        tool=Tool("safe-load", version()),
        sources=dict(Counter(report.verdict for report in reports)),
        exit_code=next((code for code in WORST_FIRST if code in codes), 0),
        left_alone=reports.left_alone if isinstance(reports, Reports) else [],
        reports=list(reports),
    )


def dump(document: object) -> bytes:
    """Indented JSON with a final newline, in which no character steers a terminal."""
    try:
        data = msgspec.json.encode(document)
    except UnicodeEncodeError:
        # A file name that is no UTF-8 holds lone surrogates (PEP 383), which JSON cannot carry.
        data = msgspec.json.encode(_whole(msgspec.to_builtins(document)))
    text = msgspec.json.format(data, indent=2).decode()
    return _STEERING.sub(_escaped, text).encode() + b"\n"


def _whole(value: Any) -> Any:
    """The same plain data, each lone surrogate in its strings written as \\udcNN."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_whole(key): _whole(item) for key, item in value.items()}
    return [_whole(item) for item in value] if isinstance(value, list) else value


def _escaped(match: re.Match[str]) -> str:
    units = match[0].encode("utf-16-be")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))
