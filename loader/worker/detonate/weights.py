"""Open one weight file as its own library would, with everything that this sets off, and use it.

Zone: worker. Code that the file brings runs here on purpose.
"""

from __future__ import annotations

import copy
import gc
import os
import pickle
import warnings
import zipfile
from collections import OrderedDict, defaultdict
from itertools import islice
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Self

import torch
from safe_load.worker.detonate import loaders
from safe_load.worker.detonate.tensor_table import Tables
from safe_load.worker.guarded import attempt
from safe_load.worker.tensors.dtypes import FROM_SAFETENSORS

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Tables", "detonate"]

MAX_MISSING = 100
MAX_NAME = 200
#: Pickles read one after the other from a bare file.
MAX_STREAMS = 64
#: Containers and tensors that are used one by one.
MAX_USES = 1000
MAX_NOTES = 20

_PICKLE_NAMES = {".pkl", ".pickle", ".joblib"}
#: The first object of torch's legacy format, a LONG1 (torch.serialization.MAGIC_NUMBER).
_LEGACY_MAGIC = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_ZIP_MAGIC = b"PK\x03\x04"


def detonate(path: str, name: str, format: str, tables: Tables) -> dict[str, Any]:  # noqa: A002 - the wire's word
    """Open the file at `path`, use what it gives and drop it.

    Returns {"name", "ok", "error", "missing_classes", "tensors", "truncated", "notes"}; truncated:
    a bound cut the table short; notes: what went wrong while the result was used.
    """
    missing: list[str] = []
    notes: list[str] = []
    rows: list[dict[str, Any]] = []
    compared = True
    opener, error = attempt(lambda: _opener(path, name, format))
    if opener is _header:
        _, error = attempt(lambda: _header(path, tables, rows))
    elif opener is not None:
        value, error = attempt(lambda: opener(path, _pickle_module(missing)))
        if error is None:
            if type(value) is loaders.Several:
                use(value.values, notes)
                compared = False
            else:
                use(value, notes)
                rows = attempt(lambda: tables.rows(value))[0] or []
        elif loaders.is_foreign(path):
            error, compared = None, False
        del value
        # Twice: finalisers may leave new garbage that has finalisers of its own.
        attempt(gc.collect)
        attempt(gc.collect)
    return {
        "name": name,
        "ok": error is None and compared,
        "error": error,
        "missing_classes": missing,
        "tensors": rows,
        "truncated": tables.truncated,
        "notes": notes,
    }


def _opener(path: str, name: str, format: str) -> Callable[..., Any]:  # noqa: A002
    """How a trusting user's library would open the file: by its bytes where they tell, else its name."""
    with open(path, "rb") as file:
        head = file.read(64)
    suffix = PurePosixPath(name).suffix.lower()
    if head[8:9] == b"{" and (format == "safetensors" or suffix == ".safetensors"):
        return _header
    if (special := loaders.opener(path)) is not None:
        return special
    if head.startswith(_ZIP_MAGIC) or _LEGACY_MAGIC in head:
        return _torch_load
    if suffix == ".joblib":
        return _joblib_load
    if suffix in _PICKLE_NAMES or head[:1] == b"\x80":
        return _pickle_load
    # Old tar files and protocol 0 pickles: torch.load tries both in turn.
    return _torch_load


def _torch_load(path: str, pickle_module: Any) -> object:
    options: dict[str, Any] = {"map_location": "cpu", "pickle_module": pickle_module}
    with open(path, "rb") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if path.endswith(".safetensors"):
            # By its name, torch 2.13 would take the path for what it is not.
            return torch.load(file, weights_only=False, **options)
        mapped = file.read(4) == _ZIP_MAGIC and _is_stored(path)
        return torch.load(path, weights_only=False, mmap=mapped, **options)


def _is_stored(path: str) -> bool:
    """Whether no member of a zip is compressed: torch would map the compressed bytes as numbers."""
    try:
        with zipfile.ZipFile(path) as archive:
            return all(info.compress_type == zipfile.ZIP_STORED for info in archive.infolist())
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError):
        return True  # torch has a reader of its own, and shall decide


def _pickle_load(path: str, pickle_module: Any) -> object:
    """The first pickle, as pickle.load gives it. Those that follow it are run as well."""
    with open(path, "rb") as file:
        first = pickle_module.load(file)
        for _ in range(MAX_STREAMS):
            # Only what starts as a pickle does: joblib's array bytes follow their pickle too.
            if file.peek(1)[:1] != b"\x80" or attempt(lambda: pickle_module.load(file))[1]:
                break
    return first


def _joblib_load(path: str, pickle_module: Any) -> object:
    try:
        import joblib  # noqa: PLC0415 - optional, and slow
    except ImportError:
        return _pickle_load(path, pickle_module)
    return joblib.load(path)


def _header(path: str, tables: Tables, rows: list[dict[str, Any]]) -> None:
    """Names, dtypes and shapes as the safetensors library reads them. No bytes, nothing runs."""
    from safetensors import safe_open  # noqa: PLC0415 - only where there is such a file

    with safe_open(path, framework="pt") as file:
        for name in file.keys():  # noqa: SIM118 - not a dict
            part = file.get_slice(name)
            dtype = part.get_dtype()
            dtype = FROM_SAFETENSORS.get(dtype, dtype.lower())
            tables.add(
                {"name": name, "dtype": dtype, "shape": part.get_shape(), "crc32": None}, rows
            )


class Absent:
    """Stands in for a class that is not installed, so that the rest of a pickle still runs."""

    def __new__(cls, *args: object, **_options: object) -> Self:
        absent = object.__new__(cls)
        absent.__dict__.update(args=args, state=None, items=[], pairs=[])
        return absent

    def __init__(self, *_args: object, **_options: object) -> None:
        """Take anything."""

    def __setstate__(self, state: object) -> None:
        self.__dict__["state"] = state

    def append(self, item: object) -> None:
        """As a list would: a pickle appends to what it takes for one."""
        self.__dict__["items"].append(item)

    def __setitem__(self, key: object, item: object) -> None:
        self.__dict__["pairs"].append((key, item))

    def __call__(self, *args: object, **options: object) -> Absent:
        return type(self)(*args, **options)

    def __reduce_ex__(self, _protocol: object) -> tuple[object, ...]:
        held = self.__dict__
        return Absent, held["args"], held["state"], iter(held["items"]), iter(held["pairs"])


def _create_array(make: Any, args: Any, state: Any, attributes: Any = None) -> Any:
    """What dill, where it is installed, makes arrays of numpy by (dill/_dill.py, _create_array)."""
    array = make(*args)
    array.__setstate__(state)
    if attributes is not None:
        array.__dict__.update(attributes)
    return array


def _pickle_module(missing: list[str]) -> Any:
    """The pickle module, except that names that cannot be imported become inert classes.

    From the start rather than after a failure: running a payload twice would record it twice.
    """
    absent: dict[tuple[str, str], type] = {}

    class Unpickler(pickle.Unpickler):
        def find_class(self, module: str, name: str, /) -> Any:
            try:
                return super().find_class(module, name)
            except (ImportError, AttributeError):
                if (module, name) == ("dill._dill", "_create_array"):
                    return _create_array
                if len(missing) < MAX_MISSING and (module, name) not in absent:
                    missing.append(
                        f"{module}.{name}"[:MAX_NAME].encode("utf-8", "replace").decode()
                    )
                named = {"__module__": module, "__qualname__": name}
                return absent.setdefault((module, name), type("Absent", (Absent,), named))

    class Module:
        """What torch.load needs of a pickle module."""

        UnpicklingError = pickle.UnpicklingError

        @staticmethod
        def load(file: Any, **options: Any) -> Any:
            return Unpickler(file, **options).load()

    Module.Unpickler = Unpickler  # type: ignore[attr-defined]
    return Module


def use(value: object, notes: list[str]) -> None:
    """Handle the object as its owner would, so that code hidden in its methods runs now.

    A payload may wait for a key, a length, a comparison, a copy or a print. What any of it raises
    is noted, at most MAX_NOTES lines.
    """
    todo, used = [value], 0
    while todo and used < MAX_USES:
        item = todo.pop()
        used += 1
        if issubclass(type(item), torch.Tensor):
            _each(item, (_look, str) if used < 8 else (_look,), notes)
            continue
        _each(item, _PLAIN_HABITS if type(item) in _PLAIN else _HABITS, notes)
        parts, error = attempt(lambda item=item: list(islice(_parts(item), MAX_USES)))  # type: ignore[misc]
        if error is not None:
            _note(error, notes)
        todo.extend(reversed(parts or []))


def _each(item: object, habits: tuple[Callable[[Any], object], ...], notes: list[str]) -> None:
    for habit in habits:
        _, error = attempt(lambda habit=habit: habit(item))  # type: ignore[misc]
        # An object without a length or a comparison is no fault of its file's.
        if error is not None and not error.startswith(
            ("TypeError", "AttributeError", "NotImplementedError")
        ):
            _note(error, notes)


def _note(error: str, notes: list[str]) -> None:
    if len(notes) < MAX_NOTES and error not in notes:
        notes.append(error)


def _look(tensor: Any) -> object:
    return tensor.shape, tensor.dtype, tensor.numel() and tensor.reshape(-1)[0].item()


def _ask_for_nothing(item: Any) -> None:
    """Ask a mapping for a key that it lacks: default factories are code."""
    key = "best_metric"
    if issubclass(type(item), dict) and not dict.__contains__(item, key):
        try:
            item[key]
        except KeyError:
            return
        dict.pop(item, key, None)


def _module_habits(item: Any) -> None:
    if isinstance(item, torch.nn.Module):
        item.eval()
        item.state_dict()


_PLAIN_HABITS: tuple[Callable[[Any], object], ...] = (len, callable, _ask_for_nothing)
_HABITS: tuple[Callable[[Any], object], ...] = (
    *_PLAIN_HABITS,
    *(repr, str, bool),
    *(hash, dir, vars),
    *(copy.copy, os.fspath, _module_habits),
    lambda item: item == item,  # noqa: PLR0124 - runs the object's __eq__
    lambda item: item.state_dict,
)
#: Printing these would print all that they hold, and run nothing of a file's own.
_PLAIN = (dict, OrderedDict, defaultdict, list, tuple, set, frozenset, str, bytes, bytearray)


def _parts(item: Any) -> Any:
    """The next objects that an owner would reach, through the object's own methods."""
    kind = type(item)
    if hasattr(item, "items") and hasattr(item, "keys"):
        for key in item.keys():  # noqa: SIM118 - the method may be the payload
            yield item[key]
    elif issubclass(kind, (list, tuple, set, frozenset)):
        yield from item
    attributes = getattr(item, "__dict__", None)
    if type(attributes) is dict and kind.__module__ != "builtins" and not issubclass(kind, type):
        yield from list(attributes.values())


# The first arithmetic makes torch look at the processor, the first print imports: done here, while
# the walls are still going up, honest detonation opens nothing but the model and its libraries.
str(torch.zeros(1) + 1)
