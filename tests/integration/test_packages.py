"""`safe-load packages`, and what the register says of known-malicious versions; the registries are stand-ins on loopback."""

from __future__ import annotations

import json
import zipfile
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from safe_load.advisories import store
from safe_load.cli import exit_code
from safe_load.register import popular

from tests.integration.fake_registry import FakeRegistry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.anyone


def _advisory(ident: str, ecosystem: str, name: str, *bad: str) -> dict[str, Any]:
    """As OSV publishes it. bad: the versions; none: all."""
    ranges = [] if bad else [{"type": "SEMVER", "events": [{"introduced": "0"}]}]
    package = {"ecosystem": ecosystem, "name": name}
    affected = {"package": package, "versions": list(bad), "ranges": ranges}
    return {"id": ident, "modified": "2026-11-01T00:00:00Z", "affected": [affected]}


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SAFE_LOAD_HOME", str(tmp_path / "home"))
    return tmp_path


@pytest.fixture
def advisories(data: Path) -> None:
    """Three, imported as a user does it."""
    dump = data / "osv.zip"
    with zipfile.ZipFile(dump, "w") as archive:
        for each in (
            _advisory("MAL-2025-47618", "npm", "postmark-mcp", "1.0.16", "1.0.17", "1.0.18"),
            _advisory("MAL-2024-1", "PyPI", "evil-torch"),
            _advisory("GHSA-xxxx-yyyy-zzzz", "PyPI", "requests", "2.0.0"),
        ):
            archive.writestr(f"{each['id']}.json", json.dumps(each))
    assert store.add_osv(dump).entries == 3


@pytest.fixture
def registry(data: Path) -> Iterator[FakeRegistry]:
    with FakeRegistry() as server:
        yield server


def look_up(
    registry: FakeRegistry | None, capsys: pytest.CaptureFixture[str], *names: str
) -> tuple[int, dict[str, dict[str, Any]]]:
    where = ["--pypi", registry.url, "--npm", registry.url] if registry else ["--offline"]
    code = exit_code(["packages", *names, *where, "--format", "json"])
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "safe-load/packages/1"
    return code, {each["name"]: each for each in document["packages"]}


def test_what_the_registry_says_is_told(
    registry: FakeRegistry, advisories: None, capsys: pytest.CaptureFixture[str]
) -> None:
    young = (datetime.now(UTC) - timedelta(days=9)).isoformat()
    registry.pypi("requests", ["2.0.0", "2.32.0"], attested=True)
    registry.pypi("some-quarantined", ["1.0"], status="quarantined")
    registry.npm("@acme/thing", ["1.0.0"], attested=True)
    registry.npm("taken-down", ["0.0.1-security"])
    registry.pypi("fresh-thing", ["0.1"], uploaded=young)
    code, found = look_up(
        registry, capsys, "Requests[socks]>=2", "some.quarantined", "@acme/thing@^1.0.0", "npm:taken-down", "fresh-thing", "is-nowhere"
    )  # fmt: skip
    assert code == 1
    honest = found["requests"]
    assert honest["verdict"] == "nothing against it"
    assert (honest["exists"], honest["first_uploaded"]) == (True, "2020-01-02")
    assert (honest["quarantined"], honest["attested"]) == (False, True)
    assert honest["not_asked"] == []
    assert found["some-quarantined"]["verdict"] == "quarantined"
    assert found["taken-down"]["verdict"] == "quarantined"
    assert found["@acme/thing"]["verdict"] == "nothing against it"
    assert found["@acme/thing"]["attested"] is True
    assert "first uploaded 9 days ago" in found["fresh-thing"]["reasons"]
    assert found["is-nowhere"]["verdict"] == "missing"
    assert found["is-nowhere"]["exists"] is False
    # The registries are asked by the names' own forms, and by the standard interface.
    assert ("/some-quarantined/", "application/vnd.pypi.simple.v1+json") in registry.requests


def test_a_name_like_a_popular_one_is_suspicious_unless_it_is_old(
    registry: FakeRegistry, capsys: pytest.CaptureFixture[str]
) -> None:
    young = (datetime.now(UTC) - timedelta(days=40)).isoformat()
    registry.pypi("reqeusts", ["1.0"], uploaded=young)
    registry.pypi("requestss", ["1.0"])
    code, found = look_up(registry, capsys, "reqeusts", "requestss")
    assert code == 1
    assert found["reqeusts"]["verdict"] == "suspicious"
    assert found["reqeusts"]["similar_to"] == "requests"
    assert found["requestss"]["verdict"] == "not asked"  # no advisories; old enough to be its own


@pytest.mark.parametrize(
    ("name", "verdict", "words"),
    [
        ("npm:postmark-mcp@1.0.16", "malicious", "MAL-2025-47618"),
        ("npm:postmark-mcp@^1.0.15", "malicious", "^1.0.15 takes 1.0.16"),
        ("npm:postmark-mcp", "malicious", "takes 1.0.16"),
        ("npm:postmark-mcp@1.0.15", "nothing against it", ""),
        ("npm:postmark-mcp@~1.0.19", "nothing against it", ""),
        ("evil.torch==3", "malicious", "any version"),
        ("requests==2.0.0", "nothing against it", ""),  # a flaw is not malice
    ],
)
def test_versions_that_are_known_to_be_malicious_are_told(
    registry: FakeRegistry,
    advisories: None,
    capsys: pytest.CaptureFixture[str],
    name: str,
    verdict: str,
    words: str,
) -> None:
    registry.npm("postmark-mcp", ["1.0.15", "1.0.19"])
    registry.pypi("evil-torch", ["3"])
    registry.pypi("requests", ["2.0.0"])
    code, found = look_up(registry, capsys, name)
    ((_, one),) = found.items()
    assert one["verdict"] == verdict
    assert code == (verdict == "malicious")
    assert words in "; ".join(one["reasons"])


def test_offline_says_what_it_did_not_ask(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = look_up(None, capsys, "requests", "reqeusts")
    assert code == 1
    assert found["requests"]["verdict"] == "not asked"
    assert found["reqeusts"]["verdict"] == "suspicious"
    told = " ".join(found["requests"]["not_asked"])
    for words in (
        "exists",
        "since when",
        "quarantined",
        "attested",
        "offline",
        "no advisories were imported",
    ):
        assert words in told
    assert found["requests"]["exists"] is None
    assert exit_code(["packages", "requests", "--offline"]) == 0
    assert "Not asked" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [
        (500, b"", {}),
        (200, b"<html>", {}),
        (200, b'{"files": [' + b"[" * 100_000, {}),
        (200, b'{"files": [{"filename": 3}]}', {}),
        (302, b"", {"Location": "http://elsewhere.example/x"}),
    ],
)
def test_a_registry_that_fails_is_told_and_is_no_clean_answer(
    registry: FakeRegistry,
    capsys: pytest.CaptureFixture[str],
    status: int,
    body: bytes,
    headers: dict[str, str],
) -> None:
    registry.raw["/requests/"] = (status, body, headers)
    code, found = look_up(registry, capsys, "requests")
    assert code == 3
    assert found["requests"]["verdict"] == "not asked"
    assert found["requests"]["exists"] is None


def test_a_file_is_looked_up_line_by_line(
    registry: FakeRegistry, advisories: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    registry.pypi("flask", ["3.0"])
    registry.npm("postmark-mcp", ["1.0.16"])
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("# ours\nFlask>=2\n")
    lock = tmp_path / "package-lock.json"
    lock.write_text(
        json.dumps(
            {
                "lockfileVersion": 3,
                "packages": {"": {}, "node_modules/postmark-mcp": {"version": "1.0.16"}},
            }
        )
    )
    code, found = look_up(registry, capsys, str(requirements), str(lock))
    assert code == 1
    assert found["flask"]["where"] == f"{requirements}:2"
    assert found["flask"]["range"] == ">=2"
    assert found["postmark-mcp"]["verdict"] == "malicious"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["re quests"], "neither a file nor the name"),
        (["-x!"], ""),
        (["requests", "--pypi", "http://plain.example"], "no https"),
        (["npm:../x"], "neither a file nor the name"),
    ],
)
def test_a_wrong_command_line_is_one_sentence_and_code_2(
    data: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    assert exit_code(["packages", *arguments]) == 2
    assert words in capsys.readouterr().err


def test_the_registers_check_is_red_where_a_range_takes_a_malicious_version(
    advisories: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    config = {"mcpServers": {"mail": {"command": "npx", "args": ["-y", "postmark-mcp@^1.0.15"]}}}
    (project / ".mcp.json").write_text(json.dumps(config))
    assert exit_code(["register", str(project), "--format", "json"]) == 1
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert row["reasons"][0] == "known malicious: MAL-2025-47618, 1.0.16, which ^1.0.15 takes"
    config["mcpServers"]["mail"]["args"][1] = "postmark-mcp@1.0.15"
    (project / ".mcp.json").write_text(json.dumps(config))
    assert exit_code(["register", str(project), "--format", "json"]) == 0


def test_a_malicious_version_in_a_lock_file_is_a_row_whatever_it_does(
    advisories: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "uv.lock").write_text(
        'version = 1\n[[package]]\nname = "evil-torch"\nversion = "1.0"\n[[package]]\nname = "flask"\nversion = "3.0"\n'
    )
    assert exit_code(["register", str(project), "--format", "json"]) == 1
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert (row["name"], row["where"]) == ("evil-torch", [{"path": "uv.lock", "line": 3}])


def test_names_that_imitate_are_told_by_the_register(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = data / "project"
    project.mkdir()
    (project / "a.py").write_text(
        "AutoModel.from_pretrained('EleuterAI/gpt-j-6b')\nAutoModel.from_pretrained('EleutherAI/gpt-j-6b')\n"
    )
    (project / "requirements.txt").write_text(
        "transfomers==1.0\ntransformers==5.0\nflask\nmocker\n"
    )
    assert exit_code(["register", str(project), "--format", "json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["rows"]}
    assert rows["EleuterAI/gpt-j-6b"]["known"] is False
    assert "EleuterAI is like EleutherAI" in rows["EleuterAI/gpt-j-6b"]["reasons"][0]
    assert rows["EleutherAI/gpt-j-6b"]["known"] is True
    assert rows["EleuterAI/gpt-j-6b"]["rank"] < rows["EleutherAI/gpt-j-6b"]["rank"]
    assert rows["transfomers"]["reasons"][0].startswith("its name is like that of transformers")
    assert "like that" not in str(rows["transformers"]["reasons"])
    assert not {"flask", "mocker"} & rows.keys()  # like docker, and neither touches models


def test_no_popular_name_warns_and_usual_slips_do() -> None:
    for ecosystem in ("pypi", "npm"):
        ranked = getattr(popular._file(), ecosystem)
        assert len(ranked) == 10_000
        assert [name for name in ranked[::40] if popular.alike(ecosystem, name)] == []
    slips = [
        "transfomers",
        "huggingface-hubb",
        "langchian",
        "openal",
        "0penai",
        "tensorfIow",
        "safetensor",
        "numpyy",
    ]
    assert [name for name in slips if popular.alike("pypi", name) is None] == []
    assert [
        name
        for name in ("lodahs", "opena1", "openai-official")
        if popular.alike("npm", name) is None
    ] == []
