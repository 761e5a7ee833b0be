"""What torch and numpy call their element types, and how safetensors writes them. Zone: worker.

Adding a type is one line in one of these tables.
"""

from __future__ import annotations

import re


class Dtype:
    """An element type. Compared by identity: there is one object for each torch dtype.

    name: as torch says it, without "torch."; size: bytes of an element; safetensors: the name in
    the header; view: the size of the trailing dimension that one element becomes, 0 for none; exact:
    False when safetensors has no such type, so that the reader must be told; swap: bytes of one
    number, which a change of byte order reverses.
    """

    __slots__ = ("exact", "is_complex", "is_float", "name", "safetensors", "size", "swap", "view")

    def __init__(
        self, name: str, size: int, safetensors: str, *, exact: bool, view: int = 0
    ) -> None:
        self.name = name
        self.size = size
        self.safetensors = safetensors
        self.exact = exact
        self.view = view
        self.is_complex = name.startswith("complex")
        self.is_float = self.is_complex or name.startswith(("float", "bfloat"))
        self.swap = size // 2 if self.is_complex else size


#: torch name -> bytes, safetensors name: the types that safetensors 0.8 reads back as they were.
_EXACT = {
    "bool": (1, "BOOL"),
    "uint8": (1, "U8"),
    "int8": (1, "I8"),
    "uint16": (2, "U16"),
    "int16": (2, "I16"),
    "uint32": (4, "U32"),
    "int32": (4, "I32"),
    "uint64": (8, "U64"),
    "int64": (8, "I64"),
    "float16": (2, "F16"),
    "bfloat16": (2, "BF16"),
    "float32": (4, "F32"),
    "float64": (8, "F64"),
    "complex64": (8, "C64"),
    "float8_e4m3fn": (1, "F8_E4M3"),
    "float8_e5m2": (1, "F8_E5M2"),
    "float8_e4m3fnuz": (1, "F8_E4M3FNUZ"),
    "float8_e5m2fnuz": (1, "F8_E5M2FNUZ"),
    "float8_e8m0fnu": (1, "F8_E8M0"),
    "float4_e2m1fn_x2": (1, "F4"),
}
#: torch name -> bytes, safetensors name, numbers in an element: written as a documented view.
_VIEWED = {
    "complex128": (16, "F64", 2),
    "complex32": (4, "F16", 2),
    "qint8": (1, "I8", 0),
    "quint8": (1, "U8", 0),
    "qint32": (4, "I32", 0),
    "quint4x2": (1, "U8", 0),
    "quint2x4": (1, "U8", 0),
    "bits8": (1, "U8", 0),
    "bits16": (2, "U16", 0),
    "bits1x8": (1, "U8", 0),
    "bits2x4": (1, "U8", 0),
    "bits4x2": (1, "U8", 0),
    **{f"uint{bits}": (1, "U8", 0) for bits in range(1, 8)},
    **{f"int{bits}": (1, "I8", 0) for bits in range(1, 8)},
}
TORCH: dict[str, Dtype] = {
    **{name: Dtype(name, size, st, exact=True) for name, (size, st) in _EXACT.items()},
    **{name: Dtype(name, size, st, exact=False, view=n) for name, (size, st, n) in _VIEWED.items()},
}
#: Types whose elements are smaller than a byte -> elements of a byte: torch counts elements, storages hold
#: packed bytes, and each row begins with a new one (c10/core/ScalarType.h, aten/src/ATen/EmptyTensor.cpp).
PACKED = {"quint4x2": 2, "quint2x4": 4}

#: The classes of torch.storage that name an element type (torch/storage.py).
STORAGES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "BFloat16Storage": "bfloat16",
    "ComplexDoubleStorage": "complex128",
    "ComplexFloatStorage": "complex64",
    "QInt8Storage": "qint8",
    "QInt32Storage": "qint32",
    "QUInt8Storage": "quint8",
    "QUInt4x2Storage": "quint4x2",
    "QUInt2x4Storage": "quint2x4",
    "UntypedStorage": "uint8",
}

_NUMPY = {
    "b1": "bool",
    "i1": "int8",
    "i2": "int16",
    "i4": "int32",
    "i8": "int64",
    "u1": "uint8",
    "u2": "uint16",
    "u4": "uint32",
    "u8": "uint64",
    "f2": "float16",
    "f4": "float32",
    "f8": "float64",
    "c8": "complex64",
    "c16": "complex128",
}


#: How numpy writes the types of elements: kind and bytes. Nothing else is read: numpy knows longer
#: spellings ("object", "i4,object") of types that are more than numbers.
_LETTERS = re.compile(r"[<>=|]?(?:[biufcSUV]\d{1,9}|[Mm]8(?:\[\w{1,12}\])?|O\d?)")


def is_numpy_type(text: object) -> bool:
    """Whether a text is a type of elements as numpy writes it ("<f4")."""
    return isinstance(text, str) and _LETTERS.fullmatch(text) is not None


class NumpyDtype:
    """A numpy dtype: its letters ("f4"), its byte order, and whether it is a plain number.

    objects: whether elements, or parts of them, are objects, which numpy pickles; itemsize: bytes of an
    element; closed: nothing may change it any more, for something was made with it, or it was never
    one of its own; state: what BUILD gave it; record: whether an element has its fields as attributes.
    """

    __slots__ = (
        *("closed", "fields", "itemsize", "letters", "objects", "order"),
        *("record", "state", "structured"),
    )

    def __init__(self, letters: str, *, closed: bool = True) -> None:
        self.letters = letters.lstrip("<>=|")
        self.order = letters[0] if letters[:1] in {"<", ">"} else "="
        self.structured = self.record = False
        self.state: tuple[object, ...] | None = None
        self.closed = closed
        #: Of a structure: name -> type of the part, and its offset in bytes.
        self.fields: dict[object, tuple[NumpyDtype, int]] = {}
        self.objects = self.letters[:1] == "O"
        self.itemsize = self._size()

    def _size(self) -> int:
        if self.letters[:1] in {"M", "m", "O"}:
            return 8
        digits = self.letters[1:]
        size = int(digits) if digits.isascii() and digits.isdigit() else 0
        return size * 4 if self.letters[:1] == "U" else size

    @property
    def torch(self) -> Dtype | None:
        """The element type that torch would make of it, or None."""
        name = None if self.structured else _NUMPY.get(self.letters)
        return None if name is None else TORCH[name]


#: safetensors name -> bits of an element, in the order of the library's enumeration: it lays a
#: file out by this rank descending, then by name (safetensors/src/tensor.rs, `prepare`).
SAFETENSORS: dict[str, int] = {
    "BOOL": 8,
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "U8": 8,
    "I8": 8,
    "F8_E5M2": 8,
    "F8_E4M3": 8,
    "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8,
    "I16": 16,
    "U16": 16,
    "F16": 16,
    "BF16": 16,
    "I32": 32,
    "U32": 32,
    "F32": 32,
    "C64": 64,
    "F64": 64,
    "I64": 64,
    "U64": 64,
}
RANK = {name: rank for rank, name in enumerate(SAFETENSORS)}
#: safetensors name -> the torch dtype that it becomes.
FROM_SAFETENSORS = {st: name for name, (_, st) in _EXACT.items()}
