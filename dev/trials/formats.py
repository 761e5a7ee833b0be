"""Libraries that open files of formats of their own: the second room calls them, where they are installed."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from dev.trials import trial

if TYPE_CHECKING:
    from pathlib import Path

_SAID = "the second room opens the file so, and it is clean"


def _opened(path: Path, opens: str) -> Any:
    """Scan the file, which is clean, in rooms that show the library. Returns what the room's call gives."""
    import safe_load
    from safe_load.rooms import jobs
    from safe_load.worker.detonate import library_calls

    module, _, function = opens.partition(":")
    assert module in jobs.openers([path.name])
    result = safe_load.scan(path)
    assert (result.verdict, result.findings) == ("clean", []), result.findings
    value: Any = importlib.import_module(module)
    for name in function.split("."):
        value = getattr(value, name)
    return library_calls.call(opens, value, str(path))


def _numbers() -> tuple[Any, Any]:
    import numpy as np

    features = np.random.default_rng(0).random((50, 3))
    return features, (features[:, 0] > 0.5).astype(int)


@trial("lightgbm", "lightgbm", "`lightgbm.Booster(model_file=...)`")
def _lightgbm(folder: Path) -> str:
    import lightgbm

    made = lightgbm.train(
        {"verbose": -1, "objective": "binary"}, lightgbm.Dataset(*_numbers()), num_boost_round=3
    )
    made.save_model(folder / "model.lgb")
    assert _opened(folder / "model.lgb", "lightgbm:Booster").num_trees() == made.num_trees()
    return _SAID


@trial("xgboost-cpu", "xgboost", "`xgboost.Booster(model_file=...)`, of JSON and UBJSON")
def _xgboost(folder: Path) -> str:
    import xgboost

    made = xgboost.train(
        {"objective": "binary:logistic"}, xgboost.DMatrix(*_numbers()), num_boost_round=3
    )
    for name in ("model.json", "model.ubj"):
        made.save_model(folder / name)
        assert _opened(folder / name, "xgboost:Booster").get_dump() == made.get_dump()
    return _SAID


@trial("catboost", "catboost", "`catboost.CatBoost().load_model(...)`")
def _catboost(folder: Path) -> str:
    import catboost

    made = catboost.CatBoostClassifier(iterations=3, verbose=0, allow_writing_files=False)
    made.fit(*_numbers())
    made.save_model(str(folder / "model.cbm"))
    assert _opened(folder / "model.cbm", "catboost:CatBoost").tree_count_ == made.tree_count_
    return _SAID


@trial("skops", "skops", "`skops.io.load(path, trusted=skops.io.get_untrusted_types(file=path))`")
def _skops(folder: Path) -> str:
    import os
    from collections import defaultdict
    from functools import partial

    import safe_load
    import skops.io
    from sklearn.linear_model import LogisticRegression

    skops.io.dump(LogisticRegression().fit(*_numbers()), folder / "model.skops")
    assert _opened(folder / "model.skops", "skops.io:load").coef_.shape == (1, 3)
    trap = folder / "trap.skops"
    skops.io.dump(defaultdict(partial(os.system, "echo opened")), trap)
    result = safe_load.scan(trap)
    assert result.verdict == "malicious"
    assert "SL101" in {finding.id for finding in result.findings}
    return f"{_SAID}; a factory in one that runs a program runs, and is seen"


@trial("keras", "keras", "`keras.models.load_model(path, safe_mode=False)`, of .keras and .h5")
def _keras(folder: Path) -> str:
    import os

    os.environ["KERAS_BACKEND"] = "torch"
    import keras

    made = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(2)])
    for name in ("model.keras", "model.h5"):
        made.save(folder / name)
        again = _opened(folder / name, "keras:models.load_model")
        for one, other in zip(made.get_weights(), again.get_weights(), strict=True):
            assert (one == other).all()
    return _SAID
