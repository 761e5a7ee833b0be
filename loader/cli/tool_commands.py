"""The commands for tools and MCP servers, as click shows them. `tools` does the work."""

from __future__ import annotations

from typing import Any

import click
from safe_load.cli import tool_flags


@click.command(context_settings={"allow_interspersed_args": False})
@click.argument("command", nargs=-1, required=True, metavar="-- COMMAND...")
@tool_flags.given(tool_flags.TOOL)
@tool_flags.given(tool_flags.TOOL_REPORTS)
def run(command: tuple[str, ...], reports: tuple[str, ...], **given: Any) -> int:
    """Run COMMAND, a tool that nobody vouches for, in a sealed room.

    It sees the system's programs, its interpreter and its own folder. What it sends stays in the room.
    The exit code is the command's own, or 1 when findings reach --fail-on.
    """
    from safe_load.cli import tools  # noqa: PLC0415

    return tools.run(command, given, reports)


@click.group()
def mcp() -> None:
    """Inspect MCP servers, and run them in a room."""


@mcp.command("wrap", context_settings={"allow_interspersed_args": False})
@click.argument("command", nargs=-1, required=True, metavar="-- COMMAND...")
@tool_flags.given(tool_flags.TOOL)
@tool_flags.given(tool_flags.TOOL_REPORTS)
def mcp_wrap(command: tuple[str, ...], reports: tuple[str, ...], **given: Any) -> int:
    """Stand between a client and an MCP server: COMMAND runs in a room, for good.

    Write it in the client's configuration in place of the server's own command.
    """
    from safe_load.cli import tools  # noqa: PLC0415

    return tools.run(command, given, reports)
