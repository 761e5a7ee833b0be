"""What the key of a dict is called in a tensor's name. Zone: worker.

Extraction has a key as the file says it, detonation has the object itself. Both ask here, so that a
key of any kind has one name on both sides, and a difference between them is one of the weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    #: The text of a key that is no plain data, or None where it has none.
    Special = Callable[[object], str | None]

#: Characters of a key that is no text, and containers within it.
MAX_TEXT = 200
MAX_DEPTH = 4
#: An integer beyond this is not written out: Python may refuse to.
MAX_BITS = 256
#: The one key of a safetensors header that is no tensor.
METADATA = "__metadata__"
_PLAIN = (float, complex, bool, type(None))


class Distinct:
    """Gives each of many names once: a name that is taken gets "#2", "#3" and so on at its end."""

    def __init__(self) -> None:
        self._taken: dict[str, int] = {}

    def __call__(self, name: str) -> str:
        """The name, or the first one after it that is free."""
        if name not in self._taken and name != METADATA:
            self._taken[name] = 1
            return name
        number = self._taken.get(name, 1)
        while True:
            number += 1
            found = f"{name}#{number}"
            if found not in self._taken:
                self._taken[name] = number
                self._taken[found] = 1
                return found


def key_names(keys: Collection[object], special: Special) -> Iterator[str]:
    """The name of each key of one dict, in order. No two are the same, but where both are text.

    A key that has no text of its own is called by its place in the dict, counted from 0: a parameter
    in an optimizer's state, for one. special: the text of what is no plain data.
    """
    if all(type(key) is str for key in keys):
        yield from map(_encodable, keys)  # type: ignore[arg-type]
        return
    taken = {_encodable(key) for key in keys if type(key) is str}
    for place, key in enumerate(keys):
        if type(key) is str:
            yield _encodable(key)
            continue
        text = _text(key, special, 0)
        name = _encodable(str(place) if text is None else text)[:MAX_TEXT]
        if name in taken:
            name = f"{name}#{place}"
        taken.add(name)
        yield name


def class_text(module: str, name: str) -> str:
    """What a class, a function or another named object of that module is called."""
    if module == "builtins":
        return f"<class '{name}'>"
    full = f"{module}.{name}"
    return f"<class '{full}'>" if name.rpartition(".")[2][:1].isupper() else full


def _text(key: object, special: Special, depth: int) -> str | None:
    kind = type(key)
    if kind is str:
        return ascii(key[:MAX_TEXT]) if depth else key  # type: ignore[index,return-value]
    if kind is int:
        bits = key.bit_length()  # type: ignore[attr-defined]
        return str(key) if bits <= MAX_BITS else f"<integer of {bits} bits>"
    if kind in _PLAIN:
        return str(key)
    if kind is bytes:
        return ascii(key[:MAX_TEXT])  # type: ignore[index]
    if kind is tuple or kind is frozenset:
        return _container(key, special, depth)  # type: ignore[arg-type]
    return special(key)


def _container(
    key: tuple[object, ...] | frozenset[object], special: Special, depth: int
) -> str | None:
    if depth >= MAX_DEPTH or len(key) > MAX_TEXT:
        return None
    parts = []
    for item in key:
        text = _text(item, special, depth + 1)
        if text is None:
            return None
        parts.append(text)
    if isinstance(key, frozenset):
        return f"frozenset({{{', '.join(sorted(parts))}}})"
    return f"({parts[0]},)" if len(parts) == 1 else f"({', '.join(parts)})"


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")
