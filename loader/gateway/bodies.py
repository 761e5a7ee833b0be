"""The bodies of requests, within bounds: of each, and of all that are on their way.

Zone: controller. Whoever sends one may send it slowly, and on as many connections as there may be.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from safe_load.gateway.refusal import Refusal

if TYPE_CHECKING:
    from starlette.requests import Request

#: Seconds for a body to come.
_PATIENCE = 30.0
#: Bytes of all bodies that are on their way. Beyond them, only small ones are read.
_MOST, _SMALL = 64 << 20, 16 << 10


class Bodies:
    """Reads them for one gateway."""

    def __init__(self) -> None:
        self._held = 0

    async def read(self, request: Request, most: int) -> bytes:
        """The body of a request. most: its bytes. Raises Refusal."""
        data = bytearray()
        try:
            async with asyncio.timeout(_PATIENCE):
                async for chunk in request.stream():
                    self._held += len(chunk)
                    data += chunk
                    if len(data) > most:
                        told = f"the body of the request is larger than {most >> 10} KiB"
                        raise Refusal(413, "", told)
                    if self._held > _MOST and len(data) > _SMALL:
                        raise Refusal(503, "", "the gateway reads too many requests at present", 5)
        except TimeoutError:
            raise Refusal(408, "", "the body of the request did not come in time") from None
        finally:
            self._held -= len(data)
        return bytes(data)
