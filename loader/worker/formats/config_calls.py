"""Whom the reader of a configuration calls, by the keys under which libraries name it. Zone: worker.

A configuration says no library by itself, so the keys of all are looked for in every text. Most of what they
name is honest; which names are an attack is the judge's (judge/pickle_names.py).
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from safe_load.worker.formats import yaml_values

if TYPE_CHECKING:
    from collections.abc import Iterator

    from safe_load.worker.formats.interface import Reading

_NAME = rb"""["']?([A-Za-z_][\w]*(?:\.\w+)+)"""
_DOTTED = re.compile(rb"[A-Za-z_]\w*(?:\.\w+)+")
_KEYS = (
    # hydra/utils.py, get_method and its kin import what stands at `path`.
    re.compile(rb"""hydra\.utils\.(?:get_\w+|call|instantiate)[\s\S]{0,200}?\bpath["']?\s*[:=]\s*"""),
    # logging/config.py, configure_custom: the factory of a handler, filter or formatter. Behind a name, it is Python's
    # head of a function.
    re.compile(rb"""(?:["']\(\)["']|(?:^[ \t-]{0,80}|[{,][ \t]{0,80})\(\))\s*:\s*""", re.MULTILINE),
    # jsonargparse, as LightningCLI uses it.
    re.compile(rb"""\bclass_path["']?\s*:\s*"""),
    # torchtune/config/_instantiate.py.
    re.compile(rb"""_component_["']?\s*:\s*"""),
)  # fmt: skip
#: instantiate_from_config of latent-diffusion and Stable Diffusion: with the call's arguments behind it.
_WITH_PARAMS = re.compile(
    rb"""^[ \t-]{0,80}["']?target["']?[ \t]{0,9}:[ \t]{0,9}"""
    + _NAME
    + rb"""["']?[^\n]{0,200}\n(?:[^\n]{0,200}\n){0,4}?[ \t]{0,80}["']?params["']?[ \t]{0,9}:""",
    re.MULTILINE,
)
#: What no model is made by: names of what runs commands and code, files or other programs.
_POWERFUL = re.compile(
    rb"(?<![\w./-])(?:os|posix|nt|subprocess|builtins|shutil|runpy|importlib|pty|ctypes|pickle|cloudpickle|dill|marshal|timeit"
    rb"|webbrowser|multiprocessing|asyncio|code|pdb|sympy|yaml)(?:\.\w{1,60}){1,9}(?=[\"']?[ \t]*(?:[,}\]#\r\n]|$))"
)
#: A key that names a class or a function in some library (pyannote.audio, haystack, Rasa, MMEngine, AllenNLP, kedro), before it.
_CALLEE = re.compile(
    rb"""(?:^|[\s{,\[-])["']?(target|name|type|uses|cls|class|class_name|func|function|fn|callable|factory|constructor|object)["']?"""
    rb"""[ \t]{0,9}:[ \t]{0,9}(?:[|>][-+]?[ \t]{0,9}\r?\n\s{0,200})?(?:![^\s,\[\]{}]{0,100}[ \t]+)?["']?$"""
)
_ANCHOR = re.compile(rb"""&[^\s,\[\]{}]{1,100}\s{1,100}(?:![^\s,\[\]{}]{0,100}\s+)?["']?$""")
#: What the call is given, near it.
_GIVEN = re.compile(
    rb"""["']?(?:params|kwargs|args|arguments|parameters|init_args|init_parameters|config|options|constructor_name|command|cmd|shell)["']?\s{0,9}:"""
)
#: Bytes before and behind a name in which its key and its arguments are looked for.
_NEAR = 1000
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
MARKS = rb"class_path|_component_|hydra\.utils\.|trust_remote_code|!ruby/|!!java"


#: Files of programs and for people, in which such a name may stand behind a colon as well.
_NO_CONFIGURATION = (".py", ".pyi", ".ipynb", ".md", ".rst", ".txt", ".html", ".csv", ".tsv")


def look(text: bytes, reading: Reading, name: str = "") -> Iterator[bytes]:
    """The names that a reader of the text would look up; what is more than a name is told to `reading`. name: the
    file's."""
    for pattern in _KEYS:
        for found in pattern.finditer(text):
            word, _ = yaml_values.behind(text, found.end())
            if named := _DOTTED.match(word):
                yield named[0]
    for found in _WITH_PARAMS.finditer(text):
        yield found[1]
    is_configuration = not name.lower().endswith(_NO_CONFIGURATION)
    for found in _POWERFUL.finditer(text) if is_configuration else ():
        before = text[max(0, found.start() - _NEAR) : found.start()]
        near = before + text[found.end() : found.end() + _NEAR]
        key = _CALLEE.search(before)
        if _ANCHOR.search(before) or (key and (key[1] == b"target" or _GIVEN.search(near))):
            yield found[0]
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
