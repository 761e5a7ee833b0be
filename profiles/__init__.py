"""Policy as data: what a room may use, which walls must stand, when a load is rejected.

A profile is one TOML file in this folder (or the user's own); the system calls that a worker may
make are in `seccomp/*.json`, in the OCI form that container engines read too; what honest loads do
and which callables are ordinary is in `rules/*.toml`. This module only reads and checks them.
Zone: controller. Imports only what lies in core.
"""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from safe_load.core import typed
from safe_load.core.errors import UsageError
from safe_load.core.units import parse_size
from safe_load.profiles import strength
from safe_load.profiles.schema import Limits, Profile, RecordingPolicy
from safe_load.profiles.strength import weaknesses

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "Limits",
    "Profile",
    "ProfileError",
    "RecordingPolicy",
    "load",
    "names",
    "own_keys",
    "rules",
    "seccomp",
    "weaknesses",
]

#: importlib.resources takes as long to import as a profile to read, and the room's own code must lie in files too.
_FOLDER = Path(__file__).parent
#: The profile that one derives from which extends none.
_BASE = "strict"
_LARGEST = 1 << 20  # bytes


class ProfileError(UsageError):
    """A profile does not exist, does not read as one, or may not be used. The message names the file
    and the place."""


@cache
def names() -> tuple[str, ...]:
    """The names of the profiles that ship with safe-load, in order."""
    return tuple(
        sorted(entry.name[:-5] for entry in _FOLDER.iterdir() if entry.name.endswith(".toml"))
    )


def load(name_or_file: str, *, unsafe: bool = False) -> Profile:
    """The profile of that name, or in that TOML file.

    Args:
        name_or_file: A shipped profile's name, or a path that ends with .toml.
        unsafe: Also one that is weaker than the shipped profile which it extends (strict, where it
            extends none). Its `weaknesses` say in what.

    Raises:
        ProfileError: It is not there, does not read, is weaker, or lacks what none may lack: a wall
            of the cell, or the wall that holds a call which it lets through.
    """
    path = Path(name_or_file)
    if path.suffix != ".toml":
        if name_or_file in names():
            return _shipped(name_or_file)
        known = ", ".join(names())
        raise ProfileError(
            f"there is no profile {name_or_file!r}: choose one of {known}, or name a .toml file"
        )
    try:
        with path.open("rb") as file:
            text = file.read(_LARGEST + 1).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ProfileError(f"the profile {name_or_file} cannot be read: {error}") from error
    if len(text) > _LARGEST:
        raise ProfileError(
            f"the profile {name_or_file} is larger than 1 MiB, the limit for a profile"
        )
    profile = _parse(text, where=name_or_file, name=path.stem)
    if profile.weaknesses and not unsafe:
        raise ProfileError(
            f"the profile {name_or_file} is weaker than the shipped one: "
            f"{'; '.join(profile.weaknesses)}. --unsafe-profile, or unsafe_profile=True, allows it"
        )
    return profile


def own_keys(name_or_file: str) -> tuple[str, ...] | None:
    """The dotted keys that a profile states itself, and does not have from the one it extends. None: it extends
    none. The profile must be one that `load` takes."""
    path = Path(name_or_file)
    text = (
        path.read_text("utf-8")
        if path.suffix == ".toml"
        else (_FOLDER / f"{name_or_file}.toml").read_text("utf-8")
    )
    data = tomllib.loads(text)
    return tuple(_dotted(data)) if "extends" in data else None


def _dotted(data: dict[str, Any], above: str = "") -> Iterator[str]:
    for key, value in data.items():
        if isinstance(value, dict):
            yield from _dotted(value, f"{above}{key}.")
        else:
            yield f"{above}{key}"


@cache
def _shipped(name: str) -> Profile:
    text = (_FOLDER / f"{name}.toml").read_text("utf-8")
    return _parse(text, where=f"profile {name}", name=name, shipped=True)


def _parse(text: str, *, where: str, name: str, shipped: bool = False) -> Profile:
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ProfileError(f"{where}: not TOML: {error}") from error
    if "weaknesses" in data:
        raise ProfileError(
            f"{where}: the key weaknesses cannot be set: safe-load finds the weaknesses by comparison"
        )
    base_name = data.pop("extends", None)
    if base_name is not None:
        if base_name not in names() or base_name == name:
            raise ProfileError(f"{where}: extends {base_name!r}, which is not a shipped profile")
        base = msgspec.to_builtins(load(base_name))
        data = _merge(base, data)
    data["name"] = name
    try:
        profile = typed.convert(_with_units(data), Profile)
    except msgspec.ValidationError as error:
        raise ProfileError(f"{where}: {error}") from error
    except ValueError as error:
        raise ProfileError(f"{where}: {error}") from error
    unknown = [decoy for decoy in profile.decoys if decoy not in rules("decoys")]
    if unknown:
        raise ProfileError(
            f"{where}: there is no decoy {unknown[0]!r}: the decoys are {', '.join(rules('decoys'))}"
        )
    if not (_FOLDER / "seccomp" / f"{profile.seccomp}.json").is_file():
        raise ProfileError(f"{where}: there is no seccomp profile {profile.seccomp!r}")
    if seccomp(profile.seccomp).default != "SCMP_ACT_NOTIFY":
        raise ProfileError(f"{where}: the seccomp profile {profile.seccomp!r} is not for workers")
    strict = profile if shipped and name == _BASE else _shipped(_BASE)
    if (reason := strength.broken(profile, strict, rules("walls"))) is not None:
        raise ProfileError(f"{where}: {reason}")
    if shipped:
        return profile
    return msgspec.structs.replace(
        profile, weaknesses=weaknesses(profile, _shipped(base_name or _BASE))
    )


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
    includes: str = ""
    """Another profile whose rules come first."""


@cache
def rules(name: str) -> dict[str, Any]:
    """The table of judgements of that name, e.g. "behaviour" or "callables"."""
    return tomllib.loads((_FOLDER / "rules" / f"{name}.toml").read_text("utf-8"))


@cache
def ordinary_callables() -> dict[str, list[str]]:
    """What a pickle may name and use without a word: dotted name -> the shapes of its uses, as
    loader/worker/pickle_vm/shapes.py spells them. From rules/callables.toml, which people wrote, and
    rules/pickle_shapes.json, which dev/pickle_shapes.py wrote."""
    written = (_FOLDER / "rules" / "pickle_shapes.json").read_bytes()
    found: dict[str, set[str]] = {}
    for table in (rules("callables"), typed.plain(written)):
        for library in table["seen"].values():
            for name, listed in library.items():
                found.setdefault(name, set()).update(listed)
    return {name: sorted(listed) for name, listed in sorted(found.items())}


@cache
def seccomp(name: str) -> SeccompPolicy:
    """The seccomp profile of that name: "worker", "tool" for programs, or "container" for what is
    allowed besides."""
    data = (_FOLDER / "seccomp" / f"{name}.json").read_bytes()
    found = typed.decode(data, SeccompPolicy)
    if not found.includes:
        return found
    return msgspec.structs.replace(
        found, syscalls=(*seccomp(found.includes).syscalls, *found.syscalls)
    )
