"""A format is data when a strict parse accounts for every byte of the file, and only then."""

from __future__ import annotations

import io
import json
import struct
import tarfile
import wave
import zipfile
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safe_load.worker import extract
from safe_load.worker.formats import registry
from safe_load.worker.formats.interface import Content, File, Reading
from safe_load.worker.pickle_vm.callables import Allowlist
from safe_load.worker.refusal import RefusedError
from safe_load.worker.spans import MemorySource, Span

SHELL = b"cos\nsystem\n(S'true'\ntR."


def judged(data: bytes, name: str = "file") -> tuple[Content | RefusedError, Reading]:
    """What a file of these bytes is, or why it was refused."""
    reading = Reading(Allowlist({}), 1 << 30, registry.judge)
    try:
        return registry.judge(File(name, Span(MemorySource(data), 0, len(data))), reading), reading
    except RefusedError as refusal:
        return refusal, reading


def picture(kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (40, 40), "red").save(file, kind, **options)
    return file.getvalue()


def animation() -> bytes:
    file = io.BytesIO()
    frames = [Image.new("P", (9, 9), color) for color in range(3)]
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    return file.getvalue()


def sound() -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setparams((1, 2, 8000, 0, "NONE", ""))
        out.writeframes(bytes(100))
    return file.getvalue()


def packed(value: Any) -> bytes:
    """MessagePack of maps, short texts and lists, with arrays as flax writes them."""
    if isinstance(value, dict):
        return bytes((0x80 | len(value),)) + b"".join(packed(p) for i in value.items() for p in i)
    if isinstance(value, str):
        return bytes((0xA0 | len(value),)) + value.encode()
    if isinstance(value, np.ndarray):
        inner = b"\x93" + bytes((0x90 | value.ndim, *value.shape)) + packed(value.dtype.name)
        inner += b"\xc4" + bytes((value.nbytes,)) + value.tobytes()
        return b"\xc7" + bytes((len(inner), 1)) + inner
    raise TypeError(value)


def field(number: int, value: bytes | int) -> bytes:
    if isinstance(value, int):
        return bytes((number << 3, value))
    return bytes((number << 3 | 2, len(value))) + value


def onnx(*extra: bytes, location: str = "") -> bytes:
    outside = field(13, field(1, b"location") + field(2, location.encode())) if location else b""
    tensor = field(1, 2) + field(2, 1) + field(8, b"w") + (outside or field(9, bytes(8)))
    node = field(1, b"x") + field(2, b"y") + field(4, b"MatMul")
    graph = field(1, node) + field(2, b"g") + field(5, tensor)
    return (
        field(1, 8)
        + field(2, b"pytorch")
        + field(7, graph)
        + field(8, field(2, 17))
        + b"".join(extra)
    )


def gguf(template: str = "{{ messages }}") -> bytes:
    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    settings = text("general.architecture") + struct.pack("<I", 8) + text("gpt2")
    settings += text("tokenizer.chat_template") + struct.pack("<I", 8) + text(template)
    table = text("w") + struct.pack("<IQIQ", 1, 8, 0, 0)
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, 2) + settings + table
    return head + bytes(-len(head) % 32) + bytes(32)


DATA = {
    "png": picture("PNG"),
    "jpeg": picture("JPEG"),
    "progressive jpeg": picture("JPEG", progressive=True),
    "gif": animation(),
    "webp": picture("WEBP"),
    "bmp": picture("BMP"),
    "wav": sound(),
    "msgpack": packed({"a": {"w": np.arange(6, dtype="f4").reshape(2, 3)}}),
    "msgpack list": b"\x93\x01\x02" + packed("a"),
    "msgpack list of maps": b"\xdc\x00\x01" + packed({"a": {}}),
    "empty msgpack map": b"\x80",
    "ppm": picture("PPM"),
    "pgm": b"P5 # by hand\n3 2\n65535\n" + bytes(12),
    "onnx": onnx(),
    "gguf": gguf(),
    "json": json.dumps({"a": [1, "é"]}).encode(),
    "csv": b"a,b\n1,2\n",
    "utf-16": "text".encode("utf-16"),
    "notebook": json.dumps({"cells": [], "nbformat": 4}).encode(),
    "git object": zlib.compress(b"blob 3\0abc"),
    "pytorch's readme": b"copyright\nby nobody\n",
}


@pytest.mark.parametrize("kind", DATA)
def test_a_whole_file_is_data(kind: str) -> None:
    content, reading = judged(DATA[kind])
    assert isinstance(content, Content), content
    assert (content.state, reading.callables, reading.carried) == ("data", [], [])


@pytest.mark.parametrize("kind", [k for k in DATA if k not in {"empty msgpack map", "json", "csv", "utf-16", "notebook", "pytorch's readme"}])  # fmt: skip
@pytest.mark.parametrize("behind", [b"\x80\x04N.", b"\xff\xfe rest", b"PK\3\4" + bytes(60)])
def test_bytes_behind_the_end_make_it_no_data(kind: str, behind: bytes) -> None:
    content, _ = judged(DATA[kind] + behind)
    # Behind its table, a GGUF is numbers to its end.
    if kind != "gguf":
        assert isinstance(content, RefusedError)
        assert content.state == "not_judged"


@pytest.mark.parametrize("kind", DATA)
def test_an_archive_behind_it_is_seen(kind: str) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("x", SHELL)
    content, reading = judged(DATA[kind] + file.getvalue())
    assert isinstance(content, RefusedError)
    if "git" not in kind:  # what follows a compressed stream is refused before
        assert (
            "os.system" in {call["name"] for call in reading.callables}
            or content.state == "not_judged"
        )


@pytest.mark.parametrize("kind", ["png", "jpeg", "gif", "webp", "wav", "msgpack", "onnx", "gguf"])
def test_a_cut_off_file_is_no_data(kind: str) -> None:
    for length in (len(DATA[kind]) - 1, len(DATA[kind]) - 20, len(DATA[kind]) // 2):
        content, _ = judged(DATA[kind][:length])
        if kind == "gguf" and length >= len(DATA[kind]) - 20:
            continue  # a part of the last tensor's numbers is missing
        assert isinstance(content, RefusedError)


@pytest.mark.parametrize(
    "text",
    [SHELL, b"(S'true'\nios\nsystem\n.", b"N0" + SHELL, SHELL[:-1], SHELL + b"\n# a readme\n"],
)
def test_text_that_is_a_pickle_is_read_as_one(text: bytes) -> None:
    _, reading = judged(text, "README.md")
    assert "os.system" in {call["name"] for call in reading.callables}


def test_text_that_goes_on_as_something_else_is_no_data() -> None:
    for tail in (b"\0", b"\xff\xfe"):
        content, _ = judged(b"a" * 5000 + tail)
        assert isinstance(content, RefusedError)


def test_an_unknown_field_or_extension_is_no_data() -> None:
    for data in (onnx(field(13, b"new")), packed({"a": {}})[:-1] + b"\xd4\x05\x00"):
        content, _ = judged(data)
        assert isinstance(content, RefusedError)


def test_a_model_that_names_a_file_outside_is_told() -> None:
    content, reading = judged(onnx(location="../../etc/passwd"))
    assert isinstance(content, Content)
    assert [ident for ident, _ in reading.carried] == ["SL505"]
    _, reading = judged(onnx(location="model.onnx_data"))
    assert (reading.carried, reading.claims) == ([], ["model.onnx_data"])


@pytest.mark.parametrize(
    "data",
    [
        b"A\n3\n262401\n197888\n5\nUTF-8\n",
        b"RDA3\nA\n3\n262401\n197888\n",
        b"RDX2\nX\n\0\0\0\2",
        b"X\n\0\0\0\3",
    ],
)
def test_objects_of_r_are_not_judged_also_as_text(data: bytes) -> None:
    content, _ = judged(data + b"1\n" * 100)
    assert isinstance(content, Content)
    assert (content.format, content.state) == ("rds", "not_judged")
    assert isinstance(judged(b"A\n3\nB\n")[0], Content)


@pytest.mark.parametrize(
    ("listed", "names"),
    [
        ({"records": [{"dataPath": "shard_0.bin", "format": "raw-shard"}]}, ["shard_0.bin"]),
        ({"weightsManifest": [{"paths": ["a.bin", "b.bin"]}]}, ["a.bin", "b.bin"]),
        ({"weightsManifest": [{"paths": ["../a.bin", "b/c.bin", ".x"]}]}, []),
        ({"records": [{"dataPath": "shard_0.bin"}]}, []),
    ],
)
def test_a_list_names_its_files_of_numbers(listed: dict[str, Any], names: list[str]) -> None:
    assert judged(json.dumps(listed).encode(), "list.json")[1].claims == names


@pytest.mark.parametrize(("name", "state"), [("w.bin", "data"), ("w.rds", "not_judged"), ("x.PKL", "not_judged")])  # fmt: skip
def test_no_neighbour_says_that_a_file_with_a_program_of_its_own_is_numbers(
    name: str, state: str
) -> None:
    blank: dict[str, Any] = {
        "format": "unknown",
        "callables": [],
        "claims": [],
        "state": "not_judged",
    }
    results = [blank | {"name": "m/a.onnx", "format": "onnx", "claims": [name]}, blank | {"name": f"m/{name}"}]  # fmt: skip
    extract._settle_claims(results)
    assert results[1]["state"] == state


def test_metadata_of_onnx_that_is_a_program_is_told() -> None:
    for text, count in (("__import__('os').system('id')", 1), ("{0: 'person'}", 0)):
        entry = field(1, b"names") + field(2, text.encode())
        assert len(judged(onnx(field(14, entry)))[1].carried) == count


def test_a_gguf_template_that_reaches_for_more_than_text_is_told() -> None:
    _, reading = judged(gguf("{{ ''.__class__.__mro__ }}"))
    assert [ident for ident, _ in reading.carried] == ["SL504"]


def test_a_link_out_of_a_tar_is_told() -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        link = tarfile.TarInfo("x")
        link.type, link.linkname = tarfile.SYMTYPE, "../../etc"
        archive.addfile(link)
        archive.addfile(tarfile.TarInfo("../y"))
    _, reading = judged(file.getvalue())
    assert [ident for ident, _ in reading.carried] == ["SL505", "SL505"]


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"class_name": "Dense", "module": "keras.layers", "registered_name": None}, False),
        ({"class_name": "Dense", "module": "tf_keras.src.layers.core.dense"}, False),
        ({"class_name": "function", "module": "keras.activations", "config": "relu"}, False),
        ({"class_name": "NotEqual", "module": "keras.src.ops.numpy"}, False),
        ({"class_name": "Mine", "module": "keras.src.ops.numpy"}, True),
        ({"class_name": "Lambda", "module": "keras.layers"}, True),
        ({"class_name": "Dense", "module": "os"}, True),
        ({"class_name": "function", "module": "keras.utils", "config": "get_file"}, True),
        ({"class_name": "Mine", "module": "keras.layers", "registered_name": "x>Mine"}, True),
        ({"class_name": "Dense", "config": {"name": "os", "about": "as get_file gave it"}}, False),
        ({"class_name": "Dense", "config": {"fn": "keras.utils.get_file"}}, True),
        ({"class_name": "Dense", "config": {"fn_module": "subprocess"}}, True),
        ({"class_name": "Dense", "config": {"initializer": "__import__('os')"}}, True),
    ],
)
def test_a_keras_model_is_told_by_its_layers(config: dict[str, Any], told: bool) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("metadata.json", "{}")
        archive.writestr("config.json", json.dumps({"config": {"layers": [config]}}))
    _, reading = judged(file.getvalue())
    assert [ident for ident, _ in reading.carried] == ["SL506"] * told


def test_what_yaml_and_jsonpickle_call_is_told() -> None:
    for text in (b"a: !!python/object/apply:os.system [id]\n", b'{"a": {"py/reduce": [1]}}'):
        _, reading = judged(text)
        assert [ident for ident, _ in reading.carried] == ["SL506"]


@pytest.mark.parametrize(
    "magic", [b"\x7fELF", b"MZ\x90\0", b"\0asm", b"\xa7\r\r\n" + bytes(12) + b"\xe3"]
)
def test_a_compiled_program_is_told_whatever_its_name(magic: bytes) -> None:
    content, reading = judged(magic + b"\xff" * 100, "vocab.txt")
    assert isinstance(content, Content)
    assert content.state == "not_judged"
    assert [ident for ident, _ in reading.carried] == ["SL502"]


def test_a_pickle_in_messagepack_and_a_handler_of_torchserve_are_told() -> None:
    value = b"\x82\xa4kind\xa1O\xa4data\xc4" + bytes((len(SHELL),)) + SHELL
    _, reading = judged(value)
    assert [call["name"] for call in reading.callables] == ["os.system"]
    served = io.BytesIO()
    with zipfile.ZipFile(served, "w") as archive:
        archive.writestr("MAR-INF/MANIFEST.json", '{"model": {"handler": "handler.py"}}')
        archive.writestr("handler.py", "class Handler: pass")
    _, reading = judged(served.getvalue())
    assert "SL506" in {found for found, _ in reading.carried}
