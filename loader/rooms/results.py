"""How the rooms of one load ended: what their workers said, and what the report has of them.

Zone: controller. What comes out of a room is typed and bounded by `inside` before anyone looks at it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from safe_load.core.errors import Interrupted, LimitHit, NotLoadable, SandboxError, worst
from safe_load.core.escape import visible
from safe_load.core.report import Egress, Event, Recording, Resources, SyscallCount, WallState
from safe_load.rooms.conversion import Converted
from safe_load.rooms.named_packages import NamedPackages
from safe_load.rooms.recorded import egress_of, event_of
from safe_load.rooms.rewriting import Rewritten
from safe_load.rooms.worker_results import Detonated, read_detonated, read_extracted

if TYPE_CHECKING:
    from safe_load.export.extracted import Extracted
    from safe_load.sandbox.backends.interface import RoomResult

#: Where every room shows the model's files.
MODEL = "/model"


@dataclass(frozen=True)
class RoomResults:
    """How the rooms ended. detonation: None where nothing was to be loaded; conversion: the one for tokenizers, where it was needed; rewriting: the one
    for configuration, where there is any; named: installed packages that the pickles name, and the room
    that opened the model beside these; digests: relative
    path -> SHA-256 of the source's files; failures: what the controller's own part (hashing, copying,
    running a room) raised, a KeyboardInterrupt for Ctrl-C."""

    extraction: RoomResult
    detonation: RoomResult | None
    digests: dict[str, str]
    conversion: Converted = field(default_factory=Converted)
    rewriting: Rewritten = field(default_factory=Rewritten)
    named: NamedPackages = field(default_factory=NamedPackages)
    failures: tuple[BaseException, ...] = ()

    @property
    def rooms(self) -> tuple[RoomResult, ...]:
        """All that a file of the model was shown to."""
        further = (self.detonation, self.conversion.room, self.rewriting.room, self.named.room)
        return (self.extraction, *(room for room in further if room is not None))

    @property
    def chief(self) -> RoomResult:
        """The room whose walls the report shows: where the file's code ran, or else where it was read."""
        return self.detonation or self.extraction

    def require_uninterrupted(self) -> None:
        """Raise the KeyboardInterrupt that ended the rooms, if one did."""
        for failure in self.failures:
            if isinstance(failure, KeyboardInterrupt):
                raise failure

    def extracted(self) -> Extracted:
        """What the worker that read the weights said; empty where its room ended early. Raises
        SandboxError for what no worker of ours says."""
        return extracted(self.extraction)

    def detonated(self) -> Detonated:
        """As `extracted`, of the worker that opened the model as its usual loaders do."""
        return Detonated([]) if self.detonation is None else _detonated(self.detonation)

    def detonated_beside(self) -> Detonated | None:
        """As `detonated`, of the room with the packages that pickles name; None where there was none."""
        return None if self.named.room is None else _detonated(self.named.room)

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
            events=[event_of(event, started) for event in events],
        )

    def heard(self, started: float) -> list[Egress]:
        """What the sinkholes of all rooms were told."""
        return [egress_of(said, started) for room in self.rooms for said in room.egress]

    def recorded_alone(self, started: float) -> tuple[list[Event], list[Egress]]:
        """What the room recorded that imported packages without the model, and what its sinkhole was told."""
        alone = self.named.imported
        if alone is None:
            return [], []
        events = [event_of(event, started) for event in alone.events]
        return events, [egress_of(said, started) for said in alone.egress]

    def resources(self) -> Resources:
        """Most rooms ran at once, so the peaks of all add up to a bound."""
        return Resources(
            peak_memory_bytes=sum(room.peak_memory for room in self.rooms),
            cpu_s=round(sum(room.cpu_s for room in self.rooms), 3),
            peak_processes=sum(room.peak_processes for room in self.rooms),
        )

    def walls(self) -> list[WallState]:
        """The walls that stood round the rooms in which the file's code ran; of two, the weaker."""
        beside = self.named.room
        others = {} if beside is None else {wall.name: wall for wall in beside.walls}
        pairs = [(wall, others.get(wall.name, wall)) for wall in self.chief.walls]
        weaker = [max(pair, key=lambda wall: _STATES.index(wall.state)) for pair in pairs]
        return [WallState(wall.name, wall.state, wall.detail) for wall in weaker]

    def trouble(self) -> BaseException | None:
        """Why what the rooms said cannot be relied on: the worst cause, and the first of these."""
        causes: list[BaseException] = []
        if (swapped := self._swapped()) is not None:
            causes.append(
                SandboxError(f"{visible(swapped)} was replaced while its rooms were built")
            )
        causes += self.failures
        rooms = (
            ("reading the weights", self.extraction),
            ("opening the model", self.detonation),
            ("opening the model beside installed packages", self.named.room),
            ("rewriting the configuration", self.rewriting.room),
        )
        for doing, room in rooms:
            if room is not None and (cause := _CAUSES.get(room.status)) is not None:
                causes.append(
                    cause(room.reason if room.status == "limit" else f"{doing}: {room.reason}")
                )
        if (trouble := self.conversion.trouble()) is not None:
            causes.append(trouble)
        if self.rewriting.error is not None:
            causes.append(self.rewriting.error)
        return worst(causes)

    def _swapped(self) -> str | None:
        """A file that one room was shown otherwise than it was hashed, or than another was: where a
        backend tells what it showed."""
        known = {f"{MODEL}/{path}": digest for path, digest in self.digests.items()}
        for room in self.rooms:
            for path, digest in room.shown.items():
                if known.setdefault(path, digest) != digest:
                    return path.removeprefix(f"{MODEL}/")
        return None


_STATES = ("standing", "weaker", "missing")
_CAUSES: dict[str, type[BaseException]] = {
    "broken": SandboxError,
    "limit": LimitHit,
    "interrupted": Interrupted,
    "crashed": NotLoadable,
}


def extracted(result: RoomResult) -> Extracted:
    """What the worker that read the weights said. Raises SandboxError."""
    try:
        return read_extracted(result.value or {"files": []})
    except ValueError as error:
        raise SandboxError(str(error)) from error


def _detonated(result: RoomResult) -> Detonated:
    try:
        return read_detonated(result.value or {"files": []})
    except ValueError as error:
        raise SandboxError(str(error)) from error
