"""Statements of a load: in the standard forms, signed, and relied on only where they are about these files."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from safe_load import profiles
from safe_load.attest import attested, envelope, files_beside, keys, statements
from safe_load.attest.attested import NotAccepted
from safe_load.attest.trust import Signer
from safe_load.cli import exit_code
from safe_load.core.errors import UsageError
from safe_load.core.report import AcceptedBy, FileInfo, Report, Setting, encode

from tests.unit import reports
from tests.unit.attest.signed import new_key

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS = [Setting("fail-on", "medium", "profile strict"), Setting("depth", "auto", "default")]
STRICT = profiles.load("strict")


def settled(report: Report, **changed: Any) -> Report:
    """A report that says by which settings it was made, as every one of a load does."""
    return msgspec.structs.replace(report, **({"settings": SETTINGS} | changed))


def opened(folder: Path) -> Report:
    """A clean report about the files that lie there."""
    files = [
        FileInfo(
            each.name,
            each.stat().st_size,
            hashlib.sha256(each.read_bytes()).hexdigest(),
            "json",
            "opened",
        )
        for each in sorted(folder.iterdir())
    ]
    return settled(reports.clean("hf://acme/model@main"), files=files)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_text("weights")
    return folder


def written(path: Path, report: Report, key: Path) -> Path:
    lines = [
        keys.sign(each, keys.private(key)) + b"\n" for each in statements.of(report, encode(report))
    ]
    path.write_bytes(b"".join(lines))
    return path


def digests(folder: Path) -> dict[str, str]:
    return {
        each.name: hashlib.sha256(each.read_bytes()).hexdigest()
        for each in folder.iterdir()
        if each.name not in files_beside.NAMES
    }


def read(path: Path, key: Path, folder: Path) -> attested.Attested:
    return attested.read(path, [Signer("ci", "key", key=key)], digests(folder))


def payloads(path: Path) -> list[dict[str, Any]]:
    return [
        json.loads(base64.b64decode(json.loads(line)["dsseEnvelope"]["payload"]))
        for line in path.read_text().splitlines()
    ]


def test_two_statements_are_about_the_same_files_in_the_standard_forms(
    model: Path, tmp_path: Path
) -> None:
    report = settled(reports.malicious(), files=opened(model).files)
    summary, trace = payloads(written(tmp_path / "a.jsonl", report, new_key(tmp_path)))
    assert summary["_type"] == trace["_type"] == "https://in-toto.io/Statement/v1"
    assert summary["subject"] == trace["subject"]
    assert {each["name"]: each["digest"]["sha256"] for each in summary["subject"]} == digests(model)
    assert summary["predicateType"] == "https://slsa.dev/verification_summary/v1"
    said = summary["predicate"]
    assert said["verifier"]["version"] == {"safe-load": report.tool.version}
    assert said["timeVerified"].startswith("2026-01-02T03:04:")
    assert (said["verificationResult"], said["verifiedLevels"]) == ("FAILED", ["FAILED"])
    assert set(said["policy"]) == {"uri", "digest"}
    assert trace["predicateType"] == "https://in-toto.io/attestation/runtime-trace/v0.1"
    seen = trace["predicate"]
    assert set(seen["monitor"]) == {"type", "configSource", "tracePolicy"}
    assert set(seen["monitoredProcess"]) == {"hostID", "type", "event"}
    log = seen["monitorLog"]
    assert [each["argv"] for each in log["process"]] == [each.argv for each in report.processes]
    assert [each["ip"] for each in log["network"]] == [each.address for each in report.egress]
    names = [each["name"] for each in log["fileAccess"]]
    assert names[:2] == ["config.json", "model.safetensors"]
    assert "/etc/shadow" in names
    own = hashlib.sha256(encode(report)).hexdigest()
    assert seen["safeLoad"]["report"]["digest"]["sha256"] == own
    assert said["safeLoad"]["report"]["digest"]["sha256"] == own


def test_sigstores_own_types_read_the_statements(model: Path, tmp_path: Path) -> None:
    from sigstore import dsse
    from sigstore_models.bundle.v1 import Bundle

    key = new_key(tmp_path)
    public = keys.private(key).public_key()
    report = settled(reports.malicious(), files=opened(model).files)
    for line in written(tmp_path / "a.jsonl", report, key).read_bytes().splitlines():
        read_back = Bundle.from_json(line)
        assert read_back.dsse_envelope is not None
        payload = dsse._verify(public, dsse.Envelope(read_back.dsse_envelope))
        statement = dsse.Statement(payload)
        assert statement._matches_digest(_hashed(next(iter(digests(model).values()))))


def _hashed(digest: str) -> Any:
    from sigstore.hashes import Hashed
    from sigstore_models.common.v1 import HashAlgorithm

    return Hashed(digest=bytes.fromhex(digest), algorithm=HashAlgorithm.SHA2_256)


def test_a_load_also_states_what_it_exported(model: Path, tmp_path: Path) -> None:
    report = settled(reports.exported(), files=opened(model).files)
    assert report.export is not None
    assert len(statements.of(report, b"x")) == 2
    hashed = [
        msgspec.structs.replace(
            each, digests=msgspec.structs.replace(each.digests, sha256="0" * 64)
        )
        for each in report.export.files
    ]
    export = msgspec.structs.replace(report.export, files=hashed)
    third = json.loads(statements.of(msgspec.structs.replace(report, export=export), b"x")[2])
    assert third["predicate"]["safeLoad"]["of"] == "export"
    assert [each["name"] for each in third["subject"]] == [each.path for each in hashed]


def test_the_same_files_are_accepted_and_any_other_are_not(model: Path, tmp_path: Path) -> None:
    key = new_key(tmp_path)
    path = written(tmp_path / "a.jsonl", opened(model), key)
    told = read(path, key, model)
    assert (told.passed, told.of) == (True, "source")
    assert told.uri == "hf://acme/model@4e1c1d2f9f"
    attested.require(told, STRICT, "medium", "auto", "0")
    (model / "more.bin").write_text("")
    with pytest.raises(NotAccepted, match=r"more\.bin is not covered by a\.jsonl"):
        read(path, key, model)
    (model / "more.bin").unlink()
    (model / "config.json").write_text("[]")
    with pytest.raises(NotAccepted, match=r"config\.json differs from what a\.jsonl signs"):
        read(path, key, model)
    (model / "config.json").unlink()
    with pytest.raises(NotAccepted, match=r"config\.json is signed by a\.jsonl and not there"):
        read(path, key, model)


def test_changed_bytes_all_over_the_statements_are_told(model: Path, tmp_path: Path) -> None:
    key = new_key(tmp_path)
    path = written(tmp_path / "a.jsonl", opened(model), key)
    data = path.read_bytes()
    for place in range(0, len(data), 7):
        changed = bytearray(data)
        changed[place] ^= 1 << place % 7
        path.write_bytes(changed)
        with pytest.raises(NotAccepted):
            read(path, key, model)


def test_another_key_and_half_of_the_statements_are_not_accepted(
    model: Path, tmp_path: Path
) -> None:
    key = new_key(tmp_path)
    path = written(tmp_path / "a.jsonl", opened(model), key)
    with pytest.raises(NotAccepted, match=r"a\.jsonl, line 1 was signed by another key"):
        read(path, new_key(tmp_path, "other"), model)
    summary, trace = path.read_bytes().splitlines()
    for half, sentence in ((summary, "no runtime trace"), (trace, "no verification summary")):
        path.write_bytes(half)
        with pytest.raises(NotAccepted, match=sentence):
            read(path, key, model)
    path.write_bytes(b"\n".join([summary] * 30))
    with pytest.raises(NotAccepted, match="more than 20 lines"):
        read(path, key, model)


ACCEPTED = AcceptedBy("ab" * 32, "known", "2027-01-01", "argument")


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"outcome": "rejected"}, "the source was rejected, or was not opened to its end"),
        ({"outcome": "limit_hit"}, "the source was rejected, or was not opened to its end"),
        ({"settings": [Setting("fail-on", "never", "x"), SETTINGS[1]]}, "the source was rejected"),
        ({"settings": [Setting("fail-on", "high", "x"), SETTINGS[1]]}, "rejected from high on"),
        ({"settings": [SETTINGS[0], Setting("depth", "weights", "x")]}, "to the depth weights"),
        ({"weaknesses": ["without the sinkhole"]}, "weaker than the shipped one: without the sink"),
        ({"profile": "own"}, "its profile own is none that ships"),
        ({"tier": None}, "opened in tier None"),
        ({"accepted": ACCEPTED}, "1 findings were accepted there"),
        ({"state": "left_out"}, r"config\.json, model\.safetensors were not opened there"),
        ({"version": "0.0.9"}, "it is of safe-load 0.0.9, and this is 0.1.0: older rules"),
        ({"version": "unknown"}, "it is of safe-load unknown"),
    ],
    ids=range(12),
)
def test_a_policy_that_is_less_strict_is_not_relied_on(
    changed: dict[str, Any], sentence: str, model: Path, tmp_path: Path
) -> None:
    report = opened(model)
    room = {key: changed.pop(key) for key in ("weaknesses", "profile", "tier") if key in changed}
    changed["sandbox"] = msgspec.structs.replace(report.sandbox, **room)
    changed["tool"] = msgspec.structs.replace(report.tool, version=changed.pop("version", "0.1.0"))
    if (accepted := changed.pop("accepted", None)) is not None:
        found = msgspec.structs.replace(reports.malicious().findings[0], accepted=accepted)
        changed["findings"] = [found]
    if (state := changed.pop("state", None)) is not None:
        changed["files"] = [msgspec.structs.replace(each, state=state) for each in report.files]
    key = new_key(tmp_path)
    path = written(tmp_path / "a.jsonl", msgspec.structs.replace(report, **changed), key)
    with pytest.raises(NotAccepted, match=sentence):
        attested.require(read(path, key, model), STRICT, "medium", "auto", "0.1.0")


def test_a_profile_here_that_is_stricter_is_not_met(model: Path, tmp_path: Path) -> None:
    key = new_key(tmp_path)
    told = read(written(tmp_path / "a.jsonl", opened(model), key), key, model)
    stricter = msgspec.structs.replace(
        STRICT, limits=msgspec.structs.replace(STRICT.limits, processes=1)
    )
    with pytest.raises(NotAccepted, match="its profile strict is weaker than the one here"):
        attested.require(told, stricter, "medium", "auto", "0")


def forged(model: Path, tmp_path: Path, change: dict[str, Any]) -> tuple[Path, Path]:
    """Statements of which the summary was changed, well signed all the same."""
    key = new_key(tmp_path)
    report = opened(model)
    first, second = statements.of(report, encode(report))
    value = json.loads(first)
    for name, part in change.items():
        at = value["predicate"] if name != "subject" else value
        at[name] = at[name] | part if isinstance(part, dict) else part
    lines = [
        keys.sign(json.dumps(value).encode(), keys.private(key)),
        keys.sign(second, keys.private(key)),
    ]
    (tmp_path / "a.jsonl").write_bytes(b"\n".join(lines))
    return tmp_path / "a.jsonl", key


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"verifier": {"id": "https://other.example"}}, "is a summary of another verifier"),
        ({"verificationResult": "MAYBE"}, "says neither PASSED nor FAILED"),
        ({"policy": {"digest": {"sha256": "0" * 64}}}, "its policy has another digest"),
        ({"safeLoad": {"policy": {}}}, "is no summary of safe-load"),
        ({"safeLoad": 5}, "is no summary of safe-load"),
        ({"subject": [{"name": "a"}]}, "has malformed subjects"),
        ({"subject": [{"name": "a", "digest": {"sha256": "0"}}]}, "without a SHA-256"),
    ],
    ids=range(7),
)
def test_a_malformed_summary_is_told(
    change: dict[str, Any], sentence: str, model: Path, tmp_path: Path
) -> None:
    path, key = forged(model, tmp_path, change)
    with pytest.raises(NotAccepted, match=sentence):
        read(path, key, model)


def test_a_report_that_cannot_be_attested_is_told(model: Path) -> None:
    report = opened(model)
    bare = [msgspec.structs.replace(each, sha256=None) for each in report.files]
    with pytest.raises(UsageError, match="make it without --no-hash"):
        statements.of(msgspec.structs.replace(report, files=bare), b"x")
    with pytest.raises(UsageError, match="lists no file"):
        statements.of(msgspec.structs.replace(report, files=[]), b"x")
    with pytest.raises(UsageError, match="does not say by which settings"):
        statements.of(msgspec.structs.replace(report, settings=[]), b"x")
    with pytest.raises(UsageError, match="says no time"):
        statements.of(msgspec.structs.replace(report, started="soon"), b"x")


def test_the_commands_attest_and_verify_say_what_holds(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    key = new_key(tmp_path)
    (tmp_path / "r.json").write_bytes(encode(opened(model)))
    attest = ["attest", "r.json", "--key", str(key), "-o", "a.jsonl"]
    verify = ["verify", str(model), "--attestation", "a.jsonl", "--key", "key.pub"]
    assert exit_code(attest) == 0
    assert exit_code(verify) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "2 statements signed" in said
    assert "2 files attested by key.pub (key " in said
    assert "profile strict, depth auto, fail-on medium" in said
    assert hashlib.sha256((tmp_path / "r.json").read_bytes()).hexdigest() in said
    (tmp_path / "r.json").write_bytes(
        encode(msgspec.structs.replace(opened(model), outcome="rejected"))
    )
    assert exit_code(attest) == 0
    assert exit_code(verify) == 1
    assert "FAILED" in capsys.readouterr().out
    assert exit_code(["attest", "nix.json", "--key", str(key), "-o", "a.jsonl"]) == 2
    assert exit_code(["attest", "r.json", "--key", str(key), "-o", "nix/a.jsonl"]) == 2
    assert exit_code(["verify", str(model), "--attestation", "nix", "--key", "key.pub"]) == 2
    assert exit_code(["verify", str(model), "--attestation", "a.jsonl"]) == 2
    envelope.read((tmp_path / "a.jsonl").read_bytes().splitlines()[0], "a.jsonl")
