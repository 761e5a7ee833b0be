"""Packages that the caller's own Python must have, and what to say where it does not."""

from __future__ import annotations

import shlex
import sys
from importlib import import_module
from typing import TYPE_CHECKING

from safe_load.core.errors import UsageError

if TYPE_CHECKING:
    from types import ModuleType


#: What brings the packages that models are loaded with.
MODELS = "safe-load[models]"


def need(package: str, brought_by: str = MODELS) -> ModuleType:
    """The imported package.

    Args:
        package: Its name.
        brought_by: What pip has to install for it.

    Raises:
        UsageError: This Python does not have it. The sentence names the Python and the command that helps.
    """
    try:
        return import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise UsageError(
            f"this Python ({sys.executable}) does not have {package}; install it with {install(brought_by)}"
        ) from error


def install(what: str = MODELS) -> str:
    """The command that installs what models are loaded with into this Python, and what to do after it."""
    quoted = f"'{what}'" if "[" in what else shlex.quote(what)
    command = f"{shlex.quote(sys.executable)} -m pip install {quoted}"
    if "ipykernel" not in sys.modules:
        return command
    return f"{command} and restart the kernel, or choose the kernel of a Python that has it"
