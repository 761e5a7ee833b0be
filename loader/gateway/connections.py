"""Connections whose clients send no request: they are left, since each takes the place of one that does.

Zone: controller.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import asyncio

#: Seconds for a request to come, from the start of a connection or the end of the last answer.
PATIENCE = 30.0


class Protocol(H11Protocol):
    """uvicorn's, which waits for ever for the first byte, and from the first one on for the rest."""

    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """A client has come."""
        super().connection_made(transport)
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        """A client has gone."""
        if self._late is not None:
            self._late.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """An answer has gone out."""
        self._expect()
        super().on_response_complete()

    def _expect(self) -> None:
        if self._late is not None:
            self._late.cancel()
        self._late = self.loop.call_later(PATIENCE, self._leave)

    def _leave(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()
