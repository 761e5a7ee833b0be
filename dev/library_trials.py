"""Load checkpoints with the libraries that people use, by these libraries' own calls, in a guarded block.

    python -m dev.library_trials               # every library that is installed here: rows of docs/compatibility.md
    python -m dev.library_trials timm          # one of them
    python -m dev.library_trials --check timm  # also fail where the row in docs/compatibility.md says something else

Each trial writes a checkpoint with the library, loads it in `safe_load.guard()` and from a cleared copy, and compares.
Trials that are named share one process and its warm sandbox. Zone: none; a library runs here with its own code, on
files that this program wrote. `make trials` installs the libraries into an environment of their own, and checks.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import warnings
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from dev.trials import (
    TRIALS,
    complete_torchvision,
    formats,
    generation,
    language,
    room,
    training,
    vision,
)

__all__ = ["TRIALS", "formats", "generation", "installed", "language", "training", "vision"]

_TABLE = Path(__file__).parents[1] / "docs" / "compatibility.md"


def installed() -> list[str]:
    """The distributions whose trials can run here."""
    return [name for name, (module, _, _) in TRIALS.items() if find_spec(module.partition(".")[0])]


def row(name: str) -> str:
    """Run one trial. Returns its row of the table."""
    module, calls, function = TRIALS[name]
    if find_spec(module.partition(".")[0]) is None:
        raise SystemExit(f"{name} is not installed: run make trials")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SAFE_LOAD_HOME"] = str(Path(folder, "cache"))
        said = function(Path(folder))
    return f"| {name} {metadata.version(name)} | {calls} | {said} |"


def main() -> int:
    """Print the rows. Returns how many trials failed, or how many rows are not in the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", metavar="NAME", help="of a library, or whole")
    parser.add_argument("--check", action="store_true")
    asked = parser.parse_args()
    if not asked.names:
        return _each_by_itself(installed())
    if asked.names == ["whole"]:
        return _each_by_itself(list(TRIALS), *(["--check"] if asked.check else []))
    if unknown := [name for name in asked.names if name not in TRIALS]:
        parser.error(f"no trial of {', '.join(unknown)}; there are {', '.join(TRIALS)}")
    warnings.simplefilter("ignore")
    complete_torchvision()
    quiet = {
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "TRANSFORMERS_VERBOSITY": "error",
        "DIFFUSERS_VERBOSITY": "error",
    }
    os.environ |= {"HF_HUB_OFFLINE": "1", **quiet}
    table = _TABLE.read_text("utf-8").splitlines()
    wrong = 0
    try:
        for name in asked.names:
            began = time.monotonic()
            made = row(name)
            sys.stdout.write(f"{made}\n")
            sys.stderr.write(f"{name}: {time.monotonic() - began:.1f} s\n")
            if asked.check and made not in table:
                wrong += 1
                sys.stderr.write(f"{name}: docs/compatibility.md has another row\n")
    finally:
        room().release()
    return wrong


def _each_by_itself(names: list[str], *options: str) -> int:
    """A library may change what another one does in the same process."""
    failed = 0
    for name in names:
        command = (sys.executable, "-m", "dev.library_trials", *options, name)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        rows = [line for line in done.stdout.splitlines() if line.startswith("| ")]
        sys.stdout.write("".join(f"{line}\n" for line in rows))
        if done.returncode:
            sys.stderr.write(f"{name}: {done.stderr[-2000:]}\n")
        failed += done.returncode != 0
    return failed


if __name__ == "__main__":
    raise SystemExit(main())
