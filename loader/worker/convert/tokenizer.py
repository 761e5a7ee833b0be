"""Make a tokenizer.json of a tokenizer that is kept in another form, and see that both say the same.

Zone: worker, in a room of its own: nothing is near but the files of the tokenizer and config.json. What
is written is parsed outside as any tokenizer.json is. Importing this module imports no library.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safe_load.worker.detonate import main as detonation
from safe_load.worker.guarded import attempt

if TYPE_CHECKING:
    from collections.abc import Sequence

#: What the room imports ahead; a part of what detonation has, so that a warm room serves both.
PRELOAD = ("torch", "transformers", "transformers.models.auto.tokenization_auto")
WRITTEN = ("tokenizer.json", "tokenizer_config.json")
_OFFLINE = {"trust_remote_code": False, "local_files_only": True}
_SAMPLE = (
    "Hello, world! It's 3.14 o'clock;  two spaces\tand a tab.",
    "Ünïcödé naïve café — “quotes” … №5 ½ ＦＵＬＬ ﬁ",  # noqa: RUF001 - full width, on purpose
    "你好,世界。 日本語のテキスト 한국어 עברית العربية हिन्दी ไทย",
    "emoji 👩‍👩‍👧‍👦🏽 🇪🇺 \U0001f600 and \u200b\ufeff odd \u0301 ones \x07",
    "def f(x):\n    return x ** 2  # code\n\n\n",
    " leading, trailing ",
    "<s> </s> <pad> <unk> <mask> [CLS] [SEP] ▁ <0x41>",
    "",
    "a" * 300,
)


def prepare() -> None:
    """As for detonation: no network, no threads, no user."""
    detonation.prepare()


def main(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    """Convert the tokenizer of each folder.

    argument: {"folders": [path]}; outputs: two for each folder, in the order of WRITTEN. Returns
    {"folders": [{"error": one line or null}]}; where there is one, nothing was written.
    """
    results = []
    for number, folder in enumerate(argument["folders"]):
        written, error = attempt(lambda folder=folder: _convert(folder))  # type: ignore[misc]
        if written is not None:
            for output, data in zip(outputs[2 * number : 2 * number + 2], written, strict=True):
                with open(output, "wb", closefd=False) as file:
                    file.write(data)
        results.append({"error": error})
    return {"folders": results}


def _convert(folder: str) -> list[bytes]:
    """The files of the new tokenizer. Raises what transformers raises, or ValueError."""
    from transformers import AutoTokenizer  # noqa: PLC0415 - the room sets the environment first

    with tempfile.TemporaryDirectory() as place:
        source, target = Path(folder), Path(place)
        original = AutoTokenizer.from_pretrained(source, **_OFFLINE)
        problem = None
        for candidate in (_itself, _fast):
            made = candidate(original)
            if made is None:
                continue
            for path in target.iterdir():
                path.unlink()
            made.save_pretrained(target, save_jinja_files=False)
            for path in target.iterdir():
                if path.name not in WRITTEN:
                    path.unlink()
            if (source / "config.json").exists():
                shutil.copyfile(source / "config.json", target / "config.json")
            problem = _difference(original, AutoTokenizer.from_pretrained(target, **_OFFLINE))
            if problem is None:
                return [(target / name).read_bytes() for name in WRITTEN]
        raise ValueError(f"the converted tokenizer reads {problem!r} differently")


def _itself(original: Any) -> Any:
    return original if original.is_fast else None


def _fast(original: Any) -> Any:
    """A tokenizer on the tokenizers library that takes the place of one that is not."""
    import transformers  # noqa: PLC0415
    from transformers.convert_slow_tokenizer import (  # noqa: PLC0415
        SLOW_TO_FAST_CONVERTERS,
        convert_slow_tokenizer,
    )

    name = type(original).__name__
    if not original.is_fast and name not in SLOW_TO_FAST_CONVERTERS:
        raise ValueError(f"transformers cannot convert a {name}")
    backend = original.backend_tokenizer if original.is_fast else convert_slow_tokenizer(original)
    special = {
        name: getattr(original, name, None)
        for name in (
            *("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token"),
            "mask_token",
        )
    }
    fast: Any = transformers.PreTrainedTokenizerFast
    return fast(
        tokenizer_object=backend,
        model_max_length=original.model_max_length,
        padding_side=original.padding_side,
        truncation_side=original.truncation_side,
        chat_template=original.chat_template,
        clean_up_tokenization_spaces=original.clean_up_tokenization_spaces,
        **{name: token for name, token in special.items() if token is not None},
    )


def _difference(one: Any, other: Any) -> str | None:
    """The first text that both do not read alike, None when there is none."""
    special = [str(token) for token in one.all_special_tokens[:100]]
    for text in (*_SAMPLE, *special, " and ".join(special), "x".join(special)):
        for options in ({}, {"add_special_tokens": False}):
            if one(text, **options)["input_ids"] != other(text, **options)["input_ids"]:
                return text[:80]
        ids = one(text)["input_ids"]
        if one.decode(ids) != other.decode(ids):
            return text[:80]
        if one(text, "pair")["input_ids"] != other(text, "pair")["input_ids"]:
            return text[:80]
    if one.chat_template != other.chat_template:
        return "its chat template"
    if one.special_tokens_map.keys() - other.special_tokens_map.keys() or len(one) != len(other):
        return "its special tokens"
    return None
