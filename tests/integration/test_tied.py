"""Stock code on a cleared folder gives what stock code gives on the original, also where weights are tied."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest
import torch
import transformers
from safe_load.loading import pipeline

from tests import plan
from tests.integration import shrunk

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = pytest.mark.filterwarnings("ignore")  # of models that are too small for their library

#: Of every family one, and of those that people have most of, several.
TYPES = (
    "albert bart bert big_bird bigbird_pegasus biogpt blenderbot blenderbot-small bloom camembert codegen cohere "
    "convbert ctrl data2vec-text deberta deberta-v2 distilbert electra ernie esm falcon falcon_mamba flaubert "
    "fnet funnel gemma gemma2 gemma3_text glm gpt2 gpt_bigcode gpt_neo gpt_neox gptj granite ibert layoutlm "
    "led llama longformer longt5 lxmert m2m_100 mamba marian mbart megatron-bert mistral mobilebert mpnet "
    "mpt mt5 mvp nystromformer olmo openai-gpt opt pegasus phi plbart prophetnet qwen2 qwen3 roberta roformer "
    "speech_to_text squeezebert stablelm starcoder2 switch_transformers t5 umt5 whisper xglm "
    "xlm xlm-roberta xlnet xmod yoso"
).split()
#: Classes that read another name than the two of every type.
SIBLINGS = {
    "t5": ["T5EncoderModel"],
    "mt5": ["MT5EncoderModel"],
    "umt5": ["UMT5EncoderModel"],
    "bert": ["BertForMaskedLM", "BertForSequenceClassification"],
    "roberta": ["RobertaForSequenceClassification"],
    "gpt2": ["GPT2ForSequenceClassification"],
    "bart": ["BartForCausalLM"],
    "mbart": ["MBartForCausalLM"],
    "whisper": ["WhisperForCausalLM", "WhisperForAudioClassification"],
}


def known() -> dict[str, str]:
    """Model type -> form, each type that this version has and ties, the forms in turn."""
    found = {}
    for number, name in enumerate(TYPES):
        try:
            shrunk.classes(name)
        except KeyError:
            continue
        found[name] = shrunk.FORMS[number % len(shrunk.FORMS)]
    return found


#: Those that this run tries.
CHOSEN = {name: known()[name] for name in plan.chosen("loops", known())}


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The chosen models in one folder each, and the cleared copy of that: one room for all."""
    originals = tmp_path_factory.mktemp("originals")
    for name, form in CHOSEN.items():
        model = shrunk.make(name)
        assert shrunk.tied(model), f"{name} ties nothing"
        shrunk.save(model, originals / name, form)
    cleared = tmp_path_factory.mktemp("cleared") / "copy"
    report = pipeline.load(str(originals), cleared)
    assert (report.outcome, report.verdict) == ("ok", "clean"), report.outcome_detail
    for name, form in CHOSEN.items():
        if form == "shards-without-index":  # which stock code does not read
            shutil.rmtree(originals / name)
            shrunk.save(shrunk.make(name), originals / name, "shards")
    return originals, cleared


def test_sixty_architectures_tie_their_weights() -> None:
    assert len(known()) >= 60


@pytest.mark.parametrize("name", CHOSEN)
def test_every_class_holds_the_weights_of_the_original(
    name: str, trees: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    auto, own = shrunk.classes(name)
    for chosen in ("AutoModel", auto, own, *SIBLINGS.get(name, [])):
        states = []
        for tree in trees:
            torch.manual_seed(1)  # for what no file holds, as the head of a classifier
            model = getattr(transformers, chosen).from_pretrained(tree / name)
            states.append(model.state_dict())
        assert list(states[0]) == list(states[1]), chosen
        for key, value in states[0].items():
            assert value.dtype == states[1][key].dtype
            assert torch.equal(value, states[1][key]), f"{chosen}: {key}"


def test_shards_have_an_index_under_the_name_that_stock_code_reads(
    trees: tuple[Path, Path],
) -> None:
    for name, form in CHOSEN.items():
        index = trees[1] / name / "model.safetensors.index.json"
        assert index.exists() == form.startswith("shards"), name
        if index.exists():
            assert len(set(json.loads(index.read_text())["weight_map"].values())) == 2
