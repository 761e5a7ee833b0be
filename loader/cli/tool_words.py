"""The options of commands that run a tool, and their reading without click where a command line is plain.

A tool waits for every import before it starts. What is not plain (help, a mistake) is left to click, whose options
are made of the same table (`tool_flags`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from safe_load.core.fail_on import FAIL_ON

if TYPE_CHECKING:
    from collections.abc import Sequence


class Flag(NamedTuple):
    """name: as it is written; short: another way; metavar: of its value, "" where it has none; many: whether it may be
    repeated; among: the values that it takes, () for any; key: the parameter, "" for the name's own."""

    name: str
    help: str
    metavar: str = ""
    many: bool = False
    among: tuple[str, ...] = ()
    key: str = ""
    short: str = ""

    @property
    def parameter(self) -> str:
        """What it is called in the code."""
        return self.key or self.name.lstrip("-").replace("-", "_")

    @property
    def takes_value(self) -> bool:
        """Whether a value follows it."""
        return bool(self.metavar or self.among)


TOOL = (
    Flag(
        "--allow",
        "Let the tool connect to this host. All else that it sends stays in the room. May be repeated.",
        "HOST:PORT",
        many=True,
    ),
    Flag(
        "--unsafe-allow-private",
        "Let the tool connect to this address of your machine or network.",
        "ADDRESS:PORT",
        many=True,
    ),
    Flag("--read", "Show this file or folder too. May be repeated.", "PATH", many=True),
    Flag("--write", "Let the tool change this folder of yours.", "DIR", many=True),
    Flag("--env", "Give the tool this variable. Others are decoys.", "NAME", many=True),
    Flag("--log", "Append a line of JSON for each connection to FILE.", "FILE"),
    Flag(
        "--fail-on",
        "The lowest severity of a finding that makes the exit code 1. [default: medium]",
        among=FAIL_ON,
    ),
    Flag("--timeout", "Time limit: 90s, 5m. [default: 7 days]", "TIME"),
    Flag("--memory", "Memory limit: 2GiB. [default: 8GiB]", "SIZE"),
)
REPORTS = (
    Flag(
        "--report",
        "Write the report to FILE in this form. May be repeated.",
        "FORMAT=FILE",
        many=True,
        key="reports",
    ),
    Flag("--quiet", "Say nothing on stderr but errors.", short="-q"),
)


def read(words: Sequence[str]) -> dict[str, Any] | None:
    """The parameters of a plain command line, as click gives them; None for one that click has to read."""
    flags = {name: flag for flag in (*TOOL, *REPORTS) for name in (flag.name, flag.short) if name}
    given: dict[str, Any] = {
        flag.parameter: () if flag.many else None if flag.takes_value else False
        for flag in flags.values()
    }
    at = 0
    while at < len(words) and words[at].startswith("-") and words[at] != "-":
        if words[at] == "--":
            at += 1
            break
        name, equals, value = words[at].partition("=")
        flag = flags.get(name)
        at += 1
        if flag is None or (equals and name == flag.short) or bool(equals) > flag.takes_value:
            return None
        if not flag.takes_value:
            given[flag.parameter] = True
            continue
        if not equals:
            if at == len(words) or words[at].startswith("-"):
                return None
            value = words[at]
            at += 1
        if flag.among and value not in flag.among:
            return None
        given[flag.parameter] = (*given[flag.parameter], value) if flag.many else value
    given["command"] = tuple(words[at:])
    return given if given["command"] else None
