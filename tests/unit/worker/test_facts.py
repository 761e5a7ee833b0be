"""What programs read beside the weights comes out as texts, and nothing else of a file's metadata."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safe_load.export import safetensors_check
from safe_load.worker.tensors import facts
from safetensors.torch import save

from tests.unit.worker.checkpoints import saved

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LORA = {"lora_unet_q.lora_down.weight": torch.ones(2, 3), "lora_unet_q.alpha": torch.tensor(1.0)}
TOLD = {
    "ss_network_module": "networks.lora",
    "ss_network_dim": "4",
    "ss_tag_frequency": json.dumps({"10_cat": {"köter": 1}}),
    "sshs_model_hash": "ab" * 32,
    "modelspec.architecture": "stable-diffusion-v1/lora",
}
ADAPTER = {
    "unet.r": 4,
    "unet.lora_alpha": 8,
    "unet.target_modules": ["to_q", "attn.*to_k"],
    "unet.peft_type": "LORA",
    "unet.megatron_core": "megatron.core",
    "unet.base_model_name_or_path": "org/other",
    "text_encoder.r": 2,
}


@pytest.fixture
def told(extracted: Callable[..., Any], tmp_path: Path) -> Callable[[bytes], tuple[Any, str]]:
    """Call it with a file: the metadata of its export, which the controller accepts, and all notes."""

    def run(data: bytes) -> tuple[Any, str]:
        result = extracted(data)
        assert result["status"] == "ok", result["reason"]
        header = safetensors_check.check(tmp_path / "out.safetensors")
        assert header.metadata.pop("format") == "pt"
        return header.metadata, "\n".join(result["notes"])

    return run


@pytest.mark.parametrize(
    "made",
    [
        lambda: save(LORA, TOLD),
        lambda: saved({**LORA, **TOLD}),
        lambda: saved({"state_dict": LORA, "__metadata__": TOLD}),
        lambda: saved({**LORA, "metadata": TOLD, "epoch": 3, "comment": "none of them"}),
    ],
)
def test_facts_of_kohya_come_out_of_every_form_of_a_lora(
    told: Any, made: Callable[[], bytes]
) -> None:
    metadata, notes = told(made())
    assert metadata == TOLD
    assert "metadata left out" not in notes


def test_what_is_no_fact_is_left_out_and_named(told: Any) -> None:
    metadata, notes = told(save(LORA, {"ss_epoch": "3", "auto_map": "x.py", "ss_": "y"}))
    assert metadata == {"ss_epoch": "3"}
    assert "metadata left out: 'auto_map', 'ss_'" in notes


def test_what_is_not_printable_is_escaped_and_json_means_the_same(told: Any) -> None:
    pretty = json.dumps({"a": "x\u202ey", "b": [1]}, indent=2, ensure_ascii=False)
    given = {"ss_training_comment": "one\ntwo\x1b[31m\u202e", "ss_datasets": pretty, "ss_lr": 0.5}
    metadata, _ = told(saved({**LORA, **given}))
    assert metadata["ss_training_comment"] == r"one\ntwo\x1b[31m\u202e"
    assert json.loads(metadata["ss_datasets"]) == json.loads(pretty)
    assert metadata["ss_lr"] == "0.5"


@pytest.mark.parametrize(
    "key_and_value",
    [
        ("ss_network_module", "os.path"),
        ("ss_tag_frequency", "x" * (facts.MAX_FACT + 1)),
        ("lora_adapter_metadata", "{"),
        ("lora_adapter_metadata", json.dumps({"peft_type": "XLORA", "r": 1})),
        ("lora_adapter_metadata", json.dumps({"r": 1, "target_modules": "(a+)+$"})),
        ("lora_adapter_metadata", json.dumps({"a.b.r": 1})),
    ],
)
def test_a_fact_that_may_do_more_than_tell_is_left_out(
    told: Any, key_and_value: tuple[str, str]
) -> None:
    key, value = key_and_value
    for made in (save(LORA, {key: value}), saved({**LORA, key: value})):
        metadata, notes = told(made)
        assert metadata == {}
        assert f"metadata left out: '{key}'" in notes


def test_facts_are_bounded_in_number_and_together(told: Any) -> None:
    many = {f"ss_{number}": "x" for number in range(facts.MOST + 5)}
    assert len(told(saved({**LORA, **many}))[0]) == facts.MOST
    long = {f"ss_{number}": "x" * facts.MAX_FACT for number in range(6)}
    assert len(told(saved({**LORA, **long}))[0]) == facts.MAX_FACTS // facts.MAX_FACT


def test_the_adapter_of_diffusers_keeps_what_peft_needs_and_names_nothing(told: Any) -> None:
    text = json.dumps(ADAPTER, indent=2, sort_keys=True)  # as diffusers writes it
    metadata, _ = told(save(LORA, {facts.ADAPTER: text}))
    expected = {
        key: value for key, value in ADAPTER.items() if "megatron" not in key and "base" not in key
    }
    assert json.loads(metadata[facts.ADAPTER]) == expected


def test_a_tensor_that_is_called_like_a_fact_stays_a_tensor(told: Any) -> None:
    assert told(save({**LORA, "ss_x": torch.ones(1)}, {"ss_y": "1"}))[0] == {"ss_y": "1"}
    assert told(saved({**LORA, "ss_x": torch.ones(1), "__metadata__": {"ss_x": "1"}}))[0] == {}


@pytest.mark.parametrize(
    "metadata",
    [
        {"ss_a": "x\ny"},
        {"ss_network_module": "os"},
        {"ss_a": "x" * (facts.MAX_FACT + 1)},
        {f"ss_{number}": "x" for number in range(facts.MOST + 1)},
        {f"ss_{number}": "x" * facts.MAX_FACT for number in range(5)},
        {facts.ADAPTER: json.dumps({"megatron_core": "os"})},
        {facts.ADAPTER: json.dumps({"unet.megatron_core": "os"})},
        {facts.ADAPTER: "[]"},
        {facts.ADAPTER: "{"},
        {"ss_" + "x" * 101: "1"},
        {"modelspec": "1"},
        {"weight": "1"},
    ],
)
def test_the_controller_refuses_facts_that_no_room_writes(
    metadata: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "out.safetensors").write_bytes(save({"weight": torch.ones(1)} | LORA, metadata))
    with pytest.raises(safetensors_check.Malformed):
        safetensors_check.check(tmp_path / "out.safetensors")
