"""Policy as data: what a room may use, which walls must stand, when a load is rejected.

A profile is one TOML file in this folder (or the user's own); the system calls that a worker may
make are in `seccomp/*.json`, in the OCI form that container engines read too; what honest loads do
and which callables are ordinary is in `rules/*.toml`. This module only reads and checks them.
Zone: controller. Imports nothing of the rest of safe_load.
"""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from safe_load.profiles.units import parse_size

PositiveInt = Annotated[int, msgspec.Meta(ge=1)]


class ProfileError(ValueError):
    """A profile does not exist or does not read as one. The message names the file and the place."""


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Bounds on one room. Sizes in bytes, times in seconds."""

    timeout: Annotated[float, msgspec.Meta(gt=0)]
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

    telling: tuple[str, ...]
    errno: dict[str, str]
    held_by_namespaces: tuple[str, ...] = ()
    sinkhole: bool = False


class Profile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One policy. tiers: acceptable sandbox tiers; walls: must stand or nothing is opened;
    stand_ins: kind of room -> wall that it cannot have -> what stands there instead;
    decoys: fake credentials that are planted, by their names in rules/decoys.toml."""

    name: str = ""
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


@cache
def names() -> tuple[str, ...]:
    """The names of the profiles that ship with safe-load, in order."""
    folder = resources.files(__name__)
    return tuple(
        sorted(entry.name[:-5] for entry in folder.iterdir() if entry.name.endswith(".toml"))
    )


def load(name_or_file: str) -> Profile:
    """The profile of that name, or in that TOML file. Raises ProfileError."""
    path = Path(name_or_file)
    if path.suffix != ".toml":
        if name_or_file in names():
            return _shipped(name_or_file)
        known = ", ".join(names())
        raise ProfileError(
            f"there is no profile {name_or_file!r}: choose one of {known}, or name a .toml file"
        )
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ProfileError(f"the profile {name_or_file} cannot be read: {error}") from error
    return _parse(text, where=name_or_file, name=path.stem)


@cache
def _shipped(name: str) -> Profile:
    text = (resources.files(__name__) / f"{name}.toml").read_text("utf-8")
    return _parse(text, where=f"profile {name}", name=name)


def _parse(text: str, *, where: str, name: str) -> Profile:
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ProfileError(f"{where}: not TOML: {error}") from error
    base_name = data.pop("extends", None)
    if base_name is not None:
        if base_name not in names() or base_name == name:
            raise ProfileError(f"{where}: extends {base_name!r}, which is not a shipped profile")
        base = msgspec.to_builtins(load(base_name))
        data = _merge(base, data)
    data["name"] = name
    try:
        profile = msgspec.convert(_with_units(data), Profile, strict=True)
    except msgspec.ValidationError as error:
        raise ProfileError(f"{where}: {error}") from error
    except ValueError as error:
        raise ProfileError(f"{where}: {error}") from error
    unknown = [decoy for decoy in profile.decoys if decoy not in rules("decoys")]
    if unknown:
        raise ProfileError(
            f"{where}: there is no decoy {unknown[0]!r}: choose of {', '.join(rules('decoys'))}"
        )
    if not (resources.files(__name__) / "seccomp" / f"{profile.seccomp}.json").is_file():
        raise ProfileError(f"{where}: there is no seccomp profile {profile.seccomp!r}")
    return profile


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = (
            _merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
        )
    return merged


def _with_units(data: dict[str, Any]) -> dict[str, Any]:
    limits = data.get("limits")
    if isinstance(limits, dict):
        limits = dict(limits)
        for key in ("memory", "scratch", "result"):
            if isinstance(limits.get(key), str):
                limits[key] = parse_size(limits[key])
        data = {**data, "limits": limits}
    return data


class SeccompArgument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A condition on one register: EQ (value) or MASKED_EQ (value is the mask, valueTwo the rest)."""

    index: Annotated[int, msgspec.Meta(ge=0, le=5)]
    value: int
    op: Literal["SCMP_CMP_EQ", "SCMP_CMP_MASKED_EQ"]
    value_two: int = msgspec.field(name="valueTwo", default=0)


class SeccompRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One group of the OCI profile's `syscalls`; all of `args` must hold."""

    names: tuple[str, ...]
    action: Literal["SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO"]
    errno: int | None = msgspec.field(name="errnoRet", default=None)
    args: tuple[SeccompArgument, ...] = ()
    comment: str = ""


class SeccompPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The part of an OCI seccomp profile that safe-load's own profiles use. What is not allowed is
    notified in a worker's, so that the supervisor records it, and traced in a container's."""

    default: Literal["SCMP_ACT_NOTIFY", "SCMP_ACT_TRACE"] = msgspec.field(name="defaultAction")
    architectures: tuple[str, ...]
    syscalls: tuple[SeccompRule, ...]


@cache
def rules(name: str) -> dict[str, Any]:
    """The table of judgements of that name, e.g. "behaviour" or "callables"."""
    return tomllib.loads((resources.files(__name__) / "rules" / f"{name}.toml").read_text("utf-8"))


@cache
def seccomp(name: str) -> SeccompPolicy:
    """The seccomp profile of that name: "worker", or "container" for what is allowed besides."""
    data = (resources.files(__name__) / "seccomp" / f"{name}.json").read_bytes()
    return msgspec.json.decode(data, type=SeccompPolicy)
