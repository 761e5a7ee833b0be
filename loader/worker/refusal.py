"""Why a file is not turned into tensors. Zone: worker."""

from __future__ import annotations

from typing import Literal


class RefusedError(Exception):
    """The file is not extracted. `reason` is one sentence for people; status as in the result.

    status: "not_loadable" (corrupt, hostile or unsupported) or "bomb" (it would take more than the
    limits allow).
    """

    def __init__(self, reason: str, status: str = "not_loadable") -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        #: The format that the file seemed to be of, and the state that the refusal leaves it in; set
        #: by the first that knows.
        self.format: str | None = None
        self.state: Literal["opened", "not_judged"] | None = None


def bomb(reason: str) -> RefusedError:
    """A refusal because the file would take too much of something."""
    return RefusedError(reason, "bomb")
