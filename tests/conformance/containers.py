"""Where the rooms of the docker backend run: in containers, below the engine and not below the
controller that asked for them."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from docker.errors import NotFound
from safe_load.core.version import version
from safe_load.sandbox.backends.docker.engine import LABEL_CONTROLLER, Engine, EngineError

from tests.backends import IMAGE

#: The engine's; the controllers of the tests are told of it.
HOST = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
SOCKET = Path(HOST.removeprefix("unix://"))


@cache
def missing() -> str | None:
    """Why no room can be a container here; None where one can."""
    try:
        engine().image(IMAGE, version())
    except EngineError as error:
        return str(error)
    return None


@cache
def engine() -> Engine:
    return Engine()


def weaker() -> set[str]:
    """The walls that this engine cannot build."""
    limits = {"cgroup-memory", "cgroup-tasks"}
    walls = limits if engine().is_rootless else {"user-namespace"}
    unified = Path("/sys/fs/cgroup/cgroup.controllers").exists()
    return walls | ({"cgroup-namespace"} if engine().is_podman and not unified else set())


def group() -> int:
    """Who may ask the engine for containers."""
    return SOCKET.stat().st_gid


def first_processes(controller: int) -> list[int]:
    """The pid, as it is seen here, of pid 1 of each container that this controller has running."""
    found = [each["State"]["Pid"] for each in inspect(controller)]
    return [pid for pid in found if pid]


def inspect(controller: int) -> list[dict[str, Any]]:
    """What the engine says of each container of this controller."""
    found = []
    for each in of(controller):
        with suppress(NotFound):  # it has ended meanwhile
            found.append(engine().api.inspect_container(each))
    return found


def of(controller: int | None = None) -> list[str]:
    """The containers of this controller, or of all, in any state."""
    found = engine().api.containers(all=True, filters={"label": LABEL_CONTROLLER})
    return [
        each["Id"]
        for each in found
        if controller is None or each["Labels"][LABEL_CONTROLLER].startswith(f"{controller}:")
    ]
