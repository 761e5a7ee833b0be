"""Loopback addresses that stand for all others, where a room cannot route every address to itself."""

from __future__ import annotations

import errno

_MOST_ALIASES = 65_535
#: Where the aliases are, in the presentation of addresses.
ALIASES = "127.64."


class Aliases:
    """Loopback addresses for all others, where routes cannot be made: 127/8 leads to this host in
    every network namespace, so each address that is meant gets one of its own there."""

    def __init__(self) -> None:
        self._aliases: dict[str, str] = {}
        self._meant: dict[str, str] = {}

    def of(self, address: str) -> str:
        """Where to connect for this address. Raises OSError when there were too many."""
        if address not in self._aliases:
            number = len(self._aliases) + 1
            if number > _MOST_ALIASES:
                raise OSError(errno.ECONNREFUSED, "too many addresses")
            alias = f"{ALIASES}{number >> 8}.{number & 255}"
            self._aliases[address] = alias
            self._meant[alias] = address
        return self._aliases[address]

    def expected(self, alias: str) -> str:
        """The address behind one of ours; any other is what it is."""
        return self._meant.get(alias, alias)
