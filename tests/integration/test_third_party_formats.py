"""A format that another package brings is read in the room, with that package and nothing else of it outside."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from safe_load.core.options import Options
from safe_load.rooms import choice, jobs
from safe_load.rooms.results import extracted
from safe_load.sources import inventory

if TYPE_CHECKING:
    from pathlib import Path

FORMAT = """
from safe_load.worker.formats.interface import Content, Format
from safe_load.worker.refusal import RefusedError
from safe_load.worker.spans import Span
from safe_load.worker.tensors import places


class Ledger(Format):
    name, called, loader = "ledger", "a ledger of numbers", "ledgers.open"

    def recognise(self, file):
        return file.head.startswith(b"LEDGER1")

    def read(self, file, reading):
        count = int.from_bytes(file.read(7, 1), "little")
        span = Span(file.span.source, file.span.offset + 8, 4 * count)
        if 8 + 4 * count != file.size:
            raise RefusedError("its numbers end elsewhere")
        return places.content({"numbers": places.tensor("float32", (count,), span)}, self.name, reading)
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package with the entry point, as pip would leave it."""
    site = tmp_path / "site"
    info = site / "ledgers-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "ledgers.py").write_text(FORMAT)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: ledgers\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[safe_load.formats]\nledger = ledgers:Ledger\n")
    (info / "RECORD").write_text("ledgers.py,,\nledgers-1.0.dist-info/METADATA,,\n")
    monkeypatch.syspath_prepend(site)


@pytest.mark.usefixtures("installed")
def test_a_package_brings_a_format_by_an_entry_point(tmp_path: Path) -> None:
    path = tmp_path / "model.ledger"
    path.write_bytes(b"LEDGER1\2" + bytes.fromhex("0000803f00000040"))
    options = Options()
    backend = choice.backend_of(options, choice.profile_of(options))
    job = jobs.extraction_job(inventory.take(str(path)), None, options)
    (file,) = extracted(backend.run(job)).files
    assert (file.format, file.state, file.reason) == ("ledger", "data", None)
    assert [(tensor.name, tensor.dtype, tensor.shape) for tensor in file.tensors] == [
        ("numbers", "F32", (2,))
    ]
    assert "ledgers" not in sys.modules  # the controller never imports it
