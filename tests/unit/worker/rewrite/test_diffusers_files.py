"""What diffusers reads is written anew, and imports nothing but diffusers' and transformers' own."""

from __future__ import annotations

import json
from typing import Any

import pytest
from safe_load.worker.rewrite.diffusers_files import PIPELINE, SCHEDULER, part, pipeline

STABLE = {
    "_class_name": "StableDiffusionPipeline",
    "_diffusers_version": "0.42.1",
    "feature_extractor": ["transformers", "CLIPFeatureExtractor"],
    "image_encoder": [None, None],
    "requires_safety_checker": True,
    "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
    "scheduler": ["diffusers", "PNDMScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}
VAE = {
    "_class_name": "AutoencoderKL",
    "_diffusers_version": "0.6.0.dev0",
    "act_fn": "silu",
    "block_out_channels": [8, 16],
    "down_block_types": ["DownEncoderBlock2D", "DownEncoderBlock2D"],
    "latents_mean": None,
    "scaling_factor": 0.18215,
    "use_quant_conv": True,
}


def listed(**changed: Any) -> bytes:
    return json.dumps(STABLE | changed).encode()


def of_part(**changed: Any) -> bytes:
    return json.dumps(VAE | changed).encode()


def test_a_pipeline_of_diffusers_own_comes_out_as_it_was() -> None:
    result = pipeline(listed())
    assert json.loads(result.files[PIPELINE]) == STABLE
    assert [result.requests, result.dropped, result.notes] == [[], [], []]


@pytest.mark.parametrize(
    "pair",
    [
        ["unet", "Evil"],  # unet/unet.py, which diffusers would import
        ["pipeline", "Evil"],
        ["..", "Evil"],
        ["../unet", "UNet2DConditionModel"],
        ["/tmp/evil", "Evil"],
        ["diffusers.models", "UNet2DConditionModel"],
        ["transformers.utils", "CLIPTextModel"],
        ["os", "system"],
        ["Diffusers", "UNet2DConditionModel"],
        ["diffusers", "models.UNet2DConditionModel"],
        ["diffusers", "UNet2DConditionModel\n"],
        ["", ""],
    ],
)
@pytest.mark.parametrize("key", ["unet", "more"])
def test_a_part_of_another_library_is_left_out_and_a_finding(pair: Any, key: str) -> None:
    result = pipeline(listed(**{key: pair}))
    assert json.loads(result.files[PIPELINE]) == {k: v for k, v in STABLE.items() if k != key}
    assert [(ask.location, ask.finding, ask.severity) for ask in result.requests] == [
        (f"{PIPELINE}: {key}", "SL503", "medium")
    ]


@pytest.mark.parametrize(
    "pair",
    [
        ["diffusers", "DiffusionPipeline"],
        ["diffusers", "ModularPipeline"],
        ["diffusers", "AutoModel"],
        ["diffusers", "OnnxRuntimeModel"],
        ["diffusers", "Blip2QFormerModel"],  # fetches bert-base-uncased by itself
        ["diffusers", "LTX2VideoDiffusionDecoderModel"],  # fetches a kernel by itself
        ["diffusers", "StableDiffusionSafetyChecker"],
        ["diffusers", "load_image"],
        ["stable_diffusion", "StableDiffusionPipeline"],
        ["transformers", "AutoModel"],
        ["transformers", "pipeline"],
        ["transformers", "PreTrainedConfig"],
        ["transformers", "__loader__"],
        ["diffusers", None],
        [None, "UNet2DConditionModel"],
        ["diffusers", "UNet2DConditionModel", "x"],
        ["diffusers"],
        ["diffusers", ["UNet2DConditionModel"]],
        [["diffusers", "UNet2DConditionModel"]],
        [{"a": 1}, 2],
    ],
)
def test_a_part_of_no_known_class_is_left_out(pair: list[Any]) -> None:
    result = pipeline(listed(unet=pair))
    assert "unet" not in json.loads(result.files[PIPELINE])
    assert [dropped.location for dropped in result.dropped] == [f"{PIPELINE}: unet"]


@pytest.mark.parametrize(
    "name",
    [
        ["pipeline", "EvilPipeline"],  # pipeline.py of the folder
        ["StableDiffusionPipeline"],
        "../pipeline",
        "evil.EvilPipeline",
        "Stable DiffusionPipeline",
        {"a": "b"},
        7,
        None,
    ],
)
def test_a_pipeline_out_of_the_folder_leaves_out_the_list_and_is_a_finding(name: Any) -> None:
    result = pipeline(listed(_class_name=name))
    assert not result.files
    assert [ask.finding for ask in result.requests] == ["SL503"]
    assert len(result.notes) == 1


@pytest.mark.parametrize(
    "name", ["EvilPipeline", "FlaxStableDiffusionPipeline", "DiffusionPipeline", "UNet2DModel"]
)
def test_a_pipeline_that_is_not_known_leaves_out_the_list(name: str) -> None:
    result = pipeline(listed(_class_name=name))
    assert not result.files
    assert result.notes == [
        f"{PIPELINE} was not exported: '{name}' is no pipeline of diffusers 0.42.1 that is known"
    ]


@pytest.mark.parametrize(
    "key", ["custom_pipeline", "custom_revision", "trust_remote_code", "auto_map"]
)
def test_a_pipeline_that_asks_for_code_is_a_finding(key: str) -> None:
    result = pipeline(listed(**{key: "evil/pipeline"}))
    assert json.loads(result.files[PIPELINE]) == STABLE
    assert [ask.location for ask in result.requests] == [f"{PIPELINE}: {key}"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("requires_safety_checker", "../x"),
        ("scheduler", "os"),  # diffusers would take the letters for a library and a class
        ("scheduler", "/etc/passwd"),
        ("_diffusers_version", "../0.1"),
        ("_diffusers_version", 3),
        ("_name_or_path", "evil/x"),
        ("_ignore_files", "a/b"),
        ("requires_safety_checker", {"_name_or_path": "x"}),
    ],
)
def test_a_setting_that_is_no_plain_value_is_left_out(key: str, value: Any) -> None:
    kept = json.loads(pipeline(listed(**{key: value})).files[PIPELINE])
    assert kept.get(key) in (None, {})
    assert {k: v for k, v in kept.items() if k != key} == {
        k: v for k, v in STABLE.items() if k != key
    }


def test_what_pipelines_of_today_and_of_old_say_is_no_finding() -> None:
    config = {
        "_class_name": "StableDiffusionPAGPipeline",
        "_ignore_files": ["a.ckpt", "b.ckpt"],
        "_name_or_path": "org/name",
        "pag_applied_layers": ["down.block_2", "mid"],
        "image_encoder": ["deepfloyd_if", "IFSafetyChecker"],
        "text_encoder": ["transformers", "Qwen2_5_VLForConditionalGeneration"],
        "tokenizer": ["transformers", "PreTrainedTokenizerFast"],
        "unet": ["diffusers", "ModelOfTomorrow"],
    }
    result = pipeline(json.dumps(config).encode())
    assert not result.requests
    assert json.loads(result.files[PIPELINE]) == {
        key: value for key, value in config.items() if key not in ("_ignore_files", "_name_or_path", "unet")
    }  # fmt: skip


def test_a_module_that_diffusers_no_longer_has_is_left_out_and_low_unless_a_file_is_it() -> None:
    old = ["paint_by_example", "PaintByExampleImageEncoder"]
    result = pipeline(listed(image_encoder=old))
    assert "image_encoder" not in json.loads(result.files[PIPELINE])
    assert [ask.severity for ask in result.requests] == ["low"]
    requests = pipeline(listed(image_encoder=old), {"paint_by_example"}).requests
    assert [ask.severity for ask in requests] == ["medium"]


@pytest.mark.parametrize("data", [b"{", b"[1]", b"[" * 10_000, b'{"unet": 1, "unet": 2}', b"\xff"])
def test_a_file_that_is_none_is_told_and_left_out(data: bytes) -> None:
    for result in (pipeline(data), part(SCHEDULER, data, "scheduler/")):
        assert not result.files
        assert len(result.notes) == 1


def test_a_part_keeps_what_its_class_takes() -> None:
    result = part("config.json", of_part(), "vae/")
    assert json.loads(result.files["config.json"]) == VAE
    assert [result.requests, result.dropped, result.notes] == [[], [], []]


def test_a_scheduler_keeps_what_another_would_take_and_its_infinities() -> None:
    config = {
        "_class_name": "PNDMScheduler",
        "_use_default_values": ["prediction_type"],
        "clip_sample": False,
        "lambda_min_clipped": float("-inf"),
        "skip_prk_steps": True,
        "trained_betas": None,
    }
    result = part(SCHEDULER, json.dumps(config).encode(), "scheduler/")
    assert json.loads(result.files[SCHEDULER]) == config


@pytest.mark.parametrize(
    ("key", "value", "asked"),
    [
        ("auto_map", {"AutoModel": "evil.Evil"}, True),
        ("_name_or_path", "../evil", False),
        ("act_fn", "../evil", False),
        ("act_fn", "https://evil.test/x", False),
        ("act_fn", "x" * 300, False),
        ("block_out_channels", [8, "/etc/passwd"], False),
        ("block_out_channels", [8, {"_name_or_path": "x"}], False),
        ("block_out_channels", [1 << 70], False),
        ("act_fn", {"auto_map": "x"}, True),
        ("unknown", 1, False),
        ("quantization_config", {"quant_method": "evil"}, True),
        ("quantization_config", {"quant_method": "torchao"}, False),
        ("_use_default_values", "act_fn", False),
        ("_use_default_values", ["../act_fn"], False),
        ("_use_default_values", [["act_fn"]], False),
        ("_use_default_values", {"act_fn": 1}, False),
        ("_use_default_values", ["a"] * 1001, False),
    ],
)
def test_a_part_loses_what_is_no_plain_value_of_its_class(
    key: str, value: Any, asked: bool
) -> None:
    result = part("config.json", of_part(**{key: value}), "vae/")
    kept = json.loads(result.files["config.json"])
    assert kept.get(key) in (None, {})
    assert {k: v for k, v in kept.items() if k != key} == {k: v for k, v in VAE.items() if k != key}
    assert bool(result.requests) is asked
    assert [dropped.location.rpartition("vae/")[2].split(".auto_map")[0] for dropped in result.dropped] == [
        f"config.json: {key}"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("EvilModel", False),
        ("AutoModel", False),
        ("evil.AutoencoderKL", True),
        ("../AutoencoderKL", True),
        (["autoencoder", "AutoencoderKL"], True),
        (None, True),
    ],
)
def test_a_part_of_another_class_is_told_and_left_out(name: Any, asked: bool) -> None:
    result = part("config.json", of_part(_class_name=name), "vae/")
    assert not result.files
    assert len(result.notes) == 1
    assert bool(result.requests) is asked
