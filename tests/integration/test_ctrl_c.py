"""Ctrl-C at any moment of the command: exit 130, no process and no file left, and what was seen told."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import psutil
import pytest

pytest.importorskip("torch")

import torch
from safe_load.core.errors import Interrupted
from safe_load.core.options import Options
from safe_load.export import staging as staging_module
from safe_load.export.staging import Staging
from safe_load.loading import pipeline
from safe_load.rooms import choice

if TYPE_CHECKING:
    from pathlib import Path

#: With a line on stderr for each module that was imported: so it is known when ours begins.
_COMMAND = [sys.executable, "-X", "importtime", "-m", "safe_load"]


_RUN_AND_HANG = """
import subprocess, time
try:
    subprocess.run(["payload"])
except OSError:
    time.sleep(1000)
"""


class _RunsAndHangs:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return exec, (_RUN_AND_HANG,)


@pytest.fixture
def hanging(tmp_path: Path) -> Path:
    path = tmp_path / "hang.bin"
    path.write_bytes(pickle.dumps({"weight": _RunsAndHangs()}))
    return path


def begun(tmp_path: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """The command, come to its own first lines, with folders of its own to work and to keep files in.
    Before, Python itself is ended by the signal, which shells show as 130."""
    for name in ("cwd", "tmp"):
        (tmp_path / name).mkdir()
    with (tmp_path / "out").open("wb") as out, (tmp_path / "err").open("wb") as err:
        process = subprocess.Popen(
            [*_COMMAND, *arguments, "--config", "none"],
            cwd=tmp_path / "cwd",
            env=os.environ | {"TMPDIR": str(tmp_path / "tmp"), "HOME": str(tmp_path / "cwd")},
            stdout=out,
            stderr=err,
        )
    while "safe_load.cli.terminal" not in (tmp_path / "err").read_text():
        assert process.poll() is None
        time.sleep(0.005)
    return process


# Seconds: while it imports, lists, builds rooms, imports torch in them, and once the payload hangs.
@pytest.mark.parametrize("moment", [0.0, 0.05, 0.2, 0.5, 2.0])
@pytest.mark.parametrize("job", ["scan", "load"])
def test_the_command_ends_with_130_and_leaves_nothing(
    moment: float, job: str, hanging: Path, tmp_path: Path
) -> None:
    more = ["-o", "cleared"] if job == "load" else []
    with begun(tmp_path, job, str(hanging), *more) as process:
        time.sleep(moment)
        below = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        process.wait(60)
    said = (tmp_path / "err").read_text()
    assert process.returncode == 130, said[-2000:]
    assert "Traceback" not in said, said[-2000:]
    assert psutil.wait_procs(below, timeout=10)[1] == []
    assert [*(tmp_path / "cwd").iterdir(), *(tmp_path / "tmp").iterdir()] == []
    assert "clean" not in (tmp_path / "out").read_text()


def test_what_was_seen_until_then_is_in_the_report(hanging: Path, tmp_path: Path) -> None:
    torch.save({"weight": torch.ones(8)}, tmp_path / "model.pt")
    options = Options(depth="weights")
    with closing(choice.backend_of(options, choice.profile_of(options), warm=True)) as backend:
        pipeline.scan(str(tmp_path / "model.pt"), options, backend=backend)  # now it is warm
        main = threading.main_thread().ident
        assert main is not None
        later = threading.Timer(5, signal.pthread_kill, (main, signal.SIGINT))
        later.start()
        with pytest.raises(Interrupted) as raised:
            pipeline.scan(str(hanging), options, backend=backend)
    assert raised.value.result is not None
    report = raised.value.result.report
    assert (report.outcome, report.verdict) == ("interrupted", "malicious")
    assert any("payload" in found.detail for found in report.findings)


@pytest.mark.parametrize("moment", ["_digest_outputs", "_open_to_readers", "_sync"])
def test_an_export_that_is_interrupted_leaves_nothing(
    moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real signal while the export is hashed, made durable, and after it was renamed."""
    torch.save({"weight": torch.ones(8)}, tmp_path / "model.pt")
    home = staging_module if moment == "_sync" else Staging
    usual = getattr(home, moment)

    def interrupted(*arguments: Any) -> Any:
        if moment != "_sync" or (tmp_path / "cleared").exists():
            signal.raise_signal(signal.SIGINT)
        return usual(*arguments)

    monkeypatch.setattr(home, moment, interrupted)
    options = Options(depth="weights")
    source = str(tmp_path / "model.pt")
    with (
        closing(choice.backend_of(options, choice.profile_of(options))) as backend,
        pytest.raises(Interrupted) as raised,
    ):
        pipeline.load(source, tmp_path / "cleared", options, backend=backend)
    assert raised.value.result is not None
    assert raised.value.result.report.export is None
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.pt"]


def test_what_runs_before_the_command_can_answer_imports_nothing_of_weight() -> None:
    """A Ctrl-C there shows Python's traceback, so it has to be short: no module but these is new."""
    code = (
        "import sys; before = set(sys.modules); import safe_load.cli; "
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) <= {"__future__", "safe_load", "safe_load.cli"}
