"""safe_load.transformers does what transformers does, with cleared files."""

from __future__ import annotations

import inspect
import json
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import safe_load
import torch
import transformers as upstream
from safe_load import transformers as safe

from tests import plan
from tests.integration import tiny
from tests.integration.fake_hub import FakeHub

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[safe_load.Session]:
    """One warm room for the whole module, and a cache of its own."""
    with pytest.MonkeyPatch.context() as patch, safe_load.Session() as opened:
        patch.setenv("SAFE_LOAD_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("HF_HUB_OFFLINE", "1")
        yield opened


@pytest.fixture
def both(session: safe_load.Session) -> Callable[[Callable[[Any], Any]], tuple[Any, Any]]:
    """What a call gives with the stock library, and what it gives with ours."""

    def run(call: Callable[[Any], Any]) -> tuple[Any, Any]:
        torch.manual_seed(0)  # for weights that are not in the file
        expected = call(upstream)
        torch.manual_seed(0)
        with safe_load.guard(session):
            return expected, call(safe)

    return run


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bert")
    tiny.save(folder, "bert", "bin")
    return folder


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


@pytest.mark.parametrize(
    "ask",
    [
        lambda folder: safe.AutoModel.from_pretrained(folder, trust_remote_code=True),
        lambda folder: safe.BertModel.from_pretrained(folder, trust_remote_code=True),
        lambda folder: safe.AutoTokenizer.from_pretrained(folder, trust_remote_code=True),
        lambda folder: safe.AutoModel.from_config(upstream.BertConfig(), trust_remote_code=True),
        lambda folder: safe.pipeline("fill-mask", str(folder), trust_remote_code=True),
    ],
)
def test_code_of_the_model_is_refused(ask: Callable[[Path], object], bert: Path) -> None:
    with pytest.raises(safe_load.UsageError, match="runs Python code that the model brings"):
        ask(bert)


def test_a_rejected_model_is_not_loaded(tmp_path: Path, session: safe_load.Session) -> None:
    folder, canary = tmp_path / "model", tmp_path / "canary"
    tiny.save(folder, "bert", "bin")

    class Payload:
        def __reduce__(self) -> Any:
            return exec, (f"open({str(canary)!r}, 'w').close()",)

    torch.save({"weight": torch.ones(2), "payload": Payload()}, folder / "pytorch_model.bin")
    with safe_load.guard(session):
        for load in (safe.AutoModel, safe.AutoTokenizer, safe.BertConfig):
            with pytest.raises(safe_load.Rejected) as caught:
                load.from_pretrained(folder)
            assert caught.value.result is not None
            assert caught.value.result.verdict == "malicious"
            assert "\n" not in str(caught.value)
    assert not canary.exists()


def test_code_that_a_configuration_names_does_not_run(
    tmp_path: Path, session: safe_load.Session
) -> None:
    canary = tmp_path / "canary"
    folder = tmp_path / "model"
    tiny.save(folder, "bert", "safetensors")
    (folder / "evil.py").write_text(f"open({str(canary)!r}, 'w').close()")
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {"AutoConfig": "evil.Config", "AutoModel": "evil.Model"}
    (folder / "config.json").write_text(json.dumps(config))
    with safe_load.Session(fail_on="never") as lenient, safe_load.guard(lenient):
        model = safe.AutoModel.from_pretrained(folder)
    assert type(model) is upstream.BertModel
    assert not hasattr(model.config, "auto_map")
    assert not canary.exists()


def test_an_adapter_does_not_fetch_its_base(tmp_path: Path, session: safe_load.Session) -> None:
    torch.save({"lora": torch.ones(2)}, tmp_path / "adapter_model.bin")
    (tmp_path / "adapter_config.json").write_text(
        json.dumps({"peft_type": "LORA", "base_model_name_or_path": "org/base"})
    )
    with (
        safe_load.guard(session),
        pytest.raises(safe_load.UsageError, match="load the base model by its own name"),
    ):
        safe.AutoModel.from_pretrained(tmp_path)


def test_errors_name_what_was_asked_for(tmp_path: Path, both: Any) -> None:
    torch.save({"weight": torch.ones(2)}, tmp_path / "pytorch_model.bin")

    def fail(library: Any) -> str:
        with pytest.raises(ValueError, match="Unrecognized model") as caught:
            library.AutoModel.from_pretrained(tmp_path)
        return str(caught.value)

    expected, got = both(fail)
    assert got == expected


def test_classes_are_what_their_users_take_them_for(bert: Path, session: safe_load.Session) -> None:
    config = safe.BertConfig(**tiny.TINY["bert"][1])
    assert type(config) is upstream.BertConfig
    assert isinstance(config, safe.BertConfig)
    assert isinstance(config, safe.PreTrainedConfig)
    assert isinstance(upstream.BertModel(config), safe.PreTrainedModel)
    assert not isinstance(config, safe.GPT2Config)
    assert issubclass(upstream.BertModel, safe.BertModel)
    assert issubclass(safe.BertModel, upstream.PreTrainedModel)
    assert safe.BertModel is safe.BertModel
    assert pickle.loads(pickle.dumps(safe.BertModel)) is safe.BertModel
    assert type(pickle.loads(pickle.dumps(config))) is upstream.BertConfig
    assert type(safe.AutoModel.from_config(config)) is upstream.BertModel
    assert type(safe.BertConfig.from_dict({"hidden_size": 8})) is upstream.BertConfig
    assert safe.TrainingArguments is upstream.TrainingArguments
    assert safe.__version__ == upstream.__version__
    # What is only made when it is asked for, as the names of older tokenizers, is in no list.
    assert {name for name in upstream.__all__ if name[0].isupper()} <= set(dir(safe))


def test_a_class_of_ones_own_stays_ones_own(bert: Path, session: safe_load.Session) -> None:
    class Mine(safe.BertModel):
        def __init__(self, config: Any, extra: int = 1) -> None:
            super().__init__(config)
            self.extra = extra

    with safe_load.guard(session):
        model = Mine.from_pretrained(bert, extra=3)
    assert type(model) is Mine
    assert model.extra == 3
    assert isinstance(model, safe.BertModel)
    assert isinstance(model, upstream.BertModel)
    assert not isinstance(upstream.BertModel(model.config), Mine)
    assert list(inspect.signature(Mine).parameters) == ["config", "extra"]


def test_classes_of_ones_own_can_be_registered(tmp_path: Path, session: safe_load.Session) -> None:
    class MineConfig(safe.BertConfig):
        model_type = "mine_of_test_dropin"

    class MineModel(safe.BertModel):
        config_class = MineConfig

    safe.AutoConfig.register("mine_of_test_dropin", MineConfig)
    safe.AutoModel.register(MineConfig, MineModel)
    config = MineConfig(**tiny.TINY["bert"][1])
    assert type(safe.AutoModel.from_config(config)) is MineModel
    assert type(upstream.AutoModel.from_config(config)) is MineModel


@pytest.mark.parametrize(
    "name", ["AutoModel", "AutoTokenizer", "BertModel", "BertConfig", "AutoProcessor"]
)
def test_signatures_are_the_stock_ones(name: str) -> None:
    ours, theirs = getattr(safe, name), getattr(upstream, name)
    assert inspect.signature(ours) == inspect.signature(theirs)
    assert inspect.signature(ours.from_pretrained) == inspect.signature(theirs.from_pretrained)
    assert ours.from_pretrained.__doc__ == theirs.from_pretrained.__doc__
    assert (ours.__name__, ours.__doc__) == (theirs.__name__, theirs.__doc__)
    assert inspect.signature(safe.pipeline) == inspect.signature(upstream.pipeline)


def test_every_class_that_loads_has_a_stand_in() -> None:
    for name in dir(upstream):
        if name.startswith(("AutoModel", "Bert", "Rag", "Wav2Vec2", "PreTrained")):
            theirs = getattr(upstream, name)
            if hasattr(type(theirs), "is_dummy"):  # its package is not here
                assert not isinstance(getattr(safe, name), type(safe.BertModel))
            elif isinstance(theirs, type) and hasattr(theirs, "from_pretrained"):
                assert getattr(safe, name) is not theirs, name
                assert issubclass(getattr(safe, name), theirs)


def test_modules_that_load_are_not_given_out() -> None:
    with pytest.raises(ImportError):
        from safe_load.transformers import models  # noqa: F401
    with pytest.raises(AttributeError, match="load without the sandbox"):
        _ = safe.modeling_utils
    assert safe.logging is upstream.logging


def test_importing_it_imports_nothing_of_the_library() -> None:
    code = (
        "import sys, safe_load.transformers as t\n"
        "assert not {'torch', 'transformers', 'numpy'} & set(sys.modules)\n"
        "from safe_load.transformers import AutoConfig\n"
        "assert 'transformers' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-I", "-c", code], check=True, timeout=60)


def test_stock_classes_are_left_alone(bert: Path, session: safe_load.Session) -> None:
    before = {
        cls: dict(vars(cls))
        for cls in (upstream.AutoModel, upstream.PreTrainedModel, upstream.AutoTokenizer)
    }
    with safe_load.guard(session):
        safe.AutoModel.from_pretrained(bert)
    after = {cls: dict(vars(cls)) for cls in before}
    for cls, attributes in before.items():
        assert after[cls]["from_pretrained"] is attributes["from_pretrained"]


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


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A hub on loopback; huggingface_hub and its caches know of nothing else."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    with FakeHub() as opened:
        monkeypatch.setenv("HF_ENDPOINT", opened.url)
        yield opened


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


def test_a_name_on_a_hub_is_a_source(
    bert: Path, server: FakeHub, session: safe_load.Session, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    expected = upstream.AutoModel.from_pretrained(bert)
    commit = server.add("org/name", bert)
    with safe_load.guard(session):
        for name, revision in (("org/name", None), ("org/name", commit), ("hf://org/name", None)):
            torch.manual_seed(0)
            model = safe.AutoModel.from_pretrained(
                name, revision=revision, cache_dir=tmp_path / "cache"
            )
            assert model.name_or_path == name
            for key, tensor in expected.state_dict().items():
                assert torch.equal(tensor, model.state_dict()[key])
        asked = len(server.requests)
        safe.AutoModel.from_pretrained(
            "org/name", local_files_only=True, cache_dir=tmp_path / "cache"
        )
        assert len(server.requests) == asked
        with pytest.raises(safe_load.NotLoadable, match="no such revision"):
            safe.AutoModel.from_pretrained("org/name", revision="nowhere")
        with pytest.raises(safe_load.NotLoadable, match="no such repository"):
            safe.AutoModel.from_pretrained("org/other")
        with pytest.raises(safe_load.UsageError, match="HTTPS_PROXY"):
            safe.AutoModel.from_pretrained("org/name", proxies={"http": "127.0.0.1:1"})


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
