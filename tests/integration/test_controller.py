"""The process that the user starts opens no model itself: its rooms do."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import torch

if TYPE_CHECKING:
    from pathlib import Path

#: Loads a file, and prints the outcome, the pickled names that this process resolved, and torch.
LOAD = """
import json, sys
resolved = []
sys.addaudithook(lambda event, args: resolved.append(args) if event == "pickle.find_class" else None)
from safe_load.core.options import Options
from safe_load.loading import pipeline
report = pipeline.load(sys.argv[1], sys.argv[2], Options(depth=sys.argv[3]))
print(json.dumps([report.outcome, resolved, sorted({"torch", "transformers"} & set(sys.modules))]))
"""


class Payload:
    def __reduce__(self) -> tuple[object, ...]:
        return exec, ("raise SystemExit",)


@pytest.mark.parametrize(("extra", "outcome"), [(1, "ok"), (Payload(), "rejected")])
def test_the_controller_unpickles_nothing_and_imports_no_torch(
    tmp_path: Path, extra: object, outcome: str
) -> None:
    torch.save({"w": torch.zeros(2), "extra": extra}, tmp_path / "w.bin")
    arguments = [tmp_path / "w.bin", tmp_path / "cleared", "weights"]
    done = subprocess.run(
        [sys.executable, "-c", LOAD, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [outcome, [], []]
