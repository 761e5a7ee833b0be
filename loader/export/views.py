"""Tensors of types that safetensors lacks, made again from what was written of them.

Zone: the caller's process, with the caller's torch. The numbers come from a cleared copy and are hostile:
everything that says how they belong together is checked before torch believes it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from safe_load.worker.tensors.dtypes import PACKED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import torch

#: Metadata key -> what the tensor of that name is a view of.
PREFIX = "safe_load.view:"
_LARGEST = 1 << 56
_COMPRESSED = {
    "sparse_csr": ("crow_indices", "col_indices"),
    "sparse_bsr": ("crow_indices", "col_indices"),
    "sparse_csc": ("ccol_indices", "row_indices"),
    "sparse_bsc": ("ccol_indices", "row_indices"),
}
_PER_TENSOR = re.compile(r"per_tensor_affine scale=(\S{1,40}) zero_point=(-?\d{1,19})")
_PER_CHANNEL = re.compile(r"per_channel_affine axis=(\d{1,2})")
_PACKED = re.compile(r"(.{1,80}) shape=([\dx]{0,400})")
_SPARSE = re.compile(r"(sparse_\w{3}) size=([\dx]{0,400})( coalesced)?")


def undone(
    tensors: dict[str, torch.Tensor], metadata: Mapping[str, str]
) -> dict[str, torch.Tensor]:
    """The tensors of a cleared copy as they were in its source. metadata: of the safetensors file.

    A view that cannot be undone, because this torch lacks the type or the parts do not fit each other,
    stays what was written. Parts that have become one tensor are not listed by themselves.
    """
    made = dict(tensors)
    for key, remark in metadata.items():
        name = key.removeprefix(PREFIX)
        if key == name or name not in made:
            continue
        dtype, _, note = remark.partition(" ")
        written = made[name]
        try:
            _undo(made, name, dtype, note)
        except (AttributeError, KeyError, RuntimeError, TypeError, ValueError):
            made[name] = written
    return made


def _undo(made: dict[str, torch.Tensor], name: str, dtype: str, note: str) -> None:
    value = _typed(made[name], dtype)
    if match := _PACKED.fullmatch(note):
        shape = [int(part) for part in match[2].split("x") if part]
        made[name] = _unpacked(made, name, dtype, match[1], shape)
    elif match := _PER_TENSOR.fullmatch(note):
        import torch  # noqa: PLC0415 - the caller has it

        scale, zero = float(match[1]), int(match[2])
        made[name] = torch._make_per_tensor_quantized_tensor(made[name], scale, zero)
    elif match := _PER_CHANNEL.fullmatch(note):
        made[name] = _per_channel(made, name, int(match[1]))
    elif match := _SPARSE.fullmatch(note):
        size = [int(part) for part in match[2].split("x") if part]
        made[name] = value
        _join(made, name, lambda stem: _sparse_of(made, stem, match[1], size, bool(match[3])))
    elif note == "nested":
        made[name] = value
        parts = ("values", "sizes", "strides", "offsets")
        _join(made, name, lambda stem: (parts, nested(*(made[f"{stem}.{p}"] for p in parts))))
    elif not note:
        made[name] = value


def _typed(written: torch.Tensor, dtype: str) -> torch.Tensor:
    """The numbers in the type that torch has for them."""
    import torch  # noqa: PLC0415 - the caller has it

    kind = getattr(torch, dtype)
    if not isinstance(kind, torch.dtype):
        raise TypeError("no type of elements")
    if kind == written.dtype or dtype.startswith("q"):
        return written
    if kind.is_complex and not written.is_complex():
        parts = written.contiguous()
        # Compiled code takes a whole number at once, also to copy it; a file has halves of one at
        # multiples of their own size.
        aligned = parts.data_ptr() % kind.itemsize == 0
        return torch.view_as_complex(parts if aligned else parts.clone())
    if kind.itemsize != written.dtype.itemsize:
        raise TypeError("elements of another size")
    return written.view(kind)


def _unpacked(
    made: dict[str, torch.Tensor], name: str, dtype: str, note: str, shape: list[int]
) -> torch.Tensor:
    """A quantised tensor whose elements are smaller than a byte."""
    import torch  # noqa: PLC0415 - the caller has it

    stride = [1]
    for size in reversed(shape[1:]):
        stride.insert(0, stride[0] * max(size, 1))
    quantizer: tuple[Any, ...]
    parts: tuple[str, ...] = ()
    if match := _PER_TENSOR.fullmatch(note):
        quantizer = torch.per_tensor_affine, float(match[1]), int(match[2])
    elif match := re.fullmatch(r"(per_channel_affine(?:_float_qparams)?) axis=(\d{1,2})", note):
        parts = f"{name}.scales", f"{name}.zero_points"
        quantizer = getattr(torch, match[1]), made[parts[0]], made[parts[1]], int(match[2])
    else:
        raise ValueError("no quantiser")
    bytes_of = made[name].contiguous().clone().untyped_storage()
    storage = torch.storage.TypedStorage(  # type: ignore[no-untyped-call]
        wrap_storage=bytes_of, dtype=getattr(torch, dtype), _internal=True
    )
    whole = quantized(storage, 0, tuple(shape), tuple(stride[: len(shape)]), quantizer)
    for part in parts:
        del made[part]
    return whole


def quantized(
    storage: Any,
    offset: int,
    shape: tuple[int, ...],
    stride: tuple[int, ...],
    quantizer: object,
    *,
    grad: bool = False,
) -> torch.Tensor:
    """A quantised tensor, as torch's pickles have it. Raises ValueError where it does not fit its storage."""
    import torch  # noqa: PLC0415 - the caller has it

    if len(shape) != len(stride):
        raise ValueError("another stride than shape")
    if all(shape):
        last = offset + sum((count - 1) * step for count, step in zip(shape, stride, strict=True))
        in_a_byte = PACKED.get(str(storage.dtype).removeprefix("torch."), 1)
        rows = last // shape[-1] + 1 if in_a_byte > 1 and shape else last + 1
        width = -(-shape[-1] // in_a_byte) if in_a_byte > 1 and shape else 1
        size = torch.empty(0, dtype=storage.dtype).element_size()
        if rows * width * size > storage._untyped_storage.nbytes():
            raise ValueError("it reaches past its storage")
    made: torch.Tensor = torch._utils._rebuild_qtensor(  # type: ignore[no-untyped-call]
        storage, offset, shape, stride, quantizer, grad, {}
    )
    return made


def _per_channel(made: dict[str, torch.Tensor], name: str, axis: int) -> torch.Tensor:
    import torch  # noqa: PLC0415 - the caller has it

    scales, zeros = made[f"{name}.scales"], made[f"{name}.zero_points"]
    if not (made[name].dim() > axis and scales.shape == zeros.shape == (made[name].shape[axis],)):
        raise ValueError("its scales do not fit its shape")
    quantized = torch._make_per_channel_quantized_tensor(made[name], scales, zeros, axis)
    del made[f"{name}.scales"], made[f"{name}.zero_points"]
    return quantized


def _join(
    made: dict[str, torch.Tensor],
    name: str,
    join: Callable[[str], tuple[Sequence[str], torch.Tensor]],
) -> None:
    """Put one tensor in the place of its parts. name: of its values."""
    stem, _, last = name.rpartition(".")
    if last != "values" or stem in made:
        raise ValueError("no part of another tensor")
    parts, whole = join(stem)
    for part in parts:
        del made[f"{stem}.{part}"]
    made[stem] = whole


def _sparse_of(
    made: dict[str, torch.Tensor], stem: str, kind: str, size: list[int], coalesced: bool
) -> tuple[Sequence[str], torch.Tensor]:
    import torch  # noqa: PLC0415 - the caller has it

    indices = _COMPRESSED.get(kind, ("indices",))
    held: list[Any] = [made[f"{stem}.{part}"] for part in (*indices, "values")]
    return (*indices, "values"), sparse(getattr(torch, kind), *held, size, coalesced=coalesced)


def sizes(value: object) -> tuple[int, ...]:
    """The value as sizes or strides. Raises TypeError, ValueError."""
    if not isinstance(value, tuple | list) or len(value) > 64:
        raise TypeError("no sizes")
    if not all(type(size) is int and 0 <= size < _LARGEST for size in value):
        raise ValueError("no sizes")
    return tuple(value)


def sparse(layout: Any, *parts: Any, coalesced: bool | None = None) -> torch.Tensor:
    """A sparse tensor. parts: its indices, values and size, as torch's pickles have them. Raises
    RuntimeError, TypeError or ValueError where they do not fit each other."""
    import torch  # noqa: PLC0415 - the caller has it

    *tensors, size = parts
    for part in tensors:
        if type(part) is not torch.Tensor or part.layout is not torch.strided:
            raise TypeError("no part of a sparse tensor")
    if layout is torch.sparse_coo:
        indices, values = tensors
        return torch.sparse_coo_tensor(
            indices, values, sizes(size), check_invariants=True, is_coalesced=coalesced
        )
    if (
        not isinstance(layout, torch.layout)
        or str(layout).removeprefix("torch.") not in _COMPRESSED
    ):
        raise TypeError("no layout")
    compressed, plain, values = tensors
    return torch.sparse_compressed_tensor(
        compressed, plain, values, sizes(size), layout=layout, check_invariants=True
    )


def nested(buffer: Any, shapes: Any, strides: Any, offsets: Any) -> torch.Tensor:
    """A nested tensor of that buffer. Raises TypeError or ValueError where its tables do not fit it."""
    import torch  # noqa: PLC0415 - the caller has it

    for part in (buffer, shapes, strides, offsets):
        if type(part) is not torch.Tensor or part.layout is not torch.strided or part.is_nested:
            raise TypeError("no part of a nested tensor")
    for table in (shapes, strides, offsets):
        if table.dtype != torch.int64 or bool((table < 0).any()) or bool((table >= _LARGEST).any()):
            raise ValueError("no sizes")
    if shapes.dim() != 2 or shapes.shape != strides.shape or offsets.shape != shapes.shape[:1]:
        raise ValueError("tables that do not fit each other")
    rows = zip(shapes.tolist(), strides.tolist(), offsets.tolist(), strict=True)
    for shape, steps, offset in rows:
        last = sum((size - 1) * step for size, step in zip(shape, steps, strict=True))
        if all(shape) and offset + last >= buffer.numel():
            raise ValueError("it reaches past its buffer")
    made: torch.Tensor = torch._utils._rebuild_nested_tensor(buffer, shapes, strides, offsets)  # type: ignore[no-untyped-call]
    return made
