"""The tables of this folder, which say what a model's files may hold: policy as data.

Zone: worker. The JSON ones are made by modules of `dev`, the TOML ones by hand.
"""

from __future__ import annotations

import json
import tomllib
from functools import cache
from pathlib import Path
from typing import Any


@cache
def read(name: str) -> dict[str, Any]:
    """What the file of that name holds. Whoever asks twice gets the same, and changes nothing in it."""
    text = Path(__file__).with_name(name).read_text("utf-8")
    table: dict[str, Any] = tomllib.loads(text) if name.endswith(".toml") else json.loads(text)
    return table


def kinds(groups: dict[str, str]) -> dict[str, str]:
    """Each key with its kind, from a table that has, for each kind, its keys as words of one text."""
    return {key: kind for kind, keys in groups.items() for key in keys.split()}
