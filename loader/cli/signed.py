"""The commands that sign and that check who signed, as click shows them. Each hands over to a module that does the work."""

from __future__ import annotations

from pathlib import Path

import click
from safe_load.cli import flags


@click.command()
@click.argument("folder", metavar="DIR")
@click.option(
    "--key", metavar="PEM", help="DIR must be signed with this key (its public half will do)."
)
@click.option(
    "--signer", metavar="NAME", help="DIR must be signed by this signer of the trust file."
)
@flags.TRUST
@click.option(
    "--attestation",
    metavar="FILE",
    help="DIR must hold the files that these statements are about, signed with --key or by --signer.",
)
@click.option(
    "--signature",
    metavar="FILE",
    help="Where the signature is. [default: model.sig in DIR; for a file, FILE.sig beside it]",
)
@click.option("-q", "--quiet", is_flag=True, help="Print nothing if everything is as it should be.")
@flags.NO_COLOR
def verify(folder: str, quiet: bool, no_color: bool, **given: str | None) -> int:
    """Check a cleared DIR against its manifest, and who signed it. Needs no network and no sandbox.

    With --key or --signer, DIR may be any folder or file that is signed in the OpenSSF model-signing format.
    """
    from safe_load.cli import signing  # noqa: PLC0415

    asked = signing.Asked(**given)
    return signing.verify(Path(folder), asked, quiet=quiet, color=False if no_color else None)


@click.command()
@click.argument("folder", metavar="DIR")
@click.option("--key", required=True, metavar="PEM", help="The private key: P-256, P-384 or P-521.")
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help="Where the signature goes. [default: model.sig in DIR; for a file, FILE.sig beside it]",
)
@flags.NO_COLOR
def sign(folder: str, key: str, output: str | None, no_color: bool) -> int:
    """Sign DIR in the OpenSSF model-signing format.

    A cleared DIR is checked against its manifest first. The signature covers every file by its SHA-256.
    """
    from safe_load.cli import signing  # noqa: PLC0415

    place = Path(output) if output else None
    return signing.sign(Path(folder), Path(key), place, color=False if no_color else None)


@click.command()
@click.argument("report", metavar="REPORT.json")
@click.option("--key", required=True, metavar="PEM", help="The private key: P-256, P-384 or P-521.")
@click.option(
    "-o", "--output", required=True, metavar="FILE", help="Where the signed statements go."
)
@flags.NO_COLOR
def attest(report: str, key: str, output: str, no_color: bool) -> int:
    """State, signed, what was loaded and what was seen, from a saved JSON report.

    FILE gets an SLSA verification summary and a runtime trace over the SHA-256 of each file. As
    safe-load.intoto.jsonl in the source's folder, the next gate finds it (--require-attestation).
    """
    from safe_load.cli import attesting  # noqa: PLC0415

    return attesting.attest(report, Path(key), Path(output), color=False if no_color else None)
