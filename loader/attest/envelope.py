"""Signed statements: a DSSE envelope in a sigstore bundle, read strictly and written.

Zone: controller. DSSE: https://github.com/secure-systems-lab/dsse/blob/v1.0.0/protocol.md. The bundle:
https://github.com/sigstore/protobuf-specs/blob/main/protos/sigstore_bundle.proto, version 0.3, as JSON. Every key of
a bundle is known, base64 has one spelling, and what no signature covers has one value: a changed byte is told.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from safe_load.attest.files_beside import MAX_BYTES
from safe_load.attest.problems import Unreadable
from safe_load.core.escape import visible
from safe_load.worker.strict_json import Malformed, parse

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
#: What a bundle of each method holds besides. sigstore's own is checked by its library.
_MATERIAL: dict[Method, frozenset[str]] = {
    "key": frozenset({"publicKey", "tlogEntries"}),
    "certificate": frozenset({"x509CertificateChain", "tlogEntries"}),
    "sigstore": frozenset({"certificate", "tlogEntries", "timestampVerificationData"}),
}
_MOST_CERTIFICATES = 10

Method = Literal["key", "certificate", "sigstore"]


@dataclass(frozen=True)
class Bundle:
    """One signed payload. method: how it was signed; hint: of a key, the SHA-256 of its PEM, "" where an old bundle
    has none; chain: of a certificate, DER, the signer's own first; raw: the bundle as it was read; where: its name."""

    payload: bytes
    signature: bytes
    method: Method
    hint: str
    chain: tuple[bytes, ...]
    raw: bytes
    where: str


def pae(payload: bytes) -> bytes:
    """What is signed of an in-toto payload: DSSE's pre-authentication encoding."""
    return f"DSSEv1 {len(PAYLOAD_TYPE)} {PAYLOAD_TYPE} {len(payload)} ".encode() + payload


def pae_v0(payload: bytes) -> bytes:
    """What model-signing before 1.0 signed in its place: the payload as Python shows bytes, "DSSEV1" in capitals."""
    shown = f"DSSEV1 {len(PAYLOAD_TYPE)} {PAYLOAD_TYPE} {len(payload)} {payload!r}"
    return shown.encode()


def read(data: bytes, where: str) -> Bundle:
    """One bundle. where: its name, for sentences. Raises Unreadable."""
    stated = _object(data, where, MAX_BYTES)
    media_type = stated.get("mediaType")
    if media_type != MEDIA_TYPE:
        raise Unreadable(
            f"{where} is not a sigstore bundle of version 0.3: its mediaType is {_shown(media_type)}"
        )
    _only(stated, {"mediaType", "verificationMaterial", "dsseEnvelope"}, where)
    material = stated.get("verificationMaterial")
    method: Method
    if isinstance(material, dict) and "publicKey" in material:
        method = "key"
    elif isinstance(material, dict) and "x509CertificateChain" in material:
        method = "certificate"
    elif isinstance(material, dict) and "certificate" in material:
        method = "sigstore"
    else:
        raise Unreadable(f"{where} names neither a key nor a certificate that it was signed with")
    _only(material, _MATERIAL[method], where)
    if method != "sigstore" and material.get("tlogEntries", []) != []:
        raise Unreadable(f"{where} has entries of a log beside a {method}, which nothing checks")
    hint = _hint(material["publicKey"], where) if method == "key" else ""
    chain = _chain(material["x509CertificateChain"], where) if method == "certificate" else ()
    payload, signature = _envelope(stated.get("dsseEnvelope"), where)
    return Bundle(payload, signature, method, hint, chain, data, where)


def read_file(path: Path) -> Bundle:
    """The bundle in a file, its link followed. Raises Unreadable, and OSError."""
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    return read(data, visible(str(path)))


def statement(payload: bytes, where: str) -> dict[str, Any]:
    """The in-toto statement that a payload is: subject, predicateType, predicate. Raises Unreadable."""
    stated = _object(payload, f"the statement in {where}", MAX_BYTES)
    kind = stated.get("_type")
    if kind != STATEMENT_TYPE:
        raise Unreadable(
            f"{where} signs no in-toto statement of version 1: its _type is {_shown(kind)}"
        )
    _only(stated, {"_type", "subject", "predicateType", "predicate"}, where)
    if not isinstance(stated.get("predicateType"), str):
        raise Unreadable(f"the statement in {where} has no predicateType")
    subjects, predicate = stated.get("subject"), stated.get("predicate")
    if not isinstance(subjects, list) or not all(isinstance(each, dict) for each in subjects):
        raise Unreadable(f"the statement in {where} has no list of subjects")
    if not isinstance(predicate, dict):
        raise Unreadable(f"the statement in {where} has no predicate")
    return stated


def encode(payload: bytes, signature: bytes, hint: str) -> bytes:
    """A bundle of what a key signed, on one line, without an end of line."""
    envelope = {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [{"sig": base64.b64encode(signature).decode(), "keyid": ""}],
    }
    material = {"publicKey": {"hint": hint}, "tlogEntries": []}
    return msgspec.json.encode(
        {"mediaType": MEDIA_TYPE, "verificationMaterial": material, "dsseEnvelope": envelope}
    )


def _object(data: bytes, where: str, most: int) -> dict[str, Any]:
    try:
        value = parse(data, where=where, max_bytes=most, max_string=most)
    except Malformed as error:
        raise Unreadable(str(error)) from None
    if not isinstance(value, dict):
        raise Unreadable(f"{where} is not a JSON object")
    return value


def _only(value: Mapping[str, Any], known: set[str] | frozenset[str], where: str) -> None:
    unknown = sorted(value.keys() - known)
    if unknown:
        raise Unreadable(f"{where} has the unknown key {_shown(unknown[0])}")


def _hint(key: Any, where: str) -> str:
    """Of older bundles, rawBytes and keyDetails name the key too; only the user's own copy counts."""
    if not isinstance(key, dict) or not isinstance(key.get("hint") or "", str):
        raise Unreadable(f"{where} names no key that it was signed with")
    _only(key, {"hint", "rawBytes", "keyDetails"}, where)
    return key.get("hint") or ""


def _chain(stated: Any, where: str) -> tuple[bytes, ...]:
    listed = stated.get("certificates") if isinstance(stated, dict) else None
    if not isinstance(listed, list) or not 0 < len(listed) <= _MOST_CERTIFICATES:
        raise Unreadable(f"{where} has no certificate, or more than {_MOST_CERTIFICATES}")
    if any(not isinstance(each, dict) or each.keys() != {"rawBytes"} for each in listed):
        raise Unreadable(f"{where} has a malformed certificate")
    return tuple(_bytes(each["rawBytes"], "a certificate", where) for each in listed)


def _envelope(stated: Any, where: str) -> tuple[bytes, bytes]:
    if not isinstance(stated, dict):
        raise Unreadable(
            f"{where} has no dsseEnvelope: it signs a file and no statement about a model"
        )
    _only(stated, {"payload", "payloadType", "signatures"}, where)
    if stated.get("payloadType") != PAYLOAD_TYPE:
        raise Unreadable(
            f"{where} signs {_shown(stated.get('payloadType'))}, and not {PAYLOAD_TYPE}"
        )
    signatures = stated.get("signatures")
    if (
        not isinstance(signatures, list)
        or len(signatures) != 1
        or not isinstance(signatures[0], dict)
    ):
        raise Unreadable(f"{where} has not exactly one signature")
    _only(signatures[0], {"sig", "keyid"}, where)
    if signatures[0].get("keyid"):
        raise Unreadable(f"{where} has a keyid, which no signature covers")
    return (
        _bytes(stated.get("payload"), "the payload", where),
        _bytes(signatures[0].get("sig"), "the signature", where),
    )


def _bytes(text: Any, what: str, where: str) -> bytes:
    """base64 in its one spelling: none whose last letter has bits that say nothing."""
    try:
        data = base64.b64decode(text, validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise Unreadable(f"{what} of {where} is not base64") from None
    if not data or base64.b64encode(data).decode() != text:
        raise Unreadable(f"{what} of {where} is empty, or base64 in another spelling than usual")
    return data


def _shown(value: object) -> str:
    return visible(repr(value), 100)
