"""Files of further libraries are data when their structure accounts for them, and code in them is told."""

from __future__ import annotations

import base64
import struct
import zlib
from typing import Any

import pytest
from safe_load.worker.formats.checksums import masked_crc32c
from safe_load.worker.formats.interface import Content
from safe_load.worker.refusal import RefusedError

from tests.unit.worker.formats.test_data import SHELL, judged

NUMBERS = struct.pack("<16f", *(0.37 * i - 1.9 for i in range(16))) * 40

ROUND = struct.pack("<4f", 1, 2, 3, 4)


def ubjson(value: Any) -> bytes:
    """As XGBoost writes it: keys with lengths of eight bytes, arrays of one kind with their count."""
    if isinstance(value, dict):
        inner = b"".join(
            b"L" + struct.pack(">q", len(k)) + k.encode() + ubjson(v) for k, v in value.items()
        )
        return b"{" + inner + b"}"
    if isinstance(value, str):
        return b"SL" + struct.pack(">q", len(value)) + value.encode()
    if isinstance(value, list) and value and isinstance(value[0], float):
        return b"[$d#L" + struct.pack(">q", len(value)) + struct.pack(f">{len(value)}f", *value)
    if isinstance(value, list):
        return b"[" + b"".join(map(ubjson, value)) + b"]"
    return b"l" + struct.pack(">i", value)


def thrift(kind: int, field: int, body: bytes) -> bytes:
    """A field of Thrift's compact protocol, whose number is one more than the one before, or far ahead."""
    return bytes((kind,)) + zigzag(field) + body


def zigzag(number: int) -> bytes:
    number = number << 1 ^ number >> 63
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes(out + bytes((number,)))


def text(value: bytes) -> bytes:
    size, out = len(value), bytearray()
    while size > 127:
        out.append(size & 127 | 128)
        size >>= 7
    return bytes(out + bytes((size,))) + value


def parquet(place: int = 4, length: int = 64, schema: bytes = b"") -> bytes:
    """A table of one column whose pages are said to lie there."""
    column = thrift(6, 7, zigzag(length)) + thrift(6, 9, zigzag(place)) + b"\0"
    group = thrift(9, 1, b"\x1c" + thrift(12, 3, column) + b"\0") + b"\0"
    keys = (
        thrift(8, 1, text(b"ARROW:schema")) + thrift(8, 2, text(base64.b64encode(schema))) + b"\0"
    )
    directory = (
        thrift(5, 1, zigzag(2))
        + thrift(9, 4, b"\x1c" + group)
        + thrift(9, 5, b"\x1c" + keys)
        + b"\0"
    )
    return b"PAR1" + NUMBERS[:64] + directory + struct.pack("<I", len(directory)) + b"PAR1"


def records(*parts: bytes) -> bytes:
    out = b""
    for part in parts:
        head = struct.pack("<Q", len(part))
        out += head + struct.pack("<I", masked_crc32c(head)) + part + bytes(4)
    return out


def wandb() -> bytes:
    return b":W&B\xe1\xbe\0" + b"".join(
        bytes(4) + struct.pack("<HB", 9, 1) + b"a" * 9 for _ in range(3)
    )


def ctranslate2() -> bytes:
    def name(value: bytes) -> bytes:
        return struct.pack("<H", len(value) + 1) + value + b"\0"

    variable = name(b"w") + b"\x01" + struct.pack("<IBI", 16, 0, 64) + NUMBERS[:64]
    return (
        struct.pack("<I", 6) + name(b"WhisperSpec") + struct.pack("<II", 3, 1) + variable + bytes(4)
    )


def fasttext() -> bytes:
    word = b"the\0" + struct.pack("<qb", 3, 0)
    matrix = b"\0" + struct.pack("<qq", 2, 4) + NUMBERS[:32]
    head = struct.pack("<ii", 793712314, 12) + bytes(48) + struct.pack("<d", 0.1)
    return head + struct.pack("<iiiqq", 1, 1, 0, 3, -1) + word + matrix + matrix


def pdf(dictionary: bytes = b"", packed: bytes = b"") -> bytes:
    objects = zlib.compress(packed)
    return (
        b"%PDF-1.5\n1 0 obj\n<< /Type /Catalog "
        + dictionary
        + b">>\nendobj\n2 0 obj\n<< /Type /ObjStm "
        b"/Filter /FlateDecode >>\nstream\n"
        + objects
        + b"\nendstream\nendobj\ntrailer << >>\n%%EOF\n"
    )


DATA = {
    "model.ubj": ubjson({"learner": {"name": "gbtree", "trees": [{"n": 1}], "weights": [1.5, 2.5]}, "version": [3, 2, 0]}),
    "train.parquet": parquet(),
    "events.out.tfevents": records(b"\x09abc", b"more"),
    "run.wandb": wandb(),
    "model.bin": ctranslate2(),
    "vectors.bin": fasttext(),
    "words.bin": b"2 4\n" + b"the " + ROUND + b"\na " + ROUND + b"\n",
    "imatrix.dat": struct.pack("<ii", 1, 17) + b"blk.0.attn.weight" + struct.pack("<ii", 3, 4) + NUMBERS[:16],
    "paper.pdf": pdf(),
    "old.txt": "café à côté, naïve words and more words".encode("latin-1"),
    "model.onnx_data": NUMBERS,
    "openvino_model.bin": NUMBERS,
    "starts-like-msgpack.onnx_data": b"\x82\xab_" + NUMBERS,
}  # fmt: skip


@pytest.mark.parametrize("name", DATA)
def test_a_file_whose_structure_accounts_for_all_of_it_is_data(name: str) -> None:
    content, reading = judged(DATA[name], name)
    assert isinstance(content, Content), content
    assert (content.state, reading.carried, reading.callables) == ("data", [], [])


@pytest.mark.parametrize(
    "name", sorted(set(DATA) - {"model.onnx_data", "openvino_model.bin", "starts-like-msgpack.onnx_data", "old.txt", "paper.pdf"})
)  # fmt: skip
@pytest.mark.parametrize("change", ["cut", "more"])
def test_one_that_is_cut_off_or_goes_on_is_not(name: str, change: str) -> None:
    data = DATA[name][:-5] if change == "cut" else DATA[name] + b"\0\1more than it says"
    content, _ = judged(data, name)
    assert isinstance(content, RefusedError) or content.state == "not_judged", content


@pytest.mark.parametrize("name", DATA)
def test_a_zip_archive_behind_it_is_refused(name: str) -> None:
    content, _ = judged(DATA[name] + b"PK\5\6" + bytes(18), name)
    assert isinstance(content, RefusedError) or content.state != "data"


@pytest.mark.parametrize(
    "name", ["model.onnx_data", "openvino_model.bin", "model.ubj", "train.parquet"]
)
def test_a_pickle_under_such_a_name_is_a_pickle(name: str) -> None:
    _, reading = judged(SHELL, name)
    assert [call["name"] for call in reading.callables] == ["os.system"]


@pytest.mark.parametrize("place", [(4, 1 << 40), (0, 4), (-4, 8), (1 << 50, 8)])
def test_a_parquet_table_whose_columns_lie_elsewhere_is_not_judged(place: tuple[int, int]) -> None:
    assert isinstance(judged(parquet(*place))[0], RefusedError)


def test_a_pickle_in_the_schema_of_a_table_is_told() -> None:
    schema = b"arrow.py_extension_type" + bytes(9) + b"\x80\x02cos\nsystem\nX\4\0\0\0true\x85R."
    _, reading = judged(parquet(schema=schema))
    assert [finding for finding, _ in reading.carried] == ["SL506"]
    assert [call["name"] for call in reading.callables if call["called"]] == ["os.system"]


@pytest.mark.parametrize(
    "document",
    [
        pdf(b"/OpenAction << /S /JavaScript /JS (app.alert) >>"),
        pdf(b"/OpenAction << /S /J#61vaScript >>"),
        pdf(packed=b"<< /S /Launch /F (cmd.exe) >>"),
        pdf(b"/Names << /EmbeddedFiles 3 0 R >>"),
    ],
)
def test_a_document_that_can_do_something_is_told(document: bytes) -> None:
    _, reading = judged(document)
    assert [finding for finding, _ in reading.carried] == ["SL506"]


def test_a_document_that_cannot_be_read_is_not_judged() -> None:
    assert isinstance(judged(pdf(b"/Encrypt 5 0 R"))[0], RefusedError)
