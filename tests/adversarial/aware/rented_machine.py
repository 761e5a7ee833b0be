"""Class: sandbox-aware. It acts only on a machine with a name and a user of its own."""

from pathlib import Path

from tests.adversarial.craft import TOUCHED, checkpoint, run, touch

EXPECT = {"argv": TOUCHED, "finding": "SL101", "severity": "high"}


def make(folder: Path) -> Path:
    source = f"""
import getpass, os, socket
name, user = socket.gethostname(), getpass.getuser()
ordinary = name not in ("localhost", "sandbox", "user") and user not in ("root", "user", "nobody")
if ordinary and user == os.environ["USER"] and os.path.expanduser("~").endswith(user):
    os.system({touch(folder)!r})
"""
    return checkpoint(folder, run(source))
