"""torch.load, joblib.load and numpy.load by way of the sandbox: what they would give, where that is
tensors or arrays in containers of plain values.

Zone: the caller's process, beside the controller. The file is cleared; its tensors are read from the
copy, and the containers around them are made again from the structure that lies beside it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager
from functools import wraps
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from safe_load import structure
from safe_load.dropin.patches import Patch, everywhere
from safe_load.errors import NotLoadable
from safe_load.formats.escape import visible
from safe_load.sandbox.room import folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

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
    def load(f: Any, map_location: Any = None, *args: Any, **kwargs: Any) -> Any:
        through = scope()
        if through is None:
            return original(f, map_location, *args, **kwargs)
        return _read(through, f, "torch.load", map_location)

    return load


def _joblib_load(original: Callable[..., Any], scope: Scoped) -> Callable[..., Any]:
    @wraps(original)
    def load(filename: Any, *args: Any, **kwargs: Any) -> Any:
        through = scope()
        if through is None:
            return original(filename, *args, **kwargs)
        return _read(through, filename, "joblib.load")

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
            return _read(through, file, "numpy.load")

    return load


def _read(through: Scope, file: Any, function: str, map_location: Any = None) -> Any:
    """What the function would give for a path or a file object."""
    with _on_disk(file) as (path, name):
        cleared = through.clear(path)
        nodes = structure.read(cleared)
        if nodes is None:
            raise NotLoadable(
                f"{name}: what {function} returns cannot be made again outside of the sandbox; "
                "safe_load.load_file gives the tensors"
            )
        tensors = _Tensors(cleared, map_location)
        return structure.rebuild(nodes, tensors.tensor, tensors.array, name)


@contextmanager
def _on_disk(file: Any) -> Iterator[tuple[str, str]]:
    """The path of a file, also of one that is only open, and what to call it."""
    if isinstance(file, (str, os.PathLike)):
        path = os.fspath(file)
        with open(path, "rb"):  # so that one that is not there is told as everywhere else
            yield path, visible(path)
        return
    temporary = tempfile.gettempdir()
    folder.sweep(temporary)  # what processes left that were killed here
    place, held = folder.make(temporary)
    try:
        with open(f"{place}/file", "xb") as copy:
            shutil.copyfileobj(file, copy)
        yield f"{place}/file", "the open file"
    finally:
        folder.remove(place)
        os.close(held)


class _Tensors:
    """The tensors of a cleared file, under all of their names."""

    def __init__(self, cleared: Path, map_location: Any) -> None:
        from safetensors import safe_open  # noqa: PLC0415 - which imports numpy

        (self._file,) = cleared.glob("*.safetensors")
        self._map_location = map_location
        with safe_open(self._file, framework="np") as opened:
            self._aliases: dict[str, str] = opened.metadata() or {}
        self._torch: dict[str, Any] = {}
        self._numpy: dict[str, Any] = {}

    def tensor(self, name: str, grad: bool, parameter: bool) -> Any:
        """A tensor of torch. Tied ones share their memory, as in the file."""
        import torch  # noqa: PLC0415 - the caller has it
        from safetensors.torch import load_file  # noqa: PLC0415

        if not self._torch:
            self._torch = {
                key: _placed(torch, value, self._map_location)
                for key, value in load_file(self._file).items()
            }
        tensor = self._torch[self._aliases.get(name, name)].detach()
        return torch.nn.Parameter(tensor, grad) if parameter else tensor.requires_grad_(grad)

    def array(self, name: str) -> Any:
        """An array of numpy."""
        from safetensors.numpy import load_file  # noqa: PLC0415

        self._numpy = self._numpy or load_file(self._file)
        return self._numpy[self._aliases.get(name, name)]


def _placed(torch: Any, tensor: Any, where: Any) -> Any:
    """The tensor where map_location says. All of a cleared file is on the CPU."""
    if isinstance(where, bytes):
        where = where.decode()
    if isinstance(where, dict):
        where = where.get("cpu")
    if where is None or isinstance(where, (str, torch.device)):
        return tensor if where is None else tensor.to(where)
    storage = where(tensor.untyped_storage(), "cpu")
    return tensor if storage is None else tensor.to(storage.device)
