"""Several large files are copied at once, each as if it were alone."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
import torch
from safe_load.worker import export, extract
from safetensors.torch import load_file

if TYPE_CHECKING:
    from pathlib import Path


def test_several_large_files_are_copied_whole_and_each_fails_for_itself(tmp_path: Path) -> None:
    """Files above the size from which threads copy; one is cut off behind extraction's back."""
    paths, outputs = [], []
    for number in range(4):
        path = tmp_path / f"{number}.bin"
        torch.save({"weight": torch.full((5 << 20,), float(number))}, path)
        paths.append(path)
        outputs.append(os.open(tmp_path / f"{number}.out", os.O_RDWR | os.O_CREAT))
    files = [
        {"path": str(path), "name": path.name, "output": number}
        for number, path in enumerate(paths)
    ]
    real = export.copy

    def cut(fd: int, start: int, to: int, length: int, *, output: int) -> None:
        if output == outputs[2]:
            os.truncate(paths[2], start + length // 2)
        real(fd, start, to, length, output=output)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "copy", cut)
        results = extract.main({"files": files}, outputs)["files"]
    assert [result["status"] for result in results] == ["ok", "ok", "not_loadable", "ok"]
    assert results[2]["tensors"] == []
    assert os.fstat(outputs[2]).st_size == 0
    for number in (0, 1, 3):
        tensors = load_file(tmp_path / f"{number}.out")
        assert torch.equal(tensors["weight"], torch.full((5 << 20,), float(number)))
    for output in outputs:
        os.close(output)
