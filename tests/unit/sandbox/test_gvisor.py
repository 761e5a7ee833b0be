"""The session of trace points that a runtime is registered with is the one that a profile asks for."""

from __future__ import annotations

import json
import platform
from pathlib import Path

import pytest
from safe_load import profiles
from safe_load.sandbox.backends.gvisor import trace

CI = Path(__file__).resolve().parents[3] / ".ci" / "gvisor.json"


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the numbers in it are those of x86-64")
def test_what_ci_registers_is_what_the_profile_asks_for() -> None:
    assert json.loads(CI.read_text()) == trace.session(profiles.load("strict"))


def test_every_profile_that_ships_asks_for_the_same() -> None:
    wanted = trace.session(profiles.load("strict"))
    # No container runs a tool.
    models = [name for name in profiles.names() if name != "tool"]
    assert all(trace.session(profiles.load(name)) == wanted for name in models)


def test_what_the_filter_refuses_is_watched_and_what_it_allows_is_not() -> None:
    names = set(trace.refused(profiles.load("strict")).values())
    assert {"execve", "connect", "mount", "ptrace", "io_uring_setup", "bpf", "setns"} <= names
    assert not {"read", "openat", "socket", "clone", "futex", "kill"} & names


def test_gvisors_runtime_is_told_by_its_program() -> None:
    assert trace.is_gvisor({"path": "/usr/bin/runsc"})
    assert trace.is_gvisor({"path": "/opt/gvisor/runsc-20240101"})
    assert not trace.is_gvisor({"path": "runc"})
    assert not trace.is_gvisor({})
