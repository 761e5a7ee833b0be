"""What a pickle becomes when nothing of it is run: data, tensors and inert stand-ins. Zone: worker.

None of these classes has a method that hostile state could replace or reach.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from safe_load.worker.spans import Span

if TYPE_CHECKING:
    from collections.abc import Iterable

    from safe_load.worker.tensors.dtypes import Dtype, NumpyDtype


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

    made_by: the callable, for people; trust: "inert" (plain data, made by a call whose arguments were
    checked), "listed" (an honest library's, used as that library's pickles use it), "plain" (made as
    pickle makes an object of any class), "code" (a part of the code that the file brings, or an object of its
    class) or "recorded" (known to be more than that); state: what BUILD gave it; items: what APPEND or ADDITEMS
    gave it, pairs: what SETITEM gave it.
    """

    __slots__ = ("args", "items", "kwargs", "made_by", "pairs", "state", "trust")

    def __init__(
        self, made_by: str, args: object = (), kwargs: object = None, *, trust: str = "inert"
    ) -> None:
        self.trust = trust
        self.made_by = made_by
        self.args = args
        self.kwargs = kwargs
        self.state: list[object] = []
        self.items: list[object] = []
        self.pairs: list[tuple[object, object]] = []


class Mapping(dict[object, object]):
    """An OrderedDict, defaultdict or Counter. kind: which, dotted; state: what BUILD gave it (torch
    keeps `_metadata` there); factory: of a defaultdict."""

    __slots__ = ("factory", "kind", "state")

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.state: object = None
        self.factory: object = None


class Deque(list[object]):
    """A collections.deque. maxlen: as the pickle says, or None."""

    __slots__ = ("maxlen",)

    def __init__(self, items: Iterable[object], maxlen: int | None) -> None:
        super().__init__(items)
        self.maxlen = maxlen


class Size(tuple[int, ...]):
    """A torch.Size."""

    __slots__ = ()


class ByteArray(Span):
    """A bytearray that stays in the file."""

    __slots__ = ()


class Storage:
    """A torch storage. span is None while a legacy file has not come to its data.

    size: bytes, as the pickle says. swapped: the elements have the other byte order. location: the
    device that the file names, hostile text.
    """

    __slots__ = ("dtype", "location", "size", "span", "swapped")

    def __init__(
        self,
        dtype: Dtype,
        size: int,
        span: Span | None,
        *,
        swapped: bool = False,
        location: object = "cpu",
    ) -> None:
        self.location = location
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
    element, raw, sizes: of an array of numpy, the type of its elements, their bytes and its shape, also
    where torch has no such type. note: what the metadata should say of it besides its dtype. grad: whether
    it requires gradients; parameter: whether it is a torch.nn.Parameter. made: the call that makes it,
    where a view does not say all; array: of numpy: its NumpyDtype (or a Stub), sizes, whether the first
    dimension runs fastest, its bytes or list of objects, and whether loading turns them to this machine's
    byte order; subclass, masked: of numpy: which class it is where it is more than an array, and of a masked one the mask's bytes
    and what stands for a masked element; state: what BUILD gave it. derived: made of what the file keeps in another form, so that
    loading gives no such tensor.
    """

    __slots__ = (
        "array",
        "derived",
        "dtype",
        "element",
        "flips",
        "grad",
        "kind",
        "made",
        "masked",
        "note",
        "offset",
        "parameter",
        "parts",
        "raw",
        "shape",
        "sizes",
        "start",
        "state",
        "storage",
        "stride",
        "subclass",
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
        self.element: NumpyDtype | None = None
        self.raw: Span | None = None
        self.sizes: tuple[int, ...] | None = None
        self.flips: tuple[str, ...] = ()
        self.note = ""
        self.grad = False
        self.parameter = False
        self.derived = False
        #: Further tensors that belong to it, by name: the scales of a quantised one.
        self.parts: dict[object, object] = {}
        self.made: tuple[str, tuple[object, ...]] | None = None
        self.array: tuple[object, tuple[int, ...], bool, Span | list[object], bool] | None = None
        self.state: list[object] = []
        self.subclass = ""
        self.masked: tuple[object, object] | None = None


class Inexpressible:
    """A tensor that safetensors has no way to say. reason: what it is; made: the call that makes it;
    parts: the tensors that it consists of, by name; state: what BUILD gave it."""

    __slots__ = ("grad", "made", "parameter", "parts", "reason", "state")

    def __init__(
        self, reason: str, made: tuple[str, tuple[object, ...]], parts: dict[object, object]
    ) -> None:
        self.reason = reason
        self.made = made
        self.parts = parts
        self.state: list[object] = []
        self.grad = False
        self.parameter = False


def parts_of(item: object) -> list[object]:
    """What a container holds: its keys too, for a class is a key of some registries, and called from
    there; the objects of an array; the attributes that BUILD gave to a mapping."""
    if isinstance(item, dict):
        state = [item.state] if isinstance(item, Mapping) and item.state is not None else []
        return [*item.keys(), *item.values(), *state]
    if isinstance(item, (list, tuple, set, frozenset)):
        return list(item)
    if isinstance(item, Tensor):
        return list(item.parts.values())
    return []
