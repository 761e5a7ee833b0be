"""The flags of `safe-load probe`, as click shows them."""

from __future__ import annotations

import click
from safe_load.cli import flags

PROBE = [
    click.option(
        "--base",
        metavar="CLEARED_BASE",
        help="The cleared folder of the model that it was made from: what both answer alike is no trigger.",
    ),
    click.option(
        "--set",
        "sets",
        metavar="FILE",
        multiple=True,
        help="Also ask the probes of FILE: JSON Lines, a sample of Inspect each. May be repeated.",
    ),
    click.option(
        "--seed",
        type=click.IntRange(0, 1 << 31),
        default=1,
        help="Of everything that is drawn: the same seed asks the same. [default: 1]",
    ),
    *flags.ROOMS,
    *flags.FAIL,
    *flags.LIMITS,
    *flags.CONFIG,
    *flags.UNSAFE,
    click.option(
        "--format",
        "format_",
        type=click.Choice(("human", "json")),
        help="The form of the answer. [default: human]",
    ),
    click.option(
        "--output", metavar="FILE", help="Write the answer to FILE, and nothing to stdout."
    ),
    click.option(
        "-q", "--quiet", is_flag=True, default=None, help="Show no progress, and one line."
    ),
    click.option("-v", "--verbose", is_flag=True, help="Name all candidates that were tried."),
    click.option("--no-color", is_flag=True, default=None, help="Use no colours on a terminal."),
]
