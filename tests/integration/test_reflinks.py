"""Where a file system shares blocks between files, an export takes no second copy of the weights."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
import safe_load
import torch
from safe_load.export.verify import verify
from safetensors.torch import load_file, save_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a file system")


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file system of its own that shares blocks."""
    folder = tmp_path_factory.mktemp("disk")
    image, place = folder / "image", folder / "mounted"
    place.mkdir()
    with image.open("wb") as file:
        file.truncate(256 << 20)
    if shutil.which("mkfs.btrfs", path=f"{os.environ['PATH']}:/usr/sbin") is None:
        pytest.skip("btrfs-progs is not installed")
    subprocess.run(["/usr/sbin/mkfs.btrfs", "-q", image], check=True, capture_output=True)
    subprocess.run(["/bin/mount", "-o", "loop", image, place], check=True)
    yield place
    subprocess.run(["/bin/umount", "--lazy", place], check=True)


def _shared(file: Path) -> int:
    """Blocks of 4096 bytes that another file has too."""
    shown = subprocess.run(
        ["/usr/sbin/filefrag", "-v", "-b4096", file], check=True, capture_output=True, text=True
    ).stdout
    return sum(
        int(line.split(":")[3]) for line in shown.splitlines() if "shared" in line.split(":")[-1]
    )


def test_an_export_shares_the_blocks_of_the_weights(disk: Path) -> None:
    weights = {f"layer.{n}.weight": torch.randn(1 << 20) for n in range(4)}
    weights["head.bias"] = torch.randn(1001, dtype=torch.float16)
    for name, save in (("model.safetensors", save_file), ("model.pt", torch.save)):
        save(weights, disk / name)
        os.sync()
        out = disk / f"{name}.cleared"
        safe_load.load(disk / name, out)
        copy = out / "model.safetensors"
        os.sync()
        # A torch zip has other bytes between its tensors: the largest tensor alone lies in whole blocks.
        assert _shared(copy) >= (4 if name == "model.safetensors" else 1) * 1023
        assert not verify(out).problems
        found = load_file(copy)
        assert all(torch.equal(found[key], weights[key]) for key in weights)
