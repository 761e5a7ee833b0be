"""The commands that run tools: `safe-load run` and `safe-load mcp`."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safe_load.cli import terminal
from safe_load.core.errors import UsageError
from safe_load.core.escape import visible
from safe_load.core.units import parse_seconds, parse_size
from safe_load.tools import ahead, rules, streams
from safe_load.tools.options import ToolOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from safe_load.core.report import Report
    from safe_load.tools.configs import Server
    from safe_load.tools.reporting import Ran

#: Findings that are told on stderr after a run, the gravest first. A report has all.
_MOST_TOLD = 10


def options_of(command: Sequence[str], given: dict[str, Any]) -> ToolOptions:
    """The options of a command line. Raises UsageError."""
    try:
        timeout = parse_seconds(given["timeout"]) if given["timeout"] else None
        memory = parse_size(given["memory"]) if given["memory"] else None
    except ValueError as error:
        raise UsageError(str(error)) from error
    return ToolOptions(
        command=tuple(command),
        rules=rules.parse_all(given["allow"], given["unsafe_allow_private"]),
        read=given["read"],
        write=given["write"],
        env=given["env"],
        fail_on=given["fail_on"],
        timeout=timeout,
        memory=memory,
        log=Path(given["log"]) if given["log"] else None,
        quiet=bool(given["quiet"]),
    )


def run(command: Sequence[str], given: dict[str, Any], reports: Sequence[str]) -> int:
    """Run a command in a room, its streams and signals passed through. Returns the exit code."""
    from safe_load.tools import running  # noqa: PLC0415 (not before the command line is known to be right)

    options = options_of(command, given)
    files = _files(reports)
    begun = ahead.take()
    with ExitStack() as stack:
        stack.enter_context(streams.terminal_restored())
        if begun is not None:
            stack.callback(begun.close)
        inside = begun.streams if begun is not None else stack.enter_context(streams.handed_in())
        ran = running.run(options, inside, passing=streams.signals_passed_on, begun=begun)
    if not options.quiet:
        tell(ran)
    if files and (code := _deliver(ran.report, files)):
        return code
    return ran.code


def tell(ran: Ran) -> None:
    """Say on stderr how a run ended, where that is more than the command itself says."""
    told = ran.report
    for note in ran.notes:
        terminal.note(f"safe-load: {note}")
    for found in told.findings[:_MOST_TOLD]:
        if found.severity != "low":
            detail = visible(found.detail, 200)
            terminal.note(f"safe-load: {found.severity}: {detail} ({found.id})")
    if told.outcome == "rejected":
        terminal.note("safe-load: rejected; --report FORMAT=FILE writes the whole report")
    elif told.outcome != "ok":
        ended = told.outcome.replace("_", " ")
        terminal.note(f"safe-load: {ended}: {visible(told.outcome_detail or '', 500)}")


def _files(reports: Sequence[str]) -> list[tuple[str, Path | None]]:
    """What `--report FORMAT=FILE` asks for. Raises UsageError."""
    if not reports:
        return []
    from safe_load.cli import outputs  # noqa: PLC0415 - the forms of reports take a while to import

    chosen = outputs.chosen_outputs("human", None, reports)[1:]
    outputs.check(chosen)
    return chosen


def _deliver(report: Report, files: list[tuple[str, Path | None]]) -> int:
    import os  # noqa: PLC0415

    from safe_load.cli import outputs, settings  # noqa: PLC0415

    resolved = settings.resolve({}, environ=os.environ, folder=Path.cwd(), sources=())
    return outputs.deliver([report], files, resolved)


def inspect(
    words: Sequence[str], given: dict[str, Any], shown: dict[str, Any], chosen: tuple[str, ...]
) -> int:
    """Inspect the servers of a configuration, or the one that a command starts. Returns the exit code.

    words: the configuration's path alone, or the command. shown: the options of the report. chosen: names of
    servers; none: all."""
    import os  # noqa: PLC0415

    from safe_load.cli import outputs, settings  # noqa: PLC0415
    from safe_load.core import offers  # noqa: PLC0415
    from safe_load.core.report import EXIT_CODES, Reports  # noqa: PLC0415
    from safe_load.tools import configs, descriptions, inspecting, reporting, running  # noqa: PLC0415

    known, format_, output, reports = (
        shown[key] for key in ("known", "format_", "output", "reports")
    )
    resolved = settings.resolve(
        {"format": format_, "quiet": given["quiet"] or None, "no-color": shown["no_color"]},
        environ=os.environ,
        folder=Path.cwd(),
        sources=(),
    )
    files = outputs.chosen_outputs(resolved.format, output, reports)
    outputs.check(files)
    earlier = offers.saved(Path(known), "--known") if known else []
    try:
        deadline = parse_seconds(shown["deadline"])
    except ValueError as error:
        raise UsageError(f"--deadline: {error}") from error
    servers = _servers(words, configs.read, configs.Server, chosen)
    options = options_of((), {**given, "quiet": True})
    done = Reports()
    codes, defined, instructions = [], [], {}
    for server in servers:
        if not server.command:
            terminal.warn(
                f"{server.name} runs at {server.url}: only a server that is started here can be inspected"
            )
            codes.append(3)
            continue
        try:
            report, found, told = inspecting.inspect(server, options, deadline=deadline)
        except Exception as error:  # noqa: BLE001 - one server must not cost the others; told, and never a 0
            codes.append(terminal.tell(error))
            continue
        done.append(report)
        defined += found
        instructions[server.name] = told
    across = [
        *descriptions.across(defined),
        *(descriptions.changed(defined, earlier) if known else []),
    ]
    for place, report in enumerate(done):
        name = report.source.path.partition(": ")[0]
        more = [each for each in across if each.location.partition(": ")[0] == name]
        if more:
            fail_on = options.fail_on or running.profile_of(options).fail_on
            done[place] = reporting.judged_by(report, [*report.findings, *more], fail_on)
        codes.append(EXIT_CODES[done[place].outcome])
    if done:
        codes.append(outputs.deliver(done, files, replace(resolved, verbose=shown["verbose"])))
    return outputs.worst(codes)


def _servers(
    words: Sequence[str],
    read: Callable[[Path], list[Server]],
    server: type[Server],
    chosen: tuple[str, ...],
) -> list[Server]:
    """The servers that a command line means. Raises UsageError."""
    if len(words) > 1 or not (words[0].endswith(".json") and Path(words[0]).exists()):
        if chosen:
            raise UsageError("--server chooses servers of a configuration, and a command was given")
        return [server(Path(words[0]).name, tuple(words))]
    found = read(Path(words[0]))
    names = {each.name for each in found}
    if missing := [name for name in chosen if name not in names]:
        raise UsageError(
            f"--server {missing[0]}: {words[0]} names no such server, but {', '.join(sorted(names))}"
        )
    return [each for each in found if not chosen or each.name in chosen]
