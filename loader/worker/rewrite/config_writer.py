"""Parsed configuration, taken over key by key: what is known to its class, of its kind, and plain.

Zone: worker. The keys of each configuration class are data: config_keys.json, made by
`python -m dev.config_table`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from safe_load.worker.rewrite import config_requests, template_ast
from safe_load.worker.rewrite.tables import kinds, read
from safe_load.worker.strict_json import shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from safe_load.worker.rewrite.config_requests import ConfigRequest

MAX_DROPPED = 1000

# One word or sentence: no slash, so no repository with an owner, no path and no URL.
_PLAIN = re.compile(r"(?![.~])[^/\\\x00-\x1f\x7f-\x9f]{0,256}|re:[^/\x00-\x1f\x7f-\x9f]{0,256}")
_IDENTIFIER = re.compile(r"[A-Za-z_]\w{0,127}", re.ASCII)
_VERSION = re.compile(r"\d[\w.+-]{0,63}", re.ASCII)
# Keys whose strings people read: any text.
_TEXT_KEYS = {
    "id2label",
    "label2id",
    "label_names",
    "prefix",
    "stop_strings",
    "title_sep",
    "doc_sep",
}
_MAX_TEXT = 10_000
_FLOATS = ("NaN", "Infinity", "-Infinity")


@dataclass(frozen=True)
class Dropped:
    """A key that is not written again. location: file and key path; reason: half a sentence."""

    location: str
    reason: str


@dataclass
class Rewritten:
    """Files that are written anew. files: name -> content; asks: what the originals asked for besides;
    dropped: at most MAX_DROPPED keys; notes: what a reader should know; error: why the model's own
    configuration does not read."""

    files: dict[str, bytes] = field(default_factory=dict)
    requests: list[ConfigRequest] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    error: str | None = None


def render(config: dict[str, Any] | list[Any]) -> bytes:
    """A configuration as JSON of ours."""
    return (json.dumps(config, indent=2) + "\n").encode("ascii")


@cache
def table() -> dict[str, Any]:
    """config_keys.json with keys mapped to kinds; a class has the common and generation keys too."""
    raw = read("config_keys.json")
    generation = kinds(raw["generation"])
    common = generation | kinds(raw["common"])
    return {
        "transformers": raw["transformers"],
        "generation": generation,
        "common": common,
        "classes": {name: common | kinds(groups) for name, groups in raw["classes"].items()},
        "model_types": raw["model_types"],
    }


def keys_of_type(model_type: object) -> dict[str, str] | None:
    """The keys that the configuration class of a model type takes, None for an unknown one."""
    name = table()["model_types"].get(model_type) if isinstance(model_type, str) else None
    keys: dict[str, str] | None = table()["classes"].get(name)
    return keys


def _sub_keys(kind: str, value: dict[str, Any]) -> dict[str, str]:
    """The keys of a nested configuration: of its fixed class, its own model_type, or the default."""
    name = kind[1:].rstrip("?")
    own = keys_of_type(value.get("model_type")) if kind.endswith("?") else None
    keys: dict[str, str] = own or table()["classes"].get(name) or table()["common"]
    return keys


class Writer:
    """Builds new configurations out of parsed ones; what is left out goes to `dropped`."""

    def __init__(self, dropped: list[Dropped]) -> None:
        self._dropped = dropped

    def drop(self, location: str, reason: str) -> None:
        """Note that something is left out. location: file and key path; reason: half a sentence."""
        if len(self._dropped) < MAX_DROPPED:
            self._dropped.append(Dropped(location, reason))

    def config(self, config: dict[str, Any], keys: dict[str, str], prefix: str) -> dict[str, Any]:
        """The keys of one configuration that may stand. at: where it is, ready for a key."""
        kept: dict[str, Any] = {}
        for key, value in config.items():
            location = prefix + shown(key)[1:-1]
            reason = next((why for refused, why in _REFUSED if refused(key, value)), None)
            special = _special(key)
            if reason is not None:
                self.drop(location, reason)
            elif special is not None:
                if value is None or special(value, config):
                    kept[key] = value
                else:
                    self.drop(location, "is not a value that this key may have")
            elif key in _QUANTISERS and isinstance(value, dict):
                kept[key] = self._plain_dict(value, f"{location}.", text=False)
            elif key not in keys:
                if value not in (None, [], {}, ""):
                    self.drop(location, "is unknown to the class that reads it")
            elif value is None:
                kept[key] = None
            else:
                self._value(kept, key, value, keys[key], location)
        return kept

    def _value(self, kept: dict[str, Any], key: str, value: Any, kind: str, location: str) -> None:
        """Put a value of a known key into `kept` if it is of its kind and harmless."""
        text = key in _TEXT_KEYS
        if isinstance(value, dict) and kind.startswith("@"):
            kept[key] = self.config(value, _sub_keys(kind, value), f"{location}.")
        elif isinstance(value, dict) and "d" in kind and not is_float(value):
            # A configuration inside a plain object, as in encoder-decoder's encoder.
            keys = keys_of_type(value.get("model_type"))
            if keys is not None:
                kept[key] = self.config(value, keys, f"{location}.")
            else:
                kept[key] = self._plain_dict(value, f"{location}.", text=text)
        elif config_requests.too_large(key, value):
            self.drop(location, f"{value} is larger than any model's")
        elif not (_fits(value, kind) and harmless(value, text=text)):
            self.drop(location, "is not a value that this key may have")
        else:
            kept[key] = value

    def _plain_dict(self, value: dict[str, Any], prefix: str, *, text: bool) -> dict[str, Any]:
        """An object of data without a class: each entry stands or falls by itself."""
        kept: dict[str, Any] = {}
        for key, inner in value.items():
            location = prefix + shown(key)[1:-1]
            if not _harmless_key(key, inner, value, text=text):
                self.drop(location, "is not plain data")
            elif isinstance(inner, dict) and not is_float(inner):
                kept[key] = self._plain_dict(inner, f"{location}.", text=text)
            elif harmless(inner, text=text):
                kept[key] = inner
            else:
                self.drop(location, "is not plain data")
        return kept


def is_float(value: object) -> bool:
    """Whether this is how transformers writes Infinity or NaN."""
    return isinstance(value, dict) and len(value) == 1 and value.get("__float__") in _FLOATS


def _fits(value: object, kind: str) -> bool:
    if isinstance(value, bool | int | float) or is_float(value):
        return "v" in kind
    return (isinstance(value, str) and "s" in kind) or (isinstance(value, list) and "l" in kind)


def harmless(value: object, *, text: bool) -> bool:
    """Whether a value is plain data; of a list, every element must be."""
    if isinstance(value, str):
        if template_ast.may_be(value) and template_ast.refusal(value) is not None:
            return False
        return len(value) <= _MAX_TEXT if text else _PLAIN.fullmatch(value) is not None
    if isinstance(value, list):
        return all(harmless(inner, text=text) for inner in value)
    if isinstance(value, dict):
        return is_float(value) or all(
            _harmless_key(key, inner, value, text=text) and harmless(inner, text=text)
            for key, inner in value.items()
        )
    return not isinstance(value, int) or -(1 << 63) <= value < 1 << 63


def _harmless_key(key: str, value: object, parent: dict[str, Any], *, text: bool) -> bool:
    """Whether an entry of an object without a class may stand, if its value is plain data."""
    special = _SPECIAL.get(key)
    return (
        key not in config_requests.steering_keys()
        and not config_requests.is_reference(key)
        and not config_requests.fetches_kernel(key, value)
        and not config_requests.too_large(key, value)
        and harmless(key, text=text)
        and (special is None or value is None or special(value, parent))
    )


def _special(key: str) -> Callable[[Any, dict[str, Any]], bool] | None:
    """The rule of a key that has one of its own."""
    return _SPECIAL.get(key) or (_dtype if key.endswith("_dtype") else None)


def _dtype(value: object, _: dict[str, Any]) -> bool:
    """Many a class looks it up in torch by its name."""
    return value == "auto" or config_requests.is_dtype(value)


def _matches(pattern: re.Pattern[str]) -> Callable[[object, dict[str, Any]], bool]:
    return lambda value, _: isinstance(value, str) and pattern.fullmatch(value) is not None


def _identifiers(value: object, _: dict[str, Any]) -> bool:
    return isinstance(value, list) and all(
        isinstance(name, str) and _IDENTIFIER.fullmatch(name) for name in value
    )


def _backbone(value: object, config: dict[str, Any]) -> bool:
    return isinstance(value, str) and config_requests.is_timm_name(value, config)


# Keys with a rule of their own, at every level, whatever the class says.
_SPECIAL: dict[str, Callable[[Any, dict[str, Any]], bool]] = {
    "model_type": _matches(re.compile(r"[\w.-]{0,64}", re.ASCII)),
    "architectures": _identifiers,
    "transformers_version": _matches(_VERSION),
    "dtype": lambda value, _: config_requests.is_dtype(value),
    "torch_dtype": lambda value, _: config_requests.is_dtype(value),
    "backbone": _backbone,
    # timm takes "hf-hub:" and "local-dir:" before a name.
    "architecture": _matches(re.compile(r"[\w.-]{1,100}", re.ASCII)),
    # RagRetriever downloads it; there is one that its models have. To a quantiser it is a remark.
    "dataset": lambda value, config: config.get("model_type") != "rag" or value == "wiki_dpr",
    # Words of tesseract's command line, which can name files to read and to write.
    "tesseract_config": _matches(re.compile(r"( *--(psm|oem|dpi) +\d{1,4})* *")),
    "ocr_lang": _matches(re.compile(r"[A-Za-z_+]{0,100}")),
    **dict.fromkeys(
        ("tokenizer_class", "processor_class", "feature_extractor_type", "image_processor_type"),
        lambda value, _: (
            isinstance(value, str)
            and config_requests.is_class(value)
            and value not in config_requests.steering()["fetching"]["processors"]
        ),
    ),
}

#: Keys that are left out whatever they hold, and why: at every level, whatever the class says.
_REFUSED: tuple[tuple[Callable[[str, Any], bool], str], ...] = (
    (
        lambda key, _: key in config_requests.steering_keys(),
        "asks for code, a kernel or another place",
    ),
    (lambda key, _: config_requests.is_reference(key), "names a repository or a path"),
    (
        config_requests.fetches_kernel,
        "makes transformers fetch a kernel's code from the hub",
    ),
)
_QUANTISERS = frozenset(("quantization_config", "compression_config"))
