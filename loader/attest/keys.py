"""Keys on the curves that the model-signing format takes, out of PEM files of the user's own.

Zone: controller. P-256, P-384 and P-521 with SHA-256, SHA-384 and SHA-512
(https://github.com/sigstore/model-transparency, model_signing/_signing/sign_ec_key.py of 1.1.1).
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from safe_load.attest import envelope
from safe_load.attest.problems import Wrong
from safe_load.core.errors import UsageError
from safe_load.core.escape import visible

if TYPE_CHECKING:
    from pathlib import Path

_HASHES: dict[str, hashes.HashAlgorithm] = {
    "secp256r1": hashes.SHA256(),
    "secp384r1": hashes.SHA384(),
    "secp521r1": hashes.SHA512(),
}
_LARGEST = 64 << 10
_MAKE = "openssl ecparam -name prime256v1 -genkey -noout -out key.pem"


def private(path: Path) -> ec.EllipticCurvePrivateKey:
    """The private key in a PEM file. Raises UsageError."""
    data = pem(path)
    try:
        key = serialization.load_pem_private_key(data, None)
    except TypeError:
        raise UsageError(
            f"the key {path} is encrypted; sign with one that is not: openssl pkey -in {path} -out plain.pem"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise UsageError(f"{path} is not a private key in PEM; `{_MAKE}` makes one") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name not in _HASHES:
        raise UsageError(
            f"the key {path} is on none of P-256, P-384 and P-521; `{_MAKE}` makes one"
        )
    return key


def public(path: Path) -> ec.EllipticCurvePublicKey:
    """The public key in a PEM file; of a private one, its public half. Raises UsageError."""
    data = pem(path)
    if b"PRIVATE KEY-----" in data:
        return private(path).public_key()
    try:
        key = serialization.load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm):
        raise UsageError(
            f"{path} is not a public key in PEM; `openssl ec -in key.pem -pubout -out {path}` writes one"
        ) from None
    return supported(key, str(path))


def supported(key: object, where: str) -> ec.EllipticCurvePublicKey:
    """The same key. Raises UsageError for one of another kind."""
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in _HASHES:
        raise UsageError(f"the key of {where} is on none of P-256, P-384 and P-521")
    return key


def hint(key: ec.EllipticCurvePublicKey) -> str:
    """The name that a bundle has for a key: SHA-256 of its PEM, in hex."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return hashlib.sha256(key.public_bytes(serialization.Encoding.PEM, form)).hexdigest()


def sign(payload: bytes, key: ec.EllipticCurvePrivateKey) -> bytes:
    """A bundle of an in-toto payload, on one line."""
    signature = key.sign(envelope.pae(payload), ec.ECDSA(_HASHES[key.curve.name]))
    return envelope.encode(payload, signature, hint(key.public_key()))


def require_signed(bundle: envelope.Bundle, key: ec.EllipticCurvePublicKey) -> None:
    """Raises Wrong unless that key signed the payload.

    Before its version 1.0, model-signing signed another encoding, and with certificates always by SHA-256.
    """
    with suppress(InvalidSignature):
        return _verify(bundle.signature, envelope.pae(bundle.payload), key, _HASHES[key.curve.name])
    old = hashes.SHA256() if bundle.method == "certificate" else _HASHES[key.curve.name]
    try:
        _verify(bundle.signature, envelope.pae_v0(bundle.payload), key, old)
    except InvalidSignature:
        raise Wrong(
            f"{bundle.where} does not verify: the signature and what it signs do not belong together"
        ) from None


def _verify(
    signature: bytes, data: bytes, key: ec.EllipticCurvePublicKey, by: hashes.HashAlgorithm
) -> None:
    key.verify(signature, data, ec.ECDSA(by))


def pem(path: Path) -> bytes:
    """The content of a file of keys or certificates. Raises UsageError."""
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError as error:
        raise UsageError(
            f"the key {visible(str(path))} cannot be read: {error.strerror}"
        ) from error
    if len(data) > _LARGEST:
        raise UsageError(f"{visible(str(path))} is larger than 64 KiB, and no key is")
    return data
