"""Keys, certificates and folders for the tests of signatures, made anew."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HERE = Path(__file__).parent
MADE, UPSTREAM = HERE / "made", HERE / "upstream"


def new_key(folder: Path, name: str = "key", curve: ec.EllipticCurve | None = None) -> Path:
    """A private key in a PEM file, its public half beside it as NAME.pub."""
    key = ec.generate_private_key(curve or ec.SECP256R1())
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    path = folder / f"{name}.pem"
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, *form))
    kind = serialization.PublicFormat.SubjectPublicKeyInfo
    path.with_suffix(".pub").write_bytes(
        key.public_key().public_bytes(serialization.Encoding.PEM, kind)
    )
    return path


def certificate(
    key: ec.EllipticCurvePrivateKey, days: int = 30, *, signs: bool = True
) -> x509.Certificate:
    """One that its own owner issued, valid from 60 days ago for as long as that and `days` more."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Example models")])
    now = datetime.now(UTC)
    usage = x509.KeyUsage(signs, False, False, False, False, True, False, False, False)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=60))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def model(folder: Path) -> Path:
    """The folder that the bundles in `made` sign."""
    (folder / "model" / "sub").mkdir(parents=True)
    (folder / "model" / "config.json").write_text('{"model_type": "bert"}')
    (folder / "model" / "sub" / "weights.bin").write_text("weights")
    return folder / "model"
