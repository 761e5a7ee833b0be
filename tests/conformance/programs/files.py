"""Reaching for files that are not the worker's."""

# ruff: noqa: PTH101, PTH104, PTH108, PTH116, PTH211
from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import raw

if TYPE_CHECKING:
    from collections.abc import Sequence


def look(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    """Look at each of argument["paths"], and try to read it. What each met."""
    return {
        path: [raw.attempt(partial(os.stat, place)), _read_error(place)]
        for path, place in ((path, os.path.expandvars(path)) for path in argument["paths"])
    }


def _read_error(path: str) -> str:
    return raw.attempt(lambda: os.close(os.open(path, os.O_RDONLY)))


def write(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    """Create a file in each of argument["folders"], and overwrite each of argument["files"]."""
    met = {}
    for folder in argument.get("folders", ()):
        path = os.path.join(os.path.expandvars(folder), "planted")
        met[folder] = raw.attempt(lambda: os.close(os.open(path, os.O_WRONLY | os.O_CREAT)))  # noqa: B023
    for path in argument.get("files", ()):
        met[path] = raw.attempt(lambda: os.close(os.open(path, os.O_WRONLY)))  # noqa: B023
    return met


def read(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    with open(argument["path"], encoding="utf-8") as file:
        return {"text": file.read()}


def out(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    """Write to the outputs, which is allowed."""
    for index, descriptor in enumerate(outputs):
        os.write(descriptor, f"output {index}".encode())
    return {}


def plant(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    """Make what an exporter could trip over, where writing is allowed."""
    return {
        "device": raw.attempt(
            lambda: os.mknod(raw.scratch("device"), 0o600 | 0o020000, os.makedev(1, 1))
        ),
        "executable mapping": raw.attempt(_map_program),
        "link to the host": raw.attempt(lambda: os.symlink("/etc/shadow", raw.scratch("link"))),
        "read the link": raw.attempt(lambda: os.open(raw.scratch("link"), os.O_RDONLY)),
    }


def _map_program() -> None:
    import mmap

    with open(raw.scratch("library.so"), "w+b") as file:
        file.write(bytes(4096))
        file.flush()
        mmap.mmap(file.fileno(), 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC, flags=mmap.MAP_PRIVATE)


def restyle(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    """Change mode, owner, times and size of each of argument["paths"]. What each met."""
    met = {}
    for path in argument["paths"]:
        place = os.path.expandvars(path)
        raw.attempt(lambda: os.close(os.open(place, os.O_WRONLY | os.O_CREAT)))  # noqa: B023
        ways = {
            "chmod": lambda: os.chmod(place, 0o777),  # noqa: B023
            "chown": lambda: os.chown(place, os.getuid(), os.getgid()),  # noqa: B023
            "utime": lambda: os.utime(place, (1, 1)),  # noqa: B023
            "truncate": lambda: os.truncate(place, 9),  # noqa: B023
            "link": lambda: os.link(place, f"{place}.link"),  # noqa: B023
            "rename": lambda: os.rename(place, f"{place}.moved"),  # noqa: B023
            "remove": lambda: os.unlink(place),  # noqa: B023
        }
        met |= {f"{path} {name}": raw.attempt(way) for name, way in ways.items()}
    return met


def size(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    return {"size": os.stat(argument["path"]).st_size}


def lock(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    """Lock the model and the standard library in every way, and files of one's own. What each met."""
    met: dict[str, Any] = {"paths": [argument["path"], os.__file__]}
    for path in met["paths"]:
        shared = os.open(path, os.O_RDONLY)
        met[path] = [
            raw.attempt(partial(fcntl.flock, shared, fcntl.LOCK_EX | fcntl.LOCK_NB)),
            raw.attempt(partial(fcntl.flock, shared, fcntl.LOCK_SH)),
            raw.attempt(partial(fcntl.lockf, shared, fcntl.LOCK_SH | fcntl.LOCK_NB)),
            raw.attempt(partial(fcntl.fcntl, shared, fcntl.F_SETLEASE, fcntl.F_RDLCK)),
        ]
    first, second = (os.open(raw.scratch("own"), os.O_RDWR | os.O_CREAT) for _ in range(2))
    tried = (fcntl.LOCK_EX | fcntl.LOCK_NB, fcntl.LOCK_UN)
    for name, take in (("flock", fcntl.flock), ("lockf", fcntl.lockf)):
        met[name] = [
            raw.attempt(partial(take, first, tried[0])),
            raw.attempt(partial(take, second, tried[0])),
            raw.attempt(partial(take, first, tried[1])),
            raw.attempt(partial(take, second, fcntl.LOCK_EX)),
            raw.attempt(partial(take, second, tried[1])),
        ]
    with sqlite3.connect(raw.scratch("rows.db")) as rows:
        rows.execute("create table numbers (value)")
        rows.executemany("insert into numbers values (?)", [(1,), (2,)])
        met["rows"] = rows.execute("select sum(value) from numbers").fetchone()[0]
    return met


def lock_in_a_race(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    """Lock a file of one's own while another thread puts argument["path"] in its place."""
    shared = os.open(argument["path"], os.O_RDONLY)
    own = os.open(raw.scratch("own"), os.O_RDWR | os.O_CREAT)
    number = os.dup(own)
    until = time.monotonic() + argument["seconds"]

    def swap() -> None:
        while time.monotonic() < until:
            os.dup2(shared, number)
            os.dup2(own, number)

    thread = threading.Thread(target=swap)
    thread.start()
    met: dict[str, int] = {}
    while time.monotonic() < until:
        error = raw.attempt(partial(fcntl.flock, number, fcntl.LOCK_EX | fcntl.LOCK_NB))
        met[error] = met.get(error, 0) + 1
    thread.join()
    return met
