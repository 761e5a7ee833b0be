"""Reads a list of models that are known to be malicious: digests of files, and repositories; signed.

Zone: controller. The list is JSON; its signature is a file beside it, NAME.sig, as `openssl dgst -sha256 -sign key.pem -out
NAME.sig NAME` and cosign's sign-blob write it: of the file's bytes, with a key on a NIST curve or of Ed25519.

    {"schema": "safe-load/known-bad/1", "name": "acme", "made": "2026-11-29", "expires": "2027-02-28",
     "models": [{"sha256": "...", "reason": "..."}, {"repository": "org/name", "reason": "..."}]}
"""

from __future__ import annotations

import base64
import binascii
import re
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated

import msgspec
from safe_load.core import typed
from safe_load.core.errors import UsageError
from safe_load.core.escape import visible
from safe_load.core.installed import need

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = "safe-load/known-bad/1"
MAX_SIZE = 64 << 20
_MAX_SMALL = 64 << 10
_Reason = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
_Short = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
_REPOSITORY = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}", re.ASCII)


class Bad(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One model. sha256: of a file, in hex, or repository: ORG/NAME on the hub. reference: where it is described."""

    reason: _Reason
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")] | None = None
    repository: str | None = None
    reference: _Reason | None = None


class List(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """name: who makes the list; expires: the day from which on it is too old to rely on."""

    schema: str
    name: _Short
    made: date
    expires: date
    models: Annotated[list[Bad], msgspec.Meta(max_length=500_000)]


class WrongSignature(Exception):
    """The signature is not that key's over these bytes. The text is a sentence."""


def is_list(data: bytes) -> bool:
    """Whether the beginning of a file is that of such a list."""
    return SCHEMA.encode() in data[:4096]


def read(path: Path, key: Path | None, today: date | None = None) -> tuple[List, bytes]:
    """The list in a file that the key signed, and the bytes of it. Raises UsageError for a list that is malformed, has
    expired or comes without a key, and WrongSignature."""
    if key is None:
        raise UsageError(f"{path} is a list of models: name the key that signs it, --key PUB.pem")
    data = _bounded(path, MAX_SIZE)
    _require_signed(path, data, key)
    try:
        found = typed.decode(data, List)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(
            f"{path} is no list of known models: {visible(str(error), 200)}"
        ) from error
    if found.schema != SCHEMA:
        raise UsageError(f"{path} has the schema {visible(found.schema, 60)!r}, and not {SCHEMA!r}")
    for number, each in enumerate(found.models, 1):
        if (each.sha256 is None) == (each.repository is None):
            raise UsageError(f"{path}: models[{number}] must have either sha256 or repository")
        if each.repository is not None and not _REPOSITORY.fullmatch(each.repository):
            raise UsageError(
                f"{path}: models[{number}]: {visible(each.repository, 100)!r} is not ORG/NAME"
            )
    today = today or datetime.now(UTC).date()
    if found.expires < today:
        raise UsageError(f"{path} expired on {found.expires.isoformat()}: import a newer list")
    if found.made > today:
        raise UsageError(f"{path} was made on {found.made.isoformat()}, which is still to come")
    return found, data


def _bounded(path: Path, most: int) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    if len(data) > most:
        raise UsageError(f"{path} is larger than {most >> 10:,} KiB, its bound")
    return data


def _require_signed(path: Path, data: bytes, key: Path) -> None:
    need("cryptography", "safe-load[signing]")
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519  # noqa: PLC0415

    try:
        public = serialization.load_pem_public_key(_bounded(key, _MAX_SMALL))
    except (ValueError, UnsupportedAlgorithm):
        raise UsageError(f"{key} is not a public key in PEM") from None
    beside = path.with_name(f"{path.name}.sig")
    signature = _decoded(_bounded(beside, _MAX_SMALL))
    try:
        if isinstance(public, ec.EllipticCurvePublicKey):
            public.verify(signature, data, ec.ECDSA(hashes.SHA256()))
        elif isinstance(public, ed25519.Ed25519PublicKey):
            public.verify(signature, data)
        else:
            raise UsageError(f"the key {key} is neither on a NIST curve nor of Ed25519")
    except InvalidSignature:
        raise WrongSignature(
            f"{beside} is not the signature of {path} by the key {key}: nothing was imported"
        ) from None


def _decoded(signature: bytes) -> bytes:
    """The signature's bytes, whether they are written as they are or in base64."""
    try:
        return base64.b64decode(b"".join(signature.split()), validate=True)
    except (binascii.Error, ValueError):
        return signature
