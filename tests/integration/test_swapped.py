"""Whoever puts another file in a file's place while a container is built does not get it judged, or
written to, in its name.

An engine resolves the paths of bound files itself, later than the controller has looked at them: here
the file is another one for exactly as long as the engine starts the container.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("torch")

import torch
from safe_load.core.options import Options
from safe_load.core.version import version
from safe_load.loading import pipeline
from safe_load.sandbox.backends.docker.engine import Engine, EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from safe_load.sandbox.backends.docker.engine import Container

IMAGE = os.environ.get("SAFE_LOAD_IMAGE") or f"safe-load:{version()}"


@pytest.fixture(params=["runc", "runsc"])
def options(request: pytest.FixtureRequest) -> Options:
    try:
        engine = Engine()
        engine.image(IMAGE, version())
        engine.runtime(request.param)
    except EngineError as error:
        pytest.skip(str(error))
    return Options(backend="docker", image=IMAGE, runtime=request.param)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "pytorch_model.bin"
    torch.save({"weight": torch.zeros(8)}, path)
    torch.save({"weight": torch.ones(8)}, tmp_path / "other.bin")
    return path


@contextmanager
def _exchanged(path: Path, other: Path) -> Iterator[None]:
    """What lies at `path` is another file while the block runs."""
    aside = path.with_suffix(".aside")
    path.rename(aside)
    other.rename(path)
    try:
        yield
    finally:
        path.rename(other)
        aside.rename(path)


def _exchange_at_start(
    monkeypatch: pytest.MonkeyPatch, find: Callable[[], Path | None], other: Path
) -> list[Path]:
    """Exchange what `find` finds whenever a container is started. Returns what was exchanged."""
    start, exchanged = Engine.start, []
    one_after_the_other = Lock()

    def wrapped(self: Engine, container: Container) -> None:
        with one_after_the_other:
            path = find()
            if path is None:
                return start(self, container)
            exchanged.append(path)
            with _exchanged(path, other):
                return start(self, container)

    monkeypatch.setattr(Engine, "start", wrapped)
    return exchanged


def test_another_file_is_not_judged_in_a_files_name(
    options: Options, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exchanged = _exchange_at_start(monkeypatch, lambda: model, model.with_name("other.bin"))
    report = pipeline.scan(str(model), options)
    assert set(exchanged) == {model}
    assert report.outcome == "sandbox_error"
    assert report.outcome_detail is not None
    assert (
        "was replaced" in report.outcome_detail
        or "not the file that it was" in report.outcome_detail
    )


def test_another_file_is_not_written_to_in_an_outputs_name(
    options: Options, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    precious = tmp_path / "precious"
    precious.write_text("not yours")
    precious.chmod(0o666)  # whoever the container's user is, the kernel would let it

    def output() -> Path | None:
        return next((path for path in out.rglob("*.safetensors") if path.is_file()), None)

    exchanged = _exchange_at_start(monkeypatch, output, precious)
    report = pipeline.load(str(model), out / "cleared", options)
    assert exchanged
    assert report.outcome == "sandbox_error"
    assert precious.read_text() == "not yours"
    assert not (out / "cleared").exists()
