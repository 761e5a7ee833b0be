"""What a Keras model's configuration can run: layers that are functions, classes of other modules. Zone: worker."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

from safe_load.worker.refusal import RefusedError

MAX_CONFIG = 64 << 20
MAX_PARTS = 1_000_000
#: Where the classes lie that only compute. Of keras.utils and the like, functions reach files and networks.
_ORDINARY = re.compile(
    r"(tf_?)?keras(\.src)?(\.(layers|models|initializers|regularizers|constraints|optimizers|losses|metrics|activations|dtype_policies|engine|random|export)(\.\w+)*)?|builtins"
)
#: Where the operations lie that Keras 3 writes as layers of a functional model.
_OPERATIONS = re.compile(r"keras(\.src)?\.ops(\.\w+)?")
#: Texts that are no layer's settings: what downloads and unpacks files, and what imports.
_REACHING = re.compile(r"^(?:(?:tf\.)?keras\.utils\.)?get_file$|__import__\s*\(")
#: What Keras writes of Python's own.
_CONTAINERS = frozenset(
    "function list tuple dict set slice str int float bool bytes NoneType Ellipsis __tuple__ __slice__".split()
)
#: Layers that read their words from a file, on this machine or another one, if they are given its name.
_READING = frozenset({"StringLookup", "IntegerLookup", "TextVectorization", "IndexLookup"})
_CODE = frozenset({"Lambda", "TFOpLambda", "SlicingOpLambda", "PyFunc", "__lambda__", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer"})  # fmt: skip


#: Layers of Keras 1, and what TensorFlow's Keras of its first version wrote after a name.
_OF_LONG_AGO = frozenset(
    "Convolution1D Convolution2D Convolution3D AtrousConvolution1D AtrousConvolution2D Deconvolution2D "
    "Deconvolution3D SeparableConvolution2D MaxoutDense Highway Merge".split()
)
_VERSION = re.compile(r"V[12]$")


@cache
def _own() -> dict[str, frozenset[str]]:
    """The "classes" and "functions" of Keras's own, by name; dev/keras_table.py writes them down."""
    table = json.loads(Path(__file__).with_name("keras_names.json").read_text("utf-8"))
    return {kind: frozenset(names) for kind, names in table.items()}


def _is_own(name: str, kind: str = "classes") -> bool:
    return name.startswith("__") or bool(
        {name, _VERSION.sub("", name)} & (_own()[kind] | _OF_LONG_AGO)
    )


def told_of(layer: str) -> str | None:
    """What a layer of that class runs, in a sentence without its subject, or None."""
    if layer in _CODE:
        return f"holds a Keras layer {layer}, which is a program and not numbers"
    return None


def trained_with(text: bytes) -> list[str]:
    """The losses and metrics of a training_config (JSON) that are not Keras's own, as of `carried`. Their names are
    texts, or objects, in lists, or in dictionaries by output. Raises RefusedError."""
    root = _parsed(text)
    found = carried(text)
    if isinstance(root, dict):
        todo = [root.get(key) for key in ("loss", "metrics", "weighted_metrics")]
        while todo:
            part = todo.pop()
            if isinstance(part, str) and not (_is_own(part, "functions") or _is_own(part)):
                found.append(
                    f"trains with {part[:200]!a}, which is not one of Keras's own: it is code of its author"
                )
            elif isinstance(part, list):
                todo += part
            elif isinstance(part, dict) and "class_name" not in part:
                todo += part.values()
    return found


def carried(text: bytes, *, is_keras: bool = True) -> list[str]:
    """What a configuration (JSON) can run, a sentence without its subject each. is_keras: whether it is known
    to be Keras's, so that a class without a module is one of Keras's own or its author's. Raises RefusedError."""
    found: list[str] = []
    todo: list[Any] = [_parsed(text)]
    for _ in range(MAX_PARTS):
        if not todo:
            return list(dict.fromkeys(found))
        part = todo.pop()
        if isinstance(part, list):
            todo += part
        elif isinstance(part, dict):
            told = _of(part, is_keras)
            found += told
            todo += [value for value in part.values() if not (told and isinstance(value, str))]
            module = part.get("fn_module")
            if is_keras and isinstance(module, str) and not _ORDINARY.fullmatch(module):
                found.append(f"names the module {module[:200]!a} of a function")
        elif is_keras and isinstance(part, str) and (named := _REACHING.search(part)):
            found.append(f"names {named[0][:100]!a}, which no configuration of Keras's needs")
    raise RefusedError(f"the Keras configuration has more than {MAX_PARTS} parts")


def _parsed(text: bytes) -> Any:
    if len(text) > MAX_CONFIG:
        raise RefusedError(f"the Keras configuration of {len(text)} bytes is too long")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RefusedError(f"the Keras configuration is not JSON: {str(error)[:100]}") from None


def _of(part: dict[str, Any], is_keras: bool) -> list[str]:
    name, module = part.get("class_name"), part.get("module")
    if not isinstance(name, str):
        return []
    if sentence := told_of(name):
        return [sentence]
    config = part.get("config")
    if name in _READING and isinstance(config, dict) and isinstance(config.get("vocabulary"), str):
        return [f"makes a {name} read the file {config['vocabulary'][:100]!a}"]
    if name == "function":
        name = str(part.get("config"))
        if module not in (None, "builtins", "keras.activations", "keras.losses", "keras.metrics"):
            return [f"names the function {module}.{name}"[:300]]
        return []
    if module == "builtins" and name not in _CONTAINERS:
        return [f"names builtins.{name}"[:300]]
    computes = _OPERATIONS.fullmatch(str(module)) is not None and _is_own(name)
    if isinstance(module, str) and not (computes or _ORDINARY.fullmatch(module)):
        return [f"names the class {module}.{name}"[:300]]
    registered = part.get("registered_name")
    if isinstance(registered, str) and ">" in registered:
        return [f"names the class {registered}, which is not one of Keras's own"[:300]]
    if is_keras and module is None and isinstance(config, dict) and not _is_own(name):
        return [
            f"names the class {name[:200]!a}, which is not one of Keras's own: it is code of its author"
        ]
    return []
