"""What a report holds of tools and MCP servers alone. Zone: controller; every string of it may be hostile."""

from __future__ import annotations

from typing import Literal

import msgspec


class Connection(msgspec.Struct, frozen=True):
    """One connection of a tool's that a rule lets through, or would have. t: seconds since the run began; pid,
    comm: the process, as seen inside; host: as the rule names it; address: the one that was reached, "" where
    none was; tls_name: that the tool gave, "" where it is no TLS; why: the reason where decision is not
    "allowed"."""

    t: float
    pid: int
    comm: str
    host: str
    address: str
    port: int
    tls_name: str
    bytes_sent: int
    bytes_received: int
    decision: Literal["allowed", "refused", "failed"]
    rule: str
    why: str = ""


class Offer(msgspec.Struct, frozen=True):
    """What an MCP server offers. kind: tool, prompt, resource or template; digest: SHA-256 of its definition, as
    JSON with sorted keys and no spaces; "" where it has no such form. description: the beginning of it."""

    server: str
    kind: str
    name: str
    digest: str
    description: str = ""
