"""What a profile may not do without, and in what it is weaker than the one it derives from.

Zone: controller.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from safe_load.core import typed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from safe_load.profiles.schema import Profile

_THRESHOLDS = ("low", "medium", "high", "critical", "never")


def broken(profile: Profile, strict: Profile, rules: Mapping[str, object]) -> str | None:
    """Why nothing may be opened by this profile at all, None where nothing speaks against it.

    strict: the shipped profile, whose stand-ins are the only ones for walls of the cell; rules: the
    table `walls`.
    """
    walls = typed.convert(rules, _Walls)
    for wall in walls.cell:
        if wall not in profile.walls:
            return f"walls: {wall} is missing, and no profile may do without the walls of the cell"
        for kind, stand_ins in profile.stand_ins.items():
            if stand_ins.get(wall) != strict.stand_ins.get(kind, {}).get(wall):
                return f"stand_ins.{kind}: nothing may stand in for {wall}, a wall of the cell"
    holder = {call: wall for wall, calls in walls.holds.items() for call in calls}
    recording = profile.recording
    for kind, stand_ins in profile.stand_ins.items():
        ours = strict.stand_ins.get(kind, {})
        for call in recording.audited:
            if (wall := holder.get(call, "")) in stand_ins and stand_ins[wall] != ours.get(wall):
                return f"stand_ins.{kind}: nothing may stand in for {wall}, which holds {call}"
    for tier in profile.tiers:
        held = recording.held_by_namespaces if tier == "B" else ()
        for call in sorted(set(recording.audited) - set(held)):
            wall = holder.get(call, "")
            if not wall:
                return f"recording.audited: no wall holds {call}, so no profile may let this call through"
            if tier == "B" and wall.endswith("-namespace"):
                return (
                    f"recording.held_by_namespaces: tier B has no wall {wall}, which holds {call}, so "
                    "no profile may let this call through in tier B"
                )
            if wall not in profile.walls:
                return f"walls: {wall} is missing, and it holds {call}, which is let through"
    return None


class _Walls(msgspec.Struct, frozen=True):
    cell: tuple[str, ...]
    holds: dict[str, tuple[str, ...]]


def weaknesses(profile: Profile, base: Profile) -> tuple[str, ...]:
    """In what this profile is weaker than the shipped one, one short clause each; none: in nothing."""
    return tuple(_weaknesses(profile, base))


def _weaknesses(profile: Profile, base: Profile) -> Iterator[str]:
    yield from _more("tiers", profile.tiers, base.tiers)
    for wall in base.walls:
        if wall not in profile.walls:
            yield f"without the wall {wall}"
    for kind, stand_ins in profile.stand_ins.items():
        for wall in stand_ins:
            if wall not in base.stand_ins.get(kind, {}):
                yield f"without the wall {wall} in {kind}"
    if profile.seccomp != base.seccomp:
        yield f"seccomp = {profile.seccomp} (instead of {base.seccomp})"
    if _THRESHOLDS.index(profile.fail_on) > _THRESHOLDS.index(base.fail_on):
        yield f"fail_on = {profile.fail_on} (instead of {base.fail_on})"
    for name in profile.limits.__struct_fields__:
        limit, least = getattr(profile.limits, name), getattr(base.limits, name)
        if limit > least:
            yield f"limits.{name} = {limit:.15g} (instead of {least:.15g})"
    if missing := [decoy for decoy in base.decoys if decoy not in profile.decoys]:
        yield f"without the decoys {', '.join(missing)}"
    mine, theirs = profile.recording, base.recording
    yield from _more("recording.audited", mine.audited, theirs.audited)
    if theirs.sinkhole and not mine.sinkhole:
        yield "without the sinkhole"


def _more(what: str, mine: Iterable[str], theirs: Iterable[str]) -> Iterator[str]:
    if more := sorted(set(mine) - set(theirs)):
        yield f"{what} has {', '.join(more)} too"
