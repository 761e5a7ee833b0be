"""Backends by name: ours, and those that other packages bring by entry point.

Zone: controller. A package brings one with an entry point of the group `safe_load.backends`: the name
is what `--backend` takes, the object a function that takes a Request and returns a Backend. A name of
ours always means ours. tests/conformance proves a backend, whoever made it.
"""

from __future__ import annotations

import platform
from importlib import import_module, metadata
from typing import TYPE_CHECKING, cast

from safe_load.sandbox.backends.interface import Backend, BackendError

if TYPE_CHECKING:
    from safe_load.sandbox.backends.request import Request

GROUP = "safe_load.backends"


#: Where each of ours is: imported only when it is asked for.
_OURS = {
    "native": "safe_load.sandbox.backends.native:make",
    "docker": "safe_load.sandbox.backends.docker:make",
}


def names() -> tuple[str, ...]:
    """The names that `make` knows, ours first."""
    others = {each.name for each in metadata.entry_points(group=GROUP)}
    return (*_OURS, *sorted(others - _OURS.keys()))


def default() -> str:
    """The name that stands for "auto" on this system."""
    return "native" if platform.system() == "Linux" else "docker"


def make(name: str, request: Request) -> Backend:
    """The backend of that name.

    Raises:
        BackendError: there is none of that name, or it cannot be made. One sentence.
    """
    if name in _OURS:
        module, _, function = _OURS[name].partition(":")
        return cast("Backend", getattr(import_module(module), function)(request))
    found = next(iter(metadata.entry_points(group=GROUP, name=name)), None)
    if found is None:
        raise BackendError(f"there is no backend {name!r}: choose one of {', '.join(names())}")
    try:
        backend = found.load()(request)
    except BackendError:
        raise
    except Exception as error:
        raise BackendError(
            f"the backend {name} of {found.value} cannot be made: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(backend, Backend):
        raise BackendError(
            f"the backend {name} of {found.value} is a {type(backend).__name__}, not a Backend"
        )
    return backend
