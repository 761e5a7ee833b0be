"""Zip and tar archives: torch's own, and any other, whose members are files like those around them.

Zone: worker.
"""

from __future__ import annotations

import io
import stat
import tarfile
from itertools import islice
from typing import TYPE_CHECKING

from safe_load.worker.formats import (
    codecs,
    keras,
    links,
    numpy_files,
    pickles,
    polyglots,
    pt2,
    skops,
    torchscript,
)
from safe_load.worker.formats.interface import File, Format
from safe_load.worker.formats.members import members_of
from safe_load.worker.formats.zip_archive import Archive, Member
from safe_load.worker.refusal import RefusedError, bomb
from safe_load.worker.spans import Span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from safe_load.worker.formats.interface import Content, Reading

_ZIP = b"PK\3\4"
_EMPTY_ZIP = b"PK\5\6"
MAX_MEMBERS = 20_000
MAX_NOTES = 100
#: Things that a program of TorchScript reaches, of which each is looked at.
MAX_REACHED = 1000
#: Bytes of a tar archive's further header (pax, long names), which is read into memory.
MAX_PIECE = 1 << 20
#: Ways of packing of a zip besides Deflate (APPNOTE 4.4.5): bzip2, LZMA, zstd, xz.
_METHODS: dict[int, Callable[[Reading], codecs.Decoder]] = {
    12: lambda _: codecs.bzip2(),
    14: lambda _: codecs.xz(),
    93: codecs.zstd,
    95: lambda _: codecs.xz(),
}
#: Names the handler (TorchServe's model_archiver/manifest_components/manifest.py).
_HANDLER = "MAR-INF/MANIFEST.json"
#: Lists the modules that a package of torch takes from where it is loaded (torch/package/package_exporter.py).
_PACKAGE = "/.data/extern_modules"
#: The first member of torch's files of before 2016.
_OLD_TORCH = frozenset({"storages", "tensors", "pickle", "sys_info"})


class Zip(Format):
    """A zip: a torch checkpoint, numpy's .npz, a Keras model, or files."""

    name, called, loader = (
        "zip",
        "a zip archive",
        "torch.load, numpy.load, or a program that unpacks the archive",
    )
    weights = "those of its members, of several each as a file; .npz and torch.save: all"
    hides = "pickles and programs among its members, names that leave the folder, bombs"

    def recognise(self, file: File) -> bool:
        """By the header of its first member, or the end of an empty one."""
        return file.head.startswith((_ZIP, _EMPTY_ZIP))

    def read(self, file: File, reading: Reading) -> Content:
        """By what its members are."""
        archive = Archive(file.span)
        names = [member.name for member in archive.members]
        folder = names[0].partition("/")[0] if names and "/" in names[0] else None
        if folder is not None and archive.find(f"{folder}/data.pkl") is not None:
            return _torch(file, archive, folder, reading)
        parts = list(_zip_parts(archive, file.size, reading))
        if {"config.json", "metadata.json"} <= set(names) or (
            "config.json" in names and any(name.endswith(".weights.h5") for name in names)
        ):
            content = _keras(parts, reading)
        elif names and all(name.endswith(".npy") for name in names):
            content = _npz(parts, reading)
        elif any(part.name == skops.SCHEMA for part in parts):
            content = _skops(parts, reading)
        elif pt2.is_program(names):
            content = pt2.read(parts, reading)
        else:
            content = members_of(parts, reading, self.name)
            if any(f"/{name}".endswith(_PACKAGE) for name in names):
                reading.carries(
                    "SL506",
                    "is a package of torch.package, whose modules run when an object of it is loaded",
                )
            if _HANDLER in names and any(name.endswith(".py") for name in names):
                reading.carries(
                    "SL506",
                    "is an archive of TorchServe, which runs the handler in it to serve the model",
                )
        if not pt2.is_program(names):  # torch can be told to write none
            archive.check_sums()
        if archive.defects:
            raise RefusedError(archive.defects[0])
        return content


def _torch(file: File, archive: Archive, folder: str, reading: Reading) -> Content:
    for member in archive.members:
        links.outside(member.name, reading)
    content = pickles.Pickle().read(file, reading)
    if content.format == "torchscript":
        found = list(dict.fromkeys(islice(torchscript.reaches(archive, folder), MAX_REACHED)))
        if found:
            reading.carries("SL506", "is TorchScript: it holds a program, not only numbers")
        elif torchscript.has_functions(archive, folder):
            reading.carries("SL506", torchscript.COMPUTES)
        else:  # as Rust's tch and C++ write weights
            content.format = "torchscript-data"
        for sentence in found:
            reading.carries("SL506", sentence)
    return content


def _zip_parts(archive: Archive, packed: int, reading: Reading) -> Iterator[File]:
    if len(archive.members) > MAX_MEMBERS:
        raise bomb(f"the archive holds {len(archive.members)} members, more than {MAX_MEMBERS}")
    linked: list[tuple[str, str]] = []
    for member in archive.members:
        if member.flags & 1:
            raise RefusedError(
                f"the member {member.name[:200]!a} is encrypted: unpack the archive and scan the files"
            )
        if member.name.endswith("/") and not member.size:
            continue
        links.outside(member.name, reading)
        if not member.size:
            continue
        if member.method in _METHODS:
            archive.keep(member, _unpacked(archive, member, reading))
        span = archive.bytes_of(member)
        if stat.S_IFMT(member.mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
            linked.append((member.name, _target(member, span)))
            continue
        if member.method == 8:
            reading.spend(member.size, packed, streamed=True)
        yield File(member.name, span)
    links.symbolic(linked, reading)


def _unpacked(archive: Archive, member: Member, reading: Reading) -> Span:
    """A member that is packed in a way that cannot be read from any place on: in memory."""
    packed = archive.packed_of(member)
    begin = 0
    if member.method == 14:  # APPNOTE 5.8.8: a version, the length of the settings, the settings
        length = int.from_bytes(packed.read(2, 2), "little") if packed.length >= 4 else 0
        begin = 4 + length
        if length != 5 or packed.length < begin:
            raise RefusedError("the settings of the LZMA data are not any that exist")
        decoder = codecs.raw_lzma1(bytes(packed.read(4, 5)), member.size)
    else:
        decoder = _METHODS[member.method](reading)
    what = f"the zip member {member.name[:200]!a}"
    chunks = packed.chunks(begin, packed.length - begin)
    return codecs.in_memory(
        codecs.unpacked(chunks, decoder, member.size, what), packed.length, reading
    )


def _target(member: Member, span: Span) -> str:
    """Where a link leads, which programs that unpack follow; raises RefusedError for anything else."""
    if not stat.S_ISLNK(member.mode) or span.length > links.MAX_LINK:
        raise RefusedError(f"the member {member.name[:200]!a} is not a file")
    return span.whole().decode("utf-8", "replace")


def _npz(parts: list[File], reading: Reading) -> Content:
    arrays = {}
    for part in parts:
        if part.head.startswith(b"\x93NUMPY"):
            outer, reading.member = (
                reading.member,
                f"{reading.member}/{part.name}".removeprefix("/"),
            )
            found = numpy_files.array(part, reading)
            reading.member = outer
            if found is not None:
                arrays[part.name.removesuffix(".npy")] = found
            elif len(reading.notes) < MAX_NOTES:
                reading.notes.append(
                    f"{part.name[:200]!a} is left out: its elements are text, structures, or of a type that torch lacks"
                )
        elif (inner := reading.judge(part)).state == "not_judged":
            raise RefusedError(f"{part.name[:200]!a} in the archive: {inner.why}")
    return pickles.content_of(arrays, "npz", reading)


def _skops(parts: list[File], reading: Reading) -> Content:
    """Its members are judged as any; its arrays bear the names that the object has for them."""
    schema = next(part for part in parts if part.name == skops.SCHEMA)
    skops.judge(schema, reading)
    return members_of(parts, reading, "skops", skops.paths(schema))


def _keras(parts: list[File], reading: Reading) -> Content:
    for part in parts:
        if part.name == "config.json":
            for sentence in keras.carried(part.read(0, part.size)):
                reading.carries("SL506", sentence)
    content = members_of(parts, reading, "keras")
    if reading.carried:
        content.state, content.why = "opened", "a Keras model that carries code"
    return content


class Tar(Format):
    """A tar archive: files, or a torch file of before 2016."""

    name, called, loader = (
        "tar",
        "a tar archive",
        "tarfile.open, or torch.load for torch files of 2016",
    )
    weights = "those of its members, of several each as a file"
    hides = "pickles and programs among its members, names and links that leave the folder, bombs"

    def recognise(self, file: File) -> bool:
        """By its magic, or by the checksum of its first header."""
        return polyglots.is_tar(file.head)

    def read(self, file: File, reading: Reading) -> Content:
        """Its members, each a file."""
        members = list(_tar_members(file))
        parts, linked, hard = [], [], []
        for member in members:
            links.outside(member.name, reading)
            if member.islnk():
                hard.append((member.name, member.linkname))
            elif member.issym():
                linked.append((member.name, member.linkname))
            elif member.issparse():
                raise RefusedError(f"the member {member.name[:200]!a} is sparse")
            elif member.isreg() and member.size:
                if member.offset_data + member.size > file.size:
                    raise RefusedError("the archive is cut off")
                span = file.span
                parts.append(
                    File(
                        member.name,
                        Span(span.source, span.offset + member.offset_data, member.size),
                    )
                )
            elif not member.isreg() and not member.isdir():
                raise RefusedError(f"the member {member.name[:200]!a} is not a file")
        links.symbolic(linked, reading)
        links.hard(hard, linked, reading)
        content = members_of(parts, reading, self.name)
        if {member.name for member in members} >= _OLD_TORCH - {"sys_info"}:
            raise RefusedError(
                "it is a torch file in the tar format of 2016, and torch follows even the links in such a file; "
                "load the file with an old torch on a machine without secrets, and save it again"
            )
        end = max((m.offset_data + -(-m.size // 512) * 512 for m in members), default=0)
        if any(any(chunk) for chunk in file.span.chunks(end, file.size - end)):
            raise RefusedError("other data follows the end of the archive")
        return content


class _Stream(io.RawIOBase):
    """A file as the standard library wants it."""

    def __init__(self, file: File) -> None:
        super().__init__()
        self._file = file
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = max(0, offset + (0, self._at, self._file.size)[whence])
        return self._at

    def read(self, size: int = -1) -> bytes:
        if size > MAX_PIECE:
            raise OSError(f"a header of {size} bytes")
        left = max(0, self._file.size - self._at)
        data = self._file.read(self._at, left if size < 0 else min(size, left)) if left else b""
        self._at += len(data)
        return data


def _tar_members(file: File) -> Iterator[tarfile.TarInfo]:
    try:
        with tarfile.open(fileobj=_Stream(file), mode="r:") as archive:
            for number, member in enumerate(archive):
                if number >= MAX_MEMBERS:
                    raise bomb(f"the archive holds more than {MAX_MEMBERS} members")
                yield member
    except (tarfile.TarError, ValueError, OverflowError, EOFError, OSError, IndexError) as error:
        raise RefusedError(f"the archive is damaged: {str(error)[:200]}") from None
