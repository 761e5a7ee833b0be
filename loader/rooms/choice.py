"""Which profile and which backend the options of a load mean, and what a warm room imports.

Zone: controller.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from safe_load import profiles
from safe_load.core.errors import SandboxError, UsageError
from safe_load.core.version import version
from safe_load.rooms import jobs, rewriting
from safe_load.sandbox.backends import registry
from safe_load.sandbox.backends.interface import BackendError
from safe_load.sandbox.backends.request import Request

if TYPE_CHECKING:
    from safe_load.core.options import Options
    from safe_load.profiles import Profile
    from safe_load.sandbox.backends.interface import Backend
    from safe_load.sandbox.backends.request import WarmSpec


def profile_of(options: Options) -> Profile:
    """The profile that the options name, with the limits they change. Raises UsageError."""
    profile = profiles.load(options.profile, unsafe=options.unsafe_profile)
    if "execve" in profile.recording.audited:
        raise UsageError(
            f"the profile {options.profile} lets programs run, so no model is opened by it: it is for "
            "`safe-load run` and `safe-load mcp`"
        )
    changed = {"timeout": options.timeout, "memory": options.memory}
    limits = msgspec.structs.replace(
        profile.limits, **{name: value for name, value in changed.items() if value is not None}
    )
    return msgspec.structs.replace(profile, limits=limits)


def backend_of(options: Options, profile: Profile, *, warm: bool = False) -> Backend:
    """The backend that the options ask for. warm: with a room that is kept for many loads. Raises
    SandboxError when this machine has none."""
    name: str = options.backend
    if name == "auto":
        contained = options.runtime or options.image
        name = "docker" if contained else registry.default()
    spec = _static_spec if options.depth == jobs.STATIC else _warm_spec
    request = Request(
        profile,
        version(),
        warm=spec if warm else None,
        image=options.image or "",
        runtime=options.runtime,
    )
    try:
        return registry.make(name, request)
    except BackendError as error:
        raise SandboxError(str(error)) from error


def default_image() -> str:
    """The image of this version, as `make image` calls it."""
    return f"safe-load:{version()}"


def _static_spec(borrowed: bool) -> WarmSpec:
    """For loads that only read: nothing of torch's."""
    from safe_load.sandbox.backends.request import WarmSpec  # noqa: PLC0415

    brought = jobs.third_party_formats().values() if borrowed else ()
    shown = (*rewriting.DISTRIBUTIONS, *jobs.LIBRARIES, *brought)
    return WarmSpec((jobs.EXTRACT,), (), shown, light=(jobs.EXTRACT, rewriting.ENTRY))


def _warm_spec(borrowed: bool) -> WarmSpec:
    """What loads of every kind want imported; borrowed: of this Python's packages, as far as they are
    installed. An image has them all."""
    from safe_load.sandbox import runtime  # noqa: PLC0415
    from safe_load.sandbox.backends.request import WarmSpec  # noqa: PLC0415
    from safe_load.worker.detonate.main import PRELOAD  # noqa: PLC0415

    everything = (*jobs.NEEDED["weights"], *jobs.NEEDED["model"])
    depth = "model"
    if borrowed:
        jobs.require_installed(jobs.NEEDED["weights"])
        if set(jobs.NEEDED["model"]) & set(runtime.find(everything).missing):
            depth = "weights"
    needed = everything if depth == "model" else jobs.NEEDED["weights"]
    entries = (jobs.DETONATE, jobs.CONVERT) if depth == "model" else (jobs.DETONATE,)
    brought = jobs.third_party_formats().values() if borrowed else ()
    return WarmSpec(
        entries,
        (*PRELOAD[depth], *(jobs.libraries() if borrowed else ())),
        (*needed, *jobs.WELCOME, *rewriting.DISTRIBUTIONS, *jobs.LIBRARIES, *brought),
        light=(jobs.EXTRACT, rewriting.ENTRY),
    )
