"""A source that somebody trusted has opened already: accepted by what they signed, or rejected, and not opened again.

Zone: controller. The files are hashed and compared with the statement; no room is built.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from safe_load.advisories import judge as advisories
from safe_load.attest import attested, files_beside
from safe_load.attest.attested import NotAccepted
from safe_load.core.installed import need
from safe_load.core.report import FileInfo
from safe_load.core.signed import Attestation
from safe_load.core.version import version
from safe_load.judge.behaviour import finding
from safe_load.rooms.background_io import BackgroundIO

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safe_load.attest.trust import Signer
    from safe_load.core.options import Options
    from safe_load.loading.record import Record
    from safe_load.sources.inventory import Inventory

NOTE = (
    "Nothing was opened here: {who} opened the same files on {time}, and the policy of that run is at least as strict "
    "as the one in force. What was seen then is in the report with the SHA-256 {report}."
)


def signer_of(options: Options) -> Signer | None:
    """Whose attestation is required, None where none is. Raises UsageError for a key that does not read."""
    if options.require_attestation is None:
        return None
    need("cryptography", "safe-load[signing]")
    from safe_load.attest import keys, trust  # noqa: PLC0415 - need the extra

    key = options.require_attestation
    keys.public(key)
    return trust.Signer(key.name, "key", key=key)


def settles(
    record: Record,
    inventory: Inventory,
    signers: Sequence[Signer],
    attester: Signer | None,
    *,
    exporting: bool,
) -> bool:
    """Whether nothing needs to be opened: an attestation was required, and it was accepted or it was not.

    A load opens the source all the same, because it has to make the copy. Raises LimitHit, NotLoadable.
    """
    if attester is None:
        return False
    options = record.options
    deadline = time.monotonic() + (options.timeout or record.profile.limits.timeout)
    digests = BackgroundIO(inventory, record.stages.tell, deadline).digests()
    try:
        found = _accepted(record, inventory, attester, digests)
    except NotAccepted as error:
        record.files = _files(inventory, digests, "not_judged", f"not opened: {error}")
        record.findings.append(
            finding("SL715", f"An attestation by {attester.name} is required, and {error}")
        )
        record.add_signature(inventory, signers)
        return True
    name = str(found[0])
    told = found[1]
    record.attestation = Attestation(name, told.who, told.time, told.report, not exporting)
    if exporting:
        return False
    record.advisories, known = advisories.judge(digests, *record.names)
    record.findings += known
    record.files = _files(inventory, digests, "attested", f"opened by {told.who} on {told.time}")
    record.notes.insert(0, NOTE.format(who=told.who, time=told.time, report=told.report))
    record.add_signature(inventory, signers)
    return True


def _accepted(
    record: Record, inventory: Inventory, attester: Signer, digests: dict[str, str]
) -> tuple[str, attested.Attested]:
    """The name of the file of statements, and the one that is about these files. Raises NotAccepted."""
    lies = files_beside.statements(inventory)
    if lies is None:
        raise NotAccepted("there is none beside it")
    name, place = lies
    found = {path: each for path, each in digests.items() if path not in files_beside.NAMES}
    if inventory.folder and (odd := files_beside.problems(place.parent)):
        raise NotAccepted(odd[0])
    try:
        told = attested.read(place, [attester], found)
    except OSError as error:
        raise NotAccepted(str(error)) from None
    fail_on = record.options.fail_on or record.profile.fail_on
    attested.require(told, record.profile, fail_on, record.options.depth, version())
    return name, told


def _files(inventory: Inventory, digests: dict[str, str], state: str, why: str) -> list[FileInfo]:
    return [
        FileInfo(
            each.path,
            each.size,
            digests[each.path],
            "signature" if each.path in files_beside.NAMES else "unknown",
            "data" if each.path in files_beside.NAMES else state,  # type: ignore[arg-type]
            "a signature or statement, which no loader reads"
            if each.path in files_beside.NAMES
            else why,
        )
        for each in inventory.entries
    ]
