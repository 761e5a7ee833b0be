"""A folder or a file on the disk, and the signature that lies with it.

Zone: controller. Reads names, sizes and bytes; opens no file as a model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from safe_load.attest import files_beside, model_signing
from safe_load.core.errors import NotLoadable, UsageError
from safe_load.core.escape import visible
from safe_load.core.hashing import sha256_files
from safe_load.sources import inventory
from safe_load.sources.weight_names import SIGNATURE

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence
    from pathlib import Path

    from safe_load.sources.inventory import Entry, Inventory

#: What no signature covers.
LEFT_OUT = (*model_signing.GIT, *files_beside.NAMES)
#: How a model of one file is named in its signature, as the format's own tool has it.
ALONE = "."


@dataclass(frozen=True)
class Difference:
    """What a folder is, compared with what was signed. changed: other bytes; missing: signed and not there; uncovered:
    there and not signed."""

    changed: tuple[str, ...]
    missing: tuple[str, ...]
    uncovered: tuple[str, ...]


def contents(path: Path) -> Inventory:
    """Every file of a folder, or the one file. Raises NotLoadable, UsageError where nothing is there."""
    if not path.exists():
        raise UsageError(f"there is no file or folder {visible(str(path))}")
    return inventory.take(str(path), every=True)


def digests(stock: Inventory, signature: Path) -> dict[str, str]:
    """Relative path -> SHA-256 of every file but those of git and those that say who signed. Raises NotLoadable.

    signature: where it is or will be, perhaps under another name.
    """
    own = signature.resolve()
    return _digests(
        stock, [each for each in stock.entries if counts(each.path) and each.place != own]
    )


def every(stock: Inventory, but: Container[str]) -> dict[str, str]:
    """Relative path -> SHA-256 of every file but these. A model of one file has its own name. Raises NotLoadable."""
    found = _digests(stock, [each for each in stock.entries if each.path not in but])
    return found if stock.folder else {stock.entries[0].path: found[ALONE]}


def _digests(stock: Inventory, entries: list[Entry]) -> dict[str, str]:
    places = {each.place: each.identity for each in entries}
    try:
        found = sha256_files(places, identities=places)
    except OSError as error:
        raise NotLoadable(visible(str(error))) from error
    return {each.path if stock.folder else ALONE: found[each.place] for each in entries}


def counts(path: str) -> bool:
    """Whether a file is part of the model, and not what signs it, nor git's."""
    return not model_signing.ignores(path, LEFT_OUT)


def signature_of(path: Path) -> Path:
    """Where the signature of a folder or a file is looked for, and put."""
    return path / SIGNATURE if path.is_dir() else path.with_name(f"{path.name}.sig")


def compare(found: Mapping[str, str], covered: Mapping[str, str]) -> Difference:
    """found, covered: relative path -> SHA-256."""
    return Difference(
        tuple(sorted(each for each in found.keys() & covered if found[each] != covered[each])),
        tuple(sorted(covered.keys() - found)),
        tuple(sorted(found.keys() - covered)),
    )


def sentences(difference: Difference, where: str) -> list[str]:
    """One for each kind of difference. where: the name of the signature."""
    told = (
        (difference.changed, "differ from what {} signs", "differs from what {} signs"),
        (difference.missing, "are signed by {} and not there", "is signed by {} and not there"),
        (difference.uncovered, "are not covered by {}", "is not covered by {}"),
    )
    return [
        f"{listed(paths)} {(one if len(paths) == 1 else many).format(where)}"
        for paths, many, one in told
        if paths
    ]


def listed(paths: Sequence[str]) -> str:
    """The first few names, and how many there are besides."""
    shown = ", ".join(visible(each, 200) for each in paths[:5])
    more = len(paths) - 5
    return f"{shown} and {more} more" if more > 0 else shown
