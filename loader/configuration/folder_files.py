"""Everything of a model's folder that is exported beside its weights, written anew.

Zone: controller. Folder by folder, since pipelines keep their parts in folders of their own. A file
that is not named here is not exported.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from safe_load.configuration import (
    chat_templates,
    config_asks,
    diffusers_files,
    model_config,
    processor_files,
    sentence_files,
    tokenizer_files,
)
from safe_load.configuration.config_writer import Rewritten
from safe_load.errors import NotLoadable
from safe_load.formats.escape import visible
from safe_load.json_strict import Malformed, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from safe_load.inventory import Entry, Inventory

_CONFIG_NAME = re.compile(r"config(\.\d+(\.\d+)*)?\.json")
_ADAPTER = "adapter_config.json"
_TEMPLATE = re.compile(
    r"chat_template\.jinja|additional_chat_templates/[\w.-]{1,100}\.jinja", re.ASCII
)
_MAX_FOLDERS = 100
_MAX_CONFIG = 16 << 20
_MAX_PART = 96 << 20
#: Of all that is read here: beside the weights of the largest models lies a tenth of it.
_MAX_ALL = 512 << 20


def rewrite(stock: Inventory, converted: Mapping[str, Mapping[str, bytes]]) -> Rewritten:
    """Write them all anew. converted: by folder, the tokenizers that a room has made of others.

    Raises NotLoadable when the model's own configuration does not read.
    """
    out = Rewritten()
    if not stock.folder:
        return out
    folders = _folders(stock)
    if len(folders) > _MAX_FOLDERS:
        out.notes.append(f"only of {_MAX_FOLDERS} folders the configuration was exported")
    modules = sentence_files.of_modules(_read(folders.get("", {}), sentence_files.MODULES))
    left = _MAX_ALL
    for folder, entries in list(folders.items())[:_MAX_FOLDERS]:
        left -= sum(entry.size for name, entry in entries.items() if _is_read(name))
        if left < 0:
            out.notes.append(f"{folder}/: what lies beside the weights is more than is read")
            break
        _Folder(folder, entries, modules, out).rewrite(converted.get(folder))
    _add(_sentence(folders, modules), "", out)
    index = _read(folders.get("", {}), diffusers_files.PIPELINE)
    if index is not None:
        names = {name for entries in folders.values() for name in entries}
        python = {name.removesuffix(".py") for name in names if name.endswith(".py")}
        _add(diffusers_files.pipeline(index, python), "", out)
    return out


def to_convert(stock: Inventory) -> dict[str, list[Entry]]:
    """The folders whose tokenizer a room must convert -> the files that it is made of."""
    found: dict[str, list[Entry]] = {}
    for folder, entries in _folders(stock).items() if stock.folder else ():
        models = [name for name in entries if tokenizer_files.MODELS.fullmatch(name)]
        if tokenizer_files.needs_conversion(entries, models):
            found[folder] = [
                entry
                for name, entry in entries.items()
                if name in models or tokenizer_files.is_part(name) or name == model_config.CONFIG
            ]
    return found


def _folders(stock: Inventory) -> dict[str, dict[str, Entry]]:
    """The files of each folder by their names; a folder of templates belongs to the one it is in."""
    folders: dict[str, dict[str, Entry]] = {}
    for entry in stock.entries:
        if entry.role not in ("text", "other"):
            continue
        folder, _, name = entry.path.rpartition("/")
        outer, _, inner = folder.rpartition("/")
        if inner == "additional_chat_templates":
            folder, name = outer, f"{inner}/{name}"
        folders.setdefault(folder, {})[name] = entry
    return dict(sorted(folders.items()))


def _is_read(name: str) -> bool:
    return (
        _CONFIG_NAME.fullmatch(name) is not None
        or name in (model_config.GENERATION, _ADAPTER, *processor_files.FILES)
        or name in (diffusers_files.PIPELINE, diffusers_files.SCHEDULER)
        or _TEMPLATE.fullmatch(name) is not None
        or tokenizer_files.is_part(name)
        or sentence_files.is_part(name)
    )


def _read(entries: Mapping[str, Entry], name: str) -> bytes | None:
    entry = entries.get(name)
    if entry is None or entry.size > _MAX_CONFIG:
        return None
    return entry.place.read_bytes()


def _add(rewritten: Rewritten, at: str, out: Rewritten) -> None:
    """Put what was written of one folder among the rest. at: what stands before its files' names."""
    out.files |= {f"{at}{name}": data for name, data in rewritten.files.items()}
    out.asks += rewritten.asks
    out.dropped += rewritten.dropped
    out.notes += rewritten.notes


class _Folder:
    """One folder on its way into `out`. at: what stands before its files' names."""

    def __init__(
        self, folder: str, entries: Mapping[str, Entry], modules: Mapping[str, str], out: Rewritten
    ) -> None:
        self._folder = folder
        self._at = f"{folder}/" if folder else ""
        self._shown = visible(self._at)
        self._entries = entries
        self._modules = modules
        self._out = out
        self._model_type: str | None = None

    def rewrite(self, converted: Mapping[str, bytes] | None) -> None:
        self._config()
        for name, data in self._some(diffusers_files.SCHEDULER.__eq__).items():
            self._take(diffusers_files.part(name, data, self._shown))
        self._take(
            tokenizer_files.reemit(self._some(tokenizer_files.is_part), self._shown, converted)
        )
        self._processors()
        for name, data in self._some(lambda name: _TEMPLATE.fullmatch(name) is not None).items():
            self._template(name, data)
        self._adapter()

    def _some(self, wanted: Callable[[str], bool]) -> dict[str, bytes]:
        """The content of the files whose names are wanted; none of one that is too large to be one."""
        found: dict[str, bytes] = {}
        for name, entry in self._entries.items():
            if wanted(name):
                limit = _MAX_CONFIG if _CONFIG_NAME.fullmatch(name) else _MAX_PART
                if entry.size > limit:
                    raise NotLoadable(
                        f"{self._shown}{visible(name)} is larger than {limit >> 20} MiB"
                    )
                found[name] = entry.place.read_bytes()
        return found

    def _take(self, rewritten: Rewritten) -> None:
        _add(rewritten, self._at, self._out)

    def _config(self) -> None:
        if self._folder in self._modules:
            return
        files = self._some(
            lambda name: name == model_config.GENERATION or _CONFIG_NAME.fullmatch(name) is not None
        )
        try:
            data = files.get(model_config.CONFIG)
            if data is not None and _is_diffusers(data, self._shown):
                self._take(diffusers_files.part(model_config.CONFIG, data, self._shown))
                return
            emitted = model_config.reemit(files, self._shown)
        except Malformed as error:
            if not self._folder:
                raise NotLoadable(str(error)) from error
            self._out.notes.append(f"{self._shown}{model_config.CONFIG} was not exported: {error}")
            return
        self._model_type = emitted.model_type
        self._take(Rewritten(emitted.files, emitted.asks, emitted.dropped, emitted.notes))

    def _processors(self) -> None:
        files = self._some(processor_files.FILES.__contains__)
        rewritten = processor_files.reemit(files, self._shown)
        if files and self._model_type in config_asks.steering()["fetching"]["model_types"]:
            # Of this type, transformers chooses the processor whatever the files say.
            rewritten.files.clear()
            rewritten.notes.append(
                f"{self._shown}the processor was not exported: transformers' own for "
                f"{self._model_type} fetches tokenizers from the hub"
            )
        self._take(rewritten)

    def _template(self, name: str, data: bytes) -> None:
        where = f"{self._shown}{name}"
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:
            self._out.notes.append(f"{where} was not exported: it is not UTF-8")
            return
        if chat_templates.rewritten(text, where, self._out.asks) is not None:
            self._out.files[f"{self._at}{name}"] = text.encode("utf-8")
        else:
            self._out.notes.append(f"{where} was not exported: it is more than text")

    def _adapter(self) -> None:
        """An adapter's configuration sends transformers to another model, where peft is installed."""
        data = _read(self._entries, _ADAPTER)
        if data is None:
            return
        where = f"{self._shown}{_ADAPTER}"
        self._out.notes.append(f"{where} was not exported: it says which other model to load first")
        # Of an adapter alone that is what it is for; beside a model's configuration it is a detour.
        if model_config.CONFIG in self._entries:
            try:
                value = parse(data, where=where, max_bytes=_MAX_CONFIG, allow_nonfinite=True)
            except Malformed as error:
                self._out.notes.append(str(error))
                return
            if isinstance(value, dict):
                self._out.asks += config_asks.find(value, where)


def _sentence(folders: Mapping[str, Mapping[str, Entry]], modules: Mapping[str, str]) -> Rewritten:
    """What sentence-transformers reads: of the model's folder, and of those of its modules."""
    root = folders.get("", {})
    files = {
        name: data
        for name in root
        if sentence_files.is_part(name) and (data := _read(root, name)) is not None
    }
    configs = {
        f"{path}/{model_config.CONFIG}": (name, data)
        for path, name in modules.items()
        if (data := _read(folders.get(path, {}), model_config.CONFIG)) is not None
    }
    return sentence_files.reemit(files, configs)


def _is_diffusers(data: bytes, at: str) -> bool:
    """Whether a configuration is of a part of a pipeline that diffusers reads."""
    value = parse(
        data, where=f"{at}{model_config.CONFIG}", max_bytes=_MAX_CONFIG, allow_nonfinite=True
    )
    return isinstance(value, dict) and diffusers_files.is_part(value)
