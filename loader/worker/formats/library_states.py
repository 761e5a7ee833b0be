"""Models of other libraries within a pickle, as the bytes that compiled code reads: boosters, vocabularies. Zone: worker.

A pickled classifier of XGBoost holds its trees as a file of XGBoost's own. Whoever unpickles it has the library read that file,
so it is judged as one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from safe_load.worker.formats.interface import File
from safe_load.worker.pickle_vm.values import Stub, parts_of
from safe_load.worker.refusal import RefusedError, bomb
from safe_load.worker.spans import Span, as_span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from safe_load.worker.formats.interface import Reading

MAX_VALUES = 20_000_000
#: Attributes in which a class keeps such bytes or texts.
_KEYS = {
    "xgboost.core.Booster": ("handle",),
    "lightgbm.basic.Booster": ("handle", "_handle"),
    "catboost.core.CatBoost": ("__model",),
    "catboost.core.CatBoostClassifier": ("__model",),
    "catboost.core.CatBoostRegressor": ("__model",),
    "catboost.core.CatBoostRanker": ("__model",),
}
#: Classes whose whole state they are (tokenizers/bindings/python/src/tokenizer.rs, sentencepiece/__init__.py).
_WHOLE = frozenset({"tokenizers.Tokenizer", "sentencepiece.SentencePieceProcessor"})


def look(root: object, reading: Reading) -> str:
    """Judge each as a file. Returns why one of them is not judged, "" where all are. Raises RefusedError for a
    bomb."""
    unread = ""
    for number, (owner, data) in enumerate(_found(root)):
        try:
            inner = reading.judge(File(f"{owner} {number}", data))
            why = inner.why if inner.state == "not_judged" else ""
        except RefusedError as refusal:
            if refusal.status == "bomb":
                raise
            known = refusal.format != "unknown"
            why = refusal.reason if known else "they are of no format that safe-load knows"
        if why and not unread:
            unread = f"the bytes that an object of {owner} reads: {why}"
    return unread


def _found(root: object) -> Iterator[tuple[str, Span]]:
    todo: list[Any] = [root]
    seen, left = set[int](), MAX_VALUES
    while todo:
        item = todo.pop()
        left -= 1
        if left < 0:
            raise bomb("the file holds more values than safe-load looks through")
        parts = parts_of(item)
        if isinstance(item, Stub):
            parts = [item.args, item.kwargs, item.state, item.items, item.pairs]
        if not parts or id(item) in seen:
            continue
        seen.add(id(item))
        todo += parts
        if isinstance(item, Stub):
            for value in _bytes_of(item):
                span = as_span(
                    value.encode("utf-8", "replace") if isinstance(value, str) else value
                )
                if span is not None and span.length:
                    yield item.made_by, span


def _bytes_of(stub: Stub) -> Iterator[object]:
    for state in stub.state:
        if stub.made_by in _WHOLE:
            yield state
        for part in state if isinstance(state, tuple) else (state,):
            if isinstance(part, dict):
                yield from (part[key] for key in _KEYS.get(stub.made_by, ()) if key in part)
