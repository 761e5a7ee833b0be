"""The table of tokenizers and processors is what transformers' source says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safe_load.worker.rewrite import class_table

transformers = pytest.importorskip("transformers")

FILE = Path(__file__).parents[4] / "loader" / "worker" / "rewrite" / "class_keys.json"


@pytest.mark.skipif(
    transformers.__version__ != class_table.version(), reason="the table is of another version"
)
def test_the_table_is_what_its_command_writes() -> None:
    from dev.class_table import render_table, table

    assert render_table(table()) == FILE.read_text("ascii")


def test_no_key_names_code_a_file_or_a_place() -> None:
    whole = json.loads(FILE.read_bytes())
    kinds = ("tokenizer", "image_processor", "video_processor", "feature_extractor", "processor")
    keys = {
        key
        for kind in kinds
        for groups in (whole[f"{kind} common"], *whole[f"{kind} classes"].values())
        for names in groups.values()
        for key in names.split()
    }
    assert len(keys) > 300
    assert not {key for key in keys if key.endswith(("_file", "_files", "_path", "_dir", "_spm"))}
    assert not keys & {
        "auto_map",
        "vocab",
        "merges",
        "trust_remote_code",
        "device",
        "gguf_file",
        "init_inputs",
    }


def test_every_class_that_an_auto_class_may_choose_is_known() -> None:
    from transformers.models.auto import (
        feature_extraction_auto,
        image_processing_auto,
        processing_auto,
        tokenization_auto,
    )

    chosen: dict[class_table.Kind, set[str]] = {
        "tokenizer": set(tokenization_auto.TOKENIZER_MAPPING_NAMES.values()),
        "feature_extractor": set(feature_extraction_auto.FEATURE_EXTRACTOR_MAPPING_NAMES.values()),
        "processor": set(processing_auto.PROCESSOR_MAPPING_NAMES.values()),
        "image_processor": {
            name
            for names in image_processing_auto.IMAGE_PROCESSOR_MAPPING_NAMES.values()
            for name in (names.values() if isinstance(names, dict) else [names])
        },
    }
    unknown = {
        (kind, name)
        for kind, names in chosen.items()
        for name in names
        if name and class_table.known(kind, name) is None
    }
    # Of a package that is not shown to rooms, one that is made of two folders, one that fetches.
    assert unknown <= {
        ("tokenizer", "MistralCommonBackend"),
        ("tokenizer", "RagTokenizer"),
        ("processor", "MgpstrProcessor"),
    }


def test_names_of_older_versions_lead_to_the_class_of_today() -> None:
    assert class_table.known("tokenizer", "BertTokenizerFast")
    assert class_table.known("image_processor", "ViTFeatureExtractor") == "ViTImageProcessor"
    assert class_table.known("image_processor", "CLIPImageProcessorFast") == "CLIPImageProcessor"
    assert class_table.known("tokenizer", "GenerationConfig") is None
    assert class_table.known("processor", "os") is None
