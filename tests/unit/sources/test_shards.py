"""Which files of a folder are its weights: as stock code looks for them, shards with and without an index."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from safe_load.core.errors import NotLoadable
from safe_load.core.options import Options
from safe_load.sources import inventory

if TYPE_CHECKING:
    from pathlib import Path

BIN = tuple(f"pytorch_model-{number:05}-of-00002.bin" for number in (1, 2))
SAFE = tuple(f"model-{number:05}-of-00002.safetensors" for number in (1, 2))
FP16 = tuple(f"model.fp16-{number:05}-of-00002.safetensors" for number in (1, 2))
OF_FOUR = tuple(f"pytorch_model-{number:05}-of-00004.bin" for number in (1, 3))


def folder(at: Path, *names: str, **indexes: tuple[str, ...]) -> Path:
    """Empty files of these names, and indexes: "bin", "safetensors" or "fp16" -> what it names."""
    for name in names:
        (at / name).touch()
    for kind, shards in indexes.items():
        table = {"weight_map": {f"t{number}": shard for number, shard in enumerate(shards)}}
        name = {
            "bin": "pytorch_model.bin.index.json",
            "safetensors": "model.safetensors.index.json",
            "fp16": "model.safetensors.index.fp16.json",
        }[kind]
        (at / name).write_text(json.dumps(table))
    return at


def exports(source: Path, **options: object) -> dict[str, str | None]:
    """Path -> what it is exported as."""
    taken = inventory.take(str(source), options=Options(**options))  # type: ignore[arg-type]
    return {entry.path: entry.export for entry in taken.weights}


def notes(source: Path) -> str:
    return "\n".join(inventory.take(str(source)).notes)


SHARDS = dict(zip(BIN, SAFE, strict=True))


def test_shards_with_their_index_are_taken(tmp_path: Path) -> None:
    assert exports(folder(tmp_path, *BIN, bin=BIN)) == SHARDS


def test_a_whole_set_without_an_index_has_the_names_that_stock_code_reads(tmp_path: Path) -> None:
    assert exports(folder(tmp_path, *BIN)) == SHARDS
    assert "its 2 shards have no index; the cleared copy has one" in notes(tmp_path)


def test_an_index_of_other_shards_is_told_and_the_whole_set_is_taken(tmp_path: Path) -> None:
    assert exports(folder(tmp_path, *BIN, bin=OF_FOUR)) == SHARDS
    assert (
        "pytorch_model.bin.index.json names the shard pytorch_model-00001-of-00004.bin, which is missing; "
        "the 2 shards pytorch_model-00001-of-00002.bin and following are a whole set"
        in notes(tmp_path)
    )


@pytest.mark.parametrize("index", [{}, {"bin": BIN}])
def test_a_missing_shard_is_one_sentence(tmp_path: Path, index: dict[str, tuple[str, ...]]) -> None:
    source = folder(tmp_path, BIN[0], **index)
    with pytest.raises(NotLoadable, match=rf"^[^\n]*{BIN[1]}[^\n]* is missing$"):
        exports(source)


def test_two_sets_without_an_index_are_named(tmp_path: Path) -> None:
    others = tuple(f"pytorch_model-{number:05}-of-00003.bin" for number in (1, 2, 3))
    with pytest.raises(NotLoadable, match=rf"several sets of shards.*{BIN[0]} and {others[0]}"):
        exports(folder(tmp_path, *BIN, *others))


@pytest.mark.parametrize("count", ["00000", "99999"])
def test_numbers_that_do_not_fit_are_refused(tmp_path: Path, count: str) -> None:
    with pytest.raises(NotLoadable):
        exports(folder(tmp_path, f"pytorch_model-00007-of-{count}.bin"))


ORDER = [
    (("model.safetensors", *SAFE, "pytorch_model.bin", *BIN), {"model.safetensors"}),
    ((*SAFE, "pytorch_model.bin", *BIN), set(SAFE)),
    (("pytorch_model.bin", *BIN), {"pytorch_model.bin"}),
    (BIN, set(BIN)),
]


@pytest.mark.parametrize(("names", "first"), ORDER)
def test_what_stock_code_looks_for_first_is_taken(
    tmp_path: Path, names: tuple[str, ...], first: set[str]
) -> None:
    assert exports(folder(tmp_path, *names, bin=BIN, safetensors=SAFE)
                   if set(SAFE) <= set(names) and set(BIN) <= set(names)
                   else folder(tmp_path, *names)).keys() == first  # fmt: skip


def test_an_index_of_what_would_not_be_loaded_is_no_reason_to_refuse(tmp_path: Path) -> None:
    # As after a download of the safetensors alone.
    source = folder(tmp_path, "model.safetensors", bin=BIN)
    assert exports(source).keys() == {"model.safetensors"}
    with pytest.raises(NotLoadable, match="which is missing"):
        exports(source, use_safetensors=False)


def test_an_index_without_its_shards_does_not_keep_a_tokenizer_from_loading(tmp_path: Path) -> None:
    folder(tmp_path, "tokenizer.json", safetensors=SAFE)
    assert exports(tmp_path, weights_optional=True) == {}


def test_a_variant_has_shards_and_an_index_of_its_own(tmp_path: Path) -> None:
    source = folder(tmp_path, "model.safetensors", *FP16, fp16=FP16)
    assert exports(source).keys() == {"model.safetensors"}
    assert exports(source, variant="fp16") == dict(zip(FP16, SAFE, strict=True))
    for index in tmp_path.glob("*.json"):
        index.unlink()
    assert exports(source, variant="fp16") == dict(zip(FP16, SAFE, strict=True))


def test_a_link_to_a_folder_of_the_model_is_not_followed_and_one_out_of_it_is_refused(
    tmp_path: Path,
) -> None:
    model, outside = tmp_path / "model", tmp_path / "outside"
    for each in (model / "run-1", outside):
        each.mkdir(parents=True)
    (model / "run-1" / "model.bin").touch()
    (model / "latest-run").symlink_to("run-1")
    stock = inventory.take(str(model), every=True)
    assert [entry.path for entry in stock.entries] == ["run-1/model.bin"]
    assert stock.notes == ("latest-run is a link to a folder of the model",)
    (model / "other").symlink_to(outside)
    with pytest.raises(NotLoadable, match="leads out of the model's folder"):
        inventory.take(str(model), every=True)


def test_an_index_that_leads_out_of_a_folder_without_weights_is_kept(tmp_path: Path) -> None:
    at = folder(tmp_path, safetensors=("../../other/model.safetensors",))
    (leak,) = inventory.take(str(at), every=True).leaves
    assert "../../other/model.safetensors" in leak
