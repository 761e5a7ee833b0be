"""How the rooms of one load ended: what their workers said, and what the report has of them.

Zone: controller. What comes out of a room is typed and bounded by `inside` before anyone looks at it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from safe_load.configuration.conversion import Converted
from safe_load.errors import LimitHit, NotLoadable, SafeLoadError, SandboxError
from safe_load.formats.escape import visible
from safe_load.inside import Detonated, Extracted, read_detonated, read_extracted
from safe_load.report import Egress, Event, Recording, Resources, SyscallCount, WallState

if TYPE_CHECKING:
    from safe_load.sandbox.backends.interface import Event as RoomEvent
    from safe_load.sandbox.backends.interface import RoomResult

#: Where every room shows the model's files.
MODEL = "/model"


@dataclass(frozen=True)
class Opened:
    """How the rooms ended. conversion: the one for tokenizers, where it was needed; digests: relative
    path -> SHA-256 of the source's files; late: why the controller's own part, hashing and copying,
    did not come to its end."""

    extraction: RoomResult
    detonation: RoomResult
    digests: dict[str, str]
    late: SafeLoadError | None = None
    conversion: Converted = field(default_factory=Converted)

    @property
    def rooms(self) -> tuple[RoomResult, ...]:
        """All that there were."""
        third = self.conversion.room
        return (self.extraction, self.detonation, *([third] if third is not None else []))

    def results(self) -> tuple[Extracted, Detonated]:
        """What both workers said; empty where a room ended early. Raises SandboxError for what no
        worker of ours says."""
        try:
            detonated = read_detonated(self.detonation.value or {"files": []})
        except ValueError as error:
            raise SandboxError(str(error)) from error
        return extracted(self.extraction), detonated

    def recording(self, started: float, level: str) -> Recording:
        """What was recorded in all rooms, in the order of time, t counted from `started`."""
        events = sorted(
            (event for room in self.rooms for event in room.events), key=lambda event: event.t
        )
        counts: dict[str, SyscallCount] = {}
        for room in self.rooms:
            for name, (allowed, denied) in sorted(room.syscalls.items()):
                before = counts.get(name, SyscallCount())
                counts[name] = SyscallCount(before.allowed + allowed, before.denied + denied)
        return Recording(
            level="full" if level == "full" else "standard",
            complete=all(room.complete for room in self.rooms),
            dropped=sum(room.dropped for room in self.rooms),
            syscalls=counts,
            events=[_event(event, started) for event in events],
        )

    def heard(self, started: float) -> list[Egress]:
        """What the sinkholes of all rooms were told."""
        return [
            Egress(
                t=_since(started, said.t),
                protocol=said.protocol,
                address=said.address,
                port=said.port,
                domain=said.domain,
                payload_preview=said.preview,
                payload_bytes=said.size,
            )
            for room in self.rooms
            for said in room.egress
        ]

    def resources(self) -> Resources:
        """The rooms ran at once, so their peaks add up to a bound."""
        return Resources(
            peak_memory_bytes=sum(room.peak_memory for room in self.rooms),
            cpu_s=round(sum(room.cpu_s for room in self.rooms), 3),
            peak_processes=sum(room.peak_processes for room in self.rooms),
        )

    def walls(self) -> list[WallState]:
        """The walls that stood round the room in which the file's code ran."""
        return [WallState(wall.name, wall.state, wall.detail) for wall in self.detonation.walls]

    def trouble(self) -> SafeLoadError | None:
        """Why what the rooms said cannot be relied on; the sandbox's own failures come first."""
        by_status: dict[str, type[SafeLoadError]] = {
            "broken": SandboxError,
            "limit": LimitHit,
            "interrupted": SandboxError,
            "crashed": NotLoadable,
        }
        rooms = (("reading the weights", self.extraction), ("opening the model", self.detonation))
        if (swapped := self._swapped()) is not None:
            return SandboxError(f"{visible(swapped)} was replaced while its rooms were built")
        for status, error in by_status.items():
            for doing, room in rooms:
                if room.status == status:
                    return error(room.reason if status == "limit" else f"{doing}: {room.reason}")
        return self.conversion.trouble() or self.late

    def _swapped(self) -> str | None:
        """A file that one room was shown otherwise than it was hashed, or than another was: where a
        backend tells what it showed."""
        known = {f"{MODEL}/{path}": digest for path, digest in self.digests.items()}
        for room in self.rooms:
            for path, digest in room.shown.items():
                if known.setdefault(path, digest) != digest:
                    return path.removeprefix(f"{MODEL}/")
        return None


def extracted(result: RoomResult) -> Extracted:
    """What the worker that read the weights said. Raises SandboxError."""
    try:
        return read_extracted(result.value or {"files": []})
    except ValueError as error:
        raise SandboxError(str(error)) from error


def _event(raw: RoomEvent, started: float) -> Event:
    """A room's event as the report has it."""
    return Event(
        t=_since(started, raw.t),
        stage=raw.stage,
        pid=raw.pid,
        ppid=raw.ppid,
        comm=raw.comm,
        syscall=raw.syscall,
        args=raw.args,
        decision=raw.decision,
        errno=raw.errno,
        count=raw.count,
    )


def _since(started: float, t: float) -> float:
    return round(max(0.0, t - started), 6)
