"""Weights in another element type are those of torch's `.to()`, and in shards all of them are there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safe_load.export import safetensors_check, shaping
from safe_load.export.staging import Staging
from safetensors.torch import load_file, save_file

if TYPE_CHECKING:
    from pathlib import Path

TYPES = {
    "fp64": torch.float64,
    "fp32": torch.float32,
    "fp16": torch.float16,
    "bf16": torch.bfloat16,
}


def shaped(
    tmp_path: Path,
    files: dict[str, dict[str, torch.Tensor]],
    dtype: Any = None,
    shard: int | None = None,
    metadata: dict[str, str] | None = None,
) -> tuple[dict[str, dict[str, torch.Tensor]], list[str], list[shaping.Written]]:
    """The files as they come out, by name, the notes, and the headers."""
    with Staging.create(tmp_path / "out") as staging:
        written = []
        for name, tensors in files.items():
            save_file(tensors, tmp_path / "in", {"format": "pt"} | (metadata or {}))
            staging.write(name, (tmp_path / "in").read_bytes())
            written.append((name, safetensors_check.check(staging.output(name))))
        made, notes = shaping.shape(staging, written, dtype, shard)
        there = {path.name for path in staging.path.iterdir()}
        assert there == {name for name, _ in made}
        return {name: load_file(staging.path / name) for name, _ in made}, notes, made


def bits(tensor: torch.Tensor) -> torch.Tensor:
    width = {8: torch.int64, 4: torch.int32, 2: torch.int16}[tensor.element_size()]
    return tensor.contiguous().view(width)


def of_every_kind() -> dict[str, torch.Tensor]:
    """Every number of 16 bits, and of wider types many, with all that lies between two of the shorter ones."""
    torch.manual_seed(0)
    half = torch.arange(1 << 16, dtype=torch.int32).to(torch.int16).view(torch.float16)
    brain = torch.arange(1 << 16, dtype=torch.int32).to(torch.int16).view(torch.bfloat16)
    ends = (brain.float(), half.float())
    middles = [((each[:-1].double() + each[1:].double()) / 2) for each in ends]
    single = torch.cat(
        [
            *ends,
            *(each.float() for each in middles),
            torch.randint(-(1 << 31), (1 << 31) - 1, (1 << 18,))
            .to(torch.int32)
            .view(torch.float32),
        ]
    )
    double = torch.cat(
        [
            *middles,
            *(
                torch.nextafter(each, torch.tensor(way).double())
                for each in middles
                for way in (-9e300, 9e300)
            ),
            torch.randn(1 << 16, dtype=torch.float64) * 10.0 ** torch.randint(-50, 50, (1 << 16,)),
        ]
    )
    return {
        name: each[~each.isnan()].clone()
        for name, each in {"half": half, "brain": brain, "single": single, "double": double}.items()
    }


@pytest.mark.parametrize("dtype", TYPES)
def test_numbers_are_rounded_as_torch_does_bit_for_bit(tmp_path: Path, dtype: str) -> None:
    tensors = of_every_kind() | {"count": torch.arange(5), "scalar": torch.tensor(1.1)}
    files, _, _ = shaped(tmp_path, {"model.safetensors": tensors}, dtype)
    (got,) = files.values()
    assert got.keys() == tensors.keys()
    for name, tensor in tensors.items():
        wanted = tensor.to(TYPES[dtype]) if tensor.is_floating_point() else tensor
        assert got[name].dtype == wanted.dtype
        assert got[name].shape == wanted.shape
        assert torch.equal(bits(got[name]), bits(wanted)), name


@pytest.mark.parametrize("dtype", TYPES)
def test_no_number_stays_none(tmp_path: Path, dtype: str) -> None:
    nan = torch.tensor([float("nan"), -float("nan"), 1.0, float("inf"), -float("inf")])
    files, notes, _ = shaped(tmp_path, {"model.safetensors": {"x": nan}}, dtype)
    (got,) = files.values()
    assert got["x"].isnan().tolist() == [True, True, False, False, False]
    assert got["x"][2:].tolist() == [1.0, float("inf"), -float("inf")]
    assert not notes


def test_numbers_out_of_range_are_told(tmp_path: Path) -> None:
    tensors = {"a": torch.tensor([70000.0, -1e9, 1e-20, 0.0]), "b": torch.ones(3)}
    _, notes, _ = shaped(tmp_path, {"model.safetensors": tensors}, "fp16")
    (note,) = notes
    assert "2 numbers are beyond its range and became infinite" in note
    assert "1 numbers are too small for it and became 0, in a" in note
    (tmp_path / "more").mkdir()
    assert not shaped(tmp_path / "more", {"model.safetensors": tensors}, "bf16")[1]


def test_a_tensor_that_stands_for_another_type_stays_as_it_is(tmp_path: Path) -> None:
    view = {"safe_load.view:x": "complex128"}
    tensors = {"x": torch.randn(3, 2, dtype=torch.float64), "y": torch.randn(3)}
    files, _, made = shaped(tmp_path, {"model.safetensors": tensors}, "bf16", metadata=view)
    (got,) = files.values()
    assert torch.equal(got["x"], tensors["x"])
    assert got["y"].dtype == torch.bfloat16
    assert made[0][1].metadata == {"format": "pt"} | view


def test_shards_are_named_as_transformers_names_them_and_hold_all(tmp_path: Path) -> None:
    tensors = {f"t{number:02d}": torch.full((100,), float(number)) for number in range(10)}
    tensors["large"] = torch.arange(1000.0)
    files, _, made = shaped(tmp_path, {"model.safetensors": tensors}, None, 1000)
    assert list(files) == [
        f"model-{n:05d}-of-{len(files):05d}.safetensors" for n in range(1, len(files) + 1)
    ]
    together = {name: tensor for file in files.values() for name, tensor in file.items()}
    assert together.keys() == tensors.keys()
    assert all(torch.equal(together[name], tensor) for name, tensor in tensors.items())
    assert all(header.bytes <= 1000 or len(header.tensors) == 1 for _, header in made)
    assert all(header.metadata == {"format": "pt"} for _, header in made)


def test_shards_of_a_source_become_one_file_where_all_fits(tmp_path: Path) -> None:
    parts = {f"model-0000{n}-of-00002.safetensors": {f"t{n}": torch.ones(n)} for n in (1, 2)}
    parts["vae/model.safetensors"] = {"v": torch.ones(3)}
    with Staging.create(tmp_path / "out") as staging:
        written = []
        for name, tensors in parts.items():
            save_file(tensors, tmp_path / "in", {"format": "pt"})
            staging.write(name, (tmp_path / "in").read_bytes())
            written.append((name, safetensors_check.check(staging.output(name))))
        made, _ = shaping.shape(staging, written, None, 1 << 20)
    assert [name for name, _ in made] == ["model.safetensors", "vae/model.safetensors"]
    assert {tensor.name for tensor in made[0][1].tensors} == {"t1", "t2"}


@pytest.mark.parametrize(
    ("config", "wanted"),
    [
        ({"dtype": "float32"}, {"dtype": "bfloat16"}),
        ({"torch_dtype": "float32"}, {"torch_dtype": "bfloat16"}),
        ({"a": 1}, {"a": 1, "dtype": "bfloat16"}),
        ({"text_config": {"dtype": "float32"}}, {"text_config": {"dtype": "bfloat16"}, "dtype": "bfloat16"}),
    ],
)  # fmt: skip
def test_the_configuration_names_the_type_that_the_weights_have(
    config: dict[str, Any], wanted: dict[str, Any]
) -> None:
    assert json.loads(shaping.name_in(json.dumps(config).encode(), "bf16")) == wanted


def test_more_than_one_chunk_is_converted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shaping, "_CHUNK", 7)
    tensor = torch.randn(100, dtype=torch.float64)
    files, _, _ = shaped(
        tmp_path, {"model.safetensors": {"x": tensor, "i": torch.arange(50)}}, "fp16"
    )
    (got,) = files.values()
    assert torch.equal(got["x"], tensor.to(torch.float16))
    assert torch.equal(got["i"], torch.arange(50))


def taken_apart(
    tmp_path: Path,
    tensors: dict[str, torch.Tensor],
    table: dict[str, str],
    metadata: dict[str, str],
) -> tuple[dict[str, dict[str, torch.Tensor]], list[str], dict[str, dict[str, str]]]:
    """The files that an archive's weights become, the notes, and their metadata."""
    with Staging.create(tmp_path / "out") as staging:
        save_file(tensors, tmp_path / "in", {"format": "pt"} | metadata)
        staging.write("a.safetensors", (tmp_path / "in").read_bytes())
        staging.write("b.safetensors", (tmp_path / "in").read_bytes())
        written = [
            (name, safetensors_check.check(staging.output(name)))
            for name in ("a.safetensors", "b.safetensors")
        ]
        made, notes = shaping.apart(staging, written, {"a.safetensors": table})
        files = {name: load_file(staging.path / name) for name, _ in made}
        return files, notes, {name: header.metadata for name, header in made}


WITHIN = {
    "enc/x/w": torch.ones(2),
    "enc/x/v": torch.zeros(3).half(),
    "dec/w": torch.full((2, 2), 7),
}


def test_each_member_of_an_archive_becomes_a_file_with_its_own_names(tmp_path: Path) -> None:
    table = {"enc/x/w": "enc/x", "enc/x/v": "enc/x", "dec/w": "dec"}
    told = {"enc/x/tied": "enc/x/w", "safe_load.view:dec/w": "qint8", "dec/other": "enc/x/w"}
    files, notes, metadata = taken_apart(tmp_path, WITHIN, table, told)
    assert files.keys() == {"a/enc/x.safetensors", "a/dec.safetensors", "b.safetensors"}
    assert notes == []
    assert files["a/enc/x.safetensors"].keys() == {"w", "v"}
    assert torch.equal(files["a/enc/x.safetensors"]["v"], WITHIN["enc/x/v"])
    assert torch.equal(files["a/dec.safetensors"]["w"], WITHIN["dec/w"])
    assert metadata["a/enc/x.safetensors"] == {"format": "pt", "tied": "w"}
    assert metadata["a/dec.safetensors"] == {"format": "pt", "safe_load.view:w": "qint8"}


@pytest.mark.parametrize(
    "member", ["../x", "/x", "x/../y", "x//y", "x\\y", "c:x", "x\ny", "x ", "x.", "x" * 200, "dec.safetensors", "DEC"]
)  # fmt: skip
def test_a_member_whose_path_cannot_be_a_file_stays_where_it_is(
    member: str, tmp_path: Path
) -> None:
    name = f"{member}/w"
    if member == "dec.safetensors":
        member, name = "dec.safetensors/w", "dec.safetensors/w/w"
    tensors = {name: torch.ones(2), "dec/w": torch.zeros(2)}
    files, notes, _ = taken_apart(tmp_path, tensors, {name: member, "dec/w": "dec"}, {})
    assert files.keys() == {"a.safetensors", "b.safetensors"}
    assert files["a.safetensors"].keys() == tensors.keys()
    assert len(notes) == 1
