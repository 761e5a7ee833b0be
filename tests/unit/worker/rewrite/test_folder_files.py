"""What lies beside the weights, folder by folder: what is known comes out, and nothing else does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from safe_load.rewrite import selection
from safe_load.sources import inventory
from safe_load.worker.rewrite import folder_files
from safe_load.worker.rewrite.files import File
from safe_load.worker.rewrite.folder_files import requests_of_others, rewrite

if TYPE_CHECKING:
    from pathlib import Path

    from safe_load.worker.rewrite.config_writer import Rewritten

EMPTY = b"\x08\0\0\0\0\0\0\0{}      "


def rewritten(folder: Path, files: dict[str, Any]) -> Rewritten:
    for name, value in {"model.safetensors": EMPTY, **files}.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        data = (
            value
            if isinstance(value, bytes)
            else (value if isinstance(value, str) else json.dumps(value)).encode()
        )
        place.write_bytes(data)
    stock = inventory.take(str(folder))
    files = [File(each.path, str(each.place), each.size) for each in selection.to_read(stock)]
    return rewrite(files, selection.python_beside(stock), {})


def test_a_file_that_is_not_known_does_not_come_out(tmp_path: Path) -> None:
    files = {
        "config.json": {"model_type": "bert"},
        "modeling_evil.py": "import os",
        "README.md": "# hello",
        "spiece.model": b"\x0a\x01",
        "handler.py": "x",
        "requirements.txt": "evil",
        "audio_tokenizer_config.json": {"audio_tokenizer_name_or_path": "evil/x"},
        "tokenizer_config.json.bak": "{}",
        "training_args.json": {},
        "custom_generate/generate.py": "x",
        "additional_chat_templates/../x.jinja": "x",
        "chat_template.py": "x",
        "Config.json": {"auto_map": {"AutoConfig": "x.X"}},
    }
    assert set(rewritten(tmp_path, files).files) == {"config.json"}


def test_each_folder_of_a_pipeline_is_written_anew(tmp_path: Path) -> None:
    listed = {
        "_class_name": "StableDiffusionPipeline",
        "unet": ["diffusers", "UNet2DConditionModel"],
    }
    files = {
        "model_index.json": listed | {"vae": ["vae", "Evil"]},
        "pipeline.py": "import os",
        "vae/vae.py": "import os",
        "vae/config.json": {"_class_name": "Evil"},
        "unet/config.json": {
            "_class_name": "UNet2DConditionModel",
            "custom": "x",
            "sample_size": 8,
        },
        "unet/diffusion_pytorch_model.safetensors": EMPTY,
        "text_encoder/config.json": {
            "model_type": "clip_text_model",
            "auto_map": {"AutoModel": "x.X"},
        },
        "text_encoder/model.safetensors": EMPTY,
        "tokenizer/vocab.json": {"a": 0},
        "tokenizer/merges.txt": "#version: 0.2\n",
        "tokenizer/tokenizer_config.json": {
            "tokenizer_class": "CLIPTokenizer",
            "name_or_path": "/x",
        },
        "scheduler/scheduler_config.json": {"_class_name": "DDIMScheduler", "steps_offset": 1},
    }
    result = rewritten(tmp_path, files)
    assert set(result.files) == {
        "model_index.json", "unet/config.json", "text_encoder/config.json", "tokenizer/vocab.json",
        "tokenizer/merges.txt", "tokenizer/tokenizer_config.json", "scheduler/scheduler_config.json",
    }  # fmt: skip
    cleared = {
        name: json.loads(data) for name, data in result.files.items() if "merges" not in name
    }
    assert cleared["model_index.json"] == listed
    assert cleared["text_encoder/config.json"] == {"model_type": "clip_text_model"}
    assert cleared["unet/config.json"] == {"_class_name": "UNet2DConditionModel", "sample_size": 8}
    assert cleared["scheduler/scheduler_config.json"] == files["scheduler/scheduler_config.json"]
    assert {ask.location for ask in result.requests} == {
        "model_index.json: vae",
        "text_encoder/config.json: auto_map",
    }


def test_one_part_of_a_pipeline_is_a_model_of_its_own(tmp_path: Path) -> None:
    config = {"_class_name": "AutoencoderKL", "sample_size": 8}
    result = rewritten(tmp_path, {"config.json": config})
    assert json.loads(result.files["config.json"]) == config
    assert not result.notes


def test_an_adapter_beside_a_model_is_a_detour_and_alone_it_is_an_adapter(tmp_path: Path) -> None:
    adapter = {"base_model_name_or_path": "evil/model", "peft_type": "LORA"}
    beside = rewritten(
        tmp_path / "beside", {"adapter_config.json": adapter, "config.json": {"model_type": "bert"}}
    )
    alone = rewritten(tmp_path / "alone", {"adapter_config.json": adapter})
    assert [ask.severity for ask in beside.requests] == ["medium"]
    assert not alone.requests
    for result in (beside, alone):
        assert b"evil" not in result.files.get("adapter_config.json", b"")
        assert any("adapter_config.json" in note for note in result.notes)


def test_a_broken_configuration_of_the_model_is_not_loadable_and_of_a_part_it_is_told(
    tmp_path: Path,
) -> None:
    broken = rewritten(tmp_path / "one", {"config.json": "{"})
    assert broken.error is not None
    assert "config.json" in broken.error
    assert not broken.files
    result = rewritten(
        tmp_path / "two", {"config.json": {"model_type": "bert"}, "part/config.json": "{"}
    )
    assert set(result.files) == {"config.json"}
    assert any("part/config.json" in note for note in result.notes)


PROCESSORS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "code": (
        "preprocessor_config.json",
        {"image_processor_type": "CLIPImageProcessor", "auto_map": {"AutoImageProcessor": "x.X"}, "do_resize": True},
        {"image_processor_type": "CLIPImageProcessor", "do_resize": True},
    ),
    "a repository to read from": (
        "preprocessor_config.json",
        {"image_processor_type": "OneFormerImageProcessor", "repo_path": "evil/x", "class_info_file": "/etc/passwd",
         "num_labels": 3},
        {"image_processor_type": "OneFormerImageProcessor", "num_labels": 3},
    ),
    "a class that is none": (
        "preprocessor_config.json",
        {"image_processor_type": "Popen", "processor_class": "EvilProcessor", "do_resize": True},
        {"do_resize": True},
    ),
    "keys of another class": (
        "preprocessor_config.json",
        {"feature_extractor_type": "WhisperFeatureExtractor", "feature_size": 80, "phonemizer": "x", "do_resize": True},
        {"feature_extractor_type": "WhisperFeatureExtractor", "feature_size": 80},
    ),
    "an audio tokenizer": (
        "processor_config.json",
        {"processor_class": "CLIPProcessor", "audio_tokenizer": {"audio_tokenizer_name_or_path": "evil/x"},
         "image_processor": {"image_processor_type": "CLIPImageProcessor", "size": {"height": 3, "width": 3},
                             "auto_map": {}, "crop_size": "../x"}},
        {"processor_class": "CLIPProcessor",
         "image_processor": {"image_processor_type": "CLIPImageProcessor", "size": {"height": 3, "width": 3}}},
    ),
    "a token with a slash": (
        "processor_config.json",
        {"processor_class": "LlavaProcessor", "image_token": "</image>", "patch_size": 14, "chat_template": "{{ x.__class__ }}"},
        {"processor_class": "LlavaProcessor", "image_token": "</image>", "patch_size": 14},
    ),
    "a template": ("chat_template.json", {"chat_template": "{{ messages }}", "x": 1}, {"chat_template": "{{ messages }}"}),
    "a video processor": (
        "video_preprocessor_config.json",
        {"video_processor_type": "LlavaOnevisionVideoProcessor", "num_frames": 8, "auto_map": {"x": "y"}},
        {"video_processor_type": "LlavaOnevisionVideoProcessor", "num_frames": 8},
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", PROCESSORS)
def test_a_processor_keeps_what_its_class_takes(what: str, tmp_path: Path) -> None:
    name, value, kept = PROCESSORS[what]
    assert json.loads(rewritten(tmp_path, {name: value}).files[name]) == kept


def test_a_processor_that_fetches_by_itself_is_not_exported(tmp_path: Path) -> None:
    named = {"processor_class": "MgpstrProcessor"}
    image = {"image_processor_type": "ViTImageProcessor", "do_resize": True}
    files = {"preprocessor_config.json": image | named, "processor_config.json": named}
    of_type = rewritten(tmp_path / "one", {"config.json": {"model_type": "mgp-str"}, **files})
    assert set(of_type.files) == {"config.json"}
    assert any("the processor was not exported" in note for note in of_type.notes)
    other = rewritten(
        tmp_path / "two",
        {
            "config.json": {"model_type": "vit"} | named,
            "tokenizer_config.json": {"tokenizer_class": "BertTokenizer"} | named,
            "vocab.txt": "a",
            **files,
        },
    )
    assert json.loads(other.files["preprocessor_config.json"]) == image
    assert not any(b"Mgpstr" in data for data in other.files.values())


def test_a_template_of_its_own_file_is_text_or_left_out(tmp_path: Path) -> None:
    files = {
        "chat_template.jinja": "{{ messages[0].content }}",
        "additional_chat_templates/rag.jinja": "{{ documents }}",
        "additional_chat_templates/odd.jinja": "{{ documents|odd }}",
        "additional_chat_templates/evil.jinja": "{{ ''.__class__ }}",
    }
    result = rewritten(tmp_path, files)
    assert set(result.files) == {"chat_template.jinja", "additional_chat_templates/rag.jinja"}
    assert [(ask.finding, ask.severity) for ask in result.requests] == [("SL504", "low")]
    assert len(result.notes) == 2


def test_a_tokenizer_without_a_form_that_is_exported_is_to_be_converted(tmp_path: Path) -> None:
    def asked(name: str, files: dict[str, Any]) -> list[str]:
        rewritten(tmp_path / name, files)
        return sorted(selection.to_convert(inventory.take(str(tmp_path / name))))

    model = {"tokenizer.model": b"\x0a\x01"}
    assert asked("alone", model) == [""]
    assert asked("part", {"tokenizer/spiece.model": b"x"}) == ["tokenizer"]
    assert asked("beside", model | {"tokenizer.json": "{}"}) == []
    assert asked("none", {"vocab.txt": "a"}) == []


@pytest.mark.parametrize(
    ("adapter", "severity"),
    [
        ({"megatron_config": {}, "megatron_core": "evil.core"}, "medium"),
        ({"auto_mapping": {"base_model_class": "A", "parent_library": "evil"}}, "medium"),
        ({"auto_mapping": {"parent_library": ["transformers"]}}, "medium"),
        ({"auto_map": {"AutoModel": "evil.Model"}}, "medium"),
        ({"tokenizer_kwargs": {"trust_remote_code": True}}, "medium"),
        ({"tokenizer_kwargs": {"use_fast": False}}, None),
        ({"megatron_core": "megatron.core", "tokenizer_name_or_path": "x/y"}, None),
        ({"auto_mapping": {"parent_library": "transformers.models.llama.modeling_llama"}}, None),
        ({"auto_mapping": None, "megatron_core": None}, None),
    ],
    ids=str,
)
def test_an_adapter_names_no_module_to_import(
    tmp_path: Path, adapter: dict[str, Any], severity: str | None
) -> None:
    honest = {"peft_type": "LORA", "base_model_name_or_path": "x/y"}
    result = rewritten(tmp_path, {"adapter_config.json": honest | adapter})
    assert [each.severity for each in result.requests] == ([severity] if severity else [])


@pytest.mark.parametrize("name", ["modular_config.json", "any.json", "deep/er/other.json"])
@pytest.mark.parametrize(
    ("value", "kinds"),
    [
        ({"auto_map": {"ModularPipelineBlocks": "block.B"}}, ["code"]),
        ({"a": [{"b": {"attn_implementation": "org/kernel"}}]}, ["kernel"]),
        ({"attn_implementation": "sdpa", "dtype": "int4", "x_name_or_path": "x/y"}, []),
        ([{"auto_map": "x"}], []),
        ({"decoder": {"session_options": {"custom_ops_library": "/tmp/x.so"}}}, ["code"]),
    ],
    ids=str,
)
def test_a_configuration_that_nothing_writes_anew_is_asked_what_it_runs(
    tmp_path: Path, name: str, value: Any, kinds: list[str]
) -> None:
    place = tmp_path / name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps(value))
    (tmp_path / "model.safetensors").write_bytes(EMPTY)
    stock = inventory.take(str(tmp_path))
    files = [File(each.path, str(each.place), each.size) for each in selection.to_read(stock)]
    assert [each.kind for each in requests_of_others(files)] == kinds


def test_many_folders_and_files_hide_none_that_comes_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = {"model_type": "bert", "attn_implementation": "evil/kernel"}
    files = {f"a{number}/config.json": {"model_type": "bert"} for number in range(8)}
    files |= {"z/config.json": kernel}
    monkeypatch.setattr(folder_files, "_MAX_FOLDERS", 3)
    result = rewritten(tmp_path, files)
    assert [ask.location for ask in result.requests] == ["z/config.json: attn_implementation"]
    assert "z/config.json" not in result.files
    monkeypatch.setattr(folder_files, "_MOST_FOLDERS", 5)
    assert [ask.finding for ask in rewritten(tmp_path, files).requests] == ["SL603"]


#: Path -> what it asks for, a list where the file holds one.
ASKED: dict[str, Any] = {
    "tokenizer_config.json": {"auto_map": {"AutoTokenizer": ["evil.E", None]}},
    "sub/tokenizer_config.json": {"auto_map": {"AutoTokenizer": ["evil.E", None]}},
    "modules.json": [{"idx": 0, "name": "0", "path": "", "type": "evil.E"}],
    "model_index.json": {"_class_name": "StableDiffusionPipeline", "unet": ["evil", "E"]},
    "adapter_config.json": {"peft_type": "LORA", "megatron_core": "evil.core"},
    "text_encoder/config.json": {"model_type": "bert", "attn_implementation": "evil/kernel"},
    "preprocessor_config.json": {"auto_map": {"AutoImageProcessor": "evil.E"}},
    "processor_config.json": {"auto_map": {"AutoProcessor": "evil.E"}},
    "scheduler_config.json": {"_class_name": "DDPMScheduler", "auto_map": {"A": "evil.E"}},
    "params.json": {"auto_map": {"A": "evil.E"}},
    "modular_config.json": {"auto_map": {"A": "evil.E"}},
}
#: What Python's own parser takes, and ours does not.
ODD = ['"x": 1, "x": 2', '"x": "\\ud800"', f'"x": {"1" * 4000}', f'"x": {"[" * 60}{"]" * 60}']


@pytest.mark.parametrize("odd", range(len(ODD)))
@pytest.mark.parametrize("name", ASKED)
def test_what_only_the_parser_of_python_takes_is_judged(
    tmp_path: Path, name: str, odd: int
) -> None:
    text = json.dumps(ASKED[name]).replace("{", f"{{{ODD[odd]}, ", 1)
    result = rewritten(tmp_path, {name: text})
    found = result.requests + requests_of_others([File(name, str(tmp_path / name), len(text))])
    assert [ask for ask in found if ask.severity != "low"], result.notes


@pytest.mark.parametrize("name", ASKED)
def test_what_no_parser_takes_asks_for_nothing(tmp_path: Path, name: str) -> None:
    result = rewritten(tmp_path, {name: json.dumps(ASKED[name]) + "}"})
    assert result.requests == []


@pytest.mark.parametrize("name", ["modules.json", "model_index.json", "adapter_config.json"])
def test_what_is_too_large_to_be_judged_is_told(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_files, "_MAX_CONFIG", 1000)
    result = rewritten(tmp_path, {name: json.dumps(ASKED[name]) + " " * 1000})
    assert [ask.severity for ask in result.requests] == ["medium"]


def test_much_of_what_nobody_reads_hides_no_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_files, "_MAX_CONFIG", 1000)
    names = [f"a{number}.json" for number in range(5)]
    for name in names:
        (tmp_path / name).write_text(json.dumps({"text": "x" * 400}))
    (tmp_path / "modular_config.json").write_text(json.dumps({"auto_map": {"A": "evil.E"}}))

    def asked() -> list[str]:
        files = [File(each.name, str(each), each.stat().st_size) for each in tmp_path.iterdir()]
        return [each.finding for each in requests_of_others(files)]

    assert asked() == ["SL503"]
    for name in names:
        (tmp_path / name).rename(tmp_path / f"config-{name}")
    assert "SL603" in asked()


@pytest.mark.parametrize("folder", ["", "model/", "a/b/"])
def test_modules_and_pipelines_of_any_folder_are_judged(tmp_path: Path, folder: str) -> None:
    dense = {"in_features": 1, "out_features": 1, "activation_function": "evil.Evil"}
    listed = [
        {"idx": 0, "name": "0", "path": "2_Dense", "type": "sentence_transformers.models.Dense"}
    ]
    files = {
        f"{folder}modules.json": listed,
        f"{folder}2_Dense/config.json": dense,
        f"{folder}model_index.json": {
            "_class_name": "StableDiffusionPipeline",
            "unet": ["evil", "E"],
        },
    }
    result = rewritten(tmp_path, files)
    assert {ask.location for ask in result.requests} == {
        f"{folder}2_Dense/config.json: activation_function",
        f"{folder}model_index.json: unet",
    }


@pytest.mark.parametrize(("plugins", "asked"), [(["evil"], 1), (["pai-easycv"], 0), (None, 0)])
def test_packages_that_modelscope_installs_are_asked_for(
    tmp_path: Path, plugins: Any, asked: int
) -> None:
    (tmp_path / "configuration.json").write_text(
        json.dumps({"framework": "pytorch", "allow_remote": True, "plugins": plugins})
    )
    (tmp_path / "other.json").write_text(json.dumps({"plugins": ["x"]}))
    files = [File(each.name, str(each), each.stat().st_size) for each in tmp_path.iterdir()]
    assert len(requests_of_others(files)) == asked


def test_the_parts_of_a_pipeline_that_nobody_knows_are_looked_at_too(tmp_path: Path) -> None:
    listed = {"_class_name": "NewPipeline", "unet": ["os", "system"], "vae": ["diffusers", "X"]}
    result = rewritten(tmp_path, {"model_index.json": listed})
    assert [(ask.location, ask.severity) for ask in result.requests] == [
        ("model_index.json: unet", "medium")
    ]
