"""The tensors of a safetensors file: its header checked as strictly as what is exported. Zone: worker."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

from safe_load.worker.pickle_vm.arguments import MAX_DIMENSIONS
from safe_load.worker.refusal import RefusedError, bomb
from safe_load.worker.spans import Span
from safe_load.worker.tensors import facts
from safe_load.worker.tensors.dtypes import FROM_SAFETENSORS, SAFETENSORS
from safe_load.worker.tensors.layout import Entry, Layout, check_name
from safe_load.worker.tensors.views import View

if TYPE_CHECKING:
    from collections.abc import Callable

#: Bytes: the format's own bound.
MAX_HEADER = 100_000_000
MAX_ENTRIES = 200_000


def read(span: Span, limit: int, judge: Callable[[str], None]) -> tuple[Layout, list[str]]:
    """The layout as it is in the file, and notes. limit: bytes that the tensors may have; judge: is given
    each value of the metadata.

    Raises RefusedError with the place and the reason.
    """
    table, data_at = _header(span)
    metadata = table.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise RefusedError("safetensors header: __metadata__ is not a table of texts")
    for value in metadata.values():
        judge(value)
    found = sorted(
        (_entry(name, fields, span, data_at) for name, fields in table.items()), key=_order
    )
    end = 0
    for entry in found:
        if entry.begin != end:
            what = "a hole" if entry.begin > end else "an overlap"
            raise RefusedError(f"safetensors header: {what} before the tensor {entry.name[:200]!a}")
        end += entry.view.nbytes
    if data_at + end != span.length:
        raise RefusedError(
            f"safetensors: the header accounts for {data_at + end} bytes, the file has {span.length}"
        )
    if end > limit:
        raise bomb(f"the tensors take {end} bytes, more than the {limit} allowed")
    tied, dropped = _aliases(metadata, table)
    layout = Layout(found, tied)
    layout.facts, _ = facts.kept((key, metadata[key]) for key in sorted(dropped))
    dropped -= layout.facts.keys()
    notes = [f"metadata left out: {', '.join(map(ascii, sorted(dropped)[:16]))}"] if dropped else []
    return layout, notes


def _header(span: Span) -> tuple[dict[str, object], int]:
    length = int.from_bytes(span.read(0, 8), "little")
    if length > MAX_HEADER or length > span.length - 8:
        raise RefusedError(
            f"safetensors: the header claims {length} bytes, the file has {span.length}"
        )
    raw = bytes(span.read(8, length))
    # Before parsing: an empty table takes two bytes here and a hundred in memory.
    if (
        raw.count(b"{") > MAX_ENTRIES + 2
        or raw.count(b"[") > 2 * MAX_ENTRIES + 2
        or raw.count(b",") > 8 * MAX_ENTRIES
    ):
        raise bomb(f"safetensors: the header names more than {MAX_ENTRIES} tensors")
    try:
        table = json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_float=_no_number,
            parse_constant=_no_number,
        )
    except RecursionError:
        raise RefusedError("safetensors header: it is nested too deep") from None
    except (ValueError, UnicodeDecodeError) as error:
        raise RefusedError(f"safetensors header: {str(error)[:200]}") from None
    if not isinstance(table, dict):
        raise RefusedError("safetensors header: it is not a table")
    return table, 8 + length


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a key appears twice")
    return table


def _no_number(text: str) -> object:
    raise ValueError(f"the number {text[:20]} is no whole one")


def _entry(name: str, fields: object, span: Span, data_at: int) -> Entry:
    check_name(name)
    where = f"safetensors header, tensor {name[:200]!a}"
    if not isinstance(fields, dict) or fields.keys() != {"dtype", "shape", "data_offsets"}:
        raise RefusedError(f"{where}: it is not exactly dtype, shape and data_offsets")
    dtype, shape, offsets = fields["dtype"], fields["shape"], fields["data_offsets"]
    if not isinstance(dtype, str) or dtype not in SAFETENSORS:
        raise RefusedError(f"{where}: the dtype {ascii(dtype)[:100]} is unknown")
    if (
        not _naturals(shape)
        or len(shape) > MAX_DIMENSIONS
        or not _naturals(offsets)
        or len(offsets) != 2
    ):
        raise RefusedError(f"{where}: its shape or its offsets are not whole numbers")
    begin, end = offsets
    bits = math.prod(shape) * SAFETENSORS[dtype]
    if math.prod(size or 1 for size in shape) >= 1 << 56 or bits % 8 or end - begin != bits // 8:
        raise RefusedError(
            f"{where}: {dtype} of shape {str(shape)[:200]} does not fill {end - begin} bytes"
        )
    nbytes = bits // 8
    # Bytes are copied as they are, whatever they mean.
    rest = Span(span.source, span.offset + data_at, span.length - data_at)
    view = View(rest, begin, (nbytes,), (1,), 1)
    torch_dtype = FROM_SAFETENSORS.get(dtype, dtype.lower())
    entry = Entry(name, dtype, tuple(shape), view, torch_dtype=torch_dtype)
    if dtype == "F4" and shape and not shape[-1] % 2:
        entry.torch_shape = (*shape[:-1], shape[-1] // 2)
    entry.begin = begin
    return entry


def _naturals(value: object) -> bool:
    return isinstance(value, list) and all(type(n) is int and 0 <= n < 1 << 63 for n in value)


def _order(entry: Entry) -> tuple[int, int]:
    return entry.begin, entry.view.nbytes


def _aliases(
    metadata: dict[str, str], table: dict[str, object]
) -> tuple[list[list[str]], set[str]]:
    """Tied names as save_model writes them, and the keys that are none."""
    groups: dict[str, list[str]] = {}
    dropped = set()
    for key, value in metadata.items():
        if (
            value in table
            and key not in table
            and key != "format"
            and not key.startswith("safe_load.")
        ):
            check_name(key)
            groups.setdefault(value, [value]).append(key)
        elif key != "format":
            dropped.add(key)
    return list(groups.values()), dropped
