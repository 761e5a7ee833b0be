"""Archives and tensors that lie, multiply or inflate are refused within bounds."""

from __future__ import annotations

import io
import pickle
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safe_load.worker.tensors import walk

from tests.unit.worker.checkpoints import saved, tensor_stream, zipped
from tests.unit.worker.hostile.streams import ROUTES

if TYPE_CHECKING:
    from pathlib import Path


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
