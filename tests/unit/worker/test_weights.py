"""The comparison of two models' tensors: names that match, changes that are measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from safe_load.worker.weights import names
from safe_load.worker.weights.main import main
from safetensors.numpy import save_file

if TYPE_CHECKING:
    from pathlib import Path

RANDOM = np.random.default_rng(5)
LAYERS = 4


def model(width: int = 96) -> dict[str, Any]:
    """Four layers of two matrices and a norm, and an embedding."""
    made: dict[str, Any] = {"model.embed_tokens.weight": RANDOM.standard_normal((200, width))}
    for layer in range(LAYERS):
        base = f"model.layers.{layer}"
        made[f"{base}.self_attn.q_proj.weight"] = RANDOM.standard_normal((width, width))
        made[f"{base}.mlp.down_proj.weight"] = RANDOM.standard_normal((width, 2 * width))
        made[f"{base}.input_layernorm.weight"] = 1 + RANDOM.standard_normal(width) / 10
    return {name: value.astype(np.float32) for name, value in made.items()}


BASE = model()
EDITED = "model.layers.2.mlp.down_proj.weight"


def edited(strength: float = 0.02) -> dict[str, Any]:
    """BASE with a change of rank one in one matrix."""
    old = BASE[EDITED]
    change = np.outer(RANDOM.standard_normal(old.shape[0]), RANDOM.standard_normal(old.shape[1]))
    change *= strength * np.linalg.norm(old) / np.linalg.norm(change)
    return {**BASE, EDITED: (old + change).astype(np.float32)}


def compare(folder: Path, a: dict[str, Any], b: dict[str, Any]) -> dict[str, Any]:
    """What the worker says of two dicts of arrays."""
    for side, state in (("a", a), ("b", b)):
        save_file(
            {name: np.ascontiguousarray(value) for name, value in state.items()},
            folder / f"{side}.safetensors",
        )
    files = {side: [[str(folder / f"{side}.safetensors"), ""]] for side in "ab"}
    return main({**files, "cards": []}, [])


def pairs(said: dict[str, Any]) -> dict[str, dict[str, Any]]:
    assert said["error"] is None
    return {each["other"]: each for each in said["pairs"]}


def test_equal_models_are_identical(tmp_path: Path) -> None:
    said = compare(tmp_path, BASE, BASE)
    assert all(each["identical"] for each in said["pairs"])
    assert (said["added"], said["missing"]) == ([], [])


def test_a_change_of_rank_one_is_measured_as_one(tmp_path: Path) -> None:
    found = pairs(compare(tmp_path, BASE, edited()))
    assert [name for name, each in found.items() if not each["identical"]] == [EDITED]
    assert found[EDITED]["relative"] == pytest.approx(0.02, rel=1e-3)
    assert found[EDITED]["energy"][0] > 0.999
    assert found[EDITED]["rank"] == 1


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_rounding_explains_all_but_the_edit(tmp_path: Path, dtype: str) -> None:
    def saved(value: Any) -> Any:
        if dtype == "float16":
            return value.astype(np.float16)
        whole = value.view(np.uint32)
        return ((whole + 0x7FFF + ((whole >> 16) & 1)) & 0xFFFF0000).view(np.float32)

    state = {name: saved(value) for name, value in edited(0.05).items()}
    found = pairs(compare(tmp_path, BASE, state))
    assert [name for name, each in found.items() if not each["rounds"]] == [EDITED]
    assert found[EDITED]["energy"][0] > 0.95


def test_names_match_under_the_prefixes_of_wrappers(tmp_path: Path) -> None:
    wrapped = {f"module.{name.removeprefix('model.')}": value for name, value in BASE.items()}
    said = compare(tmp_path, BASE, wrapped)
    assert len(said["pairs"]) == len(BASE)
    assert all(each["identical"] for each in said["pairs"])


def test_gguf_names_and_the_order_of_llamas_rows_match(tmp_path: Path) -> None:
    def permuted(value: Any) -> Any:
        heads = value.reshape(6, 2, 8, value.shape[1])
        return heads.swapaxes(1, 2).reshape(value.shape)

    words = {
        "self_attn.q_proj": "attn_q",
        "mlp.down_proj": "ffn_down",
        "input_layernorm": "attn_norm",
    }
    state = {"token_embd.weight": BASE["model.embed_tokens.weight"]}
    for name, value in BASE.items():
        for word, short in words.items():
            if word in name:
                rows = permuted(value) if short == "attn_q" else value
                state[f"blk.{name.split('.')[2]}.{short}.weight"] = rows
    for one, other in ((BASE, state), (state, BASE)):
        said = compare(tmp_path, one, other)
        assert len(said["pairs"]) == len(BASE)
        assert all(each["identical"] for each in said["pairs"])


@pytest.mark.parametrize("square", [False, True])
def test_a_transposed_matrix_is_compared_the_other_way_round(tmp_path: Path, square: bool) -> None:
    name = "model.layers.1.self_attn.q_proj.weight" if square else EDITED
    found = pairs(compare(tmp_path, BASE, {**BASE, name: BASE[name].T}))
    assert found[name]["identical"]


def test_a_longer_embedding_is_compared_in_the_common_rows(tmp_path: Path) -> None:
    name = "model.embed_tokens.weight"
    longer = np.concatenate([BASE[name], np.ones((8, 96), np.float32)])
    found = pairs(compare(tmp_path, BASE, {**BASE, name: longer}))
    assert found[name]["resized"]
    assert found[name]["relative"] == 0.0


def test_shapes_that_do_not_match_give_no_numbers(tmp_path: Path) -> None:
    found = pairs(compare(tmp_path, BASE, {**BASE, EDITED: np.ones((3, 5), np.float32)}))
    assert not found[EDITED]["identical"]
    assert found[EDITED]["relative"] is None


def test_nan_and_infinities_are_counted_and_the_rest_is_compared(tmp_path: Path) -> None:
    odd = BASE[EDITED].copy()
    odd[0, 0], odd[1, 1] = np.nan, np.inf
    found = pairs(compare(tmp_path, BASE, {**BASE, EDITED: odd}))
    assert found[EDITED]["nonfinite"] == [0, 2]
    assert found[EDITED]["relative"] == 0.0
    assert not found[EDITED]["rounds"]


def test_a_tensor_that_one_side_writes_twice_is_not_missing(tmp_path: Path) -> None:
    twice = {**BASE, "lm_head.weight": BASE["model.embed_tokens.weight"]}
    assert compare(tmp_path, twice, BASE)["missing"] == []
    assert compare(tmp_path, BASE, twice)["added"] == []


def test_what_is_no_safetensors_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(b"\x80\x04" + bytes(64))
    place = [[str(tmp_path / "x.safetensors"), ""]]
    said = main({"a": place, "b": place, "cards": []}, [])
    assert "safetensors" in said["error"]
    assert said["pairs"] == []


@pytest.mark.parametrize(
    ("line", "relation"),
    [
        ("base_model_relation: quantized", "quantized"),
        ('base_model_relation: "finetune"', "finetune"),
        ("base_model_relation: no such word", None),
    ],
)
def test_a_card_says_what_the_model_is_of_its_base(
    tmp_path: Path, line: str, relation: str | None
) -> None:
    save_file({"x": np.ones(3, np.float32)}, tmp_path / "x.safetensors")
    (tmp_path / "README.md").write_text(
        f"---\nlicense: mit\n{line}\n---\nbase_model_relation: merge\n"
    )
    place = [[str(tmp_path / "x.safetensors"), ""]]
    said = main({"a": place, "b": place, "cards": [str(tmp_path / "README.md")]}, [])
    assert said["relation"] == relation


@pytest.mark.parametrize(
    ("name", "purpose"),
    [
        ("bert.encoder.layer.3.attention.self.query.bias", "blk.3.attn_q.bias"),
        ("transformer.h.0.mlp.c_fc.weight", "blk.0.ffn_up.weight"),
        ("model.layers.11.post_attention_layernorm.weight", "blk.11.ffn_norm.weight"),
        ("lm_head.weight", "output.weight"),
        ("blk.7.ffn_gate.weight", "blk.7.ffn_gate.weight"),
        ("something.else", None),
    ],
)
def test_a_name_says_what_its_tensor_is_for(name: str, purpose: str | None) -> None:
    assert names.purpose(name) == purpose
