"""The command `safe-load`: reads the command line, calls the pipeline, and shows what it says.

Zone: controller. `main` is the whole border to the shell: whatever happens, one of the documented
exit codes comes out, and an accident is never 0. What a command needs is imported when it runs,
so that `--help` answers at once.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run one command line (default: the process's own) and exit with its code."""
    from safe_load.cli import terminal  # noqa: PLC0415

    terminal.end_on_sigterm()
    sys.exit(exit_code(sys.argv[1:] if args is None else list(args)))


def exit_code(args: list[str]) -> int:
    """Run one command line. Returns its exit code and raises nothing."""
    # Not at the top: `safe_load.cli` is imported by tools that never run a command.
    import click  # noqa: PLC0415
    from safe_load.cli import terminal  # noqa: PLC0415
    from safe_load.cli.app import app  # noqa: PLC0415

    try:
        code = app.main(args, prog_name="safe-load", standalone_mode=False)
        terminal.flush()
    except click.ClickException as error:
        return terminal.complain(error.format_message(), 2)
    except (click.Abort, KeyboardInterrupt):
        return terminal.complain("interrupted", 130)
    except BrokenPipeError:
        return terminal.reader_left()
    except Exception as error:  # noqa: BLE001 (the border to the shell: explain, and fail closed)
        return terminal.tell(error)
    return code if isinstance(code, int) else 0
