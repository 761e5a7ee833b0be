"""How libraries are called whose loaders take more than a file's path. Zone: worker.

Code that the file brings runs here on purpose, as it does at a user who trusts the file: whatever a library asks to
be told before it runs code, it is told. What comes back is used where it is made of other libraries' objects.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

#: Numbers of all tensors of a model that is run.
MAX_NUMBERS = 1 << 22


def _by_keyword(name: str) -> Callable[[Any, str], object]:
    return lambda function, path: function(**{name: path})


def _catboost(made: Any, path: str) -> object:
    suffix = ".json" if path.lower().endswith(".json") else ".cbm"
    return made().load_model(path, format=suffix.removeprefix("."))


def _skops(load: Any, path: str) -> object:
    return load(path, trusted=sys.modules["skops.io"].get_untrusted_types(file=path))


def _keras(load: Any, path: str) -> object:
    return load(path, compile=False, safe_mode=False)


def _tflite(make: Any, path: str) -> object:
    interpreter = make(model_path=path)
    if sum(_count(each["shape"]) for each in interpreter.get_tensor_details()) <= MAX_NUMBERS:
        interpreter.allocate_tensors()
        interpreter.invoke()
    return None


def _count(shape: Any) -> int:
    count = 1
    for size in shape:
        count *= int(size)
    return count


def call(opens: str, function: Any, path: str) -> object:
    """What the function gives for a file. opens: how a format names it; one that is not in the table takes the path
    alone. Raises whatever it raises."""
    return _CALLS[opens](function, path) if opens in _CALLS else function(path)


_CALLS: dict[str, Callable[[Any, str], object]] = {
    "xgboost:Booster": _by_keyword("model_file"),
    "lightgbm:Booster": _by_keyword("model_file"),
    "catboost:CatBoost": _catboost,
    "skops.io:load": _skops,
    "keras:models.load_model": _keras,
    "ai_edge_litert.interpreter:Interpreter": _tflite,
}
#: Those that give objects which may hold a file's own code.
USED = frozenset(("skops.io:load", "keras:models.load_model"))
