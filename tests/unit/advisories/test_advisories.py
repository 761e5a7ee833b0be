"""Advisories are imported whole or not at all, from what a user has, and each bound and each fault is a sentence."""

from __future__ import annotations

import json
import sqlite3
import zipfile
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from safe_load.advisories import judge, known_bad, osv, store
from safe_load.core.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

TODAY = datetime.now(UTC).date()
BAD = "b" * 64


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SAFE_LOAD_HOME", str(tmp_path / "data"))
    return tmp_path / "data"


def advisory(ident: str = "MAL-2026-1", package: str = "Evil_Pkg", **more: Any) -> dict[str, Any]:
    affected = {
        "package": {"ecosystem": "PyPI", "name": package},
        "versions": ["1.0", "1.1"],
        "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "1.0"}, {"fixed": "2"}]}],
    }
    base = {
        "schema_version": "1.6.0",
        "id": ident,
        "modified": "2026-11-01T00:00:00Z",
        "published": "2026-10-01T00:00:00Z",
        "summary": "Malicious code in evil-pkg",
        "affected": [affected],
        "severity": [],
        "database_specific": {"malicious-packages-origins": []},
    }
    return base | more


def single(path: Path, value: Any) -> Path:
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


def dump(path: Path, *values: Any) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, value in enumerate(values):
            archive.writestr(f"{number}.json", json.dumps(value))
    return path


def signed(path: Path, key: Any = None, **more: Any) -> tuple[Path, Path]:
    """A list and the public key that signs it."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    value = {
        "schema": known_bad.SCHEMA,
        "name": "acme",
        "made": TODAY.isoformat(),
        "expires": (TODAY + timedelta(days=30)).isoformat(),
        "models": [
            {"sha256": BAD, "reason": "steals keys", "reference": "case 7"},
            {"repository": "Evil/Model", "reason": "a copy that lies"},
        ],
    }
    data = json.dumps(value | more).encode()
    path.write_bytes(data)
    made = (
        key.sign(data)
        if isinstance(key, ed25519.Ed25519PrivateKey)
        else key.sign(data, ec.ECDSA(hashes.SHA256()))
    )
    path.with_name(f"{path.name}.sig").write_bytes(made)
    public = path.with_suffix(".pem")
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    public.write_bytes(key.public_key().public_bytes(serialization.Encoding.PEM, form))
    return path, public


# --- packages


def test_a_dump_and_a_file_of_osv_are_found_by_package(tmp_path: Path) -> None:
    npm = advisory("MAL-2026-2", "@scope/left")
    npm["affected"][0]["package"]["ecosystem"] = "npm"
    npm["affected"][0] |= {
        "versions": [],
        "ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}]}],
    }
    go = advisory("GO-2026-1")
    go["affected"][0]["package"]["ecosystem"] = "Go"
    done = store.add_osv(dump(tmp_path / "all.zip", advisory(), npm, go))
    assert (done.entries, done.made) == (2, "2026-11-01T00:00:00Z")
    assert done.days == (TODAY - datetime(2026, 11, 1, tzinfo=UTC).date()).days
    (found,) = store.packages("PyPI", "evil.pkg")
    assert (found.ident, found.malicious, found.every) == ("MAL-2026-1", True, False)
    asked = ("1.0", "1.0.0", "1.0.5", "1.9.post1", "2", "2rc1", "0.9", "1.0.dev1")
    assert [each for each in asked if found.covers(each)] == [
        "1.0",
        "1.0.0",
        "1.0.5",
        "1.9.post1",
        "2rc1",
    ]
    (found,) = store.packages("npm", "@scope/left")
    assert found.covers("7.7.7") is True
    assert store.packages("PyPI", "@scope/left") == []
    store.add_osv(single(tmp_path / "one.json", advisory("GHSA-x", aliases=["CVE-2026-1"])))
    assert [each.malicious for each in store.packages("PyPI", "evil-pkg")] == [True, False]
    assert len(store.imports()) == 2


@pytest.mark.parametrize(
    ("events", "inside", "outside"),
    [
        ([{"introduced": "1.0.16"}, {"fixed": "1.0.19"}], ["1.0.16", "1.0.18"], ["1.0.15", "1.0.19", "1.0.16-rc.1"]),
        ([{"introduced": "2.0.0-alpha"}, {"last_affected": "2.0.0"}], ["2.0.0-beta", "2.0.0"], ["2.0.1", "1.9.9"]),
        ([{"introduced": "0"}, {"fixed": "1.2.0"}, {"introduced": "3.0.0"}], ["0.0.1", "10.0.0"], ["1.2.0", "1.10.0", "2.9.9"]),
        ([{"introduced": "1.0.0"}, {"fixed": "1.10.0"}], ["1.9.0"], ["1.10.0"]),
    ],
)  # fmt: skip
def test_ranges_of_npm_are_compared_as_npm_does(
    tmp_path: Path, events: list[dict[str, str]], inside: list[str], outside: list[str]
) -> None:
    value = advisory(package="left")
    value["affected"] = [
        {
            "package": {"ecosystem": "npm", "name": "left"},
            "ranges": [{"type": "SEMVER", "events": events}],
        }
    ]
    store.add_osv(single(tmp_path / "one.json", value))
    (found,) = store.packages("npm", "left")
    assert [each for each in (*inside, *outside) if found.covers(each)] == inside


def test_what_is_withdrawn_is_taken_out(tmp_path: Path) -> None:
    store.add_osv(single(tmp_path / "a.json", advisory()))
    store.add_osv(single(tmp_path / "b.json", advisory(withdrawn="2026-11-02T00:00:00Z")))
    assert store.packages("PyPI", "evil-pkg") == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is not an advisory of OSV"),
        ("[]", "is not an advisory of OSV"),
        ('{"id": "x"}', "missing required field"),
        ("[" * 100_000, "is not an advisory of OSV"),
        (json.dumps(advisory("../x\n")), "id is '../x"),
        (json.dumps(advisory(affected=[])), "holds no advisory on a package of PyPI or npm"),
        (json.dumps(advisory(aliases=["x" * 2000])), "is not an advisory of OSV"),
        ('{"id": "MAL-1", "modified": 7}', "is not an advisory of OSV"),
        ("\ud83d", "is not an advisory of OSV"),
    ],
)
def test_a_file_that_is_no_advisory_is_one_sentence(
    tmp_path: Path, content: str, said: str
) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(content.encode("utf-8", "surrogatepass"))
    with pytest.raises(UsageError, match=said) as caught:
        store.add_osv(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    assert store.imports() == []


def test_a_dump_with_one_bad_member_changes_nothing(tmp_path: Path) -> None:
    store.add_osv(single(tmp_path / "a.json", advisory()))
    path = dump(tmp_path / "all.zip", *(advisory(f"MAL-{n}") for n in range(20)), {"id": 3})
    with pytest.raises(UsageError, match=r"all\.zip: 20\.json is not an advisory"):
        store.add_osv(path)
    assert [each.ident for each in store.packages("PyPI", "evil-pkg")] == ["MAL-2026-1"]
    assert len(store.imports()) == 1


def test_a_zip_that_unpacks_to_too_much_or_is_broken_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bomb = advisory(details="x" * 200_000)
    monkeypatch.setattr(osv, "MAX_ADVISORY", 100_000)
    for path in (dump(tmp_path / "bomb.zip", bomb), single(tmp_path / "bomb.json", bomb)):
        with pytest.raises(UsageError, match="bound for"):
            store.add_osv(path)
    monkeypatch.setattr(osv, "MAX_UNPACKED", 2000)
    with pytest.raises(UsageError, match="bound for"):
        store.add_osv(dump(tmp_path / "many.zip", *(advisory(f"MAL-{n}") for n in range(20))))
    whole = dump(tmp_path / "cut.zip", advisory()).read_bytes()
    for broken in (whole[:40] + b"\xff" * 20 + whole[60:], whole.replace(b"\x08\x00", b"\x63\x00")):
        (tmp_path / "cut.zip").write_bytes(broken)
        with pytest.raises(UsageError, match="cannot be unpacked"):
            store.add_osv(tmp_path / "cut.zip")
    with pytest.raises(UsageError, match="holds no JSON file"):
        store.add_osv(dump(tmp_path / "empty.zip"))
    assert store.imports() == []


# --- models


@pytest.mark.parametrize("key", [ec.SECP256R1, ec.SECP384R1, None])
def test_a_signed_list_names_models_by_digest_and_repository(tmp_path: Path, key: Any) -> None:
    made = ed25519.Ed25519PrivateKey.generate() if key is None else ec.generate_private_key(key())
    done = store.add_list(*signed(tmp_path / "bad.json", made))
    assert (done.entries, done.days, done.expired) == (2, 0, False)
    (found,) = store.models([BAD, "a" * 64])
    assert (found.kind, found.reason) == ("sha256", "steals keys")
    (found,) = store.models([], "evil/model")
    assert found.reason == "a copy that lies"
    assert store.models(["a" * 64] * 2000, "good/model") == []


def test_one_flipped_bit_another_key_or_no_signature_is_refused(tmp_path: Path) -> None:
    path, key = signed(tmp_path / "bad.json")
    data, signature = path.read_bytes(), path.with_name("bad.json.sig").read_bytes()
    path.write_bytes(data.replace(b"steals", b"steal5"))
    with pytest.raises(known_bad.WrongSignature, match="is not the signature of"):
        store.add_list(path, key)
    path.write_bytes(data)
    flipped = signature[:-1] + bytes((signature[-1] ^ 1,))
    path.with_name("bad.json.sig").write_bytes(flipped)
    with pytest.raises(known_bad.WrongSignature):
        store.add_list(path, key)
    path.with_name("bad.json.sig").write_bytes(signature)
    _, other = signed(tmp_path / "other.json")
    with pytest.raises(known_bad.WrongSignature):
        store.add_list(path, other)
    with pytest.raises(UsageError, match="name the key that signs it"):
        store.add_list(path, None)
    path.with_name("bad.json.sig").unlink()
    with pytest.raises(UsageError, match=r"bad\.json\.sig cannot be read"):
        store.add_list(path, key)
    assert store.imports() == []


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"expires": "2020-01-01"}, "expired on 2020-01-01"),
        ({"made": "2999-01-01"}, "still to come"),
        ({"schema": known_bad.SCHEMA + "0"}, "has the schema"),
        ({"models": [{"reason": "x"}]}, r"models\[1\] must have either"),
        ({"models": [{"reason": "x", "sha256": "B" * 64}]}, "no list of known models"),
        ({"models": [{"reason": "x", "repository": "a/b/c"}]}, "is not ORG/NAME"),
        ({"models": [{"reason": "", "sha256": BAD}]}, "no list of known models"),
        ({"also": 1}, "no list of known models"),
        ({"made": "soon"}, "no list of known models"),
    ],
)
def test_a_list_that_is_wrong_is_one_sentence(tmp_path: Path, more: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        store.add_list(*signed(tmp_path / "bad.json", **more))
    assert "\n" not in str(caught.value)
    assert store.imports() == []


def test_a_newer_list_takes_the_place_of_an_older_one_and_never_the_other_way(
    tmp_path: Path,
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    store.add_list(*signed(tmp_path / "new.json", key, models=[]))
    before = (TODAY - timedelta(days=3)).isoformat()
    with pytest.raises(UsageError, match="an older list does not take its place"):
        store.add_list(*signed(tmp_path / "old.json", key, made=before))
    with pytest.raises(UsageError, match="signed by another key"):
        store.add_list(*signed(tmp_path / "theirs.json"))
    assert store.models([BAD]) == []
    assert store.remove("models:acme")
    assert not store.remove("models:acme")
    store.add_list(*signed(tmp_path / "theirs.json"))
    assert len(store.models([BAD])) == 1


# --- what a load is told


def test_without_a_list_a_source_is_not_checked(home: Path) -> None:
    state, found = judge.judge({"a.bin": BAD}, "evil/model")
    assert (state.state, found) == ("not checked", [])
    assert not home.exists(), "who only looks makes no folder"


def test_a_known_digest_and_a_known_repository_are_critical(tmp_path: Path) -> None:
    store.add_list(*signed(tmp_path / "bad.json"))
    state, found = judge.judge({"a.bin": BAD, "b.bin": "a" * 64, "c.bin": None}, "Evil/model")
    assert (state.state, state.entries, state.age_days) == ("checked", 2, 0)
    assert state.why == "1 files without a SHA-256 were not compared"
    assert {(each.id, each.severity, each.location) for each in found} == {
        ("SL708", "critical", "a.bin"),
        ("SL708", "critical", "evil/model"),
    }
    assert any("steals keys (case 7)" in each.detail for each in found)


def test_an_old_list_says_its_age_and_still_counts(tmp_path: Path) -> None:
    old = (TODAY - timedelta(days=90)).isoformat()
    store.add_list(*signed(tmp_path / "bad.json", made=old))
    with sqlite3.connect(store.folder() / store.NAME) as base:
        base.execute("UPDATE imports SET expires = '2026-01-01'")
    base.close()
    state, found = judge.judge({"a.bin": BAD}, None)
    assert (state.state, state.age_days, state.why) == ("checked", 90, "expired: acme")
    assert len(found) == 1


@pytest.mark.parametrize(
    "content", [b"", b"no database" * 100, b"SQLite format 3\0" + b"\xff" * 4096]
)
def test_a_database_that_does_not_read_is_not_checked(home: Path, content: bytes) -> None:
    home.mkdir()
    (home / store.NAME).write_bytes(content)
    state, found = judge.judge({"a.bin": BAD}, None)
    assert (state.state, found) == ("not checked", [])
    assert state.why
