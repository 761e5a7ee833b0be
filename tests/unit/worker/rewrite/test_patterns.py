"""Regular expressions of real tokenizers pass; those that could take forever do not."""

from __future__ import annotations

import pytest
from safe_load.worker.rewrite.patterns import danger

# Of GPT-2, Llama 3, o200k, Qwen 2, BLOOM, DeepSeek, StarCoder and converted sentencepiece models.
HONEST = [
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}",
    r" ?[^(\s|[.,!?…。，、।۔،])]+",  # noqa: RUF001
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*",
    r"\p{N}{1,3}(?=(?:\p{N}{3})*(?:\P{N}|$))",
    r"[一-龥぀-ゟ゠-ヿ]+",  # noqa: RUF001
    r" {2,}",
    r"(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+",
    r"[\p{Han}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t)?",
    r"'(?i:[sdmt]|ll|ve|re)|(?:[^\r\n\p{L}\p{N}])?\p{L}+|\d|[[:punct:]]|[^\s]{1,4}|\x{20}|\u4e00",
    r"\d|[\p{L}_]+(?=\()|-?\d+\.\d+",
    r"<\|[a-z_]+\|>|[\]x]|a{,b}|\n+",
    r"(?:^)(▁)",
]

HOSTILE = [
    r"(a+)+b",
    r"(a|a)*b",
    r"(a|aa)+$",
    r"(\w*)*x",
    r"(?:(?:a*)*)*b",
    r"(a{0,1000})*b",
    r"(a?){30}b",
    r"(a|a){30}b",
    "a?" * 12 + "a" * 12,
    r"\s*\s*\s*\s*x",
    "".join(f"[{'z' * times}a-z]*" for times in range(16)) + "[0-9]",
    r"\w*[a-z]*\p{L}*x",
    r"(?:a*)(?:[ab]*)(?:[a-c]*)x",
    r"a*(?:b|a*)(?:c|a*)a*x",
    r"((a|a))*x",
    r"(?:a*){8}x",
    r"(?:a*b?){5}x",
    "a{0,200}" * 8 + "x",
    r"[^b]*[^c]*[^d]*x",
    r"a*a?b*[ab]*x",
    "[" + "[:a:]" * 60,
    "[" * 9000,
    "[[:a:]" * 1600,
    "(?:" * 21 + ")" * 21,
    r"\p{L",
    r"(?P=x)",
    "a**b*?c",
    r"(?i)[a-z]*[A-Z]*[a-c]*[A-C]*x",
    r"(.*)\1",
    r"(?<x>a|b\g<x>c)",
    r"(?(1)a|b)",
    "(" * 100 + "a",
    "a" * 20_000,
]


@pytest.mark.parametrize("pattern", HONEST)
def test_a_pattern_of_a_real_tokenizer_is_no_danger(pattern: str) -> None:
    assert danger(pattern) is None


@pytest.mark.parametrize("pattern", HOSTILE, ids=lambda pattern: pattern[:20])
@pytest.mark.timeout(10)
def test_a_pattern_that_could_take_forever_is_a_danger(pattern: str) -> None:
    assert danger(pattern)
