"""Class: chain. A tag of YAML is a call."""

from pathlib import Path

from tests.adversarial.craft import call, checkpoint, code

EXPECT = {"finding": "SL501", "severity": "high", "detail": "unsafe_load"}


def make(folder: Path) -> Path:
    return checkpoint(
        folder, call("yaml:unsafe_load", f'!!python/object/apply:eval ["{code(folder)}"]')
    )
