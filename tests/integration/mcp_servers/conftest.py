"""The official client waits for servers as long as a busy machine needs."""

from __future__ import annotations

import pytest
from mcp.client import stdio


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client kills what has not ended two seconds after its input closed; a busy machine takes longer."""
    monkeypatch.setattr(stdio, "PROCESS_TERMINATION_TIMEOUT", 30.0)
