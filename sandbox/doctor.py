"""Which rooms stand on this machine? Found by building them, never by reading a setting.

Zone: controller. What would change what failed is looked up afterwards (safe_load.sandbox.hints).
"""

from __future__ import annotations

import platform
import stat
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from safe_load import profiles
from safe_load.sandbox import hints
from safe_load.sandbox.backends.docker.engine import Engine, EngineError
from safe_load.sandbox.backends.gvisor import trace
from safe_load.sandbox.backends.interface import BackendError, Job, RoomResult, Wall
from safe_load.sandbox.backends.native.backend import NativeBackend
from safe_load.sandbox.hints import Hint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from safe_load.profiles import Profile
    from safe_load.sandbox.backends.interface import Backend

_PROFILE = "strict"
_OPEN = "an attempt to get out of the room succeeded"
_ENTRY = "safe_load.sandbox.room.selftest:main"
_GIVEN_UP = "; run `safe-load doctor`"
#: What only one wall refuses: where the profile has something else stand in for it, it succeeds.
_HELD_BY = {"read the process table": "landlock"}
#: Where WSL2 lets programs reach Windows.
_WINDOWS = (Path("/run/WSL"), Path("/dev/vsock"), Path("/dev/dxg"))
_DOORS = 8


@dataclass(frozen=True)
class Built:
    """One kind of room. stands: every wall that the profile demands of it does, and everything that
    tried to get out of it was refused; reason: why not, in a sentence. runtime: of a container."""

    backend: str
    tier: str
    stands: bool
    reason: str
    walls: list[Wall] = field(default_factory=list)
    runtime: str | None = None

    @property
    def name(self) -> str:
        """For people."""
        if self.backend == "native":
            return f"native, tier {self.tier}"
        return "docker" if self.runtime is None else f"docker, {self.runtime}"


@dataclass(frozen=True)
class Diagnosis:
    """tier: what `--backend auto` comes to, or None when nothing would be opened; walls: of that room,
    as in a report, and each attempt to get out; rooms: each kind that was built; advice: at most one
    for each room that does not stand, and what else could be chosen; notes: what is special here."""

    tier: str | None
    walls: list[Wall]
    advice: list[Hint]
    rooms: list[Built] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Containers:
    """What the settings say of the docker backend. make: it, with that runtime."""

    image: str
    runtime: str | None
    make: Callable[[Profile, str | None], Backend]


def examine(
    containers: Containers | None = None, native: Callable[[Profile], Backend] = NativeBackend
) -> Diagnosis:
    """Build each kind of room as the strict profile demands it, and run a job in it that tries to get
    out. containers: None leaves them out."""
    strict = profiles.load(_PROFILE)
    linux = platform.system() == "Linux"
    runtimes, advice = _runtimes(containers)
    with ThreadPoolExecutor(thread_name_prefix="doctor") as together:
        building = []
        for tier in strict.tiers if linux else ():
            cell_only = native(msgspec.structs.replace(strict, tiers=(tier,)))
            building.append(
                together.submit(_build, Built("native", tier, False, ""), strict, cell_only)
            )
        building += [
            together.submit(_build_container, each, strict, containers)
            for each in runtimes
            if containers is not None
        ]
        rooms = [each.result() for each in building]
    chosen = next((room for room in rooms if room.stands), None)
    if linux and chosen is not None and (chosen.backend, chosen.tier) != ("native", "A"):
        # What the profile comes to here: not everything that keeps tier A from standing leads to B.
        chosen = _build(Built("native", "B", False, ""), strict, native(strict))
        chosen = chosen if chosen.stands else None
    shown = chosen or (rooms[0] if rooms else None)
    image = containers.image if containers is not None else ""
    return Diagnosis(
        tier=chosen.tier if chosen else None,
        walls=shown.walls if shown else [],
        advice=[*_advice(rooms, image), *advice, *([] if chosen else _by_hand(rooms))],
        rooms=rooms,
        notes=_notes(),
    )


def _runtimes(containers: Containers | None) -> tuple[list[Built], list[Hint]]:
    """The rooms in containers that can be tried: of the runtime that is taken where none is named, of
    the one that the settings name, and of each that is gVisor's. And what to do for one of these."""
    if containers is None:
        return [], []
    try:
        with closing(Engine()) as engine:
            default, known = engine.runtimes()
    except EngineError as error:
        return [Built("docker", "A", False, str(error))], []
    second = [name for name, found in known.items() if trace.is_gvisor(found)]
    wanted = [default, *([containers.runtime] if containers.runtime else []), *sorted(second)]
    rooms = [Built("docker", "A", False, "", runtime=name) for name in dict.fromkeys(wanted)]
    if second or (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        return rooms, []
    return rooms, [Hint("docker with gVisor", *hints.to_register())]


def _build_container(room: Built, profile: Profile, containers: Containers) -> Built:
    if room.reason:
        return room
    try:
        backend = containers.make(profile, room.runtime)
    except BackendError as error:
        return replace(room, reason=str(error))
    with closing(backend):
        return _build(room, profile, backend)


def _build(room: Built, profile: Profile, backend: Backend) -> Built:
    argument = {"host_file": str(Path(__file__).resolve()), "doors": _doors()}
    result = backend.run(Job("doctor", _ENTRY, argument))
    found = {wall.name: wall for wall in result.walls}
    walls = [found.get(wall, Wall(wall, "missing")) for wall in profile.walls]
    walls += [wall for wall in result.walls if wall.name not in profile.walls]
    walls += _attempts(result, {wall.name for wall in walls if wall.state == "weaker"})
    stands = result.status == "ok" and all(wall.state != "missing" for wall in walls)
    said = result.reason.partition(_GIVEN_UP)[0].removeprefix("OSError: ")
    reason = said or ("" if stands else _OPEN)
    return replace(room, stands=stands, reason=reason, walls=walls)


def _doors() -> list[tuple[str, bool]]:
    """What leads to Windows from here, and whether it is a socket."""
    found: list[Path] = []
    for door in _WINDOWS:
        try:
            found += sorted(door.iterdir()) if door.is_dir() else [door]
        except OSError:
            continue
    doors = []
    for path in found:
        try:
            doors.append((str(path), stat.S_ISSOCK(path.stat().st_mode)))
        except OSError:
            continue
    return doors[:_DOORS]


def _attempts(result: RoomResult, weaker: set[str]) -> list[Wall]:
    """One wall for each attempt to get out: what met it. weaker: the walls with a stand-in."""
    walls = []
    for name, met in (result.value or {}).items():
        holder = _HELD_BY.get(name)
        if met:
            walls.append(Wall(f"cannot {name}", "standing", str(met)))
        elif holder in weaker:
            walls.append(
                Wall(f"cannot {name}", "weaker", f"the attempt succeeded: only {holder} refuses it")
            )
        else:
            walls.append(Wall(f"cannot {name}", "missing", "the attempt succeeded"))
    if result.status == "ok":
        seen = any(
            event.syscall == "execve" and event.decision == "denied" for event in result.events
        )
        walls.append(Wall("attempts are recorded", "standing" if seen else "missing"))
    return walls


def _advice(rooms: Iterable[Built], image: str) -> list[Hint]:
    """One for each room that does not stand, if anything is known; rooms with the same share it."""
    found: dict[hints.Help, list[str]] = {}
    for room in rooms:
        if room.stands:
            continue
        if room.backend == "native":
            helps = hints.for_native(room.tier, room.reason)
        else:
            helps = hints.for_docker(room.reason, image, room.runtime)
        if any(helps):
            found.setdefault(helps, []).append(room.name)
    return [Hint("; ".join(names), *helps) for helps, names in found.items()]


def _by_hand(rooms: Iterable[Built]) -> list[Hint]:
    """Nothing is chosen by itself; what could be, if somebody says so."""
    standing = [room for room in rooms if room.stands]
    if any(room.backend == "native" for room in standing):
        text = (
            "Tier B works here, but safe-load chooses it only on a machine that refuses namespaces. To "
            "choose it here, pass a profile file with these lines (--profile FILE):"
        )
        return [Hint("", text, 'extends = "strict"\ntiers = ["B"]')]
    if standing:
        runtime = standing[0].runtime
        return [
            Hint(
                "",
                "Rooms in containers work here. To use them:",
                f"safe-load scan --backend docker --runtime {runtime} SOURCE",
            )
        ]
    if platform.system() != "Linux":
        return [
            Hint(
                "",
                f"{platform.system()} has no native rooms: safe-load needs a container engine here.",
            )
        ]
    return []


def _notes() -> list[str]:
    if not hints.is_wsl():
        return []
    return [
        (
            "This is WSL2: a room cannot reach Windows. No program can be executed in a room, sockets of "
            "AF_VSOCK are refused, and /run/WSL does not exist (tier A) or cannot be opened (tier B)."
        )
    ]
