"""Honest objects of the libraries around numpy: scipy, pandas, networkx, statsmodels and others.

See dev/pickle_honest.py.
"""

# mypy: ignore-errors
# ruff: noqa: PLW0108, I001
# Half of these libraries are not installed where types are checked, and the other half has none.

from __future__ import annotations

import collections
import datetime as dt
import functools
import importlib
from typing import TYPE_CHECKING, Any

from dev.pickle_honest.making import Holder, tried

if TYPE_CHECKING:
    from collections.abc import Iterator

    Objects = Iterator[tuple[str, Any]]

#: Functions of numpy that transformers and metrics are given: each computes, and does nothing else.
NUMPY_FUNCTIONS = (
    "abs absolute sqrt cbrt square reciprocal sign log log2 log10 log1p exp exp2 expm1 sin cos tan sinh cosh tanh "
    "arcsin arccos arctan arcsinh arccosh arctanh deg2rad rad2deg degrees radians rint floor ceil trunc fabs negative "
    "positive isnan isfinite isinf maximum minimum fmax fmin add subtract multiply divide true_divide power mod "
    "logical_and logical_or logical_not greater less equal not_equal hypot arctan2 float_power heaviside signbit "
    "mean median std var sum prod min max ptp average nanmean nanmedian nanstd nanvar nansum nanmin nanmax "
    "cumsum cumprod diff argmax argmin argsort sort unique ravel transpose squeeze expand_dims reshape concatenate "
    "vstack hstack stack clip round nan_to_num percentile quantile histogram count_nonzero any all flip roll "
    "atleast_1d atleast_2d atleast_3d asarray array ones zeros full eye dot matmul outer cov corrcoef trapezoid "
    "linspace arange where real imag angle conj conjugate remainder size shape ndim isin digitize interp gradient"
).split()
_TEXTS = ["a cat sat", "a dog ran", "the bird flew", "no cat ran"]


def made(module: Any, names: str, *arguments: Any, **options: Any) -> Objects:
    """What classes or functions of a module make of the same arguments, where they take them."""
    for name in names.split():
        item = tried(lambda name=name: getattr(module, name)(*arguments, **options))
        if item is not None:
            yield name, item


def numpy_more() -> Objects:
    """Functions that transformers are given, subclasses of arrays, polynomials."""
    import numpy as np

    for name in NUMPY_FUNCTIONS:
        function = getattr(np, name, None)
        if function is not None:
            yield "function", Holder(function)
            yield "functions", Holder({"func": function})
    yield "norm", Holder(np.linalg.norm)
    for name in "Polynomial Chebyshev Legendre Hermite HermiteE Laguerre".split():
        yield "polynomial", getattr(np.polynomial, name)([1, 2])
    yield "text", np.array(["a"], np.dtypes.StringDType())
    yield "text", np.array(["a"], np.dtypes.StringDType(na_object=None))
    yield (
        "type",
        Holder([np.dtypes.StringDType(), np.random.RandomState, np.random.Generator, np.ndarray]),
    )
    yield "shape", np.lib.stride_tricks.as_strided(np.ones(3))


def scipy_objects() -> Objects:
    """Interpolators, distributions, trees, systems, results."""
    import numpy as np
    from scipy import integrate, interpolate, optimize, signal, sparse, spatial, special, stats

    x, points = np.linspace(0, 3, 12), np.random.rand(12, 2)
    yield from made(
        interpolate,
        "CubicSpline UnivariateSpline InterpolatedUnivariateSpline PchipInterpolator Akima1DInterpolator "
        "make_interp_spline BarycentricInterpolator KroghInterpolator interp1d make_smoothing_spline",
        x,
        np.sin(x),
    )
    yield from made(interpolate, "LSQUnivariateSpline", x, np.sin(x), [1, 2])
    for kind in ("nearest", "zero", "slinear", "quadratic", "cubic", "previous", "next"):
        yield "interp1d", interpolate.interp1d(x, np.sin(x), kind=kind, bounds_error=False)
    yield from made(interpolate, "PPoly BPoly", np.eye(2), [0, 1, 2])
    yield from made(interpolate, "BSpline", np.arange(12.0), np.arange(8.0), 3)
    for method in ("linear", "nearest", "cubic", "slinear", "pchip"):
        yield (
            "grid",
            tried(
                lambda m=method: interpolate.RegularGridInterpolator((x, x), np.eye(12), method=m)
            ),
        )
    yield from made(interpolate, "RectBivariateSpline", x, x, np.eye(12))
    yield from made(interpolate, "SmoothBivariateSpline", *np.random.rand(3, 40))
    yield from made(
        interpolate,
        "RBFInterpolator NearestNDInterpolator LinearNDInterpolator CloughTocher2DInterpolator",
        points,
        x,
    )
    yield from made(interpolate, "Rbf", x, x)
    yield from made(spatial, "KDTree cKDTree ConvexHull Delaunay Voronoi", points)
    yield from made(
        spatial,
        "SphericalVoronoi",
        np.array([[0, 0, 1.0], [0, 0, -1], [1, 0, 0], [0, 1, 0], [0, -1, 0], [-1, 0, 0]]),
    )
    rotation = spatial.transform.Rotation.from_euler("xyz", [[0.1, 0.2, 0.3], [0, 0, 1]])
    yield "rotation", [rotation, rotation[0], spatial.transform.Slerp([0, 1], rotation)]
    yield from _distributions(stats)
    yield "results", [
        stats.ttest_ind(x, x + 1), stats.linregress(x, x), stats.pearsonr(x, x), stats.spearmanr(x, x),
        stats.kstest(x, "norm"), stats.shapiro(x), stats.mannwhitneyu(x, x), stats.chi2_contingency([[1, 2], [3, 4]]),
        stats.f_oneway(x, x), stats.describe(x), stats.wilcoxon(x), stats.kendalltau(x, x), stats.normaltest(np.r_[x, x]),
        stats.anderson(x), stats.theilslopes(x, x), stats.ecdf(x), stats.mode(x), stats.kruskal(x, x), stats.levene(x, x),
    ]  # fmt: skip
    for make in (
        lambda: optimize.minimize(optimize.rosen, [0, 1]), lambda: optimize.linprog([1], [[1]], [1]), lambda: optimize.curve_fit(np.polyval, x, x, [1]),
        lambda: optimize.least_squares(np.sin, [0.1]), lambda: optimize.root(np.sin, [0.1]), lambda: optimize.differential_evolution(optimize.rosen, [(0, 1)] * 2, maxiter=2),
        lambda: integrate.solve_ivp(np.negative, (0, 1), [1.0]), lambda: optimize.minimize_scalar(np.cos), lambda: optimize.Bounds([0], [1]),
        lambda: optimize.LinearConstraint([[1]], 0, 1), lambda: optimize.minimize(optimize.rosen, [0, 1], method="L-BFGS-B"),
        lambda: optimize.minimize(optimize.rosen, [0, 1], method="Nelder-Mead"), lambda: special.roots_legendre(3),
    ):  # fmt: skip
        yield "result", tried(make)
    for kind in ("lti", "dlti"):
        make = getattr(signal, kind)
        yield "system", [make([1], [1, 2]), make([1], [1], 1), make([[1]], [[1]], [[1]], [[0]])]
    yield from made(signal, "TransferFunction", [1], [1, 2])
    yield "fir", [signal.ShortTimeFFT(np.ones(4), 2, 1), sparse.linalg.aslinearoperator(np.eye(2))]
    yield "sparse", [sparse.random(3, 3), sparse.eye(3), sparse.csr_matrix(np.eye(3)) > 0]


def _distributions(stats: Any) -> Objects:
    """Every distribution, frozen: what searches over parameters draw from."""
    import numpy as np

    for name, kind in sorted(vars(stats).items()):
        if isinstance(kind, (stats.rv_continuous, stats.rv_discrete)):
            for count in range(5):
                frozen = tried(lambda kind=kind, count=count: kind(*[0.5, 0.6, 0.7, 0.8][:count]))
                if frozen is None:
                    frozen = tried(lambda kind=kind, count=count: kind(*[2, 3, 4, 5][:count]))
                if frozen is not None:
                    yield name, frozen
            yield name, kind
    yield (
        "integers",
        [
            stats.randint(1, 9),
            stats.loguniform(1, 9),
            stats.reciprocal(1, 9),
            stats.truncnorm(-1, 1),
        ],
    )
    yield "kde", stats.gaussian_kde(np.random.rand(20))
    yield "histogram", stats.rv_histogram(np.histogram(np.random.rand(9)))
    yield "discrete", stats.rv_discrete(values=([1, 2], [0.5, 0.5]))
    for (
        name
    ) in "multivariate_normal multivariate_t dirichlet wishart invwishart multinomial".split():
        for arguments in (([0.1, 0.2],), ([0.5, 0.5],), (3, np.eye(2)), (2, [0.5, 0.5])):
            yield (
                name,
                tried(lambda name=name, arguments=arguments: getattr(stats, name)(*arguments)),
            )
    for name in "Halton Sobol LatinHypercube".split():
        yield name, tried(lambda name=name: getattr(stats.qmc, name)(2))


def pandas_more() -> Objects:
    """Frames and series of every type, indexes of every kind, offsets, in frames that people cut and join."""
    import numpy as np
    import pandas as pd

    values: dict[str, Any] = {
        "datetime": pd.date_range("2020", periods=3), "zone": pd.date_range("2020", periods=3, tz="Europe/Paris"),
        "utc": pd.date_range("2020", periods=3, tz="UTC"), "delta": pd.to_timedelta([1, 2, 3], "s"),
        "own zone": pd.date_range("2020", periods=3, tz=dt.timezone(dt.timedelta(hours=2))),
        "period": pd.period_range("2020", periods=3, freq="M"), "days": pd.period_range("2020", periods=3, freq="D"),
        "category": pd.Categorical(["a", "b", "a"]), "ordered": pd.Categorical([1, 2, 1], ordered=True),
        "interval": pd.arrays.IntervalArray.from_breaks([0, 1, 2, 3]), "sparse": pd.arrays.SparseArray([0, 1, 0]),
        "sparse float": pd.arrays.SparseArray([np.nan, 1, np.nan]), "sparse block": pd.arrays.SparseArray([0, 1, 0], kind="block"),
        "text": ["a", "b", None], "objects": [1, "a", None], "dates": [dt.date(2020, 1, 1), None, dt.time(1)],
        "complex": [1j, 2, 3], "bool": [True, False, True], "bytes": [b"a", b"b", None],
    }  # fmt: skip
    for kind in (
        "Int8 Int16 Int32 Int64 UInt8 UInt16 UInt32 UInt64 Float32 Float64 boolean string string[python] string[pyarrow] str object category "
        "int8 int16 int32 uint8 float16 float32 datetime64[s] datetime64[ms] timedelta64[s] Sparse[int] int64[pyarrow] double[pyarrow] bool[pyarrow] "
        "large_string[pyarrow] float[pyarrow] int32[pyarrow] timestamp[ns][pyarrow] date32[day][pyarrow]"
    ).split():
        made_ = tried(lambda kind=kind: pd.Series([1, 0, 1]).astype(kind))
        if made_ is None:
            made_ = tried(lambda kind=kind: pd.Series(["1", "0", None]).astype(kind))
        if made_ is not None:
            values[kind] = made_
            values[f"{kind} with gaps"] = tried(
                lambda made_=made_: made_.where([True, False, True])
            )
    for label, value in values.items():
        series = pd.Series(value, name=label)
        yield label, [series, series.array, series.dtype, series.iloc[:2], series[::2]]
        yield label, [series.to_frame(), pd.DataFrame({"a": value, "b": [1.5, 2, 3], "c": value})]
        yield (
            label,
            [
                tried(lambda series=series: pd.Index(series)),
                tried(lambda series=series: pd.DataFrame({"x": [1, 2, 3]}, index=series)),
            ],
        )
        yield label, tried(lambda series=series: series.value_counts())
        yield label, tried(lambda series=series: pd.concat([series, series]))
    yield from _pandas_frames(pd, np)


def _pandas_frames(pd: Any, np: Any) -> Objects:
    frame = pd.DataFrame(
        {
            "a": [1, 2, 3],
            "b": ["x", "y", None],
            "c": [1.5, np.nan, 2],
            "d": pd.to_datetime(["2020", "2021", None]),
        }
    )
    yield "frames", [
        frame, frame.T, frame.describe(), frame.describe(include="all"), frame.set_index("b"), frame.set_index(["a", "b"]), frame.groupby("b").mean(numeric_only=True),
        frame.groupby(["a", "b"]).size(), pd.get_dummies(frame["b"]), frame[["a", "c"]].corr(), pd.cut(frame["c"], 2), pd.qcut(frame["a"], 2, retbins=True),
        frame.pivot_table(index="a", columns="b", values="c"), frame.isna(), frame.dtypes, frame.columns, frame.columns.tolist(), frame.index, pd.DataFrame(), frame.iloc[:0],
        frame.select_dtypes("number"), frame.set_index("d")["c"], frame.drop(columns="b").rolling(2, on="d").mean() if 0 else None, frame.memory_usage(), frame.sample(2),
    ]  # fmt: skip
    frame.attrs["a"] = 1
    yield "with attributes", frame
    yield "index", [
        pd.RangeIndex(3), pd.Index([1, 2], name="n"), pd.Index([1.5]), pd.Index(["a"]), pd.Index([True]), pd.CategoricalIndex(["a"]), pd.DatetimeIndex(["2020"]),
        pd.TimedeltaIndex(["1s"]), pd.PeriodIndex(["2020"], freq="Y"), pd.IntervalIndex.from_breaks([0, 1, 2]), pd.MultiIndex.from_product([[1], ["a"]], names=["x", "y"]),
        pd.MultiIndex.from_arrays([pd.to_datetime(["2020"]), ["a"]]), pd.date_range("2020", periods=3, freq="h"), pd.bdate_range("2020", periods=3),
        pd.timedelta_range("1h", periods=2), pd.Index([1, "a"]), pd.interval_range(0, 2),
    ]  # fmt: skip
    moments = [
        pd.Timestamp("2020"),
        pd.Timestamp("2020", tz="UTC"),
        pd.Timestamp("2020", tz="US/Eastern"),
        pd.Timestamp("2020", unit="s"),
        pd.Timedelta(3, "h"),
    ]
    yield (
        "scalars",
        [
            *moments,
            pd.Period("2020-01"),
            pd.Period("2020", "D"),
            pd.Interval(0, 1),
            pd.Interval(moments[0], moments[0]),
            pd.NaT,
            pd.NA,
            pd.NamedAgg("a", "sum"),
        ],
    )
    for name in sorted(vars(pd.offsets)):
        for arguments in ((), (2,)):
            yield (
                name,
                tried(lambda name=name, arguments=arguments: getattr(pd.offsets, name)(*arguments)),
            )
    yield (
        "offsets",
        [
            pd.offsets.Week(weekday=1),
            pd.offsets.DateOffset(months=2),
            pd.offsets.CustomBusinessDay(holidays=["2020-01-01"]),
            pd.tseries.frequencies.to_offset("2h"),
        ],
    )
    for name in (
        "Int64Dtype",
        "Float64Dtype",
        "BooleanDtype",
        "StringDtype",
        "CategoricalDtype",
        "PeriodDtype",
        "DatetimeTZDtype",
        "IntervalDtype",
        "SparseDtype",
    ):
        for arguments in (
            (),
            ("D",),
            ("ns", "UTC"),
            ("int64",),
            (["a", "b"],),
            ("pyarrow",),
            ("python",),
        ):
            yield name, tried(lambda name=name, arguments=arguments: getattr(pd, name)(*arguments))
    yield (
        "classes",
        Holder([pd.DataFrame, pd.Series, pd.Timestamp, pd.NA, pd.to_datetime, pd.to_numeric]),
    )
    yield (
        "style",
        [pd.Categorical([]), pd.Flags(frame, allows_duplicate_labels=True) if 0 else None],
    )


def python_values() -> Objects:
    """Values of Python's own libraries that people keep beside their models."""
    import array
    import ipaddress
    import time

    yield (
        "collections",
        [
            collections.ChainMap({"a": 1}),
            collections.UserDict(a=1),
            collections.UserList([1]),
            collections.UserString("a"),
        ],
    )
    yield (
        "default",
        [
            collections.defaultdict(kind)
            for kind in (
                int,
                float,
                str,
                list,
                dict,
                set,
                tuple,
                bool,
                collections.Counter,
                collections.OrderedDict,
                collections.deque,
            )
        ],
    )
    yield "default", collections.defaultdict(functools.partial(collections.defaultdict, int))
    yield "arrays", [array.array(kind, [1, 2]) for kind in "bBhHiIlLqQfd"]
    yield "array", array.array("d")
    yield "addresses", [ipaddress.ip_address("192.0.2.1"), ipaddress.ip_network("192.0.2.0/24")]
    yield "time", [time.gmtime(), time.localtime()]


def graphs() -> Objects:
    """networkx."""
    import networkx as nx

    for kind in (nx.Graph, nx.DiGraph, nx.MultiGraph, nx.MultiDiGraph):
        graph = kind([(1, 2), (2, 3)])
        graph.graph["name"] = "g"
        graph.add_node("a", weight=1.5)
        yield "empty", kind()
        yield "graph", graph
        _ = graph.nodes, graph.edges, graph.adj, graph.degree
        yield "graph with views", graph
        yield (
            "views",
            [
                graph.nodes,
                graph.edges,
                graph.adj,
                graph.degree,
                graph.nodes.data(),
                graph.edges.data(),
            ],
        )
        yield "subgraph", graph.copy()
        if graph.is_directed():
            _ = (
                graph.succ,
                graph.pred,
                graph.in_edges,
                graph.out_edges,
                graph.in_degree,
                graph.out_degree,
            )
            yield "directed", [graph, graph.in_edges, graph.in_degree, graph.out_degree]


def statistics() -> Objects:
    """statsmodels, lifelines, hmmlearn and surprise: fitted models and their results."""
    for family in (_statsmodels, _lifelines, _hmmlearn, _surprise):
        try:
            yield from family()
        except ImportError as error:
            print(f"# {error}")


def _statsmodels() -> Objects:
    import numpy as np
    import pandas as pd
    import statsmodels.api as sm
    import statsmodels.formula.api as smf
    from statsmodels.tsa import api as tsa

    rng = np.random.RandomState(0)
    frame = pd.DataFrame(
        {
            "y": rng.rand(60),
            "a": rng.rand(60),
            "b": ["u", "v", "w"] * 20,
            "n": rng.poisson(3, 60),
            "z": [0, 1] * 30,
            "g": list(range(6)) * 10,
        }
    )
    x = sm.add_constant(frame[["a"]])
    dates = pd.Series(rng.rand(60).cumsum(), index=pd.date_range("2020", periods=60, freq="MS"))
    for make in (
        lambda: sm.OLS(frame["y"], x), lambda: sm.OLS(frame["y"].values, x.values), lambda: sm.WLS(frame["y"], x), lambda: sm.GLS(frame["y"], x), lambda: sm.RLM(frame["y"], x),
        lambda: sm.Logit(frame["z"], x), lambda: sm.Probit(frame["z"], x), lambda: sm.MNLogit(frame["g"], x), lambda: sm.Poisson(frame["n"], x), lambda: sm.NegativeBinomial(frame["n"], x),
        lambda: sm.QuantReg(frame["y"], x), lambda: smf.ols("y ~ a + C(b)", frame), lambda: smf.ols("np.log(y + 1) ~ a * n", frame), lambda: smf.logit("z ~ a", frame),
        lambda: smf.glm("n ~ a", frame, family=sm.families.Poisson()), lambda: smf.mixedlm("y ~ a", frame, groups="g"), lambda: smf.poisson("n ~ a", frame), lambda: smf.quantreg("y ~ a", frame),
        *(lambda family=family: sm.GLM(frame["y"] + 0.1, x, family=family()) for family in (sm.families.Gaussian, sm.families.Gamma, sm.families.Tweedie, sm.families.InverseGaussian)),
        *(lambda family=family: sm.GLM(frame["z"], x, family=family()) for family in (sm.families.Binomial, sm.families.Poisson, sm.families.NegativeBinomial)),
        lambda: tsa.ARIMA(dates, order=(1, 1, 1)), lambda: tsa.SARIMAX(dates, order=(1, 0, 0), seasonal_order=(1, 0, 0, 12)), lambda: tsa.AutoReg(dates, 2), lambda: tsa.ExponentialSmoothing(dates, trend="add"),
        lambda: tsa.SimpleExpSmoothing(dates), lambda: tsa.Holt(dates), lambda: tsa.VAR(frame[["y", "a"]]), lambda: tsa.UnobservedComponents(dates, "local level"), lambda: tsa.STL(dates),
        lambda: tsa.ETSModel(dates), lambda: tsa.ARIMA(dates.values, order=(2, 0, 0)), lambda: sm.nonparametric.KDEUnivariate(frame["y"].values),
    ):  # fmt: skip
        model = tried(make)
        fitted = None
        for options in ({"disp": 0}, {}):
            fitted = fitted or tried(lambda options=options, model=model: model.fit(**options))
        yield "model", model
        yield "fitted", fitted
        yield "results", tried(lambda fitted=fitted: fitted._results)
        _ = tried(
            lambda fitted=fitted: (
                fitted.summary(),
                fitted.resid,
                fitted.fittedvalues,
                fitted.cov_params(),
            )
        )
        yield "used", fitted
    yield "decomposed", tsa.seasonal_decompose(dates)


def _lifelines() -> Objects:
    import lifelines
    from lifelines.datasets import load_rossi

    frame = load_rossi().head(60)
    for name in "KaplanMeierFitter NelsonAalenFitter WeibullFitter ExponentialFitter LogNormalFitter LogLogisticFitter BreslowFlemingHarringtonFitter PiecewiseExponentialFitter SplineFitter".split():
        for arguments in ((), ([10.0],)):
            yield (
                name,
                tried(
                    lambda name=name, arguments=arguments: getattr(lifelines, name)(*arguments).fit(
                        frame["week"], frame["arrest"]
                    )
                ),
            )
    for name in "CoxPHFitter WeibullAFTFitter LogNormalAFTFitter LogLogisticAFTFitter AalenAdditiveFitter".split():
        yield (
            name,
            tried(
                lambda name=name: getattr(lifelines, name)(penalizer=0.1).fit(
                    frame, "week", "arrest"
                )
            ),
        )
        yield name, tried(lambda name=name: getattr(lifelines, name)().fit(frame, "week", "arrest"))


def _hmmlearn() -> Objects:
    import numpy as np
    from hmmlearn import hmm

    x = np.random.rand(60, 2)
    for name in "GaussianHMM GMMHMM CategoricalHMM MultinomialHMM PoissonHMM VariationalGaussianHMM VariationalCategoricalHMM".split():
        kind = getattr(hmm, name)
        for data in (x, np.arange(60)[:, None] % 3, np.random.poisson(3, (60, 2))):
            yield name, tried(lambda kind=kind, data=data: kind(2, n_iter=3).fit(data))
            yield (
                name,
                tried(
                    lambda kind=kind, data=data: kind(
                        2, n_iter=3, random_state=np.random.RandomState(1)
                    ).fit(data)
                ),
            )


def _surprise() -> Objects:
    import surprise

    import pandas as pd

    ratings = pd.DataFrame(
        {"u": list("abcd") * 5, "i": list("vwxyz") * 4, "r": [1, 2, 3, 4, 5] * 4}
    )
    data = surprise.Dataset.load_from_df(ratings, surprise.Reader(rating_scale=(1, 5)))
    train = data.build_full_trainset()
    yield "data", [train, data, surprise.Reader()]
    for name in "SVD SVDpp NMF KNNBasic KNNWithMeans KNNWithZScore KNNBaseline BaselineOnly NormalPredictor SlopeOne CoClustering".split():
        made_ = getattr(surprise, name)()
        yield name, tried(lambda made_=made_: made_.fit(train))
        yield name, tried(lambda made_=made_: made_.test(train.build_testset()[:2]))


def language() -> Objects:
    """gensim, nltk and spaCy."""
    for family in (_gensim, _nltk, _spacy):
        try:
            yield from family()
        except ImportError as error:
            print(f"# {error}")


def _gensim() -> Objects:
    from gensim import corpora, models, similarities
    from gensim.models import phrases

    words = [text.split() for text in _TEXTS] * 5
    dictionary = corpora.Dictionary(words)
    corpus = [dictionary.doc2bow(text) for text in words]
    tagged = [models.doc2vec.TaggedDocument(text, [str(at)]) for at, text in enumerate(words)]
    for make in (
        lambda: models.Word2Vec(words, vector_size=4, min_count=1), lambda: models.Word2Vec(words, vector_size=4, min_count=1, hs=1, negative=0, sg=1),
        lambda: models.FastText(words, vector_size=4, min_count=1, bucket=50), lambda: models.Doc2Vec(tagged, vector_size=4, min_count=1),
        lambda: models.LdaModel(corpus, num_topics=2, id2word=dictionary), lambda: models.LsiModel(corpus, num_topics=2, id2word=dictionary),
        lambda: models.TfidfModel(corpus), lambda: models.HdpModel(corpus, dictionary), lambda: models.Phrases(words, min_count=1), lambda: models.OkapiBM25Model(dictionary=dictionary),
        lambda: models.LdaMulticore(corpus, num_topics=2, id2word=dictionary, workers=1), lambda: models.Nmf(corpus, num_topics=2, id2word=dictionary),
        lambda: models.RpModel(corpus, num_topics=2), lambda: models.LogEntropyModel(corpus), lambda: models.NormModel(corpus),
    ):  # fmt: skip
        model = tried(make)
        yield "model", model
        yield "vectors", getattr(model, "wv", None)
        yield "vectors", getattr(model, "dv", None)
    yield "phraser", phrases.Phraser(models.Phrases(words, min_count=1, threshold=0.1))
    yield (
        "phrases",
        models.Phrases(
            words,
            min_count=1,
            threshold=0.1,
            scoring="npmi",
            connector_words=phrases.ENGLISH_CONNECTOR_WORDS,
        ),
    )
    yield "data", [dictionary, corpora.HashDictionary(words), tagged[:1]]
    for name in ("MatrixSimilarity", "SparseMatrixSimilarity"):
        yield (
            "similarity",
            tried(lambda name=name: getattr(similarities, name)(corpus, num_features=20)),
        )
    yield "vectors", models.KeyedVectors(3)


def _nltk() -> Objects:
    import nltk
    from nltk import classify, lm, probability, stem, tag, tokenize, tree

    features = [({"a": 1, "b": True}, "x"), ({"a": 2, "b": False}, "y")] * 5
    sentences = [[("the", "DT"), ("cat", "NN")], [("a", "DT"), ("dog", "NN")]]
    for make in (
        lambda: classify.NaiveBayesClassifier.train(features), lambda: classify.DecisionTreeClassifier.train(features), lambda: classify.MaxentClassifier.train(features, max_iter=2, trace=0),
        lambda: tag.UnigramTagger(sentences), lambda: tag.BigramTagger(sentences, backoff=tag.UnigramTagger(sentences)), lambda: tag.TrigramTagger(sentences), lambda: tag.DefaultTagger("NN"),
        lambda: tag.RegexpTagger([("a", "DT")]), lambda: tag.AffixTagger(sentences), lambda: tag.hmm.HiddenMarkovModelTagger.train(sentences), lambda: tag.PerceptronTagger(load=False),
        lambda: nltk.FreqDist("abca"), lambda: nltk.ConditionalFreqDist([("a", "b")]), lambda: probability.LaplaceProbDist(nltk.FreqDist("ab")), lambda: probability.MLEProbDist(nltk.FreqDist("ab")),
        lambda: probability.ELEProbDist(nltk.FreqDist("ab")), lambda: stem.PorterStemmer(), lambda: stem.SnowballStemmer("english"), lambda: stem.LancasterStemmer(), lambda: stem.WordNetLemmatizer(),
        lambda: tokenize.RegexpTokenizer(r"\w+"), lambda: tokenize.WhitespaceTokenizer(), lambda: tokenize.TweetTokenizer(), lambda: tokenize.TreebankWordTokenizer(), lambda: tokenize.WordPunctTokenizer(),
        lambda: tokenize.PunktSentenceTokenizer(), lambda: tokenize.punkt.PunktTrainer("A cat. A dog. Mr. X.").get_params(), lambda: tree.Tree.fromstring("(S (NP a) (VP b))"), lambda: lm.Vocabulary("ab"),
        lambda: lm.MLE(2), lambda: lm.Laplace(2), lambda: lm.Lidstone(0.1, 2), lambda: lm.KneserNeyInterpolated(2), lambda: lm.NgramCounter([[("a", "b")]]), lambda: nltk.Text(["a"]),
        lambda: nltk.RegexpParser("NP: {<DT><NN>}"), lambda: nltk.CFG.fromstring("S -> 'a'"), lambda: nltk.collocations.BigramCollocationFinder.from_words("abab"),
    ):  # fmt: skip
        yield "item", tried(make)


def _spacy() -> Objects:
    import spacy

    nlp = spacy.blank("en")
    doc = nlp("A cat sat.")
    yield "doc", [doc, nlp.vocab.strings]
    yield "vocabulary", nlp.vocab
    for language_ in ("en", "de", "fr"):
        yield "pipeline", tried(lambda language_=language_: spacy.blank(language_))


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

