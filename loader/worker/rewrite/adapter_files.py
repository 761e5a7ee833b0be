"""What peft reads beside an adapter's weights: adapter_config.json, written anew.

Zone: worker. Which keys there are is data: peft_keys.json, made by `python -m dev.peft_table`. No key that
names another model is among them: peft loads an adapter onto the model that the caller hands it, and
reads the name of the base only where somebody asks for both at once (AutoPeftModel).
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from safe_load.worker.rewrite import config_requests, patterns, tables
from safe_load.worker.rewrite.config_writer import Rewritten, Writer, render
from safe_load.worker.strict_json import Malformed, parse, require_object, shown

if TYPE_CHECKING:
    from collections.abc import Callable

CONFIG = "adapter_config.json"
_MAX_BYTES = 16 << 20
_MOST = 100_000
_WORD = re.compile(r"[\w.-]{1,200}", re.ASCII)
#: What may stand in the name of a module, "*" of nothing else.
_MODULE = re.compile(r"[\w.$^-]{1,500}", re.ASCII)
#: A part of a pipeline, before a key of its adapter.
_PART = re.compile(r"[a-z]\w{0,60}\.", re.ASCII)
_VERSION = re.compile(r"\d[\w.+@-]{0,99}", re.ASCII)
#: What peft writes where nobody chose anything.
_UNUSED = {"megatron_core": "megatron.core"}
_TEXTS = frozenset({"prompt_tuning_init_text"})
_MAX_TEXT = 10_000
#: Keys whose text is a regular expression that peft matches with the names of modules.
_PATTERNS = frozenset(
    {"target_modules", "exclude_modules", "feedforward_modules", "layers_pattern"}
)
#: Keys whose names are such expressions.
_BY_PATTERN = frozenset(
    "alpha_pattern rank_pattern lambda_pattern block_size_pattern n_frequency_pattern".split()
)
#: Repetitions in an expression without groups that repeat: what it may cost grows with this power of the
#: length of a module's name, some hundred characters.
_MOST_REPEATS = 5
_MAX_PATTERN = 2000
_REPEAT = re.compile(r"(?<!\\)(?:[*+]|\{\d*,\d*\})")
_GROUP_REPEATS = re.compile(r"(?<!\\)\)(?:[*+]|\{)")


def reemit(data: bytes, where: str) -> Rewritten:
    """Write it anew. where: its path. What is malformed or of
    a kind of adapter that is not known is told in a note, and not written."""
    out = Rewritten()
    try:
        value = require_object(
            parse(data, where=where, max_bytes=_MAX_BYTES, allow_nonfinite=True), where
        )
    except Malformed as error:
        out.notes.append(f"{where} was not exported: {error}")
        return out
    kind = value.get("peft_type")
    known = tables.read("peft_keys.json")["types"]
    if not isinstance(kind, str) or kind not in known:
        out.notes.append(
            f"{where} was not exported: {shown(str(kind))} is not a known kind of adapter "
            "to load nothing but its own weights"
        )
        return out
    keys = frozenset(known[kind].split())
    writer = Writer(out.dropped)
    kept: dict[str, Any] = {}
    for key, item in value.items():
        if key not in keys:
            told = key in config_requests.steering_keys() or _UNUSED.get(key) == item
            if not told and item not in (None, [], {}, ""):
                writer.drop(f"{where}: {shown(key)[1:-1]}", "is none that an adapter needs to load")
        elif _may_stand(key, item):
            kept[key] = item
        else:
            writer.drop(f"{where}: {key}", "is not a value that this key may have")
    out.files[CONFIG] = render(kept)
    base = value.get("base_model_name_or_path")
    if isinstance(base, str) and base:
        out.notes.append(
            f"{where}: the copy does not name its base model (its author names {shown(base)}): load the "
            "base yourself, and give it to PeftModel.from_pretrained; or name it with --base"
        )
    return out


def of_metadata(value: object) -> str | None:
    """The configurations of adapters in the metadata of a safetensors file, written anew.

    Args:
        value: As diffusers has it: keys of one configuration, or of several, each under the name of the part
            of a pipeline that it is for (`unet.r`, `text_encoder.r`).

    Returns:
        JSON in one line; None where a part is of no kind that is known, or a value is none that may stand.
    """
    if not isinstance(value, dict):
        return None
    parts: dict[str, dict[str, Any]] = {}
    for key, item in value.items():
        part, dot, name = key.rpartition(".")
        parts.setdefault(f"{part}{dot}", {})[name] = item
    kept: dict[str, Any] = {}
    for part, config in parts.items():
        kind = config.get("peft_type", "LORA")
        keys = tables.read("peft_keys.json")["types"].get(kind) if isinstance(kind, str) else None
        if keys is None or (part and not _PART.fullmatch(part)):
            return None
        for key in config.keys() & keys.split():
            if not _may_stand(key, config[key]):
                return None
            kept[f"{part}{key}"] = config[key]
    return json.dumps(kept, sort_keys=True)


def is_key(key: str) -> bool:
    """Whether `of_metadata` may write this key."""
    part, _, name = key.rpartition(".")
    known = tables.read("peft_keys.json")["types"].values()
    return (not part or _PART.fullmatch(f"{part}.") is not None) and any(
        name in keys.split() for keys in known
    )


def _may_stand(key: str, value: object) -> bool:
    if key in _TEXTS:
        return value is None or (isinstance(value, str) and len(value) <= _MAX_TEXT)
    if key == "peft_version":
        return value is None or (isinstance(value, str) and _VERSION.fullmatch(value) is not None)
    left = [_MOST]
    if key in _BY_PATTERN and isinstance(value, dict):
        return all(_is_pattern(name) for name in value) and _plain(
            list(value.values()), _is_word, left
        )
    return _plain(value, _is_pattern if key in _PATTERNS else _is_word, left)


def _plain(value: object, may_say: Callable[[str], bool], left: list[int], depth: int = 0) -> bool:
    """Whether it is numbers and texts that may stand, in lists and tables of few levels."""
    left[0] -= 1
    if left[0] < 0 or depth > 3:
        return False
    if isinstance(value, str):
        return may_say(value)
    if isinstance(value, list):
        return all(_plain(item, may_say, left, depth + 1) for item in value)
    if isinstance(value, dict):
        return all(
            _is_word(name) and _plain(item, may_say, left, depth + 1)
            for name, item in value.items()
        )
    return value is None or isinstance(value, int | float)


def _is_word(text: str) -> bool:
    return _WORD.fullmatch(text) is not None


def _is_pattern(text: str) -> bool:
    """Whether it is a module's name, or an expression that ends soon on names of modules."""
    if _MODULE.fullmatch(text):
        return True
    if len(text) > _MAX_PATTERN or "/" in text:
        return False
    flat = not _GROUP_REPEATS.search(text) and len(_REPEAT.findall(text)) <= _MOST_REPEATS
    if not flat and patterns.danger(text) is not None:
        return False
    try:
        re.compile(text)
    except (re.error, RecursionError, OverflowError):
        return False
    return True
