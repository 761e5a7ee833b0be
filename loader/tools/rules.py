"""What a tool may connect to: `--allow HOST:PORT`, and which addresses no rule leads to.

Zone: controller.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from safe_load.core.errors import UsageError

_NAME = re.compile(
    r"(?=.{1,253}$)(?:(?!-)[a-z0-9_-]{1,63}(?<!-)\.)*(?!-)[a-z0-9-]{1,63}(?<!-)", re.ASCII
)
_MOST_RULES = 256
#: IPv6 that carries an IPv4 address: NAT64 (RFC 6052, RFC 8215), 6to4 (RFC 3056). Whom it reaches, the
#: network decides.
_CARRIERS = tuple(
    map(ipaddress.ip_network, ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32"))
)
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True)
class Rule:
    """One host and port. host: a name in lower case, or an address. private: the user named this very
    address although it is not a public one."""

    host: str
    port: int
    private: bool = False

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def address(self) -> Address | None:
        """The address that the rule names; None where it names a host."""
        return as_address(self.host)


def parse(text: str, *, private: bool = False) -> Rule:
    """A rule as `--allow` has it. private: as --unsafe-allow-private has it, which takes addresses only.
    Raises UsageError."""
    flag = "--unsafe-allow-private" if private else "--allow"
    host, colon, number = text.strip().rpartition(":")
    host = host.removeprefix("[").removesuffix("]").lower().removesuffix(".")
    if not colon or not number.isdecimal() or not 0 < int(number) < 65536 or not host:
        raise UsageError(f"{flag} {text}: HOST:PORT is needed, with a port from 1 to 65535")
    address = as_address(host)
    if host == "localhost" or host.endswith(".localhost"):  # RFC 6761, 6.3
        raise UsageError(
            f"{flag} {text}: {host} is this machine, which no tool reaches by name; "
            f"--unsafe-allow-private 127.0.0.1:{number} allows it all the same"
        )
    if address is None:
        if private or not _NAME.fullmatch(host) or host.replace(".", "").isdecimal():
            wanted = "an address" if private else "a host's name (no wildcards) or an address"
            raise UsageError(f"{flag} {text}: {wanted} is needed before the port")
        return Rule(host, int(number))
    if not private and not is_public(address):
        raise UsageError(
            f"--allow {text}: {address} is no public address, and a tool that reaches it may reach this machine "
            f"or its network; --unsafe-allow-private {text} allows it all the same"
        )
    return Rule(str(address), int(number), private)


def parse_all(allowed: tuple[str, ...], private: tuple[str, ...] = ()) -> tuple[Rule, ...]:
    """All rules of a command line. Raises UsageError."""
    rules = [parse(text) for text in allowed] + [parse(text, private=True) for text in private]
    if len(rules) > _MOST_RULES:
        raise UsageError(f"--allow: {len(rules)} rules, and {_MOST_RULES} are the most")
    return tuple(dict.fromkeys(rules))


def as_address(text: str) -> Address | None:
    """The address that a text spells; None where it spells none."""
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def is_public(address: Address) -> bool:
    """Whether an address belongs to the public internet: not to this machine, its networks, its provider's
    metadata, or documentation."""
    if not address.is_global or address.is_multicast or address.is_reserved:
        return False
    return not any(
        address in network for network in _CARRIERS if network.version == address.version
    )
