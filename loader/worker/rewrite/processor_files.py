"""What prepares images, sound and video for a model, written anew.

Zone: worker. Each file says which class of transformers reads it; only keys that this class takes
are kept, with plain values. A processor's templates are judged, its further models left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from safe_load.worker.rewrite import class_table, config_requests, lenient
from safe_load.worker.rewrite.chat_templates import rewritten
from safe_load.worker.rewrite.config_writer import Rewritten, Writer, render
from safe_load.worker.strict_json import Malformed, parse, require_object, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from safe_load.worker.rewrite.class_table import Kind

PROCESSOR = "processor_config.json"
PREPROCESSOR = "preprocessor_config.json"
VIDEO = "video_preprocessor_config.json"
CHAT_TEMPLATE = "chat_template.json"
FILES = (PROCESSOR, PREPROCESSOR, VIDEO, CHAT_TEMPLATE)

#: The key under which a file names the class that reads it -> the kinds that this may be.
_TYPES: dict[str, tuple[Kind, ...]] = {
    "image_processor_type": ("image_processor",),
    "video_processor_type": ("video_processor",),
    "feature_extractor_type": ("feature_extractor", "image_processor"),
}
_PARTS: dict[str, tuple[Kind, ...]] = {
    "image_processor": ("image_processor",),
    "video_processor": ("video_processor",),
    "feature_extractor": ("feature_extractor", "image_processor"),
}


def reemit(files: Mapping[str, bytes], prefix: str) -> Rewritten:
    """Write a folder's processors anew. files: those of FILES that are there; prefix: what stands before
    their names in messages. What is malformed is told in a note, and not exported."""
    out = Rewritten()
    for name, data in files.items():
        try:
            value = parse(
                data, where=f"{prefix}{name}", max_bytes=16 << 20, max_items=1_000_000,
                max_string=1 << 20, allow_nonfinite=True,
            )  # fmt: skip
            value = require_object(value, f"{prefix}{name}")
        except Malformed as error:
            out.notes.append(f"{prefix}{name} was not exported: {error}")
            out.requests += lenient.asked(data, f"{prefix}{name}")
            continue
        out.requests += config_requests.find(value, f"{prefix}{name}")
        kept = _Processor(out, f"{prefix}{name}").file(name, value)
        if kept:
            out.files[name] = render(kept)
    return out


class _Processor:
    """One file on its way into `out`. where: its name in messages."""

    def __init__(self, out: Rewritten, where: str) -> None:
        self._out = out
        self._where = where
        self._writer = Writer(out.dropped)

    def file(self, name: str, value: dict[str, Any]) -> dict[str, Any]:
        if name == CHAT_TEMPLATE:
            return self._templates(value)
        if name == PROCESSOR:
            return self._processor(value)
        kinds: tuple[Kind, ...] = ("image_processor", "feature_extractor")
        return self._part(value, ("video_processor",) if name == VIDEO else kinds, "")

    def _templates(self, value: dict[str, Any]) -> dict[str, Any]:
        location = f"{self._where}: chat_template"
        template = rewritten(value.get("chat_template"), location, self._out.requests)
        if template is None and value.get("chat_template"):
            self._writer.drop(location, "may do more than build text")
        return {} if template is None else {"chat_template": template}

    def _processor(self, value: dict[str, Any]) -> dict[str, Any]:
        """processor_config.json: the processor's own keys, and those of what it is put together of."""
        name = value.get("processor_class")
        keys = class_table.keys("processor", name) if isinstance(name, str) else None
        keys = class_table.any_keys("processor") if keys is None else keys
        kept = self._templates(value)
        plain: dict[str, Any] = {}
        for key, inner in value.items():
            if key in _PARTS and isinstance(inner, dict):
                kept[key] = self._part(inner, _PARTS[key], f"{key}.")
            elif key.endswith(("_token", "_tokens")) and key in keys and _is_token(inner):
                kept[key] = inner
            elif key != "chat_template":
                plain[key] = inner
        return kept | self._plain(plain, keys, "")

    def _part(self, value: dict[str, Any], kinds: tuple[Kind, ...], prefix: str) -> dict[str, Any]:
        """What configures one class. kinds: what it may be where it does not say."""
        keys: dict[str, str] | None = None
        for key, named in _TYPES.items():
            name = value.get(key)
            for kind in named:
                if keys is None and isinstance(name, str):
                    keys = class_table.keys(kind, name)
        if keys is None:
            keys = {key: kind for each in kinds for key, kind in class_table.any_keys(each).items()}
        return self._plain(value, keys, prefix)

    def _plain(self, value: dict[str, Any], keys: dict[str, str], prefix: str) -> dict[str, Any]:
        """The keys that may stand; a class that transformers does not have is not named."""
        value = dict(value)
        for key, kinds in {**_TYPES, "processor_class": ("processor",)}.items():
            name = value.get(key)
            if isinstance(name, str) and not any(class_table.known(kind, name) for kind in kinds):
                self._writer.drop(f"{self._where}: {prefix}{key}", "is not a class of transformers")
                del value[key]
        return self._writer.config(value, keys, f"{self._where}: {shown(prefix)[1:-1]}")


def _is_token(value: Any) -> bool:
    tokens = value if isinstance(value, list) else [value]
    return all(isinstance(token, str) and len(token) <= 1000 for token in tokens)
