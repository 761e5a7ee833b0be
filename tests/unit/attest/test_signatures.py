"""Signatures in the OpenSSF model-signing format: genuine ones are accepted, everything else is told apart."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from safe_load.attest import envelope, folders, keys, model_signing, trust
from safe_load.attest.problems import Unknown, Unreadable, Wrong
from safe_load.attest.trust import Signer
from safe_load.core.errors import UsageError

from tests.unit.attest.signed import MADE, UPSTREAM, certificate, model, new_key

if TYPE_CHECKING:
    from pathlib import Path

KEY = Signer("made", "key", key=MADE / "public.pem")
ROOT = Signer("root", "certificate", certificates=(MADE / "root.pem",))
UPSTREAM_IDENTITY = "stefanb@us.ibm.com"
UPSTREAM_ISSUER = "https://sigstore.verify.ibm.com/oauth2"
IDENTITY = Signer("up", "sigstore", identity=UPSTREAM_IDENTITY, issuer=UPSTREAM_ISSUER)


def bundle(path: Path) -> envelope.Bundle:
    return envelope.read_file(path)


def upstream_chain(tmp_path: Path) -> tuple[Path, Path]:
    """The upstream tests' issuing certificate and the signer's key, out of a bundle that holds both."""
    own, issuer = map(
        x509.load_der_x509_certificate, bundle(UPSTREAM / "v0.2.0-certificate.sig").chain
    )
    (tmp_path / "ca.pem").write_bytes(issuer.public_bytes(serialization.Encoding.PEM))
    key = own.public_key()
    kind = serialization.PublicFormat.SubjectPublicKeyInfo
    (tmp_path / "key.pub").write_bytes(key.public_bytes(serialization.Encoding.PEM, kind))
    return tmp_path / "ca.pem", tmp_path / "key.pub"


def differences(folder: Path, signature: Path) -> list[str]:
    found = folders.digests(folders.contents(folder), signature)
    return folders.sentences(
        folders.compare(found, model_signing.read(bundle(signature)).files), signature.name
    )


@pytest.mark.parametrize(("name", "signer"), [("key", KEY), ("certificate", ROOT)])
def test_what_the_formats_own_tool_signed_is_accepted(
    name: str, signer: Signer, tmp_path: Path
) -> None:
    assert trust.check(bundle(MADE / f"{name}.sig"), [signer]).startswith(signer.name)
    assert differences(model(tmp_path), MADE / f"{name}.sig") == []


def test_a_model_of_one_file_is_accepted(tmp_path: Path) -> None:
    trust.check(bundle(MADE / "alone.sig"), [KEY])
    assert differences(model(tmp_path) / "sub" / "weights.bin", MADE / "alone.sig") == []


def test_the_upstream_projects_own_bundles_verify_offline(tmp_path: Path) -> None:
    ca, key = upstream_chain(tmp_path)
    folder = tmp_path / "v1"
    folder.mkdir()
    (folder / "signme-1").write_text("signme-1\n")
    (folder / "signme-2").write_text("signme-2")
    trust.check(bundle(UPSTREAM / "v1.1.0-elliptic-key.sig"), [Signer("up", "key", key=key)])
    assert differences(folder, UPSTREAM / "v1.1.0-elliptic-key.sig") == []
    (folder / "signme-1").write_text("signme-1")
    signer = Signer("up", "certificate", certificates=(ca,), identity="intermediate-ca")
    trust.check(bundle(UPSTREAM / "v0.2.0-certificate.sig"), [signer])
    assert differences(folder, UPSTREAM / "v0.2.0-certificate.sig") == []
    said = trust.check(bundle(UPSTREAM / "v1.1.0-sigstore.sig"), [IDENTITY])
    assert said == f"up ({UPSTREAM_IDENTITY} ({UPSTREAM_ISSUER}))"
    assert differences(folder, UPSTREAM / "v1.1.0-sigstore.sig") == []


def test_sigstore_with_another_identity_or_another_trust_root_is_unknown(tmp_path: Path) -> None:
    signed = bundle(UPSTREAM / "v1.1.0-sigstore.sig")
    for other in (
        Signer("other", "sigstore", identity="a@models.example", issuer=UPSTREAM_ISSUER),
        Signer("other", "sigstore", identity=UPSTREAM_IDENTITY, issuer="https://other.example"),
    ):
        with pytest.raises(Unknown, match="was signed by somebody else"):
            trust.check(signed, [other])
    broken = tmp_path / "root.json"
    broken.write_text("{}")
    own = Signer(
        "own", "sigstore", identity=UPSTREAM_IDENTITY, issuer=UPSTREAM_ISSUER, trust_root=broken
    )
    with pytest.raises(UsageError, match="is not a trusted root of sigstore"):
        trust.check(signed, [own])


@pytest.mark.parametrize("part", ["payload", "sig", "certificate", "signedEntryTimestamp"])
def test_a_changed_part_of_a_sigstore_bundle_is_told(part: str) -> None:
    text = (UPSTREAM / "v1.1.0-sigstore.sig").read_text()
    marks = {"certificate": '"rawBytes":"'}
    at = text.index(marks.get(part, f'"{part}":"')) + len(marks.get(part, f'"{part}":"')) + 60
    changed = text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]
    with pytest.raises((Wrong, Unreadable)):
        trust.check(envelope.read(changed.encode(), "model.sig"), [IDENTITY])


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()])
def test_what_is_signed_here_verifies(curve: ec.EllipticCurve, tmp_path: Path) -> None:
    key = keys.private(new_key(tmp_path, curve=curve))
    payload = model_signing.statement("m", {"a/b": "0" * 64, "a.b": "1" * 64}, ["model.sig"])
    signed = envelope.read(keys.sign(payload, key), "model.sig")
    trust.check(signed, [Signer("me", "key", key=tmp_path / "key.pub")])
    covered = model_signing.read(signed)
    assert covered.files == {"a/b": "0" * 64, "a.b": "1" * 64}
    assert (covered.name, covered.ignored) == ("m", ("model.sig",))


def test_sigstores_own_types_read_what_is_signed_here(tmp_path: Path) -> None:
    from sigstore import dsse
    from sigstore_models.bundle.v1 import Bundle

    key = keys.private(new_key(tmp_path))
    payload = model_signing.statement("m", {"weights.bin": "0" * 64}, ["model.sig"])
    data = keys.sign(payload, key)
    read = Bundle.from_json(data)
    assert read.verification_material.public_key is not None
    assert read.verification_material.public_key.hint == keys.hint(key.public_key())
    assert read.dsse_envelope is not None
    assert dsse._verify(key.public_key(), dsse.Envelope(read.dsse_envelope)) == payload
    dsse.Statement(payload)


def test_every_changed_byte_of_a_bundle_is_told(tmp_path: Path) -> None:
    key = keys.private(new_key(tmp_path))
    me = Signer("me", "key", key=tmp_path / "key.pub")
    files = {"weights.bin": "0" * 64}
    data = keys.sign(model_signing.statement("m", files, ["model.sig"]), key)
    trust.check(envelope.read(data, "model.sig"), [me])
    for place in range(len(data)):
        for bit in (0, 5):
            changed = bytearray(data)
            changed[place] ^= 1 << bit
            with pytest.raises((Wrong, Unreadable, Unknown)):
                trust.check(envelope.read(bytes(changed), "model.sig"), [me])


def test_changed_missing_and_uncovered_files_are_told_apart(tmp_path: Path) -> None:
    folder = model(tmp_path)
    (folder / "config.json").write_text('{"model_type": "Bert"}')
    (folder / "sub" / "weights.bin").unlink()
    (folder / "more.bin").write_text("")
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_text("")
    (folder / "model.sig").write_bytes((MADE / "key.sig").read_bytes())
    assert differences(folder, MADE / "key.sig") == [
        "config.json differs from what key.sig signs",
        "sub/weights.bin is signed by key.sig and not there",
        "more.bin is not covered by key.sig",
    ]


def test_another_key_is_unknown_and_the_same_key_with_another_statement_wrong(
    tmp_path: Path,
) -> None:
    new_key(tmp_path)
    other = Signer("other", "key", key=tmp_path / "key.pub")
    signed = bundle(MADE / "key.sig")
    with pytest.raises(Unknown, match="signed by another key: its name begins with"):
        trust.check(signed, [other])
    with pytest.raises(Unknown, match="none of other, again"):
        trust.check(signed, [other, Signer("again", "key", key=tmp_path / "key.pub")])
    assert trust.check(signed, [other, KEY]).startswith("made (key ")
    with pytest.raises(Unknown, match="by the method key, which no trusted signer has"):
        trust.check(signed, [ROOT])
    grafted = json.loads((MADE / "key.sig").read_text())
    payload = base64.b64decode(grafted["dsseEnvelope"]["payload"]).replace(b"weights", b"weight5")
    grafted["dsseEnvelope"]["payload"] = base64.b64encode(payload).decode()
    with pytest.raises(Wrong, match="do not belong together"):
        trust.check(envelope.read(json.dumps(grafted).encode(), "model.sig"), [KEY])


def by_certificate(tmp_path: Path, days: int = 30, *, signs: bool = True) -> envelope.Bundle:
    """A bundle signed by a certificate whose own PEM is root.pem."""
    path = new_key(tmp_path)
    key = keys.private(path)
    made = certificate(key, days, signs=signs)
    (tmp_path / "root.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    stated = json.loads(keys.sign(model_signing.statement("m", {"w": "0" * 64}, []), key))
    raw = base64.b64encode(made.public_bytes(serialization.Encoding.DER)).decode()
    stated["verificationMaterial"] = {"x509CertificateChain": {"certificates": [{"rawBytes": raw}]}}
    return envelope.read(json.dumps(stated).encode(), "model.sig")


def test_a_certificate_must_be_valid_now_for_signing_and_of_a_trusted_issuer(
    tmp_path: Path,
) -> None:
    signed = by_certificate(tmp_path)
    own = Signer("own", "certificate", certificates=(tmp_path / "root.pem",))
    assert trust.check(signed, [own]) == "own (Example models)"
    with pytest.raises(Unknown, match="was issued by nobody who is trusted here"):
        trust.check(signed, [ROOT])
    named = Signer("n", "certificate", certificates=own.certificates, identity="Other models")
    with pytest.raises(Unknown, match="was signed by Example models, and not by Other models"):
        trust.check(signed, [named])
    with pytest.raises(Unreadable, match=r"\(Example models\) expired on 20"):
        trust.check(by_certificate(tmp_path, days=-1), [own])
    with pytest.raises(Unreadable, match="is not one for signing"):
        trust.check(by_certificate(tmp_path, signs=False), [own])


def changed(**parts: Any) -> bytes:
    stated = json.loads((MADE / "key.sig").read_text())
    for name, value in parts.items():
        stated[name] = value
    return json.dumps(stated).encode()


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "not JSON"),
        (b"[]", "is not a JSON object"),
        (b"\xff", "not UTF-8"),
        (b"{}", "is not a sigstore bundle of version 0.3: its mediaType is None"),
        (
            changed(mediaType="application/vnd.dev.sigstore.bundle+json;version=0.1"),
            "is not a sigstore bundle of version 0.3: its mediaType is 'application/vnd.dev.sigstore.bundle+json;",
        ),
        (changed(more=1), "has the unknown key 'more'"),
        (changed(verificationMaterial={}), "names neither a key nor a certificate"),
        (changed(verificationMaterial={"publicKey": 1}), "names no key that it was signed with"),
        (
            changed(verificationMaterial={"publicKey": {}, "tlogEntries": [{}]}),
            "has entries of a log beside a key, which nothing checks",
        ),
        (
            changed(verificationMaterial={"x509CertificateChain": {"certificates": []}}),
            "has no certificate, or more than 10",
        ),
        (changed(dsseEnvelope=None), "it signs a file and no statement about a model"),
        (changed(dsseEnvelope={"payloadType": "text/plain"}), "signs 'text/plain', and not app"),
    ],
    ids=range(12),
)
def test_a_malformed_bundle_is_one_sentence_that_names_the_fault(
    data: bytes, sentence: str
) -> None:
    with pytest.raises(Unreadable) as caught:
        envelope.read(data, "model.sig")
    assert sentence in str(caught.value)
    assert "model.sig" in str(caught.value)
    assert "\n" not in str(caught.value)


def stated(tmp_path: Path, **parts: Any) -> envelope.Bundle:
    """A well signed statement with these parts changed."""
    value = json.loads(model_signing.statement("m", {"w": "0" * 64}, []))
    for name, part in parts.items():
        value[name] = value[name] | part if isinstance(part, dict) else part
    return envelope.read(
        keys.sign(json.dumps(value).encode(), keys.private(new_key(tmp_path))), "model.sig"
    )


RESOURCE = {"name": "w", "algorithm": "sha256", "digest": "0" * 64}


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        ({"_type": "https://in-toto.io/Statement/v0.1"}, "signs no in-toto statement of version 1"),
        ({"predicateType": "https://slsa.dev/provenance/v1"}, "is no signature of a model"),
        ({"subject": []}, "lacks a part of its kind"),
        ({"subject": 5}, "has no list of subjects"),
        ({"subject": [{"name": "m", "digest": {"sha256": "0" * 64}}]}, "contradicts itself"),
        ({"predicate": {"resources": [RESOURCE, RESOURCE]}}, "signs 'w' twice"),
        ({"predicate": {"resources": [RESOURCE | {"name": "../w"}]}}, "not a plain relative path"),
        ({"predicate": {"resources": [RESOURCE | {"digest": "0"}]}}, "has a malformed digest"),
        ({"predicate": {"resources": [{}]}}, "lacks a part of its kind"),
        ({"predicate": {"resources": None}}, "lacks a part of its kind"),
        ({"predicate": {"serialization": {"method": "files", "ignore_paths": 1}}}, "ignored paths"),
    ],
    ids=range(11),
)
def test_a_malformed_statement_is_one_sentence_that_names_the_fault(
    parts: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(Unreadable) as caught:
        model_signing.read(stated(tmp_path, **parts))
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("blake3", "digests by 'blake3', and only sha256"), ("shards", "only whole files are read")],
)
def test_forms_that_are_not_read_here_are_named(name: str, sentence: str) -> None:
    signed = bundle(MADE / f"{name}.sig")
    trust.check(signed, [KEY])
    with pytest.raises(Unreadable, match=sentence):
        model_signing.read(signed)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is not a private key in PEM"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "not a private key"),
        (b"x" * (64 << 10) + b"x", "is larger than 64 KiB, and no key is"),
    ],
    ids=["empty", "broken", "large"],
)
def test_a_key_that_does_not_read_is_told(content: bytes, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_bytes(content)
    with pytest.raises(UsageError, match=sentence):
        keys.private(tmp_path / "key.pem")


def test_an_encrypted_key_and_one_of_another_kind_are_told(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric import ed25519

    form = serialization.PrivateFormat.PKCS8
    path = tmp_path / "key.pem"
    own = ec.generate_private_key(ec.SECP256R1())
    locked = serialization.BestAvailableEncryption(b"secret")
    path.write_bytes(own.private_bytes(serialization.Encoding.PEM, form, locked))
    with pytest.raises(UsageError, match="is encrypted"):
        keys.private(path)
    other = ed25519.Ed25519PrivateKey.generate()
    plain = serialization.NoEncryption()
    path.write_bytes(other.private_bytes(serialization.Encoding.PEM, form, plain))
    with pytest.raises(UsageError, match="on none of P-256, P-384 and P-521"):
        keys.private(path)
    koblitz = ec.generate_private_key(ec.SECP256K1())
    path.write_bytes(koblitz.private_bytes(serialization.Encoding.PEM, form, plain))
    with pytest.raises(UsageError, match="on none of P-256, P-384 and P-521"):
        keys.public(path)
