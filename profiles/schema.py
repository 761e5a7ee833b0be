"""What a profile holds, typed. Zone: controller."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from safe_load.core.units import LARGEST_MEMORY, LONGEST_TIMEOUT

PositiveInt = Annotated[int, msgspec.Meta(ge=1, le=LARGEST_MEMORY)]


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Bounds on one room. Sizes in bytes, times in seconds."""

    timeout: Annotated[float, msgspec.Meta(gt=0, le=LONGEST_TIMEOUT)]
    memory: PositiveInt
    processes: PositiveInt
    scratch: PositiveInt
    scratch_files: PositiveInt
    open_files: PositiveInt
    result: PositiveInt
    events: PositiveInt


class RecordingPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the supervisor answers the system calls that seccomp notifies.

    telling: allowed, recorded and continued. Every other notified call is recorded and refused,
    with EPERM or the errno named here. held_by_namespaces: of the telling ones, those that are refused
    where the room has no namespaces. sinkhole: what reaches out meets listeners of the room's own,
    where the tier has a network namespace.
    """

    audited: tuple[str, ...]
    errno: dict[str, str]
    held_by_namespaces: tuple[str, ...] = ()
    sinkhole: bool = False


class Profile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One policy. tiers: acceptable sandbox tiers; walls: must stand or nothing is opened;
    stand_ins: kind of room -> wall that it cannot have -> what stands there instead;
    decoys: fake credentials that are planted, by their names in rules/decoys.toml; weaknesses: in
    what it is weaker than the shipped profile that it derives from; never read from a file."""

    name: str = ""
    weaknesses: tuple[str, ...] = ()
    description: str
    tiers: tuple[Literal["A", "B"], ...]
    walls: tuple[str, ...]
    stand_ins: dict[str, dict[str, str]] = {}
    seccomp: str
    fail_on: Literal["low", "medium", "high", "critical", "never"]
    decoys: tuple[str, ...] = ()
    limits: Limits
    recording: RecordingPolicy

    def demanded(self, kind: str) -> tuple[str, ...]:
        """The walls that must stand round a room of that kind."""
        return tuple(wall for wall in self.walls if wall not in self.stand_ins.get(kind, {}))
