"""An unchanged source is answered by the record of an earlier run, and a changed one never."""

from __future__ import annotations

import os
import time
from contextlib import closing
from typing import TYPE_CHECKING

import msgspec
import pytest
from safe_load.cache import runs
from safe_load.core.errors import UsageError
from safe_load.core.options import Options
from safe_load.export.verify import verify
from safe_load.rooms import choice

from tests.unit.keeping import Loader, make_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from safe_load.core.report import Report


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SAFE_LOAD_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Old enough for its times to be believed."""
    made = make_model(tmp_path / "model")
    time.sleep(0.15)
    return made


def run(
    source: Path, target: Path, *, changes: Callable[[], object] | None = None, **how: object
) -> tuple[Report, bool]:
    """What came of a load, and whether the source was opened. changes: called while it is."""
    options = Options(**how)  # type: ignore[arg-type]
    with closing(choice.backend_of(options, choice.profile_of(options))) as backend:
        begun = runs.begin(str(source), target, options, backend)
        assert begun is not None
        if (known := begun.answer()) is not None:
            return known, False
        report = Loader(between=changes or (lambda: None))(str(source), target, options)
        begun.keep(report)
        return report, True


def test_the_same_files_are_opened_once_and_copied_after_that(model: Path, tmp_path: Path) -> None:
    first, opened = run(model, tmp_path / "a")
    assert opened
    again, opened = run(model, tmp_path / "a")
    assert not opened
    assert again.export == first.export
    assert "--no-cache" in again.notes[0]
    assert first.started in again.notes[0]
    other, opened = run(model, tmp_path / "b")
    assert not opened
    assert other.export is not None
    assert other.export.path == str(tmp_path / "b")
    assert verify(tmp_path / "b").ok
    assert [file.digests for file in other.export.files] == [
        file.digests
        for file in first.export.files  # type: ignore[union-attr]
    ]


def one_byte_keeping_its_time(model: Path) -> None:
    weights = model / "model.safetensors"
    before = weights.stat()
    with weights.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\x7f")
    os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))


def another_file(model: Path) -> None:
    (model / "model-2.safetensors").write_bytes((model / "model.safetensors").read_bytes())


def another_name(model: Path) -> None:
    (model / "model.safetensors").rename(model / "other.safetensors")


@pytest.mark.parametrize("change", [one_byte_keeping_its_time, another_file, another_name])
def test_a_changed_source_is_opened_again(
    model: Path, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    run(model, tmp_path / "a")
    change(model)
    assert run(model, tmp_path / "b")[1]


@pytest.mark.parametrize("other", [{"fail_on": "low"}, {"depth": "weights"}, {"hash_export": True}])
def test_another_policy_opens_it_again(
    model: Path, tmp_path: Path, other: dict[str, object]
) -> None:
    run(model, tmp_path / "a")
    assert run(model, tmp_path / "b", **other)[1]


def test_a_source_that_changed_while_it_was_opened_leaves_no_record(
    model: Path, tmp_path: Path, home: Path
) -> None:
    run(model, tmp_path / "a", changes=lambda: one_byte_keeping_its_time(model))
    assert not list((home / "runs").iterdir())
    assert run(model, tmp_path / "b")[1]


def test_a_source_that_changed_just_before_leaves_no_record(tmp_path: Path, home: Path) -> None:
    """A write in the same tick of the clock as the last one would not show."""
    model = make_model(tmp_path / "new")
    os.utime(model / "model.safetensors", (time.time() + 5, time.time() + 5))
    run(model, tmp_path / "a")
    assert not list((home / "runs").iterdir())


def test_a_copy_that_was_changed_is_not_answered_for_and_not_overwritten(
    model: Path, tmp_path: Path
) -> None:
    run(model, tmp_path / "a")
    (tmp_path / "a" / "model.safetensors").write_bytes(b"mine")
    with pytest.raises(UsageError, match="exists and is not empty"):
        run(model, tmp_path / "a")
    assert (tmp_path / "a" / "model.safetensors").read_bytes() == b"mine"
    assert run(model, tmp_path / "b")[1]


def test_a_target_that_is_taken_is_left_as_it_is(model: Path, tmp_path: Path) -> None:
    run(model, tmp_path / "a")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "mine").touch()
    with pytest.raises(UsageError, match="exists and is not empty"):
        run(model, tmp_path / "b")
    assert [each.name for each in (tmp_path / "b").iterdir()] == ["mine"]


def test_a_record_that_does_not_read_is_none(model: Path, tmp_path: Path, home: Path) -> None:
    run(model, tmp_path / "a")
    (record,) = (home / "runs").iterdir()
    whole = record.read_bytes()
    for data in (b"", b"{", whole[: len(whole) // 2], whole.replace(b"safe-load/run/1", b"x")):
        record.write_bytes(data)
        with pytest.raises(UsageError, match="exists and is not empty"):
            run(model, tmp_path / "a")
    other = msgspec.json.decode(whole) | {"key": "0" * 64}
    record.write_bytes(msgspec.json.encode(other))
    assert run(model, tmp_path / "b")[1]


@pytest.mark.parametrize(
    "how", [{"hash": False}, {"record": "full", "trace": "x"}, {"export_despite_findings": True}]
)
def test_what_asks_for_a_run_of_its_own_has_one(
    model: Path, tmp_path: Path, how: dict[str, object]
) -> None:
    options = Options(**how)  # type: ignore[arg-type]
    with closing(choice.backend_of(options, choice.profile_of(options))) as backend:
        assert runs.begin(str(model), tmp_path / "a", options, backend) is None


def test_a_cache_folder_that_cannot_be_trusted_is_not_used(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    monkeypatch.setenv("SAFE_LOAD_HOME", str(tmp_path / "open"))
    options = Options()
    with closing(choice.backend_of(options, choice.profile_of(options))) as backend:
        assert runs.begin(str(model), None, options, backend) is None
