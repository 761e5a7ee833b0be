"""Has the files of a project parsed by a child process, and takes its answers with bounds."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec
from safe_load.core import typed
from safe_load.core.errors import LimitHit, SandboxError, UsageError
from safe_load.register.rows import Read

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from safe_load.register.walk import File

#: Of the child: bytes of address space, seconds of processor time, seconds for one file, bytes of one answer.
MEMORY = 2 << 30
CPU = 300
ONE_FILE = 20.0
_LONGEST = 32 << 20
_MOST_DEATHS = 20
_NEEDED = (("yaml", "PyYAML"), ("packaging", "packaging"))


def read(files: Sequence[File], deadline: float) -> list[Read]:
    """What each file gave, in order. deadline: of time.monotonic().

    A file that ends its reader is not read, and says so. Raises LimitHit for the deadline, or where file after file
    ends its reader; UsageError where a library is missing.
    """
    _require()
    done: list[Read] = []
    deaths = 0
    while len(done) < len(files):
        with suppress(_Died):
            for answer in _some(files, len(done), deadline):
                done.append(answer)  # noqa: PERF402 (what came before the reader died stays)
            break
        dead = files[len(done)]
        if time.monotonic() > deadline:
            raise LimitHit(
                f"the time limit ended the register at {dead.path}: give it more with --timeout"
            )
        deaths += 1
        if deaths > _MOST_DEATHS:
            raise LimitHit(
                f"more than {_MOST_DEATHS} files ended their reader, the last {dead.path}: leave them out with --exclude"
            )
        problem = "parsing it took more time, memory or stack than the limit"
        done.append(Read(dead.path, problem=problem, limit=True))
    return done


def _require() -> None:
    from importlib.util import find_spec  # noqa: PLC0415

    lacking = [package for module, package in _NEEDED if find_spec(module) is None]
    if lacking:
        raise UsageError(
            f"the register needs {' and '.join(lacking)}: pip install 'safe-load[register]'"
        )


class _Died(Exception):
    """The reader ended, or took too long over one file."""


def _some(files: Sequence[File], start: int, deadline: float) -> Iterator[Read]:
    """Answers for the files from `start` on, until the reader ends. Raises _Died, SandboxError."""
    order = {
        "files": [(file.path, file.real, file.kind, file.most) for file in files[start:]],
        "python": {file.path: file.real for file in files if file.kind == "python"},
        "memory": MEMORY,
        "cpu": CPU,
    }
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", "safe_load.register.reader"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env={
            name: os.environ[name]
            for name in ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH")
            if name in os.environ
        },
    )
    try:
        assert child.stdin is not None and child.stdout is not None  # noqa: S101, PT018
        with suppress(BrokenPipeError):
            child.stdin.write(msgspec.json.encode(order))
            child.stdin.close()
        lines = _lines(child.stdout.fileno(), deadline)
        for number in range(len(files) - start):
            told = next(lines, None)
            if told is None:
                if number == 0 and child.wait() not in (0, -9, -11, -6, -24):
                    raise SandboxError("the process that reads the project did not start")
                raise _Died
            answer = next(lines, None)
            if told != b"%d" % number or answer is None:
                raise _Died
            try:
                read_ = typed.decode(answer, Read)
            except (msgspec.DecodeError, RecursionError):
                raise _Died from None
            if read_.path != files[start + number].path:
                raise _Died
            yield read_
    finally:
        child.kill()
        child.wait()
        if child.stdout is not None:
            child.stdout.close()


def _lines(descriptor: int, deadline: float) -> Iterator[bytes]:
    """Lines of the child. Ends where it ends, says too much or is silent for longer than ONE_FILE."""
    held = bytearray()
    while True:
        end = held.find(b"\n")
        if end >= 0:
            line = bytes(held[:end])
            del held[: end + 1]
            yield line
            continue
        left = min(ONE_FILE, deadline - time.monotonic())
        if left <= 0 or len(held) > _LONGEST or not select.select([descriptor], [], [], left)[0]:
            return
        data = os.read(descriptor, 1 << 20)
        if not data:
            return
        held += data
