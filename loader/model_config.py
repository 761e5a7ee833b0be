"""config.json and generation_config.json, written anew from what is known to be harmless.

Zone: controller. The files are parsed within bounds, and only keys that the model type's own
configuration class takes (config_keys.json, made by `python -m safe_load.worker.config_table`)
with values of their kind are written again. Nothing that names code, another repository, a path,
a kernel or a plugin is among them; what asked for such a thing is returned as an Ask.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from safe_load import config_asks
from safe_load.config_asks import Ask
from safe_load.json_strict import Malformed, parse, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Ask", "Dropped", "Malformed", "Reemitted", "reemit"]

CONFIG = "config.json"
GENERATION = "generation_config.json"
MAX_DROPPED = 1000

# One word or sentence: no slash, so no repository with an owner, no path and no URL.
_PLAIN = re.compile(r"(?![.~])[^/\\\x00-\x1f\x7f-\x9f]{0,256}|re:[^/\x00-\x1f\x7f-\x9f]{0,256}")
_IDENTIFIER = re.compile(r"[A-Za-z_]\w{0,127}", re.ASCII)
_VERSION = re.compile(r"\d[\w.+-]{0,63}", re.ASCII)
_VARIANT = re.compile(r"config\.(\d{1,4}(?:\.\d{1,4}){0,3})\.json", re.ASCII)
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


@dataclass(frozen=True)
class Reemitted:
    """files: name to new content. asks: what the files asked for, bounded too. dropped: at most MAX_DROPPED.

    notes: what a reader should know besides. model_type, architectures: as kept in config.json.
    """

    files: dict[str, bytes]
    asks: list[Ask]
    dropped: list[Dropped]
    notes: list[str]
    model_type: str | None = None
    architectures: list[str] = field(default_factory=list)


def reemit(files: Mapping[str, bytes]) -> Reemitted:
    """Write config.json and generation_config.json anew; other names in `files` are ignored,
    save for the config.*.json that config.json may point to, which are all looked at.

    Raises Malformed when one of them is not JSON within bounds, or no object.
    """
    result = Reemitted({}, [], [], [])
    out = _Writer(result)
    if CONFIG in files:
        name, config = _chosen(files, result)
        if "model_type" not in config and isinstance(config.get("pretrained_cfg"), dict):
            config = {
                **config,
                "model_type": "timm_wrapper",
            }  # utils/generic.py, is_timm_config_dict
        model_type = config.get("model_type")
        keys = _keys_of_type(model_type)
        if keys is None:
            kind = shown(model_type) if isinstance(model_type, str) else "none"
            result.notes.append(
                f"unknown architecture ({kind}): weights exported only; {CONFIG} carries only the common keys"
            )
        kept = out.config(config, keys or _table()["common"], f"{name}: ")
        result = Reemitted(
            result.files, result.asks, result.dropped, result.notes,
            kept.get("model_type"), kept.get("architectures") or [],
        )  # fmt: skip
        result.files[CONFIG] = _render(kept)
    if GENERATION in files:
        config = _read(files, GENERATION)
        result.asks.extend(config_asks.find(config, GENERATION))
        kept = out.config(config, _table()["generation"], f"{GENERATION}: ")
        result.files[GENERATION] = _render(kept)
    return result


def _read(files: Mapping[str, bytes], name: str) -> dict[str, Any]:
    value = parse(
        files[name], where=name, max_bytes=8 << 20, max_items=500_000, allow_nonfinite=True
    )
    if not isinstance(value, dict):
        raise Malformed(f"{name}: not a JSON object")
    return value


def _chosen(files: Mapping[str, bytes], result: Reemitted) -> tuple[str, dict[str, Any]]:
    """The configuration that transformers would use, after a look at each that it could."""
    config = _read(files, CONFIG)
    result.asks.extend(config_asks.find(config, CONFIG))
    if "configuration_files" not in config:
        return CONFIG, config
    listed = config["configuration_files"]
    if not isinstance(listed, list):
        raise Malformed(f"{CONFIG}: configuration_files is not a list")
    variants: dict[str, str] = {}
    for name in listed:
        match = _VARIANT.fullmatch(name) if isinstance(name, str) else None
        if match is not None:
            variants[match[1]] = name
        elif name != CONFIG:
            why = "points to a configuration under a name that no version of transformers has"
            result.asks.append(
                Ask(f"{CONFIG}: configuration_files", shown(str(name)), why, "path", "medium")
            )
    parsed = {name: _read(files, name) for name in variants.values() if name in files}
    for name, variant in parsed.items():
        result.asks.extend(config_asks.find(variant, name))
    chosen = CONFIG
    # As configuration_utils.get_configuration_file does: sorted as text, up to the first newer one.
    for version in sorted(variants):
        if _numbers(version) > _numbers(_table()["transformers"]):
            break
        chosen = variants[version]
    if chosen == CONFIG or chosen not in parsed:
        return CONFIG, config
    result.notes.append(f"{CONFIG} points to {chosen}, which is what was written again as {CONFIG}")
    return chosen, parsed[chosen]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())


def _render(config: dict[str, Any]) -> bytes:
    return (json.dumps(config, indent=2, sort_keys=True) + "\n").encode("ascii")


@cache
def _table() -> dict[str, Any]:
    """config_keys.json with keys mapped to kinds; a class has the common and generation keys too."""
    raw = json.loads(resources.files("safe_load").joinpath("config_keys.json").read_bytes())

    def kinds(groups: dict[str, str]) -> dict[str, str]:
        return {key: kind for kind, keys in groups.items() for key in keys.split()}

    generation = kinds(raw["generation"])
    common = generation | kinds(raw["common"])
    return {
        "transformers": raw["transformers"],
        "generation": generation,
        "common": common,
        "classes": {name: common | kinds(groups) for name, groups in raw["classes"].items()},
        "model_types": raw["model_types"],
    }


def _keys_of_type(model_type: object) -> dict[str, str] | None:
    name = _table()["model_types"].get(model_type) if isinstance(model_type, str) else None
    keys: dict[str, str] | None = _table()["classes"].get(name)
    return keys


def _sub_keys(kind: str, value: dict[str, Any]) -> dict[str, str]:
    """The keys of a nested configuration: of its fixed class, its own model_type, or the default."""
    name = kind[1:].rstrip("?")
    own = _keys_of_type(value.get("model_type")) if kind.endswith("?") else None
    keys: dict[str, str] = own or _table()["classes"].get(name) or _table()["common"]
    return keys


class _Writer:
    """Builds new configurations out of parsed ones; what is left out goes to `result.dropped`."""

    def __init__(self, result: Reemitted) -> None:
        self._dropped = result.dropped

    def _drop(self, location: str, reason: str) -> None:
        if len(self._dropped) < MAX_DROPPED:
            self._dropped.append(Dropped(location, reason))

    def config(self, config: dict[str, Any], keys: dict[str, str], at: str) -> dict[str, Any]:
        """The keys of one configuration that may stand. at: where it is, ready for a key."""
        kept: dict[str, Any] = {}
        for key, value in config.items():
            location = at + shown(key)[1:-1]
            special = _SPECIAL.get(key)
            if key in config_asks.steering_keys():
                self._drop(location, "asks for code, a kernel or another place")
            elif config_asks.is_reference(key):
                self._drop(location, "names a repository or a path")
            elif special is not None:
                if value is None or special(value, config):
                    kept[key] = value
                else:
                    self._drop(location, "is not a value that this key may have")
            elif key in ("quantization_config", "compression_config") and isinstance(value, dict):
                kept[key] = self._plain_dict(value, f"{location}.", text=False)
            elif key not in keys:
                self._drop(location, "unknown to this model type's configuration class")
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
        elif isinstance(value, dict) and "d" in kind and not _is_float(value):
            # A configuration inside a plain object, as in encoder-decoder's encoder.
            keys = _keys_of_type(value.get("model_type"))
            if keys is not None:
                kept[key] = self.config(value, keys, f"{location}.")
            else:
                kept[key] = self._plain_dict(value, f"{location}.", text=text)
        elif config_asks.too_large(key, value):
            self._drop(location, f"{value} is larger than any model's")
        elif not (_fits(value, kind) and _harmless(value, text=text)):
            self._drop(location, "is not a value that this key may have")
        else:
            kept[key] = value

    def _plain_dict(self, value: dict[str, Any], at: str, *, text: bool) -> dict[str, Any]:
        """An object of data without a class: each entry stands or falls by itself."""
        kept: dict[str, Any] = {}
        for key, inner in value.items():
            location = at + shown(key)[1:-1]
            if not _harmless_key(key, inner, value, text=text):
                self._drop(location, "is not plain data")
            elif isinstance(inner, dict) and not _is_float(inner):
                kept[key] = self._plain_dict(inner, f"{location}.", text=text)
            elif _harmless(inner, text=text):
                kept[key] = inner
            else:
                self._drop(location, "is not plain data")
        return kept


def _is_float(value: object) -> bool:
    """Whether this is how transformers writes Infinity or NaN."""
    return isinstance(value, dict) and len(value) == 1 and value.get("__float__") in _FLOATS


def _fits(value: object, kind: str) -> bool:
    if isinstance(value, bool | int | float) or _is_float(value):
        return "v" in kind
    return (isinstance(value, str) and "s" in kind) or (isinstance(value, list) and "l" in kind)


def _harmless(value: object, *, text: bool) -> bool:
    """Whether a value is plain data; of a list, every element must be."""
    if isinstance(value, str):
        return len(value) <= _MAX_TEXT if text else _PLAIN.fullmatch(value) is not None
    if isinstance(value, list):
        return all(_harmless(inner, text=text) for inner in value)
    if isinstance(value, dict):
        return _is_float(value) or all(
            _harmless_key(key, inner, value, text=text) and _harmless(inner, text=text)
            for key, inner in value.items()
        )
    return not isinstance(value, int) or -(1 << 63) <= value < 1 << 63


def _harmless_key(key: str, value: object, parent: dict[str, Any], *, text: bool) -> bool:
    """Whether an entry of an object without a class may stand, if its value is plain data."""
    special = _SPECIAL.get(key)
    return (
        key not in config_asks.steering_keys()
        and not config_asks.is_reference(key)
        and not config_asks.too_large(key, value)
        and _harmless(key, text=text)
        and (special is None or value is None or special(value, parent))
    )


def _matches(pattern: re.Pattern[str]) -> Callable[[object, dict[str, Any]], bool]:
    return lambda value, _: isinstance(value, str) and pattern.fullmatch(value) is not None


def _identifiers(value: object, _: dict[str, Any]) -> bool:
    return isinstance(value, list) and all(
        isinstance(name, str) and _IDENTIFIER.fullmatch(name) for name in value
    )


def _backbone(value: object, config: dict[str, Any]) -> bool:
    return isinstance(value, str) and config_asks.is_timm_name(value, config)


# Keys with a rule of their own, at every level, whatever the class says.
_SPECIAL: dict[str, Callable[[Any, dict[str, Any]], bool]] = {
    "model_type": _matches(re.compile(r"[\w.-]{0,64}", re.ASCII)),
    "architectures": _identifiers,
    "transformers_version": _matches(_VERSION),
    "dtype": lambda value, _: config_asks.is_dtype(value),
    "torch_dtype": lambda value, _: config_asks.is_dtype(value),
    "backbone": _backbone,
    **dict.fromkeys(
        ("tokenizer_class", "processor_class", "feature_extractor_type", "image_processor_type"),
        lambda value, _: isinstance(value, str) and config_asks.is_class(value),
    ),
}
