"""A gate that relies on signatures and on another gate's attestation, from the commands of a user."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safe_load.cli import exit_code
from safe_load.rooms import opening
from safetensors.numpy import save_file

from tests.integration.fake_hub import FakeHub
from tests.unit.attest.signed import new_key


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: a model, a key of the publisher and one of the first gate, and a trust file."""
    for name in list(os.environ):
        if name.startswith("SAFE_LOAD_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("SAFE_LOAD_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()
    save_file({"w": np.ones((2, 2), "f4")}, tmp_path / "model" / "model.safetensors")
    new_key(tmp_path, "acme")
    new_key(tmp_path, "ci")
    (tmp_path / "trust.toml").write_text(
        '[[signer]]\nname = "acme"\nmethod = "key"\nkey = "acme.pub"\nrequired = true\n'
    )
    return tmp_path


@pytest.fixture
def unopened(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """From now on no room may be asked for."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a room was asked for")

    monkeypatch.setattr(opening, "open_model", refuse)
    return monkeypatch


def run(*arguments: str) -> tuple[int, dict[str, Any]]:
    """The exit code and the report."""
    Path("r.json").unlink(missing_ok=True)
    code = exit_code([*arguments, "-q", "--depth", "static", "--report", "json=r.json"])
    return code, json.loads(Path("r.json").read_bytes()) if Path("r.json").exists() else {}


def ids(report: dict[str, Any]) -> list[str]:
    return [each["id"] for each in report["findings"]]


def test_a_gate_takes_only_what_is_signed(folder: Path) -> None:
    gate = ("scan", "model", "--trust", "trust.toml")
    code, report = run(*gate)
    assert (code, ids(report), report["verdict"]) == (1, ["SL713"], "suspicious")
    assert run(*gate, "--fail-on", "never")[0] == 1
    assert exit_code(["sign", "model", "--key", "acme.pem"]) == 0
    time.sleep(0.2)  # old enough for its times to be believed
    code, report = run(*gate)
    assert (code, report["signature"]["state"], report["verdict"]) == (0, "verified", "clean")
    assert {each["path"]: each["state"] for each in report["files"]}["model.sig"] == "data"
    again = run(*gate)[1]
    assert any(each.startswith("From the record of the run") for each in again["notes"])
    assert again["signature"] == report["signature"]
    # A change of what decides is another run, and another word.
    new_key(folder, "acme")
    code, report = run(*gate)
    assert (code, report["signature"]["state"]) == (1, "unknown signer")


def test_a_scan_that_was_attested_is_not_made_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    assert exit_code(["sign", "model", "--key", "acme.pem"]) == 0
    assert run("scan", "model")[0] == 0
    statements = "model/safe-load.intoto.jsonl"
    assert exit_code(["attest", "r.json", "--key", "ci.pem", "-o", statements]) == 0
    request.getfixturevalue("unopened")
    gate = ("scan", "model", "--require-attestation", "ci.pub", "--trust", "trust.toml")
    code, report = run(*gate)
    assert (code, report["verdict"], report["outcome"]) == (0, "clean", "ok")
    assert report["attestation"]["instead"] is True
    assert report["signature"]["state"] == "verified"
    states = {each["path"]: each["state"] for each in report["files"]}
    assert states == {
        "model.safetensors": "attested", "model.sig": "data", "safe-load.intoto.jsonl": "data",
    }  # fmt: skip
    assert report["notes"][0].startswith("Nothing was opened here: ci.pub (key ")
    # The attestation says nothing of who signed: that is asked here.
    Path("model/model.sig").unlink()
    assert ids(run(*gate)[1]) == ["SL713"]
    code, report = run("scan", "model", "--require-attestation", "acme.pub")
    assert (code, ids(report), report["attestation"]) == (1, ["SL715"], None)
    Path("model/more.json").write_text("{}")
    code, report = run("scan", "model", "--require-attestation", "ci.pub", "--fail-on", "never")
    assert (code, ids(report)) == (1, ["SL715"])
    assert "more.json is not covered" in report["findings"][0]["detail"]


def test_a_copy_is_attested_by_the_load_that_made_it(
    folder: Path, request: pytest.FixtureRequest
) -> None:
    code, report = run("load", "model", "-o", "copy", "--attest", "ci.pem")
    assert code == 0
    assert all(each["digests"]["sha256"] for each in report["export"]["files"])
    assert exit_code(["verify", "copy"]) == 0
    assert exit_code(["sign", "copy", "--key", "acme.pem"]) == 0
    statements = ["--attestation", "copy/safe-load.intoto.jsonl", "--key", "ci.pub"]
    assert exit_code(["verify", "copy", *statements]) == 0
    assert exit_code(["verify", "model", *statements]) == 0
    request.getfixturevalue("unopened")
    code, report = run("scan", "copy", "--require-attestation", "ci.pub", "--trust", "trust.toml")
    assert (code, report["verdict"]) == (0, "clean")


def test_a_load_of_an_attested_source_still_opens_it_and_one_of_another_does_not(
    folder: Path, request: pytest.FixtureRequest
) -> None:
    assert run("scan", "model")[0] == 0
    statements = "model/safe-load.intoto.jsonl"
    assert exit_code(["attest", "r.json", "--key", "ci.pem", "-o", statements]) == 0
    code, report = run("load", "model", "-o", "copy", "--require-attestation", "ci.pub")
    assert (code, report["attestation"]["instead"]) == (0, False)
    assert Path("copy/model.safetensors").is_file()
    request.getfixturevalue("unopened")
    code, report = run("load", "model", "-o", "other", "--require-attestation", "acme.pub")
    assert (code, ids(report)) == (1, ["SL715"])
    assert not Path("other").exists()


def test_a_key_that_is_not_there_ends_a_run_before_anything_is_opened(
    folder: Path, unopened: pytest.MonkeyPatch
) -> None:
    assert run("scan", "model", "--require-attestation", "nix.pub")[0] == 2
    assert run("scan", "model", "--trust", "nix.toml")[0] == 2
    assert run("load", "model", "-o", "copy", "--attest", "nix.pem")[0] == 2


def test_a_job_takes_only_signed_pinned_models_of_named_publishers_and_the_next_an_attested_copy(
    folder: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    for name in [name for name in os.environ if name.startswith("HF_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HF_HOME", str(folder / "hf"))
    with FakeHub() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        unsigned = server.add("acme/model", folder / "model", name="before")
        assert exit_code(["sign", "model", "--key", "acme.pem"]) == 0
        signed = server.add("acme/model", folder / "model")
        other = server.add("nobody/model", folder / "model")
        required = (
            "--require-pin", "--require-publisher", "acme",
            "--require-signature", "--trust", "trust.toml",
        )  # fmt: skip
        refused = {
            "acme/model": ["SL704"],
            f"nobody/model@{other}": ["SL705"],
            f"acme/model@{unsigned}": ["SL713"],
        }
        for source, expected in refused.items():
            code, report = run("scan", f"hf://{source}", *required)
            assert (code, ids(report)) == (1, expected), source
        code, report = run(
            "load", f"hf://acme/model@{signed}", "-o", "copy", "--attest", "ci.pem", *required
        )
    assert (code, report["signature"]["state"], report["verdict"]) == (0, "verified", "clean")
    assert (report["source"]["publisher"], report["source"]["revision"]) == ("acme", signed)
    request.getfixturevalue("unopened")
    code, report = run("scan", "copy", "--require-attestation", "ci.pub")
    assert (code, report["attestation"]["instead"]) == (0, True)
