"""An engine that drops what it was told, or does something else, is noticed: nothing is believed
because it was ordered."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import containers
import msgspec
import pytest
import rooms
from docker import APIClient
from safe_load import profiles
from safe_load.core.version import version
from safe_load.sandbox.backends.docker.backend import DockerBackend
from safe_load.sandbox.backends.interface import Bind, Job, RoomResult

if TYPE_CHECKING:
    from collections.abc import Callable

    Change = Callable[[dict[str, Any], dict[str, Any]], object]

#: In this process: a controller's user makes no difference to what is looked at.
pytestmark = [
    pytest.mark.parametrize("house", [("docker", rooms.users()[0])], indirect=True, ids="-".join),
    pytest.mark.usefixtures("house"),
]


def _host(**values: Any) -> Change:
    return lambda _, host: host.update(values)


def _tmpfs(path: str, without: str, instead: str = "") -> Change:
    def change(_: dict[str, Any], host: dict[str, Any]) -> None:
        options = host["Tmpfs"][path].split(",")
        kept = [each for each in options if not each.startswith(without)]
        host["Tmpfs"][path] = ",".join([*kept, *filter(None, [instead])])

    return change


def _hosts_name(asked: dict[str, Any], host: dict[str, Any]) -> None:
    del asked["Hostname"]
    host["UTSMode"] = "host"


def _another_file(_: dict[str, Any], host: dict[str, Any]) -> None:
    (model,) = (each for each in host["Mounts"] if each["Target"] == "/model/w.bin")
    model["Source"] = str(Path(__file__).resolve())


#: What the engine does otherwise than it was told -> how the room says so.
BROKEN: dict[str, tuple[Change, str]] = {
    "no filter of ours": (_host(SecurityOpt=["no-new-privileges"]), "without the seccomp filter of safe-load"),
    "no filter": (
        _host(SecurityOpt=["no-new-privileges", "seccomp=unconfined"]),
        "without the seccomp filter of safe-load",
    ),
    "new privileges, and no filter, which alone would let nothing start": (
        _host(SecurityOpt=["seccomp=unconfined"]),
        "without no-new-privileges",
    ),
    "capabilities that could be gained": (_host(CapDrop=[]), "the container has capabilities (Cap"),
    "a root that can be written to": (_host(ReadonlyRootfs=False), "root can be written to"),
    "the host's network": (_host(NetworkMode="host", Sysctls={}), "has a network: "),
    "the host's pids": (_host(PidMode="host"), "could not be built: pid-namespace"),
    "the host's ipc": (_host(IpcMode="host"), "could not be built: ipc-namespace"),
    "the host's name": (_hosts_name, "could not be built: uts-namespace"),
    "the host's cgroups": (_host(CgroupnsMode="host"), "could not be built: cgroup-namespace"),
    "another user": (lambda asked, _: asked.update(User="12345:12345"), "runs as user 12345"),
    "another group": (_host(GroupAdd=["4"]), "is also in the group 4"),
    "no scratch folder": (lambda _, host: host["Tmpfs"].pop("/tmp"), "the container's /tmp is "),
    "a scratch folder without end": (_tmpfs("/tmp", "size="), "/tmp may grow beyond"),
    "a scratch folder to run programs in": (
        _tmpfs("/tmp", "noexec", "exec"),
        "/tmp is mounted without noexec",
    ),
    "a home without end": (_tmpfs("/home/ubuntu", "size="), "/home/ubuntu may grow beyond"),
    "one more folder": (
        lambda _, host: host["Mounts"].append({"Type": "tmpfs", "Target": "/extra"}),
        "has /extra writable",
    ),
    "another file": (_another_file, "/model/w.bin is not the file that it was"),
}  # fmt: skip
WEAKER: dict[str, tuple[Change, set[str]]] = {
    "as ordered": (lambda _, __: None, set()),
    "no limit of memory": (_host(Memory=0, MemorySwap=0), {"cgroup-memory"}),
    "no limit of tasks": (_host(PidsLimit=0), {"cgroup-tasks"}),
}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, shared_path: Path) -> Callable[[Change], RoomResult]:
    """Runs a job in a container that the engine was told otherwise to make than the backend told it."""
    make = APIClient.create_container_from_config

    def run(change: Change) -> RoomResult:
        def otherwise(client: APIClient, asked: dict[str, Any], *rest: Any, **named: Any) -> Any:
            change(asked, asked["HostConfig"])
            return make(client, asked, *rest, **named)

        monkeypatch.setattr(APIClient, "create_container_from_config", otherwise)
        model = shared_path / "w.bin"
        model.write_bytes(b"weights")
        identity = model.stat().st_dev, model.stat().st_ino
        strict = profiles.load("strict-a")
        limits = msgspec.structs.replace(strict.limits, **rooms.LIMITS)
        backend = DockerBackend(
            msgspec.structs.replace(strict, limits=limits),
            image=containers.IMAGE,
            version=version(),
        )
        try:
            return backend.run(
                Job(
                    name="conformance",
                    entry="anything:run",
                    argument={"entry": "endings:well", "argument": {}},
                    files=(Bind(model, "/model/w.bin", identity),),
                    modules=tuple(sorted((rooms.HERE / "programs").glob("*.py"))),
                )
            )
        finally:
            backend.close()

    return run


@pytest.mark.parametrize("what", BROKEN)
def test_a_wall_that_the_engine_did_not_build_ends_the_room_before_the_job(
    what: str, run: Callable[[Change], RoomResult]
) -> None:
    change, sentence = BROKEN[what]
    if "cgroup" in what and containers.engine().is_podman:
        pytest.skip("Podman's socket knows nothing of cgroup namespaces")
    result = run(change)
    assert result.status == "broken"
    # A rootless engine itself cannot put a container into some of the host's namespaces.
    its_own = containers.engine().is_rootless and result.reason.startswith("the engine ")
    assert sentence in result.reason or its_own
    assert result.value is None
    assert result.sealed is None


@pytest.mark.parametrize("what", WEAKER)
def test_a_limit_that_the_engine_did_not_set_is_told_as_weaker(
    what: str, run: Callable[[Change], RoomResult]
) -> None:
    change, weaker = WEAKER[what]
    result = run(change)
    assert result.status == "ok", result.reason
    walls = {wall.name: wall.state for wall in result.walls}
    assert {"cgroup-memory", "cgroup-tasks"} <= walls.keys()
    assert {name for name, state in walls.items() if state == "weaker"} == (
        containers.weaker() | weaker
    )
