"""7z archives, and the ways of compression that zip archives and streams share with them."""

from __future__ import annotations

import bz2
import lzma
import struct
import sys
import time
import zipfile
import zlib
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safe_load.worker.formats import codecs
from safe_load.worker.formats.interface import Content
from safe_load.worker.refusal import RefusedError
from safetensors.torch import save

from tests.unit.worker.formats import zstd_packing as zstd
from tests.unit.worker.formats.sevenzips import WRITTEN
from tests.unit.worker.formats.test_archives import ENCODER, tarred
from tests.unit.worker.formats.test_data import SHELL, judged
from tests.unit.worker.formats.test_opened import written

if TYPE_CHECKING:
    import io
    from collections.abc import Callable
    from pathlib import Path

NOT_READ = {
    "PPMd": "packed by PPMd",
    "encrypted": "encrypted",
    "encrypted whole": "encrypted",
}
READ = [name for name in WRITTEN if name not in {*NOT_READ, "7-Zip"}]


@pytest.mark.parametrize("kind", READ)
def test_weights_in_a_7z_archive_come_out(
    kind: str, extracted: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    from safetensors.torch import load_file

    result = extracted(WRITTEN[kind])
    assert (result["status"], result["state"]) == ("ok", "opened"), result["reason"]
    (tensor,) = load_file(tmp_path / "out.safetensors").values()
    assert torch.equal(tensor, torch.arange(6.0).reshape(2, 3))


def test_what_a_7z_archive_hides_is_told() -> None:
    content, reading = judged(WRITTEN["7-Zip"])
    assert isinstance(content, Content)
    assert content.state == "opened"
    assert [entry["name"] for entry in reading.callables] == ["os.system"]
    assert [finding for finding, _ in reading.carried] == ["SL505"]
    assert "m/link" in reading.carried[0][1]


@pytest.mark.parametrize("kind", NOT_READ)
def test_what_cannot_be_unpacked_is_not_judged_and_says_why(kind: str) -> None:
    content, _ = judged(WRITTEN[kind])
    assert isinstance(content, Content)
    assert (content.state, content.plan) == ("not_judged", None)
    assert NOT_READ[kind] in content.why


def names(content: Content | RefusedError) -> list[str]:
    plan = content.plan if isinstance(content, Content) else None
    return [entry.name for entry in plan.entries] if plan else []


@pytest.mark.parametrize("kind", WRITTEN)
def test_a_7z_archive_that_is_cut_or_lies_is_never_clean(kind: str) -> None:
    data = WRITTEN[kind]
    whole = judged(data)[0]
    started = time.monotonic()
    for number in range(20):
        content, _ = judged(data[: len(data) * number // 20])
        assert isinstance(content, RefusedError) or (
            content.state == "not_judged" or content.format == "empty"
        )
    for at in range(len(data)):
        content, _ = judged(data[:at] + bytes((data[at] ^ 0xFF,)) + data[at + 1 :])
        if isinstance(content, RefusedError):
            assert "\n" not in content.reason
            continue
        if content.state == "not_judged":
            assert content.why
            assert content.plan is None
            continue
        # The last bytes of a packed stream may say nothing: what came of it has the checksum all the same.
        assert content.format != "7z" or names(content) == names(whole), at
    for lie in (b"\xff" * 9, b"\x80\xff", b"\0"):  # with checksums that fit again
        for at in range(32, len(data)):
            judged(_sealed(data, at, lie))
    assert time.monotonic() - started < 20


def _sealed(data: bytes, at: int, lie: bytes) -> bytes:
    """Other bytes in the header, and checksums that fit them."""
    offset, size = struct.unpack_from("<QQ", data, 12)
    made = bytearray(data)
    made[at : at + len(lie)] = lie
    del made[len(data) :]
    struct.pack_into("<L", made, 28, zlib.crc32(made[32 + offset : 32 + offset + size]))
    struct.pack_into("<L", made, 8, zlib.crc32(made[12:32]))
    return bytes(made)


def sevenzip(header: bytes, packed: bytes = b"") -> bytes:
    """An archive with that header."""
    tail = struct.pack("<QQL", len(packed), len(header), zlib.crc32(header))
    return b"7z\xbc\xaf\x27\x1c\0\4" + struct.pack("<L", zlib.crc32(tail)) + tail + packed + header


def number(value: int) -> bytes:
    return b"\xff" + value.to_bytes(8, "little")


def stored(data: bytes, crc32: int) -> bytes:
    """An archive of one member, m.pkl, that is not packed."""
    size = bytes((len(data),))
    name = b"\0" + "m.pkl\0".encode("utf-16-le")
    header = b"\1\4\6\0\1\x09" + size + b"\0\7\x0b\1\0\1\1\0\x0c" + size + b"\0"
    header += b"\x08\x0a\1" + crc32.to_bytes(4, "little") + b"\0\0"
    header += b"\5\1\x11" + bytes((len(name),)) + name + b"\0\0"
    return sevenzip(header, data)


def test_a_member_with_a_wrong_checksum_is_judged_all_the_same() -> None:
    content, _ = judged(stored(SHELL, zlib.crc32(SHELL)))
    assert isinstance(content, Content), content
    content, reading = judged(stored(SHELL, 1))
    assert isinstance(content, RefusedError)
    assert "checksum" in content.reason
    assert [entry["name"] for entry in reading.callables] == ["os.system"]


LIES = {
    "10^6 members": b"\1\5" + number(10**6),
    "2^60 members": b"\1\5" + number(2**60),
    "10^6 folders": b"\1\4\7\x0b" + number(10**6) + b"\0",
    "10^6 packed streams": b"\1\4\6\0" + number(10**6) + b"\x09",
    "2^40 coders": b"\1\4\7\x0b\1\0" + number(2**40),
    "a stream elsewhere": b"\1\4\6" + number(2**60) + b"\1\x09" + number(2**60) + b"\0",
    "itself": b"\x17",
    "nothing": b"",
}


@pytest.mark.parametrize("kind", LIES)
def test_a_header_that_lies_ends_at_once(kind: str) -> None:
    started = time.monotonic()
    content, _ = judged(sevenzip(LIES[kind]))
    assert time.monotonic() - started < 1
    refused = isinstance(content, RefusedError) or content.state == "not_judged"
    assert kind == "nothing" or refused


def test_bombs_are_told() -> None:
    zeros = bytes(64 << 20)
    for data in (
        zstd.compress(zeros),
        _zip(zipfile.ZIP_LZMA, zeros),
        _zip(zipfile.ZIP_BZIP2, zeros),
    ):
        content, _ = judged(data)
        assert isinstance(content, RefusedError)
        assert content.status == "bomb"


def _zip(method: int, data: bytes) -> bytes:
    def write(file: io.BytesIO) -> None:
        with zipfile.ZipFile(file, "w", method) as archive:
            archive.writestr("model.safetensors", data)

    return written(write)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_weights_in_a_zip_of_another_method_come_out(
    method: int, extracted: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    from safetensors.torch import load_file

    result = extracted(_zip(method, save(ENCODER)))
    assert (result["status"], result["state"]) == ("ok", "opened"), result["reason"]
    found = load_file(tmp_path / "out.safetensors")
    assert all(torch.equal(found[name], ENCODER[name]) for name in ENCODER)
    damaged = bytearray(_zip(method, save(ENCODER)))
    damaged[90] ^= 0xFF
    assert isinstance(judged(bytes(damaged))[0], RefusedError)


def test_a_tar_archive_in_zstd_is_judged_like_the_others(
    extracted: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    from safetensors.torch import load_file

    packed = zstd.compress(tarred([("model.safetensors", save(ENCODER))]))
    assert extracted(packed)["status"] == "ok"
    assert load_file(tmp_path / "out.safetensors").keys() == ENCODER.keys()
    _, reading = judged(zstd.compress(b"cos\nsystem\n(S'true'\ntR."))
    assert [entry["name"] for entry in reading.callables] == ["os.system"]
    assert isinstance(judged(packed[:-4])[0], RefusedError)
    assert isinstance(judged(packed[:40] + b"\0\0\0\0" + packed[44:])[0], RefusedError)


def test_zstd_without_its_library_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("backports.zstd", "compression.zstd", "compression"):
        monkeypatch.setitem(sys.modules, name, None)
    for data in (zstd.compress(b"x"), WRITTEN["zstd"]):
        content, _ = judged(data)
        assert content.state == "not_judged"
        why = content.reason if isinstance(content, RefusedError) else content.why
        assert "pip install 'safe-load[formats]'" in why


def test_every_decoder_bounds_its_window() -> None:
    with pytest.raises(RefusedError):
        codecs.raw_lzma1(b"\xff" * 5, 1)
    with pytest.raises(RefusedError):
        codecs.raw_lzma2(b"\xff", 1)
    data = lzma.compress(bytes(1000), lzma.FORMAT_ALONE)
    decoder = codecs.raw_lzma1(data[:5], 1000)
    parts = codecs.unpacked(iter([data[13:]]), decoder, 1000, "it")
    assert b"".join(parts) == bytes(1000)
    with pytest.raises(RefusedError, match="fewer"):
        list(codecs.unpacked(iter([bz2.compress(b"x")]), codecs.bzip2(), 2, "it"))
