"""Whatever fails after the rooms ran, what they recorded is in the report, and a rejection stands."""

from __future__ import annotations

import json
import pickle
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("torch")

import torch
from safe_load.cli import exit_code
from safe_load.core.errors import Interrupted, LimitHit, NotLoadable, SandboxError, UsageError
from safe_load.core.options import Options
from safe_load.export import publish
from safe_load.export.staging import Staging
from safe_load.judge import coverage, files
from safe_load.loading import pipeline
from safe_load.render import sarif
from safe_load.rooms import background_io, choice, results
from safe_load.rooms.rewriting import Rewriting

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from safe_load.core.report import Report
    from safe_load.sandbox.backends.interface import Backend, Job, RoomResult

#: Every stage after the rooms, by the border of the module that does it.
STAGES: dict[str, tuple[Any, str]] = {
    "hash": (background_io, "sha256_files"),
    "copy": (Staging, "fill"),
    "read-extracted": (results, "read_extracted"),
    "read-detonated": (results, "read_detonated"),
    "files": (coverage, "files"),
    "count": (publish, "count"),
    "content": (files, "content"),
    "compare": (pipeline, "compare"),
    "integrity": (files, "integrity"),
    "rewrite": (Rewriting, "read"),
    "notes": (coverage, "notes"),
    "folder": (files, "folder"),
    "loadable": (coverage, "require_loadable"),
    "check": (publish.safetensors_check, "check"),
    "write": (Staging, "write"),
    "publish": (Staging, "publish"),
}
ERRORS: dict[str, tuple[BaseException, str]] = {
    "bug": (ValueError("\x1b[2J of ours"), "sandbox_error"),
    "memory": (MemoryError(), "sandbox_error"),
    "recursion": (RecursionError("too deep"), "sandbox_error"),
    "sandbox": (SandboxError("broke"), "sandbox_error"),
    "limit": (LimitHit("too slow"), "limit_hit"),
    "unloadable": (NotLoadable("cut off"), "not_loadable"),
}


class _Runs:
    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return exec, (f"import subprocess; subprocess.run(['touch', {str(self.canary)!r}])",)


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "tokenizer_config.json").write_text("{}")
    path = tmp_path / "model" / "pytorch_model.bin"
    torch.save({"weight": torch.ones(64, 64), "x": _Runs(tmp_path / "canary")}, path)
    return path


@pytest.fixture
def honest(tmp_path: Path) -> Path:
    path = tmp_path / "honest.pt"
    torch.save({"weight": torch.ones(64, 64)}, path)
    return path


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    options = Options()
    with_rooms = choice.backend_of(options, choice.profile_of(options), warm=True)
    yield with_rooms
    with_rooms.close()


def failing(error: BaseException) -> Any:
    def fail(*_: object, **__: object) -> Any:
        raise error

    return fail


def opened(source: Path, target: Path, backend: Backend) -> Report:
    return pipeline.load(
        str(source), target, Options(export_despite_findings=True), backend=backend
    )


def saw_the_program(report: Report) -> bool:
    return any(found.id == "SL101" and "touch" in found.detail for found in report.findings)


@pytest.mark.parametrize("stage", STAGES)
def test_what_happened_in_the_rooms_outlives_a_failure_of(
    stage: str, hostile: Path, tmp_path: Path, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(*STAGES[stage], failing(ValueError("\x1b[2J of ours")))
    report = opened(hostile.parent, tmp_path / "cleared", backend)
    assert (report.outcome, report.verdict) == ("rejected", "malicious")
    assert saw_the_program(report)
    assert report.recording.events
    assert report.export is None
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["model"]


@pytest.mark.parametrize("kind", ERRORS)
def test_a_failure_of_an_honest_load_is_its_outcome_and_never_clean(
    kind: str, honest: Path, tmp_path: Path, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    error, outcome = ERRORS[kind]
    monkeypatch.setattr(*STAGES["compare"], failing(error))
    report = opened(honest, tmp_path / "cleared", backend)
    assert (report.outcome, report.verdict, report.export) == (outcome, "unknown", None)
    assert "\x1b" not in (report.outcome_detail or "")
    assert not (tmp_path / "cleared").exists()


def test_of_several_failures_the_worst_is_the_outcome(
    honest: Path, tmp_path: Path, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(*STAGES["compare"], failing(NotLoadable("first")))
    monkeypatch.setattr(*STAGES["notes"], failing(LimitHit("second")))
    monkeypatch.setattr(*STAGES["folder"], failing(RuntimeError("never reached")))
    report = opened(honest, tmp_path / "cleared", backend)
    assert (report.outcome, report.outcome_detail) == ("limit_hit", "second")


def test_a_wrong_call_that_shows_late_is_raised_with_what_was_seen(
    honest: Path, tmp_path: Path, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(*STAGES["publish"], failing(UsageError("the target is taken by now")))
    with pytest.raises(UsageError, match="taken by now") as raised:
        opened(honest, tmp_path / "cleared", backend)
    assert raised.value.result is not None
    assert raised.value.result.report.files


@pytest.mark.parametrize("stage", ["compare", "rewrite", "publish"])
def test_a_ctrl_c_ends_the_load_with_what_was_seen(
    stage: str, hostile: Path, tmp_path: Path, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(*STAGES[stage], failing(KeyboardInterrupt()))
    with pytest.raises(Interrupted) as raised:
        opened(hostile.parent, tmp_path / "cleared", backend)
    assert raised.value.result is not None
    report = raised.value.result.report
    assert report.outcome == "interrupted"
    assert saw_the_program(report)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["model"]


def test_a_room_that_cannot_be_run_costs_nothing_of_what_the_other_saw(
    hostile: Path, tmp_path: Path, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = backend.run

    def fail_extraction(job: Job) -> RoomResult:
        if job.name == "extract":
            raise MemoryError
        return run(job)

    monkeypatch.setattr(backend, "run", fail_extraction)
    report = opened(hostile.parent, tmp_path / "cleared", backend)
    assert report.outcome == "rejected"
    assert saw_the_program(report)


def test_a_room_of_an_honest_load_that_cannot_be_run_is_a_sandbox_error(
    honest: Path, tmp_path: Path, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend, "run", failing(OSError("no room")))
    report = opened(honest, tmp_path / "cleared", backend)
    assert (report.outcome, report.verdict) == ("sandbox_error", "unknown")
    assert "no room" in (report.outcome_detail or "")


def test_the_command_reports_a_payload_beside_a_file_that_crashes_the_rewriting(
    hostile: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    hostile.rename(hostile.with_name("training_args.bin"))
    hostile.with_name("config.json").write_text('{"model_type": "bert", "vocab_size": 8}')
    template = "{{ " + "9" * 5000 + " }}"
    hostile.with_name("tokenizer_config.json").write_text(json.dumps({"chat_template": template}))
    torch.save({"weight": torch.ones(2)}, hostile)
    monkeypatch.chdir(tmp_path)
    code = exit_code(["scan", "model", "--config", "none", "--format", "json"])
    assert code == 1
    report = json.loads(capsys.readouterr().out)
    assert any(found["id"] == "SL101" for found in report["findings"])


def test_a_report_that_cannot_be_made_costs_neither_the_others_nor_the_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sarif.Sarif, "render", failing(RecursionError("deep")))
    source = tmp_path / "m.bin"
    source.write_bytes(pickle.dumps({"x": _Runs(tmp_path / "canary")}))
    out = tmp_path / "r.json"
    code = exit_code(
        ["scan", str(source), "--config", "none", "--depth", "weights", "-q",
         "--report", f"sarif={tmp_path / 'r.sarif'}", "--report", f"json={out}"]
    )  # fmt: skip
    assert code == 1
    assert json.loads(out.read_text())["outcome"] == "rejected"
    assert not (tmp_path / "r.sarif").exists()
