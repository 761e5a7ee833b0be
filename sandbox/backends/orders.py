"""From a job to the order that its room is given (safe_load.sandbox.protocol). Zone: controller."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import msgspec
from safe_load.sandbox import protocol
from safe_load.sandbox.kernel import landlock
from safe_load.sandbox.protocol import File, HostOrder

if TYPE_CHECKING:
    from safe_load.profiles import Profile
    from safe_load.sandbox.backends.interface import Job, Shown
    from safe_load.sandbox.containment import Containment, Policy
    from safe_load.sandbox.program import Program


class Common(TypedDict):
    """What an order says of its job, wherever the room is built; see protocol.Order."""

    stage: str
    entry: str
    argument: dict[str, Any]
    preload: tuple[str, ...]
    environment: dict[str, str]
    planted: dict[str, str]
    limits: protocol.Limits
    policy: Policy
    containment: Containment
    mapped: int
    output_limit: int
    sinkhole: bool


def common(profile: Profile, policy: Policy, containment: Containment, job: Job) -> Common:
    """Raises OSError when a file of the job is not there, or when it is a program."""
    if job.program is not None:
        raise OSError("only a room of the native backend, of tier A, runs programs")
    return {
        "stage": job.name,
        "entry": job.entry,
        "argument": job.argument,
        "preload": job.preload,
        "environment": dict(job.environment),
        "planted": dict(job.planted),
        "limits": protocol.Limits(**msgspec.structs.asdict(profile.limits)),
        "policy": policy,
        "containment": containment,
        "mapped": sum(bind.source.stat().st_size for bind in job.files),
        "output_limit": job.output_limit,
        "sinkhole": profile.recording.sinkhole,
    }


def of_host(
    profile: Profile,
    policy: Policy,
    containment: Containment,
    job: Job,
    *,
    kind: str,
    place: str = "",
    newest_landlock: int = landlock.NEWEST,
    warm: bool = False,
) -> HostOrder:
    """The order of a room that is built from this host's files, but for its descriptors. kind: of room,
    as the profile's tables name it; warm: the job's modules are shown by the room already. Raises
    OSError."""
    if job.program is not None and job.shown is not None and kind == "native":
        return _of_program(
            profile, policy, containment, job, job.program, job.shown, newest_landlock
        )
    from safe_load.sandbox import runtime  # noqa: PLC0415 - slow, and a program's room has no need of it

    parts = runtime.find(job.distributions)
    models = tuple(File(str(bind.source), bind.target, bind.identity) for bind in job.files)
    modules = [File(str(path), f"{runtime.MODULES}/{path.name}") for path in job.modules]
    libraries = [File(source, target) for source, target in parts.files]
    files = (*models, *modules, *libraries)
    folders = folders_of(job)
    sources = [
        *(file.source for file in files),
        *(source for source, _ in parts.folders),
        *map(str, job.alike),
    ]
    return HostOrder(
        **common(profile, policy, containment, job),
        walls=profile.demanded(kind),
        landlock=newest_landlock,
        files=models if warm else files,
        folders=parts.folders,
        covered=parts.covered,
        empty=(runtime.SITE, runtime.MODULES, *folders),
        links=parts.links,
        quiet=tuple(f"{path}/" for path in (*parts.roots, *folders, "/dev/null", "/dev/urandom")),
        readable=(*parts.roots, *folders, "/sys", *(target for _, target in parts.files)),
        sys_path=parts.python_path,
        package=runtime.PACKAGE,
        separate_user=all(readable_by_all(source) for source in sources),
        place=place,
    )


def _of_program(
    profile: Profile,
    policy: Policy,
    containment: Containment,
    job: Job,
    program: Program,
    shown: Shown,
    newest_landlock: int,
) -> HostOrder:
    """The order of a room that runs a program: nothing of this Python is in it, but what it is shown."""
    targets = tuple(target for _, target in (*shown.folders, *shown.files))
    # Where the caller grants a folder to write to, the program keeps the caller's user, or it could not.
    separate = not program.writable and all(
        readable_by_all(source) for source, _ in (*shown.folders, *shown.files)
    )
    return HostOrder(
        **common(profile, policy, containment, replace(job, program=None)),
        program=program,
        walls=profile.demanded("native"),
        landlock=newest_landlock,
        files=tuple(File(source, target) for source, target in shown.files),
        folders=shown.folders,
        covered=(),
        empty=(),
        links=dict(shown.links),
        quiet=(*(f"{path}/" for path in targets), "/dev/null/", "/dev/urandom/"),
        readable=(*targets, "/sys"),
        sys_path=(),
        package="",
        separate_user=separate,
    )


def folders_of(job: Job) -> tuple[str, ...]:
    """The folders inside that hold the job's files."""
    return tuple(sorted({str(Path(bind.target).parent) for bind in job.files}))


def readable_by_all(path: str) -> bool:
    """Whether any user may read it. Raises OSError where it is not there."""
    mode = Path(path).stat().st_mode
    return mode & 0o005 == 0o005 if Path(path).is_dir() else bool(mode & 0o004)
