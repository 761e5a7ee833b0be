"""The signature beside a source: what the report says of it, and which findings it gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from safe_load.attest import files_beside, folders, judging, keys, model_signing, trust
from safe_load.attest.trust import Signer
from safe_load.cache import cache_key
from safe_load.core.errors import UsageError
from safe_load.core.hashing import sha256_files
from safe_load.core.options import Options
from safe_load.core.report import FileInfo
from safe_load.sources import inventory
from safe_load.sources.hub import listing

from tests.unit.attest.signed import MADE, model, new_key

if TYPE_CHECKING:
    from pathlib import Path

    from safe_load.sources.inventory import Inventory

KEY = Signer("made", "key", key=MADE / "public.pem")


def taken(path: Path) -> tuple[Inventory, list[FileInfo]]:
    """A source as a load leaves it: listed, hashed, its files judged."""
    stock = inventory.take(str(path), every=True)
    found = sha256_files(entry.place for entry in stock.entries)
    states = {"sub/weights.bin": "opened", "more.bin": "opened"}
    return stock, [
        FileInfo(each.path, each.size, found[each.place], "x", states.get(each.path, "data"))  # type: ignore[arg-type]
        for each in stock.entries
    ]


def judged(
    path: Path,
    *signers: Signer,
    publisher: str | None = None,
    required: bool = False,
) -> judging.Judged:
    names = () if publisher is None else (publisher,)
    return judging.judge(*taken(path), signers, names=names, required=required)


def ids(result: judging.Judged) -> list[str]:
    return [each.id for each in result.findings]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that is signed."""
    made = model(tmp_path)
    (made / "model.sig").write_bytes((MADE / "key.sig").read_bytes())
    return made


def test_a_trusted_signature_of_all_files_is_told_and_no_finding(folder: Path) -> None:
    result = judged(folder, KEY, required=True)
    assert result.signature is not None
    assert (result.signature.state, result.signature.covered) == ("verified", 2)
    assert str(result.signature.signer).startswith("made (key ")
    assert (result.findings, result.notes) == ([], [])


def test_without_a_signature_nothing_is_told_unless_one_is_required(tmp_path: Path) -> None:
    made = model(tmp_path)
    assert judged(made, KEY) == judging.Judged()
    (missing,) = judged(made, KEY, required=True).findings
    assert missing.id == "SL713"
    assert "there is no signature beside it" in missing.detail


def test_a_signature_of_nobody_who_is_trusted_is_a_note_or_what_is_required_lacks(
    folder: Path, tmp_path: Path
) -> None:
    new_key(tmp_path)
    other = Signer("other", "key", key=tmp_path / "key.pub")
    for signers in ((), (other,)):
        result = judged(folder, *signers)
        assert result.signature is not None
        assert result.signature.state == "unknown signer"
        assert result.findings == []
        assert "the signature proves nothing here" in result.notes[0]
        assert ids(judged(folder, *signers, required=True)) == ["SL713"]


def test_a_changed_file_is_graver_where_the_signature_is_genuine(folder: Path) -> None:
    (folder / "config.json").write_text("{}")
    (found,) = judged(folder, KEY).findings
    assert (found.id, found.severity, found.location) == ("SL711", "high", "config.json")
    (found,) = judged(folder).findings
    assert (found.id, found.severity) == ("SL711", "medium")
    assert ids(judged(folder, KEY, required=True)) == ["SL711", "SL713"]


def test_a_missing_file_is_told_of_a_local_source_and_not_of_one_on_a_hub(folder: Path) -> None:
    (folder / "config.json").unlink()
    (found,) = judged(folder, KEY).findings
    assert "config.json is signed by model.sig and not there" in found.detail
    assert judged(folder, KEY, publisher="acme/model").findings == []


def test_an_uncovered_file_is_a_finding_and_an_uncovered_document_a_note(folder: Path) -> None:
    (folder / "README.md").write_text("# A model")
    (folder / "LICENSE").write_text("do")
    result = judged(folder, KEY)
    assert result.findings == []
    assert result.notes == ["model.sig does not cover 2 documents, which no load reads"]
    (folder / "more.bin").write_text("")
    (found,) = judged(folder, KEY).findings
    assert (found.id, found.location) == ("SL712", "more.bin")
    assert ids(judged(folder, KEY, required=True)) == ["SL712", "SL713"]


def test_what_the_signer_left_out_is_not_covered(tmp_path: Path) -> None:
    made, key = model(tmp_path), new_key(tmp_path)
    found = folders.digests(folders.contents(made), made / "model.sig")
    found.pop("config.json")
    payload = model_signing.statement("m", found, ["config.json", "model.sig"])
    (made / "model.sig").write_bytes(keys.sign(payload, keys.private(key)))
    me = Signer("me", "key", key=key)
    assert ids(judged(made, me)) == ["SL712"]


def test_a_broken_and_an_unreadable_signature_are_told_apart(folder: Path) -> None:
    whole = (folder / "model.sig").read_bytes()
    at = whole.index(b'"sig":"') + 30
    (folder / "model.sig").write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    assert ids(judged(folder, KEY)) == ["SL710"]
    (folder / "model.sig").write_bytes(whole[:-1])
    assert ids(judged(folder, KEY)) == ["SL714"]
    assert ids(judged(folder, KEY, required=True)) == ["SL714", "SL713"]
    for name in ("blake3", "shards"):
        (folder / "model.sig").write_bytes((MADE / f"{name}.sig").read_bytes())
        assert ids(judged(folder, KEY)) == ["SL714"]


def test_without_hashes_nothing_is_verified(folder: Path) -> None:
    stock, files = taken(folder)
    bare = [FileInfo(each.path, each.size, None, "x") for each in files]
    result = judging.judge(stock, bare, [KEY], names=(), required=False)
    assert result.signature is not None
    assert result.signature.state == "not checked"
    result = judging.judge(stock, bare, [KEY], names=(), required=True)
    assert ids(result) == ["SL713"]


def test_a_signer_counts_and_is_required_for_the_publishers_of_its_pattern(
    folder: Path, tmp_path: Path
) -> None:
    acme = Signer("acme", "key", "acme/*", required=True, key=MADE / "public.pem")
    assert ids(judged(folder, acme, publisher="acme/model")) == []
    other = judged(folder, acme, publisher="acrne/model")
    assert other.signature is not None
    assert other.signature.state == "unknown signer"
    (folder / "model.sig").unlink()
    assert ids(judged(folder, acme, publisher="acme/model")) == ["SL713"]
    assert ids(judged(folder, acme, publisher="acrne/model")) == []
    assert ids(judged(folder, acme)) == []
    everyone = Signer("acme", "key", "*", required=True, key=MADE / "public.pem")
    assert ids(judged(folder, everyone)) == ["SL713"]


def test_a_model_of_one_file_has_its_signature_beside_it(tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_text("weights")
    stock = inventory.take(str(tmp_path / "weights.bin"), every=True)
    before = cache_key.key(stock, {stock.entries[0].place: ""}, {})
    (tmp_path / "weights.bin.sig").write_bytes((MADE / "alone.sig").read_bytes())
    result = judged(tmp_path / "weights.bin", KEY)
    assert result.signature is not None
    assert (result.signature.state, result.signature.file) == ("verified", "weights.bin.sig")
    assert files_beside.digest(stock) is not None
    assert cache_key.key(stock, {stock.entries[0].place: ""}, {}) != before
    (tmp_path / "weights.bin").write_text("weight5")
    assert ids(judged(tmp_path / "weights.bin", KEY)) == ["SL711"]


def test_a_hubs_signature_is_among_the_files_that_are_fetched() -> None:
    names = ("model.safetensors", "model.sig", "sub/model.sig", "other.sig")
    files = {name: listing.Listed(name, 10, "0" * 40, None) for name in names}
    chosen = listing.choose(files)
    assert {each.path for each in chosen.now} == {"model.safetensors", "model.sig"}


def test_keys_and_trust_files_that_do_not_read_are_told_before_anything_is_opened(
    tmp_path: Path,
) -> None:
    file = tmp_path / "trust.toml"
    file.write_text('[[signer]]\nname = "a"\nmethod = "key"\nkey = "nix.pub"\n')
    with pytest.raises(UsageError, match=r"nix\.pub cannot be read"):
        judging.signers_of(Options(trust=file))
    with pytest.raises(UsageError, match=r"nix\.pub cannot be read"):
        trust.state(file)
    with pytest.raises(UsageError, match="require_signature: trust must name the file"):
        Options(require_signature=True)
    with pytest.raises(UsageError, match="leave hash on"):
        Options(require_signature=True, trust=file, hash=False)


def test_what_decides_of_a_signature_is_part_of_a_cache_key(tmp_path: Path) -> None:
    new_key(tmp_path)
    file = tmp_path / "trust.toml"
    file.write_text('[[signer]]\nname = "a"\nmethod = "key"\nkey = "key.pub"\n')
    first = trust.state(file)
    assert trust.state(file) == first
    new_key(tmp_path)
    assert trust.state(file) != first
