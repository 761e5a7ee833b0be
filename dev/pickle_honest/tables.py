"""Honest objects of numpy, scikit-learn, gradient boosting and pandas."""

# mypy: ignore-errors
# Half of these libraries are not installed where types are checked, and the other half has none.

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dev.pickle_honest.making import Holder, tried

if TYPE_CHECKING:
    from collections.abc import Iterator

    Objects = Iterator[tuple[str, Any]]


def numpy_values() -> Objects:
    """Arrays of each kind and the state of each generator."""
    import numpy as np

    for kind in ("MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64"):
        yield "generator", np.random.Generator(getattr(np.random, kind)(1))
    yield "state", np.random.RandomState(1)
    yield "state", np.random.RandomState(1).get_state()
    yield "seed", np.random.SeedSequence(1)
    yield "masked", np.ma.array([1, 2], mask=[0, 1])
    yield "matrix", np.asmatrix([[1, 2]])
    yield "record", np.rec.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f4")])
    yield (
        "values",
        [np.float32(1), np.int64(2), np.bool_(1), np.str_("a"), np.bytes_(b"a"), np.complex64(1)],
    )
    yield (
        "values",
        [
            np.datetime64("2020-01-01"),
            np.timedelta64(1, "D"),
            np.dtype([("a", "i4")]),
            np.void(b"ab"),
        ],
    )
    yield "objects", np.array(["a", None, 1], dtype=object)
    yield (
        "functions",
        Holder(
            [
                np.add,
                np.float32,
                np.int64,
                np.float64,
                np.exp,
                np.mean,
                np.log,
                np.log1p,
                np.expm1,
                np.sqrt,
            ]
        ),
    )
    yield "types", Holder([getattr(np.dtypes, name) for name in np.dtypes.__all__])
    yield "types", Holder([np.dtype(c).type for c in "?bBhHiIlLqQefdgFDGSUOMmV"])
    yield "types", {np.dtype(c).type: np.dtype(c) for c in "?bBhHiIefdF"}
    yield "polynomial", np.poly1d([1, 2])


def _fitted_in_another_way(x: Any, y: Any) -> Objects:
    """Every estimator as scikit-learn's own tests make it, fitted to the first data that it takes."""
    from sklearn.utils import all_estimators
    from sklearn.utils._test_common.instance_generator import _construct_instances

    data = ((x, y), (x, x), (x[:, 0], y), (["a b", "b c", "a d"] * 10, [0, 1, 0] * 10), (y, y))
    for _, cls in all_estimators():
        for made in (tried(lambda cls=cls: list(_construct_instances(cls))) or ())[:1]:  # type: ignore[misc]
            fits = (tried(lambda made=made, d=d: made.fit(*d)) for d in data)  # type: ignore[misc]
            fitted = next((model for model in fits if model is not None), None)
            if fitted is not None:
                yield "fitted in another way", fitted


def _sklearn_parts() -> Objects:
    """What estimators are given: ways to split, losses, scorers and kernels."""
    from sklearn import gaussian_process, metrics, model_selection
    from sklearn._loss import loss

    for home in (model_selection, loss, gaussian_process.kernels):
        for name in dir(home):
            kind = getattr(home, name)
            if isinstance(kind, type) and name.endswith(("Fold", "Split", "Loss", "Error", "Out")):
                made = tried(kind) or tried(lambda kind=kind: kind(2))  # type: ignore[misc]
                if made is not None:
                    yield name, Holder(made)
    for name in metrics.get_scorer_names():
        yield name, Holder(metrics.get_scorer(name))
    kinds = gaussian_process.kernels
    for kernel in (kinds.Matern(), kinds.RationalQuadratic(), kinds.ExpSineSquared()):
        yield "kernel", Holder(kernel * kinds.ConstantKernel() + kinds.DotProduct() ** 2)


def sklearn_estimators() -> Objects:
    """Every estimator, fitted where it takes numbers, and pipelines of them."""
    import numpy as np
    import sklearn
    from sklearn import compose, feature_extraction, model_selection, pipeline, preprocessing
    from sklearn.utils import all_estimators

    rng = np.random.RandomState(0)
    x, y = np.abs(rng.rand(40, 4)), np.arange(40) % 2
    for _, cls in all_estimators():
        made = tried(cls)
        yield "class", Holder(cls)
        if made is None:
            continue
        yield "estimator", made
        fitted = tried(lambda made=made: made.fit(x, y))  # type: ignore[misc]
        if fitted is not None:
            yield "fitted", fitted
    yield from _fitted_in_another_way(x, y)
    yield from _sklearn_parts()

    def steps() -> Any:
        return pipeline.make_pipeline(
            preprocessing.StandardScaler(), sklearn.linear_model.LogisticRegression()
        )

    yield "pipeline", steps().fit(x, y)
    grid = model_selection.GridSearchCV(steps(), {"logisticregression__C": [0.1, 1]}, cv=2)
    yield "grid", grid.fit(x, y)
    yield (
        "search",
        model_selection.RandomizedSearchCV(
            steps(), {"logisticregression__C": [0.1, 1]}, n_iter=1, cv=2
        ).fit(x, y),
    )
    for vectorizer in (
        feature_extraction.text.TfidfVectorizer(),
        feature_extraction.text.CountVectorizer(),
    ):
        yield "vectorizer", vectorizer.fit(["a cat sat", "a dog ran"])
    yield "columns", compose.make_column_transformer((preprocessing.OneHotEncoder(), [0])).fit(x)
    yield (
        "stacked",
        sklearn.ensemble.StackingClassifier([("a", steps()), ("b", steps())], cv=2).fit(x, y),
    )
    yield "voting", sklearn.ensemble.VotingClassifier([("a", steps()), ("b", steps())]).fit(x, y)
    yield (
        "union",
        pipeline.make_union(preprocessing.StandardScaler(), preprocessing.MinMaxScaler()).fit(x),
    )
    yield "calibrated", sklearn.calibration.CalibratedClassifierCV(steps(), cv=2).fit(x, y)
    yield (
        "outputs",
        sklearn.multioutput.MultiOutputClassifier(steps()).fit(x, np.stack([y, 1 - y], 1)),
    )
    yield "many", sklearn.multiclass.OneVsRestClassifier(steps()).fit(x, np.arange(40) % 3)
    yield "one", sklearn.multiclass.OneVsOneClassifier(steps()).fit(x, np.arange(40) % 3)
    yield "bag", sklearn.ensemble.BaggingClassifier(steps(), n_estimators=2).fit(x, y)
    for losses in (
        "hinge",
        "log_loss",
        "modified_huber",
        "squared_error",
        "huber",
        "epsilon_insensitive",
    ):
        yield (
            "sgd",
            tried(lambda losses=losses: sklearn.linear_model.SGDClassifier(loss=losses).fit(x, y)),
        )  # type: ignore[misc]
    yield "process", sklearn.gaussian_process.GaussianProcessRegressor(
        sklearn.gaussian_process.kernels.RBF() + sklearn.gaussian_process.kernels.WhiteKernel()).fit(x, y)  # fmt: skip
    for metric in ("euclidean", "manhattan", "minkowski", "chebyshev", "cosine"):
        yield (
            "neighbours",
            tried(
                lambda metric=metric: sklearn.neighbors.KNeighborsClassifier(metric=metric).fit(
                    x, y
                )
            ),
        )  # type: ignore[misc]
    yield "bunch", sklearn.datasets.load_iris()
    from scipy import interpolate, sparse

    for kind in ("csr", "csc", "coo", "lil", "dok", "bsr", "dia"):
        yield "sparse", getattr(sparse, f"{kind}_matrix")(x)
        yield "sparse", getattr(sparse, f"{kind}_array")(x)
    yield "interpolation", interpolate.interp1d([0, 1], [0, 1])


def boosters() -> Objects:
    """xgboost's models."""
    import numpy as np
    import xgboost

    x, y = np.random.rand(20, 3), np.arange(20) % 2
    yield "booster", xgboost.train({"objective": "binary:logistic"}, xgboost.DMatrix(x, y), 2)
    for cls in (
        xgboost.XGBClassifier,
        xgboost.XGBRegressor,
        xgboost.XGBRFClassifier,
        xgboost.XGBRFRegressor,
    ):
        yield "model", cls(n_estimators=2).fit(x, y)
    yield "ranker", xgboost.XGBRanker()


def tables() -> Objects:
    """pandas."""
    import numpy as np
    import pandas as pd

    frame = pd.DataFrame(
        {"a": [1, 2], "b": ["x", "y"], "c": [1.5, np.nan], "d": pd.to_datetime(["2020", "2021"])}
    )
    yield "frame", frame
    yield "frame", frame.astype({"b": "category"})
    yield (
        "series",
        [
            frame["a"],
            frame["b"],
            frame.index,
            pd.Index(["a"]),
            pd.MultiIndex.from_tuples([("a", 1)]),
        ],
    )
    yield (
        "values",
        [pd.Timestamp("2020"), pd.Timedelta(1), pd.NA, pd.NaT, pd.Int64Dtype(), pd.Interval(0, 1)],
    )
    yield "range", pd.date_range("2020", periods=2)
