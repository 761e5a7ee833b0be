"""A hub on loopback that has every fault, asked with the real client."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.integration.fake_hub import FakeHub

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home for huggingface_hub with nothing in it, whatever this machine has set."""
    for variable in [name for name in os.environ if name.startswith(("HF_", "HUGGING", "TRANSF"))]:
        monkeypatch.delenv(variable)
    home = tmp_path / "hf"
    monkeypatch.setenv("HF_HOME", str(home))
    return home


@pytest.fixture
def server(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    with FakeHub(page=4) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server
