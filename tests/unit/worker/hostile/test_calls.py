"""Every call that a pickle makes is told, wherever the pickle lies, and none happens."""

from __future__ import annotations

import gzip
import json
import os
import pickle
import struct
import subprocess
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
import torch

from tests.unit.worker.checkpoints import Calls, rezipped, saved, text, zipped
from tests.unit.worker.hostile.streams import ARGUMENT, ROUTES, SYSTEM, WATCHED, unheard

if TYPE_CHECKING:
    from pathlib import Path


def test_what_is_called_is_noticed() -> None:
    subprocess.run(["true"], check=True)
    assert WATCHED - set(unheard) == {"subprocess.Popen"}
    unheard["subprocess.Popen"] = None


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
