"""The interpreter of a room that is built here: started with nothing of the caller's, and told later what to be.

Zone: controller. Imports little: a command that needs a room starts it first, and imports the rest meanwhile.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress

# The room's interpreter imports nothing but the standard library and these two folders of ours;
# safe_load itself stays an empty shell in there.
BOOTSTRAP = """
import sys, types
for name, path in (("safe_load", []), ("safe_load.sandbox", [sys.argv[1]])):
    module = types.ModuleType(name)
    module.__path__ = path
    sys.modules[name] = module
import importlib
module = importlib.import_module("safe_load.sandbox.room." + sys.argv[2])
sys.exit(module.main(int(sys.argv[3])))
"""
_FOLDER = os.path.dirname(os.path.realpath(__file__))  # noqa: PTH120 - pathlib is not worth its import here


def start(
    entry: str, argument: int, descriptors: tuple[int, ...], output: int
) -> subprocess.Popen[bytes]:
    """Start a module of safe_load.sandbox.room, with one descriptor as its argument, in an
    interpreter that has nothing but these descriptors. Raises OSError."""
    options = ("-I", "-S", "-B", "-X", "utf8")
    return subprocess.Popen(
        [sys.executable, *options, "-c", BOOTSTRAP, _FOLDER, entry, str(argument)],
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=output,
        pass_fds=descriptors,
        env={},
        cwd="/",
    )


def end(process: subprocess.Popen[bytes]) -> None:
    """Let go of a room. Returns when everything is dead."""
    let_go(process)
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()  # the supervisor dies with the launcher, and everything with the supervisor
        process.wait()


def let_go(process: subprocess.Popen[bytes]) -> None:
    """A room's lifeline is the standard input of its first process."""
    if process.stdin is not None:
        with suppress(BrokenPipeError):
            process.stdin.close()


def pipes() -> tuple[dict[str, int], dict[str, int]]:
    """What a room tells through: our ends and the far ends, by name."""
    near, far = {}, {}
    for name in ("events", "result", "output"):
        near[name], far[name] = os.pipe()
    return near, far


class Early:
    """An interpreter that starts while its order is still being made. `drop` it at the end, used or not."""

    def __init__(self, entry: str, passed: tuple[int, ...]) -> None:
        """passed: the descriptors that its job will name. Raises OSError."""
        self.entry = entry
        self.passed = frozenset(passed)
        self.near, self.far = pipes()
        self._taken = False
        try:
            descriptors = (*self.far.values(), *passed)
            self.process = start(entry, self.far["events"], descriptors, self.far["output"])
        except BaseException:
            self._close()
            raise

    def take(self, entry: str, needed: tuple[int, ...]) -> bool:
        """Whether it becomes the room of a job that needs these descriptors. Pipes and process are the room's then."""
        if self._taken or entry != self.entry or not self.passed.issuperset(needed):
            return False
        self._taken = True
        return True

    def drop(self) -> None:
        """End it, unless it became a room."""
        if not self._taken:
            self._taken = True
            self._close()
            end(self.process)

    def _close(self) -> None:
        for descriptor in (*self.near.values(), *self.far.values()):
            os.close(descriptor)
