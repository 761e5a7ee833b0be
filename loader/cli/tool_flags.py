"""The flags of the commands that run tools, as click shows them."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

import click
from safe_load.cli import tool_words

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from safe_load.cli.tool_words import Flag

    Command = Callable[..., int]


def _option(flag: Flag) -> Callable[[Command], Command]:
    names = [name for name in (flag.short, flag.name) if name]
    return click.option(
        *names,
        flag.parameter,
        help=flag.help,
        metavar=flag.metavar or None,
        multiple=flag.many,
        is_flag=not flag.takes_value,
        type=click.Choice(flag.among) if flag.among else None,
    )


TOOL = [_option(flag) for flag in tool_words.TOOL]
TOOL_REPORTS = [_option(flag) for flag in tool_words.REPORTS]
MCP = [
    click.option(
        "--server", "chosen", metavar="NAME", multiple=True,
        help="Of a configuration, inspect only this server. May be repeated.",
    ),
    click.option(
        "--deadline", metavar="TIME", default="20s",
        help="How long a server may take to answer and to list what it offers. [default: 20s]",
    ),
    click.option(
        "--known", metavar="REPORT.json",
        help="A report of an earlier inspection: a definition that differs is a finding.",
    ),
]  # fmt: skip


def given(options: Sequence[Callable[[Command], Command]]) -> Callable[[Command], Command]:
    """Put flags on a command, in the order in which `--help` lists them."""
    return lambda command: reduce(lambda done, option: option(done), reversed(options), command)
