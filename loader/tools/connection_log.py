"""One line of JSON for each connection that a tool asked for, and one on stderr for each that was refused.

Zone: controller. What a tool chose (names, first bytes) is hostile text: JSON escapes it in the log, and
`visible` on the terminal.
"""

from __future__ import annotations

import json
import os
import sys
import time
from datetime import UTC, datetime
from threading import Lock
from typing import IO, TYPE_CHECKING, Any

from safe_load.core.errors import UsageError
from safe_load.core.escape import visible

if TYPE_CHECKING:
    from pathlib import Path

    from safe_load.sandbox.backends.interface import Conversation
    from safe_load.tools.relay import Connection

#: Lines on stderr for one run. The log and the report have the rest.
_MOST_TOLD = 50


class ConnectionLog:
    """Writes each connection when it has ended. path: None writes nothing; quiet: nothing on stderr."""

    def __init__(self, path: Path | None, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._lock = Lock()
        self._told: dict[str, int] = {}
        self._file: IO[str] | None = None
        self.passed: list[Connection] = []
        if path is not None:
            try:
                descriptor = os.open(
                    path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600
                )
            except OSError as error:
                raise UsageError(f"--log {path}: {error.strerror}") from error
            self._file = os.fdopen(descriptor, "w", encoding="utf-8")

    def passed_on(self, connection: Connection) -> None:
        """One that a rule allows: made, refused for what it said, or failed."""
        with self._lock:
            self.passed.append(connection)
        self._write(
            {
                "time": _stamp(connection.began),
                "pid": connection.pid,
                "process": connection.comm,
                "host": connection.host,
                "address": connection.address or None,
                "port": connection.port,
                "protocol": "tcp",
                "tls_name": connection.name or None,
                "bytes_sent": connection.sent,
                "bytes_received": connection.received,
                "decision": connection.decision,
                "rule": connection.rule or None,
                "reason": connection.why or None,
            }
        )
        if connection.decision != "allowed":
            self._say(
                f"{connection.decision}: {connection.comm or 'the tool'} -> {connection.host}:{connection.port}: "
                f"{connection.why}"
            )

    def stayed(self, conversation: Conversation) -> None:
        """One that no rule allows, or a look-up: the sinkhole took it."""
        looked_up = conversation.protocol == "dns"
        tls = conversation.protocol == "tls"
        self._write(
            {
                "time": _stamp(time.time() - (time.monotonic() - conversation.t)),
                "pid": conversation.pid,
                "process": conversation.comm,
                "host": conversation.domain,
                "address": conversation.address,
                "port": conversation.port,
                "protocol": "tcp" if tls else conversation.protocol,
                "tls_name": conversation.domain if tls else None,
                "bytes_sent": conversation.size,
                "bytes_received": 0,
                "decision": "answered inside" if looked_up else "refused",
                "rule": None,
                "reason": None if looked_up else "no --allow rule names it",
            }
        )
        if not looked_up:
            host = conversation.domain or conversation.address
            self._say(
                f"refused: {conversation.comm or 'the tool'} -> {host}:{conversation.port}: no --allow rule names it; "
                "nothing left the room"
            )

    def close(self) -> None:
        """Write what is buffered."""
        if self._file is not None:
            self._file.close()

    def _write(self, line: dict[str, Any]) -> None:
        with self._lock:
            if self._file is not None:
                self._file.write(json.dumps(line) + "\n")
                self._file.flush()

    def _say(self, sentence: str) -> None:
        """Each sentence once: a tool that tries again and again shall not fill a terminal."""
        with self._lock:
            known = sentence in self._told
            self._told[sentence] = self._told.get(sentence, 0) + 1
            if self._quiet or known or len(self._told) > _MOST_TOLD:
                return
        print(f"safe-load: {visible(sentence)}", file=sys.stderr, flush=True)


def _stamp(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")
