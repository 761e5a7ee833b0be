"""One warm room and one cache for the drop-in's tests, and a hub on loopback."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import safe_load
import torch
import transformers as upstream
from safe_load import transformers as safe

from tests.integration import tiny
from tests.integration.fake_hub import FakeHub

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(scope="package")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[safe_load.Session]:
    """One warm room for all tests of this folder, and a cache of its own."""
    with pytest.MonkeyPatch.context() as patch, safe_load.Session() as opened:
        patch.setenv("SAFE_LOAD_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("HF_HUB_OFFLINE", "1")
        yield opened


@pytest.fixture
def both(session: safe_load.Session) -> Callable[[Callable[[Any], Any]], tuple[Any, Any]]:
    """What a call gives with the stock library, and what it gives with ours."""

    def run(call: Callable[[Any], Any]) -> tuple[Any, Any]:
        torch.manual_seed(0)  # for weights that are not in the file
        expected = call(upstream)
        torch.manual_seed(0)
        with safe_load.guard(session):
            return expected, call(safe)

    return run


@pytest.fixture(scope="package")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bert")
    tiny.save(folder, "bert", "bin")
    return folder


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A hub on loopback; huggingface_hub and its caches know of nothing else."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    with FakeHub() as opened:
        monkeypatch.setenv("HF_ENDPOINT", opened.url)
        yield opened
