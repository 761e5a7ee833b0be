"""What becomes of a model on a hub: cleared, judged, compared, interrupted."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safe_load import api, clear
from safe_load.core.options import Options
from safe_load.loading import pipeline
from safe_load.rooms import choice

from tests.integration.fake_hub import Answer, FakeHub, Request
from tests.integration.hub.asking import (
    FILES,
    LOADED,
    REPO,
    TOKEN,
    authorized,
    fetch,
    leftovers,
    run_command,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from safe_load.sandbox.backends.interface import Backend


def test_a_commit_that_no_branch_holds_is_told(
    server: FakeHub, saved: Path, backend: Backend
) -> None:
    """A hub serves the commits of pull requests under the repository's own name."""
    old = server.add(REPO, saved)
    server.add(REPO, saved)
    foreign = server.add(REPO, saved, "refs/pr/7")

    def told(revision: str, **options: Any) -> tuple[str, list[tuple[str, str]]]:
        source, chosen = f"hf://{REPO}@{revision}", Options(depth="weights", **options)
        report = pipeline.scan(source, chosen, backend=backend)
        return report.outcome, [(found.id, found.severity) for found in report.findings]

    assert told(old) == ("ok", [])
    assert told("main") == ("ok", [])
    assert told(foreign) == ("rejected", [("SL701", "medium")])
    assert told("refs/pr/7") == ("ok", [("SL701", "low")])
    server.before = lambda request: Answer(403) if request.path.endswith("/refs") else None
    snapshot = fetch(f"hf://{REPO}@{foreign}")
    assert "did not say whether the commit is on a branch" in snapshot.notes[0]


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    """One warm room for what is scanned here."""
    with choice.backend_of(Options(), choice.profile_of(Options()), warm=True) as made:
        yield made


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model, as save_pretrained writes it."""
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("saved")
    config = BertConfig(
        vocab_size=64,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
    )
    BertModel(config).save_pretrained(folder)
    return folder


def test_a_model_on_a_hub_is_cleared_bit_for_bit(
    server: FakeHub, saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors.torch import load_file

    commit = server.add(REPO, saved)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    done = run_command("load", f"hf://{REPO}@main", "-o", "cleared", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"hf://{REPO}@main at {commit}" in done.stdout
    cleared = load_file(tmp_path / "cleared" / "model.safetensors")
    original = load_file(saved / "model.safetensors")
    assert cleared.keys() == original.keys()
    assert all(torch.equal(cleared[name], original[name]) for name in original)
    for name in ("safe-load.report.json", "safe-load.manifest.json"):
        source = json.loads((tmp_path / "cleared" / name).read_text())["source"]
        assert (source["path"], source["revision"]) == (f"hf://{REPO}@main", commit)
    assert len(authorized(server.requests)) == len(server.requests)
    for path in (tmp_path / "cleared").iterdir():
        assert TOKEN.encode() not in path.read_bytes()


def test_files_that_lie_beside_in_the_cache_are_not_part_of_it(
    server: FakeHub, saved: Path, home: Path, backend: Backend
) -> None:
    server.add(REPO, saved)
    snapshot = fetch()
    (snapshot.path / "mamba_ssm.py").write_text("raise SystemExit")
    (snapshot.path / "pytorch_model.bin").write_bytes(b"not checked")
    report = pipeline.scan(snapshot, backend=backend)
    assert report.outcome == "ok"
    assert {file.path for file in report.files} == {"config.json", "model.safetensors"}
    assert report.source.revision == snapshot.commit


def test_files_that_repositories_share_are_found(
    server: FakeHub, saved: Path, home: Path, backend: Backend
) -> None:
    """huggingface_hub's store for the whole cache: the repository's blob is a link into it."""
    server.add(REPO, saved)
    snapshot = fetch()
    link = snapshot.path / "model.safetensors"
    blob = link.parent / link.readlink()
    store = home / "hub" / "blobs"
    shared = store / "ab" / ("ab" + "0" * 62)
    shared.parent.mkdir(parents=True)
    blob.rename(shared)
    blob.symlink_to(os.path.relpath(shared, blob.parent))
    told = pipeline.scan(fetch(local_files_only=True), backend=backend)
    assert told.outcome == "not_loadable"
    assert "leads out of the model's folder" in (told.outcome_detail or "")
    (store / ".huggingface-shared-blobs").write_text("1\n")
    assert pipeline.scan(fetch(local_files_only=True), backend=backend).outcome == "ok"
    assert pipeline.scan(str(snapshot.path), backend=backend).outcome == "ok"


def test_a_malformed_name_is_a_wrong_command_line(server: FakeHub, tmp_path: Path) -> None:
    done = run_command("scan", f"hf://{REPO}", "hf://org/na me", cwd=tmp_path)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert not server.requests


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_download_leaves_nothing_half_done(
    server: FakeHub, home: Path, tmp_path: Path, end: signal.Signals
) -> None:
    server.add(REPO, FILES)
    started, ended = Event(), Event()

    def hold(_: Request) -> None:
        started.set()
        ended.wait(60)

    server.storage.before = hold
    with subprocess.Popen(
        [sys.executable, "-m", "safe_load", "scan", f"hf://{REPO}"],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert started.wait(60)
            assert leftovers(home)
            process.send_signal(end)
            _, told = process.communicate(timeout=30)
        finally:
            process.kill()
    if end == signal.SIGTERM:
        assert (process.returncode, told) == (130, "error: interrupted\n")
    deadline = time.monotonic() + (0 if end == signal.SIGTERM else 20)
    while leftovers(home) and time.monotonic() < deadline:
        time.sleep(0.05)
    ended.set()
    assert not leftovers(home)


def test_it_is_cleared_once_for_all_names_of_the_same_bytes(
    server: FakeHub, saved: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAFE_LOAD_HOME", str(home / "safe-load"))
    server.add(REPO, saved)
    first = clear(f"hf://{REPO}")
    again = server.add(REPO, saved, "v2")
    assert clear(f"hf://{REPO}@v2") == first
    snapshot = fetch(f"hf://{REPO}@v2")
    kept = api.cleared(snapshot, Options())
    assert (kept.path, kept.fresh) == (first, False)
    source = kept.report.source
    assert (source.path, source.revision, source.publisher) == (f"hf://{REPO}@v2", again, "org")
    assert not (first / "pytorch_model.bin").exists()


def test_what_stays_on_the_hub_is_judged_where_that_is_asked_for(
    server: FakeHub, saved: Path, tmp_path: Path
) -> None:
    """A gate lets whole repositories through, and somebody may open the other file."""
    trap = pickle.dumps({"weight": _Runs()})
    honest = {path.name: path.read_bytes() for path in saved.iterdir()}
    server.add(REPO, {**honest, "pytorch_model.bin": trap})
    server.add("org/other", honest)
    names = [f"hf://{REPO}", "hf://org/other"]
    done = run_command("scan", *names, "--format", "json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    first, second = json.loads(done.stdout)["reports"]
    assert any("not judged: 1 file, " in note for note in first["notes"])
    assert not any("not judged" in note for note in second["notes"])
    done = run_command("scan", *names, "--all-files", "--format", "json", cwd=tmp_path)
    assert done.returncode == 1
    first, second = json.loads(done.stdout)["reports"]
    assert (first["verdict"], second["verdict"]) == ("malicious", "clean")


class _Runs:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("id",)


def test_a_cache_without_links_says_that_nothing_was_compared(
    server: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_DISABLE_SYMLINKS", "1")
    server.add(REPO, FILES)
    assert not (fetch().path / "config.json").is_symlink()
    offline = fetch(local_files_only=True)
    assert offline.files == LOADED
    assert any(note.startswith("not checked, because the hub cache") for note in offline.notes)
