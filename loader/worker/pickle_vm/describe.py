"""A short text for a value of a pickle, whatever it is. Zone: worker."""

from __future__ import annotations

from safe_load.worker.pickle_vm.values import Global, Storage, Stub, Tensor
from safe_load.worker.spans import Span

#: Characters of one description.
MAX_TEXT = 1000
_MAX_DEPTH = 4
_MAX_ITEMS = 16


def describe(value: object, depth: int = 0) -> str:
    """The value as Python would show it, ASCII only, cut to MAX_TEXT characters."""
    if isinstance(value, (str, bytes, bytearray)):
        text = ascii(value[:MAX_TEXT])
        if len(value) > MAX_TEXT:
            text = f"{text[: MAX_TEXT // 2]}... ({len(value)} long)"
    elif isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 256:
        text = f"<integer of {value.bit_length()} bits>"
    elif isinstance(value, (int, float, complex)) or value is None:
        text = repr(value)
    elif isinstance(value, Global):
        text = ascii(value.name)[1:-1]
    elif isinstance(value, Stub):
        text = f"<{ascii(value.made_by)[1:-1]}(...)>"
    elif isinstance(value, Span):
        text = f"<{value.length} bytes>"
    elif isinstance(value, Tensor):
        text = f"<tensor {value.shape}>"
    elif isinstance(value, Storage):
        text = f"<storage of {value.size} bytes>"
    elif isinstance(value, (tuple, list, set, frozenset, dict)):
        text = _container(value, depth)
    else:
        text = f"<{type(value).__name__}>"
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 3] + "..."


def _container(
    value: tuple[object, ...]
    | list[object]
    | set[object]
    | frozenset[object]
    | dict[object, object],
    depth: int,
) -> str:
    if depth >= _MAX_DEPTH:
        return "..."
    parts: list[str] = []
    for item in value:
        if len(parts) == _MAX_ITEMS or sum(map(len, parts)) > MAX_TEXT:
            parts.append("...")
            break
        text = describe(item, depth + 1)
        if isinstance(value, dict):
            text = f"{text}: {describe(value[item], depth + 1)}"
        parts.append(text)
    inside = ", ".join(parts)
    if isinstance(value, list):
        return f"[{inside}]"
    if isinstance(value, tuple):
        return f"({inside},)" if len(value) == 1 else f"({inside})"
    return f"{{{inside}}}"
