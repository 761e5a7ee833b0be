"""From measured pairs to the kind of change."""

from __future__ import annotations

from typing import Any

import pytest
from safe_load.core.weights import place_of
from safe_load.weights import results
from safe_load.weights.classify import classify

SHAPE = [128, 128]
#: The edge of noise for SHAPE is 1/32: this is noise.
NOISE = [0.03 - number / 1000 for number in range(12)]
SPIKE = [0.95, 0.004, *[0.003] * 10]
TRAINED = [0.3, 0.12, 0.08, 0.06, 0.05, 0.04, 0.03, 0.03, 0.02, 0.02, 0.02, 0.02]


def pair(layer: int, kind: str = "mlp.up_proj", **more: Any) -> dict[str, Any]:
    """One matrix, the same on both sides where nothing else is said."""
    name = f"layers.{layer}.{kind}.weight"
    return {"name": name, "other": name, "shape": SHAPE, "identical": not more, **more}


def changed(layer: int, relative: float, energy: list[float], **more: Any) -> dict[str, Any]:
    return pair(layer, relative=relative, energy=energy, balanced=energy, cosine=0.99, **more)


def said(*pairs: dict[str, Any], **more: Any) -> results.Said:
    document = {"error": None, "pairs": list(pairs), "added": [], "missing": [], "relation": None}
    return results.read({**document, **more})


OTHERS = [pair(layer, kind) for layer in range(8) for kind in ("attn.q", "attn.k", "attn.v")]
SAME = [pair(layer) for layer in range(8)]


def test_nothing_changed_is_identical() -> None:
    assert classify(said(*SAME)).difference.kind == "identical"


def test_one_matrix_with_one_direction_is_surgical_and_comes_first() -> None:
    edit = changed(3, 0.02, SPIKE, rank=1)
    judged = classify(said(*OTHERS, *SAME[:3], edit, *SAME[4:]))
    assert judged.difference.kind == "surgical"
    assert judged.outliers == (edit["name"],)
    assert judged.difference.tensors[0].name == edit["name"]
    assert judged.difference.tensors[0].top1 == 0.95
    assert (judged.difference.tensors[0].z or 0) > 6


def test_noise_on_fewer_levels_is_rounding() -> None:
    noisy = [changed(n, 0.08, NOISE, levels=(1.0, 0.4)) for n in range(8)]
    assert classify(said(*OTHERS, *noisy)).difference.kind == "rounding"


def test_an_edit_under_quantisation_is_surgical() -> None:
    noisy = [changed(n, 0.01, NOISE, levels=(1.0, 0.93)) for n in range(8)]
    noisy[5] = changed(5, 0.02, SPIKE, levels=(1.0, 0.93))
    judged = classify(said(*OTHERS, *noisy))
    assert (judged.difference.kind, judged.outliers) == ("surgical", (noisy[5]["name"],))


def test_change_spread_over_all_is_a_fine_tune() -> None:
    trained = [changed(n, 0.01 + n / 1000, TRAINED) for n in range(8)]
    assert classify(said(*trained)).difference.kind == "fine-tune"


def test_an_edit_that_stands_out_of_a_fine_tune_is_surgical() -> None:
    trained = [changed(n, 0.01, TRAINED) for n in range(8)]
    trained[2] = changed(2, 0.05, SPIKE)
    judged = classify(said(*trained))
    assert (judged.difference.kind, judged.outliers) == ("surgical", (trained[2]["name"],))


def test_training_of_the_last_layer_alone_is_no_edit() -> None:
    kinds = ("mlp.up_proj", "mlp.down_proj", "attn.q", "attn.k", "attn.v", "attn.o")
    pairs = [pair(layer, kind) for layer in range(7) for kind in kinds]
    pairs += [{**changed(7, 0.01, TRAINED), "name": f"layers.7.{kind}.weight"} for kind in kinds]
    assert classify(said(*pairs)).difference.kind == "fine-tune"


def test_low_rank_in_many_layers_is_an_adapter() -> None:
    merged = [changed(n, 0.01, [0.3, 0.3, 0.2, 0.2, *[0.0] * 8], rank=4) for n in range(8)]
    judged = classify(said(*OTHERS, *merged))
    assert (judged.difference.kind, judged.difference.rank) == ("adapter", 4)


def test_pruned_weights_are_no_rounding() -> None:
    pruned = [changed(n, 0.1, NOISE, levels=(1.0, 0.72), zeroed=0.3) for n in range(8)]
    assert classify(said(*pruned)).difference.kind == "fine-tune"


@pytest.mark.parametrize("added", [["classifier.weight"], ["x.position_ids"]])
def test_an_added_head_is_training_and_a_buffer_is_not(added: list[str]) -> None:
    kind = classify(said(*SAME, added=added)).difference.kind
    assert kind == ("fine-tune" if added == ["classifier.weight"] else "identical")


def test_models_without_a_common_tensor_are_unrelated() -> None:
    assert classify(said(added=["a"], missing=["b"])).difference.kind == "unrelated"


def test_other_numbers_under_the_same_names_are_unrelated() -> None:
    alien = [pair(n, relative=1.4, energy=NOISE, balanced=NOISE, cosine=0.01) for n in range(8)]
    assert classify(said(*alien)).difference.kind == "unrelated"


def test_one_tensor_is_told_in_the_singular() -> None:
    one = [*SAME[:3], changed(3, 0.2, TRAINED), *SAME[4:]]
    assert classify(said(*one)).sentence == "1 tensor changed in 1 layer, as training makes"


def test_nan_and_shapes_are_told_in_a_sentence_each() -> None:
    odd = changed(0, 0.0, [], nonfinite=(0, 7))
    other = pair(1, relative=None, other_shape=[4, 4])
    notes = classify(said(odd, other, *SAME[2:])).notes
    assert len(notes) == 2
    assert "NaN" in notes[0]
    assert "shapes" in notes[1]


@pytest.mark.parametrize(
    "broken",
    [
        {"pairs": [{"name": "x"}]},
        {"pairs": [{"name": "x" * 2000, "other": "x"}]},
        {"pairs": [{"name": "x", "other": "x", "energy": [2.0]}]},
        {"pairs": [{"name": "x", "other": "x", "relative": 1e40}]},
        {"more": 1},
    ],
)
def test_what_no_worker_of_ours_says_is_refused(broken: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="malformed"):
        said(**broken)


@pytest.mark.parametrize(
    ("name", "kind", "layer"),
    [
        ("encoder.layer.3.output.dense.weight", "encoder.output.dense.weight", 3),
        ("blk.12.attn_q.weight", "attn_q.weight", 12),
        ("h.0.ln_1.bias", "ln_1.bias", 0),
        ("lm_head.weight", "lm_head.weight", None),
    ],
)
def test_a_name_says_kind_and_layer(name: str, kind: str, layer: int | None) -> None:
    assert place_of(name) == (kind, layer)
