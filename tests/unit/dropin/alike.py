"""Whether two values are the same all through: types, numbers bit for bit, what is shared."""

from __future__ import annotations

import struct
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch


def assert_alike(expected: Any, got: Any) -> None:
    """Raises AssertionError unless they are."""
    assert type(got) is type(expected)
    if isinstance(expected, torch.Tensor):
        _tensors(expected, got)
    elif isinstance(expected, np.ndarray):
        _arrays(expected, got)
    elif isinstance(expected, np.generic):
        assert got.dtype == expected.dtype
        if _is_padded(expected.dtype):
            assert repr(got) == repr(expected)
        else:
            assert got.tobytes() == expected.tobytes()
    elif isinstance(expected, dict):
        assert_alike(list(expected), list(got))
        assert getattr(got, "_metadata", None) == getattr(expected, "_metadata", None)
        for one, other in zip(expected.values(), got.values(), strict=True):
            assert_alike(one, other)
    elif isinstance(expected, (list, tuple)) or hasattr(expected, "maxlen"):
        assert getattr(got, "maxlen", None) == getattr(expected, "maxlen", None)
        assert len(got) == len(expected)
        for one, other in zip(expected, got, strict=True):
            assert_alike(one, other)
    elif isinstance(expected, float):
        assert struct.pack("d", got) == struct.pack("d", expected)
    elif isinstance(expected, complex):
        assert_alike((expected.real, expected.imag), (got.real, got.imag))
    elif isinstance(expected, torch.nn.Module):
        assert_alike(expected.state_dict(), got.state_dict())
        assert repr(got) == repr(expected)
    elif isinstance(expected, torch.storage.TypedStorage):
        assert (got.dtype, got.tolist()) == (expected.dtype, expected.tolist())
    elif isinstance(expected, SimpleNamespace) or type(expected).__name__ == "Namespace":
        assert_alike(vars(expected), vars(got))
    else:
        assert got == expected


def _arrays(expected: Any, got: Any) -> None:
    assert (got.dtype, got.shape) == (expected.dtype, expected.shape)
    assert got.flags.f_contiguous == expected.flags.f_contiguous
    assert got.dtype.type is expected.dtype.type
    if isinstance(expected, np.ma.MaskedArray):
        assert_alike(np.asarray(expected.mask), np.asarray(got.mask))
        assert_alike(np.asarray(expected.fill_value), np.asarray(got.fill_value))
        expected, got = expected.data, got.data
    if expected.dtype.hasobject or _is_padded(expected.dtype):
        assert repr(expected.tolist()) == repr(got.tolist())
    else:
        assert got.tobytes() == expected.tobytes()
        assert got.flags.writeable


def _is_padded(dtype: np.dtype[Any]) -> bool:
    """Whether an element has bytes that mean nothing."""
    return dtype.names is not None or dtype.char in "gG"


def _tensors(expected: torch.Tensor, got: torch.Tensor) -> None:
    for fact in (
        "dtype",
        "shape",
        "layout",
        "device",
        "requires_grad",
        "is_nested",
        "is_quantized",
    ):
        if fact != "shape" or not expected.is_nested:
            assert getattr(got, fact) == getattr(expected, fact)
    assert vars(got) == vars(expected)
    if expected.is_meta:
        return
    if expected.is_nested:
        for one, other in zip(expected.unbind(), got.unbind(), strict=True):
            _tensors(one, other)
    elif expected.layout is not torch.strided:
        assert torch.equal(expected.to_dense(), got.to_dense())
    elif expected.is_quantized:
        assert expected.qscheme() == got.qscheme()
        assert torch.equal(expected.dequantize(), got.dequantize())
        assert _raw(expected) == _raw(got)
    else:
        assert (got.stride(), got.storage_offset()) == (
            expected.stride(),
            expected.storage_offset(),
        )
        assert (got.is_conj(), got.is_neg()) == (expected.is_conj(), expected.is_neg())
        assert _bytes(got) == _bytes(expected)
        assert got.untyped_storage().nbytes() == expected.untyped_storage().nbytes()


def _raw(tensor: torch.Tensor) -> bytes:
    return torch.tensor([], dtype=torch.uint8).set_(tensor.untyped_storage()).numpy().tobytes()


def _bytes(tensor: torch.Tensor) -> bytes:
    plain = tensor.detach().resolve_conj().resolve_neg().contiguous()
    return plain.reshape(-1).view(torch.uint8).numpy().tobytes() if plain.numel() else b""
