"""The jobs of one load: one room reads the weights as data, the other does what a user would do, and
a third makes a tokenizer.json of tokenizers that are not exported as they are. (The fourth is in `rewriting`.)

Zone: controller. A job says what a room is shown, what it runs and what it may write. The rooms share
nothing: whatever the second room's worker turns into, it never meets those that write the export.
"""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import TYPE_CHECKING

from safe_load import profiles
from safe_load.core.errors import NotLoadable, SandboxError
from safe_load.core.escape import visible
from safe_load.core.installed import install
from safe_load.rooms.results import MODEL
from safe_load.rooms.rewriting import DISTRIBUTIONS
from safe_load.sandbox.backends.interface import Bind, Job
from safe_load.sources.weight_names import GROWTH

if TYPE_CHECKING:
    from collections.abc import Iterable

    from safe_load.core.options import Options
    from safe_load.export.staging import Staging
    from safe_load.rooms.conversion import Conversion
    from safe_load.rooms.decoys import Decoys
    from safe_load.sources.inventory import Entry, Inventory

EXTRACT, DETONATE = "safe_load.worker.extract:main", "safe_load.worker.detonate.main:main"
CONVERT = "safe_load.worker.convert.tokenizer:main"
#: The entry points of formats that other packages bring: safe_load.worker.formats.registry.GROUP.
FORMATS = "safe_load.formats"
#: Bytes of each tensor that both rooms digest, so that a load which edits weights is seen.
FINGERPRINT = 256 << 10
#: What may be written for each byte that was read, and besides.
_GROWTH, _HEADER = 4, 128 << 20
#: Roles of files that no library opens: text is left to those that read a folder.
_NOT_OPENED = frozenset(("left", "text", "hidden"))
#: The depth at which files are read as data, and nothing is loaded.
STATIC = "static"
NEEDED = {"weights": ("torch", "numpy", "safetensors"), "model": ("transformers", "tokenizers")}
#: The oldest versions of these that the room's code fits: those of the extra `models` in pyproject.toml.
OLDEST = {"torch": (2, 6), "transformers": (4, 57), "numpy": (1, 26)}
#: Shown where installed: what tokenizers and processors of common models import.
WELCOME = ("joblib", "sentencepiece", "protobuf", "tiktoken", "pillow", "scipy", "einops")
#: Shown where installed: what values of other formats are read with, and what a trusting user opens these by.
LIBRARIES = ("numpy", "gguf", "onnx", "h5py", "backports-zstd")
#: Imported before a file is opened, where it has such a name: what an import opens and runs is not the model's doing.
_PRELOADED = {
    **dict.fromkeys((".h5", ".hdf5", ".keras"), "h5py"),
    ".onnx": "onnx",
    **dict.fromkeys((".model", ".spm"), "sentencepiece"),
}
#: What a trusting user opens files of such names by, too large or too seldom for every room: the module, and the
#: distributions that may bring it. Shown and imported where one is installed and a file has such a name.
_OPENERS: dict[str, tuple[str, tuple[str, ...]]] = {
    **dict.fromkeys((".ubj", ".xgb", ".json"), ("xgboost", ("xgboost", "xgboost-cpu"))),
    **dict.fromkeys((".lgb", ".txt"), ("lightgbm", ("lightgbm",))),
    **dict.fromkeys((".cbm", ".cb"), ("catboost", ("catboost",))),
    ".skops": ("skops.io", ("skops",)),
    ".tflite": ("ai_edge_litert.interpreter", ("ai-edge-litert",)),
    **dict.fromkeys((".keras", ".h5"), ("keras", ("keras",))),
}
#: All that a room may be furnished with: what these do decides what a load lets out.
SHOWN_DISTRIBUTIONS = (*NEEDED["weights"], *NEEDED["model"], *WELCOME, *DISTRIBUTIONS, *LIBRARIES)


def depth_of(inventory: Inventory, options: Options) -> str:
    """The depth of this load: "auto" is "model" where there is a config.json."""
    walkable = inventory.folder and inventory.named("config.json") is not None
    if options.depth == "auto":
        return "model" if walkable else "weights"
    if options.depth not in (STATIC, "weights") and not walkable:
        raise NotLoadable(
            f"{inventory.source} has no config.json, which --depth {options.depth} needs"
        )
    return options.depth


def third_party_formats() -> dict[str, str]:
    """The formats that other installed packages bring: "module:name" -> the distribution."""
    from importlib import metadata  # noqa: PLC0415 - slow, and a container needs it not

    return {
        each.value: each.dist.name
        for each in metadata.entry_points(group=FORMATS)
        if each.dist is not None
    }


def extraction_job(
    inventory: Inventory, staging: Staging | None, options: Options, *, borrowed: bool = True
) -> Job:
    """Read every file as data; write those of the model's weights to descriptors of `staging`. options:
    which of their tensors, and under which names; borrowed: with this Python's packages."""
    outputs: list[int] = []
    files = []
    # One bound for all outputs: views are written out, headers are padded, and no more than that.
    limit = _HEADER + sum(
        entry.size * GROWTH.get(f".{entry.path.rpartition('.')[2].lower()}", _GROWTH)
        for entry in inventory.read_for_export
    )
    choice = {name: getattr(options, name) for name in ("weights_of", "names", "keep", "quantised")}
    for entry in inventory.entries:
        file: dict[str, object] = {
            "path": f"{MODEL}/{entry.path}",
            "name": entry.path,
            "output": None,
            "whole": inventory.whole,
            "parts": list(entry.parts),
        }
        if staging is not None and entry.export is not None:
            file |= {"output": len(outputs), "size_limit": limit}
            outputs.append(staging.open_output(entry.export))
        files.append(file)
    brought = third_party_formats() if borrowed else {}
    return Job(
        name="extract",
        entry=EXTRACT,
        argument={
            "files": files,
            "formats": list(brought) if borrowed else None,
            **(choice if staging is not None else {}),
            "total_limit": limit,
            "callables": profiles.ordinary_callables(),
            "fingerprint_budget": FINGERPRINT,
            "histograms": options.histograms,
        },
        distributions=(*LIBRARIES, *dict.fromkeys(brought.values())),
        files=_binds(inventory.entries),
        outputs=tuple(outputs),
        output_limit=limit,
    )


def detonation_job(
    inventory: Inventory, depth: str, decoys: Decoys, *, borrowed: bool = True
) -> Job:
    """Do with the folder what a trusting user would do. borrowed: with this Python's packages."""
    from safe_load.worker.detonate.main import PRELOAD  # noqa: PLC0415 - a table of module names

    files = inventory.loaded
    large = openers(entry.path for entry in inventory.entries if entry.role not in _NOT_OPENED)
    needed = NEEDED["weights"] if depth == "weights" else (*NEEDED["weights"], *NEEDED["model"])
    if borrowed:
        require_installed(needed)
    return Job(
        name="detonate",
        entry=DETONATE,
        argument={
            "files": [
                {"path": f"{MODEL}/{entry.path}", "name": entry.path, "format": "unknown"}
                for entry in files
            ],
            "others": [
                {"path": f"{MODEL}/{entry.path}", "name": entry.path}
                for entry in inventory.entries
                if entry.role not in ("weights", "pickle", "left")
            ],
            "depth": depth,
            "folder": MODEL,
            "fingerprint_budget": FINGERPRINT,
        },
        # Also for safetensors, whose library imports torch: what an import opens is not the model's doing.
        preload=(
            *PRELOAD[depth],
            *(libraries(entry.path for entry in files) if borrowed else ()),
            *(large if borrowed else ()),
        ),
        distributions=(*needed, *WELCOME, *LIBRARIES, *(large.values() if borrowed else ())),
        files=_binds(inventory.entries),
        planted=decoys.files,
        environment=decoys.environment,
    )


def libraries(paths: Iterable[str] | None = None) -> tuple[str, ...]:
    """The modules that the room imports ahead to open files of these names, as far as they are installed;
    without names, those for all."""
    from safe_load.sandbox import runtime  # noqa: PLC0415

    suffixes = _PRELOADED if paths is None else {PurePath(path).suffix.lower() for path in paths}
    wanted = tuple(sorted({_PRELOADED[suffix] for suffix in suffixes if suffix in _PRELOADED}))
    missing = runtime.find(wanted).missing if wanted else ()
    return tuple(name for name in wanted if name not in missing)


def openers(paths: Iterable[str]) -> dict[str, str]:
    """What opens files of these names, of the large libraries that are installed: module -> distribution."""
    from safe_load.sandbox import runtime  # noqa: PLC0415

    suffixes = {PurePath(path).suffix.lower() for path in paths}
    found: dict[str, str] = {}
    for module, brings in dict.fromkeys(_OPENERS[each] for each in _OPENERS if each in suffixes):
        missing = set(runtime.find(brings).missing)
        there = [name for name in brings if name not in missing]
        found |= {module: there[0]} if there else {}
    return found


def conversion_job(conversion: Conversion) -> Job:
    """Make a tokenizer.json of every tokenizer that is not exported as it is."""
    from safe_load.worker.convert.tokenizer import PRELOAD  # noqa: PLC0415 - names of modules

    needed = (*NEEDED["weights"], *NEEDED["model"])
    require_installed(needed)
    return Job(
        name="convert",
        entry=CONVERT,
        argument={"folders": [f"{MODEL}/{folder}" for folder in conversion.folders]},
        preload=PRELOAD,
        distributions=(*needed, *WELCOME),
        files=_binds([entry for entries in conversion.folders.values() for entry in entries]),
        outputs=conversion.outputs,
        output_limit=conversion.limit,
    )


def require_installed(distributions: tuple[str, ...]) -> None:
    """Raise SandboxError, with the command that helps, if this Python lacks one of them."""
    if (lacking := lacking_packages(distributions)) is not None:
        raise SandboxError(f"{lacking[0]}: {lacking[1]}")


def lacking_packages(distributions: tuple[str, ...]) -> tuple[str, str] | None:
    """What this Python lacks of these, in a clause, and the command that installs it; None: nothing."""
    from safe_load.sandbox import runtime  # noqa: PLC0415

    missing = runtime.find((*distributions, *WELCOME)).missing
    absent = [name for name in distributions if name in missing]
    old = [name for name in distributions if name not in missing and _is_old(name)]
    if not absent and not old:
        return None
    lacks = (
        [f"the room needs {', '.join(absent)}, which this Python does not have"] if absent else []
    )
    lacks += [
        f"{name} {_version(name)} is too old for the room, which needs {'.'.join(map(str, OLDEST[name]))} or newer"
        for name in old
    ]
    return (
        f"{'; '.join(lacks)} (--depth static needs no packages); install what loads models",
        install(),
    )


def _version(name: str) -> str:
    from importlib import metadata  # noqa: PLC0415 - slow, and a container needs it not

    return visible(metadata.version(name), 40)


def _is_old(name: str) -> bool:
    if name not in OLDEST:
        return False
    numbers = re.match(r"(\d{1,9})\.(\d{1,9})", _version(name))
    return numbers is not None and (int(numbers[1]), int(numbers[2])) < OLDEST[name]


def _binds(entries: tuple[Entry, ...] | list[Entry]) -> tuple[Bind, ...]:
    return tuple(Bind(entry.place, f"{MODEL}/{entry.path}", entry.identity) for entry in entries)
