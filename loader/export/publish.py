"""The cleared copy: what the controller lets out, after everything inside is dead.

Zone: controller. Weights are checked byte by byte of their headers, configuration is written anew;
nothing is copied as it was.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

import msgspec
from safe_load.core.errors import SandboxError
from safe_load.core.escape import visible
from safe_load.core.report import MOST_LISTED, Export, ExportedFile, Report, Tensor, Tensors, encode
from safe_load.export import manifest, reader, safetensors_check, shaping, structure, structure_cost
from safe_load.export.staging import index_json
from safe_load.worker.strict_json import Malformed

if TYPE_CHECKING:
    from safe_load.export.extracted import Extracted
    from safe_load.export.staging import Staging
    from safe_load.rewrite.results import Configuration
    from safe_load.sources.inventory import Inventory

REPORT = "safe-load.report.json"
Written = tuple[str, safetensors_check.Header]
_SHARD = re.compile(r"(.+)-\d{5}-of-\d{5}\.safetensors")


def count(inventory: Inventory, extracted: Extracted) -> Tensors:
    """What the model's weights hold, tied tensors once."""
    wanted = {entry.path for entry in inventory.weights}
    files = [file for file in extracted.files if file.name in wanted]
    dtypes: Counter[str] = Counter()
    listed: list[Tensor] = []
    parameters = size = 0
    for file in files:
        aliases = {alias for group in file.tied for alias in group[1:]}
        for tensor in file.tensors:
            if tensor.name in aliases:
                continue
            if len(listed) < MOST_LISTED:
                listed.append(
                    Tensor(
                        tensor.name,
                        tensor.dtype,
                        list(tensor.shape),
                        tensor.bytes,
                        tensor.histogram,
                    )
                )
            dtypes[tensor.dtype] += 1
            size += tensor.bytes
            elements = 1
            for length in tensor.shape:
                elements *= length
            parameters += elements
    tied = [group for file in files for group in file.tied]
    names = [file.tensors[end].name for file in files if file.tensors for end in (0, -1)]
    ends = (names[0], names[-1]) if names else ("", "")
    return Tensors(dtypes.total(), parameters, size, dict(dtypes), tied, *ends, listed)


def as_written(tensors: Tensors, written: list[Written]) -> Tensors:
    """The same, with the types and bytes that the files have."""
    dtypes: Counter[str] = Counter()
    for _, header in written:
        dtypes.update(header.dtypes)
    size = sum(header.bytes for _, header in written)
    return msgspec.structs.replace(tensors, bytes=size, dtypes=dict(dtypes))


def checked(staging: Staging, inventory: Inventory, extracted: Extracted) -> list[Written]:
    """Check every file that the worker wrote; those that hold tensors, with their headers. Raises
    SandboxError when a written file is not what the worker said it is."""
    written = {file.name: file for file in extracted.files}
    found: list[Written] = []
    for entry in inventory.weights:
        name = entry.export or ""
        file = written[entry.path]
        if file.status in ("no_tensors", "unsupported"):
            staging.discard(name)
            continue
        if not staging.is_filled(name):
            raise SandboxError(f"the tensors of {visible(entry.path)} were not copied")
        try:
            header = safetensors_check.check(staging.output(name))
        except Malformed as error:
            raise SandboxError(
                f"the file written for {visible(entry.path)} is not a valid safetensors file: {error}"
            ) from error
        said = {tensor.name: tensor.shape for tensor in file.tensors}
        if file.structure is not None:
            said = structure.stored(file.structure)
            if said.keys() != {tensor.name for tensor in header.tensors}:
                raise SandboxError(f"{name} holds other storages than the worker said")
            staging.write(structure.NAME, structure_cost.encode(file.structure))
        for tensor in header.tensors:
            if said.get(tensor.name) != tuple(tensor.shape):
                raise SandboxError(
                    f"{name} holds the tensor {visible(tensor.name)} with another type, shape or place than the extract room reported"
                )
        found.append((name, header))
    return found


def apart(
    staging: Staging, inventory: Inventory, extracted: Extracted, written: list[Written]
) -> tuple[list[Written], list[str]]:
    """The files that `checked` gave, those of archives of several models taken apart; and notes."""
    exports = {entry.path: entry.export or "" for entry in inventory.weights}
    members = {
        exports[file.name]: {tensor.name: tensor.member for tensor in file.tensors}
        for file in extracted.files
        if file.name in exports and any(tensor.member for tensor in file.tensors)
    }
    for table in members.values():
        for name, member in table.items():
            if member and not name.startswith(f"{member}/"):
                raise SandboxError(
                    f"{visible(name)} is not named after its member, as the extract room said"
                )
    return shaping.apart(staging, written, members) if members else (written, [])


def publish(
    staging: Staging,
    written: list[Written],
    cleared: Configuration,
    report: Report,
    head: manifest.Manifest,
) -> Export:
    """Put the rest beside the weights, and show the folder.

    written: what `checked` gave. report: goes into the folder. head: the manifest, its files still to be
    listed.
    """
    indexes: dict[str, dict[str, str]] = {}
    sizes: Counter[str] = Counter()
    for name, header in written:
        if match := _SHARD.fullmatch(name):
            base = match[1]
            shard = name.rpartition("/")[2]  # as seen from the index, which lies beside it
            indexes.setdefault(base, {}).update({tensor.name: shard for tensor in header.tensors})
            sizes[base] += header.bytes
    for base, table in indexes.items():
        staging.write(f"{base}.safetensors.index.json", index_json(table, sizes[base]))
    for name, data in cleared.files.items():
        staging.write(name, data)
    staging.write(REPORT, encode(report))
    entries = staging.publish(head)
    files = [ExportedFile(entry.path, entry.size, entry.digests) for entry in entries]
    return Export(str(staging.target), files, reader.of(cleared.files, written))
