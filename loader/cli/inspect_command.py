"""`safe-load mcp inspect`, as click shows it: apart from what runs tools, which need none of these flags."""

from __future__ import annotations

from typing import Any

import click
from safe_load.cli import flags, tool_flags


@click.command("inspect", context_settings={"allow_interspersed_args": False})
@click.argument("words", nargs=-1, required=True, metavar="CONFIG.json | -- COMMAND...")
@tool_flags.given(tool_flags.MCP)
@tool_flags.given(tool_flags.TOOL)
@flags.given(flags.REPORTS)
def mcp_inspect(words: tuple[str, ...], chosen: tuple[str, ...], **given: Any) -> int:
    """Start MCP servers in a room, list what they offer, and report what they tried.

    Each is started twice: with fake credentials, and without any. CONFIG.json is a client's
    configuration (mcpServers); COMMAND starts one server that speaks on standard input and output.
    """
    from safe_load.cli import tools  # noqa: PLC0415

    shown = {
        key: given.pop(key)
        for key in ("known", "deadline", "format_", "output", "reports", "verbose", "no_color")
    }
    return tools.inspect(words, given, shown, chosen)
