"""The signature that lies beside a source: who made it, whether it fits, and what it leaves out.

Zone: controller. Compares the digests that the load took anyway. A signature that nobody can check says nothing, and
one that fits says who, not what: the source is opened all the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from safe_load.attest import envelope, files_beside, folders, model_signing, trust
from safe_load.attest.problems import Unknown, Unreadable, Wrong
from safe_load.core.escape import visible
from safe_load.core.installed import need
from safe_load.core.signed import Signature
from safe_load.judge.behaviour import finding

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from safe_load.attest.trust import Signer
    from safe_load.core.options import Options
    from safe_load.core.report import FileInfo, Finding
    from safe_load.core.signed import SignatureState
    from safe_load.sources.inventory import Inventory

EXTRA = "safe-load[signing]"
#: What no load reads: it may lie beside a signed model unsigned.
_DOCUMENTS = frozenset(".md .rst .pdf .png .jpg .jpeg .gif .svg .webp".split())
_DOCUMENT_NAMES = ("LICENSE", "LICENCE", "NOTICE", "COPYING")


@dataclass
class Judged:
    """What the signature of one source amounts to. signature: None where there is none."""

    signature: Signature | None = None
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def signers_of(options: Options) -> tuple[Signer, ...]:
    """Whose signatures count for these options: nobody's where no trust file is named. Raises UsageError."""
    if options.trust is None:
        return ()
    need("cryptography", EXTRA)
    signers = trust.read(options.trust)
    if any(each.method == "sigstore" for each in signers):
        need("sigstore", EXTRA)
    trust.require_readable(signers)
    return signers


def judge(
    inventory: Inventory,
    files: Sequence[FileInfo],
    signers: Sequence[Signer],
    *,
    names: Sequence[str],
    required: bool,
) -> Judged:
    """Judge the signature of one source.

    Args:
        inventory: The files that were opened.
        files: The same with their digests and states.
        signers: Those of the trust file.
        names: ORG/NAME of a source on a hub, whose other files may not be here, as it was asked for and as the hub calls
            it; none for a local one.
        required: Whether the user asks for a signature, whoever published the source.
    """
    able = [each for each in signers if each.vouches_for(*names)]
    required = required or any(each.requires(*names) for each in signers)
    judged = _judge(inventory, files, able, whole=not names)
    if required and (judged.signature is None or judged.signature.state != "verified"):
        why = judged.signature.detail if judged.signature else "there is no signature beside it"
        judged.findings.append(finding("SL713", f"A signature is required, and {why}"))
    elif required and judged.findings:
        why = "the signature does not fit all of the source: " + judged.findings[0].detail
        judged.findings.append(finding("SL713", f"A signature is required, and {why}"))
    return judged


def _judge(
    inventory: Inventory, files: Sequence[FileInfo], signers: Sequence[Signer], *, whole: bool
) -> Judged:
    lies = files_beside.signature(inventory)
    if lies is None:
        return Judged()
    name, place = lies
    digests = {each.path if inventory.folder else folders.ALONE: each.sha256 for each in files}
    found = {path: each for path, each in digests.items() if each and folders.counts(path)}
    if not found:
        why = f"{visible(name)} was not checked: the files were not hashed"
        return Judged(Signature(visible(name), "not checked", detail=why), notes=[why])
    try:
        with place.open("rb") as file:
            bundle = envelope.read(file.read(files_beside.MAX_BYTES + 1), visible(name))
        covered = model_signing.read(bundle)
    except (Unreadable, OSError) as error:
        return _doubt(name, "unreadable", str(error), "SL714")
    try:
        who = _signer(bundle, signers)
    except Wrong as error:
        return _doubt(name, "wrong", str(error), "SL710")
    except Unreadable as error:
        return _doubt(name, "unreadable", str(error), "SL714")
    except Unknown as error:
        judged = Judged(Signature(visible(name), "unknown signer", detail=str(error)))
        judged.notes.append(f"{error}: the signature proves nothing here")
    else:
        fits = sum(found.get(path) == digest for path, digest in covered.files.items())
        judged = Judged(Signature(visible(name), "verified", who, fits))
    _compare(judged, found, covered.files, files, whole=whole)
    return judged


def _signer(bundle: envelope.Bundle, signers: Sequence[Signer]) -> str:
    if not signers:
        raise Unknown(
            f"who made {bundle.where} was not checked, because no trust file names a signer"
        )
    return trust.check(bundle, signers)


def _doubt(name: str, state: SignatureState, why: str, ident: str) -> Judged:
    signature = Signature(visible(name), state, detail=why)
    return Judged(signature, [finding(ident, why, name)])


def _compare(
    judged: Judged,
    found: Mapping[str, str],
    covered: Mapping[str, str],
    files: Sequence[FileInfo],
    *,
    whole: bool,
) -> None:
    """Add what differs. whole: whether every file of the source is here."""
    signature = judged.signature
    assert signature is not None  # noqa: S101 - _judge made it
    proven = signature.state == "verified"
    difference = folders.compare(found, covered)
    wrong = [*difference.changed, *(difference.missing if whole else ())]
    if wrong:
        told = folders.Difference(difference.changed, difference.missing if whole else (), ())
        place = wrong[0] if len(wrong) == 1 else ""
        judged.findings.append(
            finding(
                "SL711",
                "; ".join(folders.sentences(told, signature.file)),
                place,
                severity="high" if proven else "medium",
            )
        )
    states = {each.path: each.state for each in files}
    matters = [
        path
        for path in difference.uncovered
        if states.get(path) in ("opened", "not_judged") or not _is_document(path)
    ]
    if matters and proven:
        told = folders.Difference((), (), tuple(matters))
        place = matters[0] if len(matters) == 1 else ""
        judged.findings.append(
            finding("SL712", "; ".join(folders.sentences(told, signature.file)), place)
        )
    rest = len(difference.uncovered) - len(matters)
    if rest and proven:
        judged.notes.append(
            f"{signature.file} does not cover {rest} documents, which no load reads"
        )


def _is_document(path: str) -> bool:
    name = PurePosixPath(path)
    return name.suffix.lower() in _DOCUMENTS or name.name.startswith(_DOCUMENT_NAMES)
