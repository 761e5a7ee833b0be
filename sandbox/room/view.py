"""What a room's own side knows of it besides its order: who listens, and where everything lies."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from safe_load.sandbox.kernel import landlock

if TYPE_CHECKING:
    from collections.abc import Iterable

    from safe_load.sandbox.protocol import HostOrder, Identity

_READABLE = ("/etc", "/dev/random", "/dev/urandom", "/home", "/usr", "/bin", "/lib")


@dataclass(frozen=True)
class Ends:
    """Descriptors. result: for what the job returns; output: for what the worker prints; outputs: the
    job's files; drain: where the supervisor reads what is printed, None where the controller does."""

    result: int
    output: int
    outputs: tuple[int, ...]
    drain: int | None = None


@dataclass(frozen=True)
class View:
    """The room as its worker sees it, once it is built.

    sys_path, package: of its interpreter; argument: the job's, with paths of this room. quiet: where
    reading is counted and not told; rules: Landlock's, path -> rights; identities: the device and inode
    that the file at a path must be. prefix: the folder that stands for `/`; user: the worker's, where it
    has one of its own."""

    sys_path: tuple[str, ...]
    package: str
    argument: dict[str, Any]
    quiet: tuple[str, ...]
    rules: dict[str, int]
    identities: dict[str, Identity] = field(default_factory=dict)
    prefix: str = ""
    user: int = 1000


def readable(paths: Iterable[str]) -> dict[str, int]:
    """Landlock's rules for reading what there is of these."""
    return {path: landlock.READ for path in paths if os.path.exists(path)}


def of_host(order: HostOrder) -> View:
    """In a root that was built as ordered: every path is as the order has it."""
    rules = readable((*_READABLE, *order.readable))
    if order.program is not None:
        rules |= dict.fromkeys(order.program.executable, landlock.READ | landlock.EXECUTE)
        rules |= dict.fromkeys(order.program.writable, landlock.SCRATCH)
    return View(
        sys_path=order.sys_path,
        package=order.package,
        argument=order.argument,
        quiet=order.quiet,
        rules=rules,
    )
