"""What is there of rooms when nobody uses them any more, looked up from outside of all backends.

Others use the same engine at the same time: what belongs to a container that there is, is theirs.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import containers
from docker.errors import NotFound
from safe_load.sandbox.backends.gvisor import trace

_GROUPS = ("*/docker/*", "docker/*", "system.slice/docker-*.scope")
#: Where engines and runtimes keep a folder for each container; only root may look into most.
_STATES = ("/run/docker", "/run/containerd", "/var/lib/docker/containers")
_DEPTH = 7


def of_machine() -> set[str]:
    """What this machine has that is no container's: mounts, control groups, folders of engines."""
    mounts = _mounts()
    named = {each: name for each in (*_control_groups(), *_states()) if (name := _container(each))}
    if containers.missing() is not None:
        return mounts | set(named)
    # Listed last: what a container has that was made meanwhile is not taken for nobody's.
    there = _containers()
    theirs = {place for each in there.values() for place in _places(each)}
    return (mounts - theirs) | {each for each, name in named.items() if name not in there}


def of_controllers(pids: list[int]) -> set[str]:
    """The containers of these, in any state."""
    if containers.missing() is not None:
        return set()
    return {container for pid in pids for container in containers.of(pid)}


def of_gvisor() -> set[str]:
    """What lies where sentries report, beside the lock that controllers take turns with."""
    if not os.access(trace.FOLDER, os.R_OK):
        return set()
    return {str(path) for path in trace.FOLDER.iterdir() if path.name != "lock"}


def _mounts() -> set[str]:
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return {line.split()[4] for line in lines}


def _containers() -> dict[str, dict[str, Any]]:
    api = containers.engine().api
    found = {}
    for each in api.containers(all=True):
        with suppress(NotFound):  # it has ended meanwhile
            found[each["Id"]] = api.inspect_container(each["Id"])
    return found


def _places(inspected: dict[str, Any]) -> set[str]:
    """Where the engine mounts something for that container."""
    own = {
        (inspected["GraphDriver"].get("Data") or {}).get("MergedDir"),
        (inspected.get("NetworkSettings") or {}).get("SandboxKey"),
    }
    return {os.path.realpath(place) for place in own if place}


def _control_groups() -> set[str]:
    root = Path("/sys/fs/cgroup")
    return {str(group) for pattern in _GROUPS for group in root.glob(pattern)}


def _states() -> set[str]:
    found = set()
    for top in _STATES:
        for folder, folders, _ in os.walk(top):
            found |= {f"{folder}/{name}" for name in folders if _container(name)}
            if folder.count("/") - top.count("/") >= _DEPTH:
                folders.clear()
            folders[:] = [name for name in folders if not _container(name) and name != "rootfs"]
    return found


def _container(path: str) -> str:
    """The container that a folder is named after, "" where it is named otherwise."""
    name = Path(path).name.removeprefix("docker-").removesuffix(".scope")
    return name if len(name) == 64 and set(name) <= set("0123456789abcdef") else ""


def files(folder: Path) -> set[str]:
    """Everything below a folder, by its path in there."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}
