"""What a room recorded, as the report has it. Zone: controller."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safe_load.core.report import Egress, Event

if TYPE_CHECKING:
    from safe_load.sandbox.backends.interface import Conversation
    from safe_load.sandbox.backends.interface import Event as RoomEvent


def event_of(raw: RoomEvent, started: float) -> Event:
    """A room's event as the report has it."""
    return Event(
        t=_since(started, raw.t),
        stage=raw.stage,
        pid=raw.pid,
        ppid=raw.ppid,
        comm=raw.comm,
        syscall=raw.syscall,
        args=raw.args,
        decision=raw.decision,
        errno=raw.errno,
        count=raw.count,
    )


def egress_of(said: Conversation, started: float) -> Egress:
    """What a sinkhole was told, as the report has it."""
    return Egress(
        t=_since(started, said.t),
        protocol=said.protocol,
        address=said.address,
        port=said.port,
        domain=said.domain,
        payload_preview=said.preview,
        payload_bytes=said.size,
    )


def _since(started: float, t: float) -> float:
    return round(max(0.0, t - started), 6)
