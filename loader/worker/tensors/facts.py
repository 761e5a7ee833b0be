"""What a file says about its tensors in texts, where programs read that beside the weights. Zone: worker.

The controller reads `KEYS` and the bounds too. Which program reads what:

- `ss_...` and `sshs_...`: kohya's sd-scripts (library/train_util.py), its descendants and the web UIs that
  sort by them (AUTOMATIC1111, ComfyUI, Forge);
- `modelspec....`: the same programs, https://github.com/Stability-AI/ModelSpec;
- `lora_adapter_metadata`: diffusers (loaders/lora_base.py). It makes a configuration of peft of it, without
  which the weights of a LoRA are scaled wrongly; so it is written anew from peft's allowlist.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from safe_load.worker.strict_json import Malformed, parse

if TYPE_CHECKING:
    from collections.abc import Iterable

KEYS = re.compile(r"ss_\w{1,100}|sshs_\w{1,100}|modelspec\.[\w.]{1,100}", re.ASCII)
#: The one fact that is a configuration.
ADAPTER = "lora_adapter_metadata"
#: Bytes of one fact in UTF-8, and of all of one file; how many there may be.
MAX_FACT, MAX_FACTS, MOST = 1 << 20, 4 << 20, 1000
#: Facts that name Python code. kohya's programs import their own networks and those of LyCORIS alone.
_CODE = frozenset({"ss_network_module"})
_NETWORKS = re.compile(r"(networks|lycoris)(\.[a-z_]\w{0,60}){1,3}", re.ASCII)
#: Where programs put them in a pickle, beside the state dict or within it.
_TABLES = ("__metadata__", "metadata")


def kept(table: Iterable[tuple[object, object]]) -> tuple[dict[str, str], list[str]]:
    """The facts of a table that may be written, escaped; and the keys of those that may not."""
    facts: dict[str, str] = {}
    refused: list[str] = []
    left = MAX_FACTS
    for key, value in table:
        if not isinstance(key, str) or not is_fact(key):
            continue
        text = _text(key, value)
        size = 0 if text is None else len(text.encode())
        if text is None or size > min(MAX_FACT, left) or len(facts) >= MOST:
            refused.append(key)
            continue
        left -= size
        facts[key] = text
    return facts, refused


def is_fact(key: str) -> bool:
    """Whether a key of metadata is one that programs read beside the weights."""
    return key == ADAPTER or KEYS.fullmatch(key) is not None


def of_object(root: object) -> tuple[dict[str, str], list[str]]:
    """The facts in an unpickled state dict, or in a table beside it; as `kept`."""
    if not isinstance(root, dict):
        return {}, []
    tables = [root, *(root[name] for name in _TABLES if isinstance(root.get(name), dict))]
    return kept(item for table in tables for item in table.items())


def _text(key: str, value: object) -> str | None:
    """The fact as a text of printable characters; None where it may not be written."""
    if isinstance(value, bool | int | float):
        value = json.dumps(value)
    if not isinstance(value, str) or len(value) > MAX_FACT:
        return None
    if key in _CODE and not _NETWORKS.fullmatch(value):
        return None
    if key == ADAPTER:
        return _adapter(value)
    if value.isprintable():
        return value
    if value.lstrip()[:1] in ("{", "["):
        try:  # within a text of JSON, an escape means what it stands for
            return json.dumps(parse(value.encode(), where=key, max_bytes=MAX_FACT))
        except (Malformed, UnicodeEncodeError):
            pass
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in value
    )


def _adapter(text: str) -> str | None:
    from safe_load.worker.rewrite import adapter_files  # noqa: PLC0415 - few files have one

    try:
        value = parse(text.encode(), where=ADAPTER, max_bytes=MAX_FACT)
    except (Malformed, UnicodeEncodeError):
        return None
    return adapter_files.of_metadata(value)


def objection(facts: dict[str, str]) -> str:
    """Why these facts are none that `kept` gives, "" where they may be: looked at without judging what they
    mean, in linear time."""
    if len(facts) > MOST or sum(len(value.encode()) for value in facts.values()) > MAX_FACTS:
        return f"more than {MOST} facts, or more than {MAX_FACTS:,} bytes of them"
    for key, value in facts.items():
        if len(value.encode()) > MAX_FACT or not value.isprintable():
            return f"{key}: it is too long or holds what is not printable"
        if key in _CODE and not _NETWORKS.fullmatch(value):
            return f"{key}: it names code"
    if ADAPTER in facts:
        try:
            table = parse(facts[ADAPTER].encode(), where=ADAPTER, max_bytes=MAX_FACT)
        except Malformed as error:
            return str(error)
        from safe_load.worker.rewrite import adapter_files  # noqa: PLC0415 - few files have one

        if not isinstance(table, dict) or not all(map(adapter_files.is_key, table)):
            return f"{ADAPTER}: it has keys that no adapter needs"
    return ""
