"""Weights of a staged export in another element type, or in shards of another size, when asked for.

Zone: controller. Works on files that were checked already, and on numbers alone. Rounds as torch's `.to()`
does: to the nearest, ties to even, and from float64 by way of float32 where the target is shorter than that
(c10/util/Half.h, BFloat16.h). Needs numpy, which whoever asks for an element type has to have.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import msgspec
from safe_load.core import typed
from safe_load.core.errors import UsageError
from safe_load.core.escape import visible
from safe_load.export import safetensors_check

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safe_load.core.options import Dtype
    from safe_load.export.safetensors_check import Header, Tensor
    from safe_load.export.staging import Staging

#: Word of the option -> safetensors' name, torch's name.
WORDS: dict[Dtype, tuple[str, str]] = {
    "fp64": ("F64", "float64"),
    "fp32": ("F32", "float32"),
    "fp16": ("F16", "float16"),
    "bf16": ("BF16", "bfloat16"),
}
_SIZES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
_SHARD = re.compile(r"(.+)-\d{5}-of-\d{5}")
_CHUNK = 1 << 20  # elements
_VIEW = f"{safetensors_check.OWN_PREFIX}view:"
_MOST_NAMED = 3
#: Members of one archive that become files.
MAX_MEMBERS = 1000
#: Paths of members that are names of files on every system.
_PLAIN = re.compile(
    r"[^\x00-\x1f\x7f\\:*?\"<>|/]{1,120}(?:/[^\x00-\x1f\x7f\\:*?\"<>|/]{1,120}){0,15}"
)
_ODD = re.compile(r"(?:^|/)\.{1,2}(?:/|$)|[^\S ]|(?:^|/) |[ .](?:/|$)")

Written = tuple[str, "Header"]


@dataclass(frozen=True)
class _Item:
    """A tensor on its way: from a file that is taken out, of another type if `dtype` says so."""

    source: int
    start: int
    tensor: Tensor
    dtype: str

    @property
    def size(self) -> int:
        """Bytes as written."""
        length = self.tensor.end - self.tensor.begin
        if self.dtype == self.tensor.dtype:
            return length
        return length // _SIZES[self.tensor.dtype] * _SIZES[self.dtype]


@dataclass
class _Lost:
    """Numbers that the new type does not hold: how many, and of which tensors."""

    infinite: int = 0
    zero: int = 0
    names: list[str] | None = None


def shape(
    staging: Staging, written: Sequence[Written], dtype: Dtype | None, shard: int | None
) -> tuple[list[Written], list[str]]:
    """Write the weights once more, and remove what was there. Returns the new files, and notes.

    Args:
        staging: Holds the files.
        written: Their names and checked headers.
        dtype: The type of all tensors of floating point; None leaves them. A tensor that stands for a type
            that safetensors lacks stays as it is.
        shard: Bytes of tensors in one file at most, but for a larger tensor; None: one file for each model.

    Raises:
        UsageError: numpy is not installed. LimitHit: the disk is full.
    """
    if dtype is not None:
        _numpy()
    groups: dict[str, list[Written]] = {}
    for name, header in written:
        stem = name.removesuffix(".safetensors")
        match = _SHARD.fullmatch(stem)
        groups.setdefault(match[1] if match else stem, []).append((name, header))
    made: list[Written] = []
    lost = _Lost()
    for base, files in groups.items():
        made += _group(staging, base, files, dtype, shard, lost)
    return made, _notes(dtype, lost)


def apart(
    staging: Staging, written: Sequence[Written], members: dict[str, dict[str, str]]
) -> tuple[list[Written], list[str]]:
    """Write the weights that were within an archive as a file for each member, in a folder called after the archive.

    Args:
        staging: Holds the files.
        written: Their names and checked headers.
        members: Of each file, name of a tensor -> the path of its member without its suffix, with which the
            tensor's name begins; "" for one that is of no member.

    Returns:
        The new files, and notes: what cannot be named after its members stays in one file.

    Raises:
        LimitHit: the disk is full.
    """
    made: list[Written] = []
    notes: list[str] = []
    taken = {name.casefold() for name, _ in written}
    for name, header in written:
        table = members.get(name, {})
        paths = sorted({table.get(tensor.name, "") for tensor in header.tensors})
        base = name.removesuffix(".safetensors")
        files = {path: f"{base}/{path}.safetensors" for path in paths}
        if len(paths) < 2:
            made.append((name, header))
        elif _can_be_names(files, taken):
            taken |= {each.casefold() for each in files.values()}
            made += _each_member(staging, name, header, table, files)
        else:
            made.append((name, header))
            notes.append(
                f"{name} holds the weights of {len(paths)} members, whose paths cannot be names of files"
            )
    return made, notes


def _can_be_names(files: dict[str, str], taken: set[str]) -> bool:
    """Whether every member has a path that is plain, and a file of its own on any system."""
    folded = {each.casefold() for each in files.values()}
    folders = {str(parent) for each in folded for parent in PurePosixPath(each).parents}
    if (
        len(files) > MAX_MEMBERS
        or len(folded) < len(files)
        or folded & taken
        or folders & (folded | taken)
    ):
        return False
    return all(_PLAIN.fullmatch(path) and not _ODD.search(path) for path in files)


def _each_member(
    staging: Staging, name: str, header: Header, table: dict[str, str], files: dict[str, str]
) -> list[Written]:
    parts: dict[str, list[_Item]] = {path: [] for path in files}
    source = staging.take_out(name)
    try:
        for tensor in header.tensors:
            path = table[tensor.name]
            own = msgspec.structs.replace(tensor, name=tensor.name[len(path) + 1 :])
            parts[path].append(_Item(source, header.data_start + tensor.begin, own, tensor.dtype))
        made = []
        for path, items in parts.items():
            metadata = {
                _without(key, path): _without(value, path) for key, value in header.metadata.items()
                if key == "format" or _without(key, path) != key
            }  # fmt: skip
            _write(staging, files[path], items, _metadata(metadata, items, first=True), _Lost())
            made.append((files[path], safetensors_check.check(staging.output(files[path]))))
        return made
    finally:
        os.close(source)


def _without(text: str, path: str) -> str:
    """A tensor's name, or a key that ends with one, without the path of its member."""
    for start in (_VIEW, ""):
        if text.startswith(f"{start}{path}/"):
            return start + text[len(start) + len(path) + 1 :]
    return text


def _group(
    staging: Staging,
    base: str,
    files: list[Written],
    dtype: Dtype | None,
    shard: int | None,
    lost: _Lost,
) -> list[Written]:
    metadata: dict[str, str] = {}
    items: list[_Item] = []
    taken: list[int] = []
    try:
        for name, header in files:
            taken.append(staging.take_out(name))
            metadata |= header.metadata
            for tensor in header.tensors:
                viewed = f"{_VIEW}{tensor.name}" in header.metadata
                to = WORDS[dtype][0] if dtype and tensor.dtype in _SIZES and not viewed else None
                start = header.data_start + tensor.begin
                items.append(_Item(taken[-1], start, tensor, to or tensor.dtype))
        if shard is None and len(files) > 1:
            shard = max(header.bytes for _, header in files)  # as it came in several, so it goes
        parts = _parts(items, shard)
        made = []
        for number, part in enumerate(parts, 1):
            of = f"-{number:05d}-of-{len(parts):05d}" if len(parts) > 1 else ""
            name = f"{base}{of}.safetensors"
            _write(staging, name, part, _metadata(metadata, part, first=number == 1), lost)
            made.append((name, safetensors_check.check(staging.output(name))))
        return made
    finally:
        for descriptor in taken:
            os.close(descriptor)


def _parts(items: list[_Item], shard: int | None) -> list[list[_Item]]:
    """In their order, each file full before the next is begun, as huggingface_hub splits them."""
    parts: list[list[_Item]] = [[]]
    size = 0
    for item in items:
        if shard is not None and parts[-1] and size + item.size > shard:
            parts.append([])
            size = 0
        parts[-1].append(item)
        size += item.size
    return parts


def _metadata(all_of_it: dict[str, str], part: list[_Item], *, first: bool) -> dict[str, str]:
    """What is said of the tensors of one file: views by the tensor's name, ties by their value."""
    names = {item.tensor.name for item in part}
    kept = {}
    for key, value in all_of_it.items():
        if key.startswith(_VIEW):
            belongs = key.removeprefix(_VIEW) in names
        elif key.startswith(safetensors_check.OWN_PREFIX):
            belongs = first
        else:
            belongs = key == "format" or value in names
        if belongs:
            kept[key] = value
    return kept


def _write(
    staging: Staging, name: str, part: list[_Item], metadata: dict[str, str], lost: _Lost
) -> None:
    # Larger elements first, as the format wants them aligned.
    part = sorted(part, key=lambda item: -_SIZES.get(item.dtype, _width(item)))
    table: dict[str, Any] = {"__metadata__": metadata}
    begin = 0
    for item in part:
        table[item.tensor.name] = {
            "dtype": item.dtype,
            "shape": list(item.tensor.shape),
            "data_offsets": [begin, begin + item.size],
        }
        begin += item.size
    text = msgspec.json.encode(table)
    text += b" " * (-len(text) % 8)
    output = staging.open_output(name)
    with staging.disk():
        os.ftruncate(output, 8 + len(text) + begin)
        os.pwrite(output, len(text).to_bytes(8, "little") + text, 0)
        to = 8 + len(text)
        for item in part:
            if item.dtype == item.tensor.dtype:
                _copy(item, output, to)
            else:
                _convert(item, output, to, lost)
            to += item.size


def _width(item: _Item) -> int:
    """Bytes of one element, 1 for what has several in one."""
    count = 1
    for length in item.tensor.shape:
        count *= length
    return max((item.tensor.end - item.tensor.begin) // count, 1) if count else 1


def _copy(item: _Item, output: int, to: int) -> None:
    done = 0
    while done < item.size:
        data = os.pread(item.source, min(_CHUNK, item.size - done), item.start + done)
        done += os.pwrite(output, data, to + done)


def _convert(item: _Item, output: int, to: int, lost: _Lost) -> None:
    """A chunk at a time: what is needed of memory does not grow with the tensor."""
    np = _numpy()
    old, new = _SIZES[item.tensor.dtype], _SIZES[item.dtype]
    count = (item.tensor.end - item.tensor.begin) // old
    infinite = zero = 0
    for first in range(0, count, _CHUNK):
        length = min(_CHUNK, count - first)
        data = os.pread(item.source, length * old, item.start + first * old)
        with np.errstate(all="ignore"):
            wide = _read(np, data, item.tensor.dtype)
            made = _as(np, wide, item.dtype)
            back = _read(np, made, item.dtype)
            infinite += int(np.count_nonzero(np.isfinite(wide) & ~np.isfinite(back)))
            zero += int(np.count_nonzero((wide != 0) & (back == 0)))
        view = memoryview(made)
        while view:
            wrote = os.pwrite(output, view, to + first * new + length * new - len(view))
            view = view[wrote:]
    if infinite or zero:
        lost.infinite += infinite
        lost.zero += zero
        lost.names = [*(lost.names or []), item.tensor.name]


def _read(np: Any, data: bytes, dtype: str) -> Any:
    """Numbers as float32, or float64 where they are that."""
    if dtype == "BF16":
        return (np.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4")
    values = np.frombuffer(data, {"F64": "<f8", "F32": "<f4", "F16": "<f2"}[dtype])
    return values.astype("<f4") if dtype == "F16" else values


def _as(np: Any, wide: Any, dtype: str) -> bytes:
    if dtype in ("F64", "F32"):
        return bytes(wide.astype({"F64": "<f8", "F32": "<f4"}[dtype]).tobytes())
    values = wide.astype("<f4")
    if dtype == "F16":
        return bytes(values.astype("<f2").tobytes())
    bits = values.view("<u4")
    rounded = (bits + (0x7FFF + ((bits >> 16) & 1)).astype("<u4")) >> 16
    return bytes(np.where(np.isnan(values), 0x7FC0, rounded).astype("<u2").tobytes())


def _notes(dtype: Dtype | None, lost: _Lost) -> list[str]:
    if dtype is None or not lost.names:
        return []
    named = ", ".join(visible(name, 100) for name in lost.names[:_MOST_NAMED])
    more = len(lost.names) - _MOST_NAMED
    of = named + (f" and {more} more" if more > 0 else "")
    said = []
    if lost.infinite:
        said.append(f"{lost.infinite} numbers are beyond its range and became infinite")
    if lost.zero:
        said.append(f"{lost.zero} numbers are too small for it and became 0")
    return [f"--dtype {dtype}: {'; '.join(said)}, in {of}"]


def _numpy() -> Any:
    try:
        import numpy as np  # noqa: PLC0415 - only who asks for an element type needs it
    except ImportError as error:
        raise UsageError(
            "dtype: converting numbers needs numpy: pip install 'safe-load[models]'"
        ) from error
    return np


def name_in(config: bytes, dtype: Dtype) -> bytes:
    """config.json, whose element type is the one that the weights have now."""
    value = typed.plain(config)
    waiting = [value]
    while waiting:
        inner = waiting.pop()
        if isinstance(inner, dict):
            for key in ("dtype", "torch_dtype"):
                if isinstance(inner.get(key), str):
                    inner[key] = WORDS[dtype][1]
            waiting += inner.values()
    if "torch_dtype" not in value:
        value["dtype"] = WORDS[dtype][1]
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"
