"""What an unpickled object keeps in a form of its own: models of XGBoost and LightGBM within their Python classes,
and arrays of structures, as scikit-learn's trees. Zone: worker.

Tensors that are made of it bear names of their own, and loading the file gives none of that name: they are
`derived`, so that nothing is compared with them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from safe_load.worker.formats import boosters, ubjson
from safe_load.worker.formats.interface import File
from safe_load.worker.pickle_vm.arguments import UnexpectedArgument
from safe_load.worker.pickle_vm.values import Storage, Stub, Tensor
from safe_load.worker.refusal import RefusedError, bomb
from safe_load.worker.spans import as_span

if TYPE_CHECKING:
    from safe_load.worker.formats.interface import Reading
    from safe_load.worker.spans import Span
    from safe_load.worker.tensors.dtypes import NumpyDtype

#: Packages of whose objects something is unfolded.
PACKAGES = frozenset(("sklearn", "xgboost", "lightgbm"))
#: Class -> the attributes in which its pickle keeps the model.
_MODELS = {
    "xgboost.core.Booster": ("handle",),
    "lightgbm.basic.Booster": ("_handle", "handle", "model_str"),
}
#: Lists, mappings, objects and arrays that are looked through.
MAX_STEPS = 5_000_000
_INNER = (dict, list, tuple, Tensor, Stub)
MAX_MODEL = 1 << 30
MAX_TEXT = 64 << 20


def unfold(root: object, reading: Reading) -> None:
    """Put what it finds in the place of what it was found in. Raises RefusedError beyond the bound."""
    seen: set[int] = set()
    todo: list[object] = [root]
    while todo:
        item = todo.pop()
        if not isinstance(item, _INNER) or id(item) in seen:
            continue
        seen.add(id(item))
        if len(seen) > MAX_STEPS:
            raise bomb(f"the file holds more than {MAX_STEPS} lists, mappings and objects")
        if isinstance(item, dict):
            todo += item.values()
        elif isinstance(item, (list, tuple)):
            todo += item
        elif isinstance(item, Tensor):
            if item.storage is None and item.raw is not None and item.element is not None:
                item.parts |= _fields(item)
            todo += item.parts.values()
        elif isinstance(item, Stub):
            if item.made_by in _MODELS:
                _model(item, reading)
            todo += [*_listed(item.args), *item.state, *item.items]
            todo += (part for _, part in item.pairs)


def _listed(value: object) -> list[object]:
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _model(booster: Stub, reading: Reading) -> None:
    for state in booster.state:
        if not isinstance(state, dict):
            continue
        for name in _MODELS[booster.made_by]:
            arrays = _arrays(state.get(name), reading)
            for array in arrays.values():
                array.derived = True
            if arrays:
                state[name] = arrays


def _arrays(model: object, reading: Reading) -> boosters.Arrays:
    """The numbers of a model in text or UBJSON; none where it is of another form."""
    if isinstance(model, str):
        if len(model) > MAX_TEXT:
            return {}
        model = model.encode("utf-8", "replace")
    span = as_span(model)
    if span is None or not 0 < span.length <= MAX_MODEL:
        return {}
    file = File("model", span)
    try:
        if ubjson.recognise(file):
            return ubjson.arrays(file)
        if span.length <= MAX_TEXT and (found := boosters.of_text(span.whole())):
            return found[1]
    except (RefusedError, UnexpectedArgument) as error:
        reading.notes.append(f"the model in a booster's pickle is not exported: {error}")
    return {}


def _fields(array: Tensor) -> dict[object, object]:
    """A view of each field of numbers of an array of structures whose elements lie in order."""
    element, raw, sizes = array.element, array.raw, array.sizes
    if element is None or raw is None or sizes is None or array.array is None or array.array[2]:
        return {}
    found: dict[object, object] = {}
    for name, (part, offset) in element.fields.items():
        view = _field(raw, sizes, element.itemsize, part, offset)
        if view is not None and isinstance(name, str):
            found[name] = view
    return found


def _field(
    raw: Span, sizes: tuple[int, ...], width: int, part: NumpyDtype, offset: int
) -> Tensor | None:
    dtype = part.torch
    if dtype is None or width % dtype.size:
        return None
    stride, step = [], width // dtype.size
    for size in reversed(sizes):
        stride.append(step)
        step *= max(size, 1)
    swapped = part.order == ">" and dtype.swap > 1
    storage = Storage(dtype, raw.length, raw, swapped=swapped)
    result = Tensor(storage, dtype, 0, sizes, tuple(reversed(stride)), start=offset, kind="numpy")
    result.derived = True
    return result
