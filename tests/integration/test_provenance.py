"""Publisher and pin from end to end: a hub on loopback, the real client, the command and the cache."""

from __future__ import annotations

import hashlib
import json
import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from safe_load import Rejected, clear, scan
from safe_load.cli.app import app
from safe_load.core.errors import UsageError
from safetensors.numpy import save

from tests.integration.fake_hub import Answer, FakeHub

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILES = {
    "config.json": b'{"model_type": "bert"}',
    "model.safetensors": save({"w": np.ones((4, 4), np.float32)}),
}
REAL, FAKE = "google-bert/bert-base-uncased", "goog1e-bert/bert-base-uncased"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    for variable in [name for name in os.environ if name.startswith(("HF_", "SAFE_LOAD_"))]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("SAFE_LOAD_HOME", str(tmp_path / "home"))
    with FakeHub() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


def command(*arguments: str) -> tuple[int, str]:
    return run("scan", "--depth", "static", "--config", "none", *arguments)


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, list(arguments), standalone_mode=False)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.return_value, done.output


def report(name: str, **options: Any) -> dict[str, Any]:
    result = scan(f"hf://{name}", depth="static", **options)
    found: dict[str, Any] = json.loads(msgspec.json.encode(result.report))
    return found


def test_the_report_tells_publisher_pin_and_the_hubs_word(server: FakeHub) -> None:
    commit = server.add(REAL, FILES)
    server.organisations["google-bert"] = {"fullname": "BERT", "isVerified": True}
    server.about[REAL] = {
        "createdAt": "2022-03-02T23:29:04.000Z",
        "lastModified": "2024-02-19T11:06:12.000Z",
        "downloads": 64,
        "likes": 2,
        "cardData": {"base_model": ["x/y"]},
        "securityRepoStatus": {
            "scansDone": True,
            "filesWithIssues": [{"path": "a", "level": "unsafe"}],
        },
    }
    found = report(REAL)
    assert found["verdict"] == "clean"
    assert found["source"] == {
        "path": f"hf://{REAL}",
        "revision": commit,
        "publisher": "google-bert",
        "vouched": "hub",
        "pinned": False,
        "pin": f"hf://{REAL}@{commit}",
        "hub": {
            "asked": "yes",
            "name": REAL,
            "created": "2022-03-02T23:29:04+00:00",
            "changed": "2024-02-19T11:06:12+00:00",
            "downloads": 64,
            "likes": 2,
            "base_models": ["x/y"],
            "verified": True,
            "scan": "unsafe",
        },
    }


def test_a_hub_that_says_nonsense_of_a_repository_is_not_repeated(server: FakeHub) -> None:
    server.add(REAL, FILES)
    server.organisations["google-bert"] = {"isVerified": "very"}
    server.about[REAL] = {
        "downloads": -1,
        "likes": "many",
        "cardData": {"base_model": ["\x1b[2J" + "y" * 10_000, 3] * 50},
        "securityRepoStatus": "fine",
    }
    source = report(REAL)["source"]
    assert source["vouched"] == "list"
    word = source["hub"]
    assert "downloads" not in word
    assert "likes" not in word
    assert "scan" not in word
    assert len(word["base_models"]) <= 10
    assert all(len(each) < 300 and "\x1b" not in each for each in word["base_models"])


def test_the_first_lines_say_whose_it_is_and_what_to_write(server: FakeHub) -> None:
    commit = server.add(REAL, FILES)
    code, output = command(f"hf://{REAL}")
    assert code == 0
    flowing = " ".join(output.split())
    assert (
        f"by google-bert (on the list of known publishers), not pinned: write hf://{REAL}@{commit}"
        in flowing
    )
    code, output = command(
        f"hf://{REAL}@{commit}", "--require-pin", "--require-publisher", "listed"
    )
    assert code == 0
    assert "by google-bert (on the list of known publishers), pinned" in output


def test_an_imitation_is_rejected_however_often_it_was_downloaded(server: FakeHub) -> None:
    server.add(FAKE, FILES)
    server.about[FAKE] = {"downloads": 10**9, "likes": 10**6, "trendingScore": 10**6}
    code, output = command(f"hf://{FAKE}")
    assert code == 1
    assert "'goog1e-bert' reads like 'google-bert'" in " ".join(output.split())


def test_a_requirement_that_is_not_met_rejects_whatever_else_does(server: FakeHub) -> None:
    server.add(REAL, FILES)
    asked = ("--fail-on", "never")
    assert command(f"hf://{REAL}", *asked)[0] == 0
    code, output = command(f"hf://{REAL}", *asked, "--require-pin")
    assert (code, "SL704" in output or "A pin is required" in output) == (1, True)
    assert command(f"hf://{REAL}", *asked, "--require-publisher", "meta-llama")[0] == 1
    assert command(f"hf://{REAL}", *asked, "--require-publisher", "google-*")[0] == 0


def test_what_was_not_asked_is_told_without_the_hub(
    server: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.add(REAL, FILES)
    server.organisations["google-bert"] = {"isVerified": True}
    assert report(REAL)["source"]["vouched"] == "hub"
    asked = len(server.requests)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    found = report(REAL)
    assert len(server.requests) == asked
    assert found["source"]["hub"] == {"asked": "offline"}
    assert found["source"]["vouched"] == "list"
    assert any(note.startswith("not asked: ") for note in found["notes"])


def test_a_hub_that_does_not_know_organisations_holds_nothing_up(server: FakeHub) -> None:
    server.add(REAL, FILES)
    server.before = lambda request: Answer(500) if "organizations" in request.path else None
    source = report(REAL)["source"]
    assert (source["vouched"], source["hub"]["asked"]) == ("list", "yes")


def test_the_same_bytes_from_an_imitation_do_not_come_out_of_the_cache(server: FakeHub) -> None:
    server.add(REAL, FILES)
    server.add(FAKE, FILES)
    folder = clear(f"hf://{REAL}", depth="static")
    assert clear(f"hf://{REAL}", depth="static") == folder
    with pytest.raises(Rejected, match="imitates another's"):
        clear(f"hf://{FAKE}", depth="static")
    with pytest.raises(Rejected, match="a pin is required"):
        clear(f"hf://{REAL}", depth="static", require_pin=True)
    assert (clear(f"hf://{REAL}", depth="static") / "model.safetensors").is_file()


def test_a_link_with_a_key_is_told_and_its_secret_stands_nowhere(tmp_path: Path) -> None:
    link = (
        "https://acme.blob.core.windows.net/m/m.bin?sv=2022-11-02&ss=bfqt&srt=sco&sp=rwd&"
        "se=2951-10-06T00:00:00Z&sig=c2VjcmV0c2VjcmV0c2VjcmV0"
    )
    model = tmp_path / "model"
    model.mkdir()
    for name, content in FILES.items():
        (model / name).write_bytes(content)
    (model / "config.json").write_text(json.dumps({"model_type": "bert", "_name_or_path": link}))
    reports = [f"{form}={tmp_path / form}" for form in ("json", "html", "sarif", "markdown")]
    code, output = command(
        str(model), "-v", *(part for each in reports for part in ("--report", each))
    )
    assert code == 1
    assert "SL706" in output
    for form in ("json", "html", "sarif", "markdown"):
        text = (tmp_path / form).read_text()
        assert "whole storage account" in text
        assert "c2VjcmV0" not in text, form
    with pytest.raises(UsageError, match="key of Azure for a whole storage account") as caught:
        command(link)
    assert "c2VjcmV0" not in str(caught.value)


def test_a_model_on_an_imported_list_is_rejected_and_the_lists_age_is_told(
    server: FakeHub, tmp_path: Path
) -> None:
    server.add(REAL, FILES)
    folder = clear(f"hf://{REAL}", depth="static")
    assert report(REAL)["advisories"]["state"] == "not checked"
    path, key = tmp_path / "bad.json", ec.generate_private_key(ec.SECP256R1())
    today = datetime.now(UTC).date()
    digest = hashlib.sha256(FILES["model.safetensors"]).hexdigest()
    path.write_text(
        json.dumps(
            {
                "schema": "safe-load/known-bad/1",
                "name": "acme",
                "made": (today - timedelta(days=2)).isoformat(),
                "expires": (today + timedelta(days=30)).isoformat(),
                "models": [{"sha256": digest, "reason": "lies about the capital of France"}],
            }
        )
    )
    (tmp_path / "bad.json.sig").write_bytes(key.sign(path.read_bytes(), ec.ECDSA(hashes.SHA256())))
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    public = key.public_key().public_bytes(serialization.Encoding.PEM, form)
    (tmp_path / "acme.pem").write_bytes(public)
    code, output = run("advisories", "import", str(path), "--key", str(tmp_path / "acme.pem"))
    flowing = " ".join(output.split())  # a long path breaks the line anywhere
    assert (code, "1 models" in flowing, "2 days old" in flowing) == (0, True, True)
    code, output = command(f"hf://{REAL}")
    assert code == 1
    flowing = " ".join(output.split())
    assert "model.safetensors is on the list 'acme': lies about the capital of France" in flowing
    found = report(REAL)
    assert found["verdict"] == "malicious"
    assert found["advisories"] == {"state": "checked", "why": "", "age_days": 2, "entries": 1}
    with pytest.raises(Rejected, match="known malicious"):
        clear(f"hf://{REAL}", depth="static")
    assert not (folder / "model.safetensors").exists(), "the copy from before the list is gone"
    path.write_bytes(path.read_bytes().replace(b"France", b"Spain!"))
    assert run("advisories", "import", str(path), "--key", str(tmp_path / "acme.pem"))[0] == 1


def test_a_model_with_one_matrix_changed_is_known_by_the_rest(server: FakeHub) -> None:
    source = np.random.default_rng(1)
    tensors = {f"layer.{n}": source.standard_normal((64, 64)).astype(np.float32) for n in range(6)}

    def add(repo: str, **changed: Any) -> None:
        weights = save({**tensors, **changed})
        server.add(repo, {"config.json": FILES["config.json"], "model.safetensors": weights})

    add("google/one")
    assert command("hf://google/one")[0] == 0
    add("someone/copy")
    code, output = command("hf://someone/copy", "-v")
    assert code == 0
    assert "byte for byte those of hf://google/one@" in " ".join(output.split())
    edited = source.standard_normal((64, 64)).astype(np.float32)
    add("someone/edited", **{"layer.3": edited})
    code, output = command("hf://someone/edited")
    assert code == 1
    flowing = " ".join(output.split())
    assert "83.3% of the weights are, or nearly are, those of hf://google/one@" in flowing
    assert "layer.3" in flowing
    add("google/edited", **{"layer.3": edited})
    assert command("hf://google/edited")[0] == 0, "its own publisher may change it"
    halves = {name: value.astype(np.float16) for name, value in tensors.items()}
    add("someone/halves", **halves)
    code, output = command("hf://someone/halves", "-v")
    assert (code, "in another type" in " ".join(output.split())) == (0, True)
