"""Which walls stand on this machine? Found by building them, never by reading a setting.

Zone: controller.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path

from safe_load import profiles
from safe_load.sandbox.backends.interface import Job, RoomResult, Wall
from safe_load.sandbox.backends.native import NativeBackend

_PROFILE = "strict"


@dataclass(frozen=True)
class Diagnosis:
    """tier: "A", or None when a wall is missing; walls: as in a report, and each attempt to get
    out; advice: sentences with the command or setting that would help."""

    tier: str | None
    walls: list[Wall]
    advice: list[str]


def examine() -> Diagnosis:
    """Build a room as the strict profile demands it, and run a job in it that tries to get out."""
    if platform.system() != "Linux":
        return Diagnosis(
            None, [], [f"The native backend needs Linux; this is {platform.system()}."]
        )
    profile = profiles.load(_PROFILE)
    host_file = str(Path(__file__).resolve())
    job = Job("doctor", "safe_load.sandbox.room.selftest:main", {"host_file": host_file})
    result = NativeBackend(profile).run(job)
    standing = {wall.name: wall for wall in result.walls}
    walls = [standing.get(name, Wall(name, "missing")) for name in profile.walls]
    walls += [wall for wall in result.walls if wall.name not in profile.walls]
    walls += _attempts(result)
    sound = result.status == "ok" and all(wall.state == "standing" for wall in walls)
    return Diagnosis("A" if sound else None, walls, [] if sound else _advice(result))


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


def _advice(result: RoomResult) -> list[str]:
    advice = [result.reason[:1].upper() + result.reason[1:] + "."] if result.reason else []
    advice += [text for path, bad, text in _SETTINGS if _read(path) == bad]
    if "Landlock" in result.reason:
        advice.append(
            f"Landlock needs Linux 5.13 (this is {platform.release()}) and `landlock` in the list of "
            "the kernel parameter lsm=."
        )
    if Path("/.dockerenv").exists() and len(advice) < 2:
        advice.append(
            "This is a container: its engine's seccomp profile forbids namespaces. Start it with "
            "--security-opt seccomp=unconfined --security-opt apparmor=unconfined, or run safe-load outside."
        )
    return advice


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text("ascii").strip()
    except OSError:
        return None


# Only to advise on what failed already: no decision hangs on a setting.
_SETTINGS = (
    (
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        "1",
        (
            "AppArmor keeps ordinary users from creating user namespaces (Ubuntu 23.10 and newer): "
            "sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0"
        ),
    ),
    (
        "/proc/sys/kernel/unprivileged_userns_clone",
        "0",
        (
            "User namespaces are switched off for ordinary users: "
            "sudo sysctl kernel.unprivileged_userns_clone=1"
        ),
    ),
    (
        "/proc/sys/user/max_user_namespaces",
        "0",
        "User namespaces are switched off: sudo sysctl user.max_user_namespaces=15000",
    ),
)
