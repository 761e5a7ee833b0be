"""The command and the flags for fleets, as click shows them. They hand over to `fleet`, which does the work."""

from __future__ import annotations

import click

ON = [
    click.option(
        "--on",
        metavar="URL",
        help="Have the sources judged elsewhere: ray://HOST:PORT, ray://local, or file:///DIR where `safe-load fleet work` runs.",
    ),
    click.option(
        "--store",
        metavar="URL",
        help="With --on ray://: where files lie that all machines reach: file:///DIR, s3://BUCKET/PREFIX.",
    ),
]


@click.group("fleet")
def group() -> None:
    """Judge models that other machines ask for."""


@group.command("work")
@click.argument("store", metavar="file:///DIR")
@click.option(
    "--name",
    metavar="NAME",
    help="What this worker is called; no other may be. [default: the host's name]",
)
@click.option("--until-empty", is_flag=True, help="End once nothing waits, and nobody else judges.")
def work(store: str, name: str | None, until_empty: bool) -> int:
    """Take jobs from a folder that all machines mount, and judge them in rooms of this machine.

    Prints a line for each. The exit code says nothing of verdicts: it is 0, or 4 where this machine can judge nothing.
    """
    from safe_load.cli import fleet  # noqa: PLC0415

    return fleet.work(store, name, until_empty=until_empty)
