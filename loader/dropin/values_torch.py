"""Values of torch as pickles call for them. Zone: the caller's process.

A closed table, as values_python. The functions of torch that rebuild a tensor get storages of the cleared
copy and numbers that are checked against them here.
"""

from __future__ import annotations

from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

import torch
from safe_load.dropin.called import Found, is_special
from safe_load.dropin.stored import SMALL
from safe_load.export import views
from safe_load.worker.tensors.dtypes import STORAGES, TORCH

if TYPE_CHECKING:
    from collections.abc import Callable

    from safe_load.dropin.called import Called
    from safe_load.dropin.stored import Stored
    from safe_load.export.structure import Tensor

_LAYOUTS = {
    str(layout): layout
    for name in ("strided", "sparse_coo", "sparse_csr", "sparse_csc", "sparse_bsr", "sparse_bsc")
    if isinstance(layout := getattr(torch, name, None), torch.layout)
}
_MAX_LAYERS = 10_000
_FORMATS = ("contiguous_format", "preserve_format", "channels_last", "channels_last_3d")
_SCHEMES = ("per_tensor_affine", "per_channel_affine", "per_channel_affine_float_qparams")
#: Functions of numbers, which hyperparameters name.
_FUNCTIONS = (
    *("relu", "relu6", "gelu", "silu", "mish", "elu", "selu", "celu", "leaky_relu", "tanh"),
    *("sigmoid", "softplus", "softsign", "softmax", "log_softmax", "hardswish", "hardsigmoid"),
    *("mse_loss", "l1_loss", "cross_entropy", "nll_loss", "binary_cross_entropy", "kl_div"),
    *("binary_cross_entropy_with_logits", "smooth_l1_loss", "huber_loss"),
)


def _names() -> dict[str, Any]:
    found: dict[str, Any] = {"torch.Size": torch.Size, "torch.device": torch.device}
    for name in (*TORCH, *_FORMATS, *_SCHEMES):
        if hasattr(torch, name):
            found[f"torch.{name}"] = getattr(torch, name)
    for name in STORAGES:
        for module, prefix in ((torch, "torch"), (torch.storage, "torch.storage")):
            if isinstance(cls := getattr(module, name, None), type):
                found[f"{prefix}.{name}"] = cls
    found |= {str(layout): layout for layout in _LAYOUTS.values()}
    for cls in (torch.Tensor, torch.nn.Parameter, torch.nn.Buffer, torch.storage.TypedStorage):
        found[f"{cls.__module__}.{cls.__name__}"] = cls
    found["torch._tensor.Tensor"] = found["torch.Tensor"] = torch.Tensor
    for name in _FUNCTIONS:
        function = getattr(torch.nn.functional, name, None)
        if isinstance(function, FunctionType):
            found[f"torch.nn.functional.{name}"] = function
    layers = [part for part in vars(torch.nn.modules).values() if isinstance(part, ModuleType)]
    for space, base in (
        *((layer, torch.nn.Module) for layer in layers),
        (torch.nn, torch.nn.Module),
        (torch.optim, torch.optim.Optimizer),
        (torch.optim.lr_scheduler, torch.optim.lr_scheduler.LRScheduler),
    ):
        found |= _classes(space, base)
    return found


def _classes(space: Any, base: type) -> dict[str, Any]:
    """The public classes of a part of torch: layers, optimizers, schedules."""
    return {
        f"{value.__module__}.{value.__qualname__}": value
        for value in vars(space).values()
        if isinstance(value, type)
        and issubclass(value, base)
        and value.__module__.startswith("torch.")
    }


_NAMES = _names()
_MODULES = {
    name
    for name, value in _NAMES.items()
    if isinstance(value, type) and issubclass(value, torch.nn.Module)
}


class Torch:
    """The values of one file."""

    def __init__(self, stored: Stored) -> None:
        self._stored = stored
        self._restore = _restoring(stored.map_location)
        self._storages: dict[int, torch.UntypedStorage] = {}
        self._typed: dict[tuple[int, str], Any] = {}
        self._makers: dict[str, Callable[[Called], Any]] = {
            "torch.device": _device,
            "torch.serialization._get_layout": _layout,
            "torch._utils._rebuild_qtensor": _quantized,
            "torch._utils._rebuild_sparse_tensor": _sparse,
            "torch._utils._rebuild_nested_tensor": _nested,
            "torch._utils._rebuild_meta_tensor_no_storage": _meta,
            "torch.torch_version.TorchVersion": _version,
        }

    def named(self, dotted: str) -> Found | None:
        """What may be given out under that name."""
        return Found(_NAMES[dotted]) if dotted in _NAMES else None

    def maker(self, dotted: str) -> Callable[[Called], Any] | None:
        """What makes the result of that call."""
        return _module if dotted in _MODULES else self._makers.get(dotted)

    def size(self, items: list[Any]) -> torch.Size:
        """A torch.Size."""
        return torch.Size(items)

    def _untyped(self, number: int) -> torch.UntypedStorage:
        known = self._storages.get(number)
        if known is None:
            view = self._stored.bytes_of(number)
            if not view:
                known = torch.empty(0, dtype=torch.uint8).untyped_storage()
            else:
                flat = torch.frombuffer(view, dtype=torch.uint8)
                known = (flat.clone() if len(view) <= SMALL else flat).untyped_storage()
            known = self._storages[number] = self._restore(known, self._stored.places[number])
        return known

    def storage(self, number: int, dtype: str) -> Any:
        """A storage as torch.load gives it."""
        key = number, dtype
        if key not in self._typed:
            self._typed[key] = torch.storage.TypedStorage(  # type: ignore[no-untyped-call]
                wrap_storage=self._untyped(number), dtype=getattr(torch, dtype), _internal=True
            )
        return self._typed[key]

    def tensor(self, node: Tensor, attributes: Any) -> Any:
        """A view of a storage. Its extent was checked when the node was written."""
        storage = self._untyped(node.storage)
        made = torch.empty((0,), dtype=getattr(torch, node.dtype), device=storage.device)
        made.set_(storage, node.offset, torch.Size(node.shape), tuple(node.stride))
        if node.flips:
            flips = dict.fromkeys(node.flips.split(), True)
            torch._utils.set_tensor_metadata(made, flips)  # type: ignore[no-untyped-call]
        return _finished(made, node.kind, attributes)

    def made(self, kind: str, value: Any, attributes: Any) -> Any:
        """A tensor that a call has made."""
        return _finished(value, kind, attributes) if isinstance(value, torch.Tensor) else value


def _finished(tensor: torch.Tensor, kind: str, states: Any) -> Any:
    grad = "grad" in kind.split()
    made = torch.nn.Parameter(tensor, grad) if "parameter" in kind else tensor.requires_grad_(grad)
    for state in states or ():
        for key, value in state.items():
            # Nothing that a tensor has: an attribute of its own comes before its class's.
            if isinstance(key, str) and not is_special(key) and not hasattr(torch.Tensor, key):
                made.__dict__[key] = value
    return made


def _restoring(map_location: Any) -> Callable[[Any, str], Any]:
    """Where storages go: as torch.load itself decides it."""
    if isinstance(map_location, bytes):
        map_location = map_location.decode("ascii")
    return torch.serialization._get_restore_location(map_location)  # type: ignore[no-any-return,no-untyped-call]


def _plain(called: Called) -> tuple[Any, ...]:
    if called.keywords or called.states or called.items or called.pairs:
        raise TypeError("more than arguments")
    return called.args


def _device(called: Called) -> torch.device:
    kind, *index = _plain(called)
    if type(kind) is not str or not all(type(part) is int for part in index):
        raise TypeError("no device")
    return torch.device(kind, *index)


def _layout(called: Called) -> torch.layout:
    (name,) = _plain(called)
    return _LAYOUTS[name]


def _version(called: Called) -> Any:
    (text,) = called.args
    if type(text) is not str:
        raise TypeError("no version")
    return torch.torch_version.TorchVersion(text)


def _quantized(called: Called) -> torch.Tensor:
    storage, offset, size, stride, quantizer, grad, _ = _plain(called)
    if not isinstance(storage, torch.storage.TypedStorage):
        raise TypeError("no storage")
    sizes, steps, (start,) = views.sizes(size), views.sizes(stride), views.sizes((offset,))
    if len(sizes) != len(steps):
        raise ValueError("another stride than shape")
    return views.quantized(storage, start, sizes, steps, quantizer, grad=bool(grad))


def _sparse(called: Called) -> torch.Tensor:
    layout, data = _plain(called)
    if layout is not torch.sparse_coo:
        return views.sparse(layout, *data)
    indices, values, size, *coalesced = data
    known = bool(coalesced[0]) if coalesced else None
    return views.sparse(layout, indices, values, size, coalesced=known)


def _nested(called: Called) -> torch.Tensor:
    return views.nested(*_plain(called))


def _meta(called: Called) -> torch.Tensor:
    dtype, size, stride, grad = _plain(called)
    if not isinstance(dtype, torch.dtype):
        raise TypeError("no element type")
    return torch.empty_strided(
        views.sizes(size),
        views.sizes(stride),
        dtype=dtype,
        device="meta",
        requires_grad=bool(grad),
    )


def _module(called: Called) -> Any:
    """A layer of torch.nn: made empty, and given its state as unpickling does. Its methods are torch's."""
    if called.args or called.keywords or called.items or called.pairs:
        raise TypeError("more than its state")
    cls = _NAMES[called.name]
    made = cls.__new__(cls)
    (state,) = called.states
    if type(state) is not dict or not all(type(key) is str for key in state):
        raise TypeError("no state of a module")
    if any(key.startswith("__") or callable(getattr(cls, key, None)) for key in state):
        raise TypeError("a method of its own")
    layers = state.get("num_layers", 0)  # a recurrent layer goes over them
    if type(layers) is not int or layers > _MAX_LAYERS:
        raise TypeError("no number of layers")
    for held in ("_parameters", "_buffers", "_modules"):  # what they hold is an attribute, too
        if any(map(is_special, state.get(held) or ())):
            raise TypeError("a name that protocols ask for")
    made.__setstate__(state)
    return made
