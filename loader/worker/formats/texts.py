"""Text, and what can hide in it: pickles in JSON, tags of YAML that call, programs. Zone: worker."""

from __future__ import annotations

import codecs
import re
from typing import TYPE_CHECKING

from safe_load.worker.formats import booster_files, boosters, nested, protobuf, text_calls
from safe_load.worker.formats.interface import Content, Format
from safe_load.worker.refusal import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from safe_load.worker.formats.interface import File, Reading

_MARKS = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
#: Bytes of a JSON or YAML document that is searched for what it can run.
MAX_SEARCHED = 64 << 20
_SCRIPTS = (".py", ".pyw", ".ipy", ".sh", ".bash", ".bat", ".cmd", ".ps1", ".js", ".vbs", ".pl", ".rb", ".lua", ".php")  # fmt: skip
#: Of which nobody writes any that long.
_CONFIGURATIONS = (
    ".yaml",
    ".yml",
    ".cfg",
    ".ini",
    ".toml",
    ".conf",
    ".pbtxt",
    ".prototxt",
    ".textproto",
    ".onnxtxt",
)
_LFS = b"version https://git-lfs.github.com/spec"
_PAGE = (b"<!doctype html", b"<html", b"<head")


class Text(Format):
    """Text in UTF-8 or UTF-16: data, unless something in it calls."""

    name, called, loader = "text", "text", "open"
    hides = "programs; calls in YAML, pickles and class names in JSON, templates, entities in XML"

    def recognise(self, file: File) -> bool:
        """By its first bytes: no NUL, and characters of UTF-8, or of an older table of 256 or more."""
        head = file.head
        if not head:
            return False
        return _decodes(head, cut=len(head) < file.size) or _is_old_text(head)

    def read(self, file: File, reading: Reading) -> Content:
        """Data, if all of it is text."""
        if not _decodes(file.head, cut=len(file.head) < file.size):
            if not all(_is_old_text(bytes(chunk)) for chunk in file.span.chunks(0, file.size)):
                raise RefusedError("it begins as text and goes on as something else")
            return self._content(file, reading)
        encoding = _MARKS.get(file.head[:2], "utf-8")
        decoder = codecs.getincrementaldecoder(encoding)()
        controls = False
        try:
            for chunk in file.span.chunks(0, file.size):
                data = bytes(chunk)
                if encoding == "utf-8" and b"\0" in data:
                    raise RefusedError("the file begins as text and continues as binary data")
                decoder.decode(data)
                controls = controls or _has_controls(data)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            raise RefusedError("the file begins as text and continues as binary data") from None
        if controls and encoding == "utf-8" and protobuf.fills(file):
            raise RefusedError(
                "it reads as a message of protocol buffers, of no format that is known"
            )
        return self._content(file, reading)

    def _content(self, file: File, reading: Reading) -> Content:
        start = file.head.lstrip()[:64].lower()
        if file.head.startswith(_LFS):
            called = "a Git LFS pointer and not the file: run `git lfs pull`"
            return Content("git-lfs", "data", called, loads=False)
        if start.startswith(b"<?xml") and b"<net " in file.head:
            reading.claims.append(file.name.rpartition("/")[2].removesuffix(".xml") + ".bin")
        if file.size > MAX_SEARCHED:
            if file.name.lower().endswith(_CONFIGURATIONS):
                raise RefusedError(
                    f"the configuration of {file.size} bytes is too long to be searched"
                )
            _search(file)
        else:
            text = file.read(0, file.size)
            encoding = _MARKS.get(file.head[:2], "utf-8")
            text_calls.look(
                text if encoding == "utf-8" else text.decode(encoding).encode("utf-8"),
                reading,
                file.name,
            )
            if encoding == "utf-8" and (found := boosters.of_text(text)):
                why = "trees of numbers" if found[1] else "a model without trees"
                return booster_files.content(found[1], found[0], why, reading)
            if start.startswith((b"{", b"[")):
                reading.claims += list(_numbers_beside(text))[: 1000 - len(reading.claims)]
                notebook = b'"cells"' in text and b'"nbformat"' in text
                return Content(
                    "notebook" if notebook else "json", "data", _WHY_JSON[notebook], loads=False
                )
        if start.startswith(_PAGE) or (start.startswith(b"<?xml") and b"<net " not in file.head):
            called = "a web page and not a model, perhaps the answer to a failed download"
            return Content(
                "html", "data", called if start.startswith(_PAGE) else "XML", loads=False
            )
        lower = file.name.lower()
        if lower.endswith(_SCRIPTS) or start.startswith(b"#!"):
            if reading.depth:
                reading.carries(
                    "SL502", f"holds the program {reading.member[:200]!a}, which was not run"
                )
            return Content("program", "opened", "source code, which was not run", loads=False)
        return Content("text", "data", "text, which no loader runs", loads=False)


def _numbers_beside(text: bytes) -> Iterator[str]:
    """The files of numbers that a list of MLC's (tvm's NDArrayCache) or of TensorFlow.js names, of its own folder."""
    for key, pattern in _LISTS.items():
        if key in text:
            for found in pattern.finditer(text):
                yield from (name.decode() for name in _BESIDE.findall(found[1]))


#: What only such a list has, and where it names files: ndarray-cache.json, tensor-cache.json; model.json.
_LISTS = {
    b'"raw-shard"': re.compile(rb'"dataPath"\s*:\s*("[^"\\\r\n]{1,200}")'),
    b'"weightsManifest"': re.compile(rb'"paths"\s*:\s*\[([^\]\\]{1,100000})\]'),
}
_BESIDE = re.compile(rb'"([\w-][\w.-]{0,199})"')


def _search(file: File) -> None:
    """Raises RefusedError for a text too long to be looked through that may hold what calls."""
    before = b""
    for chunk in file.span.chunks(0, file.size):
        window = before + bytes(chunk)
        if found := text_calls.MARKS.search(window) or next(nested.encoded(window), None):
            raise RefusedError(
                f"the text of {file.size} bytes is too long to be searched, and holds {found[0][:60]!a}"
            )
        before = window[-64:]


_WHY_JSON = ("JSON", "a notebook, whose cells were not run")


#: What stands in no text, whatever its table of characters: controls but for tabs, line ends and escapes.
_CONTROLS = bytes(set(range(0x20)) - set(b"\t\n\r\f\x1b")) + b"\x7f"
_NO_CONTROLS = bytes(range(0x100)).translate(None, _CONTROLS)


def _is_old_text(data: bytes) -> bool:
    """Whether bytes that are no UTF-8 are text in Latin-1, Shift-JIS or the like: no control characters, and
    mostly letters of ASCII, which program text, tables and English are made of."""
    plain = sum(map(data.count, _COMMON))
    return not _has_controls(data) and 3 * plain >= len(data)


def _has_controls(data: bytes) -> bool:
    return bool(data.translate(None, _NO_CONTROLS))


_COMMON = [
    bytes((byte,))
    for byte in b" \t\n\r"
    + bytes(range(0x30, 0x3A))
    + bytes(range(0x61, 0x7B))
    + bytes(range(0x41, 0x5B))
]


def _decodes(head: bytes, *, cut: bool) -> bool:
    encoding = _MARKS.get(head[:2], "utf-8")
    if encoding == "utf-8" and b"\0" in head:
        return False
    try:
        codecs.getincrementaldecoder(encoding)().decode(head, final=not cut)
    except UnicodeDecodeError:
        return False
    return True
