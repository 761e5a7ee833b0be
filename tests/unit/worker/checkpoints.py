"""Streams and checkpoints that the tests of extraction build. Nothing of them is loaded."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from typing import Any

import torch


def saved(value: object, *, legacy: bool = False) -> bytes:
    """What torch.save writes."""
    file = io.BytesIO()
    torch.save(value, file, _use_new_zipfile_serialization=not legacy)
    return file.getvalue()


def rezipped(data: bytes, *, method: int = zipfile.ZIP_STORED, **replaced: bytes) -> bytes:
    """The same archive made anew, with members replaced by the last part of their name."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(file, "w", method) as new:
        for name in old.namelist():
            new.writestr(
                name, replaced.get(name.rpartition("/")[2].partition(".")[0], old.read(name))
            )
    return file.getvalue()


def zipped(pickled: bytes, **members: bytes) -> bytes:
    """A torch zip around a data.pkl."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr("archive/version", "3\n")
        for name, content in members.items():
            archive.writestr(f"archive/{name}", content)
    return file.getvalue()


class Calls:
    """Pickles as a call of `function` with those arguments."""

    def __init__(self, function: Any, *arguments: object) -> None:
        self.reduced = (function, arguments)

    def __reduce__(self) -> tuple[Any, tuple[object, ...]]:
        return self.reduced


def text(value: str) -> bytes:
    """SHORT_BINUNICODE."""
    raw = value.encode()
    return b"\x8c" + bytes([len(raw)]) + raw


def tensor_stream(
    *,
    numel: int = 4,
    offset: int = 0,
    shape: tuple[int, ...] = (4,),
    stride: tuple[int, ...] = (1,),
    key: str = "0",
) -> bytes:
    """A data.pkl with one float32 tensor, as hostile as its numbers."""

    def number(value: int) -> bytes:
        return pickle.dumps(value, 2)[2:-1]

    def numbers(values: tuple[int, ...]) -> bytes:
        return b"(" + b"".join(map(number, values)) + b"t"

    return (
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n("
        b"(X\x07\0\0\0storagectorch\nFloatStorage\nX"
        + struct.pack("<I", len(key))
        + key.encode()
        + b"X\x03\0\0\0cpu"
        + number(numel)
        + b"tQ"
        + number(offset)
        + numbers(shape)
        + numbers(stride)
        + b"\x89ccollections\nOrderedDict\n)RtR."
    )
