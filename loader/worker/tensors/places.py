"""Tensors as places of bytes, for formats that store numbers as they are. Zone: worker.

What a format's module needs to give tensors back without reading them: `tensor` for one, `content` for all.
"""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING

from safe_load.worker.formats.interface import Content
from safe_load.worker.pickle_vm.values import Storage, Tensor
from safe_load.worker.refusal import RefusedError, bomb
from safe_load.worker.spans import MemorySource, Span
from safe_load.worker.tensors import layout
from safe_load.worker.tensors.dtypes import TORCH
from safe_load.worker.tensors.key_names import METADATA

if TYPE_CHECKING:
    from safe_load.worker.formats.interface import File, Reading, State

#: Dimensions of a tensor, as torch bounds them; tensors of one file; bytes of all their names.
MAX_RANK = 64
MAX_TENSORS = 200_000
MAX_NAMES = 16 << 20
#: Settings that are kept as metadata, and characters of one.
MAX_SETTINGS = 2000
MAX_SETTING = 4096

Named = dict[str, Tensor]


def nbytes(dtype: str, shape: tuple[int, ...]) -> int:
    """Bytes of a tensor. dtype: as torch says it, without "torch.". Raises RefusedError for a type that is
    not known and a shape that no file holds."""
    kind = TORCH.get(dtype)
    if kind is None:
        raise RefusedError(f"it holds numbers of the type {dtype[:100]!a}, which are not read")
    if len(shape) > MAX_RANK or any(size < 0 for size in shape):
        raise RefusedError(f"the shape {str(list(shape))[:200]} is none of a tensor")
    if math.prod(size or 1 for size in shape) >= 1 << 56:
        raise bomb(f"a tensor has the shape {str(list(shape))[:200]}")
    return math.prod(shape) * kind.size


def tensor(dtype: str, shape: tuple[int, ...], span: Span, *, big_endian: bool = False) -> Tensor:
    """A tensor whose elements lie in `span` one behind the other, the last dimension fastest. dtype: as torch
    says it, without "torch.". Raises RefusedError where the span is not as long as that."""
    size = nbytes(dtype, shape)
    if span.length != size:
        raise RefusedError(
            f"{span.length} bytes are no {dtype} of shape {str(list(shape))[:200]}, which takes {size}"
        )
    kind = TORCH[dtype]
    stride, step = [], 1
    for count in reversed(shape):
        stride.append(step)
        step *= max(count, 1)
    storage = Storage(kind, size, span, swapped=big_endian and kind.swap > 1)
    return Tensor(storage, kind, 0, shape, tuple(reversed(stride)))


def of_bytes(dtype: str, shape: tuple[int, ...], data: bytes) -> Tensor:
    """A tensor of bytes in memory, little-endian. Raises RefusedError as `tensor`."""
    return tensor(dtype, shape, Span(MemorySource(data), 0, len(data)))


def add(named: Named, name: str, value: Tensor) -> None:
    """Put a tensor to the others. Raises RefusedError for a name that is taken or too long, and beyond the bound."""
    if name in named:
        raise RefusedError(f"two tensors are both called {name[:200]!a}")
    if len(named) >= MAX_TENSORS:
        raise bomb(f"the file holds more than {MAX_TENSORS} tensors")
    layout.check_name(name)
    named[name] = value


def require_own(part: File) -> None:
    """For a file whose bytes are taken as numbers whatever they are: raise RefusedError where it is a hard link to a
    file that may lie anywhere, whose bytes would come out as weights (CVE-2026-34446 of onnx)."""
    source = part.span.source
    if source.fd is not None and part.size == source.size and os.fstat(source.fd).st_nlink > 1:
        raise RefusedError(
            f"its numbers lie in {part.name[:200]!a}, which is a hard link: the same file has another name elsewhere; copy "
            "the folder (cp -r) and open the copy"
        )


def require_room(named: Named, reading: Reading) -> None:
    """For tensors whose values are computed: raise RefusedError where they take more than may be written. In a scan
    nothing is written, so that the file says by itself whether it is a bomb."""
    total = sum(nbytes(each.dtype.name, each.shape) for each in named.values() if each.dtype)
    if not reading.wanted:
        reading.limit = max(reading.limit, total)
    elif total > reading.limit:
        raise RefusedError(
            f"its tensors take {total} bytes when unpacked, more than the {reading.limit} that may be written for a file "
            "of this name and size"
        )


def content(
    named: Named,
    format_: str,
    reading: Reading,
    *,
    state: State = "data",
    why: str = "",
    settings: dict[str, str] | None = None,
) -> Content:
    """What came of a file: its tensors under their own names. settings: what the metadata of the export says
    besides. Raises RefusedError."""
    if sum(map(len, named)) > MAX_NAMES:
        raise bomb(f"the names of the tensors take more than {MAX_NAMES} bytes")
    plan = layout.plan(list(named.items()), reading.limit)
    plan.settings = kept(settings or {})
    if settings and len(plan.settings) < len(settings):
        reading.notes.append(
            f"{len(settings) - len(plan.settings)} of {len(settings)} settings are too long for the metadata of the export"
        )
    return Content(format_, state, why, plan)


def kept(settings: dict[str, str]) -> dict[str, str]:
    """Those settings that metadata can hold: short ones, without control characters."""
    short = {
        key: value
        for key, value in settings.items()
        if len(key.encode("utf-8", "replace")) <= layout.MAX_NAME - len(layout.OWN)
        and len(value) <= MAX_SETTING
        and value.isprintable()
        and key.isprintable()
        and key != METADATA
    }
    return dict(list(short.items())[:MAX_SETTINGS])
