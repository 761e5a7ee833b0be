"""What sentence-transformers reads beside a model: its modules, each of a known class, written anew.

Zone: worker. The classes and their keys are data, sentence_schema.toml. The library imports what
modules.json names, so either every module is known, or the file is not exported.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from safe_load.worker.rewrite import chat_templates, config_requests, lenient, tables, template_ast
from safe_load.worker.rewrite.config_requests import ConfigRequest
from safe_load.worker.rewrite.config_writer import Rewritten, Writer, harmless, render
from safe_load.worker.strict_json import Malformed, parse, require_object, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

MODULES = "modules.json"
SETTINGS = "config_sentence_transformers.json"
#: Of a Router: the classes of its parts, which it imports.
ROUTER = "router_config.json"
TRANSFORMER = re.compile(r"sentence_\w+_config\.json", re.ASCII)
#: The configuration of these modules has a name of its own (sentence_transformers 6.2, config_file_name).
_NAMED = {"CNN": "cnn_config.json", "LSTM": "lstm_config.json"}
_FOLDER = re.compile(r"(?!\.)[\w.-]{0,100}", re.ASCII)
_MOST_MODULES = 100
_MAX_PROMPT = 10_000


def is_part(name: str) -> bool:
    """Whether a file of this name, in the model's folder, is for sentence-transformers."""
    return name in (MODULES, SETTINGS, ROUTER) or TRANSFORMER.fullmatch(name) is not None


def is_of_module(name: str) -> bool:
    """Whether a file of this name, in a module's folder, is its configuration; config.json aside."""
    return name in _NAMED.values()


def config_name(module: str) -> str:
    """What the configuration of a module of this class is called."""
    return _NAMED.get(module, "config.json")


def of_modules(modules: bytes | None) -> dict[str, str]:
    """The folders of modules that have a configuration of their own -> the module's class."""
    try:
        rows = _rows(modules) if modules is not None else []
    except Malformed:
        return {}
    found = {}
    for row in rows:
        name = _class(row.get("type"))
        if (
            name is not None
            and name in _schema()["modules"]
            and isinstance(row.get("path"), str)
            and row["path"]
        ):
            found[row["path"].rstrip("/")] = name
    return found


def reemit(files: Mapping[str, bytes], configs: Mapping[str, tuple[str, bytes]]) -> Rewritten:
    """Write them anew. files: those that `is_part` accepts, of the model's own folder; configs: path
    of a module's configuration -> its class and content. What is malformed is told in a note."""
    out = Rewritten()
    writer = Writer(out.dropped)
    routed = ROUTER in files and _are_routes(files[ROUTER], out)
    for name, data in files.items():
        try:
            if name == MODULES:
                _modules(data, out, routed=routed)
            elif name != ROUTER:
                value = _object(data, name)
                out.requests += config_requests.find(value, name)
                section = (
                    "config_sentence_transformers" if name == SETTINGS else "sentence_bert_config"
                )
                _judge_templates(value, name, out)
                kept = writer.config(value, tables.kinds(_schema()[section]), f"{name}: ")
                if "modality_config" in kept and not _is_modality(kept["modality_config"]):
                    writer.drop(f"{name}: modality_config", "names a method that is not known")
                    del kept["modality_config"]
                if name == SETTINGS:
                    kept |= _texts(value)
                out.files[name] = render(kept)
        except Malformed as error:
            out.notes.append(f"{name} was not exported: {error}")
            find = lenient.unjudged if name == MODULES else lenient.asked
            out.requests += find(data, name)
    for path, (name, data) in configs.items():
        try:
            value = _object(data, path)
            out.requests += config_requests.find(value, path)
            keys = tables.kinds(_schema()["modules"][name])
            named = value.pop("activation_function", None)
            kept = writer.config(value, keys, f"{path}: ")
            if is_activation(named):
                kept["activation_function"] = named
            elif named is not None:
                out.requests.append(_refused(f"{path}: activation_function", str(named)))
                continue
            out.files[path] = render(kept)
        except Malformed as error:
            out.notes.append(f"{path} was not exported: {error}")
            out.requests += lenient.unjudged(data, path)
    return out


def _schema() -> dict[str, Any]:
    return tables.read("sentence_schema.toml")


def _object(data: bytes, where: str) -> dict[str, Any]:
    return require_object(parse(data, where=where, max_bytes=4 << 20, max_items=100_000), where)


def _rows(data: bytes) -> list[dict[str, Any]]:
    value = parse(data, where=MODULES, max_bytes=1 << 20, max_items=10_000)
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise Malformed(f"{MODULES}: it is not a list of modules")
    if len(value) > _MOST_MODULES:
        raise Malformed(f"{MODULES}: more than {_MOST_MODULES} modules")
    return value


def _class(reference: Any) -> str | None:
    """The name of the class that a module's type refers to, None if it is none of the library's."""
    if not isinstance(reference, str):
        return None
    known = {*_schema()["modules"], *_schema()["transformers"]["types"]}
    for package in _schema()["packages"]:
        if reference.startswith(f"{package}."):
            name = reference.rpartition(".")[2]
            # Also by its module's own name, as in sentence_transformers.models.Pooling.Pooling.
            inner = re.fullmatch(r"(\w+\.)?" + re.escape(name), reference[len(package) + 1 :])
            return name if name in known and inner is not None else None
    return None


def _are_routes(data: bytes, out: Rewritten) -> bool:
    """Whether a Router has parts, each of a known class; others are asked for."""
    try:
        value = _object(data, ROUTER)
    except Malformed:
        out.requests += lenient.unjudged(data, ROUTER)
        return False
    out.requests += config_requests.find(value, ROUTER)
    types = value.get("types")
    listed = types if isinstance(types, dict) else {}
    # A Dense imports what its own configuration names, which is judged only where modules.json lists it.
    odd = {key: each for key, each in listed.items() if _class(each) in (None, "Dense")}
    out.requests += [
        _refused(f"{ROUTER}: types.{shown(key)[1:-1]}", str(each)) for key, each in odd.items()
    ][:_MOST_MODULES]
    return bool(listed) and not odd


def _is_router(reference: Any) -> bool:
    """Whether it is sentence-transformers' Router, by each name that it has had."""
    packages = tuple(f"{package}." for package in _schema()["packages"])
    inner = isinstance(reference, str) and reference.startswith(packages)
    return (
        inner
        and re.search(r"\.models(\.Router)?\.Router$|\.modules(\.router)?\.Router$", reference)
        is not None
    )


def _modules(data: bytes, out: Rewritten, *, routed: bool) -> None:
    rows, routers = [], 0
    for number, row in enumerate(_rows(data)):
        prefix = f"{MODULES}: [{number}]"
        reference, path = row.get("type"), row.get("path")
        if routed and path == "" and _is_router(reference):
            routers += 1
            continue
        if _class(reference) is None:
            out.requests.append(_refused(f"{prefix}.type", str(reference)))
            out.notes.append(
                f"{MODULES} was not exported: {prefix} is of a class that is not known"
            )
            return
        if not isinstance(path, str) or not _FOLDER.fullmatch(path.rstrip("/")):
            why = "names a folder outside of the model's"
            out.requests.append(
                ConfigRequest(f"{prefix}.path", shown(str(path)), why, "path", "medium")
            )
            out.notes.append(f"{MODULES} was not exported: {prefix}.path {why}")
            return
        number_of = row.get("idx")
        rows.append({
            "idx": number_of if type(number_of) is int else number,
            "name": name if isinstance(name := row.get("name"), str) and harmless(name, text=False) else str(number),
            "path": path,
            "type": reference,
        })  # fmt: skip
    if routers:
        out.notes.append(f"{MODULES} was not exported: the parts of a Router are not written anew")
    else:
        out.files[MODULES] = render(rows)


def _judge_templates(value: Any, where: str, out: Rewritten) -> None:
    """Tell of each text that would be rendered and does more than put text together; the writer leaves
    it out. What has nothing to render may stand as a template too, and means itself."""
    for path, text in config_requests.texts(value):
        if template_ast.may_be(text):
            chat_templates.rewritten(text, f"{where}: {path}", out.requests)


def _is_modality(value: Any) -> bool:
    """Whether each method that it names is one by which a model is asked for what it makes of inputs."""
    methods = _schema()["modality"]["methods"]
    rows = value.values() if isinstance(value, dict) else [None]
    return all(isinstance(row, dict) and row.get("method", "forward") in methods for row in rows)


def is_activation(name: Any) -> bool:
    """Whether this is one of torch's activations, or a word for one."""
    pattern = _schema()["activation"]
    return isinstance(name, str) and re.fullmatch(pattern, name, re.ASCII) is not None


def _refused(location: str, value: str) -> ConfigRequest:
    why = "is not a class of sentence-transformers or torch that may be imported"
    return ConfigRequest(location, shown(value), why, "code", "medium")


def _texts(value: dict[str, Any]) -> dict[str, Any]:
    """The prompts: what people wrote, whatever it is, but for names that mean something in a configuration."""
    prompts = value.get("prompts")
    if not isinstance(prompts, dict):
        return {}
    return {
        "prompts": {
            name: text
            for name, text in prompts.items()
            if isinstance(text, str)
            and len(name) <= 256
            and len(text) <= _MAX_PROMPT
            and name not in config_requests.steering_keys()
        }
    }
