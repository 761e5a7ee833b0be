"""Class: chain. A loader of YAML, named as an argument, takes tags for calls."""

from pathlib import Path

from tests.adversarial.craft import call, checkpoint, code, name

EXPECT = {"finding": "SL501", "severity": "high", "detail": "yaml.load"}


def make(folder: Path) -> Path:
    return checkpoint(
        folder,
        call(
            "yaml:load", f'!!python/object/apply:eval ["{code(folder)}"]', name("yaml:UnsafeLoader")
        ),
    )
