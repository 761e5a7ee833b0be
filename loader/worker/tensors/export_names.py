"""Which tensors of an unpickled file are its weights, and what they are called in the export. Zone: worker.

A state dict keeps its names. Where a checkpoint wraps its weights beside what training needs, the
export holds the weights under their own names. What that cannot be decided of keeps its full path.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from safe_load.worker.pickle_vm.values import Inexpressible, Mapping, Tensor
from safe_load.worker.refusal import RefusedError
from safe_load.worker.tensors import state_dicts
from safe_load.worker.tensors.walk import distinct

if TYPE_CHECKING:
    from safe_load.worker.tensors.walk import Named, Walk

#: Keys under which programs keep a model's weights, in lower case.
WRAPPERS = frozenset(
    "state_dict model module model_state_dict model_state model_weights params params_ema weight "
    "weights generator net network net_g netg checkpoint ema model_ema ema_model string_to_param".split()
)
#: The key of an embedding's vectors in a textual inversion (modules/textual_inversion of AUTOMATIC1111's web
#: UI), by the token that they stand for in training. diffusers calls the token by the `name` beside them.
_EMBEDDING = "string_to_param"
#: Keys of weights by their form: a state dict of something, or its running mean.
_OF_WEIGHTS = re.compile(r"(^|[_.-])(state_?dict|ema)([_.-]|$)", re.IGNORECASE)
#: Words in keys of what training needs besides the weights.
_TRAINING = frozenset(
    "opt optim optimizer optimizers optimiser scheduler schedulers sched scaler rng random seed callbacks "
    "callback loops loop loss losses metric metrics history criterion hyper hparams hyperparameters "
    "args arguments config cfg lr grad grads gradient gradients amp epoch epochs iter iteration "
    "iterations step steps train training trainer sampler dataset dataloader datamodule precision "
    "score accuracy acc task updates".split()
)
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
#: Wrappers within wrappers.
MAX_WRAPPED = 4
_SHOWN = 8
_LONGEST_TOKEN = 200


@dataclass(frozen=True)
class Choice:
    """What the user chose of Options: weights_of, names ("own" or "path"), keep ("weights" or "all") and quantised
    ("numbers" or "blocks")."""

    weights_of: str | None = None
    names: str = "own"
    keep: str = "weights"
    quantised: str = "numbers"

    @classmethod
    def of(cls, argument: dict[str, Any]) -> Choice:
        """As the room's order has it."""
        known = {name: argument[name] for name in cls.__dataclass_fields__ if name in argument}
        return cls(**known)


@dataclass
class Export:
    """named: the tensors that are written; notes: sentences without the file's name."""

    named: Named
    notes: list[str] = field(default_factory=list)


@dataclass
class _Chosen:
    """Where the weights lie: the keys that lead to them, and the parts beside these."""

    value: object
    keys: list[str] = field(default_factory=list)
    beside: list[tuple[str, object]] = field(default_factory=list)
    note: str = ""

    @property
    def at(self) -> str:
        return ".".join(self.keys)


def choose(walk: Walk, choice: Choice) -> Export:
    """The tensors to be written, with their names. Raises RefusedError, where nothing is under the
    chosen key or a name is too long."""
    chosen = _chosen(walk, choice)
    prefix = f"{chosen.at}." if chosen.keys and choice.names == "path" else ""
    value = chosen.value
    if isinstance(value, (Tensor, Inexpressible)):
        lone = chosen.at if prefix else chosen.keys[-1]
        named = (
            walk.tensors(value, state_dicts.parts, f"{lone}.")
            if isinstance(value, Inexpressible)
            else [(lone, value)]
        )
    else:
        named = walk.tensors(value, state_dicts.parts, prefix)
    if choice.names == "own" and chosen.keys == [_EMBEDDING] and len(named) == 1:
        named = [(_token(walk.root, named[0][0]), named[0][1])]
    written = {id(tensor) for _, tensor in named}
    rest = [
        (name, tensor)
        for name, tensor in walk.tensors(walk.root, state_dicts.parts)
        if id(tensor) not in written
    ]
    written |= {id(tensor) for _, tensor in rest}
    # What no state_dict names has no name but its path in the file.
    unnamed = [
        (name, tensor) for name, tensor in walk.tensors(walk.root) if id(tensor) not in written
    ]
    notes = [chosen.note] if chosen.note else []
    if choice.keep == "all":
        return Export(distinct([*named, *rest, *unnamed]), notes=notes)
    if chosen.keys:
        notes.append(_told(walk, chosen, choice, {id(tensor) for _, tensor in rest}))
    if unnamed:
        notes.append(
            f"{_count(unnamed)} of its modules and optimizers that no state_dict names are left out; "
            "--keep all keeps them"
        )
    return Export(distinct(named), notes)


def _token(inversion: object, own: str) -> str:
    """The name by which diffusers adds the one token of a textual inversion. own: of the tensor."""
    name = inversion.get("name") if isinstance(inversion, dict) else None
    return name if isinstance(name, str) and 0 < len(name) <= _LONGEST_TOKEN else own


def _chosen(walk: Walk, choice: Choice) -> _Chosen:
    if choice.weights_of is not None:
        return _asked(walk, choice.weights_of)
    chosen = _Chosen(walk.root)
    if choice.names == "path":
        return chosen
    for _ in range(MAX_WRAPPED):
        if not _is_dict(chosen.value) or state_dicts.is_optimizer(chosen.value):
            break
        held = _held(walk, chosen.value)
        key, ambiguous = _wrapper(walk, held)
        if key is None:
            if ambiguous:
                chosen.note = _ambiguous(chosen, ambiguous)
            break
        chosen.beside += [(name, part) for name, part in held if name != key]
        chosen.keys.append(key)
        chosen.value = dict(held)[key]
    return chosen


def _asked(walk: Walk, key: str) -> _Chosen:
    """What lies under the key that the user named: one key, or several joined with dots."""
    chosen = _Chosen(walk.root)
    left = key
    while left:
        held = dict(_held(walk, chosen.value))
        found = [name for name in held if left == name or left.startswith(f"{name}.")]
        if not found:
            listed = ", ".join(ascii(name[:80]) for name in list(dict(_held(walk, walk.root)))[:20])
            raise RefusedError(
                f"it holds no tensors under the key {key[:200]!a}: --weights-of takes one of "
                f"{listed or 'none, for it holds tensors under no key'}"
            )
        name = max(found, key=len)
        chosen.beside += [(other, part) for other, part in held.items() if other != name]
        chosen.keys.append(name)
        chosen.value = held[name]
        left = left[len(name) + 1 :]
    return chosen


def _is_dict(value: object) -> bool:
    return type(value) is dict or type(value) is Mapping


def _held(walk: Walk, value: object) -> list[tuple[str, object]]:
    """The parts of a container that lead to tensors, with the names of their keys."""
    return [(name, part) for name, part in state_dicts.parts(value) if walk.leads(part)]


def _wrapper(walk: Walk, held: list[tuple[str, object]]) -> tuple[str | None, list[str]]:
    """The key that wraps the weights, else the keys among which nobody can choose, if one of them
    says that it wraps weights."""
    weights = _of_tensors(walk, [item for item in held if not _is_training(*item)])
    known = [name for name in weights if _is_known(name)]
    containers = {name for name, part in held if _is_dict(part) or state_dicts.module_of(part)}
    if len(weights) == 1 and weights[0] in containers:
        if known or any(state_dicts.is_optimizer(part) for _, part in held):
            return weights[0], []
        return None, []
    sure = [
        name
        for name in known
        if ("state_dict" in name.lower() or name == _EMBEDDING) and name in containers
    ]
    if len(known) == len(sure) == 1:
        return sure[0], []
    return None, weights if any(name in containers for name in known) else []


def _of_tensors(walk: Walk, held: list[tuple[str, object]]) -> list[str]:
    """The names of the parts that hold tensors, where there are such; else of those that hold arrays."""
    if len(held) < 2:
        return [name for name, _ in held]
    torch = [name for name, part in held if any(t.kind == "torch" for _, t in _within(walk, part))]
    return torch or [name for name, _ in held]


def _is_known(name: str) -> bool:
    return name.lower() in WRAPPERS or bool(_OF_WEIGHTS.search(name))


def _is_training(name: str, part: object) -> bool:
    """Whether a part of a checkpoint is what training needs, and no weights."""
    if name.lower() in WRAPPERS:
        return False
    if isinstance(part, Tensor):
        single = all(size == 1 for size in part.shape)
        return single or _says_training(name)
    if state_dicts.is_optimizer(part) or _says_training(name):
        return True
    return not (isinstance(part, (dict, list, tuple)) or state_dicts.module_of(part))


def _says_training(name: str) -> bool:
    return any(word.lower() in _TRAINING for word in _WORD.findall(name[:200]))


def _ambiguous(chosen: _Chosen, keys: list[str]) -> str:
    inner = [".".join([*chosen.keys, key]) for key in keys]
    options = " or ".join(f"--weights-of {_word(key)}" for key in inner[:_SHOWN])
    return (
        f"it holds weights under {_listed(inner)}, so every tensor keeps its full path; "
        f"{options} exports those alone, under their own names"
    )


def _told(walk: Walk, chosen: _Chosen, choice: Choice, rest: set[int]) -> str:
    """rest: the ids of the tensors that are left out."""
    beside = []
    for name, part in chosen.beside[:_SHOWN]:
        if left_out := [item for item in _within(walk, part) if id(item[1]) in rest]:
            beside.append(f"{name[:80]!a} ({_count(left_out)})")
    more = len(chosen.beside) - _SHOWN
    left = ", ".join(beside) + (f" and {more} more" if more > 0 else "")
    sentence = f"its weights are those under {chosen.at[:200]!a}"
    if choice.names == "own":
        sentence += ", exported under their own names"
    if not left:
        return sentence
    return f"{sentence}; left out: {left}; --keep all keeps the rest, --names path every full path"


def _within(walk: Walk, part: object) -> Named:
    return [("", part)] if isinstance(part, Tensor) else walk.tensors(part, state_dicts.parts)


def _count(named: Named) -> str:
    return "1 tensor" if len(named) == 1 else f"{len(named)} tensors"


def _listed(keys: list[str]) -> str:
    shown = [ascii(key[:80]) for key in keys[:_SHOWN]]
    more = [f"{len(keys) - _SHOWN} more keys"] if len(keys) > _SHOWN else []
    *first, last = [*shown, *more]
    return f"{', '.join(first)} and {last}" if first else last


def _word(key: str) -> str:
    """A key as a shell takes it."""
    return key if re.fullmatch(r"[\w.-]+", key, re.ASCII) else ascii(key[:80])


def own_paths(paths: Named, named: Named) -> tuple[list[str], Named]:
    """The path in the file of each exported tensor, in order, and the tensors on paths that are left:
    loading the file must give both. paths: all that the file holds."""
    held: dict[int, list[str]] = {}
    for path, tensor in reversed(paths):
        held.setdefault(id(tensor), []).append(path)
    used = []
    for _, tensor in named:
        # One tensor may be exported under more names than there are paths to it: then any will do.
        queue = held[id(tensor)]
        used.append(queue.pop() if len(queue) > 1 else queue[0])
    taken = set(used)
    return used, [(path, tensor) for path, tensor in paths if path not in taken]


def is_flat(value: object) -> bool:
    """Whether it is a plain state dict: names and tensors, nothing within them."""
    return _is_dict(value) and all(
        (type(part) is Tensor and not part.parts) or part is None
        for part in value.values()  # type: ignore[attr-defined]
    )
