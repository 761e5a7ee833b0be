"""Class: kernel. A program in memory, without a file, and execveat."""

from pathlib import Path

from tests.adversarial.craft import checkpoint, run

EXPECT = {"argv": ["trap"], "finding": "SL101"}


def make(folder: Path) -> Path:
    source = """
import os
try: fd = os.memfd_create('x')
except OSError: fd = os.open('/tmp/x', os.O_RDWR | os.O_CREAT, 0o700)
os.write(fd, b'#!/bin/sh')
os.execve(fd, ['trap'], {})
"""
    return checkpoint(folder, run(source))
