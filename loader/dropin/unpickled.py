"""torch.load, joblib.load and numpy.load by way of the sandbox: what they would give, with stand-ins for
objects of classes that are not modelled.

Zone: the caller's process, beside the controller. The file is cleared; its values are made again from
the bytes of the copy and the structure that lies beside them.
"""

from __future__ import annotations

import os
import pickle
import shutil
import tempfile
import warnings
from contextlib import contextmanager
from functools import wraps
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from safe_load.core.errors import NotLoadable, UsageError
from safe_load.core.escape import visible
from safe_load.dropin import making, unmodelled
from safe_load.dropin.patches import Patch, everywhere
from safe_load.dropin.stored import Stored
from safe_load.export import structure
from safe_load.sandbox import private_folders

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from safe_load.dropin.pretrained import Scope

    Scoped = Callable[[], Scope | None]


def patches(scope: Scoped) -> Iterator[Patch]:
    """A patch for each place where one of these functions is found, in libraries and in programs."""
    if find_spec("torch") is not None:
        import torch  # noqa: PLC0415 - only where it is installed

        yield from everywhere(torch.load, _torch_load(torch.load, scope))
    if find_spec("joblib") is not None:
        import joblib  # noqa: PLC0415

        yield from everywhere(joblib.load, _joblib_load(joblib.load, scope))
    if find_spec("numpy") is not None:
        import numpy as np  # noqa: PLC0415

        yield from everywhere(np.load, _numpy_load(np.load, scope))


def _torch_load(original: Callable[..., Any], scope: Scoped) -> Callable[..., Any]:
    @wraps(original)
    def load(
        f: Any, map_location: Any = None, pickle_module: Any = None, *args: Any, **kwargs: Any
    ) -> Any:
        through = scope()
        if through is None:
            return original(f, map_location, pickle_module, *args, **kwargs)
        if pickle_module is not None and pickle_module is not pickle:
            name = getattr(pickle_module, "__name__", type(pickle_module).__name__)
            raise UsageError(
                f"pickle_module={visible(str(name))} would unpickle the file here, which the guard "
                "never does; leave it out"
            )
        if kwargs.get("mmap") and not isinstance(f, (str, os.PathLike)):
            raise ValueError("f must be a string filename in order to use mmap argument")
        return read(through, f, "torch.load", map_location)

    return load


def _joblib_load(original: Callable[..., Any], scope: Scoped) -> Callable[..., Any]:
    @wraps(original)
    def load(filename: Any, *args: Any, **kwargs: Any) -> Any:
        through = scope()
        if through is None:
            return original(filename, *args, **kwargs)
        return read(through, filename, "joblib.load")

    return load


def _numpy_load(original: Callable[..., Any], scope: Scoped) -> Callable[..., Any]:
    @wraps(original)
    def load(
        file: Any, mmap_mode: Any = None, allow_pickle: Any = False, *args: Any, **kwargs: Any
    ) -> Any:
        through = scope()
        if through is None or not allow_pickle:
            return original(file, mmap_mode, allow_pickle, *args, **kwargs)
        start = file.tell() if hasattr(file, "seek") else None
        try:
            # Most arrays need no pickle; in an archive, those that do raise when they are asked for.
            return original(file, mmap_mode, False, *args, **kwargs)
        except ValueError:
            if start is not None:
                file.seek(start)
            return read(through, file, "numpy.load")

    return load


def read(through: Scope, file: Any, function: str, map_location: Any = None) -> Any:
    """What the function would give for a path or a file object; a warning names the stand-ins in it."""
    root, sentence = made(through, file, function, map_location)
    if sentence is not None:
        warnings.warn(sentence, unmodelled.StandInWarning, stacklevel=3)
    return root


def made(
    through: Scope, file: Any, function: str, map_location: Any = None
) -> tuple[Any, str | None]:
    """The same, and the sentence; None where nothing in it is a stand-in."""
    with _on_disk(file) as (path, name):
        cleared = through.clear(path, whole=True)
        nodes = structure.read(cleared)
        if nodes is None:
            raise NotLoadable(
                f"{name}: the result of {function} cannot be rebuilt outside of the sandbox; "
                "use safe_load.load_file to get the tensors"
            )
        values = making.Making(nodes, Stored(cleared, nodes, map_location), name)
        return values.root(), values.stand_ins.sentence(name)


@contextmanager
def _on_disk(file: Any) -> Iterator[tuple[str, str]]:
    """The path of a file, also of one that is only open, and what to call it."""
    if isinstance(file, (str, os.PathLike)):
        path = os.fspath(file)
        with open(path, "rb"):  # so that one that is not there is told as everywhere else
            yield path, visible(path)
        return
    temporary = tempfile.gettempdir()
    private_folders.sweep(temporary)  # what processes left that were killed here
    place, held = private_folders.make(temporary)
    try:
        with open(f"{place}/file", "xb") as copy:
            shutil.copyfileobj(file, copy)
        yield f"{place}/file", "the open file"
    finally:
        private_folders.remove(place)
        os.close(held)
