"""The worker sees what the room was given, and writes where it may."""

# ruff: noqa: PTH110
from __future__ import annotations

import fcntl
import os
import re
import sys
import threading
import time
from pathlib import Path

import pytest
import rooms

HOSTS = [
    "/etc/shadow", "/etc/machine-id", "/etc/ssl", "/etc/ssh", "/root", "/home/root", "/var", "/run",
    "/boot", "/mnt", "/opt", "/srv", "/work", "/proc/1/environ", "/proc/self/environ",
    "/proc/self/maps", "/proc/self/fd", "/proc/self/root", "/proc/kallsyms", "/proc/cmdline",
    "/proc/meminfo", "/proc/sys", "/sys/kernel", "/sys/class", "/sys/fs/cgroup", "/dev/kmsg",
    "/dev/mem", "/dev/tty", "/dev/pts", "/dev/shm", "/dev/zero", "/dev/full", "/dev/fd",
]  # fmt: skip


def test_the_worker_cannot_read_a_file_of_the_host(
    room: rooms.Controller, house: tuple[str, str], shared_path: Path
) -> None:
    secret = shared_path / "secret"
    secret.write_text(rooms.SECRET)
    host_only = [
        path
        for path in ("/etc/os-release", "/etc/debian_version", "/usr/share")
        if os.path.exists(path)
    ]
    if house[0].startswith(
        "docker"
    ):  # /usr is the image's own; these are the engine's, after the host's
        host_only = ["/etc/debian_version", "/etc/hosts", "/etc/resolv.conf"]
    paths = [str(secret), __file__, sys.executable, "/usr/bin/env", "/bin/sh", *HOSTS, *host_only]
    ran = room.run("files:look", {"paths": paths})
    seen = {path: met for path, met in ran.value.items() if not met[1]}
    if house[0] == "gvisor":  # no Landlock: what the image and gVisor's own kernel have can be read
        assert not seen.keys() & {str(secret), __file__}
        assert ran.value[str(secret)] == ["ENOENT", "ENOENT"]
        return
    assert seen == {}
    if house[0] == "native-b":  # Landlock does not hide that a file is there
        assert ran.value[str(secret)][0] == ""
        return
    # What cannot be read but can be found: only what the room itself puts there.
    found = {path for path, met in ran.value.items() if not met[0]}
    own = {"/proc/self/environ", "/proc/self/maps", "/proc/self/fd", "/proc/self/root"}
    if (
        room.backend in rooms.IN_CONTAINERS
    ):  # the image's and the engine's own: not opened, but there
        assert not found & {str(secret), __file__}
        return
    assert found - own <= set(map(str, Path(os.__file__).resolve().parents))


def test_no_file_of_the_hosts_can_be_locked_and_the_workers_own_can(
    room: rooms.Controller, house: tuple[str, str], shared_path: Path
) -> None:
    (shared_path / "weights").write_text("weights")
    files = {shared_path / "weights": "/model/weights"}
    ran = room.run("files:lock", {"path": "/model/weights"}, files=files)
    paths = ran.value.pop("paths")
    assert len(paths) == 2
    for path in paths:
        assert ran.value[path] == ["ENOLCK", "ENOLCK", "ENOLCK", "EPERM"]
    for name in ("flock", "lockf"):
        assert ran.value[name] == ["", "EAGAIN", "", "", ""]
    assert ran.value["rows"] == 3
    refused = {
        (event.syscall, event.args["path"])
        for event in ran.result.events
        if event.decision == "denied"
    }
    assert {("flock", path) for path in paths} <= refused
    assert {("fcntl", path) for path in paths} <= refused


def test_no_race_locks_a_file_of_the_hosts(
    room: rooms.Controller, house: tuple[str, str], shared_path: Path
) -> None:
    weights = shared_path / "weights"
    weights.write_text("weights")
    locked, over = [], threading.Event()

    def look() -> None:
        while not over.wait(0.002):
            with weights.open("rb") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    locked.append(time.monotonic())

    thread = threading.Thread(target=look)
    thread.start()
    try:
        argument = {"path": "/model/weights", "seconds": 1.0}
        files = {weights: "/model/weights"}
        ran = room.run("files:lock_in_a_race", argument, files=files)
    finally:
        over.set()
        thread.join()
    assert locked == []
    assert ran.value.get("", 0) > 0
    assert ran.value.get("ENOLCK", 0) > 0


def test_the_root_cannot_be_listed(room: rooms.Controller) -> None:
    assert room.run("kernel:look_around").value["root"] == "EACCES"


def test_a_look_at_a_file_of_the_host_is_recorded_with_its_path(room: rooms.Controller) -> None:
    ran = room.run("files:look", {"paths": ["$HOME/../ubuntu/.aws/credentials"]})
    (event,) = ran.events("openat", path="/home/ubuntu/.aws/credentials")
    assert event.args["flags"] == "O_RDONLY"


def test_the_models_files_are_shown_read_only(room: rooms.Controller, shared_path: Path) -> None:
    model = shared_path / "weights.bin"
    model.write_text("these are weights")
    model.chmod(0o666)
    shown = {model: "/model/weights.bin"}
    assert room.run("files:read", {"path": "/model/weights.bin"}, files=shown).value == {
        "text": "these are weights"
    }
    ran = room.run(
        "files:write", {"files": ["/model/weights.bin"], "folders": ["/model"]}, files=shown
    )
    assert set(ran.value.values()) <= {"EROFS", "EACCES"}
    assert model.read_text() == "these are weights"


def test_a_file_that_only_its_owner_may_read_can_be_opened(
    room: rooms.Controller, user: str, shared_path: Path
) -> None:
    model = shared_path / "weights.bin"
    model.write_text("mine")
    if user == "user":
        os.chown(model, rooms.ORDINARY, rooms.ORDINARY)
    model.chmod(0o600)
    ran = room.run(
        "files:read", {"path": "/model/weights.bin"}, files={model: "/model/weights.bin"}
    )
    assert ran.value == {"text": "mine"}


def test_only_the_scratch_folder_can_be_written(room: rooms.Controller) -> None:
    folders = [
        "/",
        "/etc",
        "/home",
        "/home/ubuntu",
        "/usr",
        "/usr/lib",
        "/dev",
        "/proc",
        "/sys",
        "/runtime",
        "/runtime/site",
    ]
    ran = room.run(
        "files:write",
        {"folders": [*folders, "$TMPDIR", "$HOME"], "files": ["/etc/hosts", "/dev/urandom"]},
    )
    assert ran.value.pop("$TMPDIR") == ""
    assert set(ran.value.values()) <= {"EROFS", "EACCES", "ENOENT"}, ran.value


def test_the_outputs_are_the_only_way_out_for_bytes(room: rooms.Controller) -> None:
    ran = room.run("files:out", outputs=3)
    assert ran.outputs == tuple((8, f"output {index}".encode()) for index in range(3))
    seen = room.run("kernel:look_around", outputs=2)
    descriptors = {int(number): tuple(kind) for number, kind in seen.value["descriptors"].items()}
    outputs = seen.value["outputs"]
    kinds = {number: mode >> 12 for number, (mode, _) in descriptors.items()}
    character, pipe, file = 0o02, 0o01, 0o10
    assert kinds.pop(0) == character
    assert (kinds.pop(1), kinds.pop(2)) == (pipe, pipe)
    assert [kinds.pop(number) for number in outputs] == [file, file]
    assert list(kinds.values()) == [pipe]  # what its result goes down
    assert seen.outputs == ((0, b""), (0, b""))


def test_standard_input_is_at_its_end(room: rooms.Controller) -> None:
    seen = room.run("kernel:look_around").value
    assert seen["stdin"] == ""
    assert os.major(seen["descriptors"]["0"][1]) == 1  # /dev/null is 1, 3
    assert os.minor(seen["descriptors"]["0"][1]) == 3


def test_nothing_of_the_callers_environment_is_inside(room: rooms.Controller) -> None:
    environment = room.run("kernel:look_around").value["environment"]
    assert set(environment) == {"HOME", "PATH", "LANG", "TMPDIR", "USER"}
    assert rooms.SECRET not in str(environment)


def test_a_secret_of_the_callers_is_not_in_the_workers_memory(room: rooms.Controller) -> None:
    half = len(rooms.SECRET) // 2
    argument = {"head": rooms.SECRET[:half], "tail": rooms.SECRET[half:]}
    assert room.run("kernel:everything", argument).value == {"found": False}


def test_the_hosts_name_and_users_are_not_the_rooms(
    room: rooms.Controller, house: tuple[str, str]
) -> None:
    if house in rooms.ALONE:
        pytest.skip(f"{rooms.NO_NAMESPACES} does not hide them")
    seen = room.run("kernel:look_around").value
    name = seen["name"][1]
    assert name != os.uname().nodename
    # As a cloud's machine is called, or as an engine calls its containers.
    assert re.fullmatch(r"ip-172-31-\d+-\d+|[0-9a-f]{12}", name)
    if house[0] == "native":
        assert room.run("kernel:look_around").value["name"][1] != name
    assert 0 not in seen["ids"]
    # Where a container waits for jobs, its processes are numbered on from one to the next.
    assert seen["pid"] < (1000 if house[0] == "docker-warm" else 10)


def test_what_is_planted_in_scratch_stays_inert(
    room: rooms.Controller, house: tuple[str, str]
) -> None:
    ran = room.run("files:plant")
    assert ran.value["device"] in ("EPERM", "EACCES")
    assert ran.value["link to the host"] == ""
    if house[0] == "native-b":  # the host's file is there; the scratch folder is on the host's disk
        assert ran.value["read the link"] == "EACCES"
        return
    assert ran.value["read the link"] == "ENOENT"
    assert ran.value["executable mapping"] in ("EPERM", "EACCES")


@pytest.mark.parametrize("house", rooms.ALONE, indirect=True)
def test_without_namespaces_the_modes_owners_and_times_of_files_cannot_be_changed(
    room: rooms.Controller, user: str, shared_path: Path
) -> None:
    model = shared_path / "weights.bin"
    model.touch(mode=0o644)
    os.chown(model, rooms.uid_of(user), -1)
    before = model.stat()
    shown = {model: "/model/weights.bin"}
    argument = {"paths": ["/model/weights.bin", str(model), "$TMPDIR/mine"]}
    ran = room.run("files:restyle", argument, files=shown)
    refused = {name: met for name, met in ran.value.items() if not name.startswith("$TMPDIR")}
    assert set(refused.values()) <= {"EPERM", "EACCES"}, ran.value
    assert len(refused) == 2 * len(ran.value) // 3
    after = model.stat()
    assert (after.st_mode, after.st_uid, after.st_mtime_ns, after.st_size) == (
        (before.st_mode, before.st_uid, before.st_mtime_ns, before.st_size)
    )


@pytest.mark.parametrize("house", rooms.ALONE, indirect=True)
def test_without_namespaces_paths_are_told_as_the_room_means_them(
    room: rooms.Controller, shared_path: Path
) -> None:
    host = shared_path / "secret"
    host.write_text(rooms.SECRET)
    paths = ["$HOME/.ssh/id_rsa", "$TMPDIR/x", "/tmp/x", str(host), "/home/ubuntu/.netrc"]
    ran = room.run("files:look", {"paths": paths})
    tried = {str(event.args["path"]) for event in ran.events("openat")}
    expected = {"/home/ubuntu/.ssh/id_rsa", "/tmp/x", "/host/tmp/x", "/host/home/ubuntu/.netrc"}
    assert expected <= tried
    assert f"/host{host}" in tried or str(host) in tried
    assert not any("safe-load-" in path for path in tried)


@pytest.mark.parametrize("how", ["missing", "folder"])
def test_a_room_whose_files_cannot_be_shown_is_broken(
    room: rooms.Controller, shared_path: Path, how: str
) -> None:
    source = shared_path / "nothing" if how == "missing" else shared_path
    result = room.run("endings:well", files={source: "/model/weights.bin"}).result
    assert (result.status, result.value) == ("broken", None)
