"""What a model's configuration asks transformers for besides numbers.

Zone: controller. The judgement is data: config_steering.toml. Everything parsed is looked at, also
what will not be re-emitted, at any depth.
"""

from __future__ import annotations

import re
import reprlib
from collections import Counter
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from safe_load.configuration import tables
from safe_load.json_strict import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

Kind = Literal["code", "kernel", "repository", "path", "plugin", "size", "template"]

MAX_ASKS = 100
"""Of one file and severity; a hostile one could hold a million."""

_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxdict, _SHORT.maxlist, _SHORT.maxstring = 3, 4, 4, 120


@dataclass(frozen=True)
class Ask:
    """One thing asked for. location: file and key path; value: escaped and cut.

    finding: the id it amounts to (SL503; SL504 for a template that is more than text, SL603 for a
    size that would exhaust the host);
    severity: of that finding. why: completes the sentence "<location>: <value> <why>".
    """

    location: str
    value: str
    why: str
    kind: Kind
    severity: Literal["low", "medium", "high"]
    finding: Literal["SL503", "SL504", "SL603"] = "SL503"


def steering() -> dict[str, Any]:
    """What asks for something besides data."""
    return tables.read("config_steering.toml")


@cache
def steering_keys() -> frozenset[str]:
    """The keys that ask for something by being there. None of them is ever re-emitted."""
    rules = steering()
    return frozenset(
        [
            *rules["keys"],
            *rules["attention"]["keys"],
            *rules["experts"]["keys"],
            *rules["weights"]["keys"],
        ]
    )


def is_reference(key: str) -> bool:
    """Whether a key of this name holds a repository or a path."""
    return key.endswith(tuple(steering()["suffixes"]["endings"])) or key == "name_or_path"


def find(config: dict[str, Any], where: str) -> list[Ask]:
    """Everything that one parsed file asks for, at most MAX_ASKS of each severity. where: its name."""
    found: list[Ask] = []
    # Counted by severity, or many small requests would hide a grave one.
    counts: Counter[str] = Counter()
    for path, key, value, parent in _walk(config):
        for ask in _judge(f"{where}: {path}", key, value, parent):
            counts[ask.severity] += 1
            if counts[ask.severity] <= MAX_ASKS:
                found.append(ask)
    return found


def find_in_tokenizer(config: dict[str, Any], where: str) -> list[Ask]:
    """As `find`, and what only a tokenizer's configuration can ask for."""
    rule = steering()["tokenizers"]
    named = [(key, config[key]) for key in rule["keys"] if config.get(key)]
    listed = config.get("fast_tokenizer_files")
    named += [
        ("fast_tokenizer_files", name)
        for name in (listed if isinstance(listed, list) else [])
        if not (isinstance(name, str) and re.fullmatch(rule["versions"], name, re.ASCII))
    ]
    asks = [
        Ask(
            f"{where}: {key}",
            brief(value),
            rule["why"],
            "path",
            rule["severity"],
        )
        for key, value in named[:MAX_ASKS]
    ]
    return asks + find(config, where)


def brief(value: object) -> str:
    """A hostile value as an Ask carries it: escaped and cut."""
    return shown(_SHORT.repr(value), 200)[1:-1]


def too_large(key: str, value: object) -> bool:
    """Whether a value is a size that no model has, so that building it would exhaust the host."""
    if not isinstance(value, int) or abs(value) <= 1000:
        return False
    for rule in steering()["sizes"]:
        if re.search(rule["pattern"], key):
            return value > int(rule["limit"])
    return False


def _walk(config: dict[str, Any]) -> Iterator[tuple[str, str, Any, dict[str, Any]]]:
    waiting: list[tuple[str, Any]] = [("", config)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, dict):
            for key, inner in value.items():
                below = f"{path}.{shown(key)[1:-1]}" if path else shown(key)[1:-1]
                yield below, key, inner, value
                if isinstance(inner, dict | list):
                    waiting.append((below, inner))
        else:
            waiting += [
                (f"{path}[{n}]", inner)
                for n, inner in enumerate(value)
                if isinstance(inner, dict | list)
            ]


def _judge(location: str, key: str, value: Any, parent: dict[str, Any]) -> Iterator[Ask]:
    """What one key of one object asks for."""
    rules = steering()

    def ask(rule: dict[str, Any], kind: Kind, what: Any = value) -> Ask:
        return Ask(location, brief(what), rule["why"], kind, rule["severity"])

    if value is None or value in ("", [], {}) or value is False:
        return
    if key in rules["keys"]:
        yield ask(rules["keys"][key], rules["keys"][key]["kind"])
    elif is_reference(key) and key not in rules["suffixes"]["harmless"]:
        yield ask(rules["suffixes"], rules["suffixes"]["kind"])
    elif key in rules["attention"]["keys"]:
        yield from (
            ask(rules["attention"], "kernel", name) for name in _unknown(rules["attention"], value)
        )
    elif key in rules["experts"]["keys"]:
        yield from (
            ask(rules["experts"], "kernel", name) for name in _unknown(rules["experts"], value)
        )
    elif key in rules["dtypes"]["keys"]:
        # A quantiser's configuration has dtypes of its own ("int4"), which torch is not asked for.
        plain = value.removeprefix("torch.") if isinstance(value, str) else value
        quantiser = any(name in location for name in rules["quantisers"]["keys"])
        if not (is_dtype(plain) or plain == "auto" or quantiser):
            yield ask(rules["dtypes"], "code")
    elif key in rules["classes"]["keys"]:
        if not (isinstance(value, str) and is_class(value)):
            yield ask(rules["classes"], "code")
    elif key in rules["quantisers"]["keys"]:
        yield from (ask(rule, kind, name) for rule, kind, name in _quantiser(value))
    elif key == "model_type" and value in rules["kernels"]["model_types"]:
        yield ask(rules["kernels"], "kernel")
    elif key == "backbone" and isinstance(value, str):
        if not is_timm_name(value, parent):
            yield ask(rules["backbones"], "repository")
    elif key in rules["weights"]["keys"]:
        if not isinstance(value, str) or not re.fullmatch(
            r"[\w.-]+\.safetensors(\.index\.json)?", value
        ):
            yield ask(rules["weights"], "path")
    elif too_large(key, value):
        yield Ask(location, str(value), "is larger than any model's", "size", "medium", "SL603")


def is_dtype(value: object) -> bool:
    """Whether torch has a dtype of this name."""
    return isinstance(value, str) and value in steering()["dtypes"]["known"]


def is_class(name: str) -> bool:
    """Whether this may be the name of a tokenizer or processor of transformers."""
    return re.fullmatch(steering()["classes"]["pattern"], name, re.ASCII) is not None


def is_timm_name(name: str, parent: dict[str, Any]) -> bool:
    """Whether a backbone is an architecture that timm builds by itself, so that nothing is fetched."""
    return (
        re.fullmatch(r"[\w.-]{1,100}", name, re.ASCII) is not None
        and parent.get("model_type") in steering()["backbones"]["timm_model_types"]
        and parent.get("use_timm_backbone") is not False
        and not parent.get("backbone_kwargs")
    )


def _unknown(rule: dict[str, Any], value: Any) -> list[Any]:
    """The names in a value (a string, or one for each part of the model) that are not known."""
    names = list(value.values()) if isinstance(value, dict) else [value]
    return [
        name
        for name in names
        if name is not None
        and not (isinstance(name, str) and name.removeprefix(rule["prefix"]) in rule["known"])
    ]


def _quantiser(value: Any) -> Iterator[tuple[dict[str, Any], Kind, Any]]:
    rules = steering()
    method = value.get("quant_method") if isinstance(value, dict) else value
    if method is None:
        return  # transformers then looks at load_in_4bit and load_in_8bit: bitsandbytes
    if method not in rules["quantisers"]["known"]:
        yield rules["quantisers"], "plugin", method
    elif method in rules["kernels"]["quant_methods"]:
        yield rules["kernels"], "kernel", method
