"""What a user asks of a tool's room. Zone: controller."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from safe_load.tools.rules import Rule

#: Whose findings and limits count. Models are never opened by it.
PROFILE = "tool"


@dataclass(frozen=True, kw_only=True)
class ToolOptions:
    """command: the words of the command. rules: what it may connect to. read, write: files and folders
    that the user grants; env: names of the user's variables that it gets. fail_on, timeout (seconds),
    memory (bytes): None takes the profile's value. log: the file that gets a line of JSON for each
    connection. decoys: whether fake credentials are planted. quiet: say nothing on stderr but errors."""

    command: tuple[str, ...]
    rules: tuple[Rule, ...] = ()
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    fail_on: str | None = None
    timeout: float | None = None
    memory: int | None = None
    log: Path | None = None
    decoys: bool = True
    quiet: bool = False
