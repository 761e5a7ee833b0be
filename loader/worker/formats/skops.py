"""The list of a skops file: which member holds which array of the object. Zone: worker.

skops/io/_general.py and _numpy.py: each node has a `__loader__`; the parts of an object, a list or a dict lie under
`content`, those of a call under their own keys, and an array names its member under `file`. Which names are an attack
by themselves is found by `text_calls`, as in every JSON; what objects of classes hold is judged here as it is in a pickle.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from safe_load.worker.pickle_vm import held, shapes
from safe_load.worker.refusal import RefusedError, bomb

if TYPE_CHECKING:
    from collections.abc import Iterator

    from safe_load.worker.formats.interface import File, Reading

SCHEMA = "schema.json"
MAX_SCHEMA = 64 << 20
MAX_NODES = 2_000_000
MAX_PATH = 900


def paths(file: File) -> dict[str, str] | None:
    """Member -> the path of keys and attributes that leads to what it holds; the first, where several do.
    None for a schema of something else. Raises RefusedError for one that cannot be read."""
    root = _parsed(file)
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


def _parsed(file: File) -> object:
    if file.size > MAX_SCHEMA:
        raise bomb(f"its {SCHEMA} takes {file.size} bytes")
    try:
        return json.loads(file.read(0, file.size))
    except (ValueError, RecursionError):
        raise RefusedError(f"its {SCHEMA} cannot be read") from None


def judge(file: File, reading: Reading) -> None:
    """Record what its objects hold and run that no honest object does. Raises RefusedError for a schema that
    cannot be read."""
    ledger = reading.ledger()
    for node in _nodes(_parsed(file)):
        name, content = f"{node.get('__module__')}.{node.get('__class__')}", node.get("content")
        if not isinstance(content, dict):
            continue
        function = content.get("module_path"), content.get("function")
        if all(isinstance(part, str) for part in function):
            called = ".".join(map(str, function))
            # An object holds it, and calls it later.
            if called not in held.VALUES and not ledger.allows(called, "value"):
                ledger.called(called, "__loader__", 0, None, "held")
        elif node.get("__loader__") == "ObjectNode" and shapes.of_state(_state(content)) == "code":
            ledger.called(f"{name}.__setstate__", "__loader__", 0, (_state(content),), "state")
    reading.keep(ledger)


def _nodes(root: object) -> Iterator[dict[str, object]]:
    todo, left = [root], MAX_NODES
    while todo:
        item = todo.pop()
        left -= 1
        if left < 0:
            raise bomb(f"its {SCHEMA} has more than {MAX_NODES} nodes")
        if isinstance(item, list):
            todo += item
        elif isinstance(item, dict):
            todo += item.values()
            if "__loader__" in item:
                yield item


def _state(content: dict[str, object]) -> dict[object, object]:
    """The attributes that an object gets: those that are texts, and None for each other one."""
    given = content.get("content")
    if not isinstance(given, dict):
        # Of pairs, Python makes attributes too.
        return dict.fromkeys(text for node in _nodes(given) if (text := _text(node)) is not None)
    return {key: _text(node) for key, node in given.items()}


def _text(node: object) -> str | None:
    """What a node of JSON holds, if that is a text."""
    said = node.get("content") if isinstance(node, dict) else None
    try:
        value = json.loads(said) if isinstance(said, str) else None
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, str) else None
