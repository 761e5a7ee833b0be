"""Depth static: files are read as data in a room, nothing is loaded, and torch is not needed."""

from __future__ import annotations

import json
import os
import pickle
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from safe_load.core.options import Options
from safe_load.export.verify import verify
from safe_load.loading import pipeline
from safe_load.render import story
from safe_load.rooms import choice
from safe_load.sandbox import runtime
from safetensors.numpy import save_file

if TYPE_CHECKING:
    from pathlib import Path


class Payload:
    """Touches a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> object:
        return os.system, (f"touch {self.target}",)


STATIC = Options(depth="static")


@pytest.fixture
def without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """This Python has none of the packages that loading needs."""
    find = runtime.find

    def none_of_them(names: tuple[str, ...]) -> runtime.Runtime:
        found = find(tuple(name for name in names if name == "jinja2"))
        return replace(found, missing=tuple(name for name in names if name != "jinja2"))

    monkeypatch.setattr(runtime, "find", none_of_them)


@pytest.mark.usefixtures("without_torch")
def test_a_folder_is_judged_without_torch_and_the_report_says_that_nothing_was_run(
    tmp_path: Path,
) -> None:
    (tmp_path / "config.json").write_text(
        json.dumps({"model_type": "bert", "auto_map": {"AutoModel": "x.M"}})
    )
    save_file({"w": np.ones((2, 2), "f4")}, tmp_path / "model.safetensors")
    report = pipeline.scan(str(tmp_path), STATIC)
    assert {found.id for found in report.findings} == {"SL503"}
    assert report.sandbox.tier is not None
    assert report.sandbox.walls
    assert "nothing was run" in story.headline(report).word
    assert "nothing was run" in report.notes[0]
    assert [stage.name for stage in report.stages if stage.name == "detonate"] == []
    loading = pipeline.scan(str(tmp_path))
    assert loading.outcome == "sandbox_error"
    assert "torch" in (loading.outcome_detail or "")


def test_a_payload_is_told_and_not_run(tmp_path: Path) -> None:
    target = tmp_path / "seen"
    (tmp_path / "model.pkl").write_bytes(pickle.dumps({"a": Payload(target)}))
    report = pipeline.scan(str(tmp_path / "model.pkl"), STATIC)
    assert report.outcome == "rejected"
    assert {found.id for found in report.findings} == {"SL501"}
    assert report.processes == []
    assert not target.exists()


def test_a_cleared_copy_is_made_of_what_the_bytes_say_in_one_warm_room(tmp_path: Path) -> None:
    save_file({"w": np.ones((2, 2), "f4")}, tmp_path / "model.safetensors")
    with closing(choice.backend_of(STATIC, choice.profile_of(STATIC), warm=True)) as backend:
        assert (
            pipeline.scan(str(tmp_path / "model.safetensors"), STATIC, backend=backend).outcome
            == "ok"
        )
        done = pipeline.load(
            str(tmp_path / "model.safetensors"), tmp_path / "out", STATIC, backend=backend
        )
    assert done.outcome == "ok"
    assert verify(tmp_path / "out").ok
