"""Containers that wait: who may use one again, and what the next job meets there."""

from __future__ import annotations

import os
import pickle
import random
import signal
import tempfile
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import containers
import pytest
import rooms
from safe_load import Session, profiles
from safe_load.core.version import version
from safe_load.sandbox.backends.docker.room import Place, Room, UnreachableError, copy
from safe_load.sandbox.backends.docker.warm import WarmDockerBackend
from safe_load.sandbox.backends.interface import Bind, Job
from safe_load.sandbox.backends.request import WarmSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    MakeController = Callable[..., rooms.Controller]

HOUSE = ("docker-warm", rooms.users()[0])
pytestmark = pytest.mark.parametrize("house", [HOUSE], indirect=True, ids="-".join)
_KILLS = 6
JOB = Job(
    "well",
    "anything:run",
    {"entry": "endings:well", "argument": {}},
    modules=tuple(sorted((rooms.HERE / "programs").glob("*.py"))),
)


def waiting(controller: rooms.Controller) -> list[str]:
    return containers.of(controller.process.pid)


def test_a_container_serves_again_after_a_job_that_only_read(
    room: rooms.Controller, shared_path: Path
) -> None:
    model = shared_path / "w.bin"
    model.write_text("first")
    read = {"path": "/model/deep/w.bin"}
    assert room.run("files:read", read, files={model: read["path"]}).value == {"text": "first"}
    before = waiting(room)
    assert len(before) == 1
    other = shared_path / "other.bin"
    other.write_text("second")
    ran = room.run("files:read", {"path": "/model/o.bin"}, files={other: "/model/o.bin"})
    assert ran.value == {"text": "second"}
    look = {"paths": [read["path"], "/model/o.bin"]}
    met = room.run("files:look", look, files={model: "/model/w.bin"}).value
    assert met == {path: ["ENOENT", "ENOENT"] for path in look["paths"]}
    assert waiting(room) == before


@pytest.mark.parametrize(
    ("entry", "argument"),
    [
        ("files:write", {"folders": ["$TMPDIR"]}),
        ("files:restyle", {"paths": ["$HOME"]}),
        ("files:look", {"paths": ["/proc/1/environ", "/line"]}),
        ("endings:raising", {}),
        ("endings:early", {}),
        ("endings:daemon", {"after": 30}),
        ("network:connect", {"family": "AF_INET", "to": ["192.0.2.1", 443]}),
    ],
)
def test_a_container_in_which_a_job_did_more_than_read_is_not_used_again(
    room: rooms.Controller, entry: str, argument: dict[str, object]
) -> None:
    room.run(entry, argument)
    assert waiting(room) == []
    assert rooms.descendants(room.process.pid) == {}
    assert room.run("files:look", {"paths": ["$TMPDIR/planted"]}).value == {
        "$TMPDIR/planted": ["ENOENT", "ENOENT"]
    }


def test_jobs_at_the_same_time_have_containers_of_their_own(own_controller: MakeController) -> None:
    first, second = own_controller(), own_controller()
    for each in (first, second):
        each.start("endings:sleeping", {"seconds": 1})
    for each in (first, second):
        assert each.answer().result.status == "ok"
    assert not set(waiting(first)) & set(waiting(second))


def test_a_container_that_nobody_needs_ends(own_controller: MakeController) -> None:
    controller = own_controller()
    for _ in range(2):
        ran = controller.run("endings:well", {"say": "hello"}, options={"idle_s": 0.5})
        assert ran.value == {"said": "hello"}
        deadline = time.monotonic() + 20
        while waiting(controller):
            assert time.monotonic() < deadline, "it still waits"
            time.sleep(0.1)


def test_files_that_are_too_large_to_copy_are_bound_to_a_container_of_their_own(
    own_controller: MakeController, shared_path: Path
) -> None:
    model = shared_path / "w.bin"
    with model.open("wb") as file:
        file.truncate((1 << 30) + 1)
    with pytest.raises(
        OSError, match="too large"
    ):  # also where it has grown since it was looked at
        copy(Bind(model, "/model/w.bin"), str(shared_path / "copy"))
    assert [path.name for path in shared_path.iterdir()] == [model.name]
    controller = own_controller()
    seen = controller.run("files:size", {"path": "/model/w.bin"}, files={model: "/model/w.bin"})
    assert seen.value == {"size": (1 << 30) + 1}
    assert waiting(controller) == []


@pytest.fixture
def hidden(own_controller: MakeController) -> Iterator[rooms.Controller]:
    """A controller whose temporary files the engine cannot see, as with a private /tmp."""
    if os.geteuid() != 0:
        pytest.skip("only root has a mount namespace of its own and the engine's socket at once")
    with tempfile.TemporaryDirectory() as folder:
        hide = 'mount -t tmpfs none "$0" && TMPDIR=$0 exec "$@"'
        prefix = ["unshare", "--mount", "sh", "-c", hide, folder]
        controller = rooms.Controller([*prefix, *rooms.command("root")], HOUSE[0])
        yield controller
        controller.close()


def test_where_the_engine_cannot_see_the_controllers_folders_each_job_has_its_own_container(
    hidden: rooms.Controller,
) -> None:
    for _ in range(2):
        assert hidden.run("endings:well", {"say": "hello"}).value == {"said": "hello"}
        assert waiting(hidden) == []


def test_nothing_is_left_after_the_next_command_when_controllers_are_killed_at_any_moment(
    own_controller: MakeController, shared_path: Path
) -> None:
    model = shared_path / "w.bin"
    model.write_bytes(bytes(1 << 20))
    moments = random.Random(7)
    folder = {"TMPDIR": str(shared_path)}
    killed = []
    for number in range(_KILLS):
        controller = own_controller(folder)
        if number % 2:  # its container waits, and begins another job
            controller.run("endings:well")
        controller.start("endings:daemon", {"wait": True}, files={model: "/model/w.bin"})
        time.sleep(moments.uniform(0, 1.5))
        controller.process.send_signal(signal.SIGKILL)
        controller.process.wait()
        killed.append(controller)
    time.sleep(1)  # what the engine was asked for before the kill may still be in the making
    last = own_controller(folder)
    assert last.run("endings:well").result.status == "ok"
    deadline = time.monotonic() + 10
    while any(map(waiting, killed)) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not any(map(waiting, killed))
    (own,) = (path.name for path in shared_path.iterdir() if path.name.startswith("safe-load-"))
    (container,) = containers.inspect(last.process.pid)
    assert any(own in mount["Source"] for mount in container["Mounts"])


@pytest.fixture
def backend(house: tuple[str, str]) -> Iterator[WarmDockerBackend]:
    """One in this process: to be used from several threads."""
    del house  # which skips where there are no containers
    warm_spec = WarmSpec((JOB.entry,), (), (), JOB.modules)
    profile = profiles.load("strict-a")
    with WarmDockerBackend(
        profile, warm_spec, image=containers.IMAGE, version=version()
    ) as backend:
        yield backend


def test_a_container_that_was_let_go_of_serves_nobody(backend: WarmDockerBackend) -> None:
    for _ in range(3):
        assert backend.run(JOB).status == "ok"
        backend.stop()


def test_where_containers_were_reached_an_accident_is_one_jobs_alone(
    backend: WarmDockerBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert backend.run(JOB).status == "ok"
    backend.stop()
    with monkeypatch.context() as patched:
        patched.setattr(Room, "start", _never_called)
        assert backend.run(JOB).status == "ok"
        assert containers.of(os.getpid()) == []
    assert backend.run(JOB).status == "ok"
    assert len(containers.of(os.getpid())) == 1


def _never_called(*_: object) -> None:
    raise UnreachableError


def test_what_runs_when_it_is_closed_ends_and_is_told(backend: WarmDockerBackend) -> None:
    assert backend.run(JOB).status == "ok"
    (first,) = containers.first_processes(os.getpid())
    results = []
    sleeping = replace(JOB, argument={"entry": "endings:sleeping", "argument": {}})
    thread = threading.Thread(target=lambda: results.append(backend.run(sleeping)))
    thread.start()
    rooms.wait_for(first, "supervisor", "worker")
    backend.close()
    thread.join()
    (result,) = results
    assert result.status == "interrupted"
    assert containers.of(os.getpid()) == []


@pytest.mark.usefixtures("house")
def test_a_place_closes_nothing_that_is_not_its_own() -> None:
    place = Place()
    place.remove()
    others = [os.open(os.devnull, os.O_RDONLY) for _ in range(4)]
    place.remove()
    for each in others:
        os.close(each)  # OSError if it was closed already


def test_a_container_that_is_frozen_holds_up_nobody_who_stops(
    own_controller: MakeController,
) -> None:
    controller = own_controller()
    controller.start("endings:sleeping", stop_after="told")
    rooms.sealed_worker(controller)
    (container,) = waiting(controller)
    containers.engine().api.pause(container)
    controller.stop()
    assert controller.answer().result.status == "interrupted"
    assert waiting(controller) == []


@pytest.mark.parametrize("abi", [1, 5])
def test_where_landlock_does_not_hold_signals_none_reaches_the_supervisor(
    own_controller: MakeController, abi: int
) -> None:
    options = {"landlock_abi": abi}
    ran = own_controller().run("kernel:signal_others", {"pids": [-1, 1]}, options=options)
    assert ran.value.pop("oneself") == ran.value.pop("own thread") == ""
    assert set(ran.value.values()) == {"EPERM"}, ran.value
    assert "denied" in {event.decision for event in ran.events("kill")}


def test_files_are_copied_to_a_folder_however_long_its_name(
    own_controller: MakeController, shared_path: Path
) -> None:
    folder = shared_path / ("x" * 200)
    folder.mkdir(mode=0o755)
    controller = own_controller({"TMPDIR": str(folder)})
    assert controller.run("endings:well", {"say": "hello"}).value == {"said": "hello"}
    assert len(waiting(controller)) == 1


@pytest.mark.usefixtures("house")
def test_files_that_there_is_no_place_for_are_bound_to_a_container_of_their_own(
    shared_path: Path,
) -> None:
    model = shared_path / "w.bin"
    model.write_bytes(bytes(2 << 20))
    command = ["prlimit", "--fsize=1048576", *rooms.command(HOUSE[1])]
    controller = rooms.Controller(command, HOUSE[0], {"TMPDIR": str(shared_path)})
    try:
        read = {"path": "/model/w.bin"}
        seen = controller.run("files:size", read, files={model: read["path"]})
        assert seen.value == {"size": 2 << 20}
        assert [path.name for path in shared_path.iterdir()] == [model.name]
        controller.run("endings:well")
        assert len(waiting(controller)) == 1
    finally:
        controller.close()


class _Silent:
    """What runs here does nothing that is told."""

    def __reduce__(self) -> tuple[object, ...]:
        return exec, ("x = sum(range(9))",)


@pytest.mark.usefixtures("house")
def test_where_code_has_run_no_container_waits_for_the_next_model(shared_path: Path) -> None:
    model = shared_path / "model.pkl"
    model.write_bytes(pickle.dumps(_Silent()))
    with Session(backend="docker", image=containers.IMAGE) as session:
        report = session.report(model)
        assert (report.verdict, report.recording.events) == ("malicious", [])
        assert containers.of(os.getpid()) == []
