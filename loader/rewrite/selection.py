"""Which files of a source a room reads to write them anew, told by their names alone.

Zone: controller.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from safe_load.worker.rewrite import (
    chat_templates,
    folder_files,
    model_config,
    tokenizer_files,
)
from safe_load.worker.rewrite.model_card import MAX_BYTES as MAX_CARD
from safe_load.worker.rewrite.model_card import NAME as CARD

if TYPE_CHECKING:
    from safe_load.sources.inventory import Entry, Inventory

_ROLES = ("text", "other")
_MOST_PYTHON = 10_000


def to_read(inventory: Inventory) -> list[Entry]:
    """The files that are written anew, those whose templates are judged, and the model's card."""
    if not inventory.folder:
        return []
    return [
        entry
        for entry in inventory.entries
        if (entry.role in _ROLES and folder_files.is_read(folder_files.place_of(entry.path)[1]))
        or (
            entry.role in _ROLES
            and folder_files.is_other(entry.path)
            and (entry.size <= folder_files.MAX_OTHER or folder_files.is_likely(entry.path))
        )
        or chat_templates.may_hold(entry.path)
        or (entry.path == CARD and entry.size <= MAX_CARD)
    ]


def python_beside(inventory: Inventory) -> list[str]:
    """The names, without folders, of the source's files of Python."""
    names = {entry.path.rpartition("/")[2] for entry in inventory.entries}
    return sorted(name for name in names if name.endswith(".py"))[:_MOST_PYTHON]


def to_convert(inventory: Inventory) -> dict[str, list[Entry]]:
    """The folders whose tokenizer a room must convert -> the files that it is made of."""
    folders: dict[str, dict[str, Entry]] = {}
    for entry in inventory.entries if inventory.folder else ():
        if entry.role in _ROLES:
            folder, name = folder_files.place_of(entry.path)
            folders.setdefault(folder, {})[name] = entry
    found: dict[str, list[Entry]] = {}
    for folder, entries in sorted(folders.items()):
        models = [name for name in entries if tokenizer_files.MODELS.fullmatch(name)]
        if tokenizer_files.needs_conversion(entries, models):
            found[folder] = [
                entry
                for name, entry in entries.items()
                if name in models or tokenizer_files.is_part(name) or name == model_config.CONFIG
            ]
    return found
