"""gVisor's kernel is itself a process without rights: what can be seen of it from the host.

What runs inside it cannot be seen; the supervisor looks at that.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import containers
import pytest
import rooms

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may look at gVisor's kernel")
EXPECTED = json.loads((rooms.HERE / "posture.json").read_text())["sentry"]


@pytest.fixture
def room() -> Iterator[rooms.Controller]:
    if reason := containers.missing():
        pytest.skip(reason)
    made = rooms.controller(("gvisor", rooms.users()[-1]))
    yield made
    made.close()  # also when the test failed


def sentry(room: rooms.Controller) -> int:
    """The pid of the kernel of the room's container."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for pid in containers.first_processes(room.process.pid):
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if command[0] == b"runsc-sandbox" and _is_confined(pid):
                return pid
        time.sleep(0.05)
    pytest.fail("no sentry")


def _is_confined(pid: int) -> bool:
    """Whether it has come to its own filter, which it installs before it runs anything."""
    return "Seccomp:\t2" in Path(f"/proc/{pid}/status").read_text()


def test_gvisors_kernel_has_no_rights_a_filter_and_namespaces_of_its_own(
    room: rooms.Controller,
) -> None:
    room.start("endings:sleeping", limits={"timeout": 5})
    pid = sentry(room)
    status = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
    )
    assert {name: status[name].strip() for name in EXPECTED["status"]} == EXPECTED["status"]
    theirs = {name: Path(f"/proc/{pid}/ns/{name}").readlink() for name in EXPECTED["namespaces"]}
    ours = {name: Path(f"/proc/self/ns/{name}").readlink() for name in EXPECTED["namespaces"]}
    assert [name for name in ours if ours[name] == theirs[name]] == []
    assert room.answer().result.status == "limit"
    assert not Path(f"/proc/{pid}").exists()


def test_memory_that_several_may_share_counts_as_memory(room: rooms.Controller) -> None:
    ran = room.run("hogs:zeros", {"whole": 1 << 29}, limits={"memory": 1 << 28})
    assert (ran.result.status, ran.result.value) == ("limit", None), ran.result.reason
    assert ran.result.reason == "memory limit: the job used more than 256 MiB"


def test_a_sentry_that_the_kernel_kills_for_memory_hit_a_limit(room: rooms.Controller) -> None:
    room.start("hogs:populate", {"processes": 1, "each": 384 << 20, "first": 8})
    sentry(room)
    (container,) = containers.of(room.process.pid)
    bound = next(
        path
        for place in (
            "memory/docker/{}/memory.limit_in_bytes",
            "system.slice/docker-{}.scope/memory.max",
        )
        if (path := Path("/sys/fs/cgroup", place.format(container))).exists()
    )
    bound.write_text(str(192 << 20))  # less than the watch minds
    result = room.answer().result
    assert (result.status, result.value) == ("limit", None), (result.reason, result.output)
    assert result.reason.startswith("memory limit: the kernel killed the container")
    assert not result.complete
