"""A load opens the weights that stock code would open, and leaves those of another form alone."""

from __future__ import annotations

import json
import pickle
from typing import TYPE_CHECKING, Any

import pytest
import safe_load
import torch
from safe_load.loading import pipeline
from safetensors.torch import load_file, save_file

if TYPE_CHECKING:
    from pathlib import Path

    from safe_load.core.report import Report
    from safe_load.sandbox.backends.interface import Backend

STATE = {"w": torch.arange(4.0)}
OTHER = {"w": torch.arange(4.0) + 1}


class Unknown:
    """A class that nobody modelled, made by a call."""

    def __init__(self, *_: object) -> None:
        pass

    def __reduce__(self) -> tuple[Any, ...]:
        return Unknown, ("a", "b")


class Runs:
    """What is proven hostile by its bytes alone: it is never unpickled here."""

    def __reduce__(self) -> tuple[Any, ...]:
        import os

        return os.system, ("exit 3",)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Weights in safetensors, and others in a pickle."""
    source = tmp_path / "source"
    source.mkdir()
    save_file(STATE, source / "model.safetensors")
    torch.save(OTHER, source / "pytorch_model.bin")
    torch.save({"lr": 0.1}, source / "training_args.bin")
    return source


def state_of(report: Report, path: str) -> str:
    (found,) = [file.state for file in report.files if file.path == path]
    return found


def ids(report: Report) -> set[tuple[str, str]]:
    return {(found.id, found.location.partition(":")[0]) for found in report.findings}


def test_the_other_form_is_left_out_and_told(
    folder: Path, tmp_path: Path, warm_room: Backend
) -> None:
    report = pipeline.load(str(folder), tmp_path / "out", backend=warm_room)
    assert (report.outcome, report.verdict) == ("ok", "clean")
    assert torch.equal(load_file(tmp_path / "out" / "model.safetensors")["w"], STATE["w"])
    assert state_of(report, "model.safetensors") == "opened"
    assert state_of(report, "pytorch_model.bin") == "left_out"
    assert "pytorch_model.bin is left out: other weights of this folder come first" in report.notes


def test_the_form_that_is_asked_for_is_the_one_that_is_opened(
    folder: Path, tmp_path: Path, warm_room: Backend
) -> None:
    options = safe_load.Options(use_safetensors=False)
    report = pipeline.load(str(folder), tmp_path / "out", options, backend=warm_room)
    assert torch.equal(load_file(tmp_path / "out" / "model.safetensors")["w"], OTHER["w"])
    assert state_of(report, "model.safetensors") == "left_out"


def test_a_doubt_about_what_is_left_out_rejects_a_scan_and_no_load(
    folder: Path, tmp_path: Path, warm_room: Backend
) -> None:
    torch.save(OTHER | {"x": Unknown("a", "b")}, folder / "pytorch_model.bin")
    scanned = pipeline.scan(str(folder), backend=warm_room)
    assert ("SL501", "pytorch_model.bin") in ids(scanned)
    assert scanned.outcome == "rejected"
    assert state_of(scanned, "pytorch_model.bin") == "opened"
    loaded = pipeline.load(str(folder), tmp_path / "out", backend=warm_room)
    assert (loaded.outcome, loaded.verdict) == ("ok", "clean"), loaded.outcome_detail


def test_what_is_proven_hostile_rejects_a_load_although_it_is_left_out(
    folder: Path, tmp_path: Path, warm_room: Backend
) -> None:
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"w": Runs()}))
    loaded = pipeline.load(str(folder), tmp_path / "out", backend=warm_room)
    assert (loaded.outcome, loaded.verdict) == ("rejected", "malicious")
    assert not (tmp_path / "out").exists()
    assert loaded.processes == []  # its bytes alone say so


def sharded(folder: Path, weight_map: dict[str, str]) -> None:
    """Two shards, of "a" and "b", and an index that says so or otherwise."""
    for number, name in enumerate("ab", 1):
        torch.save({name: STATE["w"]}, folder / f"pytorch_model-{number:05}-of-00002.bin")
    index = {"metadata": {}, "weight_map": weight_map}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))


def test_an_index_that_contradicts_its_shards_is_told(tmp_path: Path, warm_room: Backend) -> None:
    one, two = (f"pytorch_model-{number:05}-of-00002.bin" for number in (1, 2))
    old = "pytorch_model-00001-of-00004.bin"
    (tmp_path / "source").mkdir()
    told = {
        "swapped": ({"a": two, "b": one}, "ok", ""),
        "of tensors that are not there": ({"a": one, "b": two, "c": two}, "ok", "names 1 tensors that its shards do not hold: c"),
        "stale": ({"a": old, "b": old}, "ok", f"names the shard {old}, which is missing"),
        "of another model": ({"a": old, "c": old}, "not_loadable", "lack 1 of its tensors (c): download"),
    }  # fmt: skip
    for case, (table, outcome, words) in told.items():
        sharded(tmp_path / "source", table)
        target = tmp_path / case
        report = pipeline.load(str(tmp_path / "source"), target, backend=warm_room)
        assert report.outcome == outcome, (case, report.outcome_detail)
        assert words in "\n".join([*report.notes, report.outcome_detail or ""]), case
        if outcome == "ok":
            index = json.loads((target / "model.safetensors.index.json").read_text())
            held = {
                name: load_file(target / file)[name] for name, file in index["weight_map"].items()
            }
            assert sorted(held) == ["a", "b"]
        else:
            assert not target.exists()
