"""A drop-in of a library that is not installed says so; one that is gives its names out."""

from __future__ import annotations

import subprocess
import sys

import pytest
from safe_load import UsageError
from safe_load.dropin.stand_ins import Names


def test_a_library_that_is_not_there_is_named_with_the_way_to_install_it() -> None:
    names = Names("safe_load.nothing", "no_such_library_here", brought_by="no-such-library")
    with pytest.raises(
        UsageError, match=r"does not have no_such_library_here.* install no-such-library$"
    ):
        names.get("Anything")
    with pytest.raises(AttributeError, match=r"module 'safe_load.nothing' has no attribute"):
        names.get("__path__")


def test_importing_the_drop_in_for_peft_imports_no_library() -> None:
    code = (
        "import sys, safe_load.peft; print({'peft', 'torch', 'transformers'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
