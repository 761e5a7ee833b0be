"""What a backend is asked for, and what rooms that are kept for many jobs have ready. Zone: controller."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from safe_load.sandbox import protocol
from safe_load.sandbox.protocol import HEAVY, LIGHT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from safe_load.profiles import Profile
    from safe_load.sandbox.backends.interface import Job

_MODEL = "/model"


@dataclass(frozen=True)
class WarmSpec:
    """What a warm room has ready: jobs' entries, the modules they want, the packages they need.

    light: entries of jobs that want no module imported ahead. They are forked from a process that
    has imported nothing else, which is quicker.
    """

    entries: tuple[str, ...]
    preload: tuple[str, ...]
    distributions: tuple[str, ...]
    modules: tuple[Path, ...] = ()
    light: tuple[str, ...] = ()

    def order(self, job: Job) -> bytes:
        """Which of the room's processes shall do this job."""
        return LIGHT if job.entry in self.light else HEAVY

    def serves(self, job: Job) -> bool:
        """Whether the room can do this job."""
        return (
            job.entry in (*self.entries, *self.light)
            and set(job.preload) <= set(() if self.order(job) == LIGHT else self.preload)
            and set(job.distributions) <= set(self.distributions)
            and len(job.outputs) <= protocol.MOST_OUTPUTS
            and all(bind.target.startswith(f"{_MODEL}/") for bind in job.files)
            and set(job.modules) <= set(self.modules)
        )


@dataclass(frozen=True)
class Request:
    """What a backend is asked for.

    version: of safe-load. warm: says what rooms that are kept for many jobs import ahead, given whether
    they show the host's packages; None: each job has a room of its own. image, runtime: of containers,
    where the backend has such a thing; an empty image is the backend's own choice."""

    profile: Profile
    version: str
    warm: Callable[[bool], WarmSpec] | None = None
    image: str = ""
    runtime: str | None = None
