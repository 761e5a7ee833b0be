"""The commands `safe-load advisories ...`, as click shows them."""

from __future__ import annotations

import click
from safe_load.cli import flags


@click.group()
def advisories() -> None:
    """Import lists of what is known to be malicious, and see how old they are."""


@advisories.command("import")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--key", metavar="PUB.pem", help="Of a list of models: the key that signs it.")
@flags.NO_COLOR
def advisories_import(files: tuple[str, ...], key: str | None, no_color: bool) -> int:
    """Import advisories on packages, and signed lists of models.

    FILE is a dump of OSV for PyPI or npm (the zip, or one JSON file), or a list of known malicious models with its
    signature in FILE.sig. An import holds whole, or not at all.
    """
    from safe_load.cli import advisories  # noqa: PLC0415

    return advisories.add(files, key, color=False if no_color else None)


@advisories.command("list")
@flags.AS_JSON
@flags.NO_COLOR
def advisories_list(format_: str, no_color: bool) -> int:
    """List what was imported, with its age."""
    from safe_load.cli import advisories  # noqa: PLC0415

    return advisories.listing(as_json=format_ == "json", color=False if no_color else None)


@advisories.command("remove")
@click.argument("name", metavar="NAME")
def advisories_remove(name: str) -> int:
    """Take an import out, by its name in `safe-load advisories list`."""
    from safe_load.cli import advisories  # noqa: PLC0415

    return advisories.remove(name)
