"""What a user has looked at and accepts: one finding of one file, for a reason, until a day.

Zone: controller. Imported with the options, so only from the standard library.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime

from safe_load.core.errors import UsageError

_FINDING = re.compile(r"SL\d{3}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_LONGEST_REASON = 500


@dataclass(frozen=True)
class Accepted:
    """A finding that does not count, of a file with this content and of no other.

    finding: its id, SL501; sha256: of the file, in hex; reason: why, for who reads the report; until: the last
    day; origin: the file that says so, or "argument". Raises UsageError.
    """

    finding: str
    sha256: str
    reason: str
    until: date
    origin: str = "argument"

    def __post_init__(self) -> None:
        if not isinstance(self.finding, str) or not _FINDING.fullmatch(self.finding):
            raise UsageError(f"finding: {self.finding!r} is not the id of a finding, e.g. SL501")
        if not isinstance(self.sha256, str) or not _DIGEST.fullmatch(self.sha256):
            raise UsageError(
                f"sha256: {self.sha256!r} is not 64 hexadecimal digits; the JSON report has that of each file"
            )
        if not isinstance(self.reason, str) or not 0 < len(self.reason.strip()) <= _LONGEST_REASON:
            raise UsageError(
                f"reason: it must say in at most {_LONGEST_REASON} characters why the finding is accepted"
            )
        if not isinstance(self.until, date) or isinstance(self.until, datetime):
            raise UsageError(f"until: {self.until!r} is not a day, e.g. 2027-01-31")

    @property
    def holds(self) -> bool:
        """Whether its last day has not passed, in UTC."""
        return datetime.now(UTC).date() <= self.until
