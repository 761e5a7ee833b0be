"""Whom a library calls that is given a configuration out of a file's values, as a checkpoint keeps its author's. Zone: worker.

The same keys as in texts (config_calls.py), in dictionaries and in the objects that stand for them: whatever way they were
filled, they are looked at when the file has been read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from safe_load.worker.pickle_vm.values import Stub

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from safe_load.worker.formats.interface import Reading

#: Keys behind which libraries import what they call: Hydra, torchtune, jsonargparse, logging.
_KEYS = ("_target_", "_component_", "class_path", "()")
#: lightning/pytorch/core/saving.py, _load_state: imports this of a checkpoint's hyperparameters, and calls it.
_MAKER = "_instantiator"
_MAKERS = frozenset(
    f"{package}.cli.instantiate_module" for package in ("lightning.pytorch", "pytorch_lightning")
)
MAX_NAMED = 500


class Called:
    """Takes note of what the mappings of one file name."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._names: dict[str, None] = {}
        self._makers: dict[str, None] = {}

    def look(self, item: object) -> None:
        """Look at one value, and at nothing that lies in it."""
        if isinstance(item, dict):
            self._mapping(item)
        elif isinstance(item, Stub):
            for mapping in _mappings(item):
                self._mapping(mapping)

    def end(self) -> None:
        """Record what was found."""
        if self._names or self._makers:
            ledger = self._reading.ledger()
            told = {each["name"] for each in self._reading.callables}
            for name in self._names:
                if name not in told:
                    ledger.named(name, "_target_", 0)
            for name in self._makers:
                ledger.called(name, _MAKER, 0, None)
            self._reading.keep(ledger)

    def _mapping(self, mapping: Mapping[object, object]) -> None:
        for key in _KEYS:
            if key in mapping:
                self._note(self._names, mapping[key])
        if "target" in mapping and "params" in mapping:
            self._note(self._names, mapping["target"])
        if _MAKER in mapping and _text(mapping[_MAKER]) not in _MAKERS:
            self._note(self._makers, mapping[_MAKER])

    def _note(self, names: dict[str, None], value: object) -> None:
        text = _text(value)
        if "." in text and len(names) < MAX_NAMED:
            names[text[:300]] = None


def _mappings(stub: Stub) -> Iterator[Mapping[object, object]]:
    """What an object was filled with under keys: attributes, and the items of a dictionary's subclass."""
    if stub.pairs:
        yield {key: value for key, value in stub.pairs if isinstance(key, str)}


def _text(value: object) -> str:
    """A text, also as OmegaConf keeps it, in a node; "" for anything else."""
    if isinstance(value, Stub):
        states = [state for state in value.state if isinstance(state, dict)]
        value = next((state["_val"] for state in states if "_val" in state), None)
    return value if isinstance(value, str) else ""
