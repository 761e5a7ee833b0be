"""gVisor's own trace of a container is heard from the seal on, whole, by whom it belongs to.

runsc itself is run here, without an engine; the program in it plays supervisor and worker.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

import pytest
from safe_load import profiles
from safe_load.sandbox.backends.gvisor import trace
from safe_load.sandbox.backends.room_stream import Transcript

pytestmark = [
    pytest.mark.skipif(shutil.which("runsc") is None, reason="gVisor's runsc is not installed"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may run runsc without an engine"),
]
_SECONDS = 60
#: Pid 1 looks at files, opens the mark, and has a child do what is looked for.
PROGRAM = """
import os, sys
def look(path):
    try:
        os.close(os.open(path, os.O_RDONLY))
    except OSError:
        pass
look("/before")
if {mark}:
    look("/sealed")
look("/supervisor")
if os.fork() == 0:
    os.chdir("/proc")
    {job}
    os._exit(0)
os.wait()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "trace").mkdir()
    session = trace.session(profiles.load("strict"), tmp_path / "trace" / "trace.sock")
    (tmp_path / "session.json").write_text(json.dumps(session))
    return tmp_path


def run(folder: Path, name: str, program: str) -> int:
    """Run that program as pid 1 of a container."""
    bundle = folder / name
    (bundle / "rootfs").mkdir(parents=True)
    shown = {"/usr", "/lib", "/lib64", sys.base_prefix}
    binds = [
        {"destination": path, "source": path, "type": "bind", "options": ["bind", "ro"]}
        for path in sorted(shown)
        if Path(path).is_dir()
    ]
    process = {
        "user": {"uid": 0, "gid": 0},
        "args": [str(Path(sys.executable).resolve()), "-I", "-S", "-c", program],
        "cwd": "/",
        "noNewPrivileges": True,
        "capabilities": {},
    }
    config = {
        "ociVersion": "1.0.0",
        "process": process,
        "root": {"path": "rootfs"},
        "mounts": [{"destination": "/proc", "type": "proc"}, *binds],
        "linux": {
            "namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount")]
        },
    }
    (bundle / "config.json").write_text(json.dumps(config))
    command = ["runsc", f"--root={folder}/state", "--platform=ptrace", "--network=none"]
    command += [f"--pod-init-config={folder}/session.json", "run", f"-bundle={bundle}", name]
    try:
        return subprocess.run(
            command, timeout=_SECONDS, check=False, capture_output=True, stdin=subprocess.DEVNULL
        ).returncode
    finally:
        subprocess.run(
            ["runsc", f"--root={folder}/state", "delete", "-force", name],
            timeout=_SECONDS,
            check=False,
            capture_output=True,
        )


def watched(folder: Path, job: str, *, mark: bool = True, limit: int = 1000) -> Transcript:
    """What is known of a container in which the worker does that job."""
    name = f"t{uuid.uuid4().hex[:12]}"
    witness = trace.TraceSession(limit, folder / "trace")
    program = PROGRAM.format(job=job, mark=mark)
    running = threading.Thread(target=run, args=(folder, name, program))
    with witness.expect(name):
        running.start()
        time.sleep(0.1)
    running.join()
    witness.end()
    transcript = Transcript(sealed=1.0, quiet=("/usr/",))
    witness.merge_into(transcript, profiles.load("strict"), "detonate")
    return transcript


def calls(transcript: Transcript) -> list[tuple[str, object]]:
    return [
        (event.syscall, event.args.get("path") or event.args.get("to"))
        for event in transcript.events
    ]


def test_what_the_worker_does_after_the_seal_is_heard_and_nothing_else(folder: Path) -> None:
    transcript = watched(
        folder, 'look("/a"); look("self/b"); look("/usr/lib"); open("/tmp", "r+b") if 0 else 0'
    )
    assert transcript.cause is None
    assert calls(transcript) == [("openat", "/a"), ("openat", "/proc/self/b")]
    assert {event.errno for event in transcript.events} == {"ENOENT"}


def test_a_call_that_the_filter_refuses_breaks_the_room_when_it_is_carried_out(
    folder: Path,
) -> None:
    transcript = watched(folder, 'os.execv("/usr/bin/env", ["env", "evil"])')
    assert transcript.cause is not None
    assert transcript.cause[0] == "broken"
    assert "execve" in transcript.cause[1]
    assert ("execve", "/usr/bin/env") in calls(transcript)


def test_a_trace_that_does_not_show_the_seal_breaks_the_room(folder: Path) -> None:
    transcript = watched(folder, "pass", mark=False)
    assert transcript.cause is not None
    assert transcript.cause[0] == "broken"
    assert "last wall closed" in transcript.cause[1]


def test_what_is_too_much_is_counted(folder: Path) -> None:
    transcript = watched(folder, 'for number in range(50): look(f"/{number}")', limit=20)
    assert (len(transcript.events), transcript.lost) == (20, 30)


def test_nothing_is_lost_of_a_flood(folder: Path) -> None:
    transcript = watched(folder, 'for number in range(5000): look(f"/{number}")', limit=10_000)
    assert (len(transcript.events), transcript.lost) == (5000, 0)


def test_containers_that_start_at_once_are_told_apart(folder: Path) -> None:
    found: dict[int, Transcript] = {}

    def watch(number: int) -> None:
        found[number] = watched(folder, f'look("/mine-{number}")')

    threads = [threading.Thread(target=watch, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {number: calls(transcript) for number, transcript in found.items()} == {
        number: [("openat", f"/mine-{number}")] for number in range(4)
    }


def test_a_container_does_not_start_where_nobody_listens(folder: Path) -> None:
    marker = folder / "ran"
    assert run(folder, "unheard", f"open({str(marker)!r}, 'w')") != 0
    assert not marker.exists()


def test_a_container_that_is_not_traced_is_noticed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trace, "_START_S", 0.2)
    with (
        pytest.raises(trace.Unfit, match="timed out waiting for gVisor's trace"),
        trace.TraceSession(10, folder / "trace").expect("nobody"),
    ):
        pass


def test_a_folder_that_cannot_be_used_says_how_it_is_made(tmp_path: Path) -> None:
    with (
        pytest.raises(trace.Unfit, match="install -d -g docker"),
        trace.TraceSession(10, tmp_path / "absent").expect("nobody"),
    ):
        pass


def test_a_runtime_that_is_not_registered_so_that_it_tells_is_named(tmp_path: Path) -> None:
    profile = profiles.load("strict")
    (tmp_path / "ours.json").write_text(json.dumps(trace.session(profile)))
    (tmp_path / "other.json").write_text("{}")

    def arguments(name: str) -> dict[str, list[str]]:
        return {"runtimeArgs": ["--network=none", f"--pod-init-config={tmp_path}/{name}"]}

    trace.require_fit("runsc", arguments("ours.json"), profile)
    for runtime, reason in (
        ({}, "without --network=none"),
        ({"runtimeArgs": ["--network=none"]}, "without --pod-init-config"),
        (arguments("absent.json"), "cannot be read"),
        (arguments("other.json"), "belongs to another version"),
    ):
        with pytest.raises(trace.Unfit, match=reason):
            trace.require_fit("runsc", runtime, profile)
