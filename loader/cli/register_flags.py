"""The commands `safe-load register` and `safe-load packages`, as click shows them."""

from __future__ import annotations

from typing import Any

import click
from safe_load.cli import flags

#: Of the register: its forms are its own.
CHAIN = [
    click.option(
        "--format",
        type=click.Choice(("human", "json", "markdown", "cyclonedx", "sarif")),
        help="The form of what is shown; with it, no file is written but --output. [default: human]",
    ),
    click.option(
        "--output",
        metavar="FILE",
        help="Write the register to FILE. [default: safe-load.chain.json in DIR]",
    ),
    click.option(
        "--report",
        "reports",
        metavar="FORMAT=FILE",
        multiple=True,
        help="Also write it to FILE in this form. May be repeated.",
    ),
    click.option("-q", "--quiet", is_flag=True, help="Show nothing; the exit code tells."),
    click.option("-v", "--verbose", is_flag=True, help="Show every link."),
    click.option("--no-color", is_flag=True, help="Use no colours on a terminal."),
]


@click.command()
@click.argument("folders", nargs=-1, metavar="[pin] [DIR]")
@click.option(
    "--check",
    is_flag=True,
    help="Compare with the committed register, and write none: exit 1 for a link that is new, looser or changed.",
)
@click.option(
    "--against",
    metavar="FILE",
    help="With --check: the committed register. [default: safe-load.chain.json in DIR]",
)
@click.option(
    "--offers",
    metavar="REPORT.json",
    multiple=True,
    help="A report of `safe-load mcp inspect`: the register keeps each definition's digest. With --check, a changed one is exit 1. May be repeated.",
)
@click.option(
    "--user", is_flag=True, help="Also read your own files that name MCP servers (~/.cursor, ...)."
)
@click.option(
    "--exclude",
    metavar="GLOB",
    multiple=True,
    help="Leave alone files that match. May be repeated.",
)
@click.option("--timeout", metavar="TIME", help="Time limit: 90s, 5m. [default: 2m]")
@click.option(
    "--offline", is_flag=True, help="With pin: ask nobody; what this machine has already pins."
)
@flags.given(CHAIN)
def register(folders: tuple[str, ...], no_color: bool, offline: bool, **given: Any) -> int:
    """List what a project brings in: models, hosts, libraries, tools and MCP servers. Runs nothing of it.

    Writes safe-load.chain.json into DIR (default: the working directory): who publishes each link, whether it is
    pinned, where it stands and how to mend it, the link trusted least first.

    `safe-load register pin` asks the hub, the registries and git for exact revisions, versions and digests, and prints a patch.
    """
    from safe_load.cli import register as chain  # noqa: PLC0415

    pins = folders[:1] == ("pin",)
    folders = folders[1:] if pins else folders
    if len(folders) > 1:
        raise click.UsageError("name one folder; to pin, write `safe-load register pin [DIR]`")
    folder = folders[0] if folders else "."
    if pins:
        unused = [
            name
            for name in ("check", "against", "offers", "format", "output", "reports")
            if given.get(name)
        ]
        if unused:
            raise click.UsageError(
                f"`safe-load register pin` prints a patch, and takes no --{unused[0]}"
            )
        return chain.pin(folder, given["exclude"], given["timeout"], offline=offline)
    if offline:
        raise click.UsageError("--offline is of `safe-load register pin`: the register asks nobody")
    return chain.register(chain.Asked(folder=folder, color=False if no_color else None, **given))


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...|FILE")
@click.option(
    "--ecosystem",
    type=click.Choice(("pypi", "npm")),
    help="Whose names these are. [default: npm for @SCOPE/NAME, else pypi]",
)
@click.option("--offline", is_flag=True, help="Ask no registry.")
@click.option(
    "--pypi", metavar="URL", help="The index to ask, as pip's --index-url. [default: pip's setting]"
)
@click.option("--npm", metavar="URL", help="The registry to ask. [default: npm's setting]")
@flags.AS_JSON
@flags.NO_COLOR
def packages(names: tuple[str, ...], format_: str, no_color: bool, **given: Any) -> int:
    """Say whether packages are the real ones: there, since when, quarantined, attested, known malicious, or only
    like a popular one by name.

    NAME is requests, 'requests>=2', npm:left-pad@1.3.0 or @scope/name; FILE is requirements.txt, pyproject.toml,
    package.json or a lock file.
    """
    from safe_load.cli import packages as lookups  # noqa: PLC0415

    return lookups.packages(
        names, as_json=format_ == "json", color=False if no_color else None, **given
    )
