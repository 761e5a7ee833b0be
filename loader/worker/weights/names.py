"""Which tensor of one model is which of the other: by name, whatever prefix or format. Zone: worker.

A name is looked for as it is; then without the prefixes that wrappers put before all names; then by what
the tensor is for, where one side is GGUF. GGUF's names are from llama.cpp, gguf-py/gguf/constants.py
(TENSOR_NAMES) and tensor_mapping.py; the others are those of transformers.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

#: Components of a prefix that may be taken away.
_DEEPEST = 4
#: Prefixes of one side that are tried: those that most names begin with.
_MOST_PREFIXES = 24
_LAYER = re.compile(r"(?:^|\.)(?:layers?|h|blocks?|blk)\.(\d+)\.(.+)$")
_GGUF = re.compile(r"(?:blk\.\d+\.|token_embd\.)")
_ENDS = (".weight", ".bias")
#: GGUF's word for a part of a layer -> the words of transformers.
_PARTS = {
    "attn_q": "self_attn.q_proj attention.self.query attention.q_lin attn.q_proj attention.q_proj",
    "attn_k": "self_attn.k_proj attention.self.key attention.k_lin attn.k_proj attention.k_proj",
    "attn_v": "self_attn.v_proj attention.self.value attention.v_lin attn.v_proj attention.v_proj",
    "attn_qkv": "attn.c_attn self_attn.qkv_proj attention.query_key_value self_attention.query_key_value attn.Wqkv",
    "attn_output": "self_attn.o_proj attention.output.dense attention.out_lin attn.c_proj attn.out_proj attention.dense self_attention.dense self_attn.dense self_attn.out_proj attention.out_proj",
    "attn_norm": "input_layernorm ln_1 input_norm self_attn_layer_norm",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "attn_output_norm": "attention.output.LayerNorm sa_layer_norm",
    "layer_output_norm": "output.LayerNorm output_layer_norm",
    "ffn_norm": "post_attention_layernorm ln_2 pre_feedforward_layernorm",
    "post_ffw_norm": "post_feedforward_layernorm",
    "ffn_gate": "mlp.gate_proj block_sparse_moe.gate mlp.gate",
    "ffn_up": "mlp.up_proj intermediate.dense ffn.lin1 mlp.c_fc mlp.dense_h_to_4h mlp.fc1 fc1 mlp.gate_up_proj",
    "ffn_down": "mlp.down_proj output.dense ffn.lin2 mlp.c_proj mlp.dense_4h_to_h mlp.fc2 fc2",
}
#: The same, of what stands in no layer: the ends of names.
_OUTSIDE = {
    "token_embd": "embed_tokens embeddings.word_embeddings wte embed_in word_embeddings tok_embeddings",
    "position_embd": "embeddings.position_embeddings wpe embed_positions",
    "token_types": "embeddings.token_type_embeddings",
    "token_embd_norm": "embeddings.LayerNorm word_embeddings_layernorm",
    "output_norm": "model.norm norm ln_f final_layer_norm final_layernorm",
    "output": "lm_head embed_out",
}
_OF_PART = {word: part for part, words in _PARTS.items() for word in words.split()}
_OF_OUTSIDE = {word: part for part, words in _OUTSIDE.items() for word in words.split()}


def is_gguf(names: Iterable[str]) -> bool:
    """Whether these are the names of a GGUF file."""
    return any(_GGUF.match(name) for name in names)


def match(a: Collection[str], b: Collection[str]) -> dict[str, str]:
    """Name of A -> name of B, for those that stand for the same tensor; no name of B twice."""
    found = {name: name for name in a if name in set(b)}
    rest_a, rest_b = _rest(a, found), _rest(b, found.values())
    if rest_a and rest_b and is_gguf(a) == is_gguf(b):
        found |= _without_prefixes(rest_a, rest_b)
    elif rest_a and rest_b:
        by_purpose = _purposes(rest_b)
        found |= {
            name: by_purpose[purpose]
            for purpose, name in _purposes(rest_a).items()
            if purpose in by_purpose
        }
    return found


def purpose(name: str) -> str | None:
    """The name that GGUF has for it; None for one that it has none for."""
    end = next((end for end in _ENDS if name.endswith(end)), "")
    stem = name.removesuffix(end)
    if (layer := _LAYER.search(stem)) is not None:
        number, part = layer.groups()
        part = part if part in _PARTS else _OF_PART.get(part, "")
        return f"blk.{number}.{part}{end}" if part else None
    if stem in _OUTSIDE:
        return f"{stem}{end}"
    pieces = stem.split(".")
    for begin in range(max(0, len(pieces) - 2), len(pieces)):
        if part := _OF_OUTSIDE.get(".".join(pieces[begin:])):
            return f"{part}{end}"
    return None


def _rest(names: Iterable[str], taken: Iterable[str]) -> list[str]:
    gone = set(taken)
    return [name for name in names if name not in gone]


def _purposes(names: Iterable[str]) -> Mapping[str, str]:
    """Purpose -> name; what two names would share belongs to neither."""
    named = [(purpose(name), name) for name in names]
    often = Counter(each for each, _ in named)
    return {each: name for each, name in named if each is not None and often[each] == 1}


def _without_prefixes(a: list[str], b: list[str]) -> dict[str, str]:
    """The pairs under the prefixes, one of each side, that give most of them: at least half of the names
    of the side that has fewer."""
    best: dict[str, str] = {}
    stripped_b = {prefix: _stripped(b, prefix) for prefix in _prefixes(b)}
    for prefix in _prefixes(a):
        ours = _stripped(a, prefix)
        for theirs in stripped_b.values():
            pairs = {ours[short]: theirs[short] for short in ours.keys() & theirs.keys()}
            if len(pairs) > len(best):
                best = pairs
    return best if 2 * len(best) >= min(len(a), len(b)) else {}


def _prefixes(names: list[str]) -> list[str]:
    counted: Counter[str] = Counter()
    for name in names:
        pieces = name.split(".")
        for depth in range(1, min(_DEEPEST, len(pieces) - 1) + 1):
            counted[".".join(pieces[:depth]) + "."] += 1
    common = [prefix for prefix, _ in counted.most_common(_MOST_PREFIXES)]
    return ["", *common]


def _stripped(names: list[str], prefix: str) -> dict[str, str]:
    """Name without the prefix -> name; those that lack it as they are, where no other is called so."""
    short = {name.removeprefix(prefix): name for name in names if name.startswith(prefix)}
    for name in names:
        short.setdefault(name, name)
    return short
