"""Whether the weights were seen before under another publisher's name; and that they were seen now.

Zone: controller. Nothing here may end a load: a database that cannot be used is a note.
"""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from typing import TYPE_CHECKING

from safe_load.core.errors import UsageError
from safe_load.provenance import fingerprints, origin
from safe_load.provenance.fingerprints import Model, Print

if TYPE_CHECKING:
    from safe_load.core.report import Report
    from safe_load.export.extracted import Extracted
    from safe_load.loading.record import Record
    from safe_load.sources.inventory import Inventory


def judge(record: Record, inventory: Inventory, extracted: Extracted) -> None:
    """Compare the weights with those that are kept, and hold them for `keep`."""
    weights = {entry.path for entry in inventory.weights}
    digests = [file.sha256 for file in record.files if file.path in weights]
    if record.origin is None or not digests or None in digests:
        return
    model = Model(
        tuple(digest for digest in digests if digest),
        tuple(
            Print(each.name, each.dtype, each.shape, each.bytes, each.crc32, _bytes(each.sample))
            for file in extracted.files
            if file.name in weights
            for each in file.tensors
            if each.crc32 is not None
        )[: fingerprints.MOST_TENSORS],
    )
    record.model = model
    try:
        matches = fingerprints.match(model, record.origin.publisher)
    except (sqlite3.Error, OSError, UsageError, ValueError):
        record.notes.append(
            "not compared with weights that were seen before: the fingerprints cannot be read"
        )
        return
    young = origin.is_young(record.origin)
    found, notes = fingerprints.judge(matches, record.origin, young=young)
    record.findings += found
    record.notes += notes


def keep(record: Record, report: Report) -> None:
    """Remember the weights of a source on a hub that was opened without a finding."""
    source = report.source
    clean = report.outcome == "ok" and report.verdict == "clean"
    if not clean or record.model is None or source.publisher is None or source.pin is None:
        return
    with suppress(sqlite3.Error, OSError, UsageError):
        fingerprints.keep(record.model, source.publisher, source.pin, report.started)


def _bytes(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""
