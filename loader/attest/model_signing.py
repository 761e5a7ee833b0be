"""The OpenSSF model-signing format: which files, with which digests, a signature covers.

Zone: controller. The predicate https://model_signing/signature/v1.0 and, read only, the one of its version 0.2
(https://model_signing/Digests/v0.1), as model_signing 1.1.1 writes and reads them:
https://github.com/sigstore/model-transparency/blob/main/docs/model_signing_format.md
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import msgspec
from safe_load.attest import envelope
from safe_load.attest.problems import Unreadable
from safe_load.core.escape import visible
from safe_load.export.manifest import check_path
from safe_load.worker.strict_json import Malformed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PREDICATE = "https://model_signing/signature/v1.0"
PREDICATE_V0 = "https://model_signing/Digests/v0.1"
#: What no signature covers: of git, as the format's own tool has it.
GIT = (".git", ".gitattributes", ".github", ".gitignore")
MAX_FILES = 10_000
_SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class Covered:
    """What a statement signs. name: of the model, as its signer called it; files: relative path -> SHA-256 in hex;
    ignored: paths that the signer left out."""

    name: str
    files: Mapping[str, str]
    ignored: tuple[str, ...] = field(default=())


def statement(
    name: str, files: Mapping[str, str], ignored: Iterable[str], *, links: bool = False
) -> bytes:
    """The payload that signs these files. files: relative path -> SHA-256, in hex; links: whether some are links."""
    listed = sorted(files.items(), key=lambda item: PurePosixPath(item[0]).parts)
    predicate = {
        "serialization": {
            "method": "files",
            "hash_type": "sha256",
            "allow_symlinks": links,
            "ignore_paths": sorted(ignored),
        },
        "resources": [
            {"name": path, "algorithm": "sha256", "digest": digest} for path, digest in listed
        ],
    }
    return msgspec.json.encode(
        {
            "_type": envelope.STATEMENT_TYPE,
            "subject": [{"name": name, "digest": {"sha256": _root(each for _, each in listed)}}],
            "predicateType": PREDICATE,
            "predicate": predicate,
        }
    )


def read(bundle: envelope.Bundle) -> Covered:
    """What a bundle's statement says. Raises Unreadable, also for a statement about something else."""
    stated = envelope.statement(bundle.payload, bundle.where)
    kind = stated["predicateType"]
    try:
        if kind == PREDICATE:
            return _v1(stated, bundle.where)
        if kind == PREDICATE_V0:
            return _v0(stated, bundle.where)
    except (KeyError, TypeError, AttributeError):
        raise Unreadable(f"the statement in {bundle.where} lacks a part of its kind") from None
    raise Unreadable(
        f"{bundle.where} is no signature of a model: it states {visible(repr(kind), 200)}, and not {PREDICATE}"
    )


def ignores(path: str, ignored: Iterable[str]) -> bool:
    """Whether a path is one of these, or lies below one."""
    return any(path == each or path.startswith(f"{each}/") for each in ignored)


def _v1(stated: dict[str, Any], where: str) -> Covered:
    (subject,) = stated["subject"] if len(stated["subject"]) == 1 else ({},)
    predicate = stated["predicate"]
    serialization = predicate["serialization"]
    if serialization["method"] != "files":
        raise Unreadable(
            f"{where} signs {visible(repr(serialization['method']), 60)} of files; only whole files are read "
            "here: sign the model again without shards"
        )
    resources = predicate["resources"]
    pairs = []
    for each in resources:
        if each["algorithm"] != "sha256":
            raise Unreadable(
                f"{where} signs digests by {visible(repr(each['algorithm']), 60)}, and only sha256 is read here"
            )
        pairs.append((each["name"], each["digest"]))
    files = _files(pairs, where)
    root = subject["digest"]["sha256"]
    if root != _root(files.values()):
        raise Unreadable(f"{where} contradicts itself: its root digest is not the one of its files")
    ignored = serialization.get("ignore_paths", [])
    if not isinstance(ignored, list) or not all(isinstance(each, str) for each in ignored):
        raise Unreadable(f"{where} has a malformed list of ignored paths")
    return Covered(visible(str(subject["name"]), 200), files, tuple(ignored))


def _v0(stated: dict[str, Any], where: str) -> Covered:
    """Each file is a subject of its own there, and the predicate says nothing."""
    pairs = [(each["name"], each["digest"]["sha256"]) for each in stated["subject"]]
    return Covered("", _files(pairs, where), ())


def _files(pairs: list[tuple[Any, Any]], where: str) -> dict[str, str]:
    if len(pairs) > MAX_FILES:
        raise Unreadable(f"{where} signs more than {MAX_FILES:,} files")
    files: dict[str, str] = {}
    for path, digest in pairs:
        if not isinstance(digest, str) or not _SHA256.fullmatch(digest):
            raise Unreadable(f"{where} has a malformed digest")
        try:
            # A model of a single file is signed under the name ".", as the format's own tool has it.
            if path != ".":
                check_path(path)
        except Malformed as error:
            raise Unreadable(f"{where}: {error}") from None
        if path in files:
            raise Unreadable(f"{where} signs {visible(repr(path), 100)} twice")
        files[path] = digest
    return files


def _root(digests: Iterable[str]) -> str:
    whole = hashlib.sha256()
    for digest in digests:
        whole.update(bytes.fromhex(digest))
    return whole.hexdigest()
