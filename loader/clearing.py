"""The cleared copy: what the controller lets out, after everything inside is dead.

Zone: controller. Weights are checked byte by byte of their headers, configuration is written anew;
nothing is copied as it was.
"""

from __future__ import annotations

import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from safe_load import manifest, safetensors_file, structure
from safe_load.configuration import folder_files
from safe_load.errors import SandboxError
from safe_load.export import index_json
from safe_load.formats.escape import visible
from safe_load.json_strict import Malformed
from safe_load.report import Export, ExportedFile, Report, Tensors, encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from safe_load.configuration.config_asks import Ask
    from safe_load.export import Staging
    from safe_load.inside import Extracted
    from safe_load.inventory import Inventory

REPORT = "safe-load.report.json"
_SHARD = re.compile(r"(.+)-\d{5}-of-\d{5}\.safetensors")
_MOST_NOTES = 40


@dataclass(frozen=True)
class Configuration:
    """files: name -> what is exported under it; asks: what the originals asked for besides."""

    files: dict[str, bytes] = field(default_factory=dict)
    asks: list[Ask] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def configuration(
    stock: Inventory, converted: Mapping[str, Mapping[str, bytes]] | None = None
) -> Configuration:
    """Read and re-emit what lies beside the weights. converted: by folder, the tokenizers that a room
    has made of others. Raises NotLoadable when the model's own configuration does not read."""
    emitted = folder_files.rewrite(stock, converted or {})
    notes = [
        f"{dropped.location} was dropped: it {dropped.reason}"
        for dropped in emitted.dropped[:_MOST_NOTES]
    ]
    if len(emitted.dropped) > _MOST_NOTES:
        notes.append(f"{len(emitted.dropped) - _MOST_NOTES} more keys were dropped")
    return Configuration(emitted.files, emitted.asks, [*emitted.notes, *notes])


@contextmanager
def begun(
    stock: Inventory,
) -> Iterator[Callable[[Mapping[str, Mapping[str, bytes]]], Configuration]]:
    """Start on `configuration` while the rooms work: a large vocabulary takes seconds. In the block,
    call what it gives with what the rooms have converted; where there is such a thing, it starts then."""
    with ThreadPoolExecutor(1, thread_name_prefix="clear") as beside:
        waits = bool(folder_files.to_convert(stock))
        early = None if waits else beside.submit(configuration, stock)
        yield lambda converted: early.result() if early else configuration(stock, converted)


def count(stock: Inventory, extracted: Extracted) -> Tensors:
    """What the model's weights hold, tied tensors once."""
    wanted = {entry.path for entry in stock.weights}
    files = [file for file in extracted.files if file.name in wanted]
    dtypes: Counter[str] = Counter()
    parameters = size = 0
    for file in files:
        aliases = {alias for group in file.tied for alias in group[1:]}
        for tensor in file.tensors:
            if tensor.name in aliases:
                continue
            dtypes[tensor.dtype] += 1
            size += tensor.bytes
            elements = 1
            for length in tensor.shape:
                elements *= length
            parameters += elements
    tied = [group for file in files for group in file.tied]
    return Tensors(dtypes.total(), parameters, size, dict(dtypes), tied)


def publish(
    staging: Staging,
    stock: Inventory,
    extracted: Extracted,
    cleared: Configuration,
    make_report: Callable[[Export], Report],
    make_manifest: Callable[[list[manifest.FileEntry]], bytes],
) -> Export:
    """Check every file that the worker wrote, put the rest beside them, and show the folder.

    Raises SandboxError when a written file is not what the worker said it is.
    """
    written = {file.name: file for file in extracted.files}
    indexes: dict[str, dict[str, str]] = {}
    sizes: Counter[str] = Counter()
    for entry in stock.weights:
        name = entry.export or ""
        file = written[entry.path]
        if file.status == "no_tensors":
            staging.discard(name)
            continue
        if not staging.is_filled(name):
            raise SandboxError(f"the tensors of {visible(entry.path)} were not copied")
        try:
            header = safetensors_file.check(staging.output(name))
        except Malformed as error:
            raise SandboxError(
                f"what was written for {visible(entry.path)} is no safetensors file: {error}"
            ) from error
        said = {tensor.name: tensor.shape for tensor in file.tensors}
        for tensor in header.tensors:
            if said.get(tensor.name) != tuple(tensor.shape):
                raise SandboxError(
                    f"{name} holds {visible(tensor.name)} otherwise than the worker said"
                )
        if match := _SHARD.fullmatch(name):
            base = match[1]
            indexes.setdefault(base, {}).update({tensor.name: name for tensor in header.tensors})
            sizes[base] += header.bytes
    for base, table in indexes.items():
        staging.write(f"{base}.safetensors.index.json", index_json(table, sizes[base]))
    for name, data in cleared.files.items():
        staging.write(name, data)
    for file in extracted.files:
        if file.structure is not None and file.status == "ok":
            names = {tensor.name for tensor in file.tensors}.union(*file.tied)
            staging.write(structure.NAME, structure.encode(file.structure, names))
    staging.write(REPORT, encode(make_report(Export(str(staging.target)))))
    entries = staging.publish(make_manifest)
    return Export(
        str(staging.target),
        [ExportedFile(entry.path, entry.size, entry.sha256) for entry in entries],
    )
