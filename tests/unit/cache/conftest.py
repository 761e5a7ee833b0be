"""A cache, a model and a loader for each test."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.unit.cache.copies import child
from tests.unit.keeping import Loader, make_model


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SAFE_LOAD_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("SAFE_LOAD_CACHE_SIZE", raising=False)
    return tmp_path / "cache"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return make_model(tmp_path / "model")


@pytest.fixture
def loader() -> Loader:
    return Loader()


@pytest.fixture
def three(tmp_path: Path) -> list[Path]:
    """Three entries that nobody uses, made one after the other."""
    models = [make_model(tmp_path / f"m{number}", number) for number in range(3)]
    paths = []
    with child(*models) as process:
        assert process.stdout is not None
        paths = [Path(line.split()[1]) for line in process.stdout]
    for age, path in enumerate(reversed(paths)):
        seal = path.parent.parent / "seals" / f"{path.name}.json"
        then = time.time() - 1000 * (age + 1)
        os.utime(seal, (then, then))
    return paths
