"""What the ordinary calls of a pickle make, as plain data: torch, numpy, containers. Zone: worker.

Each builder is our own: the function whose name it bears is never looked up. A builder that meets
arguments which the real one would not get from an honest pickle raises UnexpectedArgument, and the call is
recorded like that of an unknown callable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from safe_load.worker.pickle_vm import builders_arrow, builders_numpy, builders_python, held
from safe_load.worker.pickle_vm.arguments import (
    UnexpectedArgument,
    expect,
    integer,
    integers,
    need,
)
from safe_load.worker.pickle_vm.builders_python import PARTIAL, is_partial
from safe_load.worker.pickle_vm.calls import Call
from safe_load.worker.pickle_vm.values import (
    Global,
    Inexpressible,
    Size,
    Storage,
    StorageView,
    Stub,
    Tensor,
)
from safe_load.worker.refusal import RefusedError
from safe_load.worker.tensors import dtypes

if TYPE_CHECKING:
    from collections.abc import Callable

    from safe_load.worker.tensors.dtypes import Dtype

__all__ = [
    "BUILDERS",
    "KNOWN",
    "PARTIAL",
    "Call",
    "UnexpectedArgument",
    "is_partial",
    "set_state",
    "too_deep",
]


#: torch.Tensor attributes whose setters put other numbers in the tensor's place, or functions where it calls
#: them (torch/csrc/autograd/python_variable.cpp, THPVariable_properties).
_REPLACING = frozenset(
    "data grad _data _grad real imag storage _storage __dict__ __class__ grad_dtype _grad_fn _backward_hooks"
    " _post_accumulate_grad_hooks".split()
)


_SCHEMES = frozenset(
    {"per_tensor_affine", "per_channel_affine", "per_channel_affine_float_qparams"}
)


def too_deep() -> RefusedError:
    """The refusal of calls that call calls without end."""
    return RefusedError("the pickle nests rebuilding calls deeper than any checkpoint")


# torch


def dtype_of(value: object) -> Dtype:
    """The element type that a global such as torch.float32 names."""
    package, _, name = expect(value, Global).name.rpartition(".")
    need(package == "torch" and name in dtypes.TORCH)
    return dtypes.TORCH[name]


def storage_dtype(value: object) -> Dtype:
    """The element type that a storage class such as torch.FloatStorage stands for."""
    # torch finds these classes by name alone, in whatever module (UnpicklerWrapper.find_class).
    name = dtypes.STORAGES.get(expect(value, Global).name.rpartition(".")[2], "")
    need(name)
    return dtypes.TORCH[name]


def _view(
    storage: object, offset: object, shape: object, stride: object, dtype: Dtype | None
) -> Tensor:
    start = 0
    if isinstance(storage, StorageView):
        start, storage = storage.offset, storage.root
    root = expect(storage, Storage)
    sizes, steps = integers(shape), integers(stride)
    need(len(sizes) == len(steps))
    return Tensor(root, dtype or root.dtype, integer(offset), sizes, steps, start=start)


def _flags(tensor: Tensor, metadata: object) -> Tensor:
    """Apply the conj and neg bits that torch keeps beside a view (torch._C._set_tensor_metadata)."""
    if metadata is not None:
        flips = [key for key in ("conj", "neg") if expect(metadata, dict).get(key)]
        need(not flips or (tensor.dtype is not None and tensor.dtype.is_float))
        tensor.flips = tuple(flips)
    return tensor


def _rebuild_tensor(call: Call) -> object:
    storage, offset, shape, stride = call.take(4, 4)
    return _view(storage, offset, shape, stride, None)


def _hooks(call: Call, hooks: object) -> None:
    """A tensor's backward hooks: each is called with its gradient."""
    call.world.hold(Stub("torch.Tensor"), hooks, call.opcode, call.offset)


def _rebuild_tensor_v2(call: Call) -> object:
    storage, offset, shape, stride, grad, hooks, metadata = call.take(6, 7)
    _hooks(call, hooks)
    tensor = _flags(_view(storage, offset, shape, stride, None), metadata)
    tensor.grad = grad is True
    return tensor


def _rebuild_tensor_v3(call: Call) -> object:
    storage, offset, shape, stride, grad, hooks, dtype, metadata = call.take(7, 8)
    _hooks(call, hooks)
    tensor = _flags(_view(storage, offset, shape, stride, dtype_of(dtype)), metadata)
    tensor.grad = grad is True
    return tensor


def _rebuild_qtensor(call: Call) -> object:
    storage, offset, shape, stride, quantizer, _, hooks = call.take(7, 7)
    _hooks(call, hooks)
    tensor = _view(storage, offset, shape, stride, None)
    parameters = expect(quantizer, tuple)
    need(len(parameters) in {3, 4})
    scheme = expect(parameters[0], Global).name.removeprefix("torch.")
    need(scheme in _SCHEMES)
    if len(parameters) == 3:
        scale, zero = expect(parameters[1], float), integer(abs(expect(parameters[2], int)))
        sign = "-" if parameters[2] < 0 else ""
        tensor.note = f"{scheme} scale={scale!r} zero_point={sign}{zero}"
    else:
        tensor.note = f"{scheme} axis={integer(parameters[3])}"
        tensor.parts = {"scales": parameters[1], "zero_points": parameters[2]}
    tensor.made = call.func.name, call.args
    return tensor


def _rebuild_parameter(call: Call) -> object:
    data, grad, hooks = call.take(3, 3)
    _hooks(call, hooks)
    return _as_parameter(data, grad)


def _rebuild_parameter_with_state(call: Call) -> object:
    data, grad, hooks, state = call.take(4, 4)
    _hooks(call, hooks)
    _as_parameter(data, grad)
    call.world.build(data, state, call.offset)
    return data


def _parameter(call: Call) -> object:
    data, grad = call.take(1, 2)
    return _as_parameter(data, grad is not False)


def _as_parameter(data: object, grad: object) -> object:
    # A stub: of a tensor subclass, or of a call that is recorded already.
    need(isinstance(data, (Tensor, Inexpressible)) or (isinstance(data, Stub) and _is_noted(data)))
    if isinstance(data, (Tensor, Inexpressible)):
        data.grad, data.parameter = grad is True, True
    return data


def _is_noted(stub: Stub) -> bool:
    return stub.trust == "recorded" or stub.made_by == "torch._utils._rebuild_wrapper_subclass"


def _rebuild_from_type_v2(call: Call) -> object:
    func, kind, args, state = call.take(4, 4)
    cls = expect(kind, Global)
    result = call.world.call(func, expect(args, tuple), None, call.opcode, call.offset)
    if not cls.allowed and cls.name not in held.VALUES:
        # A class of one's own may bring a __setstate__.
        call.world.ledger.called(cls.name, call.opcode, call.offset, ())
    if state is not None:
        call.world.build(result, state, call.offset)
    return result


def _on_device(call: Call) -> object:
    need(len(call.args) == 4 and isinstance(call.args[0], Tensor))
    return call.args[0]


#: Layout -> what torch calls its tensors of indices (torch/_utils.py, _rebuild_sparse_tensor).
_INDICES = {
    "torch.sparse_coo": ("indices",),
    "torch.sparse_csr": ("crow_indices", "col_indices"),
    "torch.sparse_bsr": ("crow_indices", "col_indices"),
    "torch.sparse_csc": ("ccol_indices", "row_indices"),
    "torch.sparse_bsc": ("ccol_indices", "row_indices"),
}


def _inexpressible(
    call: Call, what: str, names: tuple[str, ...] = (), parts: tuple[object, ...] = ()
) -> Inexpressible:
    for arg in call.args:
        need(isinstance(arg, Global) or held.is_data(arg))
    made = call.func.name, call.args
    return Inexpressible(what, made, dict(zip(names, parts, strict=True)))


def _sparse(call: Call) -> object:
    layout, data = call.take(2, 2)
    args = layout.args if isinstance(layout, Stub) else ()
    named = layout.name if isinstance(layout, Global) else (*expect(args, tuple), "")[0]
    indices = _INDICES.get(expect(named, str), ())
    parts = expect(data, tuple)
    need(indices and len(parts) > len(indices) + 1)
    names = (*indices, "values")
    made = _inexpressible(call, "is a sparse tensor", names, parts[: len(names)])
    values = expect(parts[len(indices)], Tensor)
    size = "x".join(map(str, integers(parts[len(indices) + 1])))
    call.world.ledger.sparse.append((made, call.world.ledger.member, call.offset))
    coalesced = " coalesced" if parts[len(indices) + 2 :] == (True,) else ""
    values.note = f"{str(named).removeprefix('torch.')} size={size}{coalesced}"
    return made


def _nested(call: Call) -> object:
    call.take(4, 4)
    names = ("values", "sizes", "strides", "offsets")
    made = _inexpressible(call, "is a nested tensor", names, call.args)
    expect(call.args[0], Tensor).note = "nested"
    return made


def _meta(call: Call) -> object:
    return _inexpressible(call, "is a meta tensor: it has a shape but no numbers")


def _wrapper(call: Call) -> object:
    need(call.args and expect(call.args[0], Global).allowed)
    return Stub(call.func.name, call.args)


def _load_from_bytes(call: Call) -> object:
    (data,) = call.take(1, 1)
    if call.world.nested is None:
        raise UnexpectedArgument
    return call.world.nested(data)


def _same(call: Call) -> object:
    """TorchScript's typed lists and dicts, which torch.jit._pickle gives back as they are."""
    return call.take(1, 2)[0]


def _torch_size(call: Call) -> object:
    (sizes,) = call.take(1, 1)
    return Size(integers(sizes))


BUILDERS: dict[str, Callable[[Call], object]] = {
    "torch._utils._rebuild_tensor": _rebuild_tensor,
    "torch._utils._rebuild_tensor_v2": _rebuild_tensor_v2,
    "torch._utils._rebuild_tensor_v3": _rebuild_tensor_v3,
    "torch._utils._rebuild_qtensor": _rebuild_qtensor,
    "torch._utils._rebuild_parameter": _rebuild_parameter,
    "torch._utils._rebuild_parameter_with_state": _rebuild_parameter_with_state,
    "torch._utils._rebuild_sparse_tensor": _sparse,
    "torch._utils._rebuild_sparse_csr_tensor": _sparse,
    "torch._utils._rebuild_nested_tensor": _nested,
    "torch._utils._rebuild_wrapper_subclass": _wrapper,
    "torch._utils._rebuild_meta_tensor_no_storage": _meta,
    "torch._utils._rebuild_device_tensor_from_numpy": _on_device,
    "torch._utils._rebuild_device_tensor_from_cpu_tensor": _on_device,
    "torch._utils._rebuild_xla_tensor": _on_device,
    "torch._tensor._rebuild_from_type_v2": _rebuild_from_type_v2,
    "torch.storage._load_from_bytes": _load_from_bytes,
    "torch.nn.parameter.Parameter": _parameter,
    "torch.Size": _torch_size,
    **{
        f"torch.jit._pickle.build_{kind}list": _same for kind in ("int", "double", "bool", "tensor")
    },
    "torch.jit._pickle.restore_type_tag": _same,
    **builders_python.BUILDERS,
    **builders_numpy.BUILDERS,
    **builders_arrow.BUILDERS,
}
#: Names that are ordinary whatever the policy says: builders, element types, storage classes.
KNOWN = frozenset(
    {
        *(name for name in BUILDERS if name != "builtins.getattr" and "operator." not in name),
        *(f"torch.{name}" for name in dtypes.TORCH),
        *(f"torch.{name}" for name in dtypes.STORAGES),
        *(f"torch.cuda.{name}" for name in dtypes.STORAGES),
        *(f"torch.storage.{name}" for name in (*dtypes.STORAGES, "TypedStorage")),
        "numpy.ndarray",
        "torch.Tensor",
        "torch._tensor.Tensor",
        "torch.device",
        "builtins.object",
        "builtins.dict",
        "builtins.tuple",
    }
)


def set_state(target: object, state: object) -> None:
    """BUILD on something that a builder made. Raises UnexpectedArgument where no honest pickle does that."""
    if builders_numpy.set_state(target, state):
        return
    if not isinstance(target, (Tensor, Inexpressible)):
        raise UnexpectedArgument
    dicts = state if isinstance(state, tuple) else (state,)
    need(all(part is None or isinstance(part, dict) for part in dicts))
    for part in dicts:
        # Attributes are data beside the tensor, but for those that replace what it holds.
        for key in part or ():
            need(type(key) is str and key not in _REPLACING)
        if part:
            target.state.append(part)
