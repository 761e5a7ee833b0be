"""Signatures by a sigstore identity, checked offline by sigstore's own library.

Zone: controller. The trust root is the one that the package ships, or a file of the user's; nothing is downloaded.
"""

from __future__ import annotations

import importlib.resources
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import quote

from safe_load.attest.problems import Unknown, Unreadable, Wrong
from safe_load.core.errors import UsageError
from safe_load.core.escape import visible
from sigstore.errors import Error
from sigstore.models import Bundle as SigstoreBundle
from sigstore.models import InvalidBundle, TrustedRoot
from sigstore.verify import Verifier, policy

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography import x509
    from safe_load.attest.envelope import Bundle

#: Whose trust root the package ships, as it names the folder.
_PUBLIC = "https://tuf-repo-cdn.sigstore.dev"


class _Anyone:
    """Takes every certificate that the trust root vouches for: who it names is asked afterwards."""

    def verify(self, cert: x509.Certificate) -> None:
        """Nothing more is asked."""


def require_signed(bundle: Bundle, identity: str, issuer: str, trust_root: Path | None) -> str:
    """The identity of the signer, once everything fits.

    Args:
        bundle: Of the method "sigstore".
        identity: Whom the certificate must name: a mail address or a URI.
        issuer: The OpenID Connect issuer that must have vouched for it.
        trust_root: A trusted root of the user's own; None: the public one.

    Raises:
        Unreadable: The library does not read the bundle.
        Wrong: The signature, the certificate or the log's entry does not fit.
        Unknown: Somebody else signed.
    """
    try:
        read = SigstoreBundle.from_json(bundle.raw)
    except (InvalidBundle, ValueError) as error:
        raise Unreadable(f"{bundle.where} is no bundle of sigstore: {_said(error)}") from None
    try:
        _, payload = _verifier(trust_root).verify_dsse(read, _Anyone())
    except (Error, ValueError) as error:
        raise Wrong(f"{bundle.where} does not verify: {_said(error)}") from None
    if payload != bundle.payload:
        raise Wrong(f"{bundle.where} does not verify: it reads as two different statements")
    try:
        policy.Identity(identity=identity, issuer=issuer).verify(read.signing_certificate)
    except Error as error:
        raise Unknown(f"{bundle.where} was signed by somebody else: {_said(error)}") from None
    return f"{identity} ({issuer})"


def require_readable(trust_root: Path | None) -> None:
    """Raises UsageError for a file that is no trusted root."""
    _verifier(trust_root)


@lru_cache(maxsize=8)
def _verifier(trust_root: Path | None) -> Verifier:
    """Raises UsageError for a file that is no trusted root."""
    shipped = importlib.resources.files("sigstore") / "_store" / quote(_PUBLIC, safe="")
    with importlib.resources.as_file(shipped / "trusted_root.json") as embedded:
        path = trust_root or embedded
        try:
            return Verifier(trusted_root=TrustedRoot.from_file(str(path)))
        except OSError as error:
            raise UsageError(
                f"the trust root {visible(str(path))} cannot be read: {error.strerror}"
            ) from error
        except (Error, ValueError) as error:
            raise UsageError(
                f"{visible(str(path))} is not a trusted root of sigstore: {_said(error)}"
            ) from None


def _said(error: Exception) -> str:
    return visible(str(error), 300)
