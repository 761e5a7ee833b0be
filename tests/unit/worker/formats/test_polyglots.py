"""A file that is valid as two formats is a finding, whichever of them stands first."""

from __future__ import annotations

import pickle
import struct
import tarfile
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safe_load.worker.formats.interface import Content
from safe_load.worker.refusal import RefusedError
from safetensors.torch import save

from tests.unit.worker.checkpoints import saved
from tests.unit.worker.formats.test_archives import NEMO, tarred
from tests.unit.worker.formats.test_data import judged
from tests.unit.worker.formats.test_opened import PICKLE, written, zipped

if TYPE_CHECKING:
    import io

HDF5 = b"\x89HDF\r\n\x1a\n"
ARRAY = written(lambda file: np.save(file, np.arange(600.0)))
WEIGHTS = save({"w": torch.arange(600.0)})
GGUF = b"GGUF" + struct.pack("<IQQ", 3, 0, 0) + bytes(8)
ZIP = zipped(**{"x.pkl": PICKLE})
ELF = b"\x7fELF\2\1\1" + bytes(600)
PE = b"MZ" + bytes(58) + struct.pack("<I", 64) + b"PE\0\0" + bytes(300)
PDF = b"%PDF-1.4\n1 0 obj\n<< >>\nendobj\ntrailer << >>\n%%EOF\n"
PNG = b"\x89PNG\r\n\x1a\n"


def with_tar_header(head: bytes) -> bytes:
    """A tar archive whose first member is called as another format begins."""
    info = tarfile.TarInfo("x")
    block = bytearray(info.tobuf())
    block[: len(head)] = head
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block) + bytes(1024)


def weights_of_length(length: bytes) -> bytes:
    """safetensors whose header is as long as those bytes say."""
    size = int.from_bytes(length, "little")
    header = b'{"w":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}}'
    return size.to_bytes(8, "little") + b"{" + header[1:].rjust(size - 1) + bytes(8)


TWO = {
    "zip behind safetensors": WEIGHTS + ZIP,
    "zip behind an array": ARRAY + ZIP,
    "zip behind GGUF": GGUF + ZIP,
    "zip behind a pickle": pickle.dumps({"a": 1}) + ZIP,
    "zip behind a program for Linux": ELF + ZIP,
    "zip behind a program for Windows": PE + ZIP,
    "zip behind a PDF document": PDF + ZIP,
    "zip behind a script": b"#!/usr/bin/env python3\n" + ZIP,
    "zip behind a picture": PNG + bytes(100) + ZIP,
    "HDF5 behind a block of a pickle": pickle.dumps({"a": 1}).ljust(512, b"\0") + HDF5 + bytes(80),
    "HDF5 in an array": ARRAY[:1024] + HDF5 + ARRAY[1032:],
    "HDF5 behind a program": ELF.ljust(2048, b"\0") + HDF5 + bytes(80),
    "tar under a pickle": with_tar_header(pickle.dumps({"a": "b"})),
    "tar under GGUF": with_tar_header(GGUF),
    "tar under a program": with_tar_header(ELF[:90]),
    "PDF in an array": ARRAY[:200] + b"%PDF-1.4" + ARRAY[208:],
    "PDF behind a pickle": pickle.dumps({"a": 1}) + PDF,
    "TensorFlow Lite under a length": struct.pack("<I", 16) + b"TFL3" + bytes(100) + ZIP,
}  # fmt: skip


@pytest.mark.parametrize("kind", TWO)
def test_a_file_that_is_two_formats_is_a_finding(kind: str) -> None:
    _, reading = judged(TWO[kind], "model.bin")
    assert any(
        finding == "SL506" and "as well: programs differ" in sentence
        for finding, sentence in reading.carried
    ), reading


@pytest.mark.parametrize("kind", [kind for kind in TWO if kind.startswith("zip")])
def test_what_the_archive_behind_holds_is_read(kind: str) -> None:
    _, reading = judged(TWO[kind], "model.bin")
    assert any(call["called"] for call in reading.callables)


def test_an_archive_with_bytes_behind_it_is_read_too() -> None:
    _, reading = judged(WEIGHTS + ZIP + b"some bytes more")
    assert any(call["called"] for call in reading.callables)


def test_a_second_archive_behind_the_first_is_refused() -> None:
    """The offsets of the second are right: only what lies before it is not listed."""

    def write(file: io.BytesIO) -> None:
        file.write(zipped(**{"x.pkl": PICKLE}))
        with zipfile.ZipFile(file, "a") as archive:
            archive.writestr("y", b"{}")

    whole = written(write)
    directory = whole.rfind(b"PK\1\2")
    cut = bytearray(whole)
    # A directory that lists the second member alone.
    end = whole.rfind(b"PK\5\6")
    cut = bytearray(whole[:directory] + whole[directory:end])
    cut += b"PK\5\6" + struct.pack("<4H2LH", 0, 0, 1, 1, end - directory, directory, 0)
    content, _ = judged(bytes(cut))
    assert isinstance(content, RefusedError)
    assert "does not list" in content.reason


HONEST: dict[str, Any] = {
    "a checkpoint in a tar archive": tarred(NEMO),
    "a checkpoint": saved({"w": torch.arange(6.0)}),
    "an archive with a PDF document": zipped(**{"a.pdf": PDF}),
    "a tar archive with HDF5 at its first place": tarred([("a.h5", HDF5 + bytes(80))]),
    "safetensors whose length begins as a program": weights_of_length(b"MZ"),
    "a pickle that holds the bytes of an archive": pickle.dumps({"a": zipped(**{"x.json": b"{}"})}),
    "text about PDF": b"A document begins with %PDF-1.4 and so on.\n",
}


@pytest.mark.parametrize("kind", HONEST)
def test_what_holds_another_file_is_one_format(kind: str) -> None:
    content, reading = judged(HONEST[kind], "model.bin")
    assert not [sentence for _, sentence in reading.carried if "as well" in sentence]
    if "HDF5" not in kind:
        assert isinstance(content, Content)
