"""Rooms from the kernel's own parts, cold and warm. Zone: controller."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

from safe_load.sandbox.backends.interface import BackendError

if TYPE_CHECKING:
    from safe_load.sandbox.backends.interface import Backend
    from safe_load.sandbox.backends.request import Request


def make(request: Request) -> Backend:
    """As safe_load.sandbox.backends.registry. Raises BackendError."""
    if platform.system() != "Linux":
        raise BackendError("the native backend needs Linux: use --backend docker")
    if request.warm is None:
        from safe_load.sandbox.backends.native.backend import NativeBackend  # noqa: PLC0415

        return NativeBackend(request.profile)
    from safe_load.sandbox.backends.native.warm import WarmBackend  # noqa: PLC0415

    return WarmBackend(request.profile, request.warm(True))
