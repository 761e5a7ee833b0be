"""What a model's configuration asks transformers for besides numbers.

Zone: worker. The judgement is data: config_steering.toml. Everything parsed is looked at, also
what will not be re-emitted, at any depth.
"""

from __future__ import annotations

import re
import reprlib
from collections import Counter
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from safe_load.worker.rewrite import tables
from safe_load.worker.strict_json import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Kind = Literal["code", "kernel", "repository", "path", "plugin", "size", "template", "cost"]

MAX_ASKS = 100
"""Of one file and severity; a hostile one could hold a million."""

_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxdict, _SHORT.maxlist, _SHORT.maxstring = 3, 4, 4, 120


@dataclass(frozen=True)
class ConfigRequest:
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


def find(config: dict[str, Any], where: str) -> list[ConfigRequest]:
    """Everything that one parsed file asks for, at most MAX_ASKS of each severity. where: its name."""
    found: list[ConfigRequest] = []
    # Counted by severity, or many small requests would hide a grave one.
    counts: Counter[str] = Counter()
    for path, key, value, parent in _walk(config):
        for ask in _judge(_Item(f"{where}: {path}", key, value, parent)):
            counts[ask.severity] += 1
            if counts[ask.severity] <= MAX_ASKS:
                found.append(ask)
    return found


def find_code(config: dict[str, Any], where: str) -> list[ConfigRequest]:
    """Only what asks for code or a kernel, for a file of which nobody knows who reads it."""
    rules = steering()
    keys = {key for key, rule in rules["keys"].items() if rule["kind"] == "code"}
    keys |= {*rules["attention"]["keys"], *rules["experts"]["keys"]}
    if where.rpartition("/")[2] == rules["plugins"]["file"]:
        keys |= {*rules["plugins"]["keys"]}
    found: list[ConfigRequest] = []
    for path, key, value, parent in _walk(config):
        if key in keys and len(found) < MAX_ASKS:
            found += _judge(_Item(f"{where}: {path}", key, value, parent))
    return found


def find_in_tokenizer(config: dict[str, Any], where: str) -> list[ConfigRequest]:
    """As `find`, and what only a tokenizer's configuration can ask for."""
    rule = steering()["tokenizers"]
    named = [(key, config[key]) for key in rule["keys"] if config.get(key)]
    listed = config.get("fast_tokenizer_files")
    named += [
        ("fast_tokenizer_files", name)
        for name in (listed if isinstance(listed, list) else [])
        if not (isinstance(name, str) and re.fullmatch(rule["versions"], name, re.ASCII))
    ]
    requests = [
        ConfigRequest(
            f"{where}: {key}",
            brief(value),
            rule["why"],
            "path",
            rule["severity"],
        )
        for key, value in named[:MAX_ASKS]
    ]
    return requests + find(config, where)


def brief(value: object) -> str:
    """A hostile value as an Ask carries it: escaped and cut."""
    return shown(_SHORT.repr(value), 200)[1:-1]


def fetches_kernel(key: str, value: object) -> bool:
    """Whether this is the configuration of a quantiser whose code comes from a hub."""
    rules = steering()
    return (
        key in rules["quantisers"]["keys"]
        and isinstance(value, dict)
        and value.get("quant_method") in rules["kernels"]["quant_methods"]
    )


def too_large(key: str, value: object) -> bool:
    """Whether a value is a size that no model has, so that building it would exhaust the host."""
    if not isinstance(value, int) or abs(value) <= 1000:
        return False
    for rule in steering()["sizes"]:
        if re.search(rule["pattern"], key):
            return value > int(rule["limit"])
    return False


def texts(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every string of a parsed value with the path to it."""
    waiting: list[tuple[str, Any]] = [(path, value)]
    while waiting:
        place, inner = waiting.pop()
        if isinstance(inner, str):
            yield place, inner
        elif isinstance(inner, dict):
            dot = "." if place else ""
            waiting += [(f"{place}{dot}{shown(key)[1:-1]}", each) for key, each in inner.items()]
        elif isinstance(inner, list):
            waiting += [(f"{place}[{n}]", each) for n, each in enumerate(inner)]


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


@dataclass(frozen=True)
class _Item:
    """One key of one object. location: file and key path; parent: the object."""

    location: str
    key: str
    value: Any
    parent: dict[str, Any]

    def ask(self, rule: dict[str, Any], kind: Kind) -> Iterator[ConfigRequest]:
        """The key's value is asked for."""
        yield from self.each([self.value], rule, kind)

    def each(
        self, names: Iterable[Any], rule: dict[str, Any], kind: Kind
    ) -> Iterator[ConfigRequest]:
        """Each of these names is asked for."""
        for name in names:
            yield ConfigRequest(self.location, brief(name), rule["why"], kind, rule["severity"])

    def named(self, table: str) -> bool:
        """Whether a table of config_steering.toml lists the key."""
        return self.key in steering()[table]["keys"]


def _judge(item: _Item) -> Iterator[ConfigRequest]:
    """What one key of one object asks for: the first rule that it falls under says it."""
    if item.value is None or item.value in ("", [], {}) or item.value is False:
        return
    for applies, requests in _RULES:
        if applies(item):
            yield from requests(item)
            return


def _by_key(item: _Item) -> Iterator[ConfigRequest]:
    rule = steering()["keys"][item.key]
    return item.ask(rule, rule["kind"])


def _reference(item: _Item) -> Iterator[ConfigRequest]:
    rule = steering()["suffixes"]
    return item.ask(rule, rule["kind"])


def _kernels_of(table: str) -> Callable[[_Item], Iterator[ConfigRequest]]:
    def requests(item: _Item) -> Iterator[ConfigRequest]:
        rule = steering()[table]
        return item.each(_unknown(rule, item.value), rule, "kernel")

    return requests


def _dtype(item: _Item) -> Iterator[ConfigRequest]:
    rules, value = steering(), item.value
    # A quantiser's configuration has dtypes of its own ("int4"), which torch is not asked for.
    plain = value.removeprefix("torch.") if isinstance(value, str) else value
    quantiser = any(name in item.location for name in rules["quantisers"]["keys"])
    if not (is_dtype(plain) or plain == "auto" or quantiser):
        yield from item.ask(rules["dtypes"], "code")


def _module(item: _Item) -> Iterator[ConfigRequest]:
    name = item.value.partition(".")[0] if isinstance(item.value, str) else None
    if name not in steering()["modules"]["known"]:
        yield from item.ask(steering()["modules"], "code")


def _class(item: _Item) -> Iterator[ConfigRequest]:
    if not (isinstance(item.value, str) and is_class(item.value)):
        yield from item.ask(steering()["classes"], "code")


def _trusting(item: _Item) -> Iterator[ConfigRequest]:
    if isinstance(item.value, dict) and item.value.get("trust_remote_code"):
        yield from item.ask(steering()["trusting"], "code")


def _plugins(item: _Item) -> Iterator[ConfigRequest]:
    rule, value = steering()["plugins"], item.value
    names = value if isinstance(value, list) else [value]
    yield from item.each([name for name in names if name not in rule["known"]], rule, "code")


def _activation(item: _Item) -> Iterator[ConfigRequest]:
    rule = steering()["activations"]
    if isinstance(item.value, str) and not re.fullmatch(rule["pattern"], item.value, re.ASCII):
        yield from item.ask(rule, "code")


def _quantisers(item: _Item) -> Iterator[ConfigRequest]:
    for rule, kind, name in _quantiser(item.value):
        yield from item.each([name], rule, kind)


def _backbone(item: _Item) -> Iterator[ConfigRequest]:
    if not is_timm_name(item.value, item.parent):
        yield from item.ask(steering()["backbones"], "repository")


def _weights(item: _Item) -> Iterator[ConfigRequest]:
    name = item.value
    if not isinstance(name, str) or not re.fullmatch(r"[\w.-]+\.safetensors(\.index\.json)?", name):
        yield from item.ask(steering()["weights"], "path")


def _own_classes(item: _Item) -> Iterator[ConfigRequest]:
    yield ConfigRequest(item.location, brief(item.value), _HAS_ITS_OWN, "code", "low")


def _size(item: _Item) -> Iterator[ConfigRequest]:
    why = "is larger than any model's"
    yield ConfigRequest(item.location, str(item.value), why, "size", "medium", "SL603")


_Rule = tuple["Callable[[_Item], bool]", "Callable[[_Item], Iterator[ConfigRequest]]"]
#: Which keys are looked at, and what they ask for; the first that applies.
_RULES: tuple[_Rule, ...] = (
    (
        lambda item: (
            item.key == "auto_map"
            and item.location.endswith(": auto_map")
            and has_its_own(item.value, item.parent)
        ),
        _own_classes,
    ),
    (lambda item: item.key in steering()["keys"], _by_key),
    (
        lambda item: is_reference(item.key) and item.key not in steering()["suffixes"]["harmless"],
        _reference,
    ),
    (lambda item: item.named("attention"), _kernels_of("attention")),
    (lambda item: item.named("experts"), _kernels_of("experts")),
    (lambda item: item.named("dtypes"), _dtype),
    (lambda item: item.named("classes"), _class),
    (lambda item: item.named("activations"), _activation),
    (lambda item: item.named("trusting"), _trusting),
    (
        lambda item: (
            item.named("plugins")
            and item.location.partition(": ")[0].endswith(steering()["plugins"]["file"])
        ),
        _plugins,
    ),
    (lambda item: item.named("modules"), _module),
    (lambda item: item.named("quantisers"), _quantisers),
    (
        lambda item: (
            item.key == "model_type" and item.value in steering()["kernels"]["model_types"]
        ),
        lambda item: item.ask(steering()["kernels"], "kernel"),
    ),
    (lambda item: item.key == "backbone" and isinstance(item.value, str), _backbone),
    (lambda item: item.named("weights"), _weights),
    (lambda item: too_large(item.key, item.value), _size),
)


_HAS_ITS_OWN = (
    "names classes of the repository, for which transformers has its own of the same names: "
    "without trust_remote_code it loads those"
)


def has_its_own(value: Any, parent: dict[str, Any]) -> bool:
    """Whether each class that an auto_map at the top names is one of transformers, by the name of the
    architecture, so that nothing of the repository is needed. None is of another repository."""
    config = tables.read("config_keys.json")["model_types"].get(str(parent.get("model_type")))
    if not isinstance(value, dict) or not config:
        return False
    name = re.escape(config.removesuffix("Config"))
    ours = re.compile(
        rf"\w+\.{name}(Config|Model|For[A-Z]\w*|LMHeadModel|PreTrainedModel)", re.ASCII
    )
    return all(isinstance(each, str) and ours.fullmatch(each) for each in value.values())


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
