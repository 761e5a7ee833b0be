"""libseccomp, as pyseccomp binds it: the compiler of filters. Used by the controller alone."""

from __future__ import annotations

import ctypes.util
from importlib import import_module
from typing import Any

_LIBRARIES = {"seccomp": "libseccomp.so.2"}


def load() -> Any:
    """The module pyseccomp. Raises ImportError, OSError where the library is missing.

    It would ask ldconfig, a compiler and a linker where its library is: programs that a small
    container has not, and that nobody needs. The dynamic loader knows by the name alone."""
    usual: Any = ctypes.util.find_library
    ctypes.util.find_library = _LIBRARIES.get  # type: ignore[assignment]
    try:
        return import_module("pyseccomp")
    finally:
        ctypes.util.find_library = usual
