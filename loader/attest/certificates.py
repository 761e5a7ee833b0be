"""Signatures by a certificate whose issuer the user trusts.

Zone: controller. The chain is built and checked by `cryptography`, at the present time: a bundle without a time stamp
does not say when it was signed, so an expired certificate signs nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from safe_load.attest import keys
from safe_load.attest.problems import Unknown, Unreadable
from safe_load.core.errors import UsageError
from safe_load.core.escape import visible

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from safe_load.attest.envelope import Bundle


def roots(paths: Iterable[Path]) -> list[x509.Certificate]:
    """The certificates in PEM files of the user's. Raises UsageError."""
    found: list[x509.Certificate] = []
    for path in paths:
        try:
            found += x509.load_pem_x509_certificates(keys.pem(path))
        except ValueError:
            raise UsageError(f"{visible(str(path))} holds no certificate in PEM") from None
    return found


def require_signed(bundle: Bundle, trusted: list[x509.Certificate], identity: str | None) -> str:
    """The name of the signer, once everything fits.

    Args:
        bundle: Of the method "certificate".
        trusted: The user's own roots.
        identity: A name that the signer's certificate must have; None: any.

    Raises:
        Unreadable: A certificate is malformed or expired, or is not for signing.
        Unknown: The chain ends at none of `trusted`, or the signer has another name.
        Wrong: The signature is not by the certificate's key.
    """
    try:
        own, *between = [x509.load_der_x509_certificate(each) for each in bundle.chain]
        names = _names(own)
    except ValueError:
        raise Unreadable(f"{bundle.where} holds a certificate that does not read") from None
    who = names[0] if names else "a certificate without a name"
    now = datetime.now(UTC)
    if now > own.not_valid_after_utc:
        raise Unreadable(
            f"the certificate in {bundle.where} ({who}) expired on {own.not_valid_after_utc:%Y-%m-%d}"
        )
    if now < own.not_valid_before_utc:
        raise Unreadable(
            f"the certificate in {bundle.where} ({who}) is valid only from {own.not_valid_before_utc:%Y-%m-%d}"
        )
    if not _for_signing(own):
        raise Unreadable(f"the certificate in {bundle.where} ({who}) is not one for signing")
    policy = verification.ExtensionPolicy
    verifier = (
        verification.PolicyBuilder()
        .store(verification.Store(trusted))
        .time(now)
        .extension_policies(ca_policy=policy.webpki_defaults_ca(), ee_policy=policy.permit_all())
        .build_client_verifier()
    )
    try:
        verifier.verify(own, between)
    except verification.VerificationError as error:
        raise Unknown(
            f"the certificate in {bundle.where} ({who}) was issued by nobody who is trusted here: "
            f"{visible(str(error), 200)}"
        ) from None
    try:
        key = keys.supported(own.public_key(), bundle.where)
    except UsageError as error:
        raise Unreadable(str(error)) from None
    keys.require_signed(bundle, key)
    if identity is not None and identity not in names:
        raise Unknown(f"{bundle.where} was signed by {who}, and not by {identity}")
    return who


def _names(certificate: x509.Certificate) -> list[str]:
    """Those that a certificate gives its owner: of the subject, mail addresses, URIs, hosts."""
    found = [
        str(each.value) for each in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    ]
    try:
        named = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return [visible(each, 200) for each in found]
    kinds = (x509.RFC822Name, x509.UniformResourceIdentifier, x509.DNSName)
    found += [name for kind in kinds for name in named.get_values_for_type(kind)]
    return [visible(each, 200) for each in found]


def _for_signing(certificate: x509.Certificate) -> bool:
    """As model-signing asks: the usage digitalSignature, or else the extended usage codeSigning."""
    try:
        if certificate.extensions.get_extension_for_class(x509.KeyUsage).value.digital_signature:
            return True
    except x509.ExtensionNotFound:
        pass
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return False
    return ExtendedKeyUsageOID.CODE_SIGNING in usage
