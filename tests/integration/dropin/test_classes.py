"""Code of a model is refused; classes, signatures and errors are the stock ones."""

from __future__ import annotations

import inspect
import json
import pickle
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import safe_load
import torch
import transformers as upstream
from safe_load import transformers as safe

from tests.integration import tiny

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.integration.fake_hub import FakeHub


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
