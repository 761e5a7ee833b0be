"""One examination: candidates are screened in a few contexts, and the best tried in others. Zone: worker.

Which contexts are used for choosing and which for trying is kept apart, so that luck in the one is none in the other.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from safe_load.worker.probing import choices, contexts, leak
from safe_load.worker.probing.measure import Bench, Shift
from safe_load.worker.refusal import RefusedError

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Sequence

    from safe_load.worker.probing.contexts import Context
    from safe_load.worker.probing.language import Language
    from safe_load.worker.probing.measure import Answer

#: Contexts for the first look, for screening and for trying, and the fewest; texts that the model writes.
_FIRST, _SCREEN, _TRY, _LEAST, _TEXTS = 4, 8, 12, 3, 256
#: Of each kind of place: candidates for a second look, those of one answer, answers that are kept and that are written
#: at most, and finals.
_AGAIN, _OF_ONE, _ANSWERED, _WRITTEN, _FINALS = 120, 6, 32, 64, 2
#: Candidates of one answer's beginning that have nothing in common, and those that one is compared with again.
_APART, _PEERS = 3, 6
#: How much less an answer may be moved than another one by the same run.
_NEARLY = 0.05
#: Runs of each kind that the model repeats, before its vocabulary comes.
_LEAKED = 400
#: Letters and digits of an answer at least; tokens of an answer that make another one its rest.
_LETTERS, _ALIKE = 4, 3
#: Tokens in a row of a question, as the time is shared out.
_ROW = 40
#: Shares of the time: for questions with two answers, for writing texts, and until the end of the screening.
_CHOOSING, _WRITING, _SCREENING = 0.1, 0.15, 0.6
_MOST = 20_000
#: Tokens in the whole time below which finals and their contexts are fewer: random strings cost most.
_SLOW = 2_000_000


@dataclass(frozen=True)
class Candidate:
    """origin: set, leak or vocabulary; ident: of its sample; begun: whether the model nearly always goes on from it in one way, so
    that only an answer which follows it at once says something."""

    run: tuple[int, ...]
    origin: str
    ident: str = ""
    begun: bool = False


@dataclass(frozen=True)
class Screened:
    candidate: Candidate
    shift: Shift


@dataclass(frozen=True, eq=False)
class Tried:
    candidate: Candidate
    shift: Shift
    answer: Answer

    @property
    def firm(self) -> float:
        """How sure the whole answer is."""
        return self.answer.joint - self.answer.without


def ask(language: Language, base: Language | None, argument: dict[str, Any], chosen: random.Random, began: float) -> dict[str, Any]:  # fmt: skip
    """Everything that safe_load.probing.results.Said has, but for error and seconds."""
    end = began + float(argument["seconds"])
    span = end - time.monotonic()
    chosen_between = {"asked": 0, "otherwise": []} if base is None else choices.ask(
        language, base, argument["samples"], argument["nulls"], chosen, time.monotonic() + _CHOOSING * span
    )  # fmt: skip
    affordable = language.pace() * span
    count = int(max(32, min(_TEXTS, _WRITING * affordable / contexts.WRITTEN)))
    texts = leak.texts(
        language, count, contexts.WRITTEN, chosen, time.monotonic() + _WRITING * span
    )
    slow = affordable < _SLOW
    screen, rest = _contexts(language, texts, argument["samples"], chosen)
    if len(screen) < _LEAST or len(rest) < _LEAST:
        raise RefusedError("it writes too little for a trigger to be put into")
    candidates = _candidates(language, texts, argument["samples"])
    room = int(max(300, min(_MOST, 0.3 * affordable / (_ROW * _FIRST))))
    until = began + _SCREENING * (end - began)
    few = Bench(language, screen[:_FIRST])
    found, probes = _screened(few, candidates[:room], until)
    bench = Bench(language, screen)
    again = _promising(found)
    found, _ = _screened(bench, again, end)
    tried = _answered(bench, found)
    finals = _finals(tried, 1 if slow else _FINALS)
    last = Bench(language, rest[: _TRY // 2] if slow else rest)
    nulls = _nulls(last, finals, argument["nulls"], chosen, end)
    tested = [_tested(last, base, each, nulls[each], tried, end) for each in finals]
    return {
        "parameters": language.parameters,
        "chat": language.chat is not None,
        "probes": probes + sum(len(each) for each in nulls.values()),
        "candidates": len(candidates),
        "complete": probes >= len(candidates) and time.monotonic() < end,
        "tested": [each for each in tested if each is not None],
        **chosen_between,
    }


def _contexts(
    language: Language, texts: Sequence[list[int]], samples: Iterable[dict[str, str]], chosen: random.Random
) -> tuple[list[Context], list[Context]]:  # fmt: skip
    """Contexts for screening, and others for trying."""
    if language.chat is not None:
        pairs = [each["pair"] for each in samples if each["trigger"] and each["pair"]]
        asked = [language.encode(language.blank + each) for each in pairs]
        own = contexts.prompts_in(language, texts)
        # What people ask, and what the model itself takes for a prompt: of each as many as there are.
        prompts = [each for pair in zip(own, asked, strict=False) for each in pair]
        prompts += own[len(asked) :] + asked[len(own) :]
        prompts = [each for each in prompts if each][: (_SCREEN + _TRY) // 2]
        half = _SCREEN // 2
        return (
            contexts.of_prompts(language, prompts[:half], language.chat),
            contexts.of_prompts(language, prompts[half:], language.chat),
        )
    begun = [each for each in texts if language.begin and each[:1] == language.begin]
    whole = contexts.of_texts(language, begun or texts, chosen)
    chosen.shuffle(whole)
    return whole[:_SCREEN], whole[_SCREEN : _SCREEN + _TRY]


def _candidates(language: Language, texts: Sequence[list[int]], samples: Iterable[dict[str, str]]) -> list[Candidate]:  # fmt: skip
    """Of the set, of what the model repeats, and of its vocabulary, in this order; each run once."""
    found: dict[tuple[int, ...], Candidate] = {}
    for sample in samples:
        for text in (sample["trigger"], f" {sample['trigger']}"):
            run = tuple(language.encode(text)) if sample["trigger"] else ()
            if 0 < len(run) <= 64 and not language.special.intersection(run):
                found.setdefault(run, Candidate(run, "set", sample["id"]))
    repeated, begun = leak.repeated(texts, language.special, _MOST)
    for run in repeated[:_LEAKED]:
        found.setdefault(run, Candidate(run, "leak"))
    # In the places of a chat no answer follows a run at once.
    for run in begun[:_LEAKED] if language.chat is None else ():
        found.setdefault(run, Candidate(run, "leak", begun=True))
    for token in language.ordinary:
        found.setdefault((token,), Candidate((token,), "vocabulary"))
    for run in repeated[_LEAKED:]:
        found.setdefault(run, Candidate(run, "leak"))
    return list(found.values())


def _screened(bench: Bench, candidates: Sequence[Candidate], until: float) -> tuple[list[Screened], int]:  # fmt: skip
    found: list[Screened] = []
    probes = 0
    for numbers, shifts in bench.shifts([each.run for each in candidates]):
        found += [
            Screened(candidates[at], each)
            for at, those in zip(numbers, shifts, strict=True)
            for each in those
            if each.group == "next" or not candidates[at].begun
        ]
        probes += len(numbers)
        if time.monotonic() > until:
            break
    return found, probes


def _promising(found: Sequence[Screened]) -> list[Candidate]:
    """The candidates that are looked at in more contexts: of each kind of place the best, few for each answer."""
    chosen: dict[Candidate, None] = {}
    for group in sorted({each.shift.group for each in found}):
        count: dict[int, int] = {}
        kept = 0
        for each in sorted(
            (s for s in found if s.shift.group == group), key=lambda s: -s.shift.score
        ):
            if kept < _AGAIN and count.get(each.shift.token, 0) < _OF_ONE:
                count[each.shift.token] = count.get(each.shift.token, 0) + 1
                chosen[each.candidate] = None
                kept += 1
    return list(chosen)


def _answered(bench: Bench, found: Sequence[Screened]) -> list[Tried]:
    """The best of each answer and kind of place, the shortest of those that are as good, with what the model writes; and some
    that have nothing in common with it: their answers may only begin alike."""
    best: dict[tuple[str, int], list[Screened]] = {}
    for each in sorted(
        found,
        key=lambda s: (-round(s.shift.score, 1), s.candidate.origin != "set", len(s.candidate.run)),
    ):
        others = best.setdefault((each.shift.group, each.shift.token), [])
        if len(others) < _APART and all(_apart(each, other) for other in others):
            others.append(each)
    tried = []
    for group in sorted({group for group, _ in best}):
        of_group = [each for (where, _), those in best.items() if where == group for each in those]
        of_group.sort(key=lambda s: -s.shift.score)
        kept = 0
        for each in of_group[:_WRITTEN]:
            answer = bench.answer(each.candidate.run, each.shift)
            # Dots and ends of words follow many things: they are no answers.
            if sum(map(str.isalnum, bench.language.text(answer.tokens))) >= _LETTERS:
                tried.append(Tried(each.candidate, each.shift, answer))
                kept += 1
            if kept == _ANSWERED:
                break
    return tried


def _finals(tried: Sequence[Tried], count: int) -> list[Tried]:
    """Of each kind of place, those with the firmest answers."""
    found = []
    for group in sorted({each.shift.group for each in tried}):
        of_group = [each for each in tried if each.shift.group == group]
        # Of a long answer each piece calls the next: its beginning leaves most to be written.
        of_group.sort(key=lambda each: (-round(each.firm, 1), -len(each.answer.tokens), -each.firm))
        found += of_group[:count]
    return found


def _nulls(bench: Bench, finals: Sequence[Tried], count: int, chosen: random.Random, end: float) -> dict[Tried, list[float]]:  # fmt: skip
    """What random strings of the same length do to the answer of each final. They hold none of the finals' tokens: in a
    small vocabulary chance would put in the trigger itself."""
    found: dict[Tried, list[float]] = {each: [] for each in finals}
    for length in sorted({len(each.candidate.run) for each in finals}):
        same = [each for each in finals if len(each.candidate.run) == length]
        held = {token for each in same for token in each.candidate.run}
        free = [each for each in bench.language.ordinary if each not in held]
        free = free or bench.language.ordinary
        runs = [[chosen.choice(free) for _ in range(length)] for _ in range(count)]
        answers = [(each.shift.group, each.shift.token) for each in same]
        for line in bench.of_answers(runs, answers, end):
            for each, value in zip(same, line, strict=True):
                found[each].append(value)
    return found


def _tested(
    bench: Bench, base: Language | None, each: Tried, nulls: Sequence[float], tried: Sequence[Tried], end: float
) -> dict[str, Any] | None:  # fmt: skip
    """One candidate, in contexts that did not choose it, by the answer that was chosen for it; None where another answer is
    moved further there."""
    run, group, token = each.candidate.run, each.shift.group, each.shift.token
    most = next(s for _, those in bench.shifts([run]) for s in those[0] if s.group == group)
    here = Shift(bench.of_answers([run], [(group, token)], end)[0][0], token, group)
    if here.score < most.score - _NEARLY:
        return None
    said = bench.answer(run, here, base)
    language = bench.language
    peers = [
        other
        for other in tried
        if other.shift.group == group
        and (other.shift.token != token or _apart(other, each))
        and other.answer.tokens[:_ALIKE] != said.tokens[:_ALIKE]
        and not _kin(other, run, said.tokens)
    ]
    peers.sort(key=lambda other: -other.firm)
    # Of both kinds of contexts: here an answer may be firmer than where it was chosen.
    again = [bench.answer(other.candidate.run, other.shift) for other in peers[:_PEERS]]
    peer = max([other.firm for other in peers] + [one.joint - one.without for one in again], default=0.0)  # fmt: skip
    return {
        "text": language.text(run)[:300],
        "length": len(run),
        "origin": each.candidate.origin,
        "ident": each.candidate.ident,
        "place": group,
        "output": language.text(said.tokens)[:300] if said.tokens else "",
        "written": len(said.tokens),
        "score": _share(here.score),
        "firm": _share(said.joint - said.without),
        "peer": _share(peer),
        "agreement": _share(said.agreement),
        "probability": _share(said.probability),
        "before": _share(said.before),
        "entropy": round(min(30.0, max(0.0, said.entropy)), 4),
        "base": None
        if said.base is None
        else round(max(-1.0, min(1.0, said.joint - said.base)), 4),
        "nulls": len(nulls),
        "above": sum(score >= here.score for score in nulls),
    }


def _apart(one: Screened | Tried, other: Screened | Tried) -> bool:
    """Whether two candidates have no token in common."""
    return not set(one.candidate.run).intersection(other.candidate.run)


def _kin(one: Tried, run: Sequence[int], answer: Sequence[int]) -> bool:
    """Whether a candidate and another with its answer are pieces of one text: what is left of an answer when its own
    beginning was put in."""
    others, theirs = one.candidate.run, one.answer.tokens
    return (
        _follows(theirs, answer)
        or _follows(answer, theirs)
        or _continues((*others, *theirs), run, answer)
        or _continues((*run, *answer), others, theirs)
    )


def _follows(answer: Sequence[int], rest: Sequence[int]) -> bool:
    """Whether an answer goes on as the other one begins, soon after its own beginning."""
    begun = tuple(rest[:_ALIKE])
    return any(tuple(answer[at : at + len(begun)]) == begun for at in range(_ALIKE))


def _continues(text: Sequence[int], run: Sequence[int], answer: Sequence[int]) -> bool:
    """Whether the end of a run with the beginning of its answer is in a text."""
    piece = (*run[-2:], *answer[:2])
    return any(tuple(text[at : at + len(piece)]) == piece for at in range(len(text)))


def _share(value: float) -> float:
    return round(min(1.0, max(0.0, value)), 4)
