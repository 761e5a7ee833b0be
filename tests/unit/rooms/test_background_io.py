"""What the controller does with a model's bytes beside its rooms: whole, of the right file, in time."""

from __future__ import annotations

import hashlib
import os
import time
from typing import TYPE_CHECKING

import msgspec
import pytest
from blake3 import blake3
from safe_load.core.errors import LimitHit, NotLoadable, SandboxError
from safe_load.core.report import Source, Tool
from safe_load.export.manifest import Manifest
from safe_load.export.staging import Staging
from safe_load.rooms.background_io import BackgroundIO
from safe_load.rooms.worker_results import read_extracted
from safe_load.sources import inventory

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from safe_load.core.options import Progress
    from safe_load.export.extracted import Extracted

_DATA = os.urandom(1 << 20)
HEAD = Manifest(
    tool=Tool("safe-load", "0"), policy="p", source=Source("m"), sources=[], files=[], created="now"
)


def quiet(_: Progress) -> None:
    pass


def model(path: Path, files: int = 1) -> inventory.Inventory:
    path.mkdir()
    for number in range(files):
        (path / f"{number}.bin").write_bytes(_DATA)
    return inventory.take(str(path))


def said(inventory: inventory.Inventory, **changed: object) -> Extracted:
    """What a room says that wants each file copied behind a header of 8 bytes."""
    row = {"format": "pickle", "status": "ok", "runs": [(0, 0, 8, len(_DATA))]} | changed
    return read_extracted({"files": [{"name": entry.path} | row for entry in inventory.weights]})


def staged(target: Path, inventory: inventory.Inventory) -> Staging:
    staging = Staging.create(target)
    for entry in inventory.weights:
        os.ftruncate(staging.open_output(entry.export or ""), 8 + len(_DATA))
    return staging


def test_several_files_are_filled_and_the_digest_is_that_of_each_output(tmp_path: Path) -> None:
    inventory = model(tmp_path / "model", files=5)
    with staged(tmp_path / "out", inventory) as staging:
        BackgroundIO(inventory, quiet, time.monotonic() + 60).fill(staging, said(inventory))
        entries = staging.publish(HEAD, durable=False)
    for number in range(5):
        name = f"{number}.safetensors"
        data = (tmp_path / "out" / name).read_bytes()
        assert data == bytes(8) + _DATA
        (digests,) = (entry.digests for entry in entries if entry.path == name)
        assert digests.blake3 == blake3(data).hexdigest()
        assert digests.sha256 is None  # nobody asked for it, and it takes four times as long


def test_what_else_lies_in_the_folder_does_not_keep_the_weights_from_being_copied(
    tmp_path: Path,
) -> None:
    inventory = model(tmp_path / "model")
    beside = {
        "name": ".gitattributes",
        "format": "text",
        "status": "not_loadable",
        "reason": "text",
    }
    files = [*msgspec.to_builtins(said(inventory))["files"], beside]
    with staged(tmp_path / "out", inventory) as staging:
        BackgroundIO(inventory, quiet, time.monotonic() + 60).fill(
            staging, read_extracted({"files": files})
        )
        assert staging.is_filled("0.safetensors")
        staging.publish(HEAD, durable=False)
    assert (tmp_path / "out" / "0.safetensors").read_bytes() == bytes(8) + _DATA


def test_an_output_is_not_filled_before_it_was(tmp_path: Path) -> None:
    inventory = model(tmp_path / "model")
    broken = said(inventory, status="not_loadable", reason="cut off", runs=[])
    with staged(tmp_path / "out", inventory) as staging:
        BackgroundIO(inventory, quiet, time.monotonic() + 60).fill(staging, broken)
        assert not staging.is_filled("0.safetensors")


def test_digests_name_every_file(tmp_path: Path) -> None:
    inventory = model(tmp_path / "model", files=3)
    expected = hashlib.sha256(_DATA).hexdigest()
    digests = BackgroundIO(inventory, quiet, time.monotonic() + 60).digests()
    assert digests == dict.fromkeys(("0.bin", "1.bin", "2.bin"), expected)


def _replaced(path: Path) -> None:
    path.rename(path.with_suffix(".old"))
    path.write_bytes(_DATA)


def _cut(path: Path) -> None:
    os.truncate(path, 100)


@pytest.mark.parametrize(
    ("change", "words"), [(_replaced, "was replaced"), (_cut, "was written to")]
)
def test_a_file_that_is_another_by_now_is_not_exported(
    tmp_path: Path, change: Callable[[Path], None], words: str
) -> None:
    inventory = model(tmp_path / "model")
    with staged(tmp_path / "out", inventory) as staging:
        change(tmp_path / "model" / "0.bin")
        with pytest.raises(NotLoadable, match=f"0.bin {words}"):
            BackgroundIO(inventory, quiet, time.monotonic() + 60).fill(staging, said(inventory))


def test_a_file_that_is_another_by_now_has_no_digest(tmp_path: Path) -> None:
    inventory = model(tmp_path / "model", files=2)
    _replaced(tmp_path / "model" / "1.bin")
    with pytest.raises(NotLoadable, match=r"1.bin was replaced while it was read"):
        BackgroundIO(inventory, quiet, time.monotonic() + 60).digests()


def test_a_file_that_is_written_to_meanwhile_is_not_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inventory = model(tmp_path / "model")
    path = tmp_path / "model" / "0.bin"
    real = Staging.fill

    def fill(staging: Staging, *arguments: object) -> None:
        real(staging, *arguments)  # type: ignore[arg-type]
        with path.open("r+b") as file:
            file.write(b"x")
            os.utime(path, ns=(1, 1))

    monkeypatch.setattr(Staging, "fill", fill)
    with (
        staged(tmp_path / "out", inventory) as staging,
        pytest.raises(NotLoadable, match=r"0.bin was written to"),
    ):
        BackgroundIO(inventory, quiet, time.monotonic() + 60).fill(staging, said(inventory))


def test_runs_that_no_extraction_asks_for_are_the_sandbox_s_trouble(tmp_path: Path) -> None:
    inventory = model(tmp_path / "model")
    with (
        staged(tmp_path / "out", inventory) as staging,
        pytest.raises(SandboxError, match=r"0.bin"),
    ):
        BackgroundIO(inventory, quiet, time.monotonic() + 60).fill(
            staging, said(inventory, runs=[(0, 0, 9, len(_DATA))])
        )


def test_nothing_takes_longer_than_it_may(tmp_path: Path) -> None:
    inventory = model(tmp_path / "model")
    late = BackgroundIO(inventory, quiet, time.monotonic() - 1)
    with staged(tmp_path / "out", inventory) as staging, pytest.raises(LimitHit, match="copying"):
        late.fill(staging, said(inventory))
    with pytest.raises(LimitHit, match="--no-hash"):
        late.digests()


def test_what_is_no_longer_wanted_ends(tmp_path: Path) -> None:
    inventory = model(tmp_path / "model")
    ended = BackgroundIO(inventory, quiet, time.monotonic() + 60)
    ended.end()
    with staged(tmp_path / "out", inventory) as staging, pytest.raises(LimitHit):
        ended.fill(staging, said(inventory))
