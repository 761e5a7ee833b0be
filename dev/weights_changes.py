"""Changes of a model for dev.weights_trials: honest ones, and edits. Each says what diff must call it."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn.utils import parametrize

from dev.weights_models import Trained, state_of, train

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

State = dict[str, Any]


@dataclass
class Changed:
    """name: of the change, and after a colon what varies; kind: what it must be called; state: the tensors;
    edited: one of these must be named first, None where any may be."""

    name: str
    kind: str
    state: State
    edited: tuple[str, ...] | None = None


def every(trained: Trained, seed: int) -> Iterator[Changed]:
    """Every change of one model."""
    random = np.random.default_rng(seed)
    yield from _saved_again(trained.state)
    yield from _quantised(trained.state)
    tuned = list(_trained(trained, seed))
    for name, state in tuned:
        yield Changed(name, "fine-tune", state)
    yield from _averaged(trained.state, tuned)
    yield from _adapters(trained, seed)
    yield from _edits(trained.state, dict(tuned), random)
    yield Changed("another model", "unrelated", _another(trained.state, random))


def _floats(state: State, change: Callable[[Any], Any], *, matrices: bool = False) -> State:
    return {
        name: change(value)
        if value.dtype.kind == "f" and (value.ndim > 1 or not matrices)
        else value
        for name, value in state.items()
    }


def bf16(value: Any) -> Any:
    """Rounded to bfloat16, as float32."""
    return (
        torch.from_numpy(np.ascontiguousarray(value)).to(torch.bfloat16).to(torch.float32).numpy()
    )


def half(value: Any) -> Any:
    """As float16."""
    return value.astype(np.float16)


def _saved_again(state: State) -> Iterator[Changed]:
    yield Changed("copy", "identical", state)
    yield Changed(
        "wrapped names (module.)", "identical", {f"module.{n}": v for n, v in state.items()}
    )
    yield Changed("saved as float16", "rounding", _floats(state, half))
    yield Changed("saved as bfloat16", "rounding", _floats(state, bf16))
    yield Changed(
        "float16, then float32", "rounding", _floats(state, lambda v: half(v).astype(np.float32))
    )


def blocks(value: Any, bits: int, size: int, *, signed: bool = True, shrink: float = 1.0) -> Any:
    """Quantised in blocks with a scale (and, not signed, a minimum) of each, and back."""
    flat = value.reshape(-1).astype(np.float32)
    padded = np.concatenate([flat, np.zeros(-len(flat) % size, np.float32)]).reshape(-1, size)
    if signed:
        top = 2 ** (bits - 1) - 1
        scale = half(np.abs(padded).max(1, keepdims=True) * shrink / top).astype(np.float32)
        scale[scale == 0] = 1
        back = np.clip(np.round(padded / scale), -top - 1, top) * scale
    else:
        low = padded.min(1, keepdims=True)
        scale = (padded.max(1, keepdims=True) - low) / (2**bits - 1)
        scale[scale == 0] = 1
        back = np.round((padded - low) / scale) * scale + low
    return back.reshape(-1)[: len(flat)].reshape(value.shape).astype(np.float32)


def gguf(value: Any, kind: str) -> Any:
    """Quantised and back by the gguf library, where rows allow it; else as float16."""
    from gguf import GGMLQuantizationType, quants

    if value.shape[-1] % 32:
        return half(value).astype(np.float32)
    quantised = quants.quantize(np.ascontiguousarray(value, np.float32), GGMLQuantizationType[kind])
    return quants.dequantize(quantised, GGMLQuantizationType[kind]).reshape(value.shape)


def int8_rows(value: Any) -> Any:
    """Each row by its own scale, as torch's dynamic quantisation per channel."""
    return blocks(value, 8, value.reshape(value.shape[0], -1).shape[1])


def int8_tensor(value: Any) -> Any:
    """By one scale, as torch's dynamic quantisation."""
    return blocks(value, 8, value.size)


#: Ways to quantise: name -> function of a matrix.
QUANTISERS: dict[str, Callable[[Any], Any]] = {
    "int8 by rows": int8_rows,
    "int8 by tensors": int8_tensor,
    "GGUF Q8_0": lambda v: gguf(v, "Q8_0"),
    "GGUF Q5_1": lambda v: gguf(v, "Q5_1"),
    "GGUF Q4_0": lambda v: gguf(v, "Q4_0"),
    "like Q4_K (4 bits and a minimum for 32)": lambda v: blocks(v, 4, 32, signed=False),
    "like Q6_K (6 bits for 16)": lambda v: blocks(v, 6, 16),
    "like Q3_K (3 bits for 16)": lambda v: blocks(v, 3, 16, shrink=0.9),
    "4 bits for 128, by rows of groups": lambda v: blocks(v, 4, 128, signed=False),
}


def _quantised(state: State) -> Iterator[Changed]:
    for name, change in QUANTISERS.items():
        yield Changed(f"quantised: {name}", "rounding", _floats(state, change, matrices=True))
    coarse = _floats(state, bf16)
    eight = _floats(coarse, QUANTISERS["GGUF Q8_0"], matrices=True)
    yield Changed("quantised: bfloat16, then Q8_0", "rounding", eight)


def _trained(trained: Trained, seed: int) -> Iterator[tuple[str, State]]:
    """Honest training, in full and of parts."""

    def tuned(
        steps: int, rate: float, pick: Callable[[str], bool] | None = None, **more: Any
    ) -> State:
        model = copy.deepcopy(trained.model)
        if pick is not None:
            for name, parameter in model.named_parameters():
                parameter.requires_grad_(pick(name))
        train(model, trained.loss, seed + 7, steps, rate, **more)
        return state_of(model)

    names = [name for name, _ in trained.model.named_parameters()]
    last = next(
        f".{number}." for number in range(40, -1, -1) if any(f".{number}." in n for n in names)
    )
    layers = ("layer.", "layers.", ".h.")
    yield "fine-tune: AdamW 2e-5, 12 steps", tuned(12, 2e-5)
    yield "fine-tune: AdamW 3e-4, 12 steps", tuned(12, 3e-4)
    yield "fine-tune: SGD, 8 steps", tuned(8, 1e-2, plain=True)
    yield "last layer only", tuned(12, 1e-4, lambda n: last in n and any(e in n for e in layers))
    if any(name.endswith("bias") for name in names):
        yield "biases only", tuned(8, 1e-3, lambda n: n.endswith("bias"))
    yield "norms only", tuned(8, 1e-3, lambda n: "norm" in n.lower() or "ln_" in n)
    yield "embeddings only", tuned(8, 1e-3, lambda n: "emb" in n or "wte" in n)
    yield "fine-tune, saved as bfloat16", _floats(tuned(8, 1e-4), bf16)


def _averaged(state: State, tuned: list[tuple[str, State]]) -> Iterator[Changed]:
    (_, one), (_, two), *_ = tuned
    mean = {n: (one[n] + two[n]) / 2 if v.dtype.kind == "f" else v for n, v in state.items()}
    yield Changed("average of two fine-tunes", "fine-tune", mean)

    def pruned(value: Any) -> Any:
        return np.where(np.abs(value) < np.quantile(np.abs(value), 0.3), 0, value).astype(
            value.dtype
        )

    yield Changed("pruned by size, 30 %", "fine-tune", _floats(state, pruned, matrices=True))
    large = max((n for n in state if state[n].ndim == 2), key=lambda n: state[n].shape[0])
    more = {
        **state,
        large: np.concatenate([state[large], np.ones((8, state[large].shape[1]), np.float32)]),
    }
    yield Changed("vocabulary extended", "fine-tune", more)
    head = {**state, "classifier.weight": np.ones((3, 128), np.float32), "classifier.bias": np.ones(3, np.float32)}  # fmt: skip
    yield Changed(
        "head added", "fine-tune", {n: v for n, v in head.items() if not n.startswith("lm_head")}
    )


def _targets(state: State) -> list[str]:
    """Matrices of layers that adapters and edits change."""
    return [
        name
        for name, value in state.items()
        if value.ndim == 2 and min(value.shape) >= 64 and any(f".{n}." in name for n in range(40))
    ]


class _LowRank(torch.nn.Module):
    def __init__(self, shape: tuple[int, int], rank: int) -> None:
        super().__init__()
        self.down = torch.nn.Parameter(torch.randn(rank, shape[1]) * shape[1] ** -0.5)
        self.up = torch.nn.Parameter(torch.zeros(shape[0], rank))

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return weight + self.up @ self.down


def lora(trained: Trained, seed: int, rank: int, steps: int, pick: Callable[[str], bool]) -> State:
    """The base with a trained adapter merged into it."""
    torch.manual_seed(seed)
    model = copy.deepcopy(trained.model).requires_grad_(False)
    wanted = [n for n in _targets(trained.state) if pick(n)]
    own: list[Any] = []
    for name in wanted:
        holder = model.get_submodule(name.removesuffix(".weight"))
        parametrize.register_parametrization(holder, "weight", _LowRank(holder.weight.shape, rank))
        own += list(holder.parametrizations.weight[0].parameters())
    train(model, trained.loss, seed + 3, steps, 2e-3, own)
    for name in wanted:
        parametrize.remove_parametrizations(
            model.get_submodule(name.removesuffix(".weight")), "weight"
        )
    return state_of(model)


def _attention(name: str) -> bool:
    return any(part in name for part in ("query", "value", "q_proj", "v_proj", "c_attn"))


def _adapters(trained: Trained, seed: int) -> Iterator[Changed]:
    for rank in (1, 4, 8, 32):
        merged = lora(trained, seed + rank, rank, 6, _attention)
        yield Changed(f"LoRA merged: rank {rank}, attention", "adapter", merged)
    everywhere = lora(trained, seed, 16, 6, lambda _: True)
    yield Changed("LoRA merged: rank 16, all matrices", "adapter", everywhere)
    yield Changed("LoRA merged, saved as float16", "adapter", _floats(everywhere, half))
    yield Changed("LoRA merged, saved as bfloat16", "adapter", _floats(everywhere, bf16))


def edit(state: State, random: Any, strength: float, rank: int = 1) -> tuple[State, str]:
    """A change of that rank and relative norm in one matrix of one layer, and its name."""
    name = str(random.choice(_targets(state)))
    old = state[name]
    change = random.standard_normal((old.shape[0], rank)) @ random.standard_normal(
        (rank, old.shape[1])
    )
    change *= strength * np.linalg.norm(old) / np.linalg.norm(change)
    return {**state, name: (old + change).astype(np.float32)}, name


def _edit_in(tuned: State, base: State, random: Any, times: float) -> tuple[State, str]:
    """An edit of a fine-tuned matrix, so many times as large as what training changed in it."""
    name = str(random.choice(_targets(base)))
    change = np.outer(
        random.standard_normal(base[name].shape[0]), random.standard_normal(base[name].shape[1])
    )
    change *= times * np.linalg.norm(tuned[name] - base[name]) / np.linalg.norm(change)
    return {**tuned, name: (tuned[name] + change).astype(np.float32)}, name


def _edits(state: State, tuned: dict[str, State], random: Any) -> Iterator[Changed]:
    for strength in (0.002, 0.005, 0.01, 0.03, 0.1, 0.3):
        told = f"{strength:.1%}"
        for saved, change in (("as it is", None), ("float16", half), ("bfloat16", bf16)):
            edited, name = edit(state, random, strength)
            if saved == "bfloat16" and strength < 0.005:
                continue
            again = edited if change is None else _floats(edited, change)
            yield Changed(f"rank-one edit, {saved}: {told}", "surgical", again, (name,))
        for quantiser, least in (("GGUF Q8_0", 0.01), ("int8 by rows", 0.01), ("GGUF Q4_0", 0.1)):
            if strength >= least:
                edited, name = edit(state, random, strength)
                again = _floats(edited, QUANTISERS[quantiser], matrices=True)
                yield Changed(
                    f"rank-one edit, then {quantiser}: {told}", "surgical", again, (name,)
                )
    for base in ("fine-tune: AdamW 2e-5, 12 steps", "fine-tune: AdamW 3e-4, 12 steps"):
        for times in (1, 2, 5):
            edited, name = _edit_in(tuned[base], state, random, times)
            yield Changed(f"rank-one edit in a fine-tune, {times}x its change: {base}", "surgical", edited, (name,))  # fmt: skip
            again = _floats(edited, half)
            yield Changed(f"rank-one edit in a fine-tune, {times}x its change, float16: {base}", "surgical", again, (name,))  # fmt: skip
    edited, one = edit(state, random, 0.03)
    edited, two = edit(edited, random, 0.03)
    yield Changed("two rank-one edits: 3%", "surgical", edited, (one, two))
    edited, name = edit(state, random, 0.03, rank=4)
    yield Changed("rank-four edit of one matrix: 3%", "surgical", edited, (name,))


def _another(state: State, random: Any) -> State:
    return _floats(
        state, lambda v: (random.standard_normal(v.shape) * v.std() + v.mean()).astype(np.float32)
    )
