"""Rooms in containers, cold and warm. Zone: controller."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from safe_load.sandbox.backends.interface import Backend
    from safe_load.sandbox.backends.request import Request


def make(request: Request) -> Backend:
    """As safe_load.sandbox.backends.registry. The image of this version is called as `make image` does."""
    image = request.image or f"safe-load:{request.version}"
    if request.warm is None:
        from safe_load.sandbox.backends.docker.backend import DockerBackend  # noqa: PLC0415

        return DockerBackend(
            request.profile, image=image, version=request.version, runtime=request.runtime
        )
    from safe_load.sandbox.backends.docker.warm import WarmDockerBackend  # noqa: PLC0415

    return WarmDockerBackend(
        request.profile,
        request.warm(False),
        image=image,
        version=request.version,
        runtime=request.runtime,
    )
