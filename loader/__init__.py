"""safe-load: open a model nobody vouches for, in a sealed room, and get numbers back.

    import safe_load

    result = safe_load.scan("model-dir")               # what it is, and what it tried
    result = safe_load.load("model-dir", "cleared/")   # and a cleared copy; raises if rejected
    path = safe_load.clear("model-dir")                # the copy again, at once the second time
    state = safe_load.load_file("pytorch_model.bin")   # tensors, as safetensors gives them

What is named here is public; the rest of the package is not. Zones of trust: this folder is the
controller (`worker/` is not: see there), `safe_load.sandbox` holds the walls, `safe_load.profiles`
the policy. Importing this module imports nothing else: every name is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from safe_load.api import Result, clear, load, load_file, scan
    from safe_load.dropin.guarding import from_pretrained, guard
    from safe_load.errors import (
        LimitHit,
        NotLoadable,
        Rejected,
        SafeLoadError,
        SandboxError,
        UsageError,
    )
    from safe_load.report import Report
    from safe_load.session import Session

    __version__: str

__all__ = [
    "LimitHit",
    "NotLoadable",
    "Rejected",
    "Report",
    "Result",
    "SafeLoadError",
    "SandboxError",
    "Session",
    "UsageError",
    "__version__",
    "clear",
    "from_pretrained",
    "guard",
    "load",
    "load_file",
    "scan",
]

_HOMES = {
    "safe_load.api": ("Result", "clear", "load", "load_file", "scan"),
    "safe_load.errors": (
        "LimitHit",
        "NotLoadable",
        "Rejected",
        "SafeLoadError",
        "SandboxError",
        "UsageError",
    ),
    "safe_load.dropin.guarding": ("from_pretrained", "guard"),
    "safe_load.report": ("Report",),
    "safe_load.session": ("Session",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("safe_load.version").version()
    if name in _HOME_OF:
        return getattr(import_module(_HOME_OF[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
