"""Class: chain. A loader object of YAML, and its method by getattr."""

from pathlib import Path

from tests.adversarial.craft import call, checkpoint, code

EXPECT = {"finding": "SL501", "severity": "high", "detail": "UnsafeLoader"}


def make(folder: Path) -> Path:
    return checkpoint(
        folder,
        call(
            call(
                "builtins:getattr",
                call("yaml:UnsafeLoader", f'!!python/object/apply:eval ["{code(folder)}"]'),
                "get_data",
            )
        ),
    )
