"""Libraries beside transformers: peft, sentence-transformers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dev.trials import cleared, gpt2, trial, use_it

if TYPE_CHECKING:
    from pathlib import Path


@trial(
    "peft",
    "peft",
    "`PeftModel.from_pretrained`, `load_adapter`, `AutoPeftModel` and transformers' `load_adapter`, of "
    "safetensors and of an adapter_model.bin; `safe_load.peft.PeftModel`",
)
def _peft(folder: Path) -> str:
    import peft
    import safe_load.peft
    import torch
    from transformers import AutoModelForCausalLM

    gpt2().save_pretrained(folder / "base")
    config = peft.LoraConfig(task_type="CAUSAL_LM", r=2, lora_alpha=7, init_lora_weights=False)
    adapted = peft.get_peft_model(_base(folder), config)
    adapted.save_pretrained(folder / "adapter")
    adapted.save_pretrained(folder / "pickled")
    (folder / "pickled" / "adapter_model.safetensors").unlink()
    state = peft.get_peft_model_state_dict(adapted)
    torch.save(state, folder / "pickled" / "adapter_model.bin")
    tokens = torch.arange(6)[None]
    expected = adapted(tokens).logits

    def check(model: Any) -> None:
        assert torch.equal(model(tokens).logits, expected)

    with safe_load.guard():
        check(peft.PeftModel.from_pretrained(_base(folder), folder / "adapter"))
        both = peft.PeftModel.from_pretrained(_base(folder), folder / "pickled")
        check(both)
        both.load_adapter(folder / "adapter", adapter_name="again")
        both.set_adapter("again")
        check(both)
        model = _base(folder)
        model.load_adapter(str(folder / "adapter"))
        check(model)
        _asks_for_its_base(peft.AutoPeftModelForCausalLM, folder / "adapter")
        _asks_for_its_base(AutoModelForCausalLM, folder / "adapter")
    base = _base(folder)
    dropped_in = safe_load.peft.PeftModel.from_pretrained(base, folder / "pickled")
    check(dropped_in)
    assert type(dropped_in) is peft.PeftModelForCausalLM
    assert isinstance(dropped_in, safe_load.peft.PeftModel)
    _asks_for_its_base(safe_load.peft.AutoPeftModelForCausalLM, folder / "adapter")
    check(use_it(cleared(folder / "pickled"), base=_base(folder))["model"])
    return (
        "logits are what they were, also from the cleared copy. `AutoPeftModel` and transformers' auto classes "
        "need the base to be confirmed with `base`; without it, one sentence says so"
    )


def _asks_for_its_base(kind: Any, adapter: Path) -> None:
    import safe_load

    said = ""
    try:
        kind.from_pretrained(adapter)
    except safe_load.UsageError as error:
        said = str(error)
    assert "load the base model by its own name" in said


def _base(folder: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder / "base")


@trial(
    "sentence-transformers",
    "sentence_transformers",
    "`SentenceTransformer(path)`, `CrossEncoder(path)`",
)
def _sentence_transformers(folder: Path) -> str:
    import safe_load
    from sentence_transformers import CrossEncoder, SentenceTransformer
    from sentence_transformers.models import Dense
    from transformers import BertConfig, BertModel, BertTokenizer

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "cat", "dog"]
    (folder / "vocab.txt").write_text("\n".join(words))
    sizes: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 37, "num_hidden_layers": 1}
    config = BertConfig(vocab_size=len(words), num_attention_heads=2, **sizes)
    BertModel(config).save_pretrained(folder / "bert")
    BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder / "bert")
    encoder = SentenceTransformer(str(folder / "bert"))
    encoder.append(Dense(32, 16))
    encoder.save(str(folder / "encoder"))
    pairs = CrossEncoder(str(folder / "bert"), num_labels=1)
    pairs.save_pretrained(str(folder / "pairs"))

    def check(encodes: Any, compares: Any) -> None:
        assert (encodes.encode(["a cat"]) == encoder.encode(["a cat"])).all()
        assert compares.predict([("a cat", "a dog")]) == pairs.predict([("a cat", "a dog")])

    with safe_load.guard():
        check(SentenceTransformer(str(folder / "encoder")), CrossEncoder(str(folder / "pairs")))
    check(
        use_it(cleared(folder / "encoder"))["model"],
        CrossEncoder(str(cleared(folder / "pairs"))),
    )
    return "embeddings and scores are what they were, also from the cleared copy"
