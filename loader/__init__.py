"""safe-load: open a model in a sealed room, see what it tries to do, and get only numbers back.

    import safe_load

    result = safe_load.scan("model-dir")               # what the model holds, and what it tried
    result = safe_load.load("model-dir", "cleared/")   # also a cleared copy; raises if rejected
    path = safe_load.clear("model-dir")                # a cleared copy that is kept for next time
    state = safe_load.load_file("pytorch_model.bin")   # tensors, as safetensors gives them

The names in this module are public; the rest of the package is not. Zones of trust: this folder is the
controller (`worker/` is not: see there), `safe_load.sandbox` holds the walls, `safe_load.profiles`
the policy. Importing this module imports nothing else: every name is loaded when it is first used.
"""

from __future__ import annotations

# As `typing` has it. Nothing is imported here, so that a Ctrl-C finds the command's own answer as early as can be.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from safe_load.api import Result, Source, Target, clear, diff, load, load_file, probe, scan
    from safe_load.core.claims import Claim
    from safe_load.core.errors import (
        LimitHit,
        NotLoadable,
        Rejected,
        SafeLoadError,
        SandboxError,
        UsageError,
    )
    from safe_load.core.exceptions import Accepted
    from safe_load.core.options import Choice, Options, OptionsDict, Progress
    from safe_load.core.probe import Probing, Trigger
    from safe_load.core.report import Egress, FileInfo, Finding, Report, Severity, Verdict
    from safe_load.core.result import BaseResult
    from safe_load.core.weights import Difference, TensorChange, Weights
    from safe_load.dropin.by_name import from_pretrained
    from safe_load.dropin.guarding import guard
    from safe_load.probing.opening import Probed
    from safe_load.session import Session
    from safe_load.weights.opening import Comparison

    __version__: str

__all__ = [
    "Accepted",
    "BaseResult",
    "Choice",
    "Claim",
    "Comparison",
    "Difference",
    "Egress",
    "FileInfo",
    "Finding",
    "LimitHit",
    "NotLoadable",
    "Options",
    "OptionsDict",
    "Probed",
    "Probing",
    "Progress",
    "Rejected",
    "Report",
    "Result",
    "SafeLoadError",
    "SandboxError",
    "Session",
    "Severity",
    "Source",
    "Target",
    "TensorChange",
    "Trigger",
    "UsageError",
    "Verdict",
    "Weights",
    "__version__",
    "clear",
    "diff",
    "from_pretrained",
    "guard",
    "load",
    "load_file",
    "probe",
    "scan",
]

_HOMES = {
    "safe_load.api": (
        "Result",
        "Source",
        "Target",
        "clear",
        "diff",
        "load",
        "load_file",
        "probe",
        "scan",
    ),
    "safe_load.core.errors": (
        "LimitHit",
        "NotLoadable",
        "Rejected",
        "SafeLoadError",
        "SandboxError",
        "UsageError",
    ),
    "safe_load.core.claims": ("Claim",),
    "safe_load.core.exceptions": ("Accepted",),
    "safe_load.core.options": (
        "Choice",
        "Options",
        "OptionsDict",
        "Progress",
    ),
    "safe_load.core.report": (
        "Egress",
        "FileInfo",
        "Finding",
        "Report",
        "Severity",
        "Verdict",
    ),
    "safe_load.core.probe": ("Probing", "Trigger"),
    "safe_load.core.result": ("BaseResult",),
    "safe_load.core.weights": ("Difference", "TensorChange", "Weights"),
    "safe_load.dropin.by_name": ("from_pretrained",),
    "safe_load.dropin.guarding": ("guard",),
    "safe_load.probing.opening": ("Probed",),
    "safe_load.session": ("Session",),
    "safe_load.weights.opening": ("Comparison",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    from importlib import import_module  # noqa: PLC0415

    if name == "__version__":
        return import_module("safe_load.core.version").version()
    if name in _HOME_OF:
        return getattr(import_module(_HOME_OF[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
