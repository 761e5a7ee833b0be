"""A file that nobody spoke of is never part of a clean verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from safe_load.export.extracted import Extracted, ExtractedFile
from safe_load.judge import coverage
from safe_load.sources import inventory

if TYPE_CHECKING:
    from pathlib import Path


def _folder(tmp_path: Path) -> inventory.Inventory:
    (tmp_path / "notes.dat").write_bytes(b"\x80\x02.")
    (tmp_path / "README.md").write_text("hello")
    return inventory.take(str(tmp_path), every=True)


def _read(name: str) -> ExtractedFile:
    said = {"name": name, "format": "text", "status": "unsupported", "state": "data"}
    return msgspec.convert(said, ExtractedFile)


def test_a_file_that_extraction_does_not_account_for_is_not_judged(tmp_path: Path) -> None:
    source = _folder(tmp_path)
    (found,) = coverage.unjudged(source, Extracted([_read("README.md")]))
    assert (found.id, found.severity, found.location) == ("SL507", "medium", "notes.dat")


def test_where_every_file_is_accounted_for_nothing_is_found(tmp_path: Path) -> None:
    said = Extracted([_read("README.md"), _read("notes.dat")])
    assert coverage.unjudged(_folder(tmp_path), said) == []


def test_a_room_that_broke_is_its_own_outcome(tmp_path: Path) -> None:
    assert coverage.unjudged(_folder(tmp_path), Extracted([]), complete=False) == []
