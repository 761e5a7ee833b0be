"""What a coroutine does with a gateway."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from safe_load.gateway import service as module

from tests.unit.gateway.answering import Gateway

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`run(what, text)`: what a coroutine does with a gateway of that configuration."""

    def go(what: Callable[[Gateway], Awaitable[None]], text: str = "[limits]\nwait = 5\n") -> None:
        async def main() -> None:
            gateway = Gateway(tmp_path, text)
            monkeypatch.setattr(module, "commit_of", gateway.resolve)
            try:
                await what(gateway)
            finally:
                await gateway.service.close()
                gateway.store.__exit__()

        asyncio.run(asyncio.wait_for(main(), 30))

    return go
