"""safe_load.transformers loads what transformers loads, with cleared files."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import safe_load
import torch
import transformers as upstream
from safe_load import transformers as safe

from tests import plan
from tests.integration import tiny

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.fake_hub import FakeHub


_TEXT = "Hello world, hello room! \t\n héllo wörld 你好 🤗 [CLS] <|end▁of▁text|> don't 1234567.89  "


#: The auto class that a user would take for a class with this ending.
_AUTO = {
    "ForMaskedLM": "AutoModelForMaskedLM",
    "ForCausalLM": "AutoModelForCausalLM",
    "LMHeadModel": "AutoModelForCausalLM",
    "ForConditionalGeneration": "AutoModelForSeq2SeqLM",
    "ForSequenceClassification": "AutoModelForSequenceClassification",
    "ForTokenClassification": "AutoModelForTokenClassification",
    "ForQuestionAnswering": "AutoModelForQuestionAnswering",
    "ForPreTraining": "AutoModelForPreTraining",
    "ForImageClassification": "AutoModelForImageClassification",
    "ForCTC": "AutoModelForCTC",
    "Model": "AutoModel",
}


def realigned(model: Any) -> Any:
    """The model with its weights copied to memory that torch allocates: kernels of the CPU's library go
    by where a tensor lies, and what is mapped from a file lies elsewhere than what was unpickled."""
    for tensor in (*model.parameters(), *model.buffers()):
        tensor.data = tensor.data.clone()
    return model


def _same(expected: Any, got: Any) -> None:
    """Two models are the same in all that a user can see."""
    assert type(got) is type(expected)
    assert got.training is expected.training
    states = expected.state_dict(), got.state_dict()
    assert list(states[0]) == list(states[1])
    for name, tensor in states[0].items():
        assert tensor.dtype == states[1][name].dtype
        assert torch.equal(tensor, states[1][name]), name
    assert _tied(expected) == _tied(got)
    assert got.name_or_path == expected.name_or_path
    assert _known(got.config) == _known(expected.config)
    for model in (expected, got):
        realigned(model)
    for one, other in zip(tiny.outputs(expected), tiny.outputs(got), strict=True):
        assert torch.equal(one, other)


def _known(config: Any) -> dict[str, Any]:
    """What a configuration says, but for keys that its class does not have."""
    own = type(config)().to_dict()
    return {key: value for key, value in config.to_dict().items() if key in own}


def _tied(model: Any) -> list[set[str]]:
    groups: dict[int, set[str]] = {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        groups.setdefault(tensor.data_ptr(), set()).add(name)
    return [names for names in groups.values() if len(names) > 1]


@pytest.mark.parametrize("form", ["bin", "safetensors"])
@pytest.mark.parametrize("model_type", plan.chosen("loops", tiny.TINY))
def test_a_model_is_the_one_that_the_stock_library_loads(
    model_type: str, form: str, tmp_path: Path, both: Any
) -> None:
    name = tiny.save(tmp_path, model_type, form)
    auto = next(auto for ending, auto in _AUTO.items() if name.endswith(ending))
    if model_type == "whisper":
        auto = "AutoModelForSpeechSeq2Seq"
    _same(*both(lambda library: getattr(library, auto).from_pretrained(tmp_path)))
    if form == "bin":
        _same(*both(lambda library: getattr(library, name).from_pretrained(str(tmp_path))))


@pytest.mark.parametrize(
    "model_type", plan.chosen("loops", [t for t, (*_, kind) in tiny.TINY.items() if kind])
)
def test_a_tokenizer_gives_the_same_ids(model_type: str, tmp_path: Path, both: Any) -> None:
    tiny.save(tmp_path, model_type, "safetensors")
    expected, got = both(lambda library: library.AutoTokenizer.from_pretrained(tmp_path))
    assert type(got) is type(expected)
    assert got.name_or_path == expected.name_or_path
    for text in (_TEXT, _TEXT.split(), "", " "):
        assert got(text)["input_ids"] == expected(text)["input_ids"]
    assert got.decode(got(_TEXT)["input_ids"]) == expected.decode(expected(_TEXT)["input_ids"])
    assert got.special_tokens_map == expected.special_tokens_map
    if expected.chat_template:
        said = [{"role": "user", "content": "hi"}]
        assert got.apply_chat_template(said, tokenize=False) == expected.apply_chat_template(
            said, tokenize=False
        )


def test_arguments_mean_what_they_mean_to_the_stock_library(bert: Path, both: Any) -> None:
    calls: list[Callable[[Any], Any]] = [
        lambda t: t.AutoModel.from_pretrained(bert, dtype=torch.float16),
        lambda t: t.AutoModel.from_pretrained(bert, dtype="bfloat16", attn_implementation="eager"),
        lambda t: t.AutoModel.from_pretrained(pretrained_model_name_or_path=str(bert)),
        lambda t: t.AutoModel.from_pretrained(bert, use_safetensors=False),
        lambda t: t.AutoModel.from_pretrained(bert, revision="main", cache_dir="x", token="y"),
        lambda t: t.AutoModel.from_pretrained(bert, local_files_only=True, trust_remote_code=False),
        lambda t: t.AutoModel.from_pretrained(bert, config=t.AutoConfig.from_pretrained(bert)),
        lambda t: t.AutoModel.from_pretrained(bert, config=str(bert)),
        lambda t: t.BertModel.from_pretrained(bert, add_pooling_layer=False),
        lambda t: t.BertModel.from_pretrained(bert, output_attentions=True, num_labels=7),
        lambda t: t.BertModel.from_pretrained(
            bert / "pytorch_model.bin", config=t.BertConfig.from_pretrained(bert)
        ),
    ]
    for call in calls:
        expected, got = both(call)
        assert got.config.to_dict() == expected.config.to_dict()
        assert got.dtype == expected.dtype
        assert got.name_or_path == expected.name_or_path
        for name, tensor in expected.state_dict().items():
            assert torch.equal(tensor, got.state_dict()[name]), name


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with several models: beside each other, in another form, and in a folder below."""
    folder = tmp_path_factory.mktemp("crowded")
    tiny.save(folder, "bert", "safetensors")
    config = upstream.BertConfig.from_pretrained(folder)
    for seed, variant, place in ((1, "fp16", folder), (2, None, folder / "below" / "deep")):
        torch.manual_seed(seed)
        model = upstream.BertForMaskedLM(config)
        model.save_pretrained(place, variant=variant, max_shard_size="20KB")
    torch.manual_seed(3)
    torch.save(upstream.BertForMaskedLM(config).state_dict(), folder / "pytorch_model.bin")
    return folder


@pytest.mark.parametrize(
    "choice",
    [
        {},
        {"variant": "fp16"},
        {"subfolder": "below/deep"},
        {"use_safetensors": True},
        {"use_safetensors": False},
        {"variant": "fp16", "use_safetensors": True},
    ],
    ids=str,
)
def test_the_files_that_are_asked_for_are_loaded(
    choice: dict[str, Any], crowded: Path, both: Any
) -> None:
    _same(*both(lambda t: t.AutoModelForMaskedLM.from_pretrained(crowded, **choice)))


@pytest.mark.parametrize(
    ("choice", "reason"),
    [
        ({"variant": "int8"}, "holds no weights of the variant 'int8'"),
        ({"variant": "fp16", "use_safetensors": False}, "in another format than safetensors"),
        ({"subfolder": "nowhere"}, "nowhere does not exist"),
        ({"gguf_file": "model.gguf"}, "names a GGUF file"),
        ({"from_tf": True}, "TensorFlow weights"),
    ],
)
def test_files_that_are_not_there_are_told(
    choice: dict[str, Any], reason: str, crowded: Path, session: safe_load.Session
) -> None:
    with safe_load.guard(session), pytest.raises(safe_load.SafeLoadError, match=reason):
        safe.AutoModel.from_pretrained(crowded, **choice)


def test_what_was_missing_is_told_as_the_stock_library_does(bert: Path, both: Any) -> None:
    (_, expected), (_, got) = both(
        lambda t: t.BertForSequenceClassification.from_pretrained(bert, output_loading_info=True)
    )
    assert got["missing_keys"] == expected["missing_keys"]
    assert got["mismatched_keys"] == expected["mismatched_keys"]
    assert got["unexpected_keys"] == expected["unexpected_keys"]


def test_configurations_load_alone(bert: Path, both: Any) -> None:
    for call in (
        lambda t: t.AutoConfig.from_pretrained(bert, hidden_dropout_prob=0.5),
        lambda t: t.BertConfig.from_pretrained(bert / "config.json"),
        lambda t: t.AutoConfig.from_pretrained(bert, return_unused_kwargs=True, foo=1)[0],
    ):
        expected, got = both(call)
        assert type(got) is type(expected)
        assert got.to_dict() == expected.to_dict()
        assert got._name_or_path == expected._name_or_path


def test_weights_given_by_the_caller_need_no_source(both: Any) -> None:
    config = upstream.BertConfig(**tiny.TINY["bert"][1])
    state = upstream.BertModel(config).state_dict()
    _same(*both(lambda t: t.BertModel.from_pretrained(None, config=config, state_dict=state)))


def test_a_pipeline_is_the_stock_pipeline(bert: Path, both: Any) -> None:
    def ask(library: Any) -> Any:
        asked = library.pipeline("feature-extraction", model=str(bert))
        return type(asked), asked("hello room"), asked.model.name_or_path

    expected, got = both(ask)
    assert got == expected


def test_an_object_may_be_given_to_a_pipeline(bert: Path, both: Any) -> None:
    def ask(library: Any) -> Any:
        model = realigned(library.AutoModel.from_pretrained(bert))
        tokenizer = library.AutoTokenizer.from_pretrained(bert)
        return library.pipeline("feature-extraction", model=model, tokenizer=tokenizer)("hello")

    expected, got = both(ask)
    assert got == expected


def test_what_is_read_when_the_model_is_used_is_read_from_the_copy(
    tmp_path: Path, session: safe_load.Session
) -> None:
    """generation_config.json alone makes generate() read weights again, by the configuration's name."""
    config = upstream.Glm4MoeConfig(
        vocab_size=64, hidden_size=16, intermediate_size=32, moe_intermediate_size=16, head_dim=8,
        num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2, n_routed_experts=2,
        num_experts_per_tok=1, first_k_dense_replace=1, n_group=1, topk_group=1,
        num_nextn_predict_layers=1,
    )  # fmt: skip
    upstream.Glm4MoeForCausalLM(config).save_pretrained(tmp_path)
    (tmp_path / "generation_config.json").write_text('{"use_mtp": true}')
    with safe_load.guard(session):
        model = safe.AutoModelForCausalLM.from_pretrained(tmp_path)
    opened: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "transformers.modeling_layers.safe_open",
            lambda file, **_: (opened.append(str(file)), Path("/nothing/there").stat()),
        )
        with pytest.raises(FileNotFoundError):
            model.generate(torch.ones(1, 3, dtype=torch.long), max_new_tokens=2)
    assert opened
    assert not any(Path(file).is_relative_to(tmp_path) for file in opened)


def test_a_subfolder_is_in_the_folder(
    tmp_path: Path, bert: Path, session: safe_load.Session
) -> None:
    """RagTokenizer, for one, names one by itself; a link there could lead anywhere."""
    (tmp_path / "question_encoder_tokenizer").symlink_to(bert)
    with safe_load.guard(session), pytest.raises(safe_load.UsageError, match="leads out of"):
        safe.AutoTokenizer.from_pretrained(tmp_path, subfolder="question_encoder_tokenizer")


def test_a_copy_that_was_deleted_is_no_trap(
    bert: Path, session: safe_load.Session, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(bert, folder)
    with safe_load.guard(session):
        model = safe.AutoModel.from_pretrained(folder)
    shutil.rmtree(folder)
    assert tiny.outputs(model)


def test_weights_shared_in_the_file_and_not_in_the_model_are_all_there(
    tmp_path: Path, both: Any
) -> None:
    name, options, _ = tiny.TINY["llama"]
    model = getattr(upstream, name)(upstream.LlamaConfig(**options, tie_word_embeddings=False))
    state = model.state_dict()
    state["lm_head.weight"] = state["model.embed_tokens.weight"]
    model.config.save_pretrained(tmp_path)
    torch.save(state, tmp_path / "pytorch_model.bin")
    expected, got = both(lambda t: t.AutoModelForCausalLM.from_pretrained(tmp_path))
    for key, tensor in expected.state_dict().items():
        assert torch.equal(tensor, got.state_dict()[key]), key
    _, info = both(lambda t: t.LlamaModel.from_pretrained(tmp_path, output_loading_info=True)[1])
    assert not info["missing_keys"]


def test_a_head_of_another_size_than_its_class_has_a_field_for(tmp_path: Path, both: Any) -> None:
    name, options, _ = tiny.TINY["qwen2"]
    model = getattr(upstream, name)(upstream.Qwen2Config(**options | {"head_dim": 16}))
    model.save_pretrained(tmp_path)
    _same(*both(lambda t: t.AutoModelForCausalLM.from_pretrained(tmp_path)))


def test_a_folder_below_on_a_hub_is_a_source(
    bert: Path, server: FakeHub, session: safe_load.Session, tmp_path: Path
) -> None:
    shutil.copytree(bert, tmp_path / "repository" / "encoder")
    server.add("org/name", tmp_path / "repository")
    with safe_load.guard(session):
        model = safe.BertModel.from_pretrained("org/name", subfolder="encoder")
        tokenizer = safe.AutoTokenizer.from_pretrained("org/name", subfolder="encoder")
    assert tiny.outputs(model)
    assert (
        tokenizer("hello")["input_ids"]
        == upstream.AutoTokenizer.from_pretrained(bert)("hello")["input_ids"]
    )


def test_a_tokenizer_and_a_configuration_need_no_weights(
    bert: Path, tmp_path: Path, both: Any, session: safe_load.Session
) -> None:
    folder = tmp_path / "described"
    shutil.copytree(bert, folder)
    (folder / "pytorch_model.bin").unlink()
    expected, got = both(
        lambda t: t.AutoTokenizer.from_pretrained(folder)("hello room")["input_ids"]
    )
    assert got == expected
    expected, got = both(lambda t: t.AutoConfig.from_pretrained(folder).to_dict())
    assert got == expected
    with safe_load.guard(session), pytest.raises(safe_load.NotLoadable, match="holds no model"):
        safe.AutoModel.from_pretrained(folder)
