"""What `safe-load doctor` says of a machine is so, and what it would have pasted is what helps.

Each machine is made as really as this one allows: settings in namespaces of their own, files put in
the place of others, filters above.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import containers
import pytest
import rooms
from safe_load.sandbox.backends.native.backend import NativeBackend
from safe_load.sandbox.doctor import examine

if TYPE_CHECKING:
    from collections.abc import Iterator

NO_ENGINE = {"DOCKER_HOST": "unix:///nowhere/docker.sock"}
#: One that every user here can run.
PYTHON = str(rooms.python_for_all()) if rooms.users()[-1] == "user" else sys.executable
_WITHOUT = [PYTHON, "-I", str(rooms.HERE / "without.py"), ":".join(rooms._paths())]
_LISTENED = [PYTHON, "-I", str(rooms.HERE / "listened.py"), ":".join(rooms._paths())]


@dataclass
class Said:
    """What the doctor said: its exit code, and its page as JSON and for people."""

    code: int
    json: dict[str, Any]

    @property
    def tier(self) -> str | None:
        return self.json["tier"]  # type: ignore[no-any-return]

    def stands(self, *which: str | None) -> bool:
        """Whether the room of that backend, tier and runtime stands."""
        (found,) = [
            room
            for room in self.json["rooms"]
            if (room["backend"], room["tier"], room["runtime"])[: len(which)] == which
        ]
        return bool(found["stands"])

    def hint(self, room: str) -> tuple[str, str]:
        """The one hint about that room: its sentence and its command."""
        (found,) = [each for each in self.json["advice"] if room in each["room"].split("; ")]
        return found["text"], found["command"]

    def walls(self) -> dict[str, str]:
        return {wall["name"]: wall["state"] for wall in self.json["walls"]}


def doctor(
    *prefix: str,
    user: str = rooms.users()[-1],
    environment: dict[str, str] | None = None,
    group: int | None = None,
    folders: list[str] | None = None,
) -> Said:
    """Run it as that user, behind a command that makes the machine what it shall be."""
    python = PYTHON if user == "user" else sys.executable
    command = [*prefix, python, "-I", "-S", "-B", "-c", rooms.MAIN]  # with these folders alone
    if user == "user":
        command = [*rooms._as_ordinary_user(group), *command]
    done = subprocess.run(
        [*command, ":".join(folders or rooms._paths()), "doctor", "--format", "json"],
        env={
            "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin",
            **(NO_ENGINE if environment is None else environment),
        },
        capture_output=True,
        timeout=120,
        check=False,
        cwd="/",
    )
    assert done.returncode in (0, 4), done.stderr[-2000:]
    return Said(done.returncode, json.loads(done.stdout))


def machine(script: str, *arguments: str) -> list[str]:
    """A prefix: the script is run as root of namespaces of its own, then the command in them."""
    own = [
        "unshare",
        "--user",
        "--map-root-user",
        "--mount",
        "sh",
        "-ec",
        f'{script}\nexec "$@"',
        "sh",
    ]
    return [*own, *arguments]


OFF = "echo 0 >/proc/sys/user/max_{}_namespaces"


@pytest.mark.parametrize("user", rooms.users())
@pytest.mark.parametrize("kind", ["user", "net", "pid", "cgroup"])
def test_a_kind_of_namespace_that_is_switched_off_is_named_with_its_setting(
    kind: str, user: str
) -> None:
    said = doctor(*machine(OFF.format(kind)), user=user)
    assert (said.code, said.tier) == (0, "B")
    assert not said.stands("native", "A")
    assert said.stands("native", "B")
    assert said.hint("native, tier A")[1] == f"sudo sysctl -w user.max_{kind}_namespaces=15000"


def test_with_the_setting_that_the_doctor_advises_tier_a_stands() -> None:
    off = OFF.format("user")
    command = doctor(*machine(off)).hint("native, tier A")[1]
    assert command.startswith("sudo ")
    said = doctor(*machine(f"{off}\n{command.removeprefix('sudo ')} >/dev/null"))
    assert (said.code, said.tier, said.stands("native", "A")) == (0, "A", True)


@pytest.mark.parametrize(
    ("setting", "wrong", "right"),
    [
        ("apparmor_restrict_unprivileged_userns", 1, 0),
        ("unprivileged_userns_clone", 0, 1),
    ],
)
def test_a_distributions_own_setting_is_named_where_it_is(
    setting: str, wrong: int, right: int, shared_path: Path
) -> None:
    """This kernel has neither, so that its folder of settings is replaced by a copy that has."""
    script = (
        f"mount -t tmpfs none {shared_path}\n"
        f"cp -r --no-preserve=all /proc/sys/kernel/. {shared_path} 2>/dev/null || true\n"
        f"echo {wrong} >{shared_path}/{setting}\n"
        f"mount --bind {shared_path} /proc/sys/kernel\n{OFF.format('user')}"
    )
    said = doctor(*machine(script))
    assert said.tier == "B"
    wanted = f"sudo sysctl -w kernel.{setting}={right} user.max_user_namespaces=15000"
    assert said.hint("native, tier A")[1] == wanted


def test_a_missing_libseccomp_is_said_with_the_command_that_installs_it() -> None:
    import pyseccomp  # noqa: F401 - now it is among the mapped files

    maps = Path("/proc/self/maps").read_text().splitlines()
    library = next(line.split()[-1] for line in maps if "libseccomp" in line)
    said = doctor(*machine(f"mount --bind /dev/null {library}"))
    assert (said.code, said.tier) == (4, None)
    for room in ("native, tier A", "native, tier B"):
        assert "libseccomp" in said.hint(room)[1]


def test_a_kernel_without_landlock_is_said_with_the_version_that_has_it() -> None:
    old = ["setarch", "--uname-2.6"]
    said = doctor(*old, *_WITHOUT, "landlock_create_ruleset", shutil.which("env") or "")
    assert (said.code, said.tier) == (4, None)
    assert "Linux 5.13" in said.hint("native, tier A")[0]
    assert "Linux 6.2" in said.hint("native, tier B")[0]


def test_a_landlock_of_an_older_kernel_is_enough_for_tier_a_alone() -> None:
    found = examine(native=partial(NativeBackend, landlock_abi=2))
    assert found.tier == "A"
    assert [room.stands for room in found.rooms] == [True, False]
    assert "ABI 3" in found.rooms[1].reason
    (hint,) = found.advice
    assert hint.room == "native, tier B"


def test_a_kernel_that_lacks_a_call_is_said_to_be_too_old() -> None:
    said = doctor(*_WITHOUT, "pidfd_getfd", shutil.which("env") or "")
    assert "too old" in said.hint("native, tier A")[0]
    assert "pidfd_getfd" in said.json["rooms"][0]["reason"]


def test_a_listener_above_is_no_riddle() -> None:
    said = doctor(*_LISTENED, shutil.which("env") or "")
    assert (said.code, said.tier) == (4, None)
    assert "listens" in said.json["rooms"][0]["reason"]
    assert "outside" in said.hint("native, tier A")[0]


@pytest.fixture
def wsl(shared_path: Path) -> str:
    """What makes a machine look like WSL2, to be run by `machine`: its version, its folder."""
    version = shared_path / "version"
    version.write_text("Linux version 6.6.87.2-microsoft-standard-WSL2\n")
    return f"mount --bind {version} /proc/version\nmount -t tmpfs none /run\nmkdir /run/WSL"


_SERVE = """
import os, socket, time
above = os.getppid()
door = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
door.bind("/run/WSL/1_interop")
door.listen()
while os.getppid() == above:
    time.sleep(0.1)
"""


def test_in_wsl_the_doctor_knocks_at_every_door_to_windows(wsl: str) -> None:
    """Tier A cannot be built where files of /proc are covered, as here: test_windows.py proves it."""
    serve = f"{PYTHON} -Ic '{_SERVE}' >/dev/null 2>&1 & while ! test -e /run/WSL/1_interop; do sleep 0.05; done"
    said = doctor(*machine(f"{wsl}\n{serve}\n{OFF.format('user')}"))
    assert said.tier == "B"
    assert any("WSL2" in note for note in said.json["notes"])
    assert said.walls()["cannot reach /run/WSL/1_interop"] == "standing"
    assert said.walls()["cannot reach the hypervisor"] == "standing"


def test_in_wsl_with_a_mirrored_network_the_doctor_names_the_setting_of_windows(wsl: str) -> None:
    said = doctor(*machine(wsl), *_LISTENED, shutil.which("env") or "")
    assert said.tier is None
    assert said.hint("native, tier B")[1] == "networkingMode=nat"


def settings(**changed: str) -> dict[str, str]:
    """The environment of a doctor that finds this machine's engine, and our image in it."""
    kept = {name: os.environ[name] for name in ("DOCKER_HOST",) if name in os.environ}
    return kept | {"SAFE_LOAD_IMAGE": containers.IMAGE} | changed


@pytest.fixture
def _engine() -> None:
    if reason := containers.missing():
        pytest.skip(reason)


@pytest.mark.usefixtures("_engine")
def test_a_room_of_each_runtime_stands_gvisors_too() -> None:
    said = doctor(user=rooms.users()[0], environment=settings())
    assert {room["runtime"] for room in said.json["rooms"]} >= {None, "runc", "runsc"}
    assert [room for room in said.json["rooms"] if not room["stands"]] == []
    assert said.json["advice"] == []


def test_no_engine_is_said_with_what_leads_to_one() -> None:
    said = doctor()
    assert (said.code, said.tier) == (0, "A")
    assert not said.stands("docker")
    assert said.hint("docker")[1] == "unset DOCKER_HOST"


def test_a_missing_package_is_said_with_the_command_that_installs_it(shared_path: Path) -> None:
    for folder in rooms._paths():
        for entry in Path(folder).iterdir():
            if entry.name != "docker":
                (shared_path / entry.name).symlink_to(entry)
    said = doctor(folders=[str(shared_path)])
    assert not said.stands("docker")
    assert said.hint("docker")[1].endswith("-m pip install 'safe-load[docker]'")


@pytest.mark.usefixtures("_engine")
def test_an_engine_that_lets_nobody_in_is_said_with_the_group_that_may() -> None:
    if rooms.users() != ["root", "user"]:
        pytest.skip("only root may look at gVisor's kernel, or be somebody without its groups")
    said = doctor(user="user", environment=settings())
    assert not said.stands("docker")
    assert "usermod -aG docker" in said.hint("docker")[1]
    inside = doctor(user="user", environment=settings(), group=containers.group())
    assert inside.stands("docker", "A", "runc")


@pytest.mark.usefixtures("_engine")
def test_a_missing_image_and_one_of_other_code_are_said_with_the_command_that_makes_it() -> None:
    name = f"safe-load-tests-doctor:{os.getpid()}"
    said = doctor(user=rooms.users()[0], environment=settings(SAFE_LOAD_IMAGE=name))
    assert said.hint("docker, runc")[1] == f"make image ARGS='--tag {name}'"
    labels = containers.engine().api.inspect_image(containers.IMAGE)["Config"]["Labels"]
    labels["safe-load.code"] = "0" * 64
    changes = [
        word
        for key, value in labels.items()
        if key.startswith("safe-load.")
        for word in ("--change", f"LABEL {key}={value}")
    ]
    nothing = bytes(10240)  # the end of an archive
    subprocess.run(["docker", "import", *changes, "-", name], input=nothing, check=True)
    try:
        said = doctor(user=rooms.users()[0], environment=settings(SAFE_LOAD_IMAGE=name))
        assert "other code" in next(r["reason"] for r in said.json["rooms"] if r["runtime"])
        assert said.hint("docker, runc")[1] == f"make image ARGS='--tag {name}'"
    finally:
        subprocess.run(
            ["docker", "image", "rm", "--force", name], check=True, stdout=subprocess.DEVNULL
        )


@pytest.mark.usefixtures("_engine")
def test_a_runtime_that_the_engine_does_not_know_is_said() -> None:
    said = doctor(user=rooms.users()[0], environment=settings(SAFE_LOAD_RUNTIME="kata"))
    assert not said.stands("docker", "A", "kata")
    assert said.stands("docker", "A", "runc")
    assert said.hint("docker, kata")[1] == "unset SAFE_LOAD_RUNTIME"


@pytest.fixture
def another_engine(tmp_path: Path) -> Iterator[Any]:
    """Starts an engine of the test's own, in a network of its own, with these runtimes."""
    if os.geteuid() != 0 or not shutil.which("dockerd"):
        pytest.skip("only root may look at gVisor's kernel, or start an engine")
    started: list[subprocess.Popen[bytes]] = []
    with tempfile.TemporaryDirectory(prefix="dockerd-") as name:
        folder = Path(name)

        def start(runtimes: dict[str, Any]) -> str:
            (folder / "daemon.json").write_text(json.dumps({"runtimes": runtimes}))
            host = f"unix://{folder}/docker.sock"
            options = {"data-root": "data", "exec-root": "exec", "pidfile": "pid"}
            where = [f"--{option}={folder / value}" for option, value in options.items()]
            own = ["unshare", "--net", "dockerd", "--config-file", str(folder / "daemon.json")]
            off = ["--iptables=false", "--ip6tables=false", "--bridge=none", "--host", host]
            with (tmp_path / "log").open("wb") as log:
                started.append(subprocess.Popen([*own, *where, *off], stdout=log, stderr=log))
            deadline = time.monotonic() + 60
            while subprocess.run(
                ["docker", "-H", host, "info"], capture_output=True, check=False
            ).returncode:
                assert time.monotonic() < deadline, (tmp_path / "log").read_text()[-2000:]
                time.sleep(0.2)
            return host

        yield start
        for process in started:
            process.terminate()
            process.wait(30)


@pytest.mark.timeout(180)
def test_a_gvisor_that_is_registered_otherwise_or_not_at_all_is_said_with_what_registers_it(
    another_engine: Any, tmp_path: Path
) -> None:
    stale = tmp_path / "stale.json"
    stale.write_text("{}")
    wrong = {
        "runsc-plain": ["--platform=ptrace"],
        "runsc-quiet": ["--network=none"],
        "runsc-stale": ["--network=none", f"--pod-init-config={stale}"],
    }
    path = shutil.which("runsc") or "/usr/bin/runsc"
    host = another_engine(
        {name: {"path": path, "runtimeArgs": each} for name, each in wrong.items()}
    )
    said = doctor(user="root", environment={"DOCKER_HOST": host})
    for name in wrong:
        assert not said.stands("docker", "A", name)
        text, command = said.hint(f"docker, {name}")
        assert f"runsc install --runtime={name} -- --platform=ptrace --network=none" in command
        assert "docs/backends.md" in text
