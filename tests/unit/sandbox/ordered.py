"""An order for a room of this host, as small as it may be, with what a test changes."""

from __future__ import annotations

from typing import Any

from safe_load.sandbox import protocol
from safe_load.sandbox.containment import Containment, Policy

LIMITS = protocol.Limits(
    timeout=60.0,
    memory=1 << 30,
    processes=64,
    scratch=1 << 20,
    scratch_files=64,
    open_files=256,
    result=1 << 20,
    events=100,
)


def order(**changes: Any) -> protocol.HostOrder:
    """The order, with these fields changed."""
    policy = Policy(
        b"\6\0\0\0", {0: "read"}, frozenset(("openat",)), {"execve": 13}, {"read": (((0, 1, 1),),)}
    )
    fields: dict[str, Any] = {
        "stage": "load",
        "entry": "job:main",
        "argument": {"path": "/model"},
        "preload": ("torch",),
        "environment": {"A": "b"},
        "planted": {},
        "files": (),
        "walls": ("seccomp",),
        "limits": LIMITS,
        "policy": policy,
        "containment": Containment(),
        "mapped": 0,
        "output_limit": 0,
        "landlock": 6,
        "sinkhole": True,
        "folders": (),
        "covered": (),
        "empty": (),
        "links": {},
        "quiet": (),
        "readable": (),
        "sys_path": (),
        "package": "/runtime/base",
        "separate_user": True,
    }
    return protocol.HostOrder(**{**fields, **changes})
