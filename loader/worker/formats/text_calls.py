"""What a text makes its reader call: tags of YAML, pickles and jsonpickle in JSON, targets of Hydra. Zone: worker.

A text says no format by itself, so each is looked for in every text, in the form in which its reader sees it:
escapes of JSON and of YAML's tags are undone first.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import TYPE_CHECKING, Any

from safe_load.worker import key_links
from safe_load.worker.formats import (
    config_calls,
    config_programs,
    keras,
    nested,
    pickles,
    proto_texts,
    template_text,
    yaml_values,
)
from safe_load.worker.formats.interface import File
from safe_load.worker.refusal import RefusedError
from safe_load.worker.spans import MemorySource, Span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from safe_load.worker.formats.interface import Reading

MAX_SERIALIZED = 1000
MAX_NAMED = 500
#: Characters of ASCII that JSON and YAML need not escape: who does may hide a key.
_ESCAPED = re.compile(
    rb"\\(?:/|x([2-7][0-9a-fA-F])|u00([2-7][0-9a-fA-F])|U000000([2-7][0-9a-fA-F])|\r?\n[ \t]*)"
)
#: What ends a line to readers of YAML, and not to a search by lines.
_LINE_END = re.compile(rb"\r(?!\n)|\xc2\x85|\xe2\x80[\xa8\xa9]")
#: An anchor of YAML at the key by which Hydra calls: an alias of it is the key too.
_ALIASED = re.compile(rb"""&[^\s,\[\]{}]{1,200}\s+(?:!!str\s+)?["']?_target_""")
#: jsonpickle's ways to call; the tag of a plain object is only a class (jsonpickle/tags.py).
_JSONPICKLE = re.compile(rb'"py/(reduce|function|repr|newargs\w*|method)"\s*:')
_JSONPICKLE_NAME = re.compile(rb'"py/(?:object|type)"\s*:\s*"([\w.]{1,200})"')
#: PyYAML's tags that call (yaml/constructor.py, UnsafeConstructor and FullConstructor), however they are spelled.
_YAML_CALL = re.compile(
    rb"(?:![\w-]{0,40}!|!<tag:yaml\.org,2002:|!)python/(?:object/(?:apply|new)|module|name):([\w.]*)"
)
_YAML_OBJECT = re.compile(rb"(?:!!|!<tag:yaml\.org,2002:)python/object:([\w.]{1,200})")
_TAG_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")
_YAML_DIRECTIVE = re.compile(rb"^%TAG[ \t]+(\S{1,40})[ \t]+(\S{1,200})", re.MULTILINE)
_YAML_OWN = b"tag:yaml.org,2002:"
#: hydra/_internal/instantiate: the dotted name behind this key is imported and called.
_TARGET = re.compile(rb"""_target_["']?\s*[:=](?:\s|#[^\n]*\n)*""")
#: Names of files that hold texts which programs render: a manual that quotes an attack is none.
_RENDERED = (
    ".json",
    ".yaml",
    ".yml",
    ".txt",
    ".jinja",
    ".jinja2",
    ".j2",
    ".tmpl",
    ".tpl",
    ".template",
    ".prompt",
)
#: MLflow's own file, where it does not name one of MLflow's modules (mlflow/pyfunc/__init__.py, load_model).
_LOADER = re.compile(
    rb"^[ \t]{1,20}loader_module:[ \t]{1,9}[\"']?(?!mlflow\.)([\w.]{1,200})", re.MULTILINE
)
#: hyperpyyaml/core.py, load_hyperpyyaml: SpeechBrain's tags, which name what is called.
_HYPERPYYAML = re.compile(rb"!(?:apply|applyref|new|name|module):([\w.]{1,200})")
_HYPERPYYAML_TAGS = (b"!apply:", b"!applyref:", b"!new:", b"!name:", b"!module:")
#: What one of these patterns begins with, for texts that are too long to be searched.
MARKS = re.compile(
    config_calls.MARKS
    + rb"|python/|%TAG|_target_|\"py/|:serialized:|__module__|<!ENTITY|\"class_name\"|loader_module"
)


#: A layer as Model.to_yaml wrote it, to TensorFlow 2.5.
_KERAS_YAML = re.compile(rb"""\bclass_name:\s{1,20}["']?(\w{1,80})""")
#: What Model.to_json writes, unless the model's class is its author's.
_KERAS_MODELS = ("Sequential", "Functional", "Model")


def look(text: bytes, reading: Reading, name: str = "") -> None:
    """Tell what the reader of that text would call. text: UTF-8; name: the file's. Raises RefusedError beyond
    a bound."""
    written, text = text, _plain_json(text) if _ESCAPED.search(text) else text
    if name.lower().endswith(_RENDERED) and any(map(template_text.leaves_text, {written, text})):
        reading.carries("SL504", "holds a template that reaches for more than text")
    _look_in_json(text, reading)
    text = _LINE_END.sub(b"\n", text)
    _look_in_yaml(text, reading)
    for place in nested.encoded(text):
        if b":serialized:" not in text[max(0, place.start() - 24) : place.start()]:
            nested.judge(place[0], reading, pickles.second_look)
    if found := _LOADER.search(text):
        reading.carries("SL506", f"makes MLflow import the module {found[1].decode()[:100]}")
    if b"_target_" in text:
        if _ALIASED.search(text):
            reading.carries("SL506", "gives the key _target_, by which Hydra calls, another name")
        _targets(text, reading)
    _name(config_calls.look(text, reading, name), "_target_", reading)
    if b"!" in text:
        _name((m[1] for m in _HYPERPYYAML.finditer(_unescaped(text))), "_target_", reading)
    proto_texts.look(text, reading)
    for sentence in config_programs.find(text, name):
        reading.carries("SL506", sentence)
    if b"://" in text or b"_" in text:
        for key in key_links.find(text[: 8 << 20].decode("utf-8", "replace")):
            reading.carries("SL706", f"{key.what}: {key.link}")
    if b"<!ENTITY" in text and text[:200].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        reading.carries(
            "SL505", "declares an entity: readers of XML fetch it, or unfold it without end"
        )


def _plain_json(text: bytes) -> bytes:
    """JSON without escapes of ordinary characters; the same of what may be YAML, or lines of JSON."""
    try:
        return json.dumps(json.loads(text), ensure_ascii=False).encode("utf-8", "surrogatepass")
    except (ValueError, RecursionError):
        return _ESCAPED.sub(_character, text)


def _character(found: re.Match[bytes]) -> bytes:
    if found[0] == b"\\/":
        return b"/"
    digits = found[1] or found[2] or found[3]
    return bytes.fromhex(digits.decode("ascii")) if digits else b""


def _look_in_json(text: bytes, reading: Reading) -> None:
    if b'":serialized:"' in text:
        for number, data in enumerate(_serialized(_json(text, reading))):
            if number >= MAX_SERIALIZED:
                raise RefusedError(f"the file holds more than {MAX_SERIALIZED} pickles")
            _unpickle(data, number, reading)
    if b'"py/' in text:
        if found := _JSONPICKLE.search(text):
            reading.carries(
                "SL506", f"holds {found[0].decode()[:40]} for jsonpickle, which calls what it names"
            )
        _name((m[1] for m in _JSONPICKLE_NAME.finditer(text)), "py/object", reading)
    if b'"__module__"' in text and b'"__class__"' in text:
        _name(_classes(_json(text, reading)), "__class__", reading)
    if b'"class_name"' in text and b'"config"' in text:
        _keras(text, reading)
    if b"keras_version" in text:
        for found in _KERAS_YAML.finditer(text):
            if sentence := keras.told_of(found[1].decode()):
                reading.carries("SL506", sentence)


def _keras(text: bytes, reading: Reading) -> None:
    """A model's layers as JSON, of which keras.models.model_from_json makes a model."""
    root = _json(text, reading)
    if root is None:
        return
    alone = isinstance(root, dict) and isinstance(root.get("class_name"), str) and "config" in root
    if alone or b'"keras_version"' in text:
        is_keras = b'"keras_version"' in text or root["class_name"] in _KERAS_MODELS
        for sentence in keras.carried(text, is_keras=is_keras):
            reading.carries("SL506", sentence)


def _look_in_yaml(text: bytes, reading: Reading) -> None:
    if b"!" not in text or (b"python" not in text and b"%" not in text):
        return
    plain = _unescaped(text)
    for handle, prefix in _YAML_DIRECTIVE.findall(plain):
        if any(tag.startswith(prefix) or prefix.startswith(tag) for tag in _HYPERPYYAML_TAGS):
            if prefix != b"!":
                reading.carries("SL506", "gives SpeechBrain's tags, which call, another name")
            continue
        own = prefix.startswith(_YAML_OWN) or _YAML_OWN.startswith(prefix)
        if own and (handle, prefix) != (b"!!", _YAML_OWN):
            reading.carries("SL506", "gives YAML's own tags, some of which call, another name")
    for call in _YAML_CALL.finditer(plain):
        if call[1].decode("ascii", "replace") not in reading.allowlist:
            reading.carries(
                "SL506",
                f"holds the YAML tag {call[0].decode('ascii', 'replace')[:200]}, which calls what it names",
            )
            return
    _name((m[1] for m in _YAML_OBJECT.finditer(plain)), "py/object", reading)


def _unescaped(text: bytes) -> bytes:
    """The text with the escapes of YAML's tags undone."""
    return _TAG_ESCAPE.sub(lambda found: bytes((int(found[1], 16),)), text)


def _targets(text: bytes, reading: Reading) -> None:
    """Targets of Hydra, also those behind an anchor or an alias of YAML."""
    names = []
    for found in _TARGET.finditer(text):
        word, plain = yaml_values.behind(text, found.end())
        if word.startswith(b"$") or not plain:
            said = text[found.end() : found.end() + 80].partition(b"\n")[0]
            reading.carries("SL506", f"has a _target_ {said!a}, which only its reader can spell")
        if word and not word.startswith(b"$"):
            names.append(word)
    _name(iter(names), "_target_", reading)


def _json(text: bytes, reading: Reading) -> Any:
    """The document, None for what is none. What is nested too deep for this room may not be for its reader."""
    try:
        return json.loads(text)
    except ValueError:
        return None
    except RecursionError:
        reading.carries("SL506", "is JSON that is nested deeper than it can be judged")
        return None


def _classes(root: Any) -> Iterator[bytes]:
    """The classes and functions that skops writes into its schema.json."""
    todo: list[Any] = [root]
    while todo:
        part = todo.pop()
        if isinstance(part, list):
            todo += part
        elif isinstance(part, dict):
            todo += part.values()
            for module, name in (("__module__", "__class__"), ("module_path", "function")):
                if isinstance(part.get(module), str) and isinstance(part.get(name), str):
                    yield f"{part[module]}.{part[name]}"[:300].encode("utf-8", "replace")


def _name(names: Iterator[bytes], by: str, reading: Reading) -> None:
    """Record names that a reader looks up; which of them is an attack is the judge's."""
    ledger = reading.ledger()
    for number, name in enumerate(dict.fromkeys(names)):
        if number >= MAX_NAMED:
            reading.carries("SL506", f"names more than {MAX_NAMED} classes and functions")
            break
        ledger.named(name.decode("utf-8", "replace"), by, 0)
    reading.keep(ledger)


def _serialized(root: Any) -> Iterator[bytes]:
    todo: list[Any] = [root]
    while todo:
        part = todo.pop()
        if isinstance(part, list):
            todo += part
        elif isinstance(part, dict):
            todo += part.values()
            data = part.get(":serialized:")
            if isinstance(data, str):
                try:
                    yield base64.b64decode(data)
                except (binascii.Error, ValueError):
                    continue


def _unpickle(data: bytes, number: int, reading: Reading) -> None:
    outer, reading.member = (
        reading.member,
        f"{reading.member}[pickle {number} in base64]".removeprefix("/"),
    )
    try:
        pickles.unpickle(File(f"pickle {number}", Span(MemorySource(data), 0, len(data))), reading)
    except RefusedError as refusal:
        reading.notes.append(f"a pickle in base64: {refusal.reason}")
    finally:
        reading.member = outer
