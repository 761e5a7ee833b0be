"""Fails every test here in which something was executed, connected or imported."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.worker.hostile.streams import WATCHED, listen, unheard

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def nothing_is_called() -> Iterator[None]:
    """Fails the test when anything was executed, opened beside the model, connected or imported."""
    listen()
    unheard.update(dict.fromkeys(WATCHED))
    yield
    assert WATCHED - set(unheard) == set()
