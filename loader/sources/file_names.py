"""What the name of a file says: how it is shown, what it may be, what it is exported as. Zone: controller."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from safe_load.sources.weight_names import FURTHER

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable


def shown(name: str) -> str:
    """A name as it is shown, also to the rooms and in the export: what is no character of UTF-8, what is
    not printable and the backslash are written as %XX, byte for byte."""
    if name.isprintable() and "\\" not in name:
        return name
    odd = (
        char if char.isprintable() and char != "\\" else quote(os.fsencode(char)) for char in name
    )
    return "".join(odd)


def is_hidden(path: str) -> bool:
    """Whether a file lies in a folder of other tools: git, caches, notebooks."""
    return any(part.startswith(".") or part == "__pycache__" for part in path.split("/")[:-1])


def extension(name: str) -> str:
    return Path(name).suffix.lower()


def stem(name: str) -> str:
    stem = Path(name).stem.lstrip(".")
    return stem.removesuffix(".tar") or "model"


def is_checkpoint(path: str, paths: Collection[str]) -> bool:
    """Whether it is the index of a TensorFlow checkpoint, whose numbers are there."""
    start = f"{path.removesuffix('.index')}.data-"
    return path.endswith(".index") and any(each.startswith(start) for each in paths)


def further(paths: Iterable[str], taken: Collection[str | None]) -> dict[str, str]:
    """The files of formats that are weights only where nothing else is: path -> export. taken: other exports."""
    found: dict[str, str] = {}
    used = set(taken)
    every = set(paths)
    for path in sorted(every):
        openvino = path.endswith(".xml") and f"{path[:-4]}.bin" in every
        described = openvino or is_checkpoint(path, every)
        if (extension(path) in FURTHER or described) and not is_hidden(path):
            folder, _, name = path.rpartition("/")
            export = f"{folder}/{stem(name)}.safetensors".removeprefix("/")
            if export in used:
                export = f"{path}.safetensors"
            used.add(export)
            found[path] = export
    return found
