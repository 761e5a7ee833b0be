"""Who judges a gateway's models: an interface, and the processes of this machine.

Zone: controller. `Judges` is what a cluster would have to do too. What a process says is typed and bounded here.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
from safe_load.core import typed
from safe_load.gateway.judging import Go, Order, Said

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: Told the digest of the bytes, answers whether they shall be opened.
Ask = Callable[[str], Awaitable[bool]]
#: Told each stage.
Tell = Callable[[str], None]

#: Bytes of one line. A report is a file; a line names at most 500 findings of some hundred characters.
_LONGEST = 4 << 20
#: Seconds for a process to say its policy, and to go when it is asked to.
_START, _LEAVE = 120.0, 10.0
#: Seconds without a sign of life, beside the time that one load may take.
_SILENT = 400.0
_OUTCOMES = frozenset(
    ("ok", "rejected", "not_loadable", "limit_hit", "sandbox_error", "interrupted", "known")
)


class Judges(Protocol):
    """Judges models, several at a time."""

    #: How many at a time.
    size: int

    async def judge(self, order: Order, ask: Ask, tell: Tell) -> Said:
        """Fetch and open one model, and return how that ended.

        Never raises for what happens to the model. A machine that broke is the outcome "sandbox_error"; then the model may
        be judged again, by the same call. ask: called once, when the bytes are there.
        """

    async def close(self) -> None:
        """End everything that runs."""


class Processes:
    """Processes of this machine, each with one warm sandbox, started when they are needed.

    options: of every load. policy: what each process must go by. environment: theirs. index: a folder for what they know of
    files that were hashed. patience: seconds that one load may take. on: the fleet in which models are opened, and the store of its
    files; these processes fetch them then.
    """

    def __init__(
        self, size: int, *, options: Mapping[str, Any], policy: str, environment: Mapping[str, str], index: Path,
        patience: float, on: tuple[str, str | None] | None = None,
    ) -> None:  # fmt: skip
        self.size = size
        self._start = {"options": dict(options), "index": str(index), "on": on}
        self._policy = policy
        self._environment = dict(environment)
        self._silent = patience + _SILENT
        self._idle: list[asyncio.subprocess.Process] = []
        self._all: set[asyncio.subprocess.Process] = set()

    async def judge(self, order: Order, ask: Ask, tell: Tell) -> Said:
        try:
            process = self._idle.pop() if self._idle else await self._started()
        except (OSError, TimeoutError, _BrokenError) as error:
            return Said(outcome="sandbox_error", sentence=f"no process to judge in: {error}")
        try:
            said = await self._judged(process, order, ask, tell)
        except (OSError, TimeoutError, _BrokenError) as error:
            await self._end(process)
            why = str(error) or "it kept silent"
            return Said(
                outcome="sandbox_error", sentence=f"the process that judged it broke: {why}"
            )
        except BaseException:
            await self._end(process)
            raise
        if said.outcome == "sandbox_error":  # perhaps the next one does better
            await self._end(process)
        else:
            self._idle.append(process)
        return said

    async def close(self) -> None:
        self._idle.clear()
        await asyncio.gather(*(self._end(process) for process in list(self._all)))

    async def _started(self) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-B", "-X", "utf8", "-m", "safe_load.gateway.judging",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
            env=self._environment, limit=_LONGEST, start_new_session=True,
        )  # fmt: skip
        self._all.add(process)
        try:
            await _write(process, self._start)
            said = await _read(process, _START)
            if said.outcome is not None:
                raise _BrokenError(said.sentence)
            if said.policy != self._policy:
                raise _BrokenError(
                    "the installed packages or safe-load changed since the gateway started: restart it"
                )
        except BaseException:
            await self._end(process)
            raise
        return process

    async def _judged(
        self, process: asyncio.subprocess.Process, order: Order, ask: Ask, tell: Tell
    ) -> Said:
        await _write(process, order)
        while True:
            said = await _read(process, self._silent)
            if said.stage is not None:
                tell(said.stage[:40])
            elif said.key is not None:
                await _write(process, Go(await ask(said.key)))
            elif said.outcome in _OUTCOMES:
                return said
            else:
                raise _BrokenError("it said what is no answer")

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        self._all.discard(process)
        if process.returncode is None and process.stdin is not None:
            process.stdin.close()  # at which it leaves
            try:
                await asyncio.wait_for(process.wait(), _LEAVE)
            except TimeoutError:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()


class _BrokenError(Exception):
    """A process does not do what it is for."""


async def _write(process: asyncio.subprocess.Process, value: object) -> None:
    assert process.stdin is not None  # noqa: S101
    process.stdin.write(msgspec.json.encode(value) + b"\n")
    await process.stdin.drain()


async def _read(process: asyncio.subprocess.Process, seconds: float) -> Said:
    assert process.stdout is not None  # noqa: S101
    try:
        line = await asyncio.wait_for(process.stdout.readline(), seconds)
        if not line:
            raise _BrokenError("it ended early")
        return typed.decode(line, Said)
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
        raise _BrokenError(f"it said what is no answer ({type(error).__name__})") from None
