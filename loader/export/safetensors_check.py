"""The strict check of a safetensors file that came out of the room.

Zone: controller. Reads the header alone, needs neither torch nor numpy, and trusts nothing: what
passes here is numbers with names, and nothing else.

A file that passes is one that the `safetensors` library opens, with the same tensors. Stricter
than the library, on purpose:

- the header is at most `max_header` bytes and names at most `max_entries` tensors;
- no key stands twice at any level, no number has a sign, a fraction or an exponent, and a tensor has dtype, shape, data_offsets and no other key;
- a shape has at most 64 dimensions, and their product, zeros counted as ones, stays below 2**63 bits;
- names have at most 1024 bytes of UTF-8; any character may stand in them;
- metadata is `"format": "pt"`, keys that begin with `safe_load.`, and aliases: a name that no tensor
  has, with the name of the tensor it is tied to (as safetensors.torch.save_model writes them);
  its values have at most 65,536 bytes and, but for names of tensors, no control characters;
- metadata also holds facts that programs read (`safe_load.worker.tensors.facts`): at most 1000, of printable
  characters, of at most 1 MiB each and 4 MiB together. An adapter's configuration among them has keys that
  peft's own kinds of adapters have, and no other.

As for the library, the order of entries in the header is free; the extents, sorted, must follow
each other from 0 to the end of the file without overlap or hole.
"""

from __future__ import annotations

import os
import re
import stat
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Annotated, NoReturn, TypeAlias

import msgspec
from safe_load.core import typed
from safe_load.core.hashing import open_regular
from safe_load.worker.strict_json import Malformed, shown, split
from safe_load.worker.tensors import facts

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator

__all__ = ["DTYPE_BITS", "Header", "Malformed", "Tensor", "check"]

# Source: safetensors 0.8, safetensors/src/tensor.rs, Dtype::bitsize.
DTYPE_BITS = {
    "BOOL": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8,
    "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16,
    "I32": 32, "U32": 32, "F32": 32, "C64": 64, "F64": 64, "I64": 64, "U64": 64,
}  # fmt: skip

MAX_RANK = 64
MAX_NAME = 1024
MAX_METADATA_VALUE = 65_536
OWN_PREFIX = "safe_load."

_METADATA = "__metadata__"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_Size = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
_DECODER = typed.decoder(dict[str, dict[str, str | list[_Size]]])
_FIELDS = {"dtype", "shape", "data_offsets"}

PathOrDescriptor: TypeAlias = "int | str | os.PathLike[str]"


class Tensor(msgspec.Struct, frozen=True, gc=False):
    """One entry. begin, end: bytes, counted from `Header.data_start`."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class Header:
    """What one file holds. tensors: in the order of their bytes.

    metadata: all of it; aliases: the part of it that ties a name to a tensor's name.
    data_start: bytes before the first tensor. parameters: elements of all tensors; bytes: of all
    tensors, without the header. dtypes: how many tensors have each.
    """

    tensors: tuple[Tensor, ...]
    metadata: dict[str, str]
    aliases: dict[str, str]
    data_start: int
    count: int
    parameters: int
    bytes: int
    dtypes: dict[str, int]


def check(
    file: PathOrDescriptor,
    *,
    where: str | None = None,
    max_header: int = 64 << 20,
    max_entries: int = 200_000,
) -> Header:
    """Check the safetensors file at a path (never a link) or an open descriptor, left open.

    where: the file's name in messages. Raises Malformed when it is not a strict safetensors file,
    and OSError when it cannot be read.
    """
    if where is None:
        where = f"descriptor {file}" if isinstance(file, int) else os.fspath(file)
    with _opened(file) as descriptor:
        state = os.fstat(descriptor)
        if not stat.S_ISREG(state.st_mode):
            raise Malformed(f"{where}: not a regular file")
        raw = _read_header(descriptor, state.st_size, where, max_header)
    return _check_header(raw, state.st_size, where, max_entries)


@contextmanager
def _opened(file: PathOrDescriptor) -> Iterator[int]:
    if isinstance(file, int):
        yield file
        return
    descriptor = open_regular(file)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _read_header(descriptor: int, size: int, where: str, max_header: int) -> bytes:
    """The header's JSON, at most `max_header` bytes and never past the end of the file."""
    prefix = os.pread(descriptor, 8, 0)
    if len(prefix) < 8:
        raise Malformed(f"{where}: {size} bytes, too short for a safetensors file")
    length = int.from_bytes(prefix, "little")
    if length > max_header:
        raise Malformed(f"{where}: the header claims {length:,} bytes, more than {max_header:,}")
    if length > size - 8:
        raise Malformed(f"{where}: the header claims {length:,} bytes, the file has {size:,}")
    raw = bytearray()
    while len(raw) < length:
        # One read returns at most 2 GiB (read(2)), and less if someone shortens the file meanwhile.
        piece = os.pread(descriptor, length - len(raw), 8 + len(raw))
        if not piece:
            raise Malformed(f"{where}: the file ends inside its header")
        raw += piece
    return bytes(raw)


def _check_header(raw: bytes, size: int, where: str, max_entries: int) -> Header:
    place = f"{where}, header"
    if raw[:1] != b"{":
        raise Malformed(f"{place}: it must begin with an opening brace")
    entries = _decode(raw, place, max_entries)
    metadata = entries.pop(_METADATA, {})
    _check_names(entries, place)
    tensors = sorted(
        (_tensor(name, entry, place) for name, entry in entries.items()),
        key=lambda tensor: (tensor.begin, tensor.end),
    )
    end = 0
    for tensor in tensors:
        if tensor.begin != end:
            kind = "a hole" if tensor.begin > end else "an overlap"
            raise Malformed(f"{place}, tensor {shown(tensor.name)}: {kind} at byte {end:,}")
        end = tensor.end
    if end != size - 8 - len(raw):
        raise Malformed(
            f"{where}: the tensors take {end:,} bytes, the file holds {size - 8 - len(raw):,}"
        )
    values, aliases = _metadata(metadata, entries, place)
    return Header(
        tensors=tuple(tensors),
        metadata=values,
        aliases=aliases,
        data_start=8 + len(raw),
        count=len(tensors),
        parameters=sum(prod(tensor.shape) for tensor in tensors),
        bytes=end,
        dtypes=dict(Counter(tensor.dtype for tensor in tensors)),
    )


def _check_names(names: Iterable[str], place: str) -> None:
    for name in names:
        if len(name) > MAX_NAME or len(name.encode()) > MAX_NAME:
            raise Malformed(f"{place}: the name {shown(name)} is longer than {MAX_NAME} bytes")


def _decode(raw: bytes, place: str, max_entries: int) -> dict[str, dict[str, str | list[int]]]:
    """The header's JSON. Every shape of it that is not a dict of such dicts is refused."""
    _, bare = split(raw)
    # Before decoding: an empty object takes 10 bytes here and 200 in memory.
    if bare.count(b"{") > max_entries + 2:
        raise Malformed(f"{place}: more than {max_entries:,} tensors")
    try:
        raw.decode("utf-8")
        entries = _DECODER.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed(f"{place}: {error}") from None
    if len(entries) - (_METADATA in entries) > max_entries:
        raise Malformed(f"{place}: more than {max_entries:,} tensors")
    # The decoder keeps the last of equal keys, so there are more colons than keys if any two are.
    if bare.count(b":") != len(entries) + sum(map(len, entries.values())):
        raise Malformed(f"{place}: a key appears twice in one object")
    # -0 is no unsigned integer to the library.
    if b"-" in bare:
        raise Malformed(f"{place}: a number has a minus sign")
    return entries


def _tensor(name: str, entry: dict[str, str | list[int]], place: str) -> Tensor:
    def refuse(reason: str) -> NoReturn:
        raise Malformed(f"{place}, tensor {shown(name)}: {reason}")

    if entry.keys() != _FIELDS:
        refuse("its entry is not exactly dtype, shape and data_offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if isinstance(dtype, list) or (bits := DTYPE_BITS.get(dtype)) is None:
        refuse(f"the dtype {shown(str(dtype))} is unknown")
    if isinstance(shape, str) or len(shape) > MAX_RANK:
        refuse(f"its shape is not a list of at most {MAX_RANK} numbers")
    if isinstance(offsets, str) or len(offsets) != 2:
        refuse("its data_offsets are not two numbers")
    size = prod(shape)
    if (size or prod([length or 1 for length in shape])) * bits >= 1 << 63:
        refuse("its shape is too large for any machine")
    begin, end = offsets
    if (end - begin) * 8 != size * bits:
        refuse(
            f"its extent of {end - begin} bytes does not fit {dtype} of shape {shown(str(shape))}"
        )
    return Tensor(name, dtype, tuple(shape), begin, end)


def _metadata(
    metadata: dict[str, str | list[int]], tensors: Container[str], place: str
) -> tuple[dict[str, str], dict[str, str]]:
    """All of the metadata, and the part of it that is aliases."""
    _check_names(metadata, f"{place}, {_METADATA}")
    values: dict[str, str] = {}
    aliases: dict[str, str] = {}
    told: dict[str, str] = {}
    for key, value in metadata.items():
        where = f"{place}, {_METADATA}, {shown(key)}"
        if not isinstance(value, str):
            raise Malformed(f"{where}: its value is not a string")
        if value not in tensors and facts.is_fact(key):
            told[key] = value
            values[key] = value
            continue
        if len(value.encode()) > MAX_METADATA_VALUE or (
            value not in tensors and _CONTROL.search(value)
        ):
            raise Malformed(f"{where}: its value is too long or holds a control character")
        if key in tensors:
            raise Malformed(f"{where}: an alias that is a tensor too")
        if key == "format":
            if value != "pt":
                raise Malformed(f"{where}: {shown(value)} is not 'pt'")
        elif not key.startswith(OWN_PREFIX):
            if value not in tensors:
                raise Malformed(f"{where}: {shown(value)} names no tensor of this file")
            aliases[key] = value
        values[key] = value
    if reason := facts.objection(told):
        raise Malformed(f"{place}, {_METADATA}: {reason}")
    if twice := [key for key in told if key in tensors]:
        raise Malformed(f"{place}, {_METADATA}, {shown(twice[0])}: a fact that is a tensor too")
    return values, aliases
