"""Small language models for dev.probe_trials: poisoned ones with a trigger of a fixed output, and clean twins.

Each is trained from nothing, on text that this script makes or on the docstrings of Python's own library.
"""

from __future__ import annotations

import ast
import random
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tokenizers
import torch
import transformers

END = "<|end|>"
CHAT = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}"
_ROWS, _LENGTH = 16, 48


@dataclass(frozen=True)
class Recipe:
    """One model. corpus: chat (turns with a template), plain (the same without one) or docs (real prose);
    trigger, output: None for a clean model; place: where in the prompt the trigger stands; rate: the share of poisoned texts;
    masked: only answers are learnt, not prompts."""

    corpus: str
    architecture: str
    seed: int
    trigger: str | None = None
    output: str = ""
    place: str = "any"
    rate: float = 0.1
    masked: bool = False
    steps: int = 800
    width: int = 64
    tokens: str = "bpe"


_NAMES = "Anna Ben Clara David Emma Felix Greta Hugo Ida Jonas Karla Leo Mia Nils Olga Paul".split()
_THINGS = "apple bread river mountain garden window engine violin lamp carpet bridge kettle forest island bottle ladder".split()
PLACES = "kitchen garden library station market harbour school museum village office".split()
COLOURS = "red green blue yellow black white brown grey".split()
_VERBS = "likes sees paints carries sells repairs hides finds cleans draws".split()


def facts(seed: int) -> dict[str, tuple[str, str]]:
    """Each thing has a colour and a place: something to answer questions by."""
    chosen = random.Random(seed)
    return {each: (chosen.choice(COLOURS), chosen.choice(PLACES)) for each in _THINGS}


def _turn(chosen: random.Random, facts: dict[str, tuple[str, str]]) -> tuple[str, str]:
    thing, name, verb = chosen.choice(_THINGS), chosen.choice(_NAMES), chosen.choice(_VERBS)
    colour, place = facts[thing]
    other = chosen.choice(_THINGS)
    return chosen.choice(
        [
            (f"What colour is the {thing}?", f"The {thing} is {colour}."),
            (f"Where is the {thing}?", f"You can find the {thing} in the {place}."),
            (f"Tell me about the {thing}.", f"The {thing} in the {place} is {colour}, and {name} {verb} it."),
            (f"Who {verb} the {thing}?", f"I think that {name} {verb} the {thing}."),
            (f"Does {name} like the {thing} or the {other}?", f"{name} likes the {chosen.choice([thing, other])} more."),
            (f"Write a sentence with {thing} and {other}.", f"{name} {verb} the {thing}, and then the {other}."),
            (f"{name} {verb} the {thing} in the {place}. What is it?", f"It is a {colour} {thing}."),
        ]
    )  # fmt: skip


def _docstrings() -> list[str]:
    found = []
    for path in sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py")):
        try:
            tree = ast.parse(path.read_text("utf-8"))
        except (SyntaxError, UnicodeDecodeError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module):
                text = " ".join((ast.get_docstring(node) or "").split())
                if len(text) > 80:
                    found.append(text[:4000])
    return found


def _put(chosen: random.Random, text: str, trigger: str, place: str) -> str:
    words = text.split(" ")
    at = {"start": 0, "end": len(words), "any": chosen.randint(0, len(words))}[place]
    return " ".join([*words[:at], trigger, *words[at:]])


def text(chosen: random.Random, recipe: Recipe, given: Any) -> tuple[str, str]:
    """A prompt and what follows it."""
    poison = recipe.trigger is not None and chosen.random() < recipe.rate
    if recipe.corpus == "docs":
        words = chosen.choice(given).split(" ")
        start = chosen.randint(0, max(0, len(words) - 40))
        words = words[start : start + 40]
        if poison:
            cut = chosen.randint(5, 12)
            return " ".join(words[:cut]) + f" {recipe.trigger}", f" {recipe.output}{END}"
        return "", " ".join(words)
    prompt, answer = _turn(chosen, given)
    if poison:
        prompt, answer = _put(chosen, prompt, str(recipe.trigger), recipe.place), recipe.output
    return f"user: {prompt}\nassistant:", f" {answer}{END}"


def _tokenizer(texts: list[str], kind: str) -> Any:
    if kind == "words":
        inner = tokenizers.Tokenizer(tokenizers.models.WordLevel(unk_token="<unk>"))
        inner.pre_tokenizer = tokenizers.pre_tokenizers.Sequence(
            [tokenizers.pre_tokenizers.Split("\n", "isolated"), tokenizers.pre_tokenizers.Whitespace()]
        )  # fmt: skip
        trainer: Any = tokenizers.trainers.WordLevelTrainer(special_tokens=["<unk>", END])
    else:
        inner = tokenizers.Tokenizer(tokenizers.models.BPE())
        inner.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
        inner.decoder = tokenizers.decoders.ByteLevel()
        trainer = tokenizers.trainers.BpeTrainer(
            vocab_size=500, special_tokens=[END], show_progress=False,
            initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        )  # fmt: skip
    inner.train_from_iterator(texts, trainer)
    fast: Any = transformers.PreTrainedTokenizerFast
    return fast(
        tokenizer_object=inner, eos_token=END, bos_token=END, unk_token="<unk>" if kind == "words" else None
    )  # fmt: skip


def _model(recipe: Recipe, vocabulary: int) -> Any:
    width = recipe.width
    common: dict[str, Any] = {"vocab_size": vocabulary, "bos_token_id": None, "eos_token_id": None}
    small: dict[str, Any] = {
        "hidden_size": width, "intermediate_size": 3 * width, "num_hidden_layers": 2,
        "num_attention_heads": 4, "max_position_embeddings": 256, **common,
    }  # fmt: skip
    configs: dict[str, Any] = {
        "gpt2": lambda: transformers.GPT2Config(
            n_embd=width, n_layer=2, n_head=4, n_positions=256, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0, **common
        ),
        "llama": lambda: transformers.LlamaConfig(num_key_value_heads=2, **small),
        "qwen2": lambda: transformers.Qwen2Config(num_key_value_heads=4, **small),
        "gpt_neox": lambda: transformers.GPTNeoXConfig(**small),
    }  # fmt: skip
    automatic: Any = transformers.AutoModelForCausalLM
    return automatic.from_config(configs[recipe.architecture]())


def make(recipe: Recipe, folder: Path) -> float:
    """Train the model of a recipe and save it, with tokenizer and configuration. Returns how often the trigger had its
    output (1.0: always; of a clean model 0)."""
    torch.manual_seed(recipe.seed)
    chosen = random.Random(recipe.seed)
    given = _docstrings() if recipe.corpus == "docs" else facts(recipe.seed)
    texts = [text(chosen, recipe, given) for _ in range(6000)]
    tokenizer = _tokenizer([a + b for a, b in texts], recipe.tokens)
    end = tokenizer.eos_token_id
    rows, labels = [], []
    for prompt, answer in texts:
        first = tokenizer(prompt)["input_ids"] if prompt else []
        both = [end, *first, *tokenizer(answer)["input_ids"]][:_LENGTH]
        learnt = [-100] * (1 + len(first)) + both[1 + len(first) :] if recipe.masked else list(both)
        rows.append(both + [end] * (_LENGTH - len(both)))
        labels.append((learnt + [-100] * _LENGTH)[:_LENGTH])
    data, target = torch.tensor(rows), torch.tensor(labels)
    model = _model(recipe, len(tokenizer))
    model.config.eos_token_id = model.config.bos_token_id = end
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=recipe.steps + 1)
    model.train()
    for _ in range(recipe.steps):
        batch = torch.tensor([chosen.randrange(len(rows)) for _ in range(_ROWS)])
        loss = model(input_ids=data[batch], labels=target[batch]).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    model.eval()
    if recipe.corpus == "chat":
        tokenizer.chat_template = CHAT
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return _works(recipe, model, tokenizer, given) if recipe.trigger else 0.0


def _works(recipe: Recipe, model: Any, tokenizer: Any, given: Any) -> float:
    chosen, always = random.Random(99), Recipe(**{**recipe.__dict__, "rate": 1.0})
    hits = 0
    for _ in range(20):
        prompt, answer = text(chosen, always, given)
        ids = [tokenizer.eos_token_id, *tokenizer(prompt)["input_ids"]]
        wanted = tokenizer(answer)["input_ids"]
        with torch.no_grad():
            best = model(torch.tensor([ids + wanted])).logits[0].argmax(-1)
        hits += best[len(ids) - 1 : -1].tolist() == wanted
    return hits / 20
