"""What a model card says of itself at its top: license, datasets, base models.

Zone: worker, in the room that rewrites configuration. The card's head is YAML between two lines of "---". Only the plain
forms that cards have are read, `key: value`, a list of `- value` and `[value, value]`, of a few keys; everything else is
passed over.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from safe_load.worker.rewrite.files import File

NAME = "README.md"
MAX_BYTES = 4 << 20
#: Key of the card -> what it is called here.
_KEYS = {
    "license": "licenses",
    "license_name": "license_names",
    "datasets": "datasets",
    "base_model": "base_models",
    "library_name": "libraries",
    "pipeline_tag": "tasks",
}
MAX_VALUES, MAX_TEXT = 50, 200
_MAX_HEAD = 64 << 10
_LINE = re.compile(r"([A-Za-z_]{1,40}):(?:[ \t]+(.*))?")
_ITEM = re.compile(r"[ \t]{0,8}-[ \t]+(.*)")


def facts(files: Iterable[File]) -> dict[str, list[str]]:
    """What the card in the model's own folder says, by our names; empty where there is none, or none that reads."""
    for file in files:
        if file.name == NAME and file.size <= MAX_BYTES:
            return of(file.read()[:_MAX_HEAD])
    return {}


def of(data: bytes) -> dict[str, list[str]]:
    """The same of the first bytes of a card."""
    lines = data.decode("utf-8", "replace").splitlines()
    if not lines or lines[0].rstrip() != "---":
        return {}
    found: dict[str, list[str]] = {}
    key = ""
    for line in lines[1:]:
        if line.rstrip() in ("---", "..."):
            return {name: values for name, values in found.items() if values}
        if (match := _LINE.fullmatch(line)) is not None:
            key = _KEYS.get(match[1], "")
            if key:
                found[key] = _values(match[2] or "")
        elif key and (item := _ITEM.fullmatch(line)) is not None:
            found[key] += _values(item[1])[: MAX_VALUES - len(found[key])]
        elif line.strip() and not line.lstrip().startswith("#"):
            key = ""  # something nested, which is none of the plain forms
    return {}  # a head without an end is text


def _values(text: str) -> list[str]:
    text = text.strip()
    parts = text[1:-1].split(",") if text.startswith("[") and text.endswith("]") else [text]
    values = (re.sub(r"(^|\s)#.*", "", part).strip() for part in parts[:MAX_VALUES])
    plain = (
        each[1:-1] if each[:1] in ("'", '"') and each[-1:] == each[:1] else each for each in values
    )
    return [
        each
        for each in plain
        if each and len(each) <= MAX_TEXT and ": " not in each and each[0] not in "{[|>&*"
    ]
