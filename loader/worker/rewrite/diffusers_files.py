"""What diffusers reads beside weights: a pipeline's list of parts and their configurations, written anew.

Zone: worker. The classes and their keys are data: diffusers_keys.json, made by
`python -m dev.diffusers_table`. Diffusers imports the library that a list names, or a file
of that name in the folder; so a part is of diffusers or transformers, and of a class that is known.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from safe_load.worker.rewrite import class_table, config_requests, lenient, tables
from safe_load.worker.rewrite.config_requests import ConfigRequest
from safe_load.worker.rewrite.config_writer import Rewritten, Writer, render
from safe_load.worker.strict_json import Malformed, parse, require_object, shown

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from safe_load.worker.rewrite.class_table import Kind

PIPELINE = "model_index.json"
SCHEDULER = "scheduler_config.json"
_ANY = "dlsv"
_IDENTIFIER = re.compile(r"[A-Za-z_]\w{0,127}", re.ASCII)
_VERSION = re.compile(r"\d[\w.+-]{0,63}", re.ASCII)
#: Diffusers takes any two characters for a library and a class, also those of a text.
_WORD = re.compile(r"[A-Za-z_]\w{2,127}", re.ASCII)
#: Models of transformers; those that are none have no loading method that diffusers knows.
_MODEL = re.compile(
    r"(?!Auto|TF|Flax)[A-Z]\w{0,100}(Model|ModelWithProjection|For[A-Z]\w{2,60}|HifiGan)", re.ASCII
)
_KINDS: tuple[Kind, ...] = ("tokenizer", "image_processor", "feature_extractor", "processor")
_CODE = frozenset({"custom_pipeline", "custom_revision", "trust_remote_code"})
#: Settings of pipelines that are lists of words, not of a library and a class.
_LISTS = frozenset({"pag_applied_layers"})
_HEAD = frozenset({"_class_name", "_diffusers_version", "_ignore_files"})
_MOST_DEFAULTS = 1000
_MOST_FOREIGN = 100


def is_part(config: Mapping[str, Any]) -> bool:
    """Whether a config.json is of diffusers, not of transformers."""
    return "_class_name" in config and "model_type" not in config


def pipeline(data: bytes, modules: Container[str] = ()) -> Rewritten:
    """Write model_index.json anew: the parts that may be loaded, and plain settings. modules: names
    of the folder's files of Python."""
    out = Rewritten()
    try:
        value = _object(data, PIPELINE)
    except Malformed as error:
        out.notes.append(f"{PIPELINE} was not exported: {error}")
        out.requests += lenient.unjudged(data, PIPELINE)
        return out
    out.requests += config_requests.find(value, PIPELINE)
    name = value.get("_class_name")
    keys = _table()["pipelines"].get(name) if isinstance(name, str) else None
    if keys is None:
        _not_known(out, PIPELINE, name, "pipeline")
        # Whoever calls a class of diffusers by name loads the parts all the same.
        out.requests += [
            _foreign(f"{PIPELINE}: {shown(key)[1:-1]}", inner, modules)
            for key, inner in value.items()
            if isinstance(inner, list) and _is_foreign(inner) and key not in _LISTS | _HEAD
        ][:_MOST_FOREIGN]
        return out
    writer = Writer(out.dropped)
    kept = _head(value)
    plain: dict[str, Any] = {}
    for key, inner in value.items():
        location = f"{PIPELINE}: {shown(key)[1:-1]}"
        if key in kept or key == "_ignore_files":  # of which only a download takes notice
            continue
        if key in _CODE and inner:
            out.requests.append(_ask(location, inner, "asks diffusers for code of the folder's"))
            writer.drop(location, "asks for code")
        elif isinstance(inner, list) and _is_foreign(inner) and key not in _LISTS:
            out.requests.append(_foreign(location, inner, modules))
            writer.drop(location, "is not a part of diffusers' or transformers' own")
        elif key not in keys:
            plain[key] = inner
        elif isinstance(inner, list) and key not in _LISTS and not _are_numbers(inner):
            if _is_known(inner):
                kept[key] = inner
            else:
                writer.drop(location, "is of no class that is known")
        elif isinstance(inner, str) and not _WORD.fullmatch(inner):
            writer.drop(location, "is not a value that this key may have")
        else:
            plain[key] = inner
    kept |= writer.config(plain, dict.fromkeys(keys, _ANY), f"{PIPELINE}: ")
    out.files[PIPELINE] = render(kept)
    return out


def _foreign(location: str, named: list[Any], modules: Container[str]) -> ConfigRequest:
    """What a part asks for that is of no library. A module that older versions had is no grave matter, unless
    a file has its name."""
    grave = named[0] in modules or named[0] not in _table()["deprecated"].split()
    why = "names a module or a file that diffusers would import"
    return _ask(location, named, why, "medium" if grave else "low")


def part(name: str, data: bytes, prefix: str) -> Rewritten:
    """Write the configuration of one model or scheduler anew. name: of the file; prefix: what stands
    before it in messages. What is malformed or of no known class is told in a note, and not exported."""
    out = Rewritten()
    where = f"{prefix}{name}"
    try:
        value = _object(data, where)
    except Malformed as error:
        out.notes.append(f"{where} was not exported: {error}")
        out.requests += lenient.asked(data, where)
        return out
    out.requests += config_requests.find(value, where)
    known = value.get("_class_name")
    keys = _keys(known) if isinstance(known, str) else None
    if keys is None:
        _not_known(out, where, known, "part")
        return out
    writer = Writer(out.dropped)
    kept = _head(value)
    for key in ("quantization_config", "compression_config"):
        if value.pop(key, None):
            writer.drop(f"{where}: {key}", "asks for a quantiser")
    defaults = value.pop("_use_default_values", None)
    if _is_names(defaults):
        kept["_use_default_values"] = defaults
    elif defaults is not None:
        writer.drop(f"{where}: _use_default_values", "is not a value that this key may have")
    rest = {key: inner for key, inner in value.items() if key not in ("_class_name", *kept)}
    kept |= writer.config(rest, keys, f"{where}: ")
    out.files[name] = render(kept)
    return out


@cache
def _table() -> dict[str, Any]:
    """diffusers_keys.json, its lists of words as sets."""
    return {
        key: {name: frozenset(words.split()) for name, words in value.items()}
        if isinstance(value, dict)
        else value
        for key, value in tables.read("diffusers_keys.json").items()
    }


@cache
def _keys(name: str) -> dict[str, str] | None:
    """The keys that a model or scheduler takes; of a scheduler those of all, since people make one
    of the configuration of another."""
    schedulers = _table()["schedulers"]
    if name in schedulers:
        return dict.fromkeys(sorted(frozenset().union(*schedulers.values())), _ANY)
    keys = _table()["models"].get(name)
    return None if keys is None else dict.fromkeys(sorted(keys), _ANY)


def _object(data: bytes, where: str) -> dict[str, Any]:
    value = parse(
        data, where=where, max_bytes=4 << 20, max_items=100_000, allow_nonfinite=True
    )  # schedulers clip at -Infinity
    return require_object(value, where)


def _head(value: Mapping[str, Any]) -> dict[str, Any]:
    """Which class it is of, which is known, and which version of diffusers wrote it."""
    head = {"_class_name": value["_class_name"]}
    version = value.get("_diffusers_version")
    if isinstance(version, str) and _VERSION.fullmatch(version):
        head["_diffusers_version"] = version
    return head


def _is_foreign(value: list[Any]) -> bool:
    """Whether diffusers would take this for a part, and import something that is no library's own."""
    if len(value) != 2 or not isinstance(value[0], str):
        return False
    return not _is_library(value[0]) or (
        isinstance(value[1], str) and not _IDENTIFIER.fullmatch(value[1])
    )


def _is_library(name: str) -> bool:
    return name in ("diffusers", "transformers") or name in _table()["parts"]


def _is_known(value: list[Any]) -> bool:
    """Whether this is a library and one of its classes that a pipeline may be made of, or neither."""
    if value == [None, None]:
        return True
    if len(value) != 2 or not all(isinstance(name, str) for name in value):
        return False
    library, name = value
    if library == "transformers":
        return _MODEL.fullmatch(name) is not None or any(
            class_table.known(kind, name) for kind in _KINDS
        )
    if library == "diffusers":
        return name in _table()["models"] or name in _table()["schedulers"]
    return name in _table()["parts"].get(library, ())


def _are_numbers(value: list[Any]) -> bool:
    return all(isinstance(each, int | float) for each in value)


def _is_names(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= _MOST_DEFAULTS
        and all(isinstance(name, str) and _IDENTIFIER.fullmatch(name) for name in value)
    )


def _not_known(out: Rewritten, where: str, name: Any, what: str) -> None:
    if not (isinstance(name, str) and _IDENTIFIER.fullmatch(name)):
        out.requests.append(
            _ask(f"{where}: _class_name", name, "is not a class name but a path to import from")
        )
    version = _table()["diffusers"]
    text = shown(name) if isinstance(name, str) else "what it names"
    out.notes.append(
        f"{where} was not exported: {text} is no {what} of diffusers {version} that is known"
    )


def _ask(
    location: str, value: Any, why: str, severity: Literal["low", "medium"] = "medium"
) -> ConfigRequest:
    return ConfigRequest(location, config_requests.brief(value), why, "code", severity)
