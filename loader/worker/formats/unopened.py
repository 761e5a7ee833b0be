"""Formats that are known by their first bytes, and that nobody here opens. Zone: worker."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from safe_load.worker.formats.interface import Content, Format
from safe_load.worker.refusal import RefusedError

if TYPE_CHECKING:
    from safe_load.worker.formats.interface import File, Reading

#: First bytes -> a word, and what people call it.
_MAGIC: tuple[tuple[bytes, str, str], ...] = (
    (b"Rar!", "rar", "a RAR archive"),
    (b"PAR1", "parquet", "a Parquet table"),
    (b"ARROW1", "arrow", "an Arrow table"),
    (b"SQLite format 3\0", "sqlite", "an SQLite database"),
    (b"070701", "cpio", "a cpio archive"),
    (b"070702", "cpio", "a cpio archive"),
    (b"070707", "cpio", "a cpio archive"),
    (b"!<arch>\n", "ar", "an ar archive"),
    (b"MSCF\0\0\0\0", "cab", "a cabinet archive"),
    (b"\xed\xab\xee\xdb", "rpm", "an RPM package"),
    (b"LZIP\1", "lzip", "lzip data"),
    (b"ITSF", "chm", "a compiled help file, which may hold programs"),
    (b"4\n1\n3\nV 1\n", "torch7", "a file of Torch 7, which may hold functions"),
    (b"\xd0\xcf\x11\xe0", "ole", "an old Office document, which may hold macros"),
)
#: The same for programs.
_PROGRAMS: tuple[tuple[bytes, str, str], ...] = (
    (b"MZqFpD=", "ape", "a program for several systems, as llamafile is"),
    (b"jartsr=", "ape", "a program for several systems, as llamafile is"),
    (b"\x7fELF", "elf", "a program or a library for Linux"),
    (b"MZ", "exe", "a Windows program"),
    (b"\xcf\xfa\xed\xfe", "macho", "a macOS program"),
    (b"\xce\xfa\xed\xfe", "macho", "a macOS program"),
    (b"\xfe\xed\xfa\xcf", "macho", "a macOS program"),
    (b"\xfe\xed\xfa\xce", "macho", "a macOS program"),
    (b"L\0\0\0\1\x14\2\0", "lnk", "a shortcut of Windows, which starts a program"),
    (b"\x1bLua", "lua", "compiled Lua"),
    (b"BC\xc0\xde", "llvm", "a program in LLVM's code"),
    (b"\3\2\x23\7", "spirv", "a program for graphics processors"),
    (b"ftrt", "tensorrt", "an engine of TensorRT, which holds programs"),
    (b"\xca\xfe\xba\xbe", "class", "a Java or macOS program"),
    (b"\0asm", "wasm", "a WebAssembly program"),
    (b"dex\n", "dex", "an Android program"),
)
#: R's saveRDS and save, in their three encodings: objects of which R may evaluate some when they are used
#: (CVE-2024-27322).
_R = re.compile(
    rb"(?:RD[AXB][23]\n)?(?:A\n[23]\n\d{5,7}\n\d{5,7}\n|X\n\0\0\0[\2\3]|B\n[\2\3]\0\0\0)"
)
_ARCHIVES = frozenset(("rar", "cpio", "ar", "cab", "rpm", "lzip"))
_GIT = ((b"PACK\0\0\0", 20), (b"\xfftOc", 20), (b"DIRC", 20), (b"RIDX", 20), (b"CGPH", 20), (b"MIDX", 20))  # fmt: skip


class Empty(Format):
    """A file without bytes."""

    name, called, loader = "empty", "an empty file", "open"

    def recognise(self, file: File) -> bool:
        """By its size."""
        return file.size == 0

    def read(self, file: File, reading: Reading) -> Content:  # noqa: ARG002 - a format's entry
        """Data."""
        return Content(self.name, "data", "an empty file", loads=False)


class Git(Format):
    """A file of git's own, in .git: whole by its own checksum. What it holds comes out only by git."""

    name, called, loader = "git", "a file of git's own", "git"

    def recognise(self, file: File) -> bool:
        """By its magic."""
        return any(file.head.startswith(magic) for magic, _ in _GIT)

    def read(self, file: File, reading: Reading) -> Content:  # noqa: ARG002 - a format's entry
        """Data, if its checksum fits."""
        size = 20 if file.size >= 20 else 0
        digest = hashlib.sha1(usedforsecurity=False)
        for chunk in file.span.chunks(0, file.size - size):
            digest.update(chunk)
        if not size or digest.digest() != file.read(file.size - size, size):
            raise RefusedError(
                "the file begins as a file of git's own, but the checksum does not fit"
            )
        return Content(self.name, "data", "a git pack file, complete by its checksum", loads=False)


class Program(Format):
    """A compiled program."""

    name, called, loader = "program", "a compiled program", "the system"

    def recognise(self, file: File) -> bool:
        """By its magic; Python's own by the end of theirs."""
        return _named(file, _PROGRAMS) is not None or _is_pyc(file)

    def read(self, file: File, reading: Reading) -> Content:
        """Not judged, and told."""
        word, called = _named(file, _PROGRAMS) or ("pyc", "compiled Python")
        reading.carries("SL502", f"is {called}")
        return Content(
            word, "not_judged", f"it is {called}, which safe-load does not read", loads=False
        )


def _is_pyc(file: File) -> bool:
    head = file.head
    return (
        len(head) > 16
        and head[2:4] == b"\r\n"
        and head[1] in (0x0C, 0x0D, 0x0E)
        and head[16] & 0x7F in b"c"
    )


class Unopened(Format):
    """What no one here opens."""

    name, called, loader = (
        "unopened",
        "of a format that safe-load does not open",
        "a program of its own",
    )

    def recognise(self, file: File) -> bool:
        """By its magic."""
        return _named(file, _MAGIC) is not None or _R.match(file.head) is not None

    def read(self, file: File, reading: Reading) -> Content:  # noqa: ARG002 - a format's entry
        """Not judged."""
        word, called = _named(file, _MAGIC) or ("rds", "a file of R's objects, which may hold code")
        why = f"it is {called}, which is not opened here"
        if word in _ARCHIVES:
            why += ": unpack it yourself, and scan what it holds"
        return Content(word, "not_judged", why, loads=False)


def _named(file: File, table: tuple[tuple[bytes, str, str], ...]) -> tuple[str, str] | None:
    return next((row[1:] for row in table if file.head.startswith(row[0])), None)
