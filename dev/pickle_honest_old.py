"""Write honest pickles with whatever versions are installed, for dev/pickle_shapes.py --also FOLDER.

Checkpoints live longer than libraries: their classes have moved, and are pickled in other ways. Run this with
each old version that is supported, in an environment of its own; it needs nothing of safe-load:

    python3.7 dev/pickle_honest_old.py FOLDER      (scikit-learn 0.20, pandas 0.25)

FOLDER/NAME/ then holds the pickles, and versions.json with the version of each library. Python 3.7 or later.
"""

# mypy: ignore-errors
# ruff: noqa: BLE001, C901, I001, SIM105, ICN001, UP017, UP031
# It runs where no types are checked.

from __future__ import annotations

import json
import pickle
import sys
import warnings
from pathlib import Path


def tried(make):
    """What it makes, None where the library will not."""
    try:
        return make()
    except BaseException:
        return None


def sklearn_objects():
    import numpy as np
    import sklearn
    from sklearn import compose, ensemble, feature_extraction, linear_model, model_selection, multiclass, multioutput, neighbors, pipeline, preprocessing, tree  # fmt: skip

    try:
        from sklearn.utils import all_estimators
    except ImportError:
        from sklearn.utils.testing import all_estimators
    rng = np.random.RandomState(0)
    x, y = np.abs(rng.rand(60, 4)), np.arange(60) % 2
    text = ["a cat sat", "a dog ran", "the bird"] * 20
    data = ((x, y), (x, x), (x[:, 0], y), (text, y), (y, y), (x, x[:, 0] + 1), ([{"a": 1}] * 60, y))
    inner = linear_model.LogisticRegression()
    for _, cls in all_estimators():
        for make in (cls, lambda cls=cls: cls(inner), lambda cls=cls: cls(linear_model.Ridge())):
            for goal in data:
                model = tried(lambda make=make, goal=goal: make().fit(*goal))
                if model is not None:
                    yield model
                    break
            else:
                yield tried(make)

    def steps():
        return pipeline.make_pipeline(
            preprocessing.StandardScaler(), linear_model.LogisticRegression()
        )

    yield steps().fit(x, y)
    grid = {"logisticregression__C": [0.1, 1.0], "logisticregression__penalty": ["l2"]}
    for scoring in (None, "accuracy", "f1", "roc_auc", ["accuracy", "f1"]):
        for cv in (
            2,
            model_selection.StratifiedKFold(2),
            model_selection.KFold(2, shuffle=True, random_state=1),
        ):
            refit = scoring[0] if isinstance(scoring, list) else True
            yield tried(
                lambda scoring=scoring, cv=cv, refit=refit: model_selection.GridSearchCV(
                    steps(), grid, scoring=scoring, cv=cv, refit=refit
                ).fit(x, y)
            )
    yield tried(lambda: model_selection.RandomizedSearchCV(steps(), grid, n_iter=1, cv=2).fit(x, y))
    for vectorizer in (
        feature_extraction.text.TfidfVectorizer,
        feature_extraction.text.CountVectorizer,
        feature_extraction.text.HashingVectorizer,
    ):
        yield vectorizer().fit(text)
        yield tried(
            lambda vectorizer=vectorizer: pipeline.make_pipeline(
                vectorizer(ngram_range=(1, 2), stop_words="english"), linear_model.SGDClassifier()
            ).fit(text, y)
        )
    yield tried(
        lambda: compose.ColumnTransformer(
            [
                ("a", preprocessing.OneHotEncoder(), [0]),
                ("b", preprocessing.StandardScaler(), [1, 2]),
            ],
            remainder="passthrough",
        ).fit(x)
    )
    for kind in (
        ensemble.GradientBoostingClassifier,
        ensemble.RandomForestClassifier,
        tree.DecisionTreeClassifier,
        ensemble.ExtraTreesClassifier,
    ):
        yield kind(random_state=np.random.RandomState(1)).fit(x, y)
    for loss in "deviance exponential log_loss".split():
        yield tried(
            lambda loss=loss: ensemble.GradientBoostingClassifier(loss=loss, n_estimators=2).fit(
                x, y
            )
        )
    for loss in "ls lad huber quantile squared_error absolute_error".split():
        yield tried(
            lambda loss=loss: ensemble.GradientBoostingRegressor(loss=loss, n_estimators=2).fit(
                x, x[:, 0]
            )
        )
    for loss in "hinge log log_loss modified_huber squared_hinge perceptron squared_loss squared_error huber epsilon_insensitive squared_epsilon_insensitive".split():
        yield tried(lambda loss=loss: linear_model.SGDClassifier(loss=loss).fit(x, y))
    for metric in "euclidean manhattan minkowski chebyshev haversine canberra braycurtis hamming jaccard cosine mahalanobis seuclidean dice".split():
        for algorithm in ("ball_tree", "kd_tree", "brute"):
            yield tried(
                lambda metric=metric, algorithm=algorithm: neighbors.KNeighborsClassifier(
                    metric=metric, algorithm=algorithm
                ).fit(x[:, :2], y)
            )
            yield tried(
                lambda metric=metric, algorithm=algorithm: neighbors.NearestNeighbors(
                    metric=metric, algorithm=algorithm
                ).fit(x[:, :2])
            )
    for kind in (
        multiclass.OneVsRestClassifier,
        multiclass.OneVsOneClassifier,
        multiclass.OutputCodeClassifier,
    ):
        yield tried(
            lambda kind=kind: kind(linear_model.LogisticRegression()).fit(x, np.arange(60) % 3)
        )
    yield tried(lambda: multioutput.MultiOutputClassifier(inner).fit(x, np.stack([y, 1 - y], 1)))
    yield tried(
        lambda: ensemble.VotingClassifier([("a", inner), ("b", tree.DecisionTreeClassifier())]).fit(
            x, y
        )
    )
    yield tried(
        lambda: ensemble.StackingClassifier(
            [("a", inner), ("b", tree.DecisionTreeClassifier())]
        ).fit(x, y)
    )
    yield tried(lambda: ensemble.BaggingClassifier(inner).fit(x, y))
    from sklearn import feature_selection, gaussian_process, datasets, metrics

    for name in dir(gaussian_process.kernels):
        yield tried(
            lambda name=name: gaussian_process.GaussianProcessRegressor(
                getattr(gaussian_process.kernels, name)() + gaussian_process.kernels.WhiteKernel()
            ).fit(x, y)
        )
    for name in "chi2 f_classif f_regression mutual_info_classif mutual_info_regression".split():
        yield tried(
            lambda name=name: feature_selection.SelectKBest(
                getattr(feature_selection, name), k=2
            ).fit(x, y)
        )
    yield tried(datasets.load_iris)
    for name in sorted(
        getattr(metrics, "SCORERS", {}) or getattr(metrics, "get_scorer_names", list)()
    ):
        yield tried(lambda name=name: {"s": metrics.get_scorer(name)})
    try:
        from sklearn.experimental import enable_hist_gradient_boosting  # noqa: F401
    except ImportError:
        pass
    for name in ("HistGradientBoostingClassifier", "HistGradientBoostingRegressor"):
        yield tried(lambda name=name: getattr(ensemble, name)(max_iter=2).fit(x, y))
    del sklearn


def pandas_objects():
    import datetime

    import numpy as np
    import pandas as pd

    frame = pd.DataFrame(
        {
            "a": [1, 2, 3],
            "b": ["x", "y", None],
            "c": [1.5, np.nan, 2],
            "d": pd.to_datetime(["2020", "2021", None]),
        }
    )
    frame["e"], frame["f"] = (
        frame["b"].astype("category"),
        pd.date_range("2020", periods=3, tz="UTC"),
    )
    frame["g"], frame["h"] = pd.to_timedelta([1, 2, 3], "s"), [True, False, True]
    yield frame
    for column in frame:
        yield [frame[column], frame[[column]], tried(lambda column=column: frame.set_index(column))]
    yield [
        frame.T,
        frame.describe(),
        frame.set_index(["a", "b"]),
        pd.get_dummies(frame["b"]),
        frame[["a", "c"]].corr(),
        pd.cut(frame["c"], 2),
        frame.dtypes,
        pd.DataFrame(),
        frame.groupby("b").sum(),
    ]
    for kind in "Int8 Int64 UInt8 Float64 boolean string category object float32 int8 Sparse[int] Sparse[float] string[pyarrow] int64[pyarrow]".split():
        yield tried(
            lambda kind=kind: [
                pd.Series([1, 0, 1]).astype(kind),
                pd.DataFrame({"a": pd.Series(["1", "0", "1"]).astype(kind), "b": 1.0}),
            ]
        )
    for make in (
        lambda: pd.RangeIndex(3), lambda: pd.Index([1]), lambda: pd.Index([1.5]), lambda: pd.Index(["a"]), lambda: pd.CategoricalIndex(["a"]), lambda: pd.DatetimeIndex(["2020"]), lambda: pd.TimedeltaIndex(["1s"]),
        lambda: pd.PeriodIndex(["2020"], freq="M"), lambda: pd.IntervalIndex.from_breaks([0, 1]), lambda: pd.MultiIndex.from_product([[1], ["a"]]), lambda: pd.Timestamp("2020"), lambda: pd.Timestamp("2020", tz="Europe/Paris"),
        lambda: pd.Timedelta(1), lambda: pd.Period("2020-01"), lambda: pd.Interval(0, 1), lambda: pd.NaT, lambda: pd.NA, lambda: pd.Int64Index([1]), lambda: pd.Float64Index([1]), lambda: pd.date_range("2020", periods=3, freq="MS"),
        lambda: pd.Series([datetime.date(2020, 1, 1)]), lambda: pd.arrays.SparseArray([0, 1]), lambda: pd.date_range("2020", periods=3, tz=datetime.timezone.utc), lambda: pd.period_range("2020", periods=2, freq="D"),
    ):  # fmt: skip
        value = tried(make)
        yield value
        yield tried(lambda value=value: pd.Series(value))
        yield tried(lambda value=value: pd.DataFrame({"a": value}))


def numpy_objects():
    import numpy as np

    for kind in ("MT19937", "PCG64", "Philox", "SFC64"):
        yield tried(lambda kind=kind: np.random.Generator(getattr(np.random, kind)(1)))
    yield np.random.RandomState(1)
    yield np.random.get_state()
    yield np.ma.array([1, 2], mask=[0, 1])
    yield [
        np.float32(1),
        np.int64(2),
        np.datetime64("2020"),
        np.dtype([("a", "i4")]),
        np.matrix([[1]]),
        np.rec.array([(1, 2.0)]),
    ]
    for (
        name
    ) in "mean sum add exp log log1p sqrt abs maximum float32 int64 float64 linalg.norm".split():
        yield tried(
            lambda name=name: {"f": __import__("functools").reduce(getattr, name.split("."), np)}
        )
    from scipy import interpolate, sparse, spatial, stats

    for kind in "csr csc coo lil dok bsr dia".split():
        yield getattr(sparse, kind + "_matrix")(np.eye(3))
        yield tried(lambda kind=kind: getattr(sparse, kind + "_array")(np.eye(3)))
    for kind in "norm uniform randint expon gamma beta loguniform reciprocal truncnorm lognorm poisson".split():
        for count in range(4):
            yield tried(lambda kind=kind, count=count: getattr(stats, kind)(*[1, 2, 3][:count]))
    x = np.linspace(0, 3, 12)
    for (
        kind
    ) in "interp1d CubicSpline UnivariateSpline PchipInterpolator make_interp_spline Rbf".split():
        yield tried(lambda kind=kind: getattr(interpolate, kind)(x, x))
    yield [
        tried(lambda: spatial.cKDTree(np.random.rand(9, 2))),
        tried(lambda: spatial.KDTree(np.random.rand(9, 2))),
        tried(lambda: stats.gaussian_kde(x)),
    ]


def other_objects():
    import numpy as np

    x, y = np.random.rand(60, 4), np.arange(60) % 2
    xgboost = tried(lambda: __import__("xgboost"))
    if xgboost:
        yield tried(lambda: xgboost.train({}, xgboost.DMatrix(x, label=y), 2))
        for name in "XGBClassifier XGBRegressor XGBRFClassifier XGBRFRegressor".split():
            yield tried(lambda name=name: getattr(xgboost, name)(n_estimators=2).fit(x, y))
            yield tried(lambda name=name: getattr(xgboost, name)())
    lightgbm = tried(lambda: __import__("lightgbm"))
    if lightgbm:
        yield tried(lambda: lightgbm.train({"verbose": -1}, lightgbm.Dataset(x, y), 2))
        for name in "LGBMClassifier LGBMRegressor".split():
            yield tried(lambda name=name: getattr(lightgbm, name)(n_estimators=2).fit(x, y))
            yield tried(lambda name=name: getattr(lightgbm, name)())
    catboost = tried(lambda: __import__("catboost"))
    if catboost:
        for name in "CatBoostClassifier CatBoostRegressor".split():
            yield tried(
                lambda name=name: getattr(catboost, name)(
                    iterations=2, silent=True, allow_writing_files=False
                ).fit(x, y)
            )
    networkx = tried(lambda: __import__("networkx"))
    if networkx:
        for name in "Graph DiGraph MultiGraph MultiDiGraph".split():
            graph = getattr(networkx, name)([(1, 2)])
            yield graph
            _ = graph.nodes, graph.edges, graph.degree
            yield graph
    imblearn = tried(lambda: __import__("imblearn.pipeline"))
    if imblearn:
        from imblearn.utils.testing import all_estimators

        few = (x[:, 0] > 0.75).astype(int)
        for _, cls in all_estimators():
            yield tried(lambda cls=cls: cls().fit(x, few))
            yield tried(cls)
    sm = tried(lambda: __import__("statsmodels.api").api)
    if sm:
        import pandas as pd
        import statsmodels.formula.api as smf

        frame = pd.DataFrame({"y": y + x[:, 0], "a": x[:, 0], "b": ["u", "v", "w"] * 20, "z": y})
        for make in (
            lambda: sm.OLS(frame["y"], frame[["a"]]), lambda: smf.ols("y ~ a + C(b)", frame), lambda: smf.logit("z ~ a", frame), lambda: sm.Logit(y, x), lambda: sm.GLM(y, x, family=sm.families.Binomial()),
            lambda: sm.tsa.ARIMA(x[:, 0], order=(1, 0, 0)), lambda: sm.tsa.SARIMAX(x[:, 0], order=(1, 0, 0)), lambda: sm.tsa.ExponentialSmoothing(x[:, 0] + 1),
        ):  # fmt: skip
            yield tried(lambda make=make: make().fit())


def main():
    """Write FOLDER/NAME/NUMBER.pkl."""
    warnings.simplefilter("ignore")
    import numpy
    import sklearn

    folder = Path(sys.argv[1], "sklearn-" + sklearn.__version__)
    folder.mkdir(parents=True, exist_ok=True)
    count = 0
    for family in (numpy_objects, pandas_objects, sklearn_objects, other_objects):
        try:
            for item in family():
                for protocol in (2, 4) if item is not None else ():
                    data = tried(lambda item=item, protocol=protocol: pickle.dumps(item, protocol))
                    if data is not None and len(data) < 4 << 20:
                        count += 1
                        (folder / ("%d.pkl" % count)).write_bytes(data)
        except Exception as error:
            print(family.__name__, type(error).__name__, error)
    versions = {}
    for name in "sklearn numpy scipy pandas joblib xgboost lightgbm catboost networkx imblearn statsmodels patsy".split():
        module = sys.modules.get(name)
        if module is not None:
            versions[name] = module.__version__
    (folder / "versions.json").write_text(json.dumps(versions))
    print(folder, count, numpy.__version__)


if __name__ == "__main__":
    main()
