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

#: Every package of which a module is imported inside.
PACKAGES = ("safe_load.sandbox.kernel", "safe_load.sandbox.room", "safe_load.worker")


@functools.cache
def checksum() -> str:
    """SHA-256, in hex, of the modules' names and bytes. Raises OSError, ModuleNotFoundError."""
    digest = hashlib.sha256()
    for package in PACKAGES:
        for module in sorted(folder_of(package).glob("*.py")):
            code = module.read_bytes()
            digest.update(f"{package}/{module.name} {len(code)}\n".encode())
            digest.update(code)
    return digest.hexdigest()


def folder_of(package: str) -> Path:
    """The real folder of a package of ours, also where an editable install shows links to it."""
    spec = util.find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"{package} is not installed")
    return Path(spec.origin).resolve().parent
