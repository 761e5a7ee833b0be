"""The commands for gateways, as click shows them. They hand over to `gateway`, which does the work."""

from __future__ import annotations

from typing import Any

import click


@click.command()
@click.option("--upstream", metavar="URL", help="The hub whose models are served.")
@click.option("--data", metavar="DIR", help="The folder for everything that the gateway keeps.")
@click.option("--host", metavar="ADDRESS", help="Where to listen. [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="[default: 8080; 0: any free one]")
@click.option(
    "--config", metavar="FILE", help="The gateway's own configuration file (docs/gateway.md)."
)
def serve(config: str | None, **given: Any) -> int:
    """Serve a hub's models, but only cleared ones: a gateway for HF_ENDPOINT.

    A model that is asked for the first time is opened in the sandbox. Clients are told to come again meanwhile.
    """
    from safe_load.cli import gateway  # noqa: PLC0415

    return gateway.serve(config, given)


@click.group("gateway")
def group() -> None:
    """Talk to a gateway that `safe-load serve` runs."""


@group.command("warm")
@click.argument("names", nargs=-1, required=True, metavar="ORG/NAME[@REVISION]...")
@click.option("--endpoint", metavar="URL", help="The gateway. [default: HF_ENDPOINT]")
@click.option(
    "--timeout", metavar="TIME", default="1h", help="How long to wait in all. [default: 1h]"
)
@click.option("--no-wait", is_flag=True, help="Only have them queued.")
def warm(names: tuple[str, ...], endpoint: str | None, timeout: str, no_wait: bool) -> int:
    """Have models judged before somebody asks for them, and wait until they are.

    Prints a line for each. The exit code is 1 if one is rejected, and 3 if one is not there or cannot be judged.
    """
    from safe_load.cli import gateway  # noqa: PLC0415

    return gateway.warm(names, endpoint, timeout, wait=not no_wait)
