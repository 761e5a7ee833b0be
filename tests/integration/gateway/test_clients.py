"""Unchanged clients get the cleared model, and the reason why they get no hostile one."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.integration.gateway.asking import BIN, HUB_TOKEN, Gateway

pytestmark = pytest.mark.anyone


def test_hf_download_gets_the_cleared_model_and_only_that(gateway: Gateway) -> None:
    folder = gateway.home / "downloaded"
    done = subprocess.run(
        [BIN / "hf", "download", "org/good", "--local-dir", folder],
        env=gateway.environment("hf"), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = {path.name for path in folder.iterdir() if path.is_file()}
    assert {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "safe-load.manifest.json",
    } <= found
    assert "pytorch_model.bin" not in found
    shutil.rmtree(folder / ".cache")
    checked = subprocess.run(
        [BIN / "safe-load", "verify", folder], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr


def test_hf_download_of_a_hostile_model_shows_the_reason(gateway: Gateway) -> None:
    done = subprocess.run(
        [BIN / "hf", "download", "org/evil"], env=gateway.environment("hf"), capture_output=True, text=True, check=False
    )  # fmt: skip
    assert done.returncode == 1
    assert "safe-load rejected org/evil" in done.stderr
    assert re.search(r"pytorch_model\.bin calls posix\.system .*when it is opened", done.stderr)
    assert not list((gateway.home / "hf").rglob("pytorch_model.bin"))


def test_from_pretrained_loads_the_cleared_model(client: dict[str, Any]) -> None:
    assert client["class"] == "BertModel"
    assert client["vocabulary"] > 0


def test_a_pinned_commit_works_and_the_client_is_told_what_it_got(
    gateway: Gateway, client: dict[str, Any]
) -> None:
    assert client["pinned"] == "BertModel"
    assert "model.safetensors" in client["pinned_files"]
    assert re.search(r"this is the cleared copy \w+ of org/good at commit", client["stderr"])


def test_a_snapshot_is_a_revision_of_its_own(gateway: Gateway, client: dict[str, Any]) -> None:
    revision = Path(client["snapshot"]).name
    assert revision != gateway.commits["org/good"]
    assert client["branches"] == [["main", revision]]
    assert client["listed"] == sorted(path.name for path in Path(client["snapshot"]).iterdir())
    assert client["glob"] == ["org/good/model.safetensors"]


def test_transformers_shows_the_reason_why_it_gets_no_hostile_model(client: dict[str, Any]) -> None:
    for name in ("evil", "evil_snapshot"):
        assert "safe-load rejected org/evil" in client[name]
        assert "posix.system" in client[name]


def test_no_answer_sends_a_client_to_xet(gateway: Gateway) -> None:
    for path in (
        "/org/good/resolve/main/model.safetensors",
        "/api/models/org/good/tree/main?recursive=true",
    ):
        got = gateway.get(path)
        assert got.status == 200
        assert not [name for name in got.headers if "xet" in name]
        assert b"xet" not in got.body[:5000].lower() or path.endswith(".safetensors")


def test_the_hub_was_never_shown_a_token_but_for_the_models_of_a_rule(gateway: Gateway) -> None:
    gateway.get("/api/models/org/good", token="hf_OfAUserOfTheHub0000000000000000")
    for request in gateway.hub.requests + gateway.hub.storage.requests:
        shown = request.headers.get("authorization")
        assert shown is None or (shown == f"Bearer {HUB_TOKEN}" and "acme/" in request.path)
