"""What a hub says instead of a file, and what there is without a hub."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from safe_load import LimitHit
from safe_load.sources.hub import process

from tests.integration.fake_hub import Answer, FakeHub, Request
from tests.integration.hub.asking import FILES, LOADED, REPO, fails, fetch

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (Answer(401, headers={"X-Error-Code": "RepoNotFound"}), "there is no such repository"),
        (Answer(404), "there is no such repository"),
        (Answer(404, headers={"X-Error-Code": "RevisionNotFound"}), "no such revision"),
        (Answer(403, headers={"X-Error-Code": "GatedRepo"}), "gated"),
        (Answer(401), "permission denied (HTTP 401)"),
        (Answer(403), "permission denied (HTTP 403)"),
        (
            Answer(403, headers={"X-Error-Message": "Access to this resource is disabled."}),
            "disabled",
        ),
        (Answer(418), "the hub failed (HTTP 418)"),
        (Answer(200, b"not json"), "is malformed"),
        (Answer(200, b"[" * 100_000), "is malformed"),
        (Answer(200, b"{}"), "is malformed"),
    ],
)
def test_each_refusal_has_its_sentence(server: FakeHub, answer: Answer, told: str) -> None:
    server.add(REPO, FILES)
    server.before = lambda _: answer
    assert told in fails()


def test_a_hub_that_is_out_of_order_for_a_moment_is_asked_again(server: FakeHub) -> None:
    server.add(REPO, FILES)
    refusals = [Answer(503), Answer(429, headers={"Retry-After": "0"})]

    def refuse(request: Request) -> Answer | None:
        return refusals.pop() if "/tree/" in request.path and refusals else None

    server.before = refuse
    assert fetch().files == LOADED
    assert not refusals


def test_a_hub_that_asks_for_patience_gets_a_measure_of_it(
    server: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.add(REPO, FILES)
    server.storage.before = lambda _: Answer(429, headers={"Retry-After": "99999"})
    monkeypatch.setattr(process, "STALLED", 2.0)
    began = time.monotonic()
    with pytest.raises(LimitHit, match="keeps silent"):
        fetch()
    assert time.monotonic() - began < 60


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ({"Retry-After": "37"}, "(HTTP 429): try again in 37 s"),
        ({"RateLimit": '"api";r=0;t=212'}, "(HTTP 429): try again in 212 s"),
        ({"RateLimit": "t=x;\x1b[2J"}, "(HTTP 429): try again in a few minutes"),
        ({}, "(HTTP 429): try again in a few minutes"),
    ],
)
def test_a_hub_that_limits_the_rate_says_when_to_try_again(
    server: FakeHub, headers: dict[str, str], told: str
) -> None:
    server.add(REPO, FILES)
    server.before = lambda request: (
        Answer(429, headers=headers) if "/revision/" in request.path else None
    )
    assert told in fails()


def test_redirects_in_a_circle_come_to_an_end(server: FakeHub) -> None:
    server.add(REPO, FILES)
    server.storage.before = lambda request: Answer(302, headers={"Location": request.path})
    assert "redirects too many times" in fails()


def test_a_file_that_the_hub_lists_and_does_not_have_is_named(server: FakeHub) -> None:
    server.add(REPO, FILES)
    missing = Answer(404, headers={"X-Error-Code": "EntryNotFound"})
    server.before = lambda request: missing if request.path.endswith("/vocab.txt") else None
    assert "lists vocab.txt, but does not have the file" in fails()


def test_a_full_disk_is_said_before_the_download(server: FakeHub) -> None:
    server.add(REPO, FILES)

    def grow(files: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for file in files:
            if "lfs" in file:
                file["lfs"]["size"] = 1 << 60
        return files

    server.listing = grow
    with pytest.raises(LimitHit, match="no disk space for the download:"):
        fetch()
    assert not server.storage.requests


def test_a_cache_that_cannot_be_written_is_said(server: FakeHub, tmp_path: Path) -> None:
    server.add(REPO, FILES)
    (tmp_path / "file").write_text("")
    assert os.strerror(errno.ENOTDIR) in fails(cache_dir=tmp_path / "file" / "cache")


# --- without the hub


def test_the_cache_stands_in_for_a_hub_that_is_away(
    server: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = server.add(REPO, FILES)
    fetch()
    asked = len(server.requests)
    offline = fetch(local_files_only=True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert fetch() == offline
    assert (offline.commit, offline.files) == (commit, LOADED)
    assert "the hub was not asked" in offline.notes[0]
    assert len(server.requests) == asked
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # discard: nobody listens
    away = fetch()
    assert (away.commit, away.files) == (commit, LOADED)
    assert "the hub could not be reached" in away.notes[0]
    assert "cannot be reached" in fails("hf://org/other")


def test_nothing_in_the_cache_is_nothing(server: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    server.add(REPO, FILES)
    assert "not in the hub cache" in fails(local_files_only=True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "not in the hub cache" in fails()
    assert not server.requests


def test_what_stock_transformers_cached_is_used(server: FakeHub, tmp_path: Path) -> None:
    commit = server.add(REPO, FILES)
    code = f"from huggingface_hub import snapshot_download; snapshot_download({REPO!r})"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    server.storage.requests.clear()
    assert fetch().commit == commit
    assert not server.storage.requests
