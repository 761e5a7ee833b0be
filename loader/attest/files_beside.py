"""The files that safe-load and signers put beside a model: signatures and statements, which no loader reads.

Zone: controller. Standard library and strict JSON only, so that a manifest can be checked without the extra.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from safe_load.core.hashing import open_regular
from safe_load.sources.weight_names import SIGNATURE
from safe_load.worker.strict_json import Malformed, parse

if TYPE_CHECKING:
    from pathlib import Path

    from safe_load.sources.inventory import Inventory

#: Statements of what was loaded and seen: one bundle a line.
STATEMENTS = "safe-load.intoto.jsonl"
NAMES = (SIGNATURE, STATEMENTS)
#: Bytes of one bundle. 10,000 files with the longest of names take 45 MB.
MAX_BYTES = 64 << 20
MAX_LINES = 20


def signature(inventory: Inventory) -> tuple[str, Path] | None:
    """The signature of a source, its name and its place; None where none lies with it."""
    first = inventory.entries[0]
    if not inventory.folder:
        name = f"{first.path}.sig"
        place = first.place.with_name(f"{first.place.name}.sig")
        return (name, place) if place.is_file() else None
    entry = inventory.named(SIGNATURE)
    return (entry.path, entry.place) if entry else None


def statements(inventory: Inventory) -> tuple[str, Path] | None:
    """The statements that lie with a source, their name and their place; None where none do."""
    first = inventory.entries[0]
    if not inventory.folder:
        name = f"{first.path}.intoto.jsonl"
        place = first.place.with_name(f"{first.place.name}.intoto.jsonl")
        return (name, place) if place.is_file() else None
    entry = inventory.named(STATEMENTS)
    return (entry.path, entry.place) if entry else None


def digest(inventory: Inventory) -> str | None:
    """The SHA-256 of the signature and the statements that are not among the source's own files."""
    found = [] if inventory.folder else [signature(inventory), statements(inventory)]
    made = []
    for each in filter(None, found):
        with each[1].open("rb") as file:
            made.append(f"{each[0]} {hashlib.file_digest(file, 'sha256').hexdigest()}")
    return "\n".join(made) or None


def problems(folder: Path) -> list[str]:
    """A sentence for each file of these names that is not what its name says: nothing else may hide there."""
    found = []
    for name in NAMES:
        try:
            for line in lines(folder / name) if (folder / name).exists() else []:
                value = parse(line, where=name, max_bytes=MAX_BYTES, max_string=MAX_BYTES)
                if not isinstance(value, dict) or "mediaType" not in value:
                    found.append(f"{name} is no bundle of sigstore")
        except (Malformed, OSError) as error:
            found.append(str(error))
    return found


def lines(path: Path) -> list[bytes]:
    """The bundles in a file. Raises Malformed, and OSError, also for a link."""
    with open(open_regular(path), "rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise Malformed(f"{path.name} is larger than {MAX_BYTES:,} bytes")
    if path.name == SIGNATURE:
        return [data]
    found = [line for line in data.split(b"\n") if line]
    if len(found) > MAX_LINES:
        raise Malformed(f"{path.name} has more than {MAX_LINES} lines")
    return found
