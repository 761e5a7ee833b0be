"""What a folder's tokenizer is made of, written anew.

Zone: worker. Either all of a tokenizer is exported, or none of it: half of one gives other ids.
Tokens are any text, since models hold any; what else there is must be of a known key and plain. A
sentencepiece or tiktoken model is never copied: tokenizer_conversion makes a tokenizer.json of it.
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any

from safe_load.worker.rewrite import class_table, config_requests, lenient, tokenizer_json
from safe_load.worker.rewrite.chat_templates import LEFT_OUT, rewritten
from safe_load.worker.rewrite.config_requests import ConfigRequest
from safe_load.worker.rewrite.config_writer import Rewritten, Writer, render
from safe_load.worker.strict_json import Malformed, parse, require_object, shown

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

CONFIG = "tokenizer_config.json"
TOKENIZER = "tokenizer.json"
SPECIAL = "special_tokens_map.json"
ADDED = "added_tokens.json"
#: Of these, a tokenizer.json can be made, in a room.
MODELS = re.compile(r"[\w.-]+\.(model|spm|tiktoken)|prophetnet\.tokenizer|tekken\.json", re.ASCII)
_VERSIONED = re.compile(r"tokenizer\.(\d{1,4}(?:\.\d{1,4}){0,3})\.json", re.ASCII)
_TEXT = re.compile(r"[\w.-]+\.(txt|codes)", re.ASCII)
_MAX_TEXT = 64 << 20
_MAX_LINES = 5_000_000
_MAX_LINE = 100_000
_MAX_TOKEN = 65_536
_MAX_TOKENS = 1_000_000
_TOKEN_KEYS = {"content": str, "single_word": bool, "lstrip": bool, "rstrip": bool,
               "normalized": bool, "special": bool, "__type": str}  # fmt: skip
#: What transformers writes into each file for nobody, and what `_chosen` has followed.
_SILENT = ("fast_tokenizer_files", "is_local", "local_files_only", "unk_id", "files_loaded")
_LISTS = ("additional_special_tokens", "extra_special_tokens", "model_specific_special_tokens")


def is_part(name: str) -> bool:
    """Whether a file of this name may be part of a tokenizer, other than a model to convert."""
    return (
        name in (CONFIG, TOKENIZER, SPECIAL)
        or _VERSIONED.fullmatch(name) is not None
        or is_vocabulary(name)
    )


def is_vocabulary(name: str) -> bool:
    """Whether a file of this name is a table of tokens: JSON, or lines of text."""
    return name not in (CONFIG, TOKENIZER, SPECIAL) and (
        name == ADDED or (name in class_table.vocabulary_files() and MODELS.fullmatch(name) is None)
    )


def needs_conversion(names: Collection[str], models: Collection[str]) -> bool:
    """Whether the folder has a tokenizer only in a form that is not exported.

    names: what `is_part` has accepted; models: the names of files that match MODELS.
    """
    return bool(models) and not any(
        name == TOKENIZER or _VERSIONED.fullmatch(name) for name in names
    )


def reemit(
    files: Mapping[str, bytes], prefix: str, converted: Mapping[str, bytes] | None = None
) -> Rewritten:
    """Write the tokenizer anew. files: those of one folder that `is_part` accepts; prefix: what stands
    before their names in messages; converted: a tokenizer.json and its configuration, made in a
    room, which take the place of all that were there; empty when that did not succeed.

    What is malformed is not raised but told: then no file of the tokenizer is among the result's.
    """
    out = Rewritten()
    # Also what will not be written again is judged.
    for name in files:
        if name in (CONFIG, SPECIAL):
            try:
                out.requests += config_requests.find_in_tokenizer(
                    _object(files, name, prefix), f"{prefix}{name}"
                )
            except Malformed:  # told below
                out.requests += lenient.asked(
                    files[name], f"{prefix}{name}", config_requests.find_in_tokenizer
                )
    whole = _Tokenizer(files if converted is None else converted, prefix, out)
    try:
        whole.write()
    except Malformed as error:
        if isinstance(error, tokenizer_json.CostlyPattern):
            location, _, what = str(error).partition(": ")
            out.requests.append(ConfigRequest(location, what, LEFT_OUT, "cost", "medium", "SL603"))
        out.files.clear()
        out.notes.append(f"no tokenizer was exported: {error}")
    return out


def _object(files: Mapping[str, bytes], name: str, prefix: str) -> dict[str, Any]:
    value = parse(
        files[name], where=f"{prefix}{name}", max_bytes=32 << 20, max_string=4 << 20,
        max_items=2_000_000, allow_nonfinite=True,
    )  # fmt: skip
    return require_object(value, f"{prefix}{name}")


class _Tokenizer:
    """One tokenizer on its way from `files` to `out`."""

    def __init__(self, files: Mapping[str, bytes], prefix: str, out: Rewritten) -> None:
        self._files = files
        self._at = prefix
        self._out = out
        self._writer = Writer(out.dropped)

    def write(self) -> None:
        config = _object(self._files, CONFIG, self._at) if CONFIG in self._files else None
        chosen = self._chosen(config or {})
        if chosen is not None:
            self._out.files[TOKENIZER] = tokenizer_json.reemit(
                self._files[chosen], f"{self._at}{chosen}", self._writer.drop
            )
        if config is not None:
            self._out.files[CONFIG] = render(self._config(config))
        if SPECIAL in self._files:
            special = _object(self._files, SPECIAL, self._at)
            self._out.files[SPECIAL] = render(self._special_tokens(special, f"{self._at}{SPECIAL}"))
        for name in self._files:
            if name not in (CONFIG, SPECIAL, TOKENIZER) and not _VERSIONED.fullmatch(name):
                self._out.files[name] = self._vocabulary(name)

    def _chosen(self, config: dict[str, Any]) -> str | None:
        """The tokenizer.json that transformers would read (get_fast_tokenizer_file): sorted as text,
        up to the first one that is newer than itself."""
        listed = config.get("fast_tokenizer_files")
        chosen = TOKENIZER
        versions = {
            match[1]: name
            for name in (listed if isinstance(listed, list) else [])
            if isinstance(name, str) and (match := _VERSIONED.fullmatch(name))
        }
        for version in sorted(versions):
            if _numbers(version) > _numbers(class_table.version()):
                break
            chosen = versions[version]
        if chosen not in self._files:
            return None
        if chosen != TOKENIZER:
            self._out.notes.append(
                f"{self._at}{CONFIG} points to {chosen}, which is what was written again as {TOKENIZER}"
            )
        return chosen

    def _config(self, config: dict[str, Any]) -> dict[str, Any]:
        """tokenizer_config.json: tokens are any text, templates are judged, the rest is plain."""
        where = f"{self._at}{CONFIG}"
        name = config.get("tokenizer_class")
        keys = class_table.keys("tokenizer", name) if isinstance(name, str) else None
        if keys is None:
            keys = class_table.any_keys("tokenizer")
        plain: dict[str, Any] = {}
        kept: dict[str, Any] = {}
        for key, value in config.items():
            location = f"{where}: {shown(key)[1:-1]}"
            if key in ("tokenizer_class", "processor_class"):
                kind: class_table.Kind = "tokenizer" if key[0] == "t" else "processor"
                if isinstance(value, str) and class_table.known(kind, value):
                    kept[key] = value
                elif value is not None:
                    self._writer.drop(location, f"is no {kind} of transformers")
            elif key == "added_tokens_decoder":
                kept[key] = self._decoder(value, location)
            elif key == "chat_template":
                if (template := rewritten(value, location, self._out.requests)) is not None:
                    kept[key] = template
                elif value:
                    self._writer.drop(location, "may do more than build text")
            elif key == "model_max_length":
                if type(value) is int or (type(value) is float and math.isfinite(value)):
                    kept[key] = value
            elif self._is_special(key, value) or (key == "chat_control_tokens" and value):
                kept[key] = self._tokens(value, location)
            elif isinstance(value, float) and not math.isfinite(value):
                self._writer.drop(location, "is not a finite number")
            elif key not in _SILENT:
                plain[key] = value
        written = self._writer.config(plain, keys, f"{where}: ")
        return {key: (kept | written)[key] for key in config if key in kept or key in written}

    def _is_special(self, key: str, value: Any) -> bool:
        """Whether this names special tokens: a token under a name of its own, or several."""
        if config_requests.is_reference(key) or key in config_requests.steering_keys():
            return False
        if key in _LISTS:
            return isinstance(value, list | dict)
        # Null says that there is none, where a class has a default.
        return key.endswith(("_token", "_tokens")) and isinstance(value, str | dict | None)

    def _special_tokens(self, special: dict[str, Any], where: str) -> dict[str, Any]:
        kept: dict[str, Any] = {}
        for key, value in special.items():
            location = f"{where}: {shown(key)[1:-1]}"
            if self._is_special(key, value):
                kept[key] = self._tokens(value, location)
            elif value not in (None, [], {}):
                self._writer.drop(location, "is not a special token")
        return kept

    def _decoder(self, value: Any, prefix: str) -> dict[str, Any]:
        if not isinstance(value, dict) or len(value) > _MAX_TOKENS:
            raise Malformed(f"{prefix} is not a table of tokens")
        for key in value:
            if not re.fullmatch(r"\d{1,10}", key, re.ASCII):
                raise Malformed(f"{prefix}: {shown(key)} is not a token's id")
        return {key: self._token(token, prefix) for key, token in value.items()}

    def _tokens(self, value: Any, prefix: str) -> Any:
        """A token, none, or several of them in a list or under names of their own."""
        if value is None:
            return None
        if isinstance(value, list):
            if len(value) > _MAX_TOKENS:
                raise Malformed(f"{prefix}: more than {_MAX_TOKENS:,} tokens")
            return [self._token(token, prefix) for token in value]
        if isinstance(value, dict) and "content" not in value:
            return {name: self._token(token, prefix) for name, token in value.items()}
        return self._token(value, prefix)

    def _token(self, value: Any, prefix: str) -> Any:
        if isinstance(value, str):
            if len(value) > _MAX_TOKEN:
                raise Malformed(f"{prefix}: a token has more than {_MAX_TOKEN:,} characters")
            return value
        if not isinstance(value, dict) or not isinstance(value.get("content"), str):
            raise Malformed(f"{prefix} is not a token")
        kept: dict[str, Any] = {}
        for key, inner in value.items():
            if key in _TOKEN_KEYS and type(inner) is _TOKEN_KEYS[key]:
                kept[key] = self._token(inner, prefix) if key == "content" else inner
            else:
                self._writer.drop(f"{prefix}: {shown(key)[1:-1]}", "is not a property of a token")
        if kept.get("__type", "AddedToken") != "AddedToken":
            raise Malformed(f"{prefix} is not a token")
        return kept

    def _vocabulary(self, name: str) -> bytes:
        """A table of tokens: JSON, or lines of text."""
        data, where = self._files[name], f"{self._at}{name}"
        if name.endswith(".json"):
            value = parse(
                data, where=where, max_bytes=_MAX_TEXT, max_string=_MAX_LINE, max_items=_MAX_LINES,
                max_depth=8,
            )  # fmt: skip
            text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
            return text.encode("utf-8") + b"\n"
        if not _TEXT.fullmatch(name):
            raise Malformed(f"{where}: it is not text")
        if len(data) > _MAX_TEXT:
            raise Malformed(f"{where}: it is larger than {_MAX_TEXT >> 20} MiB")
        lines = data.split(b"\n")
        if len(lines) > _MAX_LINES:
            raise Malformed(f"{where}: more than {_MAX_LINES:,} lines")
        if len(max(lines, key=len)) > _MAX_LINE:
            raise Malformed(f"{where}: a line of more than {_MAX_LINE:,} bytes")
        if b"\0" in data:
            raise Malformed(f"{where}: it holds a zero byte")
        try:
            return data.decode("utf-8").encode("utf-8")
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            raise Malformed(f"{where}, line {line}: not UTF-8") from None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())
