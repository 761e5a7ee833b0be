"""Class: sandbox-aware. Silent code in a form that no reader of text sees through: a code object."""

import marshal
from pathlib import Path

from tests.adversarial.craft import call, checkpoint

EXPECT = {"finding": "SL501", "severity": "high", "detail": "calls types.FunctionType"}


def make(folder: Path) -> Path:
    code = compile("2 + 2", "x", "exec")
    return checkpoint(
        folder, call(call("types:FunctionType", call("marshal:loads", marshal.dumps(code)), {}))
    )
