"""The errors a caller of safe_load can meet. Each carries the exit code of its row in the README.

Zone: controller.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from safe_load.api import Result


class SafeLoadError(Exception):
    """Base of every error that safe_load raises on purpose."""

    exit_code: ClassVar[int] = 4

    def __init__(self, message: str, result: Result | None = None) -> None:
        super().__init__(message)
        #: The load that failed, as far as it got.
        self.result = result


class Rejected(SafeLoadError):
    """Findings at or above the threshold: nothing was exported. `result` says what was found."""

    exit_code = 1


class UsageError(SafeLoadError):
    """The call, the command line or the configuration is wrong."""

    exit_code = 2


class NotLoadable(SafeLoadError):
    """The source is corrupt, truncated, unsupported, or holds no model."""

    exit_code = 3


class SandboxError(SafeLoadError):
    """A wall that the profile demands could not be built, or broke. Nothing was exported."""

    exit_code = 4


class LimitHit(SafeLoadError):
    """A limit of the profile (time, memory, processes, disk) ended the load."""

    exit_code = 5
