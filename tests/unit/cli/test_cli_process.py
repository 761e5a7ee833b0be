"""The command as a process of its own: start-up, signals, pipes and terminals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from safe_load.core import report as report_module

from tests.unit import reports

if TYPE_CHECKING:
    from pathlib import Path


def command(*args: str, **options: object) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "safe_load", *args],
        capture_output=True,
        check=False,
        **options,  # type: ignore[call-overload]
    )


def test_help_needs_none_of_the_heavy_modules() -> None:
    script = (
        "import sys\nfrom safe_load.cli import exit_code\nexit_code(['scan', '--help'])\n"
        "heavy = {'rich', 'msgspec', 'tomllib', 'torch', 'numpy', 'safe_load.loading.pipeline', 'asyncio'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.serial
def test_help_answers_at_once() -> None:
    # 60 ms and 15 ms on the machine it was written on; the heavy modules alone take a second.
    assert _least_seconds("-m", "safe_load", "--help") < 15 * _least_seconds("-c", "pass")


def _least_seconds(*arguments: str) -> float:
    """The shortest time of five that the interpreter takes for it."""
    took = []
    for _ in range(5):
        start = time.perf_counter()
        subprocess.run([sys.executable, *arguments], capture_output=True, check=True)
        took.append(time.perf_counter() - start)
    return min(took)


def test_the_module_runs_as_the_command_does() -> None:
    done = command("--version")
    assert done.stdout.startswith(b"safe-load ")
    assert done.returncode == 0


def test_a_reader_that_leaves_early_causes_no_traceback(tmp_path: Path) -> None:
    saved = tmp_path / "r.json"
    saved.write_bytes(report_module.encode(reports.malicious()))
    command_line = f"{sys.executable} -m safe_load report {saved} --format html; echo $? >&2"
    done = subprocess.run(
        ["bash", "-c", f"({command_line}) | true"], capture_output=True, check=False
    )
    assert done.stderr == b"0\n"


def test_a_terminal_without_utf8_gets_escapes_and_no_crash(tmp_path: Path) -> None:
    saved = tmp_path / "r.json"
    saved.write_bytes(report_module.encode(reports.clean()))
    done = command("report", str(saved), env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert done.stdout.startswith(b"+ clean")
    assert b"bert.embeddings.weight ... cls.bias" in done.stdout
    named = reports.clean("модель")
    saved.write_bytes(report_module.encode(named))
    done = command("report", str(saved), env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert done.stdout.startswith(b"+ clean  \\u043c")


WATCHED = """
import sys, time
from safe_load.cli import exit_code, run
from safe_load.core.options import Progress
from safe_load.core.report import decode

def open_one(source, target, options, show):
    if show is not None:
        show(Progress("extract", "start", total=100))
        show(Progress("extract", "progress", 40, 100))
        show(Progress("detonate", "start"))
        time.sleep(0.3)
        show(Progress("detonate", "end"))
        show(Progress("extract", "end"))
    return decode(open(source, "rb").read())

run.open_one = open_one
sys.exit(exit_code(["scan", *sys.argv[1:]]))
"""


@pytest.mark.parametrize(("flag", "seen"), [("--no-color", True), ("-q", False)])
def test_progress_goes_to_a_terminal_on_stderr_and_nowhere_else(
    tmp_path: Path, flag: str, seen: bool
) -> None:
    saved = tmp_path / "model\x1b[2J.bin"
    saved.write_bytes(report_module.encode(reports.clean()))
    terminal, other_end = os.openpty()
    environ = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    process = subprocess.Popen(
        [sys.executable, "-c", WATCHED, str(saved), flag],
        stdout=subprocess.PIPE,
        stderr=other_end,
        env=environ,
    )
    os.close(other_end)
    out, _ = process.communicate(timeout=20)
    err = b""
    try:
        while chunk := os.read(terminal, 65536):
            err += chunk
    except OSError:
        # Linux says EIO once the last process has closed the other end (pty(7)).
        os.close(terminal)
    assert process.returncode == 0
    assert out.decode().startswith("✓ clean")
    assert (b"reading the weights as data" in err) is seen
    assert (b"opening the model inside the sandbox" in err) is seen
    assert b"model\x1b" not in err


def test_sigterm_ends_the_run_as_ctrl_c_does(tmp_path: Path) -> None:
    pipe = tmp_path / "report.json"
    os.mkfifo(pipe)
    process = subprocess.Popen(
        [sys.executable, "-m", "safe_load", "report", str(pipe)], stderr=subprocess.PIPE
    )
    # Opening blocks until the command opens its end, so it is past the start of the interpreter.
    with pipe.open("wb"):
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert err.strip() == b"error: interrupted"
