"""The trust file: what it may say, and the sentence for everything else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from safe_load.attest import trust
from safe_load.core.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

WHOLE = """
[[signer]]
name = "acme"
publisher = "acme/*"
method = "key"
key = "acme.pub"
required = true

[[signer]]
name = "example"
publisher = "example/**"
method = "certificate"
certificates = ["root.pem"]
identity = "models@example.com"

[[signer]]
name = "ci"
method = "sigstore"
identity = "https://ci.example/build.yml@refs/heads/main"
issuer = "https://token.ci.example"
trust-root = "root.json"
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "trust.toml"
    path.write_text(text)
    return path


def test_signers_are_read_with_paths_relative_to_the_file(tmp_path: Path) -> None:
    acme, example, ci = trust.read(written(tmp_path, WHOLE))
    assert (acme.name, acme.method, acme.key, acme.required) == (
        "acme", "key", tmp_path / "acme.pub", True,
    )  # fmt: skip
    assert example.certificates == (tmp_path / "root.pem",)
    assert (ci.issuer, ci.trust_root) == ("https://token.ci.example", tmp_path / "root.json")
    assert not ci.required


def test_a_signer_vouches_for_the_publishers_of_the_pattern(tmp_path: Path) -> None:
    acme, example, ci = trust.read(written(tmp_path, WHOLE))
    assert acme.vouches_for("acme/model")
    assert not acme.vouches_for("acrne/model")
    assert not example.vouches_for("acme/model")
    assert ci.vouches_for("acme/model")
    assert acme.vouches_for()


def test_a_rule_holds_in_any_case_and_for_each_name_of_a_source(tmp_path: Path) -> None:
    file = written(tmp_path, WHOLE)
    acme, *_ = trust.read(file)
    for names in (("ACME/Model",), ("old/model", "Acme/model"), ("acme/model", "new/model")):
        assert acme.requires(*names)
    assert not acme.requires("old/model")
    assert not acme.requires()
    assert not acme.vouches_for("acme/model", "new/model")
    assert trust.bound(file, ["acme/a"]) == trust.bound(file, ["acme/b"])
    assert trust.bound(file, ["acme/a"]) != trust.bound(file, ["org/a"])
    assert trust.bound(None, ["acme/a"]) == []


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "names no signer"),
        ("x = [", "is not TOML"),
        ("signers = []", "has the unknown key 'signers'"),
        ("signer = 1", "write [[signer]]"),
        ('[[signer]]\nname = "a"\nmethod = "pgp"', "'pgp' is not one of key, certificate, sigstore"),
        ('[[signer]]\nname = "a"\nmethod = "key"', "signer[1] lacks key"),
        ('[[signer]]\nmethod = "key"\nkey = "k"', "signer[1] lacks name"),
        (
            '[[signer]]\nname = "a"\nmethod = "key"\nkey = "k"\nissuer = "i"',
            "signer[1] has the unknown key 'issuer'; for the method key, the keys are name, publisher, method, required, key",
        ),
        ('[[signer]]\nname = "a"\nmethod = "key"\nkey = 5', "key: 5 is not a text"),
        ('[[signer]]\nname = "a"\nmethod = "key"\nkey = ""', "key: '' is not a text"),
        ('[[signer]]\nname = "a"\nmethod = "key"\nkey = "k"\nrequired = "no"', "neither true nor"),
        ('[[signer]]\nname = "a"\nmethod = "key"\nkey = "k"\npublisher = "/"', "publisher: the pat"),
        ('[[signer]]\nname = "a"\nmethod = "certificate"\ncertificates = []', "not a list of files"),
        ('[[signer]]\nname = "a"\nmethod = "key"\nkey = "k"\n' * 2, "two signers with the name 'a'"),
    ],
    ids=range(14),
)  # fmt: skip
def test_what_a_trust_file_must_not_say_is_told_with_its_place(
    text: str, sentence: str, tmp_path: Path
) -> None:
    path = written(tmp_path, text)
    with pytest.raises(UsageError) as caught:
        trust.read(path)
    assert sentence in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_name_that_the_file_lacks_is_told_with_those_it_has(tmp_path: Path) -> None:
    path = written(tmp_path, WHOLE)
    with pytest.raises(UsageError, match="names no signer 'acne'; it names acme, example, ci"):
        trust.named(trust.read(path), "acne", path)


def test_a_trust_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        trust.read(tmp_path / "nix.toml")
