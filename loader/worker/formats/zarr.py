"""Zarr arrays, as orbax keeps a flax model's: a description in JSON, and a file or a value for each chunk. Zone: worker.

zarr specifications 2 and 3. What tensorstore and zarr write unless they are asked for something else is read: chunks
packed by zstd, gzip or zlib or not at all, also in shards. An array that is kept in another way is left out, and a
note names the way.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

from safe_load.worker import strict_json
from safe_load.worker.formats import blosc, codecs, pickles, texts
from safe_load.worker.formats.hdf5_chunks import Chunked, UnreadError
from safe_load.worker.formats.interface import Content, File, Format
from safe_load.worker.refusal import RefusedError, bomb
from safe_load.worker.spans import CHUNK, MemorySource, Span
from safe_load.worker.tensors import places
from safe_load.worker.tensors.dtypes import TORCH

if TYPE_CHECKING:
    from collections.abc import Iterator

    from safe_load.worker.formats.interface import Reading
    from safe_load.worker.pickle_vm.values import Tensor

#: The bytes of each key of a store.
Store = dict[str, Span]
_Coordinates = tuple[int, ...]
MAX_DESCRIPTION = 16 << 20
MAX_ARRAYS = 100_000
#: Chunks of one array.
MAX_CHUNKS = 1_000_000
_DESCRIPTIONS = ("/.zarray", "/zarr.json")
_NOWHERE = (1 << 64) - 1
#: What training needs besides the weights, as flax's TrainState calls it.
_TRAINING = ("opt_state.", "opt_state/")
#: zarr's words for element types that are not numpy's.
_WORDS = {"bool": "bool", "half": "float16", "float": "float32", "double": "float64"}
_NUMPY = {"f": "float", "i": "int", "u": "uint", "c": "complex", "b": "bool"}
_BY_PATHS = (b'"tree_metadata"', b'"zarr_format"')


class Zarr(Format):
    """A folder of arrays, by the file that describes it."""

    name, called = "zarr", "the description of a zarr store or of an orbax checkpoint"
    loader = "orbax.checkpoint.PyTreeCheckpointer().restore, or zarr.open"
    weights = "arrays, under their paths; packed by zstd, gzip, zlib, Blosc or not at all"
    libraries = (codecs.ZSTD_LIBRARY,)
    foreign = True

    def recognise(self, file: File) -> bool:
        """By the first words of its JSON."""
        return file.head.startswith(b"{") and any(word in file.head for word in _BY_PATHS)

    def read(self, file: File, reading: Reading) -> Content:
        """What lies in its folder. The description is judged as any text is."""
        content = texts.Text().read(file, reading)
        if not reading.parts or content.state != "data":
            return content
        _json(file.span, file.name)
        for part in reading.parts.values():
            places.require_own(part)
        store = {f"/{name}": part.span for name, part in reading.parts.items()}
        name = file.name.rpartition("/")[2]
        if name in ("zarr.json", ".zarray"):
            store[f"/{name}"] = file.span
        used: set[str] = set()
        content = arrays(store, self.name, reading, used)
        content.parts = {
            name: _also(part, reading) for name, part in reading.parts.items() if f"/{name}" in used
        }
        return content


def _also(part: File, reading: Reading) -> str:
    """Why a file of a store is not only that, "" where it is."""
    if not f"/{part.name}".endswith(_DESCRIPTIONS):
        return two_formats(part, reading)
    content = texts.Text().read(part, reading)
    return "" if content.state == "data" else content.why


def two_formats(part: File, reading: Reading) -> str:
    """Why a file of numbers is not only that, "" where it is. What it calls as a pickle is kept."""
    found = pickles.second_look(part, reading) if part.size else None
    return "it is a complete pickle as well" if found is not None else ""


def arrays(store: Store, format_: str, reading: Reading, used: set[str]) -> Content:
    """The arrays of a store, as tensors by their paths. used: gets the keys of all that belongs to them. Raises
    RefusedError."""
    chunks: dict[str, list[str]] = {}
    described = {key.rpartition("/")[0]: key for key in store if key.endswith(_DESCRIPTIONS)}
    if len(described) > MAX_ARRAYS:
        raise bomb(f"the store holds more than {MAX_ARRAYS} arrays")
    for key in store:
        owner = key.rpartition("/")[0]
        while owner and owner not in described:
            owner = owner.rpartition("/")[0]
        chunks.setdefault(owner, []).append(key)
    named: places.Named = {}
    left = 0
    for path, key in described.items():
        name = path.removeprefix("/") or "tensor"
        span = store[key]
        said = _json(span, f"the description of {name[:200]!a}")
        if not isinstance(said, dict) or said.get("node_type") == "group":
            continue
        used.add(key)
        try:
            value, taken = _array(said, path, store, chunks.get(path, []), reading)
        except UnreadError as unread:
            reading.notes.append(f"{name[:200]!a} is left out: {unread}")
            continue
        used |= taken
        if name.startswith(_TRAINING) and reading.choice.keep != "all":
            left += 1
        else:
            places.add(named, name, value)
    if left:
        reading.notes.append(f"{left} arrays of its optimizer are left out; --keep all keeps them")
    why = "arrays in chunks, each described in JSON"
    if not named:
        return Content(format_, "data", why, lacks="it holds no array of numbers", loads=False)
    places.require_room(named, reading)
    return places.content(named, format_, reading, why=why)


def _json(span: Span, where: str) -> object:
    """What a description says. Raises RefusedError."""
    if span.length > MAX_DESCRIPTION:
        raise RefusedError(
            f"{where} takes {span.length} bytes, more than {MAX_DESCRIPTION >> 20} MiB"
        )
    try:
        return strict_json.parse(span.whole(), where=where, allow_nonfinite=True)
    except strict_json.Malformed as error:
        raise RefusedError(str(error)) from None


class _Array(Chunked):
    """A zarr array, as its numbers in logical order. Its chunks are spans."""

    __slots__ = ("places", "reading", "ways")

    def __init__(
        self,
        shape: _Coordinates,
        step: _Coordinates,
        width: int,
        spans: dict[_Coordinates, Span],
        ways: list[str],
        reading: Reading,
    ) -> None:
        """ways: how each chunk is packed, in the order of packing."""
        super().__init__(Span(self, 0, 0), shape, step, width, {}, bytes(width))
        self.places, self.ways, self.reading = spans, ways, reading

    def _chunk(self, place: _Coordinates) -> bytes | None:
        span = self.places.get(place)
        if span is None:
            return None
        size = math.prod(self._step) * self._width
        most = size + (4 if "crc32c" in self.ways else 0)
        for way in reversed(self.ways):
            span = _unpacked(way, span, size, most, self.reading)
        if span.length != size:
            raise RefusedError(f"a chunk unpacks to {span.length} bytes, its shape takes {size}")
        return span.whole()


def _unpacked(way: str, span: Span, size: int, most: int, reading: Reading) -> Span:
    if way == "crc32c":
        return Span(span.source, span.offset, max(0, span.length - 4))
    if way == "blosc":
        if span.length > most + blosc.MAX_MORE:
            raise RefusedError("a chunk unpacks to more or fewer bytes than its shape takes")
        whole = blosc.unpacked(span.whole(), size, reading)
        return Span(MemorySource(whole), 0, len(whole))
    decoder: codecs.Decoder = codecs.zstd(reading) if way == "zstd" else codecs.Zlib(47)
    parts: list[bytes] = []
    found = 0
    for chunk in span.chunks(0, span.length):
        fed = bytes(chunk)
        while not decoder.eof and found <= most and (fed or not decoder.needs_input):
            data = codecs.decode(decoder, fed, min(CHUNK, most + 1 - found))
            fed = b""
            parts.append(data)
            found += len(data)
    if not decoder.eof:
        raise RefusedError("a chunk unpacks to more or fewer bytes than its shape takes")
    data = b"".join(parts)
    return Span(MemorySource(data), 0, len(data))


def _array(
    said: dict[str, Any], path: str, store: Store, keys: list[str], reading: Reading
) -> tuple[Tensor, set[str]]:
    """The tensor that a description says, and the keys of its chunks. Raises RefusedError, and UnreadError for one
    that is not read here."""
    version = said.get("zarr_format")
    if version == 2:
        dtype, big = _numpy_type(said.get("dtype"))
        shape, step = _sizes(said.get("shape")), _sizes(said.get("chunks"))
        ways, separator, begin = _ways2(said), said.get("dimension_separator", "."), ""
        if said.get("order") == "F" and len(shape) > 1:
            raise UnreadError("its chunks are in the order of Fortran")
        shard: dict[str, Any] | None = None
    elif version == 3:
        dtype, shape = str(said.get("data_type")), _sizes(said.get("shape"))
        dtype = _WORDS.get(dtype, dtype)
        step = _sizes(_setting(said.get("chunk_grid"), "regular").get("chunk_shape"))
        separator, begin = _encoding(said.get("chunk_key_encoding"))
        big, ways, shard = _ways3(said.get("codecs"))
    else:
        raise RefusedError(f"the description of {path[:200]!a} is of no known version of zarr")
    if dtype not in TORCH:
        raise UnreadError(f"its numbers are of the type {dtype[:60]!a}")
    if len(step) != len(shape) or any(size < 1 for size in step):
        raise RefusedError(f"the chunks of {path[:200]!a} do not fit its shape")
    size = places.nbytes(dtype, shape)
    taken = dict(_chunks(path, keys, len(shape), separator, begin))
    spans = {at: store[key] for at, key in taken.items() if store[key].length}
    if shard is not None:
        step, ways, big, spans = _sharded(shard, step, spans)
    whole, part = shape or (1,), step or (1,)
    grid = [-(-n // s) for n, s in zip(whole, part, strict=True)]
    spans = {
        at: span
        for at, span in (((at or (0,)), span) for at, span in spans.items())
        if all(index < count for index, count in zip(at, grid, strict=True))
    }
    fill = said.get("fill_value")
    if len(spans) < math.prod(grid) and size and fill not in (None, 0, 0.0, False, "0.0", "0x00"):
        raise UnreadError(f"chunks are missing, which stand for {str(fill)[:40]!a}")
    source = _Array(whole, part, TORCH[dtype].size, spans, ways, reading)
    value = places.tensor(dtype, shape, Span(source, 0, size), big_endian=big)
    return value, set(taken.values())


def _numpy_type(said: object) -> tuple[str, bool]:
    """What torch calls a type of zarr 2, and whether its bytes are in big-endian order."""
    if not isinstance(said, str):
        raise UnreadError("its elements are structures")
    if said in TORCH:
        return said, False
    kind, width = said[1:2], said[2:]
    if said[:1] in "<>|" and kind in _NUMPY and width.isdigit() and len(width) < 3:
        name = "bool" if kind == "b" else f"{_NUMPY[kind]}{8 * int(width)}"
        return name, said[0] == ">" and int(width) > 1
    raise UnreadError(f"its numbers are of the type {said[:60]!a}")


def _sizes(said: object) -> _Coordinates:
    if not isinstance(said, list) or len(said) > places.MAX_RANK:
        raise RefusedError("a shape in a description is no list of numbers")
    if not all(isinstance(each, int) and 0 <= each < 1 << 56 for each in said):
        raise RefusedError("a shape in a description is no list of numbers")
    return tuple(said)


def _setting(said: object, name: str) -> dict[str, Any]:
    """The configuration of an extension point of zarr 3 that must have this name."""
    if not isinstance(said, dict) or said.get("name") != name:
        found = said.get("name") if isinstance(said, dict) else said
        raise UnreadError(f"it is kept by {str(found)[:60]!a} where {name!r} is read")
    settings = said.get("configuration", {})
    if not isinstance(settings, dict):
        raise RefusedError(f"the settings of {name!r} in a description are none")
    return settings


def _encoding(said: object) -> tuple[str, str]:
    """What stands between the numbers in a chunk's key, and before them."""
    name = said.get("name") if isinstance(said, dict) else None
    settings = _setting(said, "v2" if name == "v2" else "default")
    separator = settings.get("separator", "." if name == "v2" else "/")
    return str(separator), "" if name == "v2" else "c"


def _ways2(said: dict[str, Any]) -> list[str]:
    if said.get("filters"):
        raise UnreadError("filters were applied to its numbers")
    packed = said.get("compressor")
    if packed is None:
        return []
    name = packed.get("id") if isinstance(packed, dict) else packed
    if isinstance(packed, dict) and name == "blosc":
        return [_blosc(packed)]
    if name not in ("zstd", "gzip", "zlib"):
        raise UnreadError(f"it is packed by {str(name)[:60]}, which safe-load does not unpack")
    return [str(name)]


def _blosc(said: dict[str, Any]) -> str:
    """Blosc, where it packs in a way that is read here. Bits are shuffled where it is told so, and of single bytes."""
    if said.get("cname") not in blosc.NAMES or said.get("shuffle") in (2, -1, "bitshuffle"):
        raise UnreadError(
            f"it is packed by blosc as {str(said.get('cname'))[:60]} with shuffle {str(said.get('shuffle'))[:20]},"
            " which safe-load does not unpack"
        )
    return "blosc"


def _ways3(said: object) -> tuple[bool, list[str], dict[str, Any] | None]:
    """Whether bytes are in big-endian order, how a chunk is packed, and what its shards are like."""
    big, ways = False, []
    listed = said if isinstance(said, list) else []
    for each in listed:
        name = each.get("name") if isinstance(each, dict) else each
        if name == "sharding_indexed" and len(listed) == 1:
            return False, [], _setting(each, name)
        if name == "bytes":
            big = _setting(each, name).get("endian") == "big"
        elif name == "blosc" and isinstance(each, dict):
            ways.append(_blosc(_setting(each, name)))
        elif name in ("zstd", "gzip", "crc32c"):
            ways.append(str(name))
        else:
            raise UnreadError(f"it is kept by {str(name)[:60]}, which safe-load does not read")
    if ways.count("crc32c") > 1 or "crc32c" in ways[:-1]:
        raise UnreadError("its chunks have several checksums")
    return big, ways, None


def _chunks(
    path: str, keys: list[str], rank: int, separator: str, begin: str
) -> Iterator[tuple[_Coordinates, str]]:
    """Which chunk each key of an array is."""
    if len(keys) > MAX_CHUNKS:
        raise bomb(f"{path[:200]!a} lies in more than {MAX_CHUNKS} chunks")
    for key in keys:
        rest = key[len(path) + 1 :]
        if begin:
            if rest != begin and not rest.startswith(begin + separator):
                continue
            rest = rest[len(begin) + len(separator) :]
        numbers = rest.split(separator) if rest else []
        if not rank and numbers in ([], ["0"]):
            yield (), key
        elif len(numbers) == rank and all(n.isdecimal() and len(n) < 12 for n in numbers):
            yield tuple(map(int, numbers)), key


def _sharded(
    said: dict[str, Any], outer: _Coordinates, shards: dict[_Coordinates, Span]
) -> tuple[_Coordinates, list[str], bool, dict[_Coordinates, Span]]:
    """The chunks within shards (zarr 3, sharding_indexed): their shape, packing, order of bytes, and places."""
    step = _sizes(said.get("chunk_shape"))
    big, ways, within = _ways3(said.get("codecs"))
    _, checks, _ = _ways3(said.get("index_codecs"))
    if within is not None or [way for way in checks if way != "crc32c"]:
        raise UnreadError("its shards hold shards, or their lists are packed")
    if len(step) != len(outer) or any(s < 1 or o % s for s, o in zip(step, outer, strict=True)):
        raise RefusedError("the chunks of a shard do not fit it")
    grid = [o // s for o, s in zip(outer, step, strict=True)]
    count = math.prod(grid)
    if count * max(1, len(shards)) > MAX_CHUNKS:
        raise bomb(f"an array lies in more than {MAX_CHUNKS} chunks")
    size = 16 * count + (4 if checks else 0)
    found: dict[_Coordinates, Span] = {}
    for at, shard in shards.items():
        if shard.length < size:
            raise RefusedError("a shard is shorter than the list of its chunks")
        begin = 0 if said.get("index_location") == "start" else shard.length - size
        index = bytes(shard.read(begin, 16 * count))
        for number, inner in enumerate(itertools.product(*map(range, grid))):
            offset = int.from_bytes(index[16 * number : 16 * number + 8], "little")
            length = int.from_bytes(index[16 * number + 8 : 16 * number + 16], "little")
            if (offset, length) == (_NOWHERE, _NOWHERE):
                continue
            if offset + length > shard.length:
                raise RefusedError("a chunk reaches past the end of its shard")
            place = tuple(a * g + i for a, g, i in zip(at, grid, inner, strict=True))
            found[place] = Span(shard.source, shard.offset + offset, length)
    return step, ways, big, found
