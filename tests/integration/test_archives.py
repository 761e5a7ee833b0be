"""Archives and checkpoints in folders, through the whole of a load: what they hold is exported as their own loaders read it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import torch
from safe_load.core.options import Options
from safe_load.export.verify import verify
from safe_load.loading import pipeline
from safetensors.torch import load_file

from tests.unit.worker.checkpoints import saved
from tests.unit.worker.formats.orbax_checkpoints import WRITTEN as ORBAX
from tests.unit.worker.formats.sevenzips import WRITTEN as SEVENZIPS
from tests.unit.worker.formats.test_archives import DECODER, ENCODER, NEMO, PPO, tarred
from tests.unit.worker.formats.test_opened import zipped

if TYPE_CHECKING:
    from pathlib import Path

    from safe_load.sandbox.backends.interface import Backend

pytestmark = pytest.mark.anyone
MAR = {
    "MAR-INF/MANIFEST.json": b'{"model": {"modelName": "m", "serializedFile": "model.pt"}}',
    "model.pt": saved(ENCODER),
}
TWO = {"enc/model.bin": saved(ENCODER), "dec/model.bin": saved(DECODER)}
#: Name -> bytes, and the tensors of each file of the export.
ARCHIVES = {
    "ppo.zip": (zipped(**PPO), {"ppo": ENCODER}),
    "asr.nemo": (tarred(NEMO), {"asr": ENCODER}),
    "served.mar": (zipped(**MAR), {"served": ENCODER}),
    "two.tar.gz": (tarred(list(TWO.items()), "w:gz"), {"two/enc/model": ENCODER, "two/dec/model": DECODER}),
    "packed.7z": (SEVENZIPS["LZMA2"], {"packed": {"w": torch.arange(6.0).reshape(2, 3)}}),
}  # fmt: skip


def exported(folder: Path) -> dict[str, dict[str, torch.Tensor]]:
    assert verify(folder).ok
    return {
        str(path.relative_to(folder)).removesuffix(".safetensors"): load_file(path)
        for path in folder.rglob("*.safetensors")
    }


def same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> bool:
    return found.keys() == expected.keys() and all(
        torch.equal(found[name], expected[name]) for name in expected
    )


@pytest.mark.parametrize("name", ARCHIVES)
def test_an_archive_is_cleared(name: str, tmp_path: Path, warm_room: Backend) -> None:
    data, expected = ARCHIVES[name]
    (tmp_path / name).write_bytes(data)
    report = pipeline.load(str(tmp_path / name), tmp_path / "out", Options(), backend=warm_room)
    assert (report.outcome, report.verdict) == ("ok", "clean"), report.outcome_detail
    found = exported(tmp_path / "out")
    assert found.keys() == expected.keys()
    assert all(same(found[each], expected[each]) for each in expected)


@pytest.mark.parametrize("kind", ORBAX)
def test_a_checkpoint_of_orbax_is_cleared(kind: str, tmp_path: Path, warm_room: Backend) -> None:
    for name, data in ORBAX[kind].items():
        path = tmp_path / "checkpoint" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    source = str(tmp_path / "checkpoint")
    report = pipeline.load(source, tmp_path / "out", Options(), backend=warm_room)
    assert (report.outcome, report.verdict) == ("ok", "clean"), report.outcome_detail
    assert {file.state for file in report.files} <= {"data", "opened"}
    found = exported(tmp_path / "out")["model"]
    assert torch.equal(found["params.kernel"], torch.arange(12.0).reshape(3, 4))
    assert torch.equal(found["params.bias"], torch.ones(4, dtype=torch.bfloat16))


def test_an_archive_on_standard_input_is_scanned_under_its_own_name() -> None:
    command = (sys.executable, "-m", "safe_load", "scan", "-", "--format", "json")
    for data, code in ((zipped(**PPO), 0), (SEVENZIPS["7-Zip"], 1)):
        done = subprocess.run(command, input=data, capture_output=True, check=False)
        report = json.loads(done.stdout)
        assert (done.returncode, report["source"]["path"]) == (code, "-"), done.stderr
    assert {found["id"] for found in report["findings"]} == {"SL501", "SL505"}


def test_standard_input_is_read_once() -> None:
    command = (sys.executable, "-m", "safe_load", "scan", "-", "-")
    done = subprocess.run(command, input=b"x", capture_output=True, check=False)
    assert done.returncode == 2
    assert b"twice" in done.stderr
