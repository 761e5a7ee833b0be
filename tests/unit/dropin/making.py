"""A file taken apart as a room does it, and made again as the guard does it, without a room between."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import msgspec
from safe_load import profiles
from safe_load.dropin.making import Making
from safe_load.dropin.stored import Stored
from safe_load.export import copying, structure, structure_cost
from safe_load.worker import extract

if TYPE_CHECKING:
    from pathlib import Path


def taken_apart(path: Path, folder: Path, *, whole: bool = True) -> dict[str, Any]:
    """What extraction says of the file; its bytes are in folder/model.safetensors."""
    folder.mkdir(parents=True, exist_ok=True)
    output = os.open(folder / "model.safetensors", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    entry = {"path": str(path), "name": path.name, "output": 0, "whole": whole}
    argument = {"files": [entry], "callables": profiles.ordinary_callables()}
    try:
        (result,) = extract.main(argument, [output])["files"]
    finally:
        os.close(output)
    with path.open("rb") as source, (folder / "model.safetensors").open("r+b") as filled:
        copying.copy([source.fileno()], filled.fileno(), result["runs"])
    found: dict[str, Any] = result
    return found


def made_again(path: Path, folder: Path, map_location: object = None) -> tuple[Any, Making]:
    """The root, and what made it."""
    result = taken_apart(path, folder)
    assert (result["status"], result["reason"]) == ("ok", None)
    told = msgspec.json.decode(msgspec.json.encode(result["structure"]))
    typed = msgspec.convert(told, structure.Structure, strict=True)
    (folder / structure.NAME).write_bytes(structure_cost.encode(typed))
    read = structure.read(folder)
    assert read is not None
    making = Making(read, Stored(folder, read, map_location), path.name)
    return making.root(), making
