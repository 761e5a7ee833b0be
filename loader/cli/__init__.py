"""The command `safe-load`: reads the command line, calls the pipeline, and shows what it says.

Zone: controller. `main` is the whole border to the shell: whatever happens, one of the documented
exit codes comes out, and an accident is never 0. What a command needs is imported when it runs,
so that `--help` answers at once.
"""

from __future__ import annotations

import sys

# As `typing` has it, which takes a while to import: a Ctrl-C meanwhile would show a traceback.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import NoReturn


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run one command line (default: the process's own) and exit with its code."""
    drop: Callable[[], None] | None = None
    try:
        if args is None and _tool_words(sys.argv[1:]):
            from safe_load.tools import ahead  # noqa: PLC0415

            ahead.begin()  # it starts while the rest is imported
            drop = ahead.drop
        from safe_load.cli import terminal  # noqa: PLC0415 - a Ctrl-C during this import ends here too

        terminal.end_on_sigterm()
        code = exit_code(sys.argv[1:] if args is None else list(args))
        if drop is not None:
            drop()  # where the command line was wrong
    except KeyboardInterrupt:  # before `exit_code` could say so, or while it says so
        code = 130
    from safe_load.cli import terminal  # noqa: PLC0415

    terminal.end_undisturbed()
    if code == 130 and args is None:
        terminal.leave(code)
    sys.exit(code)


def _tool_words(words: Sequence[str]) -> int:
    """How many words name a command that starts a tool in a room of its own; 0 for any other command, and for help."""
    own = words[: words.index("--")] if "--" in words else words
    count = 1 if [*own[:1]] == ["run"] else 2
    named = tuple(own[:count]) in {("run",), ("mcp", "wrap")}
    return count if named and not {"-h", "--help"} & set(own) else 0


def exit_code(args: list[str]) -> int:
    """Run one command line. Returns its exit code and raises nothing."""
    from safe_load.cli import terminal  # noqa: PLC0415

    terminal.show_tracebacks()
    try:
        code = _plain(args)
        code = _by_click(args) if code is None else code
        terminal.flush()
    except KeyboardInterrupt:
        return terminal.complain("interrupted", 130)
    except BrokenPipeError:
        return terminal.reader_left()
    except Exception as error:  # noqa: BLE001 (the border to the shell: explain, and fail closed)
        return terminal.tell(error)
    return code


def _plain(args: list[str]) -> int | None:
    """Run a tool; None for another command, and for words that click explains. A tool does not wait for click."""
    count = _tool_words(args)
    if not count:
        return None
    from safe_load.cli import tool_words  # noqa: PLC0415

    given = tool_words.read(args[count:])
    if given is None:
        return None
    from safe_load.cli import tools  # noqa: PLC0415

    return tools.run(given.pop("command"), given, given.pop("reports"))


def _by_click(args: list[str]) -> int:
    """Run what click reads. Raises what the command raises."""
    # Not at the top: `safe_load.cli` is imported by tools that never run a command.
    import click  # noqa: PLC0415
    from safe_load.cli import terminal  # noqa: PLC0415
    from safe_load.cli.app import app  # noqa: PLC0415

    try:
        code = app.main(args, prog_name="safe-load", standalone_mode=False)
    except click.ClickException as error:
        return terminal.complain(error.format_message(), 2)
    except click.Abort:
        raise KeyboardInterrupt from None
    return code if isinstance(code, int) else 0
