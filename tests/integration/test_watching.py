"""Progress of the Python API: shown to whom is there, and to nobody else."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from pathlib import Path

_CODE = """
import sys, threading, safe_load
calls = [threading.Thread(target=safe_load.clear, args=(name,)) for name in sys.argv[1:]]
for call in calls: call.start()
for call in calls: call.join()
safe_load.clear(sys.argv[1])
"""


def _run(home: Path, *names: str, environment: dict[str, str] | None = None) -> tuple[str, str]:
    """What a program printed to stdout, and to a terminal that is its stderr."""
    ours, theirs = pty.openpty()
    done = subprocess.Popen(
        [sys.executable, "-I", "-c", _CODE, *names],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=theirs,
        env={**os.environ, "SAFE_LOAD_HOME": str(home), "TERM": "xterm", **(environment or {})},
    )  # fmt: skip
    os.close(theirs)
    said = b""
    while True:
        try:
            chunk = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        said += chunk
        if not chunk:
            break
    os.close(ours)
    out, _ = done.communicate(timeout=120)
    assert done.returncode == 0, said
    return out.decode(), said.decode()


def test_a_terminal_shows_a_line_and_the_cache_needs_none(tmp_path: Path) -> None:
    for name in ("one", "two"):
        torch.save({"w": torch.ones(3), name: torch.zeros(1)}, tmp_path / f"{name}.pt")
    names = [str(tmp_path / "one.pt"), str(tmp_path / "two.pt")]
    out, said = _run(tmp_path / "home", *names)
    assert out == ""
    assert "opening the model inside the sandbox" in said
    assert "Traceback" not in said
    assert _run(tmp_path / "home", names[0]) == ("", "")  # it is in the cache now
    quiet = _run(tmp_path / "other", names[0], environment={"SAFE_LOAD_QUIET": "1"})
    assert quiet == ("", "")
