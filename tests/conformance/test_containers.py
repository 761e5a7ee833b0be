"""What an engine is asked for, and that nothing of it is left, whoever dies first."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import containers
import pytest
import rooms
from safe_load import profiles
from safe_load.sandbox.backends.docker.engine import LABEL_CONTROLLER, is_gone, mark
from safe_load.sandbox.policy import container_filter

if TYPE_CHECKING:
    from collections.abc import Callable

    MakeController = Callable[..., rooms.Controller]

#: Which user asks makes no difference to what is asked for but the one that the posture proves.
pytestmark = pytest.mark.parametrize(
    "house", [("docker", rooms.users()[0])], indirect=True, ids="-".join
)
_KILLS = 20


def test_the_engine_is_asked_for_every_wall_and_gives_nothing_besides(
    own_controller: MakeController,
) -> None:
    controller = own_controller()
    controller.start("endings:sleeping", {"seconds": 2}, outputs=1)
    rooms.sealed_worker(controller)
    (inspected,) = containers.inspect(controller.process.pid)
    host: dict[str, Any] = inspected["HostConfig"]
    memory = rooms.LIMITS["memory"] + rooms.LIMITS["scratch"] + (1 << 30)
    expected = {
        "Privileged": False, "CapAdd": None, "CapDrop": ["ALL"], "NetworkMode": "none",
        "IpcMode": "none", "PidMode": "", "UTSMode": "", "CgroupnsMode": "private",
        "ReadonlyRootfs": True, "AutoRemove": True, "Binds": None, "VolumesFrom": None,
        "PidsLimit": rooms.LIMITS["processes"] + 32, "Memory": memory, "MemorySwap": memory,
    }  # fmt: skip
    assert {name: host[name] for name in expected} == expected
    assert not host["Devices"]
    assert host["LogConfig"]["Type"] == "none"
    assert all("noexec" in options and "nr_inodes" in options for options in host["Tmpfs"].values())
    seccomp = next(each for each in host["SecurityOpt"] if each.startswith("seccomp="))
    assert json.loads(seccomp.removeprefix("seccomp=")) == json.loads(
        container_filter(profiles.load("strict"))
    )
    writable = [mount["Destination"] for mount in inspected["Mounts"] if mount["RW"]]
    assert writable == ["/outputs/0"]
    assert not any("docker.sock" in mount["Source"] for mount in inspected["Mounts"])
    assert controller.answer().result.status == "ok"


@pytest.mark.parametrize("first", ["worker", "supervisor"])
def test_whomever_the_kernel_kills_for_memory_it_is_a_limit(
    own_controller: MakeController, first: str
) -> None:
    if first == "supervisor" and os.geteuid() != 0:
        pytest.skip("only root may change whom the kernel takes first")
    controller = own_controller()
    each = rooms.LIMITS["memory"] * 3 // 4  # nothing that the watch minds
    controller.start("hogs:populate", {"processes": 1, "each": each, "first": 3})
    worker = rooms.sealed_worker(controller)
    if first == "supervisor":
        (supervisor,) = containers.first_processes(controller.process.pid)
        for pid, score in ((worker, "0"), (supervisor, "1000")):  # the other way round than it is
            Path(f"/proc/{pid}/oom_score_adj").write_text(score)
    (container,) = containers.of(controller.process.pid)
    less = each // 2
    containers.engine().api.update_container(container, mem_limit=less, memswap_limit=less)
    result = controller.answer().result
    assert (result.status, result.value) == ("limit", None), (result.reason, result.output)
    who = "killed a process" if first == "worker" else "killed the container"
    assert result.reason.startswith(f"memory limit: the kernel {who}")
    assert result.complete == (first == "worker")


def test_memory_that_is_taken_as_fast_as_there_is_is_a_limit(
    own_controller: MakeController,
) -> None:
    argument, limits = {"processes": 4, "each": 900 << 20}, {"memory": 128 << 20}
    result = own_controller().run("hogs:populate", argument, limits=limits).result
    assert result.status == "limit", (result.reason, result.output)
    assert result.reason.startswith("memory limit: ")


def test_nothing_is_left_after_the_next_command_when_controllers_are_killed_at_any_moment(
    own_controller: MakeController,
) -> None:
    moments = random.Random(20)
    # To the end of a room's life, however long that is on this machine now.
    longest = own_controller().run("endings:well").took_s
    killed = []
    began = int(time.time())
    for _ in range(_KILLS):
        controller = own_controller()
        controller.start("endings:daemon", {"wait": True}, outputs=1)
        time.sleep(moments.uniform(0, longest))
        controller.process.send_signal(signal.SIGKILL)
        controller.process.wait()
        killed.append(controller.process.pid)
    time.sleep(1)  # what the engine was asked for before the kill may still be in the making
    assert own_controller().run("endings:well").result.status == "ok"
    deadline = time.monotonic() + 10
    while (left := _left(_made_since(began, killed))) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert left == []


def _made_since(began: int, controllers: list[int]) -> set[str]:
    """Every container that the engine has made for these."""
    told = containers.engine().api.events(
        since=began,
        until=int(time.time()) + 1,
        filters={"type": "container", "event": "create", "label": LABEL_CONTROLLER},
        decode=True,
    )
    marks = tuple(f"{controller}:" for controller in controllers)
    made = {
        each["Actor"]["ID"]
        for each in told
        if each["Actor"]["Attributes"][LABEL_CONTROLLER].startswith(marks)
    }
    assert len(made) >= len(controllers) // 4, "hardly any container was made before the kill"
    return made


def _left(made: set[str]) -> list[str]:
    """Those of the containers that there still are, and their control groups and mounts."""
    left = [each for each in containers.of() if each in made]
    for pattern in ("*/docker/*", "docker/*", "system.slice/docker-*.scope"):
        left += [
            str(group)
            for group in Path("/sys/fs/cgroup").glob(pattern)
            if group.name.removeprefix("docker-").removesuffix(".scope") in made
        ]
    mounted = Path("/proc/self/mounts").read_text()
    return left + [each for each in made if each in mounted]


def test_what_a_controller_left_is_removed_and_what_a_living_one_has_is_not(
    room: rooms.Controller, own_controller: MakeController
) -> None:
    gone = subprocess.run(
        [sys.executable, "-c", _MARK, *sys.path], capture_output=True, text=True, check=True
    ).stdout.strip()
    assert is_gone(gone)
    assert not is_gone(mark())
    api = containers.engine().api
    left = api.create_container(containers.IMAGE, labels={LABEL_CONTROLLER: gone})["Id"]
    other = own_controller()
    other.start("endings:sleeping", {"seconds": 3})
    rooms.sealed_worker(other)
    assert room.run("endings:well").result.status == "ok"
    assert left not in containers.of()
    assert other.answer().result.status == "ok"


_MARK = """
import sys
sys.path[:] = sys.argv[1:]
from safe_load.sandbox.backends.docker.engine import mark
print(mark())
"""


def test_a_controller_whose_parent_does_not_wait_for_it_is_gone(house: tuple[str, str]) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", f"{_MARK}input()", *sys.path],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as controller:  # fmt: skip
        assert controller.stdout is not None
        label = controller.stdout.readline().strip()
        assert not is_gone(label)
        controller.kill()
        os.waitid(os.P_PID, controller.pid, os.WEXITED | os.WNOWAIT)  # it is a zombie now
        assert is_gone(label)


def test_a_controller_whose_first_thread_has_ended_is_there(house: tuple[str, str]) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _MARK + _FIRST_THREAD_ENDS, *sys.path],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as controller:  # fmt: skip
        assert controller.stdout is not None
        label = controller.stdout.readline().strip()
        stat = Path(f"/proc/{controller.pid}/stat")
        deadline = time.monotonic() + 20
        while ") Z " not in stat.read_text() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert ") Z " in stat.read_text()
        assert not is_gone(label)
        controller.kill()


_FIRST_THREAD_ENDS = """
import ctypes, threading, time
threading.Thread(target=time.sleep, args=(60,)).start()
ctypes.CDLL(None).pthread_exit(None)
"""


def test_a_controller_that_proc_hides_is_not_taken_for_gone(house: tuple[str, str]) -> None:
    if os.geteuid() != 0:
        pytest.skip("hiding processes in /proc takes root")
    hide = 'mount -t proc -o hidepid=2 proc /proc && exec "$@"'
    ordinary = rooms.command("user")
    ask = [*ordinary[: ordinary.index("-I") + 1], "-c", _ASK, mark(), *rooms._paths()]
    hidden = subprocess.run(
        ["unshare", "--mount", "sh", "-c", hide, "sh", *ask],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert hidden.stdout.split() == ["hidden", "False"]


_ASK = """
import os, site, sys
for path in sys.argv[2:]:
    site.addsitedir(path)
from safe_load.sandbox.backends.docker.engine import is_gone
pid = sys.argv[1].partition(":")[0]
print("seen" if os.path.exists(f"/proc/{pid}") else "hidden", is_gone(sys.argv[1]))
"""


def test_another_machines_room_on_the_same_engine_is_left_alone(
    house: tuple[str, str],
) -> None:
    pid, _, namespace, _ = mark().split(":")
    label = {LABEL_CONTROLLER: f"{pid}:1:{namespace}:00000000-0000-0000-0000-000000000000"}
    api = containers.engine().api
    made = api.create_container(
        containers.IMAGE, ["-c", "import time; time.sleep(60)"], labels=label,
        entrypoint=["/usr/bin/python3"], network_disabled=True,
    )["Id"]  # fmt: skip
    try:
        containers.engine().reap()
        assert made in containers.of()  # its controller may be about to start it
        api.start(made)
        containers.engine().reap()
        assert api.inspect_container(made)["State"]["Running"]
    finally:
        api.remove_container(made, force=True)


def test_a_proxys_password_in_the_clients_configuration_does_not_get_in(
    own_controller: MakeController, shared_path: Path
) -> None:
    proxy = {"proxies": {"default": {"httpProxy": f"http://me:{rooms.SECRET}@proxy:3128"}}}
    (shared_path / "config.json").write_text(json.dumps(proxy))
    controller = own_controller({"DOCKER_CONFIG": str(shared_path)})
    controller.start("endings:sleeping", {"seconds": 2})
    rooms.sealed_worker(controller)
    (inspected,) = containers.inspect(controller.process.pid)
    assert not any(rooms.SECRET in each for each in inspected["Config"]["Env"] or ())
    assert controller.answer().result.status == "ok"


@pytest.mark.parametrize(
    "label",
    [
        "", "1:2:3", "x:1:2:3", f"{os.getpid()}:1:another:{mark().rpartition(':')[2]}", "1" * 5000,
        ":".join([str(os.getpid()), "None", *mark().split(":")[2:]]),
    ],
    ids=["empty", "three parts", "no number", "another boot", "long", "no start"],
)  # fmt: skip
def test_a_label_that_says_nothing_is_no_reason_to_remove_a_container(
    label: str, house: tuple[str, str]
) -> None:
    assert not is_gone(label)
