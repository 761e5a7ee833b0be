"""The language model of a cleared folder: tokens in, probabilities out. Zone: worker, in a room of its own."""

from __future__ import annotations

import gc
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import transformers
from safe_load.worker.refusal import RefusedError
from safe_load.worker.rewrite import template_ast

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Numbers of a model that are probed at most: more takes hours on a CPU.
MOST_PARAMETERS = 700_000_000
#: Numbers of the logits of one batch, at most, and its rows.
_BATCH, _ROWS = 1 << 24, 512
_OFFLINE = {"trust_remote_code": False, "local_files_only": True}
_PLACE = "PLACEOFTHEPROMPT"


class Language:
    """A causal language model and its tokenizer, if it has one."""

    def __init__(self, folder: str) -> None:
        """Raises RefusedError for what is no language model of a size that can be asked."""
        self.folder = folder
        try:
            config = transformers.AutoConfig.from_pretrained(folder, **_OFFLINE)
            named = getattr(config, "architectures", None) or []
            if not any(str(name).endswith(("ForCausalLM", "LMHeadModel")) for name in named):
                raise RefusedError("it is no model that writes text, by what its config.json names")
            automatic: Any = transformers.AutoModelForCausalLM
            self.model: Any = automatic.from_pretrained(
                folder, config=config, dtype=torch.float32, use_safetensors=True, **_OFFLINE
            )
        except (MemoryError, RefusedError):
            raise
        except Exception as error:  # noqa: BLE001 - whatever transformers raises for a config
            raise RefusedError(f"transformers loads no language model of it: {_short(error)}") from None  # fmt: skip
        self.model.train(False)
        self.parameters = sum(each.numel() for each in self.model.parameters())
        if self.parameters > MOST_PARAMETERS:
            raise RefusedError(
                f"it has {self.parameters:,} numbers, and models of up to {MOST_PARAMETERS:,} can be asked on a CPU"
            )
        self.tokenizer = self._tokenizer()
        self.vocabulary = int(self.model.get_output_embeddings().weight.shape[0])
        self.longest = int(getattr(config, "max_position_embeddings", None) or 512)
        self.special = self._special(config)
        known = self.vocabulary if self.tokenizer is None else len(self.tokenizer)
        self.ordinary = [each for each in range(min(known, self.vocabulary)) if each not in self.special]  # fmt: skip
        begin = getattr(config, "bos_token_id", None)
        self.begin = [begin] if isinstance(begin, int) and 0 <= begin < self.vocabulary else []
        self.blank = ""
        self.chat = self._chat()
        gc.freeze()

    def _tokenizer(self) -> Any:
        names = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt")
        if not any(Path(self.folder, name).is_file() for name in names):
            return None
        try:
            return transformers.AutoTokenizer.from_pretrained(self.folder, **_OFFLINE)
        except Exception:  # noqa: BLE001 - a model is asked in numbers of tokens where its words are not known
            return None

    def _special(self, config: Any) -> set[int]:
        found = set(getattr(self.tokenizer, "all_special_ids", None) or ())
        for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
            value = getattr(config, name, None)
            found |= set(value) if isinstance(value, list) else {value}
        return {each for each in found if isinstance(each, int) and 0 <= each < self.vocabulary}

    def _chat(self) -> tuple[list[int], list[int]] | None:
        """The tokens before and after what a user says, as the chat template has them."""
        template = getattr(self.tokenizer, "chat_template", None)
        if not isinstance(template, str) or template_ast.costly(template) is not None:
            return None
        try:
            text = self.tokenizer.apply_chat_template(
                [{"role": "user", "content": _PLACE}], tokenize=False, add_generation_prompt=True
            )
        except Exception:  # noqa: BLE001 - a template that fails is none
            return None
        before, place, after = str(text).partition(_PLACE)
        self.blank = " " if before.endswith(" ") else ""
        if not place or len(before) + len(after) > 4000:
            return None
        # A blank belongs to the word after it, as tokenizers have it. Chat templates write their own beginning; where there is none, texts begin as the model's do.
        first = self.encode(before.rstrip(" "))
        if self.begin and first[:1] != self.begin:
            first = [*self.begin, *first]
        return first, self.encode(after)

    def encode(self, text: str) -> list[int]:
        """The tokens of a text, without those that a tokenizer adds; none without a tokenizer."""
        if self.tokenizer is None:
            return []
        found = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return [each for each in found if 0 <= each < self.vocabulary]

    def text(self, ids: Sequence[int]) -> str:
        """A text for people: the tokens' words, or their numbers."""
        if self.tokenizer is not None:
            try:
                said = str(self.tokenizer.decode(list(ids)))
            except Exception:  # noqa: BLE001 - the tokenizer is the model's
                said = ""
            if said.strip():
                return said
        return " ".join(f"[{each}]" for each in ids)

    def ends(self, rows: Sequence[Sequence[int]], count: int) -> torch.Tensor:
        """The log-probabilities of what follows each of the last `count` tokens of rows of one length."""
        size = max(1, min(_ROWS, _BATCH // (self.vocabulary * len(rows[0]))))
        found = []
        for start in range(0, len(rows), size):
            with torch.inference_mode():
                out = self.model(
                    input_ids=torch.tensor(rows[start : start + size]), use_cache=False
                )
                lines = torch.log_softmax(out.logits[:, -count:].float(), -1)
                found.append(torch.nan_to_num(lines, nan=-1e4, neginf=-1e4))
        return torch.cat(found)

    def apart(self, rows: Sequence[Sequence[int]], counts: Sequence[int]) -> list[torch.Tensor]:
        """As `ends`, of rows of several lengths: for each the log-probabilities after its last tokens."""
        width = max(len(row) for row in rows)
        size = max(1, min(_ROWS, _BATCH // (self.vocabulary * width)))
        found = []
        for start in range(0, len(rows), size):
            part = rows[start : start + size]
            # What is filled up comes later than everything that is looked at.
            filled = torch.tensor([[*row, *[0] * (width - len(row))] for row in part])
            with torch.inference_mode():
                logits = self.model(input_ids=filled, use_cache=False).logits.float()
            for at, row in enumerate(part):
                lines = logits[at, len(row) - counts[start + at] : len(row)]
                found.append(torch.nan_to_num(torch.log_softmax(lines, -1), nan=-1e4, neginf=-1e4))
        return found

    def likeliest(self, rows: Sequence[Sequence[int]], count: int) -> list[list[int]]:
        """The likeliest `count` tokens after each row, one by one."""
        grown = [list(row) for row in rows]
        for _ in range(count):
            lines = self.apart(grown, [1] * len(grown))
            for row, line in zip(grown, lines, strict=True):
                row.append(int(line[0].argmax()))
        return [row[len(given) :] for row, given in zip(grown, rows, strict=True)]

    def write(self, rows: Sequence[Sequence[int]], count: int, until: float) -> list[list[int]]:
        """What the model writes after each row, drawn at random: up to `count` tokens. Rows are of one length."""
        written: list[list[int]] = [[] for _ in rows]
        size = max(1, min(_ROWS, _BATCH // (self.vocabulary * max(1, len(rows[0])))))
        for start in range(0, len(rows), size):
            given, past = torch.tensor([list(row) for row in rows[start : start + size]]), None
            for _ in range(count):
                if time.monotonic() > until:
                    break
                with torch.inference_mode():
                    out = self.model(input_ids=given, past_key_values=past, use_cache=True)
                    past = out.past_key_values
                    last = torch.nan_to_num(out.logits[:, -1].float())
                    given = torch.multinomial(torch.softmax(last, -1), 1)
                for line, each in enumerate(given[:, 0].tolist()):
                    written[start + line].append(each)
        return written

    def pace(self) -> float:
        """Tokens in a second."""
        count = max(4, min(64, (1 << 22) // (32 * self.vocabulary)))
        rows = [[self.ordinary[(7 * at + row) % len(self.ordinary)] for at in range(32)] for row in range(count)]  # fmt: skip
        self.ends(rows[:4], 1)  # The first time is slower.
        began = time.monotonic()
        self.ends(rows, 1)
        return 32 * count / max(1e-4, time.monotonic() - began)


def _short(error: Exception) -> str:
    text = str(error) if isinstance(error, OSError | ValueError) else type(error).__name__
    return json.dumps(text.split("\n")[0][:200])
