"""safe_load.clear and the cache behind it, with real rooms."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import safe_load
import torch
from safe_load.cache.entries import Cache
from safetensors.torch import load_file

if TYPE_CHECKING:
    from collections.abc import Iterator


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
    from safe_load.export.verify import verify

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


def test_tensors_are_mapped_from_the_kept_copy(tmp_path: Path, home: Path) -> None:
    weight = torch.arange(1 << 18, dtype=torch.float32)
    torch.save({"a": weight, "b": weight}, tmp_path / "model.pt")
    for _ in range(2):
        state = safe_load.load_file(tmp_path / "model.pt")
        assert state.keys() == {"a", "b"}
        assert torch.equal(state["a"], weight)
        assert state["a"].data_ptr() == state["b"].data_ptr()
        (entry,) = (home / "cleared").iterdir()
        assert f"{entry}/model.safetensors" in Path("/proc/self/maps").read_text()
        state["a"].zero_()  # what the caller does with them is not written to the copy
        del state


_CLEAR = """
import sys
from safe_load import api
from safe_load.core.options import Options
print("ready", flush=True)
print(api.cleared(sys.argv[1], Options(), refresh="refresh" in sys.argv).fresh, flush=True)
"""


def clearing(model: Path, *how: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _CLEAR, str(model), *how]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_of_several_processes_one_opens_the_model(model: Path) -> None:
    processes = [clearing(model) for _ in range(3)]
    said = [process.communicate(timeout=120)[0] for process in processes]
    assert sorted(said) == ["False\n", "False\n", "True\n"]


def test_a_load_killed_at_any_moment_is_made_again_by_the_next(
    session: safe_load.Session, model: Path, home: Path
) -> None:
    moments = random.Random(random.randrange(1 << 30))
    for _ in range(5):
        with clearing(model, "refresh") as process:
            time.sleep(moments.uniform(0, 3))
            process.kill()
        path = session.clear(model, verify=True)
        assert torch.equal(load_file(path / "model.safetensors")["w"], torch.arange(6.0))
    Cache(home).prune()
    assert [entry.name for entry in (home / "cleared").iterdir()] == [path.name]
