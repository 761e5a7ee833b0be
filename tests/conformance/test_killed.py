"""kill -9 of the controller, whenever it comes: after the next command nothing of it is left, no
container, process, mount, control group or file, and what it was to make is there whole or not at all.

TESTS_SEED repeats the moments of a run that failed.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import containers
import leftovers
import pytest
import rooms
from safe_load.sandbox.backends.gvisor import trace

from tests import plan

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.serial
_AT_ONCE = 4
_GONE_S = 20.0
_LOAD = "safe_load.load(sys.argv[1], sys.argv[2], **options)"
_CLEAR = "safe_load.clear(sys.argv[1], refresh=True, **options)"
_SESSION = """
with safe_load.Session(**options) as session:
    session.scan(sys.argv[1])
    session.load(sys.argv[1], sys.argv[2])
"""
_ALONE = {"backend": "native", "profile": str(rooms.HERE.parent / "cell_only.toml")}


@dataclass(frozen=True)
class Way:
    """What is killed: a program that opens a model, with these options of a load; how often in all."""

    program: str
    options: dict[str, str]
    whole: int = 20

    @property
    def kills(self) -> int:
        """How often it is killed in this run: a part, at other moments each time, or all."""
        each = 1 if plan.whole("moments") else int(plan.DATA["moments"]["every"])
        return max(self.whole // each, 2)


WAYS = {
    "native-load": Way(_LOAD, {"backend": "native"}),
    "native-clear": Way(_CLEAR, {"backend": "native"}, 10),
    "session": Way(_SESSION, {}),
    "native-b-load": Way(_LOAD, _ALONE),
    "docker-load": Way(_LOAD, {"backend": "docker"}),
    "docker-session": Way(_SESSION, {"backend": "docker"}, 10),
    "gvisor-load": Way(_LOAD, {"backend": "docker", "runtime": "runsc"}, 5),
}


@dataclass(frozen=True)
class Place:
    """Where the commands of one test find and leave everything."""

    folder: Path

    def command(self, way: Way, output: str) -> list[str]:
        options = dict(way.options)
        if options.get("backend") == "docker":
            options["image"] = containers.IMAGE
        head = (
            "import site, sys\nfor path in sys.argv.pop(1).split(':'):\n    site.addsitedir(path)\n"
        )
        program = f"{head}import safe_load\noptions = {options!r}\n{way.program}"
        arguments = [":".join(rooms._paths()), str(self.folder / "model.bin")]
        target = str(self.folder / "out" / output)
        return [sys.executable, "-I", "-B", "-c", program, *arguments, target]

    def environment(self) -> dict[str, str]:
        kept = ("PATH", "DOCKER_HOST")
        return {
            **{name: os.environ[name] for name in kept if name in os.environ},
            "HOME": str(self.folder / "home"),
            "SAFE_LOAD_HOME": str(self.folder / "cache"),
            "SAFE_LOAD_QUIET": "1",
            "TMPDIR": str(self.folder / "tmp"),
        }

    def run(self, way: Way, output: str) -> float:
        """Run it to its end. How long it took."""
        began = time.monotonic()
        subprocess.run(
            self.command(way, output), env=self.environment(), check=True, timeout=120, cwd="/"
        )
        return time.monotonic() - began

    @contextmanager
    def killed(self, way: Way, output: str, after: float) -> Iterator[tuple[int, int]]:
        """Kill it after so many seconds. The pids of its keeper, who has what it leaves, and its own."""
        keeper = subprocess.Popen(
            [sys.executable, "-I", str(rooms.HERE / "keeper.py"), *self.command(way, output)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env=self.environment(), cwd="/",
        )  # fmt: skip
        with keeper:
            assert keeper.stdout is not None
            pid = int(keeper.stdout.readline())
            time.sleep(after)
            os.kill(pid, signal.SIGKILL)  # a zombie at least: the keeper does not wait for it
            yield keeper.pid, pid
            keeper.kill()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    import torch

    for name in ("home", "tmp", "out", "cache"):
        (tmp_path / name).mkdir(mode=0o700)
    weights = {f"layer.{number}": torch.randn(1 << 20) for number in range(8)}
    torch.save(weights, tmp_path / "model.bin")
    return Place(tmp_path)


#: As root a share of them; CI runs the tests as an ordinary user too, who kills each.
CHOSEN = plan.chosen("moments", WAYS) if os.getuid() == 0 else list(WAYS)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", CHOSEN)
def test_nothing_is_left_after_the_next_command_when_controllers_are_killed_at_any_moment(
    name: str, place: Place
) -> None:
    way = WAYS[name]
    if "docker" in way.options.values() and (reason := containers.missing()):
        pytest.skip(reason)
    seed = int(os.environ.get("TESTS_SEED") or random.randrange(1 << 32))
    moments = random.Random(seed)
    print(f"TESTS_SEED={seed}")

    machine = leftovers.of_machine()
    at_once = min(_AT_ONCE, way.kills)
    with ThreadPoolExecutor(at_once) as together:
        span = max(together.map(lambda n: place.run(way, f"whole-{n}"), range(at_once)))
        expected = {part: leftovers.files(place.folder / part) for part in ("home", "tmp", "cache")}
        export = leftovers.files(place.folder / "out" / "whole-0")

        def kill(number: int, after: float) -> tuple[int, dict[int, str]]:
            with place.killed(way, f"killed-{number}", after) as (keeper, pid):
                rest = {each: of for each, of in rooms.descendants(keeper).items() if each != pid}
                deadline = time.monotonic() + _GONE_S
                while rooms.alive(set(rooms.descendants(keeper)) - {pid}):
                    if time.monotonic() > deadline:
                        return pid, rest
                    time.sleep(0.02)
                return pid, {}

        after = [moments.uniform(0, span) for _ in range(way.kills)]
        ended = list(together.map(kill, range(way.kills), after))
    assert [rest for _, rest in ended if rest] == []

    place.run(way, "next")
    pids = [pid for pid, _ in ended]

    def left() -> set[str]:
        traces = leftovers.of_gvisor() if "runsc" in way.options.values() else set()
        return traces | leftovers.of_controllers(pids) | leftovers.of_machine() - machine

    deadline = time.monotonic() + _GONE_S
    stays = left()
    while stays and time.monotonic() < deadline:  # others' containers come and go all the time
        time.sleep(0.2)
        stays &= left()
    assert stays == set()
    for part, before in expected.items():
        assert leftovers.files(place.folder / part) == before, part
    for output in (place.folder / "out").iterdir():
        assert leftovers.files(output) == export, output.name


def test_what_gvisor_leaves_of_a_start_that_failed_goes_with_the_next_command(
    place: Place,
) -> None:
    """runsc leaves control groups where nobody listens to its trace, as after a kill at that moment."""
    if os.geteuid() != 0:
        pytest.skip("only root may look at gVisor's kernel, and remove its control groups")
    if reason := containers.missing():
        pytest.skip(reason)
    api = containers.engine().api
    made = api.create_container(
        containers.IMAGE, ["-c", ""], entrypoint=["/usr/bin/python3"], network_disabled=True,
        host_config=api.create_host_config(runtime="runc", network_mode="none"),
    )["Id"]  # fmt: skip
    api.remove_container(made)
    groups = [Path("/sys/fs/cgroup") / each / made for each in _parents_of_groups()]
    for group in groups:
        group.mkdir()
    (trace.FOLDER / f"{made}.start").touch()
    place.run(WAYS["gvisor-load"], "next")
    assert [group for group in groups if group.exists()] == []
    assert not (trace.FOLDER / f"{made}.start").exists()


def _parents_of_groups() -> list[str]:
    """Where the engine makes a container's control groups: all where it has any, or would."""
    found = [path for path in Path("/sys/fs/cgroup").glob("*/docker") if path.is_dir()]
    return [str(path.relative_to("/sys/fs/cgroup")) for path in found] or ["docker"]
