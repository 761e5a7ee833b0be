"""Inspect an MCP server: start it in a room, with credentials that are fakes and without any, list what it
offers, and say what it did meanwhile.

Zone: controller. Two rooms are joined by two pipes: the server's, of the profile for tools, and the
client's, of the profile for models. The official client reads what the server says in there; the
controller sees the list when the client's room is dead, as it sees the result of any worker.
"""

from __future__ import annotations

import os
import re
import secrets
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from threading import Thread
from typing import TYPE_CHECKING, Any

import msgspec
from safe_load import profiles
from safe_load.core.errors import SandboxError
from safe_load.core.escape import visible
from safe_load.core.report import Report  # noqa: TC002 - msgspec reads them
from safe_load.judge.findings import finding
from safe_load.sandbox import runtime
from safe_load.sandbox.backends.interface import Job
from safe_load.sandbox.backends.native.backend import NativeBackend
from safe_load.tools import descriptions, reporting, running
from safe_load.worker import mcp_listing

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future

    from safe_load.core.report import Finding
    from safe_load.tools.configs import Server
    from safe_load.tools.descriptions import Definition
    from safe_load.tools.options import ToolOptions

_ENTRY = "safe_load.worker.mcp_listing:main"
_CLIENT_PROFILE = "strict-a"
DEADLINE_S = 20.0
#: What a server has left to end by itself once its client is gone.
_ENDING_S = 2.0
_KEPT = 64 << 10
_LARGEST_REPORT = 64 << 20
#: How variables that hold a credential are called.
_CREDENTIAL = re.compile(
    r"\b[A-Z][A-Z0-9_]{0,60}_?(?:API_?KEY|ACCESS_KEY|SECRET_KEY|KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?|PAT|DSN)\b"
)


@dataclass(frozen=True)
class Started:
    """One start of a server. listed: what the client's room returned; said: the end of its standard error."""

    ran: reporting.Ran
    listed: dict[str, Any]
    said: str
    definitions: list[Definition] = field(default_factory=list)


def inspect(
    server: Server, options: ToolOptions, *, deadline: float = DEADLINE_S
) -> tuple[Report, list[Definition], str]:
    """The report on one server, what it offers, and its instructions to the model.

    Args:
        server: Whose command is started.
        options: Rules and grants, as for `run`; the command is the server's.
        deadline: Seconds that it may take to answer and list.

    Raises:
        UsageError: The command is not there.
        SandboxError: This Python lacks the client.
    """
    if runtime.find(mcp_listing.DISTRIBUTIONS).missing:
        from safe_load.core.installed import install  # noqa: PLC0415

        raise SandboxError(f"the room of the client needs mcp: {install('safe-load[mcp]')}")
    options = replace(options, command=server.command)
    wanted = [name for name in server.asks_for if name not in options.env]
    planted = {name: f"sk-{secrets.token_hex(12)}" for name in wanted}
    bare_options = replace(options, decoys=False, log=None, quiet=True)
    with ThreadPoolExecutor(2) as together:
        servings = (
            _Serving(together, server, options, planted, deadline),
            _Serving(together, server, bare_options, {}, deadline),
        )
        try:
            listed = _list(servings, deadline)
        finally:
            for serving in servings:
                serving.end()
    given, bare = (
        _started(server, serving, found) for serving, found in zip(servings, listed, strict=True)
    )
    return (
        _report(server, options, given, bare),
        given.definitions,
        _text(given.listed, "instructions"),
    )


class _Serving:
    """A server in its room, at the far end of two pipes."""

    def __init__(
        self,
        together: ThreadPoolExecutor,
        server: Server,
        options: ToolOptions,
        planted: dict[str, str],
        deadline: float,
    ) -> None:
        asked, self.ask = os.pipe()
        self.answers, answer = os.pipe()
        complaints, complain = os.pipe()
        self.heard = bytearray()
        self._listener = Thread(target=_keep, args=(complaints, self.heard), daemon=True)
        self._listener.start()
        self._room = running.Room()

        def serve() -> reporting.Ran:
            try:
                return running.run(
                    replace(options, timeout=min(options.timeout or 1e9, 2 * deadline + 30)),
                    (asked, answer, complain),
                    here=server.folder or None,
                    planted=planted,
                    room=self._room,
                )
            finally:  # so that the client sees the end of what it says
                for descriptor in (asked, answer, complain):
                    os.close(descriptor)

        self.ran: Future[reporting.Ran] = together.submit(serve)

    def end(self) -> None:
        """Let it end by itself now that its client is gone, and end it where it does not."""
        os.close(self.ask)
        os.close(self.answers)
        with suppress(TimeoutError):
            self.ran.exception(_ENDING_S)
        while not self.ran.done():
            self._room.stop()
            with suppress(TimeoutError):
                self.ran.exception(0.1)
        self._listener.join(1.0)


def _list(servings: Sequence[_Serving], deadline: float) -> list[dict[str, Any]]:
    """What each of them offers, as the client in a room of its own read it. Raises SandboxError."""
    room = NativeBackend(profiles.load(_CLIENT_PROFILE)).run(
        Job(
            name="list",
            entry=_ENTRY,
            argument={"deadline": deadline},
            preload=mcp_listing.PRELOAD,
            distributions=mcp_listing.DISTRIBUTIONS,
            outputs=tuple(end for serving in servings for end in (serving.ask, serving.answers)),
        )
    )
    if room.status == "broken":
        raise SandboxError(f"the room of the client: {room.reason}")
    found = room.value.get("listed") if room.status == "ok" and room.value is not None else None
    if not isinstance(found, list) or len(found) != len(servings):
        problem = f"the client could not read what it says: {room.reason or 'it returned no list'}"
        return [{"problem": problem} for _ in servings]
    return [each if isinstance(each, dict) else {"problem": "no list"} for each in found]


def _started(server: Server, serving: _Serving, listed: dict[str, Any]) -> Started:
    said = bytes(serving.heard).decode("utf-8", "backslashreplace")
    offers = descriptions.definitions(server.name, listed.get("offers"))
    return Started(serving.ran.result(), listed, said, offers)


def _keep(descriptor: int, heard: bytearray) -> None:
    """The end of what comes down a pipe; closes it."""
    with suppress(OSError):
        while data := os.read(descriptor, _KEPT):
            heard += data
            del heard[:-_KEPT]
    os.close(descriptor)


def _report(server: Server, options: ToolOptions, given: Started, bare: Started) -> Report:
    """The report of the start with credentials, with what the list and the other start add."""
    told = given.ran.report
    found = [*told.findings]
    known = {(each.id, each.detail) for each in found}
    found += [
        msgspec.structs.replace(each, detail=f"{each.detail} (started without credentials)", evidence=[])
        for each in bare.ran.report.findings
        if (each.id, each.detail) not in known and each.severity != "low"
        and not any(each.id == other.id and each.location == other.location for other in found)
    ]  # fmt: skip
    found += descriptions.judge(
        given.definitions, {server.name: _text(given.listed, "instructions")}
    )
    found += _difference(server, given, bare)
    problem = _text(given.listed, "problem")
    notes = [each for each in told.notes if not each.startswith("The command exited")]
    asked = _asked_for(server, given, bare)
    notes += [f"{server.name} asks for the credential {name}" for name in asked]
    counts = {
        kind: sum(each.kind == kind for each in given.definitions)
        for kind in ("tool", "prompt", "resource", "template")
    }
    notes.append(
        f"{server.name} ({visible(_text(given.listed, 'name'), 80)} {visible(_text(given.listed, 'version'), 40)}) offers "
        + ", ".join(f"{count} {kind}{'s' * (count != 1)}" for kind, count in counts.items())
    )
    done = msgspec.structs.replace(
        told,
        source=msgspec.structs.replace(told.source, path=f"{server.name}: {told.source.path}"),
        offers=[each.offer() for each in given.definitions],
        notes=notes,
    )
    return conclude(done, found, options, problem)


def conclude(
    told: Report, findings: Sequence[Finding], options: ToolOptions, problem: str = ""
) -> Report:
    """The report with these findings, and the end that they and a problem of the list make. A server that was
    ended because its client was done has ended well."""
    profile = running.profile_of(options)
    outcome, detail = told.outcome, told.outcome_detail
    if outcome in ("rejected", "interrupted"):
        outcome, detail = "ok", None
    if problem:
        limit = "limit" in problem or "more than" in problem
        outcome, detail = ("limit_hit" if limit else "not_loadable"), visible(problem, 500)
        if told.outcome == "sandbox_error":
            outcome, detail = told.outcome, told.outcome_detail
    done = msgspec.structs.replace(told, outcome=outcome, outcome_detail=detail)
    return reporting.judged_by(done, findings, options.fail_on or profile.fail_on)


def _difference(server: Server, given: Started, bare: Started) -> list[Finding]:
    """How the list with credentials differs from the one without."""
    with_them = {(each.kind, each.name): each.digest for each in given.definitions}
    without = {(each.kind, each.name): each.digest for each in bare.definitions}
    if with_them == without or _text(bare.listed, "problem") or _text(given.listed, "problem"):
        return []
    names = sorted({name for (_, name), _ in with_them.items() ^ without.items()})
    shown = visible(", ".join(names), 200)
    return [
        finding(
            "SL904",
            f"{server.name} offers something else when it finds credentials: {shown}",
            server.name,
        )
    ]


def _asked_for(server: Server, given: Started, bare: Started) -> list[str]:
    """The names of credentials that its configuration gives it, or that it asks for on standard error."""
    complained = {*_CREDENTIAL.findall(bare.said), *_CREDENTIAL.findall(given.said)}
    return sorted({*server.asks_for, *complained})[:50]


def _text(listed: dict[str, Any], key: str) -> str:
    value = listed.get(key)
    return value if isinstance(value, str) else ""
