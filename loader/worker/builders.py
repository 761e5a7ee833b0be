"""What the ordinary calls of a pickle make, as plain data: torch, numpy, containers. Zone: worker.

Each builder is our own: the function whose name it bears is never looked up. A builder that meets
arguments which the real one would not get from an honest pickle raises OddError, and the call is
recorded like that of an unknown callable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from safe_load.worker import builders_numpy, dtypes
from safe_load.worker.odd import OddError, expect, fields, integer, integers, need
from safe_load.worker.refusal import RefusedError
from safe_load.worker.sources import Span
from safe_load.worker.values import (
    Global,
    Inexpressible,
    Mapping,
    Storage,
    StorageView,
    Stub,
    Tensor,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from safe_load.worker.dtypes import Dtype
    from safe_load.worker.inert import InertWorld

__all__ = ["BUILDERS", "KNOWN", "Call", "OddError", "set_state", "too_deep"]

#: torch.Tensor attributes whose setters put other numbers in the tensor's place.
_REPLACING = frozenset({"data", "grad", "_data", "storage", "_storage", "__dict__", "__class__"})


_SCHEMES = frozenset(
    {"per_tensor_affine", "per_channel_affine", "per_channel_affine_float_qparams"}
)


class Call:
    """One call in a stream: who, with what, and the world it happens in."""

    __slots__ = ("args", "at", "func", "opcode", "world")

    def __init__(
        self, world: InertWorld, func: Global, args: tuple[object, ...], opcode: str, at: int
    ) -> None:
        self.world = world
        self.func = func
        self.args = args
        self.opcode = opcode
        self.at = at

    def take(self, least: int, most: int) -> tuple[object, ...]:
        """The arguments, padded with None to `most`. Raises OddError when there are not so many."""
        return tuple(fields(self.args, least, most))


def too_deep() -> RefusedError:
    """The refusal of calls that call calls without end."""
    return RefusedError("the pickle nests rebuilding calls deeper than any checkpoint")


# torch


def dtype_of(value: object) -> Dtype:
    """The element type that a global such as torch.float32 names."""
    package, _, name = expect(value, Global).name.rpartition(".")
    _refuse_packed(name)
    need(package == "torch" and name in dtypes.TORCH)
    return dtypes.TORCH[name]


def storage_dtype(value: object) -> Dtype:
    """The element type that a storage class such as torch.FloatStorage stands for."""
    # torch finds these classes by name alone, in whatever module (UnpicklerWrapper.find_class).
    name = dtypes.STORAGES.get(expect(value, Global).name.rpartition(".")[2], "")
    _refuse_packed(name)
    need(name)
    return dtypes.TORCH[name]


def _refuse_packed(name: str) -> None:
    if name in dtypes.PACKED:
        raise RefusedError(f"it holds {name} tensors, whose elements are smaller than a byte")


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


def _rebuild_tensor_v2(call: Call) -> object:
    storage, offset, shape, stride, grad, _, metadata = call.take(6, 7)
    tensor = _flags(_view(storage, offset, shape, stride, None), metadata)
    tensor.grad = grad is True
    return tensor


def _rebuild_tensor_v3(call: Call) -> object:
    storage, offset, shape, stride, grad, _, dtype, metadata = call.take(7, 8)
    tensor = _flags(_view(storage, offset, shape, stride, dtype_of(dtype)), metadata)
    tensor.grad = grad is True
    return tensor


def _rebuild_qtensor(call: Call) -> object:
    storage, offset, shape, stride, quantizer, _, _ = call.take(7, 7)
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
    return tensor


def _rebuild_parameter(call: Call) -> object:
    data, grad, _ = call.take(3, 3)
    return _as_parameter(data, grad)


def _rebuild_parameter_with_state(call: Call) -> object:
    data, grad, _, state = call.take(4, 4)
    _as_parameter(data, grad)
    call.world.build(data, state, call.at)
    return data


def _parameter(call: Call) -> object:
    data, grad = call.take(1, 2)
    return _as_parameter(data, grad is not False)


def _as_parameter(data: object, grad: object) -> object:
    need(isinstance(data, (Tensor, Stub, Inexpressible)))
    if isinstance(data, Tensor):
        data.grad, data.parameter = grad is True, True
    return data


def _rebuild_from_type_v2(call: Call) -> object:
    func, kind, args, state = call.take(4, 4)
    cls = expect(kind, Global)
    result = call.world.call(func, expect(args, tuple), None, call.opcode, call.at)
    if not cls.allowed:
        # A class of one's own may bring a __setstate__.
        call.world.ledger.called(cls.name, call.opcode, call.at, ())
    if state is not None:
        call.world.build(result, state, call.at)
    return result


def _on_device(call: Call) -> object:
    need(len(call.args) == 4 and isinstance(call.args[0], Tensor))
    return call.args[0]


def _inexpressible(what: str) -> Callable[[Call], object]:
    return lambda _: Inexpressible(what)


def _wrapper(call: Call) -> object:
    return Stub(call.func.name, call.args)


def _load_from_bytes(call: Call) -> object:
    (data,) = call.take(1, 1)
    if call.world.nested is None:
        raise OddError
    return call.world.nested(data)


def _same(call: Call) -> object:
    """TorchScript's typed lists and dicts, which torch.jit._pickle gives back as they are."""
    return call.take(1, 2)[0]


def _torch_size(call: Call) -> object:
    (sizes,) = call.take(1, 1)
    return integers(sizes)


# Containers and plain data


def _mapping(call: Call) -> object:
    (first,) = call.take(0, 1)
    result = Mapping(call.func.name)
    for pair in first.items() if isinstance(first, dict) else _sequence(first):
        key, value = _sequence(pair, 2)
        result[_hashable(key)] = value
    return result


def _sequence(value: object, length: int | None = None) -> list[object]:
    """The items of a list, tuple or set, of that length; nothing for None."""
    need(value is None or isinstance(value, (list, tuple, set, frozenset)))
    items: list[object] = list(value or ())  # type: ignore[call-overload]
    need(length is None or len(items) == length)
    return items


def _defaultdict(call: Call) -> object:
    factory, *rest = call.take(0, 2)
    need(factory is None or isinstance(factory, (Global, Stub)))
    return _mapping(
        Call(call.world, call.func, tuple(r for r in rest if r is not None), "", call.at)
    )


def _hashable(value: object) -> object:
    """A key whose hash is cheap: a scalar, or something that is hashed by identity."""
    if isinstance(value, tuple):
        need(
            len(value) <= 64 and all(type(item) in {str, int, float, bool, bytes} for item in value)
        )
    else:
        need(not isinstance(value, (list, dict, set, bytearray, frozenset)))
    return value


def _set(call: Call) -> object:
    return {_hashable(item) for item in _sequence(call.take(0, 1)[0])}


def _frozenset(call: Call) -> object:
    return frozenset(_set(call))  # type: ignore[call-overload]


def _list(call: Call) -> object:
    return _sequence(call.take(0, 1)[0])


def _deque(call: Call) -> object:
    items, _ = call.take(0, 2)
    return _sequence(items)


def _bytearray(call: Call) -> object:
    data, encoding = call.take(0, 2)
    if isinstance(data, str) and encoding == "latin-1":
        return bytearray(_latin1(data))
    return data if isinstance(data, Span) else bytearray(expect(data or b"", bytes))


def _bytes(call: Call) -> object:
    need(not call.args)
    return b""


def _complex(call: Call) -> object:
    real, imaginary = call.take(2, 2)
    return complex(expect(real, float), expect(imaginary, float))


def _encode(call: Call) -> object:
    text, encoding = call.take(2, 2)
    need(expect(encoding, str) in {"latin1", "latin-1", "iso-8859-1"})
    return _latin1(expect(text, str))


def _latin1(text: str) -> bytes:
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        raise OddError from None


def _reconstructor(call: Call) -> object:
    """copyreg._reconstructor(cls, base, state): protocol 0 and 1 objects."""
    cls, base, state = call.take(3, 3)
    expect(base, Global)
    return call.world.call(cls, () if state is None else (state,), None, call.opcode, call.at)


def _getattr(call: Call) -> object:
    """Python 3.11 pickles an enum's member as getattr(its class, "MEMBER"), and below protocol 4 a
    class's own function for unpickling, as of ZoneInfo, in the same way."""
    owner, name = call.take(2, 2)
    cls, member = expect(owner, Global), expect(name, str)
    attribute = f"{cls.name.removeprefix(cls.module + '.')}.{member}"
    if call.world.ledger.allowlist.names(f"{cls.module}.{attribute}"):
        call.world.ledger.excuse(call.func.name)
        return Global(cls.module, attribute, allowed=True)
    need(cls.allowed and cls.name not in KNOWN)
    need(member.isidentifier() and not member.startswith("_"))
    call.world.ledger.excuse(call.func.name)
    return Stub(f"{cls.name}.{member}")


BUILDERS: dict[str, Callable[[Call], object]] = {
    "torch._utils._rebuild_tensor": _rebuild_tensor,
    "torch._utils._rebuild_tensor_v2": _rebuild_tensor_v2,
    "torch._utils._rebuild_tensor_v3": _rebuild_tensor_v3,
    "torch._utils._rebuild_qtensor": _rebuild_qtensor,
    "torch._utils._rebuild_parameter": _rebuild_parameter,
    "torch._utils._rebuild_parameter_with_state": _rebuild_parameter_with_state,
    "torch._utils._rebuild_sparse_tensor": _inexpressible("is a sparse tensor"),
    "torch._utils._rebuild_sparse_csr_tensor": _inexpressible("is a sparse tensor"),
    "torch._utils._rebuild_nested_tensor": _inexpressible("is a nested tensor"),
    "torch._utils._rebuild_wrapper_subclass": _wrapper,
    "torch._utils._rebuild_meta_tensor_no_storage": _inexpressible(
        "is a meta tensor: it has a shape but no numbers"
    ),
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
    "collections.OrderedDict": _mapping,
    "collections.defaultdict": _defaultdict,
    "collections.Counter": _mapping,
    "collections.deque": _deque,
    "builtins.set": _set,
    "builtins.frozenset": _frozenset,
    "builtins.list": _list,
    "builtins.bytearray": _bytearray,
    "builtins.bytes": _bytes,
    "builtins.complex": _complex,
    "builtins.getattr": _getattr,
    "_codecs.encode": _encode,
    "copyreg._reconstructor": _reconstructor,
    **builders_numpy.BUILDERS,
}
#: Names that are ordinary whatever the policy says: builders, element types, storage classes.
KNOWN = frozenset(
    {
        *(name for name in BUILDERS if name != "builtins.getattr"),
        *(f"torch.{name}" for name in (*dtypes.TORCH, *dtypes.PACKED)),
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
    """BUILD on something that a builder made. Raises OddError where no honest pickle does that."""
    if builders_numpy.set_state(target, state):
        return
    need(isinstance(target, (Tensor, Inexpressible)))
    dicts = state if isinstance(state, tuple) else (state,)
    need(all(part is None or isinstance(part, dict) for part in dicts))
    for part in dicts:
        # Attributes are data beside the tensor, but for those that replace what it holds.
        for key in part or ():
            need(type(key) is str and key not in _REPLACING)
