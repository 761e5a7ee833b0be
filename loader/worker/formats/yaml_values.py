"""What stands behind a key of YAML or JSON, however it is spelled: behind an anchor, as an alias, as a block. Zone: worker.

For the keys by which libraries call what they name. A text is searched for these keys, and not parsed: readers of YAML
differ, and a name that one of them would look up is enough.
"""

from __future__ import annotations

import re

#: Properties, an alias or the head of a block, a quote, and the first word of the value.
_VALUE = re.compile(
    rb"""((?:[&!][^\s,\[\]{}]{0,200}\s{1,200}){0,3})(?:\*([^\s,\[\]{}]{1,200})"""
    rb"""|([|>][-+0-9]{0,2}[ \t]{0,9}(?:\#[^\n]{0,200})?\r?\n\s{0,200})?(["']?)([^\s,"'}\]#][^\s,"'}\]]{0,299}))"""
)
_MAX_ALIASES = 4


def behind(text: bytes, at: int) -> tuple[bytes, bool]:
    """The first word of the value that begins there, b"" where there is none, and whether every reader takes it for that:
    no tag, no block, no escape and no alias of what is not found is on the way."""
    plain = True
    for _ in range(_MAX_ALIASES):
        found = _VALUE.match(text, at)
        if found is None:
            return b"", plain
        properties, alias, block, quote, word = found.groups()
        plain = plain and b"!" not in properties and not block
        if alias is None:
            return word, plain and not (quote == b'"' and b"\\" in word)
        anchor = re.search(rb"&" + re.escape(alias) + rb"\s{1,200}", text)
        if anchor is None:
            return b"", False
        at = anchor.end()
    return b"", False
