"""Exported torch programs (.pt2): the weights that an archive holds beside its program. Zone: worker.

torch/export/pt2_archive: data/weights/*_weights_config.json says of each tensor which member holds its storage, and
how it lies in there. Archives of torch before 2.8 hold one torch file, serialized_state_dict.pt.
"""

from __future__ import annotations

import json
import posixpath
from itertools import islice
from typing import TYPE_CHECKING, Any

from safe_load.worker.formats import pt2_program
from safe_load.worker.formats.members import members_of
from safe_load.worker.pickle_vm.values import Storage, Tensor
from safe_load.worker.refusal import RefusedError, bomb
from safe_load.worker.tensors import places
from safe_load.worker.tensors.dtypes import TORCH

if TYPE_CHECKING:
    from safe_load.worker.formats.interface import Content, File, Reading

MAX_CONFIG = 64 << 20
#: Sentences on what a program runs, of which each is looked at.
MAX_RUN = 1000
_CONFIGS = ("_weights_config.json", "_constants_config.json")
_OLD = "serialized_state_dict.pt"
#: torch._export.serde.schema.ScalarType and Layout.
_TYPES = {1: "uint8", 2: "int8", 3: "int16", 4: "int32", 5: "int64", 6: "float16", 7: "float32", 8: "float64"}  # fmt: skip
_TYPES |= {9: "complex32", 10: "complex64", 11: "complex128", 12: "bool", 13: "bfloat16"}
_TYPES |= {28: "uint16", 29: "float8_e4m3fn", 30: "float8_e5m2", 31: "float8_e4m3fnuz"}
_TYPES |= {32: "float8_e5m2fnuz", 33: "float8_e8m0fnu", 34: "uint32", 35: "uint64"}
_STRIDED = 7


def is_program(names: list[str]) -> bool:
    """Whether an archive with such members is an exported program."""
    return any(
        name.endswith(("/archive_format", "/models/model.json"))
        or name in (_OLD, "serialized_exported_program.json")
        for name in names
    )


def read(parts: list[File], reading: Reading) -> Content:
    """Its weights; all members that hold none are judged as files. Raises RefusedError."""
    members = {part.name: part for part in parts}
    storages: dict[str, Storage] = {}
    named: places.Named = {}
    for part in parts:
        if part.name.endswith(_CONFIGS):
            folder = posixpath.dirname(part.name)
            for name, described in _config(part).items():
                tensor = _tensor(str(name), described, folder, members, storages)
                if tensor is not None:
                    places.add(named, str(name), tensor)
    rest = [part for part in parts if part.name not in storages]
    content = members_of([part for part in rest if part.name != _OLD], reading, "pt2")
    content.plan, content.left, content.loads = None, [], False
    runs = list(dict.fromkeys(islice(pt2_program.runs(parts), MAX_RUN)))
    # Never mild: torch.export.load looks names up in Python, and not all that it looks up is known here.
    reading.carries("SL506", "is an exported torch program (.pt2), not a checkpoint")
    for sentence in runs:
        reading.carries("SL506", sentence)
    given = None
    if named:
        given = places.content(named, "pt2", reading)
    elif _OLD in members:
        given = reading.judge(members[_OLD])
        if given.state == "not_judged":
            content.state, content.why = given.state, given.why
    if given is not None and given.plan is not None and given.plan.entries:
        content.plan, content.loads = given.plan, True
    if content.state == "data":
        content.state, content.why = "opened", "a program, read as data"
    return content


def _config(part: File) -> dict[str, Any]:
    """What a list says of its tensors, by name."""
    if part.size > MAX_CONFIG:
        raise bomb(f"the list {part.name[:200]!a} takes {part.size} bytes")
    try:
        root = json.loads(part.read(0, part.size))
    except (ValueError, RecursionError):
        raise RefusedError(f"the list {part.name[:200]!a} is not JSON") from None
    config = root.get("config") if isinstance(root, dict) else None
    if not isinstance(config, dict):
        raise RefusedError(f"the list {part.name[:200]!a} lists no tensors")
    return config


def _tensor(
    name: str,
    described: Any,
    folder: str,
    members: dict[str, File],
    storages: dict[str, Storage],
) -> Tensor | None:
    """One tensor, None for what is pickled in a member of its own. Tensors of one member share its storage."""
    where = f"the tensor {name[:200]!a}"
    try:
        if described["use_pickle"] or described["tensor_meta"] is None:
            return None
        meta = described["tensor_meta"]
        path = f"{folder}/{described['path_name']}"
        kind = TORCH[_TYPES[meta["dtype"]]]
        shape = tuple(_natural(size["as_int"]) for size in meta["sizes"])
        stride = tuple(_natural(step["as_int"]) for step in meta["strides"])
        offset = _natural(meta["storage_offset"]["as_int"])
        strided = meta["layout"] == _STRIDED
    except (KeyError, TypeError, ValueError):
        raise RefusedError(f"{where} is described in a way that torch does not write") from None
    if not strided or len(shape) != len(stride):
        raise RefusedError(f"{where} is sparse or of another layout, which is not read")
    places.nbytes(kind.name, shape)
    member = members.get(path)
    if member is None and not all(shape):
        return places.of_bytes(kind.name, shape, b"")
    if member is None:
        raise RefusedError(f"{where} lies in {path[:200]!a}, which is missing from the archive")
    storage = storages.setdefault(path, Storage(kind, member.size, member.span))
    if storage.dtype is not kind:
        storage = Storage(kind, member.size, member.span)
    return Tensor(storage, kind, offset, shape, stride)


def _natural(value: object) -> int:
    if type(value) is not int or not 0 <= value < 1 << 56:
        raise ValueError
    return value
