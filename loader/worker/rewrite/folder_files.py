"""Everything of a model's folder that is exported beside its weights, written anew.

Zone: worker. Folder by folder, since pipelines keep their parts in folders of their own. A file
that is not named here is not exported.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from safe_load.worker.rewrite import (
    adapter_files,
    chat_templates,
    config_requests,
    data_files,
    diffusers_files,
    lenient,
    model_config,
    processor_files,
    sentence_files,
    tokenizer_files,
)
from safe_load.worker.rewrite.config_writer import Rewritten
from safe_load.worker.rewrite.files import File, Refused
from safe_load.worker.strict_json import Malformed, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

_CONFIG_NAME = re.compile(r"config(\.\d+(\.\d+)*)?\.json")
#: Kinds of requests for what runs.
RUNNING = ("code", "kernel")
_TEMPLATES = "additional_chat_templates"
_TEMPLATE = re.compile(rf"chat_template\.jinja|{_TEMPLATES}/[\w.-]{{1,100}}\.jinja", re.ASCII)
_MAX_FOLDERS = 100
#: Folders that are judged.
_MOST_FOLDERS = 2000
_MAX_CONFIG = 16 << 20
_MAX_PART = 96 << 20
#: Of a configuration that is only looked at.
MAX_OTHER = 1 << 20
#: Of all that is read here: beside the weights of the largest models lies a tenth of it.
_MAX_ALL = 512 << 20


def rewrite(
    files: Iterable[File], python: Collection[str], converted: Mapping[str, Mapping[str, bytes]]
) -> Rewritten:
    """Write them all anew. Where the model's own configuration does not read, the result's `error`
    says so, and no file is among it.

    Args:
        files: Those that `is_read` accepts; others are not looked at.
        python: The names, without folders, of the folder's files of Python.
        converted: By folder, the tokenizers that a room has made of others.
    """
    out = Rewritten()
    try:
        _rewrite(files, python, converted, out)
    except Refused as error:
        out.files.clear()
        out.error = str(error)
    return out


def _rewrite(
    files: Iterable[File],
    python: Collection[str],
    converted: Mapping[str, Mapping[str, bytes]],
    out: Rewritten,
) -> None:
    folders = by_folder(files)
    if len(folders) > _MAX_FOLDERS:
        out.notes.append(
            f"the configuration of {_MAX_FOLDERS} folders was exported, the limit for one load"
        )
    modules = {
        f"{folder}/{path}".removeprefix("/"): module
        for folder, entries in folders.items()
        for path, module in sentence_files.of_modules(
            _read(entries, sentence_files.MODULES)
        ).items()
    }
    modules_beside = {name.removesuffix(".py") for name in python}
    left = _MAX_ALL
    for number, (folder, entries) in enumerate(folders.items()):
        left -= sum(entry.size for entry in entries.values())
        if left < 0 or number >= _MOST_FOLDERS:
            out.notes.append(
                f"{folder}/: the files beside the weights are too large together, and were not exported"
            )
            out.requests.append(_unjudged(f"{folder}/", "the configuration before it"))
            break
        # Of the further ones, nothing is exported, but each is judged.
        into = out if number < _MAX_FOLDERS else Rewritten()
        at = f"{folder}/" if folder else ""
        _Folder(folder, entries, modules, into).rewrite(converted.get(folder))
        _add(_sentence(folder, folders), at, into)
        index = _read(entries, diffusers_files.PIPELINE, f"{at}{diffusers_files.PIPELINE}", into)
        if index is not None:
            _add(_of_folder(diffusers_files.pipeline(index, modules_beside), at), at, into)
        if into is not out:
            out.requests += into.requests


def _unjudged(where: str, before: str) -> config_requests.ConfigRequest:
    """Who fills a folder with what takes long to judge hides what comes later."""
    why = f"was not looked at: {before} is more than any model's"
    return config_requests.ConfigRequest(where, "what it asks for", why, "size", "medium", "SL603")


def _of_folder(rewritten: Rewritten, at: str) -> Rewritten:
    """What was written of one folder, its places as they are called from the model's."""
    if not at:
        return rewritten
    return Rewritten(
        rewritten.files,
        [replace(each, location=f"{at}{each.location}") for each in rewritten.requests],
        [replace(each, location=f"{at}{each.location}") for each in rewritten.dropped],
        [f"{at}{note}" for note in rewritten.notes],
    )


def place_of(path: str) -> tuple[str, str]:
    """The folder of a file and its name there; a folder of templates belongs to the one it is in."""
    folder, _, name = path.rpartition("/")
    outer, _, inner = folder.rpartition("/")
    return (outer, f"{inner}/{name}") if inner == _TEMPLATES else (folder, name)


def by_folder(files: Iterable[File]) -> dict[str, dict[str, File]]:
    """The files that are read, by their folder and their name."""
    folders: dict[str, dict[str, File]] = {}
    for file in files:
        folder, name = place_of(file.name)
        if is_read(name):
            folders.setdefault(folder, {})[name] = file
    return dict(sorted(folders.items()))


def is_read(name: str) -> bool:
    """Whether a file of this name, in any folder, is read and written anew."""
    return (
        _CONFIG_NAME.fullmatch(name) is not None
        or name in (model_config.GENERATION, adapter_files.CONFIG, *processor_files.FILES)
        or name in (diffusers_files.PIPELINE, diffusers_files.SCHEDULER)
        or _TEMPLATE.fullmatch(name) is not None
        or tokenizer_files.is_part(name)
        or sentence_files.is_part(name)
        or sentence_files.is_of_module(name)
        or name in data_files.FILES
    )


def is_other(path: str) -> bool:
    """Whether this is a configuration that nothing here writes anew, but that some library may read."""
    return path.endswith(".json") and not is_read(place_of(path)[1])


def requests_of_others(files: Iterable[File]) -> list[config_requests.ConfigRequest]:
    """What such files ask for that runs."""
    found: list[config_requests.ConfigRequest] = []
    left = _MAX_CONFIG
    # First those whose names are like those that libraries read.
    for file in sorted(files, key=lambda each: not is_likely(each.name)):
        if not is_other(file.name) or (file.size > MAX_OTHER and not is_likely(file.name)):
            continue
        left -= file.size
        if left < 0:
            if is_likely(file.name):
                found.append(_unjudged(file.name, "the other configuration"))
            break
        data = file.read()
        try:
            value = parse(data, where=file.name, max_bytes=_MAX_CONFIG, allow_nonfinite=True)
        except Malformed:
            found += lenient.asked(data, file.name, config_requests.find_code)
            continue
        if isinstance(value, dict):
            found += config_requests.find_code(value, file.name)
    return found


def is_likely(path: str) -> bool:
    """Whether some library may read it as a configuration, by its name."""
    return "config" in place_of(path)[1]


def _read(
    entries: Mapping[str, File], name: str, where: str = "", out: Rewritten | None = None
) -> bytes | None:
    """The content of one of them, None where it is not there, or too large, which is told."""
    entry = entries.get(name)
    if entry is None or entry.size > _MAX_CONFIG:
        if entry is not None and out is not None:
            out.requests.append(lenient.too_large(where, entry.size))
        return None
    return entry.read()


def _add(rewritten: Rewritten, prefix: str, out: Rewritten) -> None:
    """Put what was written of one folder among the rest. prefix: what stands before its files' names."""
    out.files |= {f"{prefix}{name}": data for name, data in rewritten.files.items()}
    out.requests += rewritten.requests
    out.dropped += rewritten.dropped
    out.notes += rewritten.notes


class _Folder:
    """One folder on its way into `out`. prefix: what stands before its files' names."""

    def __init__(
        self, folder: str, entries: Mapping[str, File], modules: Mapping[str, str], out: Rewritten
    ) -> None:
        self._folder = folder
        self._at = f"{folder}/" if folder else ""
        self._entries = entries
        self._modules = modules
        self._out = out
        self._model_type: str | None = None

    def rewrite(self, converted: Mapping[str, bytes] | None) -> None:
        self._config()
        for name, data in self._some(diffusers_files.SCHEDULER.__eq__).items():
            self._take(diffusers_files.part(name, data, self._at))
        self._take(tokenizer_files.reemit(self._some(tokenizer_files.is_part), self._at, converted))
        self._processors()
        for name, data in self._some(lambda name: _TEMPLATE.fullmatch(name) is not None).items():
            self._template(name, data)
        self._adapter()
        for name, data in self._some(data_files.FILES.__contains__).items():
            self._take(data_files.reemit(name, data, f"{self._at}{name}"))

    def _some(self, wanted: Callable[[str], bool]) -> dict[str, bytes]:
        """The content of the files whose names are wanted; none of one that is too large to be one."""
        found: dict[str, bytes] = {}
        for name, entry in self._entries.items():
            if wanted(name):
                limit = _MAX_CONFIG if _CONFIG_NAME.fullmatch(name) else _MAX_PART
                if entry.size > limit:
                    raise Refused(f"{self._at}{name} is larger than {limit >> 20} MiB")
                found[name] = entry.read()
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
            if data is not None and _is_diffusers(data, self._at):
                self._take(diffusers_files.part(model_config.CONFIG, data, self._at))
                return
            emitted = model_config.reemit(files, self._at, self._out.requests)
        except Malformed as error:
            if not self._folder:
                raise Refused(str(error)) from error
            self._out.notes.append(f"{self._at}{model_config.CONFIG} was not exported: {error}")
            for name, data in files.items():
                self._out.requests += lenient.asked(data, f"{self._at}{name}")
            return
        self._model_type = emitted.model_type
        self._take(Rewritten(emitted.files, [], emitted.dropped, emitted.notes))

    def _processors(self) -> None:
        files = self._some(processor_files.FILES.__contains__)
        rewritten = processor_files.reemit(files, self._at)
        if files and self._model_type in config_requests.steering()["fetching"]["model_types"]:
            # Of this type, transformers chooses the processor whatever the files say.
            rewritten.files.clear()
            rewritten.notes.append(
                f"{self._at}the processor was not exported: transformers' own for "
                f"{self._model_type} fetches tokenizers from the hub"
            )
        self._take(rewritten)

    def _template(self, name: str, data: bytes) -> None:
        where = f"{self._at}{name}"
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:
            self._out.notes.append(f"{where} was not exported: it is not UTF-8")
            return
        if chat_templates.rewritten(text, where, self._out.requests) is not None:
            self._out.files[f"{self._at}{name}"] = text.encode("utf-8")
        else:
            self._out.notes.append(
                f"{where} was not exported: the template may do more than build text"
            )

    def _adapter(self) -> None:
        """Of an adapter alone, what peft reads."""
        where = f"{self._at}{adapter_files.CONFIG}"
        data = _read(self._entries, adapter_files.CONFIG, where, self._out)
        if data is None:
            return
        beside = model_config.CONFIG in self._entries
        if beside:
            # transformers would load the base that it names, where peft is installed.
            self._out.notes.append(f"{where} was not exported: it stands beside a model of its own")
        else:
            self._take(adapter_files.reemit(data, where))
        try:
            value = parse(data, where=where, max_bytes=_MAX_CONFIG, allow_nonfinite=True)
        except Malformed:
            found = lenient.asked(data, where)
        else:
            found = config_requests.find(value, where) if isinstance(value, dict) else []
        # Of an adapter alone, another repository is what it is for; beside a model it is a detour.
        self._out.requests += [each for each in found if beside or each.kind in RUNNING]


def _sentence(folder: str, folders: Mapping[str, Mapping[str, File]]) -> Rewritten:
    """What sentence-transformers reads: of a model's folder, and of those of its modules."""
    entries = folders[folder]
    large = Rewritten()
    at = f"{folder}/" if folder else ""
    files = {
        name: data
        for name in entries
        if sentence_files.is_part(name)
        and (data := _read(entries, name, f"{at}{name}", large)) is not None
    }
    modules = sentence_files.of_modules(files.get(sentence_files.MODULES))
    configs = {
        f"{path}/{config}": (name, data)
        for path, name in modules.items()
        if (config := sentence_files.config_name(name))
        and (data := _read(folders.get(f"{folder}/{path}".removeprefix("/"), {}), config))
        is not None
    }
    found = _of_folder(sentence_files.reemit(files, configs), at)
    found.requests += large.requests
    return found


def _is_diffusers(data: bytes, prefix: str) -> bool:
    """Whether a configuration is of a part of a pipeline that diffusers reads."""
    value = parse(
        data, where=f"{prefix}{model_config.CONFIG}", max_bytes=_MAX_CONFIG, allow_nonfinite=True
    )
    return isinstance(value, dict) and diffusers_files.is_part(value)
