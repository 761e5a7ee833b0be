"""The commands and their flags, as click shows them. Each hands over to a module that does the work."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from safe_load.cli import (
    flags,
    fleet_flags,
    gateway_flags,
    inspect_command,
    probe_flags,
    register_flags,
    signed,
    tool_commands,
)
from safe_load.cli.advisory_commands import advisories
from safe_load.core.options import DTYPES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from safe_load.cli.settings import Settings
    from safe_load.cli.sources import Choice
    from safe_load.core.claims import Claim
    from safe_load.core.report import Report

    Outputs = Sequence[tuple[str, Path | None]]


@click.group(
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option("--version", is_flag=True, help="Show the version and exit.")
@click.pass_context
def app(context: click.Context, version: bool) -> None:
    """Open a model in a sealed room, record what it does there, and get only safetensors back.

    \b
    Exit codes: 0 clean · 1 rejected · 2 wrong command line or configuration
    3 not loadable · 4 sandbox error · 5 limit hit · 130 interrupted
    """
    if version:
        from safe_load.core.version import version as installed  # noqa: PLC0415

        click.echo(f"safe-load {installed()}")
        context.exit()
    if context.invoked_subcommand is None:
        click.echo(context.get_help(), err=True)
        context.exit(2)


app.add_command(gateway_flags.serve)
app.add_command(register_flags.register)
app.add_command(register_flags.packages)
app.add_command(gateway_flags.group)
app.add_command(fleet_flags.group)


@app.command()
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@flags.given(flags.TREE)
@flags.given(flags.BASE)
@flags.given(fleet_flags.ON)
@flags.given(flags.SETTINGS)
@flags.given(flags.REPORTS)
def scan(sources: tuple[str, ...], **given: Any) -> int:
    """Open each SOURCE in the sandbox and report what it does. Exports nothing.

    SOURCE is a file, a model folder, a snapshot in a Hugging Face cache, hf://ORG/NAME@REVISION, or - for a file on
    standard input. Of a folder that holds several models, each is a source with a verdict of its own.
    """
    from safe_load.cli.sources import Choice  # noqa: PLC0415

    named = ("include", "exclude", "recursive", "changed_since", "gitignore")
    return _open(sources, given, choice=Choice(**{name: given.pop(name) for name in named}))


@app.command()
@click.argument("source", metavar="SOURCE")
@click.option(
    "-o",
    "--output-dir",
    "target",
    required=True,
    metavar="DIR",
    help="The folder for the cleared copy. It appears complete, or not at all.",
)
@click.option(
    "--export-despite-findings",
    is_flag=True,
    help="Write DIR even if the source is rejected. The exit code stays 1.",
)
@click.option(
    "--base",
    metavar="BASE",
    help="hf://ORG/NAME@REVISION or a path: compare the weights with those of this source first, as `safe-load diff` does. ORG/NAME@REVISION: of an adapter, the base model that the copy names.",
)
@flags.given(flags.CLAIM)
@click.option(
    "--dtype",
    type=click.Choice(DTYPES),
    help="Convert the copy's floating point tensors to this type, rounding as torch does. [default: none]",
)
@click.option(
    "--max-shard-size",
    metavar="SIZE",
    help="Put at most this much into one file of the copy: 5GB. [default: as many files as the source]",
)
@click.option(
    "--attest",
    metavar="PEM",
    help="Put signed statements of what was loaded and seen into DIR, by this private key.",
)
@click.option(
    "--hash-export",
    is_flag=True,
    default=None,
    help="Also give the SHA-256 of each file of DIR, beside its BLAKE3.",
)
@flags.given(flags.WEIGHTS)
@flags.given(flags.SETTINGS)
@flags.given(flags.REPORTS)
def load(
    source: str, target: str, export_despite_findings: bool, attest: str | None, **given: Any
) -> int:
    """Open SOURCE in the sandbox, and put a cleared copy in DIR.

    DIR gets the weights as safetensors, the rewritten configuration and tokenizer, the report and a
    manifest.
    """
    if attest is None:
        return _open((source,), given, target, export_despite_findings)
    from safe_load.cli import attesting  # noqa: PLC0415

    signs = attesting.into(target, attest)
    given["hash_export"] = True
    return _open((source,), given, target, export_despite_findings, then=signs)


@app.command()
@click.argument("base", metavar="A")
@click.argument("source", metavar="B")
@flags.given(flags.DIFF)
def diff(base: str, source: str, claim: Claim | None, **given: Any) -> int:
    """Compare the weights of B with those of A: which tensors differ, how, and what kind of change that is.

    A and B are sources as for scan, of any format. The class is identical, rounding, adapter, surgical,
    fine-tune or unrelated. Judges the weights alone: `scan` judges the files.
    """
    from safe_load.cli import diff as command  # noqa: PLC0415

    output = given.pop("output")
    settings, _ = _settings({**given, "output": None, "reports": ()}, (base, source))
    return command.run(base, source, settings, output, claim)


@app.command()
@click.argument("cleared", metavar="CLEARED")
@flags.given(probe_flags.PROBE)
def probe(cleared: str, base: str | None, sets: tuple[str, ...], seed: int, **given: Any) -> int:
    """Ask the language model of a cleared folder for triggers: what fixes its answer, whatever the prompt says.

    CLEARED is a folder that `safe-load load` made. The model runs in a room, on the CPU: up to about 0.5 billion numbers.
    The answer is what was found, or "nothing found with this set", and never that a model is clean.
    """
    from safe_load.cli import probe as command  # noqa: PLC0415

    output = given.pop("output")
    settings, _ = _settings({**given, "output": None, "reports": ()}, (cleared,))
    return command.run(cleared, settings, output, base, sets, seed)


@app.command()
@click.argument("file", metavar="REPORT.json")
@flags.given(flags.REPORTS)
def report(file: str, **given: Any) -> int:
    """Show a saved JSON report in any form. "-" reads it from stdin."""
    from safe_load.cli import outputs  # noqa: PLC0415

    settings, chosen = _settings(given)
    outputs.check(chosen)
    return outputs.deliver(outputs.read_report(file), chosen, settings)


@app.command()
@flags.AS_JSON
@flags.NO_COLOR
def doctor(format_: str, no_color: bool) -> int:
    """Check which rooms this machine can build.

    Builds each kind of room and each wall, lists those that stand, and says how to get the others.
    """
    from safe_load.cli import show  # noqa: PLC0415

    return show.doctor(as_json=format_ == "json", color=_color(no_color))


@app.command()
@click.argument("action", type=click.Choice(("list", "show", "schema")), default="list")
@click.argument("name", required=False)
@click.option(
    "--effective",
    is_flag=True,
    help="Show what a scan would go by here: each setting and limit, and where it comes from.",
)
@click.option("--config", metavar="FILE", help="With --effective: as for scan.")
@flags.AS_JSON
@flags.NO_COLOR
def profiles(
    action: str,
    name: str | None,
    effective: bool,
    config: str | None,
    format_: str,
    no_color: bool,
) -> int:
    """List the profiles, show NAME's values, or show what is in force here (show --effective).

    `schema` prints the JSON Schema of a configuration file.
    """
    if (action == "show") != (name is not None or effective) or (name and effective):
        raise click.UsageError(
            "write `safe-load profiles list`, `safe-load profiles show NAME`, `safe-load profiles show "
            "--effective` or `safe-load profiles schema`"
        )
    from safe_load.cli import effective as in_force  # noqa: PLC0415
    from safe_load.cli import show  # noqa: PLC0415

    if action == "schema":
        return in_force.schema()
    if effective:
        return in_force.show(config, as_json=format_ == "json", color=_color(no_color))
    if name is None:
        return show.profile_list(as_json=format_ == "json", color=_color(no_color))
    return show.profile(name, as_json=format_ == "json", color=_color(no_color))


@app.group()
def cache() -> None:
    """List, verify or prune the cleared copies that are kept."""


@cache.command("list")
@flags.AS_JSON
@flags.NO_COLOR
def cache_list(format_: str, no_color: bool) -> int:
    """List the cleared copies, the last used first."""
    from safe_load.cli import cache  # noqa: PLC0415

    return cache.listing(as_json=format_ == "json", color=_color(no_color))


@cache.command("verify")
@click.argument("keys", nargs=-1, metavar="[KEY]...")
@click.option(
    "--remove", is_flag=True, help="Remove changed copies; the next load clears the model again."
)
@flags.NO_COLOR
def cache_verify(keys: tuple[str, ...], remove: bool, no_color: bool) -> int:
    """Hash the cleared copies and name the changed ones.

    KEY is the beginning of a key of `safe-load cache list`; without one, all copies are hashed.
    """
    from safe_load.cli import cache  # noqa: PLC0415

    return cache.verify(keys, remove=remove, color=_color(no_color))


@cache.command("prune")
@click.option(
    "--max-size",
    metavar="SIZE",
    help="Remove the copies unused for the longest time until SIZE is left: 20GB, 0.",
)
@click.option(
    "--older-than", metavar="TIME", help="Remove the copies that were not used for TIME: 30d, 12h."
)
@flags.NO_COLOR
def cache_prune(max_size: str | None, older_than: str | None, no_color: bool) -> int:
    """Remove cleared copies that are not in use.

    Without an option, the cache keeps SAFE_LOAD_CACHE_SIZE (100GiB).
    """
    from safe_load.cli import cache  # noqa: PLC0415

    return cache.prune(max_size, older_than, color=_color(no_color))


for _command in (advisories, signed.verify, signed.sign, signed.attest):
    app.add_command(_command)


def _color(no_color: bool) -> bool | None:
    return False if no_color else None


def _open(
    sources: tuple[str, ...],
    given: dict[str, Any],
    target: str | None = None,
    export_despite_findings: bool = False,
    choice: Choice | None = None,
    then: Callable[[Report], None] | None = None,
) -> int:
    from safe_load.cli import run, standard_input  # noqa: PLC0415

    base, claim = given.pop("base", None), given.pop("claim", None)
    on = run.fleet_of(given.pop("on", None), given.pop("store", None), base)
    against = run.base_of(base, claim, scans=target is None)
    if against is None and base is not None:
        given["base"] = base
    settings, outputs = _settings(given, sources, export_despite_findings)
    settings = replace(settings, then=then)
    with standard_input.kept(sources) as (opened, name):
        folder = Path(target) if target else None
        settings = replace(settings, against=against, on=on)
        return run.open_sources(opened, settings, outputs, folder, choice, name)


def _settings(
    given: dict[str, Any], sources: Sequence[str] = (), export_despite_findings: bool = False
) -> tuple[Settings, Outputs]:
    from safe_load.cli import outputs, settings, terminal  # noqa: PLC0415
    from safe_load.render import progress  # noqa: PLC0415

    output, reports, config = given.pop("output"), given.pop("reports"), given.pop("config", None)
    unsafe_profile, verbose = given.pop("unsafe_profile", False), given.pop("verbose", False)
    lines = progress.Lines(sys.stderr) if given.pop("progress", None) == "jsonl" else None
    named = {key.rstrip("_").replace("_", "-"): value for key, value in given.items()}
    if named.pop("no-hash", None):
        named["hash"] = False
    resolved = settings.resolve(
        named,
        environ=os.environ,
        folder=Path.cwd(),
        sources=sources,
        config=config,
        export_despite_findings=export_despite_findings,
        unsafe_profile=unsafe_profile,
        trace=outputs.trace_beside(output, reports),
    )
    for warning in resolved.warnings:
        terminal.warn(warning)
    chosen = outputs.chosen_outputs(resolved.format, output, reports)
    return replace(resolved, verbose=verbose, lines=lines), chosen


app.add_command(tool_commands.run)
tool_commands.mcp.add_command(inspect_command.mcp_inspect)
app.add_command(tool_commands.mcp)
