"""Programs that configurations bring as text, and the libraries that run them. Zone: worker."""

from __future__ import annotations

import json
import re
from itertools import islice
from typing import TYPE_CHECKING, Any

from safe_load.worker.formats import nested

if TYPE_CHECKING:
    from collections.abc import Iterator

#: monai/bundle/config_item.py, ConfigExpression: a text that begins so is evaluated, or is an import.
_EXPRESSION = re.compile(rb"""(?:^|[:\s\[{,-])["']?\$([A-Za-z_(\["'][^\r\n]{3,4000})""")
MAX_EXPRESSIONS = 20_000
#: ultralytics/data/utils.py, check_det_dataset: without the data, an address is fetched, and anything else is run, by a shell
#: or by Python.
_DOWNLOAD = re.compile(
    rb"""^download[ \t]{0,9}:[ \t]{0,9}(?:[&!]\S{1,100}[ \t]{1,9})?(?:[|>]|["']?(?!https?://|["']?\s|null\b|~|\#|false\b|False\b|None\b)[^\s#])""",
    re.MULTILINE,
)
_DATA_SET = re.compile(rb"^(?:train|val|names)[ \t]{0,9}:", re.MULTILINE)
#: ultralytics/nn/tasks.py, parse_model, and yolov5's models/yolo.py: names of modules, and an activation, are evaluated.
_LAYERS = re.compile(rb"^backbone[ \t]{0,9}:", re.MULTILINE)
_ACTIVATION = re.compile(
    rb"""^(?:activation|act)[ \t]{0,9}:[ \t]{0,9}([^\r\n]{1,300})""", re.MULTILINE
)
_LAYER = re.compile(rb"[\w.]{1,100}|[\w.]{1,100}\([\w.=, ]{0,100}\)")
#: What no number and no name of a module has.
_REACHES = re.compile(
    rb"__\w|\b(?:exec|eval|getattr|open|compile|import)\s{0,9}\(|\b(?:os|subprocess|builtins)\."
)
#: metadata.yaml beside what ultralytics exports (nn/autobackend.py, to 8.3).
_EXPORTED = re.compile(
    rb"^(?:names|imgsz|kpt_shape)[ \t]{0,9}:[ \t]{0,9}([^\r\n]{3,4000})", re.MULTILINE
)
#: Operators of MXNet's graphs that call what is no operator (src/operator/custom).
_NATIVE = re.compile(rb""""op"\s{0,9}:\s{0,9}"(_Native|_NDArray|Custom|_CustomFunction)\"""")
#: git-config(1): what git runs by itself, whichever of its commands is called. What git-lfs writes is no program of
#: the folder's.
_GIT = re.compile(
    rb"^[ \t]{0,20}(fsmonitor|sshCommand|hooksPath|pager|editor|askPass|gitProxy|external|textconv|helper|clean|smudge|process"
    rb"|path|sshcommand|hookspath|askpass|gitproxy)[ \t]{0,9}=[ \t]{0,9}+(?!(?:true|false|git-lfs (?:clean|smudge|filter-process)[\w %-]{0,40})[ \t]{0,9}\r?$)"
    rb"([^\r\n]{1,300})",
    re.MULTILINE | re.IGNORECASE,
)


def find(text: bytes, name: str) -> Iterator[str]:
    """A sentence without its subject for each program that a library runs. name: of the file."""
    if b"$" in text and not name.lower().endswith((".sh", ".md", ".txt", ".py", ".ipynb")):
        for call in _expressions(text):
            yield f"holds an expression that calls {call}, which MONAI evaluates"
    if b"download" in text and _DATA_SET.search(text) and (script := _DOWNLOAD.search(text)):
        begun = text[script.start() : script.start() + 100].partition(b"\n")[0]
        yield f"holds a program, {begun!a}, which ultralytics runs where the data are not there"
    if b"backbone" in text and _LAYERS.search(text):
        yield from _layers(text)
    if b"names" in text and b"stride" in text:
        for found in _EXPORTED.finditer(text):
            if call := nested.runs(found[1].decode("utf-8", "replace").strip().strip("\"'")):
                yield f"holds a text that calls {call}, which ultralytics evaluates as names or sizes"
    if b"mxnet_version" in text or b"arg_nodes" in text:
        for found in _NATIVE.finditer(text):
            yield f"runs the operator {found[1].decode()}, which follows an address or runs Python"
    if f"/{name}".endswith("/.git/config"):
        for found in _GIT.finditer(text):
            said = found[0].strip()[:100].decode("utf-8", "replace")
            yield f"sets {said!a}, which git runs or reads in this folder"


def _expressions(text: bytes) -> Iterator[str]:
    """What MONAI's expressions call that runs commands or code."""
    try:
        todo: list[Any] = [json.loads(text)]
    except (ValueError, RecursionError):
        words = islice(_EXPRESSION.finditer(text), MAX_EXPRESSIONS)
        parts = [found[1].decode("utf-8", "replace").rstrip() for found in words]
        todo = [f"${part}".rstrip("\"',]}") for part in parts]
    left = MAX_EXPRESSIONS
    while todo and left:
        part = todo.pop()
        if isinstance(part, list):
            todo += part
        elif isinstance(part, dict):
            todo += part.values()
        elif isinstance(part, str) and part.startswith("$"):
            left -= 1
            # Between single quotes, YAML writes a quote twice.
            if call := nested.runs(part[1:]) or nested.runs(part[1:].replace("''", "'")):
                yield call


def _layers(text: bytes) -> Iterator[str]:
    plain = re.sub(rb"#[^\n]*", b"", text)
    for found in _ACTIVATION.finditer(plain):
        said = found[1].strip().strip(b"\"'")
        if not _LAYER.fullmatch(said):
            yield f"has the activation {said[:100]!a}, which ultralytics evaluates"
    if reached := _REACHES.search(plain):
        said = plain[max(0, reached.start() - 20) : reached.end() + 60].strip()
        yield f"describes layers with {said!a}, which programs of YOLO evaluate"
