"""What the MCP servers of a register offer, by the digests that `safe-load mcp inspect` reports.

Zone: controller. A report is read bounded and typed; its strings may be a server's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from safe_load.core import offers
from safe_load.core.errors import UsageError
from safe_load.core.escape import visible
from safe_load.register.rows import Chain

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from safe_load.core.tool_report import Offer
    from safe_load.register.rows import Row


def load(path: Path) -> list[Offer]:
    """The offers in a saved JSON report. Raises UsageError."""
    found = offers.saved(path, "--offers")
    if not found:
        raise UsageError(f"--offers {path}: it lists nothing that a server offers")
    return found


def attach(chain: Chain, found: Iterable[Offer]) -> tuple[Chain, list[str]]:
    """The register with the digests at the servers' rows, and the names of servers that no row is configured as."""
    held: dict[str, dict[str, str]] = {}
    for offer in found:
        held.setdefault(offer.server, {})[visible(f"{offer.kind} {offer.name}", 200)] = offer.digest
    rows, left = [], set(held)
    for row in chain.rows:
        mine = [
            name for name in held if row.kind == "tool" and f"configured as {name}" in row.reasons
        ]
        left -= set(mine)
        together = {key: digest for name in mine for key, digest in held[name].items()}
        rows.append(msgspec.structs.replace(row, offers=together) if mine else row)
    return Chain(rows), sorted(left)


def carried(old: Chain, new: Chain) -> Chain:
    """The new register with the digests of the old one, where a link is the same version."""
    held = {(row.kind, row.name, row.pin): row.offers for row in old.rows}
    return Chain(
        [
            msgspec.structs.replace(row, offers=held.get((row.kind, row.name, row.pin), {}))
            for row in new.rows
        ]
    )


def not_compared(old: Chain, new: Chain) -> int:
    """How many servers have digests in the committed register and none now."""
    now = {(row.kind, row.name) for row in new.rows if row.offers}
    here = {(row.kind, row.name) for row in new.rows}
    return sum(bool(row.offers) and (row.kind, row.name) in here - now for row in old.rows)


def differences(row: Row, before: Sequence[Row]) -> list[str]:
    """What a server offers now that the committed rows of its name do not vouch for, a sentence each."""
    held = next((each.offers for each in before if each.offers), None)
    if not row.offers or held is None:
        return []
    changed = [key for key, digest in row.offers.items() if key in held and held[key] != digest]
    more = [key for key in row.offers if key not in held]
    return [
        *(
            f"{row.name}: {key} is defined otherwise than in the committed register"
            for key in changed
        ),
        *(
            f"{row.name}: {key} is new: the committed register has no such definition"
            for key in more
        ),
    ]
