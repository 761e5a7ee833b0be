"""Class: chain. A generator of YAML's runs when a list is made of it."""

from pathlib import Path

from tests.adversarial.craft import call, checkpoint, code

EXPECT = {"finding": "SL501", "severity": "high", "detail": "unsafe_load_all"}


def make(folder: Path) -> Path:
    return checkpoint(
        folder,
        call(
            "builtins:list",
            call("yaml:unsafe_load_all", f'!!python/object/apply:eval ["{code(folder)}"]'),
        ),
    )
