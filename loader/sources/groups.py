"""Files that hold one model together, of which one says what lies in the others.

Zone: controller. Goes by names alone: what the files are, the room says that reads them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from safe_load.sources.file_names import extension
from safe_load.sources.weight_names import (
    COMPANION_FOLDER,
    DESCRIBES,
    EXTENSIONS,
    FURTHER,
    LIST,
    LISTED,
    MODEL_FOLDER,
    OCDBT,
    OCDBT_PROCESS,
    ORBAX,
    PARTITION,
    STATES,
    STEP_FOLDER,
    ZARR,
    ZARR_GROUP,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from safe_load.core.options import Options

#: Files that are looked into for the numbers of one model: each takes a descriptor.
MOST_BESIDE = 400
MOST_TOGETHER = 900
#: What no numbers of an ONNX model are called.
_OTHERS = (
    EXTENSIONS
    | FURTHER
    | frozenset(
        ".json .txt .md .py .yaml .yml .toml .jinja .cfg .csv .tsv .png .jpg .xml .model".split()
    )
) - {".bin"}
_IN_OCDBT = re.compile(r"(?:[^/]+/)?(?:d/[0-9a-f]{32}|manifest\.ocdbt)")
#: MLflow's description of a model, and beside it what its environment installs (mlflow/pyfunc/__init__.py).
MLFLOW = "MLmodel"
ENVIRONMENT = ("conda.yaml", "conda.yml", "python_env.yaml", "requirements.txt")
#: The path of the file that describes a group -> the paths of all others.
Groups = dict[str, tuple[str, ...]]


def find(paths: Iterable[str]) -> Groups:
    """The groups among the files of a source."""
    lists: list[str] = []
    listed: dict[str, list[str]] = {}
    every = sorted(paths)
    for path in every:
        folder, _, name = path.rpartition("/")
        if name == LIST:
            lists.append(path)
        elif name.endswith(LISTED):
            listed.setdefault(folder, []).append(path)
    folders = {path: path.rpartition("/")[0] for path in lists}
    found = {path: tuple(listed[folder]) for path, folder in folders.items() if folder in listed}
    return found | _partitioned(every) | _orbax(every)


def _orbax(paths: list[str]) -> Groups:
    """The folders of orbax checkpoints, and of zarr. One in more files than may be open is no group: its numbers cannot be read."""
    heads: dict[str, str] = {}
    for path in paths:
        folder, _, name = path.rpartition("/")
        if name == OCDBT and not OCDBT_PROCESS.fullmatch(path):
            heads[folder] = path
        elif name == ORBAX:
            heads.setdefault(folder, path)
    described = {
        path.rpartition("/")[0]: path
        for path in paths
        if path.rpartition("/")[2] in (*ZARR, ZARR_GROUP)
    }
    for folder, path in described.items():
        if not _is_below(folder, {*described, *heads} - {folder}) and folder not in heads:
            heads[folder] = path
    groups: Groups = {}
    for folder, head in heads.items():
        start = f"{folder}/" if folder else ""
        below = [path for path in paths if path.startswith(start) and path != head]
        if head.endswith(OCDBT):
            mine = [path for path in below if _IN_OCDBT.fullmatch(path[len(start) :])]
        else:
            arrays = {
                path.rpartition("/")[0]
                for path in (*below, head)
                if path.rpartition("/")[2] in ZARR
            }
            mine = [path for path in below if _is_below(path, arrays)]
        if mine and len(mine) <= MOST_TOGETHER:
            groups[head] = tuple(mine)
    return groups


def _is_below(path: str, folders: set[str]) -> bool:
    """Whether a file or a folder lies in one of these, however deep."""
    while path:
        path = path.rpartition("/")[0]
        if path in folders:
            return True
    return False


def beside(paths: Collection[str]) -> Groups:
    """For each ONNX model, the files that may hold its numbers: those in its folder and below whose names are of no
    other format. Which of them do, the model says. The room is shown all; what it does not name stays a
    file of its own. For each graph of OpenVINO's and program of Core ML's, its numbers. For each description of MLflow's, the lists of what its environment
    installs."""
    found: Groups = {}
    for path in paths:
        if path.endswith(".onnx"):
            folder = f"{path.rpartition('/')[0]}/".removeprefix("/")
            others = sorted(
                each for each in paths if each.startswith(folder) and extension(each) not in _OTHERS
            )
            found[path] = tuple(others[:MOST_BESIDE])
        elif path.endswith(".index"):  # of a TensorFlow checkpoint
            start = f"{path.removesuffix('.index')}.data-"
            others = sorted(each for each in paths if each.startswith(start))
            if others:
                found[path] = tuple(others[:MOST_BESIDE])
        elif path.endswith(".xml") and f"{path[:-4]}.bin" in paths:
            found[path] = (f"{path[:-4]}.bin",)
        elif path.endswith(".mlmodel"):
            numbers = f"{path.rpartition('/')[0]}/weights/weight.bin".removeprefix("/")
            found[path] = (numbers,) if numbers in paths else ()
        elif path.rpartition("/")[2] == MLFLOW:
            folder = path.removesuffix(MLFLOW)
            found[path] = tuple(folder + name for name in ENVIRONMENT if folder + name in paths)
    return found


def numbers(paths: Collection[str]) -> set[str]:
    """The files that hold the numbers of a graph or a program beside them, and are no weights by themselves."""
    heads = (".xml", ".mlmodel")
    return {part for path, parts in beside(paths).items() if path.endswith(heads) for part in parts}


def _partitioned(paths: list[str]) -> Groups:
    """The folders of DeepSpeed's."""
    folders: dict[str, list[str]] = {}
    for path in paths:
        if path.endswith((PARTITION, STATES)):
            folders.setdefault(path.rpartition("/")[0], []).append(path)
    groups: Groups = {}
    for folder, files in folders.items():
        heads = [
            path for name in DESCRIBES if (path := f"{folder}/{name}".removeprefix("/")) in files
        ]
        if heads and any(path.endswith(PARTITION) for path in files):
            groups[heads[0]] = tuple(path for path in files if path != heads[0])
    return groups


def exports(groups: Groups, taken: set[str], options: Options) -> dict[str, str | None]:
    """What each group is exported as, None where other weights of its folder come first, or where it is
    what training needs besides a model. taken: the exports of other files."""
    found: dict[str, str | None] = {}
    for path in groups:
        folder, _, _ = path.rpartition("/")
        above, _, name = folder.rpartition("/")
        own = f"{folder}/model.safetensors".removeprefix("/")
        higher = f"{above}/model.safetensors".removeprefix("/")
        steps = [each for each in groups if _above(each) == above]
        stands_above = MODEL_FOLDER.fullmatch(name) or (
            STEP_FOLDER.fullmatch(name) and len(steps) == 1
        )
        export = higher if stands_above and higher not in taken else own
        place = higher if STEP_FOLDER.fullmatch(name) else own
        stock = (own, place, f"{place.removesuffix('.safetensors')}-")
        first = any(other.startswith(stock) for other in taken)
        asked = options.variant is not None or options.use_safetensors
        if first or asked or COMPANION_FOLDER.fullmatch(name):
            found[path] = None
        else:
            found[path] = export
            taken = taken | {export}
    return found


def _above(path: str) -> str:
    """The folder above that of a file."""
    return path.rpartition("/")[0].rpartition("/")[0]
