"""Honest objects of numpy, scipy and pandas beyond the common ones, and plain values of Python."""

# mypy: ignore-errors
# Half of these libraries are not installed where types are checked, and the other half has none.

from __future__ import annotations

import collections
import datetime as dt
import functools
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
