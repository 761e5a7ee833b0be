"""The trust file: whose signature counts, for which publishers.

Zone: controller. TOML, named by the user (`--trust`, `SAFE_LOAD_TRUST`, or a configuration file that is believed). One that
is merely found names nobody: it could name whoever brought it.
"""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from safe_load.attest.envelope import Method
from safe_load.attest.problems import Unknown
from safe_load.core.errors import UsageError
from safe_load.core.escape import visible
from safe_load.sources import globs

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from safe_load.attest.envelope import Bundle

_METHODS: tuple[Method, ...] = get_args(Method)
#: Method -> the keys that it needs, and those that it may have.
_KEYS: dict[Method, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "key": (("key",), ()),
    "certificate": (("certificates",), ("identity",)),
    "sigstore": (("identity", "issuer"), ("trust-root",)),
}
_COMMON = ("name", "publisher", "method", "required")
_LARGEST = 1 << 20
_MOST = 1000


@dataclass(frozen=True)
class Signer:
    """Somebody whose signature counts.

    name: what the user calls them; publisher: a pattern of ORG/NAME on a hub, "*" for any; required: whether a source
    of such a publisher must be signed; key, certificates, trust_root: files; identity, issuer: what the certificate
    must say.
    """

    name: str
    method: Method
    publisher: str = "*"
    required: bool = False
    key: Path | None = None
    certificates: tuple[Path, ...] = ()
    identity: str | None = None
    issuer: str | None = None
    trust_root: Path | None = None

    def vouches_for(self, *names: str) -> bool:
        """Whether they may sign for a source with these names, ORG/NAME. A local one has none, since nobody knows its
        publisher: anyone may."""
        return all(map(self._matches, names))

    def requires(self, *names: str) -> bool:
        """Whether a source with one of these names must be signed; a local one only where every source must be."""
        if not names:
            return self.required and self.publisher in ("*", "**")
        return self.required and any(map(self._matches, names))

    def _matches(self, name: str) -> bool:
        """A hub tells no two names apart by case."""
        return globs.compiled(self.publisher.casefold()).fullmatch(name.casefold()) is not None


def read(path: Path) -> tuple[Signer, ...]:
    """The signers of a trust file. Raises UsageError, which names the file, the entry and the key."""
    where = visible(str(path))
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError as error:
        raise UsageError(f"the trust file {where} cannot be read: {error.strerror}") from error
    if len(data) > _LARGEST:
        raise UsageError(f"the trust file {where} is larger than 1 MiB")
    try:
        table = tomllib.loads(data.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"the trust file {where} is not TOML: {error}") from None
    for key in table:
        if key != "signer":
            raise UsageError(
                f"the trust file {where} has the unknown key {key!r}; it holds [[signer]] tables"
            )
    entries = table.get("signer", [])
    if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
        raise UsageError(
            f"the trust file {where}: signer is not a list of tables: write [[signer]]"
        )
    if not 0 < len(entries) <= _MOST:
        raise UsageError(f"the trust file {where} names no signer, or more than {_MOST}")
    signers = [
        _signer(f"{where}: signer[{number}]", each, path.parent)
        for number, each in enumerate(entries, 1)
    ]
    names = [each.name for each in signers]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"the trust file {where} has two signers with the name {name!r}")
    return tuple(signers)


def bound(path: Path | None, names: Sequence[str]) -> list[tuple[str, bool, bool]]:
    """What the names of a source say of its signature: of each signer of a trust file, whether they may sign it, and
    whether it must be signed for their sake. Where this differs, the same bytes may be judged differently. Raises UsageError."""
    signers = () if path is None else read(path)
    return [(each.name, each.vouches_for(*names), each.requires(*names)) for each in signers]


def state(path: Path) -> str:
    """What decides whether a signature counts, but for the day, on which a certificate may end: the trust file, and the
    files that it names. SHA-256, in hex. Raises UsageError."""
    files = [path]
    for each in read(path):
        files += [file for file in (each.key, *each.certificates, each.trust_root) if file]
    digest = hashlib.sha256()
    for file in files:
        digest.update(str(content(file)).encode())
    return digest.hexdigest()


def content(file: Path | None) -> str | None:
    """The SHA-256 of a file of the user's; None of none. Raises UsageError."""
    if file is None:
        return None
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        raise UsageError(f"{visible(str(file))} cannot be read: {error.strerror}") from error


def require_readable(signers: Sequence[Signer]) -> None:
    """Raises UsageError for a key, a certificate or a trust root that does not read, before anything is opened."""
    from safe_load.attest import certificates, keys  # noqa: PLC0415

    for each in signers:
        if each.key is not None:
            keys.public(each.key)
        certificates.roots(each.certificates)
        if each.method == "sigstore":
            from safe_load.attest import identities  # noqa: PLC0415

            identities.require_readable(each.trust_root)


def named(signers: Sequence[Signer], name: str, path: Path) -> Signer:
    """The signer of that name. Raises UsageError."""
    for each in signers:
        if each.name == name:
            return each
    known = ", ".join(each.name for each in signers)
    raise UsageError(f"{path} names no signer {name!r}; it names {known}")


def check(bundle: Bundle, signers: Sequence[Signer]) -> str:
    """Who of these signed, in words.

    Raises:
        Unreadable: The bundle is malformed, expired or of a kind that is not read here.
        Wrong: One of these should have signed it, and the signature does not fit.
        Unknown: None of these did.
    """
    able = [each for each in signers if each.method == bundle.method]
    if not able:
        raise Unknown(
            f"{bundle.where} was signed by the method {bundle.method}, which no trusted signer has"
        )
    doubts: list[Unknown] = []
    for signer in able:
        try:
            return f"{signer.name} ({_check(bundle, signer)})"
        except Unknown as error:
            doubts.append(error)
    if len(doubts) == 1:
        raise doubts[0]
    raise Unknown(f"{bundle.where} was signed by none of {', '.join(each.name for each in able)}")


def _check(bundle: Bundle, signer: Signer) -> str:
    if signer.key is not None:
        from safe_load.attest import keys  # noqa: PLC0415 - each method needs its own library

        key = keys.public(signer.key)
        if bundle.hint and bundle.hint != keys.hint(key):
            raise Unknown(
                f"{bundle.where} was signed by another key: its name begins with "
                f"{visible(bundle.hint[:12], 12)}, the one of {signer.name} with {keys.hint(key)[:12]}"
            )
        keys.require_signed(bundle, key)
        return f"key {keys.hint(key)[:12]}"
    if signer.method == "certificate":
        from safe_load.attest import certificates  # noqa: PLC0415

        trusted = certificates.roots(signer.certificates)
        return certificates.require_signed(bundle, trusted, signer.identity)
    from safe_load.attest import identities  # noqa: PLC0415

    return identities.require_signed(
        bundle, signer.identity or "", signer.issuer or "", signer.trust_root
    )


def _signer(where: str, table: dict[str, Any], folder: Path) -> Signer:
    method = table.get("method")
    if method not in _METHODS:
        raise UsageError(f"{where}: method: {method!r} is not one of {', '.join(_METHODS)}")
    needed, optional = _KEYS[method]
    known = (*_COMMON, *needed, *optional)
    for key in table:
        if key not in known:
            raise UsageError(
                f"{where} has the unknown key {key!r}; for the method {method}, the keys are {', '.join(known)}"
            )
    missing = [key for key in ("name", *needed) if key not in table]
    if missing:
        raise UsageError(f"{where} lacks {', '.join(missing)}")
    required = table.get("required", False)
    if not isinstance(required, bool):
        raise UsageError(f"{where}: required: {required!r} is neither true nor false")
    paths = table.get("certificates", [])
    if not isinstance(paths, list) or ("certificates" in table and not paths):
        raise UsageError(f"{where}: certificates is not a list of files")
    publisher = _text(where, table, "publisher") or "*"
    try:
        globs.compiled(publisher)
    except UsageError as error:
        raise UsageError(f"{where}: publisher: {error}") from None
    own, root = _text(where, table, "key"), _text(where, table, "trust-root")
    return Signer(
        name=_text(where, table, "name") or "",
        method=method,
        publisher=publisher,
        required=required,
        key=folder / own if own else None,
        certificates=tuple(
            folder / (_text(where, {"certificates": each}, "certificates") or "") for each in paths
        ),
        identity=_text(where, table, "identity"),
        issuer=_text(where, table, "issuer"),
        trust_root=folder / root if root else None,
    )


def _text(where: str, table: dict[str, Any], key: str) -> str | None:
    value = table.get(key)
    if key in table and (not isinstance(value, str) or not value or "\0" in value):
        raise UsageError(f"{where}: {key}: {visible(repr(value), 80)} is not a text")
    return value
