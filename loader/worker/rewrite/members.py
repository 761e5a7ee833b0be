"""What the configuration among an archive's members asks for: whoever unpacks the archive loads it as a folder.

Zone: worker, standard library only. Nothing is written anew, and templates are judged by their text alone.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from safe_load.worker.formats import template_text
from safe_load.worker.formats.onnx_tensors import leaves_folder
from safe_load.worker.rewrite import (
    adapter_files,
    chat_templates,
    config_requests,
    diffusers_files,
    folder_files,
    lenient,
    sentence_files,
    tokenizer_files,
)
from safe_load.worker.strict_json import Malformed, parse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from safe_load.worker.formats.interface import Carried
    from safe_load.worker.rewrite.config_requests import ConfigRequest
    from safe_load.worker.rewrite.files import Readable

_MAX_CONFIG = 8 << 20
_MOST_SHARDS = 10
#: Of all configuration of one archive.
_MAX_ALL = 64 << 20
#: What tells that a configuration is for transformers, peft, diffusers or sentence-transformers.
_THEIRS = frozenset(
    "model_type architectures transformers_version peft_type _class_name tokenizer_class processor_class"
    " image_processor_type feature_extractor_type video_processor_type auto_map pretrained_cfg".split()
)


def asked(files: list[Readable]) -> Iterator[tuple[Carried, str]]:
    """Finding and sentence without its subject for each thing asked for that is more than a remark."""
    python = {
        name.removesuffix(".py") for each in files if (name := _base(each.name)).endswith(".py")
    }
    left = _MAX_ALL
    for file in files:
        name = _base(file.name)
        judged = name.endswith(".json") or chat_templates.may_hold(file.name)
        if not judged or tokenizer_files.is_vocabulary(name):
            continue
        if file.size > _MAX_CONFIG:
            if folder_files.is_read(name) and name != tokenizer_files.TOKENIZER:
                yield "SL503", f"holds {file.name[:200]!a}, which is more than safe-load judges"
            continue
        if name == tokenizer_files.TOKENIZER:
            continue
        left -= file.size
        if left < 0:
            return
        if name.endswith(".index.json"):
            for shard in _outside(_value(file)):
                yield (
                    "SL505",
                    f"holds {file.name[:200]!a}, which names {shard[:200]!a} as a file of weights",
                )
        for request in _requests(file, name, python):
            if request.severity != "low" and request.finding == "SL503":
                yield "SL503", f"holds {request.location}: {request.value} {request.why}"
        if chat_templates.may_hold(file.name) and any(
            map(template_text.reaches, _templates(file, name))
        ):
            yield "SL504", f"holds a template in {file.name[:200]!a} that does more than build text"


def _base(path: str) -> str:
    return path.rpartition("/")[2]


def _requests(file: Readable, name: str, python: set[str]) -> list[ConfigRequest]:
    if not name.endswith(".json"):
        return []
    if name == diffusers_files.PIPELINE:
        return _placed(diffusers_files.pipeline(file.read(), python).requests, file)
    if name == sentence_files.MODULES:
        return _placed(sentence_files.reemit({name: file.read()}, {}).requests, file)
    value = _value(file)
    if not isinstance(value, dict):
        return []
    if "in_features" in value and "activation_function" in value:
        # As sentence_transformers' Dense has it, in a folder whose name says nothing.
        return sentence_files.reemit({}, {file.name: ("Dense", file.read())}).requests
    if name in (tokenizer_files.CONFIG, tokenizer_files.SPECIAL):
        return config_requests.find_in_tokenizer(value, file.name)
    if name == adapter_files.CONFIG:
        found = config_requests.find(value, file.name)
        return [each for each in found if each.kind in folder_files.RUNNING]
    if folder_files.is_read(name) and not _THEIRS.isdisjoint(value):
        return config_requests.find(value, file.name)
    return config_requests.find_code(value, file.name)


def _placed(requests: list[ConfigRequest], file: Readable) -> list[ConfigRequest]:
    """With the folder of the file before their places."""
    at = file.name[: -len(_base(file.name))]
    return [replace(each, location=f"{at}{each.location}") for each in requests]


def _outside(index: Any) -> list[str]:
    """The files of an index that lie outside of its folder."""
    listed = index.get("weight_map") if isinstance(index, dict) else None
    names = listed.values() if isinstance(listed, dict) else ()
    found = dict.fromkeys(each for each in names if isinstance(each, str) and leaves_folder(each))
    return list(found)[:_MOST_SHARDS]


def _value(file: Readable) -> Any:
    data = file.read()
    try:
        return parse(
            data, where=file.name, max_bytes=_MAX_CONFIG, max_string=1 << 20, allow_nonfinite=True
        )  # fmt: skip
    except Malformed:
        return lenient.value(data)


def _templates(file: Readable, name: str) -> Iterator[bytes]:
    """What may be a template in it."""
    if not name.endswith(".json"):
        yield file.read()
        return
    for _, text in config_requests.texts(_value(file)):
        if "{{" in text or "{%" in text:
            yield text.encode("utf-8", "surrogatepass")
