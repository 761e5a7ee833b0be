"""What a file is, as its first bytes say; never its name. Zone: worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from safe_load.worker.sources import Source

_HEAD = 4096
#: First bytes -> format, and what people call it.
_MAGIC: tuple[tuple[bytes, str, str], ...] = (
    (b"PK\5\6", "zip", "an empty zip archive"),
    (b"7z\xbc\xaf\x27\x1c", "7z", "a 7z archive"),
    (b"\x1f\x8b", "gzip", "gzip data"),
    (b"BZh", "bzip2", "bzip2 data"),
    (b"\xfd7zXZ\0", "xz", "xz data"),
    (b"\x28\xb5\x2f\xfd", "zstd", "zstd data"),
    (b"\x04\x22\x4d\x18", "lz4", "lz4 data"),
    (b"x\x9c", "zlib", "zlib data, as joblib writes it"),
    (b"x\x01", "zlib", "zlib data, as joblib writes it"),
    (b"x\xda", "zlib", "zlib data, as joblib writes it"),
    (b"x^", "zlib", "zlib data, as joblib writes it"),
    (b"Rar!", "rar", "a RAR archive"),
    (b"\x89HDF\r\n\x1a\n", "hdf5", "an HDF5 file, as Keras and TensorFlow write it"),
    (b"GGUF", "gguf", "a GGUF model"),
    (b"lmgg", "ggml", "a GGML model"),
    (b"tjgg", "ggml", "a GGML model"),
    (b"\x93NUMPY", "numpy", "a numpy array"),
    (b"\x7fELF", "elf", "a program"),
    (b"MZ", "exe", "a Windows program"),
    (b"%PDF", "pdf", "a PDF document"),
    (
        b"version https://git-lfs.github.com/spec",
        "git-lfs",
        "a Git LFS pointer and not the file: run `git lfs pull`",
    ),
)


def sniff(source: Source) -> tuple[str, str]:
    """Its format in a word, and what it is called in a sentence. What is none of these is "pickle"."""
    if source.size == 0:
        return "empty", "an empty file"
    head = bytes(source.read(0, min(_HEAD, source.size)))
    if head.startswith(b"PK\3\4"):
        return "torch-zip", "a zip archive"
    if len(head) > 8 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= source.size:
        return "safetensors", "a safetensors file"
    for magic, name, called in _MAGIC:
        if head.startswith(magic):
            return name, called
    if head[257:262] == b"ustar" or head.startswith((b"storages\0", b"tensors\0", b"pickle\0")):
        torch = head.startswith((b"storages\0", b"tensors\0", b"pickle\0", b"sys_info\0"))
        return (
            "tar",
            "a torch file in the tar format of 2016, of which torch trusts even the links"
            if torch
            else "a tar archive",
        )
    if head[4:8] == b"TFL3":
        return "tflite", "a TensorFlow Lite model"
    if (
        head[:1] == b"\x08"
        and head[2:3] == b"\x12"
        and (b"onnx" in head.lower() or b"pytorch" in head)
    ):
        return "onnx", "an ONNX model"
    start = head.lstrip()[:64].lower()
    if start.startswith((b"<!doctype html", b"<html", b"<?xml", b"<head")):
        return "html", "a web page and not a model, perhaps the answer to a failed download"
    if start.startswith((b"{", b"[")) and _is_text(head):
        return "json", "a JSON document"
    if _is_text(head):
        return "text", "text"
    return "pickle", "a pickle"


def _is_text(head: bytes) -> bool:
    # A multi-byte character may be cut at the end of the sample.
    try:
        text = head[: len(head) - 3 if len(head) == _HEAD else None].decode("utf-8")
    except UnicodeDecodeError:
        return False
    return all(character.isprintable() or character in "\n\r\t\f" for character in text)
