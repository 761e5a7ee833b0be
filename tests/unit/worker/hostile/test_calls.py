"""Whatever a file tries, extraction tells what it names and calls, and nothing happens."""

from __future__ import annotations

import bz2
import functools
import gzip
import io
import json
import lzma
import os
import pickle
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safe_load.worker import extract
from safe_load.worker.pickle_vm.builders import BUILDERS
from safe_load.worker.tensors import walk
from safetensors.torch import save

from tests import plan
from tests.unit.worker.checkpoints import Calls, rezipped, saved, tensor_stream, text, zipped

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


SYSTEM = b"cos\nsystem\n"
ARGUMENT = b"S'touch /tmp/pwned'\n"


WATCHED = {
    "os.system",
    "subprocess.Popen",
    "os.exec",
    "os.posix_spawn",
    "socket.connect",
    "pickle.find_class",
}

# The watched events that have not happened yet. An audit hook stays for the life of its process, and
# one in Python lets another thread run in the midst of sys.settrace, which then fails in whichever test
# measures coverage there. So there is one, in C, that takes the name of its event out of this and keeps
# nothing: dict.pop(event, arguments).
unheard: dict[str, object] = {}


@functools.cache  # a fixture of the module would bind its tests to one worker
def listen() -> None:
    sys.addaudithook(unheard.pop)


@pytest.fixture(autouse=True)
def nothing_is_called() -> Iterator[None]:
    """Fails the test when anything was executed, opened beside the model, connected or imported."""
    listen()
    unheard.update(dict.fromkeys(WATCHED))
    yield
    assert WATCHED - set(unheard) == set()


def test_what_is_called_is_noticed() -> None:
    subprocess.run(["true"], check=True)
    assert WATCHED - set(unheard) == {"subprocess.Popen"}
    unheard["subprocess.Popen"] = None


ROUTES = {
    "REDUCE": (SYSTEM + b"(" + ARGUMENT + b"tR.", "os.system"),
    "INST": (b"(" + ARGUMENT + b"ios\nsystem\n.", "os.system"),
    "OBJ": (b"(" + SYSTEM + ARGUMENT + b"o.", "os.system"),
    "NEWOBJ": (SYSTEM + b"(" + ARGUMENT + b"t\x81.", "os.system"),
    "NEWOBJ_EX": (SYSTEM + b"(" + ARGUMENT + b"t}\x92.", "os.system"),
    "EXT1": (b"\x82\x01.", "extension 1"),
    "EXT2": (b"\x83\x01\x01.", "extension 257"),
    "EXT4": (b"\x84\x01\0\0\x01.", "extension 16777217"),
    "PERSID": (b"Ptouch\n.", "persistent_load"),
    "BINPERSID": (b"]Q.", "persistent_load"),
}


@pytest.mark.parametrize("opcode", ROUTES)
def test_every_route_to_a_call_is_listed_with_its_place(extracted: Any, opcode: str) -> None:
    stream, name = ROUTES[opcode]
    prefix = b"N0\x80\x02"
    (found,) = extracted(prefix + stream)["callables"]
    # A persistent id reaches the loader's own function and no other.
    assert (found["name"], found["opcode"], found["called"]) == (
        name,
        opcode,
        "PERSID" not in opcode,
    )
    assert (prefix + stream)[found["offset"]] == {
        "REDUCE": ord("R"), "INST": ord("i"), "OBJ": ord("o"), "NEWOBJ": 0x81, "NEWOBJ_EX": 0x92,
        "EXT1": 0x82, "EXT2": 0x83, "EXT4": 0x84, "PERSID": ord("P"), "BINPERSID": ord("Q"),
    }[opcode]  # fmt: skip
    if name == "os.system":
        assert found["arguments"] == "('touch /tmp/pwned',)"


@pytest.mark.parametrize("pack", [bytes, zipped, lambda stream: saved(1, legacy=True) + stream])
def test_a_call_is_told_with_its_byte_in_the_file(extracted: Any, pack: Any) -> None:
    data = pack(b"N0\x80\x02" + SYSTEM + b"(" + ARGUMENT + b"tR.")
    (found,) = extracted(data)["callables"]
    assert found["at"] == data.index(ARGUMENT) + len(ARGUMENT) + 1


def test_a_call_in_packed_data_has_no_byte_in_the_file(extracted: Any) -> None:
    stream = SYSTEM + b"(" + ARGUMENT + b"tR."
    packed = rezipped(zipped(stream), method=zipfile.ZIP_DEFLATED)
    for data in (packed, gzip.compress(b"\x80\x02" + stream)):
        (found,) = extracted(data)["callables"]
        assert found["at"] is None


def test_a_name_alone_is_listed_where_it_stands(extracted: Any) -> None:
    for stream, opcode, at in (
        (b"]" + SYSTEM + b"a.", "GLOBAL", 1),
        (text("os") + text("system") + b"\x93.", "STACK_GLOBAL", 12),
    ):
        (found,) = extracted(b"\x80\x04" + stream)["callables"]
        assert (found["name"], found["opcode"], found["called"], found["offset"]) == (
            "os.system",
            opcode,
            False,
            at + 2,
        )


def test_a_name_put_together_from_the_memo_is_seen(extracted: Any) -> None:
    stream = (
        b"\x80\x04"
        + text("system")
        + b"\x940"
        + text("os")
        + b"\x94"
        + b"0"
        + b"h\1h\0\x93"
        + text("id")
        + b"\x85R."
    )
    assert [(c["name"], c["called"]) for c in extracted(stream)["callables"]] == [
        ("os.system", True)
    ]


def test_names_of_python_2_are_told_as_python_3_resolves_them(extracted: Any) -> None:
    (found,) = extracted(b"c__builtin__\neval\n(S'1'\ntR.")["callables"]
    assert found["name"] == "builtins.eval"


HOOKS = {
    "a planted __setstate__": (b"cargparse\nNamespace\n)\x81}S'__setstate__'\n" + SYSTEM + b"sbS'id'\nb.", "argparse.Namespace.__setstate__"),
    "a planted append": (b"cargparse\nNamespace\n)\x81}S'append'\n" + SYSTEM + b"sbS'id'\na.", "argparse.Namespace.append"),
    "state for a module or function": (b"cargparse\nNamespace\n}S'x'\nNsb.", "argparse.Namespace.__setstate__"),
    "an append to a class": (b"cargparse\nNamespace\nNa.", "argparse.Namespace.append"),
    "items set on a class": (b"cargparse\nNamespace\nNNs.", "argparse.Namespace.__setitem__"),
    "a call of what a call gave": (b"cfunctools\npartial\n" + SYSTEM + b"\x85R)R.", "functools.partial()"),
    "an attribute by getattr": (b"cbuiltins\ngetattr\n(ctorch\nSize\nS'__class__'\ntR.", "builtins.getattr"),
    "a rebuild that calls its argument": (b"ctorch._tensor\n_rebuild_from_type_v2\n(" + SYSTEM + b"ctorch\nTensor\n(S'id'\ntNtR.", "os.system"),
    "a reconstructor of another class": (b"ccopyreg\n_reconstructor\n(" + SYSTEM + b"cbuiltins\nobject\nNtR.", "os.system"),
    "a factory that is a function": (b"ccollections\ndefaultdict\n" + SYSTEM + b"\x85R.", "os.system"),
    "a rebuild with odd arguments": (b"ctorch._utils\n_rebuild_tensor_v2\n(S'id'\ntR.", "torch._utils._rebuild_tensor_v2"),
    "a codec": (b"c_codecs\nencode\n(VA\nVrot13\ntR.", "_codecs.encode"),
}  # fmt: skip


@pytest.mark.parametrize("kind", HOOKS)
def test_execution_without_an_unusual_name_is_seen(extracted: Any, kind: str) -> None:
    stream, name = HOOKS[kind]
    assert name in {found["name"] for found in extracted(b"\x80\x02" + stream)["callables"]}


@pytest.mark.parametrize("key", ["data", "_data", "__class__"])
def test_state_that_replaces_a_tensors_numbers_is_listed_and_not_applied(
    extracted: Any, tmp_path: Path, key: str
) -> None:
    from safetensors.torch import load_file

    honest, other = torch.ones(4), torch.zeros(4)
    data = saved(
        {"w": Calls(torch._utils._rebuild_parameter_with_state, honest, True, {}, {key: other})}
    )
    result = extracted(data)
    assert [found["name"] for found in result["callables"]] == ["Tensor.__setstate__"]
    assert torch.equal(load_file(tmp_path / "out.safetensors")["w"], honest)


def test_a_module_prefix_allows_classes_and_neither_functions_nor_what_they_import(
    extracted: Any,
) -> None:
    for name, allowed in (
        ("optim.adam\nAdam", True),
        ("optim\nos", False),
        ("optim.lr_scheduler\nwarnings.sys", False),
        ("optimx\nAdam", False),
    ):
        assert (not extracted(b"\x80\x02ctorch." + name.encode() + b"\n.")["callables"]) is allowed


def test_a_second_pickle_after_the_first_is_read_too(extracted: Any) -> None:
    for data in (pickle.dumps([1]), saved({"w": torch.ones(1)}, legacy=True)):
        result = extracted(data + b"\x80\x02" + ROUTES["REDUCE"][0])
        assert [found["name"] for found in result["callables"]] == ["os.system"]


def test_a_payload_before_a_deliberate_crash_is_listed(extracted: Any) -> None:
    result = extracted(b"\x80\x02" + SYSTEM + b"(" + ARGUMENT + b"tR\xff")
    assert (result["status"], result["callables"][0]["name"]) == ("not_loadable", "os.system")


def test_a_checkpoint_within_a_checkpoint_is_read_too(extracted: Any) -> None:
    inner = saved({"x": Calls(os.system, "id")}, legacy=True)
    for _ in range(2):
        inner = pickle.dumps(Calls(torch.storage._load_from_bytes, inner))
        (found,) = extracted(inner)["callables"]
        assert found["name"] == f"{os.system.__module__}.system"
        assert found["member"].startswith("[bytes at ")


def test_checkpoints_nested_without_end_are_refused(extracted: Any) -> None:
    inner = pickle.dumps(None)
    for _ in range(20):
        inner = pickle.dumps(Calls(torch.storage._load_from_bytes, inner))
    assert extracted(inner)["status"] == "not_loadable"


@pytest.mark.parametrize("stream", range(5))
def test_each_stream_of_a_legacy_file_is_read(extracted: Any, stream: int) -> None:
    parts = [
        pickle.dumps(0x1950A86A20F9469CFC6C, 2),
        pickle.dumps(1001, 2),
        pickle.dumps({}, 2),
        pickle.dumps({}, 2),
        pickle.dumps([], 2),
    ]
    parts[stream] = b"\x80\x02" + SYSTEM + b"(" + ARGUMENT + b"tR0" + parts[stream][2:]
    (found,) = extracted(b"".join(parts))["callables"]
    assert found["name"] == "os.system"


@pytest.mark.parametrize("member", ["extra.pkl", "sub/other.PKL", "constants.pkl", "hidden"])
def test_every_pickle_of_an_archive_is_read(extracted: Any, member: str) -> None:
    (found,) = extracted(
        zipped(pickle.dumps({}, 2), **{member: b"\x80\x02" + ROUTES["REDUCE"][0]})
    )["callables"]
    assert (found["name"], found["member"]) == ("os.system", f"archive/{member}")


@pytest.mark.parametrize("wrap", [lambda d: d, lambda d: d + b"\n" * 100], ids=["bare", "padded"])
def test_the_name_of_a_file_does_not_hide_what_it_is(
    extracted: Any, tmp_path: Path, wrap: Any
) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(wrap(pickle.dumps(Calls(os.system, "id"))))
    result = extracted(path)
    assert (result["format"], result["callables"][0]["name"]) == (
        "pickle",
        f"{os.system.__module__}.system",
    )


def test_a_safetensors_file_that_is_a_pickle_too_is_read_as_both(extracted: Any) -> None:
    # The header's length begins with a GLOBAL opcode, whose two lines end in the header's white
    # space; ]}} are opcodes as well, and the tensor's data is the payload.
    payload = ROUTES["REDUCE"][0]
    front, back = (
        b'{"a":{"dtype":"U8","shape":[%d],' % len(payload),
        b'"data_offsets":[0,\n%d\n]}}' % len(payload),
    )
    table = front + back.rjust(ord("c") - len(front))
    result = extracted(struct.pack("<Q", len(table)) + table + payload)
    assert (result["format"], result["status"]) == ("safetensors", "ok")
    assert "os.system" in {found["name"] for found in result["callables"] if found["called"]}
    ((finding, sentence),) = result["carried"]
    assert finding == "SL506"
    assert "a safetensors file, and a complete pickle as well" in sentence


ZIP_TRICKS = {
    "a member twice": "twice",
    "trailing bytes": "bytes follow the end",
    "another name in the local header": "another name",
    "an encryption flag": "encrypted",
    "a size that lies": "two sizes",
    "a directory elsewhere": "not where the archive says",
}


def tricked(kind: str) -> bytes:
    data = zipped(b"\x80\x02" + ROUTES["REDUCE"][0])
    at = data.index(b"PK\1\2")
    if kind == "a member twice":
        file = io.BytesIO(data)
        with zipfile.ZipFile(file, "a") as archive:
            archive.writestr("ARCHIVE/Data.pkl", pickle.dumps({}))
        return file.getvalue()
    if kind == "trailing bytes":
        return data + b"x"
    if kind == "another name in the local header":
        return data.replace(b"archive/data.pkl", b"archive/data.pk_", 1)
    if kind == "an encryption flag":
        return data[: at + 8] + b"\1" + data[at + 9 :]
    if kind == "a size that lies":
        return data[: at + 24] + b"\xff" + data[at + 25 :]
    return data[:at] + b"junk" + data[at:]


@pytest.mark.parametrize("kind", ZIP_TRICKS)
def test_a_broken_archive_is_refused_and_still_looked_through(extracted: Any, kind: str) -> None:
    result = extracted(tricked(kind))
    assert (result["status"], result["tensors"]) == ("not_loadable", [])
    if kind != "a directory elsewhere":
        assert "os.system" in {found["name"] for found in result["callables"]}
        assert ZIP_TRICKS[kind] in result["reason"]


LIES = {
    "reaches past": {"shape": (5,)},
    "past by its stride": {"stride": (2,)},
    "past by its offset": {"offset": 1},
    "more than its record": {"numel": 400},
    "no such storage": {"key": "1"},
    "a huge size": {"shape": (1 << 40, 1 << 40), "stride": (0, 0)},
    "a rank mismatch": {"shape": (2, 2)},
}


@pytest.mark.parametrize("lie", LIES)
def test_a_tensor_that_lies_about_its_storage_is_refused(
    extracted: Any, tmp_path: Path, lie: str
) -> None:
    data = zipped(tensor_stream(**LIES[lie]), **{"data/0": bytes(16)})  # type: ignore[arg-type]
    result = extracted(data)
    assert result["status"] in {"not_loadable", "bomb", "no_tensors"}
    assert (tmp_path / "out.safetensors").read_bytes() == b""
    assert extracted(zipped(tensor_stream(), **{"data/0": bytes(16)}))["status"] == "ok"


def test_an_expanded_tensor_over_the_limit_is_a_bomb_and_writes_nothing(
    extracted: Any, tmp_path: Path
) -> None:
    data = saved({"w": torch.ones(1).expand(1 << 20, 1 << 20)})
    for export in (True, False):
        result = extracted(data, export=export)
        assert result["status"] == "bomb"
        assert "bytes, more than the" in result["reason"]
    assert (tmp_path / "out.safetensors").read_bytes() == b""
    assert extracted(saved({"w": torch.ones(1).expand(100)}), size_limit=100)["status"] == "bomb"


def test_containers_that_multiply_tensors_are_a_bomb(
    extracted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walk, "MAX_TENSORS", 2000)
    value: Any = torch.ones(1)
    for _ in range(40):
        value = [value, value]
    assert extracted(saved(value))["status"] == "bomb"


def test_more_names_than_are_written_are_not_loadable_and_no_bomb(
    extracted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = {f"encoder.{number}.weight": torch.ones(1) for number in range(40)}
    assert extracted(saved(state))["status"] == "ok"
    for bound, value in (("MAX_TENSORS", 39), ("MAX_NAMES", 600)):
        with monkeypatch.context() as patch:
            patch.setattr(walk, bound, value)
            result = extracted(saved(state))
        assert result["status"] == "not_loadable"
        assert "Save the model as several files" in result["reason"]


@pytest.mark.timeout(60)  # gone through one by one, its 10^90 parts would last for ever
def test_containers_that_multiply_nothing_are_gone_through_once(extracted: Any) -> None:
    value: Any = "lol"
    for _ in range(90):
        value = [value] * 10
    assert extracted(saved({"w": torch.ones(1), "lol": value}))["status"] == "ok"


def test_a_deflate_bomb_is_refused_without_being_inflated(extracted: Any) -> None:
    body = b"\x80\x02" + b"N0" * (50 << 20)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", body)
    result = extracted(file.getvalue())
    assert (result["status"], result["tensors"]) == ("bomb", [])


def test_a_storage_that_inflates_past_the_limit_is_a_bomb(extracted: Any) -> None:
    stream = tensor_stream(numel=1 << 25, shape=(1 << 25,))
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", stream)
        archive.writestr("archive/data/0", bytes(1 << 27))
    assert extracted(file.getvalue())["status"] == "bomb"


@pytest.mark.parametrize(
    "deep",
    [
        b"]" * 50_000 + b"a" * 49_999,
        b"N" + b"\x85" * 50_000,
        b"}N" * 50_000 + b"}" + b"s" * 50_000,
    ],
)
def test_a_pickle_of_any_depth_ends_with_a_status(extracted: Any, deep: bytes) -> None:
    assert extracted(b"\x80\x02" + deep + b".")["status"] == "no_tensors"


def test_a_tensor_in_too_deep_a_container_is_refused(extracted: Any) -> None:
    stream = tensor_stream()[2:-1]
    result = extracted(
        zipped(b"\x80\x02" + stream + b"\x85" * 50_000 + b".", **{"data/0": bytes(16)})
    )
    assert result["reason"] == "model.bin: a tensor lies deeper than 100 containers"


@pytest.mark.parametrize(
    "name", ["a\nb", "\t", "\x1b[31m", "", "имя", "模型.重み", "\x00", "\u2028"]
)
def test_a_name_of_any_characters_comes_out_as_it_is(exported: Any, name: str) -> None:
    assert exported(saved({name: torch.ones(1), "b": torch.ones(2)})).keys() == {name, "b"}


def test_a_name_that_is_too_long_is_refused(extracted: Any) -> None:
    result = extracted(saved({"x" * 2000: torch.ones(1)}))
    assert (result["status"], "1000 bytes" in result["reason"]) == ("not_loadable", True)


def test_no_tensor_is_called_what_safetensors_keeps_for_itself(exported: Any) -> None:
    assert exported(saved({"__metadata__": torch.ones(1)})).keys() == {"__metadata__#2"}


def test_two_tensors_of_one_name_get_a_number(exported: Any) -> None:
    got = exported(saved({"a.b": torch.ones(1), "a": {"b": torch.ones(2)}, "a.b#2": torch.ones(3)}))
    assert {name: len(value) for name, value in got.items()} == {
        "a.b": 1,
        "a.b#2": 2,
        "a.b#2#2": 3,
    }


def test_aliases_never_shadow_the_metadata_of_the_writer(extracted: Any, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    weight = torch.randn(3)
    extracted(saved({"format": weight, "safe_load.view:x": weight, "a": weight}))
    got = load_file(tmp_path / "out.safetensors")
    assert all(torch.equal(got[name], weight) for name in ("format", "safe_load.view:x", "a"))


def header(table: dict[str, object], data: bytes = b"") -> bytes:
    raw = json.dumps(table).encode()
    return struct.pack("<Q", len(raw)) + raw + data


def entry(begin: int, end: int, shape: list[int], dtype: str = "U8") -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


BAD_SAFETENSORS = {
    "a hole": header({"a": entry(1, 2, [1])}, b"xx"),
    "an overlap": header({"a": entry(0, 2, [2]), "b": entry(1, 3, [2])}, b"xxx"),
    "accounts for": header({"a": entry(0, 1, [1])}, b"xx"),
    "does not fill": header({"a": entry(0, 2, [1])}, b"xx"),
    "dtype": header({"a": entry(0, 1, [1], "F128")}, b"x"),
    "whole": header({"a": entry(0, 1, [-1])}, b"x"),
    "twice": struct.pack("<Q", 65)
    + b'{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"a":{}}'.ljust(65),
    "claims": struct.pack("<Q", 20) + b"{}" + b" " * 19 + b"{"[:0],
    "exactly": header({"a": {}}),
    "too deep": struct.pack("<Q", 300_000) + (b'{"a":' * 60_000).ljust(300_000),
    "no whole one": struct.pack("<Q", 64)
    + b'{"a":{"dtype":"U8","shape":[1.0],"data_offsets":[0,1]}}'.ljust(64)
    + b"x",
}


@pytest.mark.parametrize("what", BAD_SAFETENSORS)
def test_a_safetensors_file_that_is_not_strict_is_refused(extracted: Any, what: str) -> None:
    result = extracted(BAD_SAFETENSORS[what])
    if what == "claims":
        assert result["status"] != "ok"
        return
    assert (result["format"], result["status"]) == ("safetensors", "not_loadable")
    assert what in result["reason"]


def tar() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("storages"))
    return file.getvalue()


def npy() -> bytes:
    file = io.BytesIO()
    np.save(file, np.arange(3))
    return file.getvalue()


#: Bytes -> format, state.
OTHERS = {
    "empty": (b"", "data"),
    "html": (b"\n<!DOCTYPE html><html><body>404</body></html>", "data"),
    "git-lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "data"),
    "text in bzip2": (bz2.compress(b"x"), "data"),
    "text in xz": (lzma.compress(b"x"), "data"),
    "rar": (b"Rar!\x1a\7\1\0" + bytes(50), "not_judged"),
    "tar": (tar(), "data"),
    "json": (b'{"weights": 1}', "data"),
    "text": (b"copyright by nobody\nall rights\nreversed\n", "data"),
    "unknown": (b"\xff\xfe\xfd" * 31, "not_judged"),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_what_is_no_checkpoint_is_told_by_its_bytes(extracted: Any, kind: str) -> None:
    data, state = OTHERS[kind]
    result = extracted(data)
    found = (result["format"], result["state"], result["status"], result["callables"])
    assert found == (kind, state, "unsupported", [])
    assert result["reason"].startswith("model.bin: ")


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("hdf5", b"\x89HDF\r\n\x1a\n" + bytes(50)),
        ("gguf", b"GGUF\3\0\0\0" + b"\xff" * 50),
        ("pdf", b"%PDF-1.7\n\xff\xff"),
        ("onnx", b"\x08\x07\x12\x07pytorch\x1a\x052.0.0" + bytes(50)),
    ],
)
def test_a_file_that_breaks_its_formats_rules_is_not_judged(
    extracted: Any, kind: str, data: bytes
) -> None:
    result = extracted(data)
    assert (result["format"], result["state"]) == (kind, "not_judged")
    assert result["status"] in {"not_loadable", "bomb"}
    assert result["why"]


def test_compressed_and_bare_pickles_of_plain_values_are_opened(extracted: Any) -> None:
    for data in (gzip.compress(pickle.dumps([1])), zlib.compress(pickle.dumps([1])), b"N."):
        result = extracted(data)
        assert (result["state"], result["status"]) == ("opened", "no_tensors")


def test_a_cut_off_file_is_refused(extracted: Any) -> None:
    state = {"w": torch.randn(100)}
    for data in (saved(state), saved(state, legacy=True), save(state), pickle.dumps(state)):
        assert extracted(data[: len(data) - 50])["status"] == "not_loadable"


def test_the_record_of_calls_is_bounded(extracted: Any) -> None:
    stream = b"".join(b"cmodule%d\nf\n)R0" % number for number in range(3000)) + b"N."
    result = extracted(stream)
    assert len(result["callables"]) == 1000
    assert result["notes"] == ["2000 further calls are not listed"]
    result = extracted(b"cm\nf\n" + b"2)R0" * 100 + b".")
    assert len(result["callables"]) == 8


def test_the_result_is_json_whatever_the_strings(extracted: Any) -> None:
    stream = (
        b"\x80\x02c\xf0\x9f\x98\x80\nf\n(X\x03\0\0\0\xed\xa0\x80I"
        + b"9" * 4000
        + b"\nL0x"
        + b"f" * 9000
        + b"L\nB\x10\x27\0\0"
        + bytes(10000)
        + b"tR."
    )
    result = extracted(stream)
    assert json.loads(json.dumps(result, ensure_ascii=False).encode()) == json.loads(
        json.dumps(result)
    )
    (found,) = result["callables"]
    assert len(found["arguments"]) <= 1000
    assert found["arguments"].isascii()


@pytest.mark.parametrize(
    "pid", [(), ("storage",), ("storage", {}, [], 1, "x"), ("module",), 5, ({},) * 5]
)
def test_an_odd_persistent_id_is_listed_and_gives_nothing(extracted: Any, pid: object) -> None:
    stream = pickle.dumps(pid, 2)[:-1] + b"Q."
    legacy = saved({}, legacy=True).replace(pickle.dumps({}, 2), stream, 1)
    for data in (zipped(stream), legacy, stream):
        result = extracted(data)
        if pid != ("module",) or data is not legacy:
            assert "persistent_load" in {found["name"] for found in result["callables"]}


ODD = (
    st.none() | st.booleans() | st.integers(-2, 1 << 65) | st.floats() | st.text(max_size=3) | st.binary(max_size=5)
    | st.sampled_from([torch.float32, torch.qint8, torch.FloatStorage, torch.Tensor, np.ndarray, np.dtype("f4"), np.dtype("O"), np.dtype("i1,f4"),
        torch.ones(2), np.arange(3), np.float32(1), os.system, dict, "C", "latin1", b"abc"])
)  # fmt: skip
ODD_DATA = st.recursive(
    ODD,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=8).map(tuple)
        | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=3)
    ),
    max_leaves=12,
)


@settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.sampled_from(sorted(BUILDERS)),
    st.lists(ODD_DATA, max_size=8).map(tuple),
    st.none() | ODD_DATA,
)
def test_no_arguments_and_no_state_bring_a_builder_to_its_knees(
    extracted: Any, name: str, args: tuple[object, ...], state: object
) -> None:
    module, _, attribute = name.rpartition(".")
    stream = f"c{module}\n{attribute}\n".encode() + pickle.dumps(args, 2)[2:-1] + b"R"
    stream += pickle.dumps(state, 2)[2:-1] + b"b" if state is not None else b""
    result = extracted(b"\x80\x02]" + stream + b"a.")
    assert result["status"] in {"ok", "not_loadable", "bomb", "no_tensors", "unsupported"}
    json.dumps(result)


STATUSES = {"ok", "not_loadable", "bomb", "no_tensors", "unsupported"}
#: What files of each format begin with: the bytes that make a reader look closer.
HEADS = [
    *(
        b"\x80\x02",
        b"\xde",
        b"\xdf",
        b"\x81",
        b"PK\x03\x04",
        b"\x93NUMPY\x01\x00",
        b"GGUF\x03\0\0\0",
    ),
    *(
        b"\x89HDF\r\n\x1a\n",
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff",
        b"GIF89a",
        b"RIFF",
        b"BM",
        b"OggS",
    ),
    *(b"\x1f\x8b\x08", b"BZh9", b"\xfd7zXZ\0", b"x\x9c", b"\x04\x22\x4d\x18", b"7z\xbc\xaf'\x1c"),
    *(
        b"\x08\x07",
        b"\x0a\x10",
        b"\x7fELF",
        b"MZ",
        b"#!",
        b"{",
        b"[",
        b"%PDF",
        b"\0\0\0\x18ftyp",
        b"DIRC",
    ),
]
SEEDS = [
    saved({"a": torch.randn(3, 4).t(), "b": [torch.ones(2, dtype=torch.int8)], "c": np.arange(3)}),
    saved({"a": torch.randn(3, 4), "n": torch.nn.Linear(2, 2)}, legacy=True),
    pickle.dumps({"a": np.arange(6.0).reshape(2, 3).T, "t": torch.ones(2), "d": {1: {2, 3}}}, 2),
    pickle.dumps({"a": np.arange(6.0), "s": "x" * 300, "f": 1.5}, 5),
    pickle.dumps({"a": [1, 2.5, "x", b"y", (None, True)], "l": 1 << 90}, 0),
    save({"a": torch.ones(3), "b": torch.ones(2, 2)}),
    rezipped(
        saved({"a": torch.zeros(500), "b": torch.zeros(20, 30).t()}), method=zipfile.ZIP_DEFLATED
    ),
]


@settings(
    max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.sampled_from(SEEDS),
    st.lists(
        st.tuples(
            st.integers(0, 1 << 16),
            st.sampled_from(["set", "cut", "insert", "drop"]),
            st.binary(min_size=1, max_size=4),
        ),
        min_size=1,
        max_size=6,
    ),
)
def test_a_damaged_file_gives_a_status_and_never_an_error(
    extracted: Any, seed: bytes, edits: list[tuple[int, str, bytes]]
) -> None:
    data = seed
    for place, kind, value in edits:
        at = place % (len(data) + 1)
        if kind == "cut":
            data = data[:at] if len(edits) == 1 else data
        elif kind == "set":
            data = data[:at] + value + data[at + len(value) :]
        elif kind == "insert":
            data = data[:at] + value + data[at:]
        else:
            data = data[:at] + data[at + len(value) :]
    result = extracted(data, fingerprint_budget=100)
    assert result["status"] in STATUSES
    assert (result["reason"] is None) is (result["status"] == "ok")
    json.dumps(result)


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.binary(max_size=200))
def test_any_bytes_give_a_status_and_never_an_error(extracted: Any, data: bytes) -> None:
    result = extracted(data)
    assert result["status"] in STATUSES - {"ok"}
    assert result["state"] in {"opened", "data", "not_judged"}
    assert extract.PARSER_FAILED not in (result["reason"] or "")


@settings(
    max_examples=2000 if plan.whole("loops") else 700,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.binary(min_size=1, max_size=16), st.binary(max_size=16))
def test_no_short_file_makes_a_reader_fail(extracted: Any, head: bytes, tail: bytes) -> None:
    magic = HEADS[head[0] % len(HEADS)]
    result = extracted(magic[: head[-1] % (len(magic) + 1)] + head[1:] + tail)
    assert extract.PARSER_FAILED not in (result["reason"] or "")
