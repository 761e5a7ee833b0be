"""The list of a skops file: which member holds which array of the object. Zone: worker.

skops/io/_general.py and _numpy.py: each node has a `__loader__`; the parts of an object, a list or a dict lie under
`content`, those of a call under their own keys, and an array names its member under `file`. What the nodes name is
found by `text_calls`, as in every JSON.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from safe_load.worker.refusal import RefusedError, bomb

if TYPE_CHECKING:
    from safe_load.worker.formats.interface import File

SCHEMA = "schema.json"
MAX_SCHEMA = 64 << 20
MAX_NODES = 2_000_000
MAX_PATH = 900


def paths(file: File) -> dict[str, str] | None:
    """Member -> the path of keys and attributes that leads to what it holds; the first, where several do.
    None for a schema of something else. Raises RefusedError for one that cannot be read."""
    if file.size > MAX_SCHEMA:
        raise bomb(f"its {SCHEMA} takes {file.size} bytes")
    try:
        root = json.loads(file.read(0, file.size))
    except (ValueError, RecursionError):
        raise RefusedError(f"its {SCHEMA} cannot be read") from None
    if not isinstance(root, dict) or "__loader__" not in root:
        return None
    found: dict[str, str] = {}
    todo: list[tuple[str, object]] = [("", root)]
    left = MAX_NODES
    while todo:
        path, node = todo.pop()
        left -= 1
        if left < 0:
            raise bomb(f"its {SCHEMA} has more than {MAX_NODES} nodes")
        if not isinstance(node, dict):
            continue
        if isinstance(node.get("file"), str):
            found.setdefault(node["file"], path or "tensor")
        parts = [
            (".".join(filter(None, (path, name)))[:MAX_PATH], part)
            for key, value in node.items()
            for name, part in _children(key, value)
        ]
        todo += reversed(parts)
    return found


def _children(key: str, value: object) -> list[tuple[str, object]]:
    """The nodes under a key, with their names."""
    if key in ("key_types", "__id__"):
        return []
    if key == "content":
        if isinstance(value, dict) and "__loader__" in value:
            return [("", value)]
        if isinstance(value, dict):
            return list(value.items())
        return [(str(at), part) for at, part in enumerate(value)] if isinstance(value, list) else []
    return [(key, value)] if isinstance(value, dict) else []
