"""Small transformers of several families for dev.weights_trials, each trained for a moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import transformers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_VOCABULARY, _WIDTH, _LAYERS, _HEADS = 600, 128, 6, 4


@dataclass
class Trained:
    """model: as torch has it; state: its tensors by name; loss: of the model and random numbers, for training."""

    model: Any
    state: dict[str, Any]
    loss: Callable[[Any, torch.Generator], torch.Tensor]


def state_of(model: Any) -> dict[str, Any]:
    """The tensors of a model as a safetensors file holds them: tied ones once."""
    seen: set[int] = set()
    state: dict[str, Any] = {}
    for name, value in model.state_dict().items():
        if value.data_ptr() not in seen or not value.numel():
            seen.add(value.data_ptr())
            state[name] = value.detach().clone().contiguous().numpy()
    return state


def _tokens(
    random: torch.Generator, vocabulary: int, rows: int = 8, length: int = 24
) -> torch.Tensor:
    """Sequences with something to learn: each is a walk with a step of its own."""
    start = torch.randint(0, vocabulary, (rows, 1), generator=random)
    step = torch.randint(1, 7, (rows, 1), generator=random)
    return (start + step * torch.arange(length)) % (vocabulary - 10) + 5


def _language(model: Any, random: torch.Generator) -> torch.Tensor:
    tokens = _tokens(random, model.config.vocab_size)
    labels = tokens.clone()
    if "Masked" in type(model).__name__:
        hidden = torch.rand(tokens.shape, generator=random) < 0.2
        tokens = tokens.masked_fill(hidden, 3)
    loss: torch.Tensor = model(input_ids=tokens, labels=labels).loss
    return loss


def _alike(model: Any, random: torch.Generator) -> torch.Tensor:
    """Contrastive: two halves of one sequence belong together, as sentence encoders are trained."""
    tokens = _tokens(random, min(28000, model.config.vocab_size), rows=8, length=32)
    halves = [model(input_ids=half).last_hidden_state.mean(1) for half in tokens.chunk(2, dim=1)]
    scores = torch.nn.functional.normalize(halves[0]) @ torch.nn.functional.normalize(halves[1]).T
    return torch.nn.functional.cross_entropy(scores * 20, torch.arange(len(scores)))


def _pictures(model: Any, random: torch.Generator) -> torch.Tensor:
    label = torch.randint(0, 10, (8,), generator=random)
    pixels = torch.randn((8, 3, 32, 32), generator=random) + label[:, None, None, None] / 5
    loss: torch.Tensor = model(pixel_values=pixels, labels=label).loss
    return loss


def train(model: Any, loss: Any, seed: int, steps: int, rate: float, parameters: Any = None, *, plain: bool = False) -> None:  # fmt: skip
    """Train in place: AdamW, or plain SGD with momentum."""
    chosen = [each for each in (parameters or model.parameters()) if each.requires_grad]
    kind: Any = torch.optim.SGD if plain else torch.optim.AdamW
    more = {"momentum": 0.9} if plain else {}
    optimizer = kind(chosen, lr=rate, **more)
    random = torch.Generator().manual_seed(seed)
    model.train()
    for _ in range(steps):
        optimizer.zero_grad()
        loss(model, random).backward()
        optimizer.step()
    model.eval()


def encoder(folder: Path) -> Trained:
    """The real encoder."""
    model = transformers.AutoModel.from_pretrained(folder)
    return Trained(model, state_of(model), _alike)


def _made(kind: str, config: Any, loss: Any) -> Callable[[int], Trained]:
    def make(seed: int) -> Trained:
        torch.manual_seed(seed)
        model = getattr(transformers, kind)(config)
        train(model, loss, seed, 40, 1e-3)
        return Trained(model, state_of(model), loss)

    return make


def _config(kind: str, **more: Any) -> Any:
    common = {
        "vocab_size": _VOCABULARY, "hidden_size": _WIDTH, "num_hidden_layers": _LAYERS,
        "num_attention_heads": _HEADS, "intermediate_size": 4 * _WIDTH, "max_position_embeddings": 64,
    }  # fmt: skip
    return getattr(transformers, kind)(**{**common, **more})


MAKERS: dict[str, Callable[[int], Trained]] = {
    "bert": _made("BertForMaskedLM", _config("BertConfig"), _language),
    "gpt2": _made(
        "GPT2LMHeadModel",
        transformers.GPT2Config(
            vocab_size=_VOCABULARY, n_embd=_WIDTH, n_layer=_LAYERS, n_head=_HEADS, n_positions=64,
            bos_token_id=1, eos_token_id=2,
        ),
        _language,
    ),
    "llama": _made(
        "LlamaForCausalLM", _config("LlamaConfig", num_key_value_heads=2, hidden_size=256), _language
    ),
    "qwen2": _made("Qwen2ForCausalLM", _config("Qwen2Config", num_key_value_heads=4), _language),
    "neox": _made("GPTNeoXForCausalLM", _config("GPTNeoXConfig"), _language),
    "vit": _made(
        "ViTForImageClassification",
        _config("ViTConfig", image_size=32, patch_size=8, num_labels=10),
        _pictures,
    ),
}  # fmt: skip
