"""config.json and generation_config.json, written anew from what is known to be harmless.

Zone: worker. The files are parsed within bounds, and only keys that the model type's own
configuration class takes (config_keys.json, made by `python -m dev.config_table`)
with values of their kind are written again. Nothing that names code, another repository, a path,
a kernel or a plugin is among them; what asked for such a thing is returned as a ConfigRequest.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from safe_load.worker.rewrite import config_requests
from safe_load.worker.rewrite.config_requests import ConfigRequest
from safe_load.worker.rewrite.config_writer import Dropped, Writer, keys_of_type, render, table
from safe_load.worker.strict_json import Malformed, parse, require_object, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ConfigRequest", "Dropped", "Malformed", "Reemitted", "reemit"]

CONFIG = "config.json"
GENERATION = "generation_config.json"
_VARIANT = re.compile(r"config\.(\d{1,4}(?:\.\d{1,4}){0,3})\.json", re.ASCII)


@dataclass(frozen=True)
class Reemitted:
    """files: name to new content. asks: what the files asked for, bounded too. dropped: at most MAX_DROPPED.

    notes: what a reader should know besides. model_type, architectures: as kept in config.json.
    """

    files: dict[str, bytes]
    requests: list[ConfigRequest]
    dropped: list[Dropped]
    notes: list[str]
    model_type: str | None = None
    architectures: list[str] = field(default_factory=list)


def reemit(
    files: Mapping[str, bytes], prefix: str = "", requests: list[ConfigRequest] | None = None
) -> Reemitted:
    """Write config.json and generation_config.json anew; other names in `files` are ignored,
    save for the config.*.json that config.json may point to, which are all looked at. prefix: what stands
    before their names in messages: the folder that they are in; requests: where what they ask for is
    put, also that of the first when the second does not read.

    Raises Malformed when one of them is not JSON within bounds, or no object.
    """
    result = Reemitted({}, [] if requests is None else requests, [], [])
    out = Writer(result.dropped)
    if CONFIG in files:
        name, config = _chosen(files, prefix, result)
        if "model_type" not in config and isinstance(config.get("pretrained_cfg"), dict):
            config = {
                **config,
                "model_type": "timm_wrapper",
            }  # utils/generic.py, is_timm_config_dict
        model_type = config.get("model_type")
        keys = keys_of_type(model_type)
        if keys is None:
            kind = shown(model_type) if isinstance(model_type, str) else "none"
            result.notes.append(
                f"unknown architecture ({kind}): weights exported only; {prefix}{CONFIG} carries only the common keys"
            )
        kept = out.config(config, keys or table()["common"], f"{prefix}{name}: ")
        result = Reemitted(
            result.files, result.requests, result.dropped, result.notes,
            kept.get("model_type"), kept.get("architectures") or [],
        )  # fmt: skip
        result.files[CONFIG] = render(kept)
    if GENERATION in files:
        config = _read(files, prefix, GENERATION)
        result.requests.extend(config_requests.find(config, f"{prefix}{GENERATION}"))
        kept = out.config(config, table()["generation"], f"{prefix}{GENERATION}: ")
        result.files[GENERATION] = render(kept)
    return result


def _read(files: Mapping[str, bytes], prefix: str, name: str) -> dict[str, Any]:
    value = parse(
        files[name],
        where=f"{prefix}{name}",
        max_bytes=8 << 20,
        max_items=500_000,
        allow_nonfinite=True,
    )
    return require_object(value, f"{prefix}{name}")


def _chosen(
    files: Mapping[str, bytes], prefix: str, result: Reemitted
) -> tuple[str, dict[str, Any]]:
    """The configuration that transformers would use, after a look at each that it could."""
    config = _read(files, prefix, CONFIG)
    result.requests.extend(config_requests.find(config, f"{prefix}{CONFIG}"))
    if "configuration_files" not in config:
        return CONFIG, config
    listed = config["configuration_files"]
    if not isinstance(listed, list):
        raise Malformed(f"{prefix}{CONFIG}: configuration_files is not a list")
    variants: dict[str, str] = {}
    for name in listed:
        match = _VARIANT.fullmatch(name) if isinstance(name, str) else None
        if match is not None:
            variants[match[1]] = name
        elif name != CONFIG:
            why = "points to a configuration under a name that no version of transformers has"
            result.requests.append(
                ConfigRequest(
                    f"{prefix}{CONFIG}: configuration_files",
                    shown(str(name)),
                    why,
                    "path",
                    "medium",
                )
            )
    parsed = {name: _read(files, prefix, name) for name in variants.values() if name in files}
    for name, variant in parsed.items():
        result.requests.extend(config_requests.find(variant, f"{prefix}{name}"))
    chosen = CONFIG
    # As configuration_utils.get_configuration_file does: sorted as text, up to the first newer one.
    for version in sorted(variants):
        if _numbers(version) > _numbers(table()["transformers"]):
            break
        chosen = variants[version]
    if chosen == CONFIG or chosen not in parsed:
        return CONFIG, config
    result.notes.append(
        f"{prefix}{CONFIG} points to {chosen}, and the export has the rewritten {chosen} as {CONFIG}"
    )
    return chosen, parsed[chosen]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())
