"""DeepSpeed ZeRO checkpoints: 32-bit weights out of the flat partitions that each rank wrote. Zone: worker.

What comes out is what DeepSpeed's own zero_to_fp32.py makes of the folder (deepspeed.utils.zero_to_fp32,
version 0.19): a model_states file names the parameters and their shapes, the optim_states file of each
rank holds its part of them, one behind the other.
"""

from __future__ import annotations

import math
import re
import struct
from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING

from safe_load.worker.formats.pickled import Reader
from safe_load.worker.pickle_vm.arguments import UnexpectedArgument, expect, integer, integers, need
from safe_load.worker.pickle_vm.values import Storage, Stub, Tensor
from safe_load.worker.refusal import RefusedError
from safe_load.worker.spans import MAX_INFLATED, MemorySource, Source, Span
from safe_load.worker.tensors import layout
from safe_load.worker.tensors.assembled import Assembled, Box
from safe_load.worker.tensors.dtypes import TORCH

if TYPE_CHECKING:
    from safe_load.worker.formats.interface import Reading
    from safe_load.worker.tensors.dtypes import Dtype

#: Names of files where the model is split among ranks by ZeRO alone.
_PLAIN = re.compile(r"((bf16_|fp16_)?zero_pp_rank_\d+_)?mp_rank_00_(model|optim)_states\.pt")
RUN = "run `python zero_to_fp32.py . out` beside it and load what that writes"

#: Elements of a flat tensor: of which, from which one on, how many.
_Piece = tuple[Tensor, int, int]


def is_model_states(root: object) -> bool:
    """Whether an unpickled file is what DeepSpeed saves beside the partitions."""
    return isinstance(root, dict) and "param_shapes" in root and "buffer_names" in root


def value(root: object, reading: Reading) -> dict[object, object]:
    """The state dict of the folder whose model_states file this is. Raises RefusedError."""
    try:
        return _Folder(expect(root, dict), reading).value()
    except (UnexpectedArgument, KeyError, IndexError, TypeError):
        raise RefusedError(f"its ZeRO partitions are not as DeepSpeed writes them: {RUN}") from None


@dataclass
class _Rank:
    """What one rank wrote: groups: its flat tensors of 32 bits."""

    stage: int
    count: int
    groups: list[Tensor]
    paddings: object


class _Folder:
    """One checkpoint. Raises UnexpectedArgument for what DeepSpeed does not write."""

    def __init__(self, root: dict[object, object], reading: Reading) -> None:
        self._root = root
        self._reading = reading
        parts = reading.parts or {}
        if odd := [name for name in parts if not _PLAIN.fullmatch(name)]:
            raise RefusedError(
                f"{odd[0][:200]!a} beside it says that the model itself is split, by tensors, layers or experts:"
                " have DeepSpeed's ds_to_universal.py join it"
            )
        optim = sorted((n for n in parts if n.endswith("_optim_states.pt")), key=_natural)
        self._ranks = [self._rank(name) for name in optim]
        need(self._ranks)
        first = self._ranks[0]
        if first.count != len(self._ranks) or any(
            (rank.stage, rank.count) != (first.stage, first.count) for rank in self._ranks
        ):
            raise RefusedError(
                f"it was written by {first.count} ranks, and the optim_states files of {len(self._ranks)} are"
                " here: copy the files of every rank into the folder"
            )
        states = sorted((n for n in parts if n.endswith("_model_states.pt")), key=_natural)
        self._models = [root, *(expect(self._open(name), dict) for name in states)]

    def _open(self, name: str) -> object:
        """What a file of the folder amounts to: it is judged by itself, so no call is kept here."""
        assert self._reading.parts is not None  # noqa: S101 - `__init__` has looked
        return Reader(self._reading.ledger()).read(self._reading.parts[name].span)

    def _rank(self, name: str) -> _Rank:
        state = expect(expect(self._open(name), dict)["optimizer_state_dict"], dict)
        stage, count = _number(state["zero_stage"]), state["partition_count"]
        if isinstance(count, (list, tuple)):
            count = max(map(integer, count))
        key = "single_partition_of_fp32_groups" if stage <= 2 else "fp32_flat_groups"
        groups = state[key]
        need(isinstance(groups, (list, tuple)))
        flat = [expect(group, Tensor) for group in groups]
        need(all(len(t.shape) == 1 and t.dtype is TORCH["float32"] for t in flat))
        return _Rank(stage, integer(count), flat, state.get("param_alignment_paddings"))

    def value(self) -> dict[object, object]:
        found: dict[object, object] = {}
        module, names = expect(self._root["module"], dict), self._root["buffer_names"]
        buffers = set(names) if isinstance(names, (list, tuple, set)) else set()
        for name, tensor in module.items():
            if name in buffers and isinstance(tensor, Tensor):
                found[name] = _as_float(tensor, name)
        found |= self._frozen()
        shapes = [expect(group, dict) for group in expect(self._root["param_shapes"], list)]
        found |= self._joined(shapes) if self._ranks[0].stage <= 2 else self._zipped(shapes)
        for name, other in expect(self._root["shared_params"], dict).items():
            if other in found:
                found[name] = found[other]
        return found

    def _frozen(self) -> dict[object, object]:
        shapes = self._root.get("frozen_param_shapes") or {}
        found: dict[object, object] = {}
        for name, shape in expect(shapes, dict).items():
            every = [expect(m["frozen_param_fragments"], dict)[name] for m in self._models]
            tensors = [expect(each, Tensor) for each in every]
            if self._ranks[0].stage <= 2:
                found[name] = tensors[0]
                continue
            need(len(tensors) == len(self._ranks) and tensors[0].dtype is not None)
            pieces = [(tensor, 0, math.prod(tensor.shape)) for tensor in tensors]
            found[name] = _made(pieces, integers(shape), tensors[0].dtype or TORCH["float32"])
        return found

    def _joined(self, groups: list[dict[object, object]]) -> dict[object, object]:
        """Stages 1 and 2: the partitions of a group, joined, are its parameters one behind the other."""
        found: dict[object, object] = {}
        need(all(len(rank.groups) == len(groups) for rank in self._ranks))
        paddings = self._ranks[0].paddings
        for number, shapes in enumerate(groups):
            flats = [(rank.groups[number], 0, rank.groups[number].shape[0]) for rank in self._ranks]
            gaps = [0] * len(shapes)
            if paddings is not None:
                gaps = [integer(gap) for gap in expect(expect(paddings, list)[number], list)]
                need(len(gaps) == len(shapes))
            at = 0
            for (name, shape), gap in zip(shapes.items(), gaps, strict=True):
                size = math.prod(integers(shape))
                found[name] = _made(_cut(flats, at, size), integers(shape), TORCH["float32"])
                at += size + gap
            self._whole(at, sum(size for _, _, size in flats), 2 * len(self._ranks))
        return found

    def _zipped(self, groups: list[dict[object, object]]) -> dict[object, object]:
        """Stage 3: every rank holds a part of every parameter, padded to equal sizes."""
        found: dict[object, object] = {}
        at, count = 0, len(self._ranks)
        flats = [[(group, 0, group.shape[0]) for group in rank.groups] for rank in self._ranks]
        for shapes in groups:
            for name, shape in shapes.items():
                part = -(-math.prod(integers(shape)) // count)
                pieces = [piece for flat in flats for piece in _cut(flat, at, part)]
                found[name] = _made(pieces, integers(shape), TORCH["float32"])
                at += part
        self._whole(at, sum(size for _, _, size in flats[0]), 1)
        return found

    def _whole(self, used: int, there: int, align: int) -> None:
        """Raises RefusedError where the parameters do not make up the partitions."""
        if -(-used // align) != -(-there // align):
            raise RefusedError(
                f"its parameters have {used} elements, and its partitions {there}: it is damaged, or not whole"
            )


def _natural(name: str) -> list[object]:
    """zero_pp_rank_10 stands behind zero_pp_rank_9."""
    return [(len(part), part) if part.isdigit() else (0, part) for part in re.split(r"(\d+)", name)]


def _number(item: object) -> int:
    """A number, or a member of an enumeration that stands for one."""
    if isinstance(item, Stub):
        args = expect(item.args, tuple)
        need(len(args) == 1)
        return integer(args[0])
    return integer(item)


def _cut(flats: list[_Piece], at: int, size: int) -> list[_Piece]:
    """`size` elements from that one on of flat tensors that lie one behind the other."""
    found = []
    for tensor, begin, length in flats:
        done = min(size, max(0, length - at))
        if done:
            found.append((tensor, begin + at, done))
            size -= done
        at = max(0, at - length)
    need(not size)
    return found


def _made(pieces: list[_Piece], shape: tuple[int, ...], dtype: Dtype) -> Tensor:
    """A tensor of that shape out of the pieces; what they hold beyond it is padding."""
    left, at, boxes = math.prod(shape), 0, []
    for tensor, begin, length in pieces:
        need(tensor.dtype is dtype)
        view = layout.single("partition", tensor).view
        need(view.direct)
        count = min(left, length)
        if count:
            place = view.span.offset + view.offset + begin * dtype.size
            boxes.append(Box((at,), (count,), Span(view.span.source, place, count * dtype.size)))
        at, left = at + count, left - count
    need(not left)
    source: Source = Assembled((at,), dtype.size, boxes) if boxes else MemorySource(b"")
    stride, step = [], 1
    for size in reversed(shape):
        stride.append(step)
        step *= max(size, 1)
    storage = Storage(dtype, source.size, Span(source, 0, source.size))
    return Tensor(storage, dtype, 0, shape, tuple(reversed(stride)))


def _as_float(tensor: Tensor, name: object) -> Tensor:
    """A buffer, in 32 bits as DeepSpeed's own tool makes it. Raises RefusedError."""
    kind = tensor.dtype
    if kind is None or not kind.is_float or kind is TORCH["float32"]:
        return tensor
    letter = {"float16": "e", "float64": "d", "bfloat16": "H"}.get(kind.name)
    view = layout.single("buffer", tensor).view
    if letter is None or view.nbytes > MAX_INFLATED:
        raise RefusedError(
            f"its buffer {str(name)[:200]!a} of type {kind.name} is not made float32: {RUN}"
        )
    data = b"".join(view.chunks())
    values = struct.unpack(f"<{len(data) // kind.size}{letter}", data)
    if letter == "H":  # the upper half of a float32
        made = struct.pack(f"<{len(values)}I", *(value << 16 for value in values))
    else:
        made = array("f", values).tobytes()  # which rounds, and makes what is too large infinite
    span = Span(MemorySource(made), 0, len(made))
    whole = [
        (
            Tensor(
                Storage(TORCH["float32"], len(made), span),
                TORCH["float32"],
                0,
                (len(values),),
                (1,),
            ),
            0,
            len(values),
        )
    ]
    return _made(whole, tensor.shape, TORCH["float32"])
