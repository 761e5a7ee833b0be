"""What came of one load, as callers and errors carry it. Zone: controller."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from safe_load.core.escape import visible

if TYPE_CHECKING:
    from pathlib import Path

    from safe_load.core.report import Egress, FileInfo, Finding, Report, Verdict

#: Characters of a name in a result's one line.
_LONGEST_NAME = 80


@dataclass(frozen=True, repr=False)
class BaseResult:
    """The result of one load. `safe_load.Result` adds a form for notebooks.

    Attributes:
        report: The whole report.
        path: The folder of the cleared copy; None if nothing was exported.
    """

    report: Report
    path: Path | None = None

    @property
    def ok(self) -> bool:
        """Whether the source was opened and has no finding at or above `fail_on`."""
        return self.report.outcome == "ok"

    @property
    def verdict(self) -> Verdict:
        """ "clean", "suspicious", "malicious" or "unknown"."""
        return self.report.verdict

    @property
    def findings(self) -> list[Finding]:
        """The findings against the model, worst first."""
        return self.report.findings

    @property
    def egress(self) -> list[Egress]:
        """What the model tried to send, and to which addresses."""
        return self.report.egress

    @property
    def files(self) -> list[FileInfo]:
        """The files of the source."""
        return self.report.files

    def __repr__(self) -> str:
        report = self.report
        ended = "" if report.outcome == "ok" else f", {report.outcome.replace('_', ' ')}"
        count = len(report.findings)
        found = f", {count} finding{'s' * (count != 1)}" if count else ""
        copy = f" -> {_named(str(self.path))}" if self.path is not None else ""
        return f"<Result {report.verdict}{ended}{found}: {_named(report.source.path)}{copy}>"


def _named(path: str) -> str:
    """The end of a path, which says more than its beginning, where it is long."""
    return visible(path if len(path) <= _LONGEST_NAME else f"…{path[1 - _LONGEST_NAME :]}")
