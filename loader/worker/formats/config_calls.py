"""Whom the reader of a configuration calls, by the keys under which libraries name it. Zone: worker.

A configuration says no library by itself, so the keys of all are looked for in every text. Most of what they
name is honest; which names are an attack is the judge's (judge/pickle_names.py).
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from safe_load.worker.formats.interface import Reading

_NAME = rb"""["']?([A-Za-z_][\w]*(?:\.\w+)+)"""
_KEYS = (
    # hydra/utils.py, get_method and its kin import what stands at `path`.
    re.compile(rb"""hydra\.utils\.(?:get_\w+|call|instantiate)[\s\S]{0,200}?\bpath["']?\s*[:=]\s*""" + _NAME),
    # logging/config.py, configure_custom: the factory of a handler, filter or formatter.
    re.compile(rb"""["']?\(\)["']?\s*:\s*""" + _NAME),
    # jsonargparse, as LightningCLI uses it.
    re.compile(rb"""\bclass_path["']?\s*:\s*""" + _NAME),
    # instantiate_from_config of latent-diffusion and Stable Diffusion: with the call's arguments behind it.
    re.compile(rb"""^[ \t-]{0,80}["']?target["']?[ \t]{0,9}:[ \t]{0,9}""" + _NAME + rb"""["']?[^\n]{0,200}\n(?:[^\n]{0,200}\n){0,4}?[ \t]{0,80}["']?params["']?[ \t]{0,9}:""", re.MULTILINE),
    # The same with the arguments anywhere, of what no model is made by.
    re.compile(rb"""^[ \t-]{0,80}["']?target["']?[ \t]{0,9}:[ \t]{0,9}["']?((?:os|posix|subprocess|builtins|shutil|runpy|importlib|pty|ctypes|sys|pickle)(?:\.\w+)+)""", re.MULTILINE),
)  # fmt: skip
#: logging/config.py, fileConfig: classes and arguments are evaluated.
_INI = re.compile(rb"^\[(?:handler|formatter|logger)", re.MULTILINE)
_INI_CLASS = re.compile(rb"^[ \t]{0,80}class[ \t]{0,9}=[ \t]{0,9}" + _NAME, re.MULTILINE)
_INI_CODE = re.compile(
    rb"^[ \t]{0,80}(?:args|kwargs|class)[ \t]{0,9}=[^\n]{0,2000}?(?:__\w{1,40}__|\b(?:exec|eval|compile|getattr|open)\s*\(|\b(?:os|subprocess|builtins|importlib)\.)",
    re.MULTILINE,
)
#: Tags of YAML that make objects of Java's and Ruby's readers.
_FOREIGN = re.compile(
    rb"(?:^|[\s\[{,:-])(!!(?:javax?|com|org|net|sun)\.[\w.$]{3,200}|!ruby/[\w:/]{3,200})"
)
_PRETRAINED = re.compile(
    rb"""_target_["']?\s*[:=]\s*["']?([\w.]*(?:from_pretrained|pipeline|load_dataset))\b"""
)
_TRUSTS = re.compile(
    rb"""\btrust_remote_code["']?\s*[:=]\s*["']?(?:true|yes|on|1)\b""", re.IGNORECASE
)
#: What one of these begins with, for texts that are too long to be searched.
MARKS = rb"class_path|hydra\.utils\.|trust_remote_code|!ruby/|!!java"


def look(text: bytes, reading: Reading) -> Iterator[bytes]:
    """The names that a reader of the text would look up; what is more than a name is told to `reading`."""
    for pattern in _KEYS:
        for found in pattern.finditer(text):
            yield found[1]
    if b'"target"' in text:
        yield from _targets(text)
    if _INI.search(text):
        for found in _INI_CLASS.finditer(text):
            yield found[1]
        if code := _INI_CODE.search(text):
            said = code[0].strip()[:100].decode("utf-8", "replace")
            reading.carries("SL506", f"holds {said!a}, which logging.config.fileConfig evaluates")
    if tag := _FOREIGN.search(text):
        said = tag[1].decode("ascii", "replace")
        reading.carries(
            "SL506", f"holds the YAML tag {said}, of which Java's or Ruby's reader makes an object"
        )
    if (called := _PRETRAINED.search(text)) and _TRUSTS.search(text):
        said = called[1].decode("ascii", "replace")
        reading.carries(
            "SL503",
            f"has {said} load a model with trust_remote_code, which runs the code of its repository",
        )


def _targets(text: bytes) -> Iterator[bytes]:
    """The same of JSON: an object with a target and params."""
    try:
        todo: list[Any] = [json.loads(text)]
    except (ValueError, RecursionError):
        return
    while todo:
        part = todo.pop()
        if isinstance(part, list):
            todo += part
        elif isinstance(part, dict):
            todo += part.values()
            if isinstance(target := part.get("target"), str) and "params" in part:
                yield target[:200].encode("utf-8", "replace")
