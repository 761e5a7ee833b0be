"""What a pickle becomes when nothing of it is run: data, tensors and inert stand-ins. Zone: worker.

None of these classes has a method that hostile state could replace or reach.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from safe_load.worker.dtypes import Dtype
    from safe_load.worker.sources import Span


class Global:
    """A callable or class that a pickle names. Never looked up, never called."""

    __slots__ = ("allowed", "module", "name")

    def __init__(self, module: str, attribute: str, *, allowed: bool) -> None:
        self.module = module
        #: Dotted: module and attribute.
        self.name = f"{module}.{attribute}"
        self.allowed = allowed


class Stub:
    """What a call would have returned: who was called, with what, and what was added later.

    made_by: the callable, for people; state: what BUILD gave it; items: what APPEND or ADDITEMS
    gave it, pairs: what SETITEM gave it.
    """

    __slots__ = ("args", "items", "kwargs", "made_by", "pairs", "state")

    def __init__(self, made_by: str, args: object = (), kwargs: object = None) -> None:
        self.made_by = made_by
        self.args = args
        self.kwargs = kwargs
        self.state: list[object] = []
        self.items: list[object] = []
        self.pairs: list[tuple[object, object]] = []


class Mapping(dict[object, object]):
    """An OrderedDict, defaultdict or Counter. kind: which, dotted; state: what BUILD gave it (torch
    keeps `_metadata` there)."""

    __slots__ = ("kind", "state")

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.state: object = None


class Storage:
    """A torch storage. span is None while a legacy file has not come to its data.

    size: bytes, as the pickle says. swapped: the elements have the other byte order.
    """

    __slots__ = ("dtype", "size", "span", "swapped")

    def __init__(
        self, dtype: Dtype, size: int, span: Span | None, *, swapped: bool = False
    ) -> None:
        self.dtype = dtype
        self.size = size
        self.span = span
        self.swapped = swapped


class StorageView:
    """A legacy storage that is a part of another one; offset and size in bytes."""

    __slots__ = ("dtype", "offset", "root", "size")

    def __init__(self, root: Storage, dtype: Dtype, offset: int, size: int) -> None:
        self.root = root
        self.dtype = dtype
        self.offset = offset
        self.size = size


class Tensor:
    """A strided view of a storage; shape, stride and offset in elements. Not yet checked.

    storage None: an array of numpy that holds no numbers, its objects in `state`. start: bytes of
    the storage before element 0 of `offset`. flips: any of "conj" and "neg", still to be applied.
    note: what the metadata should say of it besides its dtype. grad: whether it requires gradients;
    parameter: whether it is a torch.nn.Parameter.
    """

    __slots__ = (
        "dtype",
        "flips",
        "grad",
        "kind",
        "note",
        "offset",
        "parameter",
        "parts",
        "shape",
        "start",
        "storage",
        "stride",
    )

    def __init__(
        self,
        storage: Storage | None,
        dtype: Dtype | None,
        offset: int,
        shape: tuple[int, ...],
        stride: tuple[int, ...],
        *,
        start: int = 0,
        kind: str = "torch",
    ) -> None:
        self.storage = storage
        self.dtype = dtype
        self.offset = offset
        self.shape = shape
        self.stride = stride
        self.start = start
        self.kind = kind
        self.flips: tuple[str, ...] = ()
        self.note = ""
        self.grad = False
        self.parameter = False
        #: Further tensors that belong to it, by name: the scales of a quantised one.
        self.parts: dict[object, object] = {}


class Inexpressible:
    """A tensor that safetensors has no way to say. reason: what it is."""

    __slots__ = ("reason",)

    def __init__(self, reason: str) -> None:
        self.reason = reason
