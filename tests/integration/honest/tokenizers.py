"""Tiny tokenizers of many kinds, in each form that they are published in."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import sentencepiece
import transformers
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

ROOT = Path(__file__).resolve().parents[3]
CHATML = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + "
    "'<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
#: What the tokenizers are compared by.
SAMPLE = [
    "Hello, world! It's 3.14 o'clock;  two spaces\tand a tab.",
    "Ünïcödé naïve café — “quotes” … №5 ½ ＦＵＬＬ",  # noqa: RUF001 - full width, on purpose
    "你好,世界。 日本語のテキスト 한국어 עברית العربية हिन्दी",
    "emoji 👩‍👩‍👧‍👦 🇪🇺 and \u200b\ufeff odd \u0301 ones",
    "def f(x):\n    return x ** 2  # code\n\n\n",
    " leading, <s> [MASK] </s> <|im_start|> <extra_id_0> trailing ",
    "",
]
Make = Callable[[Path], None]


@cache
def corpus() -> tuple[str, ...]:
    text = "\n".join((ROOT / name).read_text("utf-8") for name in ("README.md", "SECURITY.md"))
    return (*text.splitlines(), *SAMPLE)


def _write(folder: Path, name: str, value: Any) -> None:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    (folder / name).write_text(text, "utf-8")


@cache
def _byte_level() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=600, special_tokens=["<|endoftext|>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    tokenizer.train_from_iterator(corpus(), trainer)
    return tokenizer


@cache
def _sentencepiece(**options: Any) -> bytes:
    made = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus()), model_writer=made, minloglevel=2, **options
    )
    return made.getvalue()


def _gpt2(folder: Path) -> None:
    """As of old: a vocabulary and merges, no tokenizer.json."""
    _byte_level().model.save(str(folder))
    _write(
        folder, "tokenizer_config.json", {"tokenizer_class": "GPT2Tokenizer", "errors": "replace"}
    )
    _write(folder, "config.json", {"model_type": "gpt2"})


def _gpt2_fast(folder: Path) -> None:
    tokenizer = transformers.GPT2TokenizerFast(tokenizer_object=_byte_level())
    tokenizer.save_pretrained(folder)
    _write(folder, "config.json", {"model_type": "gpt2"})


def _roberta(folder: Path) -> None:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    trainer = trainers.BpeTrainer(
        vocab_size=500, special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    tokenizer.train_from_iterator(corpus(), trainer)
    tokenizer.model.save(str(folder))
    mask = {"__type": "AddedToken", "content": "<mask>", "lstrip": True, "normalized": True,
            "rstrip": False, "single_word": False}  # fmt: skip
    _write(
        folder, "tokenizer_config.json", {"tokenizer_class": "RobertaTokenizer", "mask_token": mask}
    )
    _write(folder, "special_tokens_map.json", {"bos_token": "<s>", "mask_token": {**mask}})
    (folder / "special_tokens_map.json").unlink()
    _write(folder, "config.json", {"model_type": "roberta"})


def _bert(folder: Path) -> None:
    """As of old: lines of words."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(vocab_size=600, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(corpus(), trainer)
    words = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    _write(folder, "vocab.txt", "\n".join(word for word, _ in words) + "\n")
    _write(folder, "tokenizer_config.json", {"tokenizer_class": "BertTokenizer", "do_lower_case": True,
                                             "name_or_path": "/home/author/bert"})  # fmt: skip
    _write(folder, "special_tokens_map.json", {"cls_token": "[CLS]", "sep_token": "[SEP]"})
    _write(folder, "config.json", {"model_type": "bert"})


def _bert_fast(folder: Path) -> None:
    _bert(folder)
    transformers.AutoTokenizer.from_pretrained(folder).save_pretrained(folder)
    (folder / "vocab.txt").unlink()


def _chat(folder: Path) -> None:
    """As of Qwen: byte-level, added tokens, a template."""
    tokenizer = Tokenizer.from_str(_byte_level().to_str())
    tokenizer.add_special_tokens(["<|im_start|>", "<|im_end|>"])
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>",
        extra_special_tokens=["<|im_start|>"], model_max_length=4096, chat_template=CHATML,
    )  # fmt: skip
    fast.save_pretrained(folder)
    _write(folder, "config.json", {"model_type": "llama"})


def _templates(folder: Path) -> None:
    """Several templates, as version 4 wrote them."""
    _chat(folder)
    (folder / "chat_template.jinja").unlink()
    config = json.loads((folder / "tokenizer_config.json").read_bytes())
    named = [{"name": "default", "template": CHATML}, {"name": "rag", "template": "{{ messages }}"}]
    _write(folder, "tokenizer_config.json", config | {"chat_template": named})


def _model(name: str, config: dict[str, Any], family: str, **options: Any) -> Make:
    """A sentencepiece model alone, which is converted."""

    def make(folder: Path) -> None:
        (folder / name).write_bytes(_sentencepiece(**options))
        _write(folder, "tokenizer_config.json", config)
        _write(folder, "config.json", {"model_type": family})

    return make


def _ctc(folder: Path) -> None:
    letters = ["<pad>", "<s>", "</s>", "<unk>", "|", *"abcdefghijklmnopqrstuvwxyz'"]
    _write(folder, "vocab.json", {letter: number for number, letter in enumerate(letters)})
    _write(folder, "tokenizer_config.json", {"tokenizer_class": "Wav2Vec2CTCTokenizer", "do_lower_case": True,
                                             "word_delimiter_token": "|"})  # fmt: skip
    _write(folder, "config.json", {"model_type": "wav2vec2"})


def _bytes(folder: Path) -> None:
    _write(folder, "tokenizer_config.json", {"tokenizer_class": "ByT5Tokenizer", "extra_ids": 10})
    _write(folder, "config.json", {"model_type": "t5"})


def _unigram(folder: Path) -> None:
    """A tokenizer.json of a Unigram model, with a character map of sentencepiece's."""
    make = _model("spiece.model", {"tokenizer_class": "T5Tokenizer"}, "t5", **_T5)
    make(folder)
    transformers.AutoTokenizer.from_pretrained(folder).save_pretrained(folder)
    (folder / "spiece.model").unlink()


_T5 = {
    "vocab_size": 400,
    "model_type": "unigram",
    "pad_id": 0,
    "eos_id": 1,
    "unk_id": 2,
    "bos_id": -1,
}
_XLMR = {"vocab_size": 400, "model_type": "unigram", "unk_id": 0, "bos_id": 1, "eos_id": 2}
_LLAMA = {
    "vocab_size": 700, "model_type": "bpe", "byte_fallback": True, "unk_id": 0, "bos_id": 1, "eos_id": 2,
    "remove_extra_whitespaces": False, "normalization_rule_name": "identity", "split_digits": True,
}  # fmt: skip
_ALBERT = {
    "vocab_size": 400, "model_type": "unigram", "pad_id": 0, "unk_id": 1, "bos_id": -1, "eos_id": -1,
    "user_defined_symbols": "[CLS],[SEP],[MASK]",
}  # fmt: skip

#: Those that come out as they are.
PLAIN: dict[str, Make] = {
    "vocabulary and merges": _gpt2,
    "byte-level tokenizer.json": _gpt2_fast,
    "roberta's tokens": _roberta,
    "lines of words": _bert,
    "wordpiece tokenizer.json": _bert_fast,
    "unigram tokenizer.json": _unigram,
    "chat": _chat,
    "several templates": _templates,
    "letters": _ctc,
    "bytes alone": _bytes,
}
#: Those of which a room makes a tokenizer.json.
CONVERTED: dict[str, Make] = {
    "llama": _model("tokenizer.model", {"tokenizer_class": "LlamaTokenizer", "add_bos_token": True,
                                        "legacy": False, "chat_template": CHATML}, "llama", **_LLAMA),
    "mistral": _model("tokenizer.model", {"tokenizer_class": "LlamaTokenizer"}, "mistral", **_LLAMA),
    "t5": _model("spiece.model", {"tokenizer_class": "T5Tokenizer", "extra_ids": 100}, "t5", **_T5),
    "xlm-roberta": _model(
        "sentencepiece.bpe.model", {"tokenizer_class": "XLMRobertaTokenizer"}, "xlm-roberta", **_XLMR
    ),
    "albert": _model("spiece.model", {"tokenizer_class": "AlbertTokenizer"}, "albert", **_ALBERT),
}  # fmt: skip
