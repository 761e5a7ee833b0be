"""`safe-load sign` and `safe-load verify`: exit codes, and what a user reads."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import pytest
import safetensors.numpy
from safe_load.cli import exit_code
from safe_load.core.report import Source, Tool
from safe_load.export import manifest
from safe_load.export.staging import Staging

from tests.unit.attest.signed import MADE, model, new_key

if TYPE_CHECKING:
    from pathlib import Path

Capture = pytest.CaptureFixture[str]
HEAD = manifest.Manifest(
    tool=Tool("safe-load", "0"), policy="p", source=Source("m"), sources=[], files=[], created="now"
)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("SAFE_LOAD_"):
            monkeypatch.delenv(name)


def said(capsys: Capture, stream: str = "out") -> str:
    """What was printed, however wide the terminal is."""
    return " ".join(str(getattr(capsys.readouterr(), stream)).split())


def cleared(target: Path) -> Path:
    with Staging.create(target) as staging:
        staging.write("model.safetensors", safetensors.numpy.save({"x": np.arange(4.0)}))
        staging.publish(HEAD, durable=False)
    return target


def test_a_cleared_copy_is_signed_and_both_checks_hold(tmp_path: Path, capsys: Capture) -> None:
    folder = cleared(tmp_path / "copy")
    key = new_key(tmp_path)
    assert exit_code(["sign", str(folder), "--key", str(key)]) == 0
    assert exit_code(["verify", str(folder)]) == 0
    assert exit_code(["verify", str(folder), "--key", str(key.with_suffix(".pub"))]) == 0
    told = said(capsys)
    assert "2 files signed" in told
    assert "1 file as the manifest says" in told
    assert "2 files as signed by" in told
    other = new_key(tmp_path, "other").with_suffix(".pub")
    assert exit_code(["verify", str(folder), "--key", str(other)]) == 1
    assert "was signed by another key" in said(capsys)


def test_a_changed_copy_is_not_signed_and_a_signed_one_that_changes_is_told(
    tmp_path: Path, capsys: Capture
) -> None:
    folder = cleared(tmp_path / "copy")
    key = new_key(tmp_path)
    assert exit_code(["sign", str(folder), "--key", str(key)]) == 0
    weights = folder / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert exit_code(["verify", str(folder), "--key", str(key)]) == 1
    told = said(capsys)
    assert "another BLAKE3 than the manifest says" in told
    assert "model.safetensors differs from what model.sig signs" in told
    (folder / "model.sig").unlink()
    assert exit_code(["sign", str(folder), "--key", str(key)]) == 1
    assert not (folder / "model.sig").exists()
    assert "is not signed: it is not what was exported" in said(capsys)


def test_a_file_under_the_name_of_a_signature_that_is_none_is_told(
    tmp_path: Path, capsys: Capture
) -> None:
    folder = cleared(tmp_path / "copy")
    (folder / "model.sig").write_bytes(b"\x80\x04.")
    assert exit_code(["verify", str(folder)]) == 1
    (folder / "model.sig").unlink()
    (folder / "safe-load.intoto.jsonl").write_text('{"mediaType":"x"}\n{}\n')
    assert exit_code(["verify", str(folder)]) == 1
    assert "safe-load.intoto.jsonl is no bundle of sigstore" in said(capsys)
    (folder / "safe-load.intoto.jsonl").unlink()
    (folder / "model.sig").symlink_to(MADE / "key.sig")
    assert exit_code(["verify", str(folder)]) == 1


def test_a_folder_without_a_manifest_is_checked_by_its_signature_alone(
    tmp_path: Path, capsys: Capture
) -> None:
    folder = model(tmp_path)
    public = str(MADE / "public.pem")
    assert exit_code(["verify", str(folder), "--key", public]) == 1
    assert "it is not signed: there is no" in said(capsys)
    signature = ["--signature", str(MADE / "key.sig")]
    assert exit_code(["verify", str(folder), "--key", public, *signature]) == 0
    (tmp_path / "trust.toml").write_text(
        f'[[signer]]\nname = "a"\nmethod = "key"\nkey = "{public}"\n'
        f'[[signer]]\nname = "b"\nmethod = "certificate"\ncertificates = ["{MADE}/root.pem"]\n'
        'identity = "signer@models.example"\n'
    )
    trusted = ["verify", str(folder), "--trust", "trust.toml"]
    assert exit_code([*trusted, *signature]) == 0
    assert exit_code([*trusted, "--signer", "a", *signature]) == 0
    assert exit_code([*trusted, "--signer", "b", *signature]) == 1
    signature = ["--signature", str(MADE / "certificate.sig")]
    assert exit_code([*trusted, "--signer", "b", *signature]) == 0
    assert "as signed by b (Example models)" in said(capsys)


def test_the_trust_file_may_come_from_a_variable_and_not_from_a_file_that_is_found(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = model(tmp_path)
    trust = tmp_path / "trust.toml"
    trust.write_text(f'[[signer]]\nname = "a"\nmethod = "key"\nkey = "{MADE}/public.pem"\n')
    asked = ["verify", str(folder), "--signer", "a", "--signature", str(MADE / "key.sig")]
    (tmp_path / "safe-load.toml").write_text('trust = "trust.toml"\n')
    assert exit_code(asked) == 2
    told = said(capsys, "err")
    assert "safe-load.toml: trust = 'trust.toml' is ignored" in told
    monkeypatch.setenv("SAFE_LOAD_TRUST", str(trust))
    assert exit_code(asked) == 0
    monkeypatch.delenv("SAFE_LOAD_TRUST")
    monkeypatch.setenv("SAFE_LOAD_CONFIG", str(tmp_path / "safe-load.toml"))
    assert exit_code(asked) == 0


def test_a_model_of_one_file_is_signed_beside_it(tmp_path: Path) -> None:
    key = new_key(tmp_path)
    (tmp_path / "model.bin").write_text("weights")
    assert exit_code(["sign", "model.bin", "--key", str(key)]) == 0
    assert (tmp_path / "model.bin.sig").is_file()
    assert exit_code(["verify", "model.bin", "--key", str(key)]) == 0
    (tmp_path / "model.bin").write_text("weight5")
    assert exit_code(["verify", "model.bin", "--key", str(key)]) == 1


def test_a_signature_under_another_name_in_the_folder_does_not_sign_itself(tmp_path: Path) -> None:
    folder, key = model(tmp_path), new_key(tmp_path)
    other = str(folder / "other.sig")
    assert exit_code(["sign", str(folder), "--key", str(key), "-o", other]) == 0
    assert exit_code(["verify", str(folder), "--key", str(key), "--signature", other]) == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["sign", "model", "--key", "nix.pem"], "the key nix.pem cannot be read"),
        (["sign", "nix", "--key", "key.pem"], "there is no file or folder nix"),
        (["sign", "model", "--key", "key.pub"], "is not a private key in PEM"),
        (["sign", "model", "--key", "key.pem", "-o", "nix/a.sig"], "cannot be written"),
        (["verify", "nix", "--key", "key.pub"], "there is no file or folder nix"),
        (
            ["verify", "model", "--key", "key.pub", "--signer", "a"],
            "leave --signer and --trust out",
        ),
        (["verify", "model", "--signer", "a"], "name that file by --trust or SAFE_LOAD_TRUST"),
        (["verify", "model", "--signature", "a"], "name who must have signed"),
        (["verify", "model", "--trust", "nix"], "the trust file nix cannot be read"),
    ],
    ids=range(9),
)
def test_what_is_wrong_on_the_command_line_is_code_2_and_one_sentence(
    arguments: list[str], sentence: str, tmp_path: Path, capsys: Capture
) -> None:
    model(tmp_path)
    new_key(tmp_path)
    assert exit_code(arguments) == 2
    told = said(capsys, "err")
    assert sentence in told
    assert told.count("error: ") == 1
    assert not list(tmp_path.glob("model/*.sig"))
