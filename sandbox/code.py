"""What code runs inside rooms, as one checksum: an image must hold the same code as its controller.

Zone: controller. images/build.py writes the checksum into an image's label `safe-load.code`; the
backend that runs the image compares. A version alone would not do: between two releases the code
changes every day.
"""

from __future__ import annotations

import functools
import hashlib
from importlib import util
from pathlib import Path

#: Every package of which a module is imported inside; and modules of a package that is not.
PACKAGES = ("safe_load.sandbox.kernel", "safe_load.sandbox.room", "safe_load.worker")
#: Modules, and the tables that they read.
_KINDS = ("*.py", "*.json", "*.toml")
_MODULES = ("codec", "containment", "private_folders", "program", "protocol")


@functools.cache
def checksum() -> str:
    """SHA-256, in hex, of the modules' and tables' names and bytes. Raises OSError, ModuleNotFoundError."""
    digest = hashlib.sha256()
    ours = folder_of("safe_load.sandbox")
    found = [("safe_load.sandbox", ours / f"{name}.py", f"{name}.py") for name in _MODULES]
    for package in PACKAGES:
        folder = folder_of(package)
        found += [
            (package, module, module.relative_to(folder).as_posix())
            for module in sorted(place for kind in _KINDS for place in folder.rglob(kind))
        ]
    for package, module, name in found:
        code = module.read_bytes()
        digest.update(f"{package}/{name} {len(code)}\n".encode())
        digest.update(code)
    return digest.hexdigest()


def folder_of(package: str) -> Path:
    """The real folder of a package of ours, also where an editable install shows links to it."""
    spec = util.find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"{package} is not installed")
    return Path(spec.origin).resolve().parent
