"""A PostgreSQL server of its own for tests: private files, a socket in its folder, no port."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


def _program(name: str) -> str:
    """Debian keeps those of a server out of PATH."""
    found = shutil.which(name) or next(
        (str(path) for path in sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))[-1:]), None
    )
    if found is None:
        pytest.skip(f"no PostgreSQL server on this machine: {name} is not there")
    return found


def _user() -> dict[str, Any]:
    """The server refuses to run as root: then it runs as the user of Debian's package, or as nobody."""
    if os.geteuid() != 0:
        return {}
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    user = known.get("postgres") or known["nobody"]
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


@contextmanager
def server() -> Iterator[str]:
    """A running server. Gives the URL of its database, for the user "gateway"."""
    initdb, postgres, user = _program("initdb"), _program("postgres"), _user()
    # Not below pytest's folder, which is root's alone; a socket's path must be short too.
    home = Path(tempfile.mkdtemp(prefix="pg-"))
    try:
        if user:
            os.chown(home, user["user"], user["group"])
        subprocess.run(
            [initdb, "-D", home / "data", "-U", "gateway", "-A", "trust", "-N", "-E", "UTF8", "--no-locale"],
            check=True, capture_output=True, cwd="/", **user,
        )  # fmt: skip
        options = (
            "listen_addresses=",
            f"unix_socket_directories={home}",
            "fsync=off",
            "shared_buffers=16MB",
        )
        with (home / "log").open("wb") as log:
            process = subprocess.Popen(
                [postgres, "-D", home / "data", *(part for each in options for part in ("-c", each))],
                stdout=log, stderr=log, cwd="/", **user,
            )  # fmt: skip
        try:
            while "ready to accept" not in (home / "log").read_text():
                assert process.poll() is None, (home / "log").read_text()
                time.sleep(0.02)
            yield f"postgresql://gateway@/postgres?host={home}"
        finally:
            process.send_signal(signal.SIGINT)  # waits for nobody
            process.wait(30)
    finally:
        shutil.rmtree(home)
