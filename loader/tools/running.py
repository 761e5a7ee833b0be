"""One run of a tool: its room, its connections, what it did, and the report. `run` is the whole path.

Zone: controller.
"""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
from safe_load import profiles
from safe_load.core.errors import UsageError
from safe_load.rooms.decoys import Decoys, plant
from safe_load.sandbox.backends.interface import Job
from safe_load.sandbox.backends.native.backend import NativeBackend
from safe_load.sandbox.program import Program
from safe_load.sandbox.room.root import HOME, SCRATCH, USER
from safe_load.tools import finding_files
from safe_load.tools.connection_log import ConnectionLog
from safe_load.tools.options import PROFILE, ToolOptions
from safe_load.tools.relay import Relay

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from safe_load.profiles import Profile
    from safe_load.tools.ahead import Ahead
    from safe_load.tools.finding_files import Found
    from safe_load.tools.reporting import Ran

    #: Holds what passes signals on to the room, while it runs.
    Passing = Callable[[Callable[[int], None]], AbstractContextManager[None]]

#: Never taken from the caller: they say where things are, or load code.
_OWN_VARIABLES = frozenset("HOME PATH PWD TMPDIR USER LD_PRELOAD LD_LIBRARY_PATH LD_AUDIT".split())
_LARGEST_FILE = (
    1 << 40
)  # bytes: what a tool may write is bounded by its scratch folder and by what is granted


class Room:
    """Of a run that is under way: lets another thread end it."""

    def __init__(self) -> None:
        self.backend: NativeBackend | None = None

    def stop(self) -> None:
        """End the room, if it stands."""
        if self.backend is not None:
            self.backend.stop()


def run(
    options: ToolOptions,
    streams: tuple[int, int, int],
    *,
    environ: Mapping[str, str] | None = None,
    here: str | None = None,
    passing: Passing | None = None,
    planted: Mapping[str, str] | None = None,
    room: Room | None = None,
    begun: Ahead | None = None,
) -> Ran:
    """Run a command in a room of the profile for tools.

    Args:
        options: What the user asks for.
        streams: Descriptors for the command's standard streams.
        environ: The caller's variables; None: this process's.
        here: The caller's working directory; None: this process's.
        passing: Called with what sends a signal to the command; held while the room runs.
        planted: Variables with fake credentials, besides those of the profile.
        room: Is given what ends the run.
        begun: What was made ahead; `streams` are its own.

    Raises:
        UsageError: The command or what is granted is not there, or a file cannot be written.
    """
    began, at = time.monotonic(), datetime.now(UTC).isoformat(timespec="seconds")
    environ = dict(os.environ if environ is None else environ)
    profile = profile_of(options)
    found = finding_files.find(
        list(options.command),
        read=list(options.read),
        write=list(options.write),
        environ=environ,
        here=here or os.getcwd(),  # noqa: PTH109
    )
    decoys = plant(profile.decoys) if options.decoys else Decoys()
    for name, value in (planted or {}).items():
        decoys.environment[name] = value
        decoys.marks[value] = f"the credential {name}"
    log = ConnectionLog(options.log, quiet=options.quiet)
    relay = Relay(options.rules, log.passed_on, pair=begun.pair if begun else None)
    backend = NativeBackend(profile, early=begun.early if begun else None)
    if room is not None:
        room.backend = backend
    try:
        job = Job(
            name="run",
            entry="",
            argument={},
            outputs=streams,
            output_limit=_LARGEST_FILE,
            planted=decoys.files,
            program=_program(options, found, decoys, environ, relay.far.fileno()),
            shown=found.shown(),
            told=log.stayed,
        )
        relay.start()
        if passing is None:
            result = backend.run(job)
        else:
            with passing(relay.signal):
                result = backend.run(job)
    finally:
        relay.close()
        log.close()
    from safe_load.tools import reporting  # noqa: PLC0415 - the command waits for what is imported before it starts

    return reporting.ran(options, profile, result, found, decoys, log.passed, began, at)


def profile_of(options: ToolOptions) -> Profile:
    """The profile for tools, with the limits that the options change."""
    profile = profiles.load(PROFILE)
    changed = {"timeout": options.timeout, "memory": options.memory}
    limits = msgspec.structs.replace(
        profile.limits, **{name: value for name, value in changed.items() if value is not None}
    )
    return msgspec.structs.replace(profile, limits=limits)


def _program(
    options: ToolOptions, found: Found, decoys: Decoys, environ: Mapping[str, str], line: int
) -> Program:
    umask = os.umask(0o022)
    os.umask(umask)
    return Program(
        argv=tuple(found.argv),
        environment={
            **decoys.environment,
            "LANG": environ.get("LANG", "C.UTF-8"),
            **({"TERM": environ["TERM"]} if "TERM" in environ else {}),
            # Where caches go that would else be looked for in a home folder that is read-only.
            "XDG_CACHE_HOME": f"{SCRATCH}/.cache",
            "npm_config_cache": f"{SCRATCH}/.npm",
            "PYTHONDONTWRITEBYTECODE": "1",
            **_granted(options.env, environ),
            "HOME": HOME,
            "USER": USER,
            "TMPDIR": SCRATCH,
            "PATH": ":".join(found.path),
            "PWD": found.folder,
        },
        folder=found.folder,
        umask=umask,
        executable=tuple(dict.fromkeys(found.executable)),
        writable=tuple(dict.fromkeys(found.writable)),
        line=line,
        allowed=tuple((rule.host, rule.port) for rule in options.rules),
    )


def _granted(names: tuple[str, ...], environ: Mapping[str, str]) -> dict[str, str]:
    """The caller's variables that are granted. Raises UsageError."""
    granted = {}
    for name in names:
        if "=" in name:
            raise UsageError(
                f"--env {name.partition('=')[0]}=...: name the variable alone; its value is taken from the environment, "
                "where no list of processes shows it"
            )
        if name in _OWN_VARIABLES:
            raise UsageError(f"--env {name}: a room has its own")
        if name not in environ:
            raise UsageError(f"--env {name}: there is no such variable in the environment")
        granted[name] = environ[name]
    return granted
