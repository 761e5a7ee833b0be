"""What is measured: the unsafe loads that people run today, ours, and the scanners of others."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import measure, ways
from benchmarks.peers import ANSWERS, PEERS

if TYPE_CHECKING:
    from benchmarks.measure import Command
    from benchmarks.ways import Way

HERE = Path(__file__).resolve().parent
PYTHON = sys.executable
SAFE_LOAD = Path(sys.executable).parent / "safe-load"

UNSAFE_SAVE = "unsafe `torch.load` + `save_file`"
UNSAFE_MODEL = "unsafe `AutoModel.from_pretrained`"
COLD_SCAN, COLD_LOAD = "cold `safe-load scan`", "cold `safe-load load`"
AGAIN_SCAN, AGAIN_LOAD = "unchanged `safe-load scan`", "unchanged `safe-load load`"


def make(kind: str, folder: Path, size: int) -> None:
    """Write a model of benchmarks.models to the new `folder`."""
    measure.run([PYTHON, "-m", "benchmarks.models", kind, folder, str(size)])


def unsafe_save(files: list[Path], out: Path, *options: str) -> Way:
    label = f"{UNSAFE_SAVE}{', mmap' if options else ''}"
    return ways.fresh(label, [PYTHON, HERE / "unsafe" / "load_and_save.py", out, *files, *options])


def weights_only(files: list[Path]) -> Way:
    label = "`torch.load(weights_only=True)`, nothing saved"
    return ways.fresh(label, [PYTHON, HERE / "unsafe" / "load_weights_only.py", *files])


def from_pretrained(folder: Path) -> Way:
    return ways.fresh(UNSAFE_MODEL, [PYTHON, HERE / "unsafe" / "from_pretrained.py", folder])


def traced(files: list[Path], out: Path) -> list[Way]:
    """The unsafe load with strace recording it; nothing where strace is not installed."""
    strace = shutil.which("strace")
    if strace is None:
        return []
    command: Command = [PYTHON, HERE / "unsafe" / "load_and_save.py", out, *files]
    return [
        ways.fresh(
            "unsafe `torch.load` + `save_file` under `strace --seccomp-bpf -f`",
            [strace, "--seccomp-bpf", "-f", "-o", "/dev/null", *command],
        )
    ]


def copy(source: Path, out: Path) -> Way:
    return ways.fresh("`cp`", ["cp", "-r", source, out])


def safe(verb: str, source: Path, out: Path, *options: str) -> Way:
    """verb: "scan" or "load"; safe-load in a fresh process."""
    label = f"cold `{' '.join(('safe-load', verb, *options))}`"
    report = out.with_name("report.json")
    return ways.fresh(label, _command(verb, source, out, "--no-cache", *options), report=report)


def unchanged(verb: str, source: Path, kept: Path) -> Way:
    """The same command once more: the record of the first run answers. kept: where `load` exports to."""
    command = _command(verb, source, kept)
    again = ways.fresh(f"unchanged `safe-load {verb}`", command)
    ran = False

    def once(memory: measure.Memory | None) -> ways.Sample:
        nonlocal ran
        if not ran:
            measure.run(command)
        ran = True
        return again.once(memory)

    return ways.Way(again.label, once)


def _command(verb: str, source: Path, out: Path, *options: str) -> Command:
    target: Command = ["-o", out] if verb == "load" else []
    report = f"json={out.with_name('report.json')}"
    return [SAFE_LOAD, verb, source, *target, *options, "--report", report]


def peers(source: Path, scratch: Path) -> list[Way]:
    """Each installed peer that can be given this source."""
    return [
        ways.fresh(peer.name, peer.command(peer.program, source, scratch), answers=ANSWERS)
        for peer in PEERS
        if peer.installed and not (peer.files_only and source.is_dir())
    ]
