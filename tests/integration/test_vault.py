"""safe_load.clear and the vault behind it, with real rooms."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
import safe_load
import torch
from safetensors.torch import load_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SAFE_LOAD_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def session() -> Iterator[safe_load.Session]:
    with safe_load.Session() as session:
        yield session


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    torch.save({"w": torch.arange(6.0)}, folder / "pytorch_model.bin")
    return folder


def test_a_cleared_folder_holds_the_weights_and_verifies(model: Path) -> None:
    path = safe_load.clear(model)
    assert torch.equal(load_file(path / "model.safetensors")["w"], torch.arange(6.0))
    from safe_load.verify import verify

    assert verify(path).ok


def test_the_same_bytes_are_opened_once_wherever_they_lie(
    session: safe_load.Session, model: Path, tmp_path: Path
) -> None:
    seen: list[str] = []
    path = session.clear(model)
    shutil.copytree(model, tmp_path / "copy")
    again = session.clear(tmp_path / "copy", progress=lambda step: seen.append(step.stage))
    assert again == path
    assert set(seen) == {"inventory"}


def test_other_bytes_or_another_policy_are_opened_again(
    session: safe_load.Session, model: Path
) -> None:
    path = session.clear(model)
    assert safe_load.clear(model, fail_on="high") != path
    torch.save({"w": torch.arange(7.0)}, model / "pytorch_model.bin")
    assert session.clear(model) != path


def test_what_is_rejected_is_not_kept(session: safe_load.Session, model: Path, home: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            import os

            return os.system, ("true",)

    torch.save({"w": torch.ones(1), "x": Evil()}, model / "pytorch_model.bin")
    for _ in range(2):
        with pytest.raises(safe_load.Rejected) as caught:
            session.clear(model)
        assert caught.value.result is not None
        assert caught.value.result.verdict == "malicious"
    assert list((home / "cleared").iterdir()) == []
