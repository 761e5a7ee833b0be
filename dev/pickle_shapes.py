"""Write profiles/rules/pickle_shapes.json: how honest pickles of real libraries use which callables.

Makes honest objects of every library that is installed, pickles them as the library or its users do,
reads the pickles with safe-load's own machine, which runs nothing, and writes down each name with the
shapes of its uses (loader/worker/pickle_vm/shapes.py), under the library and version they were seen in.

    python -m dev.pickle_shapes > profiles/rules/pickle_shapes.json

Run it where the newest supported torch, transformers, scikit-learn, xgboost, lightning, omegaconf,
stable-baselines3, timm, peft, torchvision, pandas, yacs, easydict, munch, addict, python-box and
ml_collections are installed; a library that is not there keeps nothing. Functions are written only when
they stand in REVIEWED: a person has read that nothing they are given can make them run or read something.
"""

from __future__ import annotations

import enum
import io
import json
import pickle
import re
import sys
import traceback
import warnings
from collections import defaultdict
from importlib import import_module, metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safe_load.worker.formats.pickled import Reader
from safe_load.worker.pickle_vm import builders, held
from safe_load.worker.pickle_vm.callables import Allowlist, Ledger
from safe_load.worker.spans import MemorySource, Span

from dev import pickle_honest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: Functions that honest pickles call or hold, each read by a person.
REVIEWED = re.compile(
    r"numpy\.random\._pickle\.__\w+_ctor"
    r"|numpy(\.\w+)*\.__pyx_unpickle_\w+|sklearn(\.\w+)*\.__pyx_unpickle_\w+|sklearn(\.\w+)*\.newObj"
    r"|numpy\.(ma\.core\._mareconstruct|ma\.core\.\w+|_core\._ufunc_reconstruct|core\._ufunc_reconstruct)"
    r"|torch\.nn\.functional\.\w+|torch\._C\._nn\.\w+|torch\.nn\.init\.\w+"
    r"|torch\.(relu|sigmoid|tanh|softmax|nn\.functional\.gelu)|torch\.serialization\._get_layout"
    r"|pandas\.core\.(indexes\.base\._new_Index|indexes\.\w+\._new_\w+Index|internals\.blocks\.new_block)"
    r"|pandas\._libs\.(internals\._unpickle_block|arrays\.__pyx_unpickle_\w+|internals\.__pyx_unpickle_\w+)"
    r"|scipy\.stats\._distn_infrastructure\.rv_sample\._entropy|scipy\.interpolate\._rbf\.Rbf\._h_\w+"
    r"|nltk\.stem\.snowball\.\w+\.stem|sklearn\.utils\.validation\.check_array|sklearn\.(metrics|feature_selection)(\.\w+)*\.\w+|sklearn\.utils\._bunch\.\w+"
    r"|transformers\.modeling_rope_utils\._compute_\w+"
    r"|scipy\.stats\._distn_infrastructure\.\w+|torch\._C\._VariableFunctionsClass\.(softmax|tanh|sigmoid|relu)"
    r"|torch\.optim\.(lr_scheduler\.CyclicLR\.\w+|swa_utils\.(SWALR\.\w+|get_\w+))"
    r"|torch\.amp\.grad_scaler\._refresh_per_optimizer_state|numpy\.(exp|add|mean|log|log1p|expm1|sqrt)"
    r"|sklearn\.cluster\._kmeans\.\w+|scipy\._lib\.array_api_compat\.numpy\._aliases\.asarray"
    r"|scipy\.interpolate\.(?:_interpolate|interpolate)\.interp1d\.\w+|scipy\.stats\._\w+\.\w+_gen\.\w+"
    r"|_loss\.__pyx_unpickle_Cy\w+|numpy\.random\.__RandomState_ctor|numpy\._core\._internal\._convert_to_stringdtype_kwargs"
    r"|pandas\._libs\.(?:interval|tslibs\.\w+|arrays|internals|sparse)\._?_\w*unpickle\w*|pandas\._libs\.tslibs\.nattype\._nat_unpickle"
    r"|pandas\.core\.indexes\.interval\._new_IntervalIndex|pandas\._libs\.tslibs\.offsets\.\w*|pytz\._UTC|pytz\._p"
    rf"|numpy\.(?:{'|'.join(pickle_honest.NUMPY_FUNCTIONS)})|numpy\.linalg\.norm"
    r"|array\._array_reconstructor|hdbscan\.dist_metrics\.newObj|torchvision\.ops\.boxes\.box_iou"
    r"|spacy\.lang\.en\.syntax_iterators\.noun_chunks|zlib\.adler32|gensim\.(?:models\.phrases\.\w+_scorer|models\.tfidfmodel\.\w+|utils\.(?:call_on_class_only|identity))"
    r"|statsmodels\.tsa\.exponential_smoothing\._ets_smooth\.\w+|torchmetrics\.metric\.jit_distributed_available"
    r"|stable_baselines3\.common\.policies\.BasePolicy\._dummy_schedule"
    r"|torchmetrics\.utilities\.data\.dim_zero_\w+|lightning\.pytorch\.callbacks\.finetuning\.multiplicative"
)
#: What classes run when they are unpickled, each read by a person: it keeps what it is given, and makes nothing run.
READ = re.compile(
    r"(?:addict|box|easydict|munch|ml_collections|omegaconf|yacs|torchmetrics|networkx|tokenizers)(?:\.\w+)*\.__\w+__"
    r"|(?:catboost|lightgbm|xgboost)(?:\.\w+)*\.__(?:setstate|new|init)__|types\.SimpleNamespace\.__\w+__"
    r"|pandas\._libs(?:\.\w+)*\.__(?:new|init|setstate|hash|eq)__"
    r"|pandas\.core\.(?:arrays|dtypes|generic|internals|indexes)(?:\.\w+)*\.__(?:new|init|setstate|hash|eq)__"
    r"|scipy\.sparse(?:\.\w+)*\.__setstate__|scipy\.spatial(?:\.\w+)*\.__(?:new|setstate)__"
    r"|scipy\.stats\._distn_infrastructure\.rv_\w+\.__(?:new|setstate)__"  # shapes._RUNS: its template
    r"|sklearn\.base\.BaseEstimator\.__setstate__|sklearn\.isotonic\.IsotonicRegression\.__setstate__"
    r"|sklearn\.(?:_loss|ensemble|linear_model|tree|utils|neighbors|metrics|svm|cluster)(?:\.\w+)*\.__(?:new|init|setstate)__"
    r"|gymnasium\.spaces(?:\.\w+)*\.__setstate__|numpy\.polynomial\._polybase\.ABCPolyBase\.__setstate__|array\.array\.__new__"
    r"|ipaddress\.\w+\.__init__|time\.struct_time\.__new__|scipy\.(?:interpolate|signal)(?:\.\w+)*\.__(?:setstate|new)__"
    r"|scipy\.sparse\.linalg\._interface\.LinearOperator\.__new__|gensim\.models\.rpmodel\.RpModel\.__setstate__"
    r"|stable_baselines3\.common\.vec_env\.vec_normalize\.VecNormalize\.__setstate__|statsmodels\.tsa\.stl\._stl\.STL\.__\w+__"
    r"|nltk\.(?:grammar|probability|tokenize\.punkt)(?:\.\w+)*\.__\w+__|statsmodels\.discrete\.discrete_model\.NegativeBinomial\.__setstate__"
    r"|statsmodels\.base\.data\.ModelData\.__setstate__"  # shapes._RUNS: what restores a formula
    r"|statsmodels\.(?:base\.wrapper|tsa\.statespace\._\w+)(?:\.\w+)*\.__(?:new|init|setstate)__"
    r"|torch\.(?:amp|nn|optim)(?:\.\w+)*\.__(?:setstate|new)__|torch\.distributed\.checkpoint\.metadata\.\w+\.__setstate__"
    r"|transformers\.tokenization_utils_base\.BatchEncoding\.__setstate__|transformers\.utils\.generic\.ExplicitEnum\._missing_"
)
#: Libraries whose classes of long ago, which are not there any more, were read as well.
OLD = re.compile(r"(?:sklearn|numpy|pandas|scipy|xgboost|lightgbm|joblib|networkx|_loss)\.")
_OLD_ARRAYS = re.compile(r"scipy\.sparse\._arrays\.\w+_array")
#: Libraries that were pickled under other names as well: as the same library calls itself, or once did.
ALIASES = (
    (r"lightning\.pytorch\.", "pytorch_lightning."),
    (r"lightning\.fabric\.", "lightning_fabric."),
    (r"numpy\._core\.", "numpy.core."),
    (r"(sklearn(?:\.\w+)*)\._(\w+)\.([A-Z]\w*)$", r"\1.\2.\3"),
    (r"torch\.amp\.grad_scaler\.", "torch.cuda.amp.grad_scaler."),
)
#: Names that a person has to describe: rules/callables.toml has them, with their reasons.
NOT_HERE = re.compile(
    r"builtins\.|formulaic\.|patsy\.|__main__\.|dev\.|pathlib\.|datetime\.|decimal\.|safe_load\.|__torch__\.|_io\.|io\.|os\.|operator\.|_operator\."
)


class Learning(Allowlist):
    """Finds everything ordinary, and writes it down."""

    def __init__(self) -> None:
        super().__init__({})
        self.seen: dict[str, set[str]] = defaultdict(set)

    def __contains__(self, name: str) -> bool:
        return name not in builders.KNOWN

    def allows(self, name: str, shape: str) -> bool:
        if shape in ("data", "code") or (shape == "enum" and not _is_enum(name)):
            return False
        self.seen[name].add(shape)
        return True


def find(name: str) -> Any:
    """What a dotted name stands for; None when there is no such thing here."""
    parts = name.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        try:
            found: Any = import_module(".".join(parts[:cut]))
        except ImportError:
            continue
        for attribute in parts[cut:]:
            found = getattr(found, attribute, None)
        return found
    return None


def _is_enum(name: str) -> bool:
    cls = find(name)
    return isinstance(cls, type) and issubclass(cls, enum.Enum)


def read(learning: Learning, data: bytes) -> None:
    """Read one file as extraction does."""
    Reader(Ledger(learning)).read(Span(MemorySource(data), 0, len(data)))


def learn(objects: Iterable[tuple[str, Any]], learning: Learning) -> None:
    """Pickle each object as people do, and read it."""
    for label, item in objects:
        if isinstance(item, bytes):
            read(learning, item)
            continue
        for protocol in (2, 4):
            try:
                data = pickle.dumps(item, protocol)
            except Exception as error:  # noqa: BLE001 - some objects cannot be pickled
                print(f"# {label}: {type(error).__name__}: {str(error)[:80]}", file=sys.stderr)
                break
            read(learning, data)
        else:
            file = io.BytesIO()
            if label.startswith("torch"):
                import torch

                torch.save(item, file)
                read(learning, file.getvalue())


def library_of(name: str) -> str:
    """ "scikit-learn 1.9.1" of a name in sklearn."""
    root = name.partition(".")[0]
    if root in sys.stdlib_module_names:
        return f"Python {sys.version_info[0]}.{sys.version_info[1]}"
    distributions = _DISTRIBUTIONS.get(root, [root])
    # Of several that install the same folder, the one that is called like it.
    distribution = next(
        (d for d in distributions if d.lower().replace("-", "_") == root), distributions[0]
    )
    if root not in _DISTRIBUTIONS:
        return f"{root} of long ago"
    return f"{distribution} {metadata.version(distribution).partition('+')[0]}"


_DISTRIBUTIONS = metadata.packages_distributions()


def running(cls: type, shapes: set[str]) -> set[str]:
    """The functions of Python or C that a pickle runs when it uses a class in these shapes, as dotted names of
    those that define them. What Python itself does with any object is none of them."""
    wanted = set()
    calls = {shape for shape in shapes if shape.startswith("(") or shape == "enum"}
    if shapes & {"new", "dict", "slots"} or any(shape.startswith("state:") for shape in shapes):
        wanted |= {"__new__", "__setstate__"} | ({"__setattr__"} if "slots" in shapes else set())
    if calls:
        wanted |= {"__new__", "__init__", "_missing_", "__post_init__"}
    for shape, names in (
        ("items", "append extend add"),
        ("pairs", "__setitem__"),
        ("key", "__hash__ __eq__"),
    ):
        wanted |= set(names.split()) if shape in shapes else set()
    metaclass = type(cls)
    if issubclass(cls, enum.Enum):
        wanted -= {"__new__", "__init__", "__post_init__"}  # members are made already
    found = set()
    if calls and metaclass.__call__ not in (type.__call__, enum.EnumMeta.__call__):
        found.add(f"{metaclass.__module__}.{metaclass.__qualname__}.__call__")
    for name in wanted:
        owner = next((base for base in cls.__mro__ if name in vars(base)), None)
        if owner is None or owner.__module__ in _OF_PYTHON or _is_made(vars(owner)[name]):
            continue
        found.add(f"{owner.__module__}.{owner.__qualname__}.{name}")
    return found


_OF_PYTHON = frozenset({"builtins", "collections", "enum", "abc", "typing"})


def _is_made(method: Any) -> bool:
    """Whether namedtuple or dataclass wrote it: it keeps its arguments, and calls __post_init__ at most."""
    function = getattr(method, "__func__", method)
    space = getattr(function, "__globals__", {})
    made = getattr(getattr(function, "__code__", None), "co_filename", "") == "<string>"
    return made and (
        str(space.get("__name__", "")).startswith("namedtuple_") or "__post_init__" not in space
    )


def _kept(name: str, shapes: set[str], told: dict[str, set[str]]) -> set[str]:
    """The shapes that are written. told: what no person has read yet -> names that need it."""
    if name in builders.KNOWN or NOT_HERE.match(name):
        return set()
    if "new" in shapes:
        shapes = shapes - {"dict"}
    if name in held.VALUES:
        shapes = shapes - {"value"}
    found = find(name)
    if isinstance(found, type):
        unread = {method for method in running(found, shapes) if not READ.fullmatch(method)}
        for method in unread:
            told[method].add(name)
        return shapes & {"value"} if unread else shapes
    if (found is not None and not callable(found)) or (found is None and _is_old_class(name)):
        return shapes
    if not REVIEWED.fullmatch(name):
        told[f"{name} {sorted(shapes)}"].add(name)
        return set()
    return shapes


def _is_old_class(name: str) -> bool:
    """Whether a name that is not there any more is spelled like a class's of a library that was read."""
    is_class = name.rpartition(".")[2].lstrip("_")[:1].isupper() and OLD.match(name) is not None
    return is_class or _OLD_ARRAYS.fullmatch(name) is not None


def learned(folders: Iterable[Path]) -> tuple[dict[str, set[str]], dict[str, str]]:
    """Every name with the shapes that it was seen in, and the version of a library that is only in a folder.

    folders: what dev/pickle_honest_old.py wrote.
    """
    learning, versions = Learning(), dict[str, str]()
    for each in sorted(each for folder in folders for each in folder.iterdir()):
        old = Learning()
        for file in sorted(each.glob("*.pkl")):
            read(old, file.read_bytes())
        for root, version in json.loads((each / "versions.json").read_text()).items():
            for name in old.seen:
                if name.partition(".")[0] == root:
                    versions.setdefault(name, f"{_TITLES.get(root, root)} {version}")
        for name, shapes in old.seen.items():
            learning.seen[name] |= shapes
    for family in pickle_honest.FAMILIES:
        try:
            learn(family(), learning)
        except Exception:  # noqa: BLE001 - the other libraries are still wanted
            traceback.print_exc()
    return learning.seen, versions


_TITLES = {"sklearn": "scikit-learn", "imblearn": "imbalanced-learn"}


def written(seen: dict[str, set[str]], versions: dict[str, str]) -> None:
    """Print the table."""
    told: dict[str, set[str]] = defaultdict(set)
    table: dict[str, dict[str, set[str]]] = defaultdict(dict)
    for name, shapes in seen.items():
        kept = _kept(name, shapes, told)
        if kept:
            here = find(name) is not None or name not in versions
            table[library_of(name) if here else versions[name]][name] = kept
    for method, names in sorted(told.items()):
        print(f"# not read: {method} of {len(names)}: {sorted(names)[:3]}", file=sys.stderr)
    for library in list(table.values()):
        for name, shapes in list(library.items()):
            for pattern, other in ALIASES:
                alias = re.sub(pattern, other, name)
                if alias != name:
                    library.setdefault(alias, set()).update(
                        re.sub(pattern, other, shape) for shape in shapes
                    )
    print(dumped(table))


def dumped(table: Mapping[str, Mapping[str, Iterable[str]]]) -> str:
    """As JSON, which is read much faster than TOML, with a name on each line."""
    libraries = (
        f"{json.dumps(title)}: {{\n"
        + ",\n".join(
            f"{json.dumps(name)}: {json.dumps(sorted(shapes))}"
            for name, shapes in sorted(library.items())
        )
        + "\n}"
        for title, library in sorted(table.items())
    )
    about = "Written by dev/pickle_shapes.py: how honest pickles use which callables. Do not edit."
    return f'{{"about": {json.dumps(about)},\n"seen": {{\n' + ",\n".join(libraries) + "\n}}"


def main() -> None:
    """Print the table. Arguments: --also FOLDER..., of what old versions wrote."""
    warnings.simplefilter("ignore")
    written(*learned(map(Path, sys.argv[2:] if sys.argv[1:2] == ["--also"] else ())))


if __name__ == "__main__":
    main()
