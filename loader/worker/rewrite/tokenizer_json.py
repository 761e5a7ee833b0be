"""tokenizer.json, written anew from components of known types, and data within bounds.

Zone: worker. The schema is data, tokenizer_schema.toml. A component of an unknown type refuses the
whole file, since a tokenizer without one of its parts gives other ids; an unknown key is left out.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING, Any

from safe_load.worker.rewrite import tables
from safe_load.worker.rewrite.patterns import danger
from safe_load.worker.strict_json import Malformed, parse, shown

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_BYTES = 96 << 20
_MAX_ITEMS = 6_000_000
_MAX_COMPONENTS = 100
_MAX_TEXT = 1000
_MAX_TOKEN = 65_536
_MAX_COUNT = 1 << 24
#: How many times as long a text may become by what is put in for a character.
_MAX_GROWTH = 64
#: Longer than any model reads: tokens that every text is padded to.
_MAX_FIXED = 1 << 20
_TOP = ("version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer",
        "post_processor", "decoder", "model")  # fmt: skip
_COMPONENTS = ("normalizer", "pre_tokenizer", "post_processor", "decoder", "model")


class CostlyPattern(Malformed):
    """A regular expression of the tokenizer could take exponential time, or make its library fail."""


def reemit(data: bytes, where: str, drop: Callable[[str, str], None]) -> bytes:
    """The same tokenizer, as JSON of ours. drop: told (place, reason) of each key that is left out.

    Raises Malformed when it is no JSON within bounds, or no tokenizer of known parts.
    """
    whole = parse(
        data,
        where=where,
        max_bytes=MAX_BYTES,
        max_string=8 << 20,
        max_items=_MAX_ITEMS,
    )
    if not isinstance(whole, dict) or not isinstance(whole.get("model"), dict):
        raise Malformed(f"{where}: it is not a tokenizer: it has no model")
    kept = _Writer(where, drop).tokenizer(whole)
    # Numbers as the controller writes them: it writes this file once more (safe_load.rewrite.canonical).
    text = json.dumps(kept, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8") + b"\n"


def _schema() -> dict[str, dict[str, dict[str, str]]]:
    return tables.read("tokenizer_schema.toml")


class _Writer:
    """Builds the new tokenizer out of the parsed one."""

    def __init__(self, where: str, drop: Callable[[str, str], None]) -> None:
        self._where = where
        self._drop = drop
        self._components = 0
        self._growth = 1.0

    def tokenizer(self, whole: dict[str, Any]) -> dict[str, Any]:
        kept: dict[str, Any] = {}
        for key, value in whole.items():
            if key not in _TOP:
                self._drop(f"{self._where}: {shown(key)[1:-1]}", "is not a part of a tokenizer")
            elif key in _COMPONENTS:
                kept[key] = None if value is None else self._component(key, value, key)
            elif key == "added_tokens":
                if not isinstance(value, list):
                    raise self._wrong(key, "is not a list")
                kept[key] = [
                    self._object("added_token", token, f"{key}[{n}]")
                    for n, token in enumerate(value)
                ]
            elif key == "version":
                kept[key] = self._text(value, key)
            else:
                kept[key] = None if value is None else self._object(key, value, key)
        _check_ids(kept["model"], self._wrong)
        return kept

    def _wrong(self, prefix: str, what: str) -> Malformed:
        return Malformed(f"{self._where}: {prefix} {what}")

    def _object(self, part: str, value: Any, prefix: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self._wrong(prefix, "is not an object")
        return self._keys(_schema()[part]["keys"], value, prefix)

    def _component(self, part: str, value: Any, prefix: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self._wrong(prefix, "is not an object")
        self._components += 1
        if self._components > _MAX_COMPONENTS:
            raise self._wrong(prefix, f"is one of more than {_MAX_COMPONENTS} components")
        name = value.get("type")
        if name is None and part == "model":
            name = _untyped(value)
        keys = _schema()[part].get(name) if isinstance(name, str) else None
        if keys is None:
            kind = shown(name) if isinstance(name, str) else "no type"
            raise self._wrong(prefix, f"is of a kind that is not known: {kind}")
        kept = {"type": name} if "type" in value else {}
        kept |= self._keys(keys, {k: v for k, v in value.items() if k != "type"}, prefix)
        if name in ("Replace", "Prepend") and part == "normalizer":
            self._grow(name, kept, prefix)
        if name == "FixedLength" and not kept.get("length"):
            raise self._wrong(prefix, "splits a text into empty pieces")
        return kept

    def _grow(self, name: str, component: dict[str, Any], prefix: str) -> None:
        """Bound what a chain of replacements makes of one character."""
        content = component.get("content" if name == "Replace" else "prepend", "")
        pattern = component.get("pattern")
        least = len(pattern["String"]) if isinstance(pattern, dict) and "String" in pattern else 1
        if name == "Replace":
            self._growth *= max(1.0, len(content) / max(1, least))
        if self._growth > _MAX_GROWTH:
            raise self._wrong(prefix, f"makes a text more than {_MAX_GROWTH} times as long")

    def _keys(self, keys: dict[str, str], value: dict[str, Any], prefix: str) -> dict[str, Any]:
        kept: dict[str, Any] = {}
        for key, inner in value.items():
            kind = keys.get(key)
            place = f"{prefix}.{shown(key)[1:-1]}"
            if kind is None:
                self._drop(f"{self._where}: {place}", "is unknown to this part of a tokenizer")
            elif inner is None and kind.endswith("?"):
                kept[key] = None
            elif kind in _COMPONENTS:
                if not isinstance(inner, list):
                    raise self._wrong(place, "is not a list")
                kept[key] = [
                    self._component(kind, each, f"{place}[{n}]") for n, each in enumerate(inner)
                ]
            else:
                kept[key] = _READERS[kind.rstrip("?")](self, inner, place)
        return kept

    def _bool(self, value: Any, prefix: str) -> bool:
        if not isinstance(value, bool):
            raise self._wrong(prefix, "is neither true nor false")
        return value

    def _text(self, value: Any, prefix: str, limit: int = _MAX_TEXT) -> str:
        if not isinstance(value, str) or len(value) > limit:
            raise self._wrong(prefix, f"is not text of at most {limit:,} characters")
        return value

    def _token(self, value: Any, prefix: str) -> str:
        return self._text(value, prefix, _MAX_TOKEN)

    def _count(self, value: Any, prefix: str) -> int:
        if type(value) is not int or not 0 <= value < 1 << 64:
            raise self._wrong(prefix, "is not a count")
        return value

    def _id(self, value: Any, prefix: str) -> int:
        if type(value) is not int or not 0 <= value < 1 << 32:
            raise self._wrong(prefix, "is not a token's id")
        return value

    def _share(self, value: Any, prefix: str) -> float:
        if type(value) not in (int, float) or not 0 <= value <= 1:
            raise self._wrong(prefix, "is not a number from 0 to 1")
        return float(value)

    def _pattern(self, value: Any, prefix: str) -> dict[str, str]:
        match value:
            case {"String": str(text), **rest} if not rest:
                return {"String": self._text(text, prefix)}
            case {"Regex": str(text), **rest} if not rest:
                if reason := danger(text):
                    raise CostlyPattern(
                        f"{self._where}: {prefix} is a regular expression that {reason}"
                    )
                return {"Regex": text}
        raise self._wrong(prefix, "is neither a string nor a regular expression")

    def _pair(self, value: Any, prefix: str) -> list[Any]:
        if not isinstance(value, list) or len(value) != 2:
            raise self._wrong(prefix, "is not a token with its id")
        return [self._token(value[0], prefix), self._id(value[1], prefix)]

    def _base64(self, value: Any, prefix: str) -> str:
        """A character map of sentencepiece: the size of its trie, the trie, and the texts."""
        try:
            raw = base64.b64decode(value if isinstance(value, str) else b"?", validate=True)
        except (binascii.Error, ValueError):
            raise self._wrong(prefix, "is not base64") from None
        trie = int.from_bytes(raw[:4], "little")
        if raw and (trie % 4 or 4 + trie > len(raw)):
            raise self._wrong(prefix, "is not a map of characters")
        return str(value)

    def _vocab(self, value: Any, prefix: str) -> dict[str, int]:
        if not isinstance(value, dict) or not set(map(type, value.values())) <= {int}:
            raise self._wrong(prefix, "is not a table from tokens to ids")
        if value and (min(value.values()) < 0 or max(value.values()) >= 1 << 32):
            raise self._wrong(prefix, "holds a value that is not a token id")
        if len(max(value, key=len, default="")) > _MAX_TOKEN:
            raise self._wrong(prefix, f"holds a token of more than {_MAX_TOKEN:,} characters")
        return value

    def _scores(self, value: Any, prefix: str) -> list[list[Any]]:
        if not isinstance(value, list) or not all(
            type(row) is list
            and len(row) == 2
            and type(row[0]) is str
            and len(row[0]) <= _MAX_TOKEN
            and (type(row[1]) is float or (type(row[1]) is int and abs(row[1]) < 1 << 53))
            for row in value
        ):
            raise self._wrong(prefix, "is not a list of tokens with their scores")
        return value

    def _merges(self, value: Any, prefix: str) -> list[Any]:
        kinds = set(map(type, value)) if isinstance(value, list) else {dict}
        if kinds <= {str}:
            if all(len(merge) <= 2 * _MAX_TOKEN for merge in value):
                return list(value)
        elif kinds == {list} and all(
            len(merge) == 2 and type(merge[0]) is type(merge[1]) is str for merge in value
        ):
            return list(value)
        raise self._wrong(prefix, "is not a list of merges")

    def _pieces(self, value: Any, prefix: str) -> list[dict[str, dict[str, Any]]]:
        if not isinstance(value, list) or len(value) > _MAX_COMPONENTS:
            raise self._wrong(prefix, "is not a short list")
        return [self._piece(piece, f"{prefix}[{n}]") for n, piece in enumerate(value)]

    def _piece(self, value: Any, prefix: str) -> dict[str, dict[str, Any]]:
        match value:
            case {"SpecialToken": {"id": str(name), "type_id": kind, **more}, **rest} if not (
                more or rest
            ):
                return {
                    "SpecialToken": {
                        "id": self._token(name, prefix),
                        "type_id": self._id(kind, prefix),
                    }
                }
            case {"Sequence": {"id": "A" | "B" as name, "type_id": kind, **more}, **rest} if not (
                more or rest
            ):
                return {"Sequence": {"id": name, "type_id": self._id(kind, prefix)}}
        raise self._wrong(prefix, "is neither a special token nor a sequence")

    def _specials(self, value: Any, prefix: str) -> dict[str, dict[str, Any]]:
        if not isinstance(value, dict) or len(value) > 1000:
            raise self._wrong(prefix, "is not a short table")
        return {
            name: self._special(token, f"{prefix}[{shown(name)}]") for name, token in value.items()
        }

    def _special(self, value: Any, prefix: str) -> dict[str, Any]:
        match value:
            case {"id": str(name), "ids": list(ids), "tokens": list(tokens), **rest} if not rest:
                if len(ids) == len(tokens) <= _MAX_COMPONENTS:
                    return {
                        "id": self._token(name, prefix),
                        "ids": [self._id(each, prefix) for each in ids],
                        "tokens": [self._token(each, prefix) for each in tokens],
                    }
        raise self._wrong(prefix, "is not a special token")

    def _strategy(self, value: Any, prefix: str) -> Any:
        match value:
            case "BatchLongest":
                return value
            case {"Fixed": int(length), **rest} if not rest and 0 < length <= _MAX_FIXED:
                return {"Fixed": length}
        raise self._wrong(prefix, "is not a way to pad")


_READERS: dict[str, Callable[[_Writer, Any, str], Any]] = {
    name: getattr(_Writer, f"_{name}")
    for name in ("bool", "text", "token", "count", "id", "share", "pattern", "pair", "base64",
                 "vocab", "scores", "merges", "pieces", "specials", "strategy")
}  # fmt: skip


def _untyped(model: dict[str, Any]) -> str:
    """The type of a model as versions before 0.9 of the library wrote it, without one."""
    if "merges" in model:
        return "BPE"
    if isinstance(model.get("vocab"), list):
        return "Unigram"
    return "WordPiece" if "continuing_subword_prefix" in model else "WordLevel"


def _check_ids(model: dict[str, Any], wrong: Callable[[str, str], Malformed]) -> None:
    vocab = model.get("vocab")
    if isinstance(vocab, list) and (model.get("unk_id") or 0) >= max(1, len(vocab)):
        raise wrong("model.unk_id", "is the id of no token")
