"""Class: write outside. A link in the scratch folder to a file outside, then a write through it."""

from pathlib import Path

from tests.adversarial.craft import checkpoint, run

EXPECT = {"path": "/home/ubuntu/.profile", "finding": "SL302", "severity": "medium"}


def make(folder: Path) -> Path:
    source = """
import os
os.symlink('/home/ubuntu', '/tmp/home')
os.chdir('/tmp/home')
open('.profile', 'w').write('x')
"""
    return checkpoint(folder, run(source))
