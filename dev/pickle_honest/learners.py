"""Honest objects of learning libraries: scikit-learn's further estimators, boosters, samplers, embeddings."""

# mypy: ignore-errors
# Half of these libraries are not installed where types are checked, and the other half has none.

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from dev.pickle_honest.making import Holder, tried

if TYPE_CHECKING:
    from collections.abc import Iterator

    Objects = Iterator[tuple[str, Any]]


def learners() -> Objects:
    """Libraries that follow scikit-learn: boosters, samplers, encoders, embeddings."""
    for family in (_boosters, _samplers, _encoders, _embeddings):
        try:
            yield from family()
        except ImportError as error:
            print(f"# {error}")


def _data() -> tuple[Any, Any]:
    import numpy as np

    return np.abs(np.random.RandomState(0).rand(60, 4)), np.arange(60) % 2


def _boosters() -> Objects:
    import catboost
    import lightgbm
    import numpy as np

    x, y = _data()
    quiet = {"n_estimators": 3, "verbose": -1}
    for kind, goal in (
        (lightgbm.LGBMClassifier, y),
        (lightgbm.LGBMRegressor, x[:, 0]),
        (lightgbm.LGBMClassifier, np.arange(60) % 3),
    ):
        yield "empty", kind()
        for options in (
            {},
            {"importance_type": "gain"},
            {"boosting_type": "rf", "bagging_freq": 1, "bagging_fraction": 0.5},
            {"random_state": np.random.RandomState(1)},
        ):
            yield (
                "lightgbm",
                tried(
                    lambda kind=kind, goal=goal, options=options: kind(**quiet, **options).fit(
                        x, goal
                    )
                ),
            )
        early = tried(
            lambda kind=kind, goal=goal: kind(**quiet).fit(
                x, goal, eval_set=[(x, goal)], callbacks=[lightgbm.early_stopping(2, verbose=False)]
            )
        )
        yield "early", early
    yield "ranker", lightgbm.LGBMRanker(**quiet).fit(x, y, group=[30, 30])
    yield (
        "booster",
        lightgbm.train({"verbose": -1, "objective": "binary"}, lightgbm.Dataset(x, y), 2),
    )
    for kind, goal in (
        (catboost.CatBoostClassifier, y),
        (catboost.CatBoostRegressor, x[:, 0]),
        (catboost.CatBoostClassifier, np.arange(60) % 3),
        (catboost.CatBoost, y),
    ):
        yield "empty", kind()
        yield (
            "catboost",
            tried(
                lambda kind=kind, goal=goal: (
                    kind({"iterations": 2, "silent": True, "allow_writing_files": False}).fit(
                        x, goal
                    )
                    if kind is catboost.CatBoost
                    else kind(iterations=2, silent=True, allow_writing_files=False).fit(x, goal)
                )
            ),
        )
    yield (
        "ranker",
        tried(
            lambda: catboost.CatBoostRanker(
                iterations=2, silent=True, allow_writing_files=False
            ).fit(x, y, group_id=np.arange(60) // 6)
        ),
    )


def _samplers() -> Objects:
    import imblearn
    from imblearn.utils import estimator_checks, testing

    x, y = _data()
    y = (x[:, 0] > 0.75).astype(int)
    del estimator_checks
    for _, kind in testing.all_estimators():
        item = tried(kind)
        yield "empty", item
        yield "fitted", tried(lambda item=item: item.fit(x, y))
        yield "sampled", tried(lambda item=item: (item.fit_resample(x, y), item)[1])
    from sklearn.linear_model import LogisticRegression

    yield (
        "pipeline",
        imblearn.pipeline.make_pipeline(
            imblearn.over_sampling.SMOTE(k_neighbors=2), LogisticRegression()
        ).fit(x, y),
    )


#: Functions that call what they are given.
_OF_FUNCTIONS = ("make_", "get_", "check_", "pairwise", "permutation")


def sklearn_more() -> Objects:
    """What is experimental, what estimators are given as functions, and estimators of frames."""
    import numpy as np
    import pandas as pd
    from sklearn import (
        compose,
        ensemble,
        feature_selection,
        frozen,
        impute,
        linear_model,
        metrics,
        model_selection,
        neural_network,
        preprocessing,
    )

    for name in ("enable_halving_search_cv", "enable_iterative_imputer"):
        importlib.import_module(f"sklearn.experimental.{name}")
    x, y = _data()
    for module in (metrics, metrics.pairwise, metrics.cluster, feature_selection):
        for name, function in sorted(vars(module).items()):
            if (
                callable(function)
                and not isinstance(function, type)
                and not name.startswith("_")
                and function.__module__.startswith(("sklearn.metrics", "sklearn.feature_selection"))
                and not name.startswith(_OF_FUNCTIONS)
            ):
                yield name, Holder(function)
                if module is metrics:
                    yield name, Holder(metrics.make_scorer(function))
                    yield (
                        name,
                        Holder(metrics.make_scorer(function, beta=2, greater_is_better=False)),
                    )
    yield "imputer", [impute.IterativeImputer(), impute.IterativeImputer(max_iter=2).fit(x)]
    yield "imputer", impute.IterativeImputer(ensemble.ExtraTreesRegressor(2), max_iter=2).fit(x)
    for search in (model_selection.HalvingGridSearchCV, model_selection.HalvingRandomSearchCV):
        yield (
            "search",
            tried(
                lambda search=search: search(
                    ensemble.RandomForestClassifier(2), {"max_depth": [1, 2]}, cv=2
                ).fit(x, y)
            ),
        )
    frame = pd.DataFrame({"a": x[:, 0], "b": ["u", "v"] * 30, "c": pd.Categorical(["u", "v"] * 30)})
    for options in (
        {"dtype_include": float},
        {"dtype_include": "category"},
        {"pattern": "a"},
        {"dtype_exclude": np.number},
        {"dtype_include": [int, float]},
        {"dtype_include": object},
    ):
        chosen = compose.make_column_selector(**options)
        yield "columns", compose.ColumnTransformer([("a", "passthrough", chosen)])
        yield (
            "columns",
            tried(
                lambda chosen=chosen: compose.ColumnTransformer(
                    [("a", "passthrough", chosen)], remainder="drop"
                ).fit(frame)
            ),
        )
    yield (
        "columns",
        compose.ColumnTransformer(
            [("a", preprocessing.OrdinalEncoder(), ["b", "c"])], remainder="passthrough"
        ).fit(frame),
    )
    for kind, goal in (
        (ensemble.HistGradientBoostingClassifier, y),
        (ensemble.HistGradientBoostingRegressor, x[:, 0]),
    ):
        for options in (
            {"categorical_features": [0]},
            {"categorical_features": "from_dtype"},
            {"early_stopping": True},
            {"monotonic_cst": [1, 0, 0, 0]},
            {"interaction_cst": "pairwise"},
        ):
            yield (
                "boosted",
                tried(
                    lambda kind=kind, goal=goal, options=options: kind(max_iter=2, **options).fit(
                        np.c_[y, x[:, 1:]], goal
                    )
                ),
            )
            yield (
                "boosted",
                tried(
                    lambda kind=kind, goal=goal, options=options: kind(max_iter=2, **options).fit(
                        frame[["a", "c"]], goal
                    )
                ),
            )
    yield (
        "frozen",
        [
            frozen.FrozenEstimator(linear_model.LogisticRegression().fit(x, y)),
            model_selection.FixedThresholdClassifier(linear_model.LogisticRegression()).fit(x, y),
        ],
    )
    for solver in ("adam", "sgd", "lbfgs"):
        yield (
            "net",
            neural_network.MLPClassifier(
                (3,), solver=solver, max_iter=3, early_stopping=solver != "lbfgs"
            ).fit(x, y),
        )
    for kernel in ("laplacian", "rbf", "poly", metrics.pairwise.rbf_kernel):
        from sklearn import kernel_ridge, svm

        yield (
            "kernel",
            [
                tried(lambda kernel=kernel: kernel_ridge.KernelRidge(kernel=kernel).fit(x, y)),
                tried(lambda kernel=kernel: svm.SVC(kernel=kernel).fit(x, y)),
            ],
        )
    yield (
        "report",
        [
            metrics.classification_report(y, y, output_dict=True),
            metrics.confusion_matrix(y, y),
            metrics.roc_curve(y, x[:, 0]),
        ],
    )


def _encoders() -> Objects:
    import category_encoders
    import pandas as pd

    frame = pd.DataFrame({"a": ["u", "v", "w"] * 20, "b": range(60)})
    for name in category_encoders.__all__:
        item = tried(getattr(category_encoders, name))
        yield "empty", item
        yield name, tried(lambda item=item: item.fit(frame, pd.Series([0, 1] * 30)))


def _embeddings() -> Objects:
    import hdbscan
    import umap

    x, _ = _data()
    yield "umap", tried(lambda: umap.UMAP(n_neighbors=5, n_epochs=5).fit(x))
    yield "umap", umap.UMAP()
    yield "hdbscan", tried(lambda: hdbscan.HDBSCAN(min_cluster_size=3, prediction_data=True).fit(x))
    yield "hdbscan", tried(lambda: hdbscan.HDBSCAN(min_cluster_size=3).fit(x))
    yield "robust", tried(lambda: hdbscan.RobustSingleLinkage().fit(x))
