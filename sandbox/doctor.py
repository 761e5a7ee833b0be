"""Which rooms stand on this machine? Found by building them, never by reading a setting.

Zone: controller. Settings are read only afterwards, to say what would change what failed.
"""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from safe_load import profiles
from safe_load.sandbox.backends.interface import BackendError, Job, RoomResult, Wall
from safe_load.sandbox.backends.native import NativeBackend

if TYPE_CHECKING:
    from collections.abc import Callable

    from safe_load.profiles import Profile
    from safe_load.sandbox.backends.interface import Backend

_PROFILE = "strict"
_OPEN = "something that must not succeed did"
_ENTRY = "safe_load.sandbox.room.selftest:main"


@dataclass(frozen=True)
class Built:
    """One kind of room. stands: every wall that the profile demands of it does, and everything that
    tried to get out of it was refused; reason: why not, in a sentence."""

    backend: str
    tier: str
    stands: bool
    reason: str
    walls: list[Wall]


@dataclass(frozen=True)
class Diagnosis:
    """tier: what `--backend auto` comes to, or None when nothing would be opened; walls: of that room,
    as in a report, and each attempt to get out; rooms: each kind that was built; advice: sentences
    with the command or setting that would help; notes: what is special about this machine."""

    tier: str | None
    walls: list[Wall]
    advice: list[str]
    rooms: list[Built] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def examine(containers: Callable[[Profile], Backend] | None = None) -> Diagnosis:
    """Build each kind of room as the strict profile demands it, and run a job in it that tries to get
    out. containers: makes the backend for containers; None leaves it out."""
    strict = profiles.load(_PROFILE)
    rooms: list[Built] = []
    linux = platform.system() == "Linux"
    if linux:
        for tier in strict.tiers:
            alone = msgspec.structs.replace(strict, tiers=(tier,))
            rooms.append(_build("native", tier, strict, NativeBackend(alone)))
    if containers is not None:
        rooms.append(_of_containers(containers, strict))
    chosen = next((room for room in rooms if room.stands), None)
    if linux and chosen is not None and (chosen.backend, chosen.tier) != ("native", "A"):
        # What the profile comes to here: not everything that keeps tier A from standing leads to B.
        chosen = _build("native", "B", strict, NativeBackend(strict))
        chosen = chosen if chosen.stands else None
    shown = chosen or (rooms[0] if rooms else None)
    return Diagnosis(
        tier=chosen.tier if chosen else None,
        walls=shown.walls if shown else [],
        advice=[*_advice(rooms), *([] if chosen else _by_hand(rooms))],
        rooms=rooms,
        notes=_notes(),
    )


def _of_containers(make: Callable[[Profile], Backend], profile: Profile) -> Built:
    try:
        backend = make(profile)
    except BackendError as error:
        return Built("docker", "A", stands=False, reason=str(error), walls=[])
    try:
        return _build("docker", "A", profile, backend)
    finally:
        backend.close()


def _build(name: str, tier: str, profile: Profile, backend: Backend) -> Built:
    job = Job("doctor", _ENTRY, {"host_file": str(Path(__file__).resolve())})
    result = backend.run(job)
    found = {wall.name: wall for wall in result.walls}
    walls = [found.get(wall, Wall(wall, "missing")) for wall in profile.walls]
    walls += [wall for wall in result.walls if wall.name not in profile.walls]
    attempts = _attempts(result)
    met = all(wall.state != "missing" for wall in (*walls, *attempts))
    stands = result.status == "ok" and met
    reason = result.reason.partition("; run `safe-load doctor`")[0]
    return Built(name, tier, stands, reason or ("" if stands else _OPEN), [*walls, *attempts])


def _attempts(result: RoomResult) -> list[Wall]:
    """One wall for each attempt to get out: what met it."""
    attempts = result.value or {}
    walls = [
        Wall(
            f"cannot {name}", "standing" if met else "missing", str(met) if met else "it succeeded"
        )
        for name, met in attempts.items()
    ]
    if result.status == "ok":
        seen = any(
            event.syscall == "execve" and event.decision == "denied" for event in result.events
        )
        walls.append(Wall("attempts are recorded", "standing" if seen else "missing"))
    return walls


def _advice(rooms: list[Built]) -> list[str]:
    """The settings of this machine that can be why a native room does not stand."""
    advice: list[str] = []
    native = [room for room in rooms if room.backend == "native" and not room.stands]
    if any(room.tier == "A" for room in native):
        advice += [text for path, bad, text in _SETTINGS if _read(path) in bad]
        if _in_container():
            advice.append(_IN_A_CONTAINER)
    if any("Landlock" in room.reason for room in native):
        lsm = _read("/sys/kernel/security/lsm") or ""
        advice.append(
            "Landlock is not among the kernel's active security modules: add it to the kernel's "
            f"parameters, lsm=landlock,{lsm}"
            if lsm and "landlock" not in lsm.split(",")
            else f"Landlock needs a newer kernel: Linux 5.13 for tier A, 6.2 for tier B; this is {platform.release()}."
        )
    if platform.system() != "Linux" and not any(room.stands for room in rooms):
        advice.append(
            f"Rooms of {platform.system()}'s own are not part of safe-load: use --backend docker."
        )
    return advice


def _by_hand(rooms: list[Built]) -> list[str]:
    """Nothing is chosen by itself; what could be, if somebody says so."""
    if any(room.stands and room.tier == "B" for room in rooms):
        return [
            (
                "Tier B stands, and is taken by itself only where namespaces cannot be made at all. To "
                'choose it here, make a profile: extends = "strict", tiers = ["B"].'
            )
        ]
    if any(room.stands and room.backend == "docker" for room in rooms):
        return ["Containers stand: use --backend docker."]
    return []


def _notes() -> list[str]:
    if "microsoft" in platform.release().lower():
        return [
            (
                "This is WSL2: a room has no way to Windows, as no program can be executed in it, AF_VSOCK "
                "sockets are refused, and /run/WSL is not there (tier A) or cannot be opened (tier B)."
            )
        ]
    return []


def _in_container() -> bool:
    return (
        Path("/.dockerenv").exists()
        or Path("/run/.containerenv").exists()
        or "KUBERNETES_SERVICE_HOST" in os.environ
    )


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text("ascii").strip()
    except OSError:
        return None


_IN_A_CONTAINER = (
    "This is a container, and its engine's defaults leave no more than tier B. For tier A start it "
    "with --security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt "
    "systempaths=unconfined, or run safe-load outside, with --backend docker."
)
#: path, values that stand in the way, what to do. Only to advise on what failed already: no decision
#: hangs on a setting.
_SETTINGS = (
    (
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        ("1",),
        (
            "AppArmor keeps ordinary users from creating user namespaces (Ubuntu 23.10 and newer): "
            "sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0"
        ),
    ),
    (
        "/proc/sys/kernel/unprivileged_userns_clone",
        ("0",),
        (
            "User namespaces are switched off for ordinary users: "
            "sudo sysctl kernel.unprivileged_userns_clone=1"
        ),
    ),
    (
        "/proc/sys/user/max_user_namespaces",
        ("0",),
        "User namespaces are switched off: sudo sysctl user.max_user_namespaces=15000",
    ),
    (
        "/proc/sys/kernel/yama/ptrace_scope",
        ("2", "3"),
        (
            "Yama keeps the recorder from reading what a call was given: "
            "sudo sysctl kernel.yama.ptrace_scope=1 (3 can only be changed at boot)"
        ),
    ),
)
