"""Class: theft. The Hugging Face token."""

from pathlib import Path

from tests.adversarial.craft import checkpoint, run

EXPECT = {"path": "/home/ubuntu/.cache/huggingface/token", "finding": "SL301"}


def make(folder: Path) -> Path:
    return checkpoint(
        folder, run("import os; open(os.path.expanduser('~/.cache/huggingface/token')).read()")
    )
