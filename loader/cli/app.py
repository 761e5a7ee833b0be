"""The commands and their flags, as click shows them. Each hands over to a module that does the work."""

from __future__ import annotations

import os
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from safe_load.formats import FORMATS
from safe_load.options import BACKENDS, DEPTHS, FAIL_ON, RECORDS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from safe_load.settings import Settings

    Command = Callable[..., int]
    Outputs = Sequence[tuple[str, Path | None]]

_SETTINGS = [
    click.option(
        "--profile",
        metavar="NAME|FILE",
        help="What a room may use and when a load is rejected. [default: strict]",
    ),
    click.option(
        "--backend", type=click.Choice(BACKENDS), help="What builds the room. [default: auto]"
    ),
    click.option(
        "--runtime", metavar="NAME", help="The container runtime of the docker backend, e.g. runsc."
    ),
    click.option(
        "--image",
        metavar="NAME",
        help="The image of the docker backend. [default: safe-load:VERSION]",
    ),
    click.option(
        "--depth",
        type=click.Choice(DEPTHS),
        help="How much of the model to bring to life. [default: auto: model where there is a config.json, else weights]",
    ),
    click.option(
        "--fail-on",
        type=click.Choice(FAIL_ON),
        help="The least severity that rejects. [default: the profile's, medium in strict]",
    ),
    click.option(
        "--record",
        type=click.Choice(RECORDS),
        help="full: also write every call that can be seen, one by one, to a .trace.jsonl file beside the report. [default: standard]",
    ),
    click.option(
        "--timeout", metavar="TIME", help="For one source: 90s, 5m. [default: the profile's]"
    ),
    click.option("--memory", metavar="SIZE", help="For one source: 8GiB. [default: the profile's]"),
    click.option(
        "--all-files",
        is_flag=True,
        default=None,
        help="Of a source on a hub, download and judge all files, not only those that a load opens.",
    ),
    click.option(
        "--no-hash",
        is_flag=True,
        default=None,
        help="Leave the SHA-256 of the source's files out of the report.",
    ),
    click.option(
        "--config",
        metavar="FILE",
        help="Read [tool.safe-load] from this file instead of the nearest pyproject.toml; none for no file.",
    ),
]
_REPORTS = [
    click.option(
        "--format",
        "format_",
        type=click.Choice(list(FORMATS)),
        help="What the report looks like. [default: human]",
    ),
    click.option(
        "--output", metavar="FILE", help="Write the report to FILE and nothing to stdout."
    ),
    click.option(
        "--report",
        "reports",
        metavar="FORMAT=FILE",
        multiple=True,
        help="Write one more report. May be repeated.",
    ),
    click.option(
        "-q",
        "--quiet",
        is_flag=True,
        default=None,
        help="No progress, and one line for each source.",
    ),
    click.option("--no-color", is_flag=True, default=None, help="No colours, also on a terminal."),
]
_AS_JSON = click.option(
    "--format", "format_", type=click.Choice(("human", "json")), default="human"
)


def _with(options: Sequence[Callable[[Command], Command]]) -> Callable[[Command], Command]:
    return lambda command: reduce(lambda done, option: option(done), reversed(options), command)


@click.group(
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option("--version", is_flag=True, help="Show the version and exit.")
@click.pass_context
def app(context: click.Context, version: bool) -> None:
    """Open a model nobody vouches for inside a sealed room, watch what it does, and get nothing
    back but safetensors.

    \b
    Exit codes: 0 clean · 1 rejected · 2 wrong command line or configuration
    3 not loadable · 4 sandbox error · 5 limit hit · 130 interrupted
    """
    if version:
        from safe_load.version import version as installed  # noqa: PLC0415

        click.echo(f"safe-load {installed()}")
        context.exit()
    if context.invoked_subcommand is None:
        click.echo(context.get_help(), err=True)
        context.exit(2)


@app.command()
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@_with(_SETTINGS)
@_with(_REPORTS)
def scan(sources: tuple[str, ...], **flags: Any) -> int:
    """Open each SOURCE in the sandbox, watch it and report. Exports nothing.

    SOURCE is a file, a model folder, a Hugging Face cache snapshot, or hf://ORG/NAME@REVISION.
    """
    return _open(sources, flags)


@app.command()
@click.argument("source", metavar="SOURCE")
@click.option(
    "-o",
    "--output-dir",
    "target",
    required=True,
    metavar="DIR",
    help="Where the cleared copy goes: complete, or not at all.",
)
@click.option(
    "--export-despite-findings",
    is_flag=True,
    help="Write DIR even if the source is rejected. The exit code stays 1.",
)
@_with(_SETTINGS)
@_with(_REPORTS)
def load(source: str, target: str, export_despite_findings: bool, **flags: Any) -> int:
    """Open SOURCE in the sandbox and put a cleared copy in DIR.

    DIR gets the weights as safetensors, configuration and tokenizer written anew, the report and a
    manifest.
    """
    return _open((source,), flags, target, export_despite_findings)


@app.command()
@click.argument("folder", metavar="DIR")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing when all is well.")
@click.option("--no-color", is_flag=True)
def verify(folder: str, quiet: bool, no_color: bool) -> int:
    """Check a cleared DIR against its manifest. Offline, and without a sandbox."""
    from safe_load.cli import show  # noqa: PLC0415

    return show.verify(folder, quiet=quiet, color=_color(no_color))


@app.command()
@click.argument("file", metavar="REPORT.json")
@_with(_REPORTS)
def report(file: str, **flags: Any) -> int:
    """Show a saved report again, in any format. "-" reads it from stdin."""
    from safe_load.cli import run  # noqa: PLC0415

    settings, outputs = _settings(flags)
    run.check(outputs)
    return run.deliver(run.read_report(file), outputs, settings)


@app.command()
@_AS_JSON
@click.option("--no-color", is_flag=True)
def doctor(format_: str, no_color: bool) -> int:
    """Build each wall for real, say which stand on this machine and how to get the missing ones."""
    from safe_load.cli import show  # noqa: PLC0415

    return show.doctor(as_json=format_ == "json", color=_color(no_color))


@app.command()
@click.argument("action", type=click.Choice(("list", "show")), default="list")
@click.argument("name", required=False)
@_AS_JSON
@click.option("--no-color", is_flag=True)
def profiles(action: str, name: str | None, format_: str, no_color: bool) -> int:
    """List the profiles, or show NAME's effective values."""
    if (action == "show") != (name is not None):
        raise click.UsageError("say `profiles list` or `profiles show NAME`")
    from safe_load.cli import show  # noqa: PLC0415

    if name is None:
        return show.profile_list(as_json=format_ == "json", color=_color(no_color))
    return show.profile(name, as_json=format_ == "json", color=_color(no_color))


@app.group()
def cache() -> None:
    """What is kept of models that were cleared: `list`, `verify` and `prune` it."""


@cache.command("list")
@_AS_JSON
@click.option("--no-color", is_flag=True)
def cache_list(format_: str, no_color: bool) -> int:
    """List the cleared models, the one used last first."""
    from safe_load.cli import cache  # noqa: PLC0415

    return cache.listing(as_json=format_ == "json", color=_color(no_color))


@cache.command("verify")
@click.argument("keys", nargs=-1, metavar="[KEY]...")
@click.option(
    "--remove", is_flag=True, help="Remove what was changed; the next load makes it anew."
)
@click.option("--no-color", is_flag=True)
def cache_verify(keys: tuple[str, ...], remove: bool, no_color: bool) -> int:
    """Hash all cleared models, or those whose KEY begins so, and name what was changed."""
    from safe_load.cli import cache  # noqa: PLC0415

    return cache.verify(keys, remove=remove, color=_color(no_color))


@cache.command("prune")
@click.option(
    "--max-size",
    metavar="SIZE",
    help="Remove what was used longest ago until SIZE is left: 20GB, 0.",
)
@click.option("--older-than", metavar="TIME", help="Remove what was not used for TIME: 30d, 12h.")
@click.option("--no-color", is_flag=True)
def cache_prune(max_size: str | None, older_than: str | None, no_color: bool) -> int:
    """Make room; never takes what is in use. With no bound given, SAFE_LOAD_CACHE_SIZE (100GiB)."""
    from safe_load.cli import cache  # noqa: PLC0415

    return cache.prune(max_size, older_than, color=_color(no_color))


def _color(no_color: bool) -> bool | None:
    return False if no_color else None


def _open(
    sources: tuple[str, ...],
    flags: dict[str, Any],
    target: str | None = None,
    export_despite_findings: bool = False,
) -> int:
    from safe_load.cli import run  # noqa: PLC0415

    settings, outputs = _settings(flags, sources, export_despite_findings)
    return run.open_sources(sources, settings, outputs, Path(target) if target else None)


def _settings(
    flags: dict[str, Any], sources: Sequence[str] = (), export_despite_findings: bool = False
) -> tuple[Settings, Outputs]:
    from safe_load import settings  # noqa: PLC0415
    from safe_load.cli import run, terminal  # noqa: PLC0415

    output, reports, config = flags.pop("output"), flags.pop("reports"), flags.pop("config", None)
    named = {key.rstrip("_").replace("_", "-"): value for key, value in flags.items()}
    if named.pop("no-hash", None):
        named["hash"] = False
    resolved = settings.resolve(
        named,
        environ=os.environ,
        folder=Path.cwd(),
        sources=sources,
        config=config,
        export_despite_findings=export_despite_findings,
    )
    for warning in resolved.warnings:
        terminal.warn(warning)
    return resolved, run.chosen_outputs(resolved.format, output, reports)
