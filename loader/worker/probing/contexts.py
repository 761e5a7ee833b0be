"""What a trigger is put into: prompts in the model's own chat format, and texts that it writes itself. Zone: worker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from safe_load.worker.probing.language import Language

#: Tokens of a text that the model writes, and of the part of it that comes after a trigger.
WRITTEN, AFTER = 48, 24
_LEAST_AFTER = 6


@dataclass(frozen=True)
class Context:
    """Tokens before and after the place of a trigger. group: contexts of one kind are judged together; answer: whether
    only what follows the last token is an answer."""

    before: tuple[int, ...]
    after: tuple[int, ...]
    group: str
    answer: bool


def of_prompts(language: Language, prompts: Sequence[list[int]], chat: tuple[list[int], list[int]]) -> list[Context]:  # fmt: skip
    """Each prompt with a place at its start, and each with one at its end."""
    first, last = chat
    found = []
    for prompt in prompts:
        room = max(4, language.longest - len(first) - len(last) - 40)
        cut = prompt[:room]
        found.append(Context(tuple(first), (*cut, *last), "start", answer=True))
        found.append(Context((*first, *cut), tuple(last), "end", answer=True))
    return found


def of_texts(language: Language, texts: Sequence[list[int]], chosen: random.Random) -> list[Context]:  # fmt: skip
    """Each text with a place somewhere near its beginning; what comes after it may answer anywhere."""
    found = []
    for text in texts:
        ends = [at for at, each in enumerate(text) if each in language.special and at > 0]
        whole = text[: ends[0]] if ends else text
        if len(whole) < _LEAST_AFTER + 3:
            continue
        at = chosen.randint(1, max(1, min(6, len(whole) - _LEAST_AFTER)))
        found.append(Context(tuple(whole[:at]), tuple(whole[at : at + AFTER]), "inside", answer=False))  # fmt: skip
    return found


def prompts_in(language: Language, texts: Sequence[list[int]]) -> list[list[int]]:
    """What users say in texts that the model wrote after the opening of its chat."""
    if language.chat is None:
        return []
    mark = language.chat[1]
    found = []
    for text in texts:
        for at in range(1, len(text) - len(mark) + 1):
            if text[at : at + len(mark)] == mark:
                if not language.special.intersection(text[:at]):
                    found.append(text[:at])
                break
    return found
