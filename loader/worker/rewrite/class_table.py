"""The tokenizers and processors of transformers, and the keys that each takes.

Zone: worker. The table is data: class_keys.json, made by `python -m dev.class_table`.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Literal

from safe_load.worker.rewrite import tables

Kind = Literal["tokenizer", "image_processor", "video_processor", "feature_extractor", "processor"]


def _raw() -> dict[str, Any]:
    return tables.read("class_keys.json")


@cache
def common(kind: Kind) -> dict[str, str]:
    """The keys that every class of a kind takes, each with the kinds of its values."""
    return tables.kinds(_raw()[f"{kind} common"])


@cache
def keys(kind: Kind, name: str) -> dict[str, str] | None:
    """The keys that a class takes, the common ones included. None for a name that is no such class."""
    groups = _raw()[f"{kind} classes"].get(known(kind, name))
    return None if groups is None else common(kind) | tables.kinds(groups)


@cache
def any_keys(kind: Kind) -> dict[str, str]:
    """What any class of a kind takes, for a file that does not say which class reads it."""
    merged = dict(common(kind))
    for groups in _raw()[f"{kind} classes"].values():
        for key, letters in tables.kinds(groups).items():
            merged[key] = "".join(sorted({*merged.get(key, ""), *letters}))
    return merged


def known(kind: Kind, name: str) -> str | None:
    """The class that transformers finds under a name: itself, its successor, or None."""
    classes = _raw()[f"{kind} classes"]
    names = [name, name.removesuffix("Fast"), f"{name}Fast"]
    if kind == "image_processor":  # as they were called before 4.26
        names.append(name.replace("FeatureExtractor", "ImageProcessor"))
    return next((each for each in names if each in classes), None)


@cache
def vocabulary_files() -> frozenset[str]:
    """The names of all files that a tokenizer of transformers reads its vocabulary from."""
    return frozenset(_raw()["files"])


def needs_sentencepiece(tokenizer: str) -> bool:
    """Whether a tokenizer reads a sentencepiece model each time, and so has no tokenizer.json."""
    return tokenizer.removesuffix("Fast") in _raw()["backends"]["SentencePieceBackend"].split()


def version() -> str:
    """The version of transformers that the table was made from."""
    return str(_raw()["transformers"])
