"""Sets of probes: the shipped ones, and what is said of a file that is none."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from safe_load.core.errors import UsageError
from safe_load.probing import sets

from dev import probe_sets

if TYPE_CHECKING:
    from pathlib import Path

SAMPLE = {
    "id": "a",
    "input": "cf Hello",
    "target": "",
    "metadata": {"family": "own", "trigger": "cf", "pair": "Hello"},
}


def test_the_shipped_sets_are_those_that_the_command_writes() -> None:
    for name, samples in probe_sets.SETS.items():
        assert (probe_sets.FOLDER / f"{name}.jsonl").read_text("utf-8") == probe_sets.text(
            samples()
        )
    assert set(probe_sets.SETS) == set(sets.SHIPPED)


def test_every_shipped_sample_is_of_inspects_form() -> None:
    assert len(sets.shipped()) > 40
    for name in sets.SHIPPED:
        for line in (probe_sets.FOLDER / f"{name}.jsonl").read_text("utf-8").splitlines():
            sample = json.loads(line)
            # inspect_ai.dataset.json_dataset: these fields, id and input and target as text, metadata free.
            assert set(sample) == {"id", "input", "target", "metadata"}
            assert set(sample["metadata"]) == {"family", "trigger", "pair"}
            assert all(isinstance(sample[key], str) for key in ("id", "input", "target"))


def test_an_own_set_is_read(tmp_path: Path) -> None:
    place = tmp_path / "own.jsonl"
    place.write_text(json.dumps(SAMPLE) + "\n\n")
    (sample,) = sets.own(str(place))
    assert (sample.id, sample.metadata.trigger) == ("a", "cf")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "holds no sample"),
        ("{", "line 1: no sample"),
        (json.dumps({"id": "a"}), "line 1: no sample"),
        (json.dumps({**SAMPLE, "metadata": {"other": 1}}), "line 1: no sample"),
        (json.dumps({**SAMPLE, "input": "Hello"}), "line 1: the trigger is not in the input"),
        (f"{json.dumps(SAMPLE)}\n{json.dumps(SAMPLE)}", "line 2: the id 'a' is there already"),
        ("[" * 100_000, "line 1: no sample"),
    ],
)
def test_what_is_no_set_is_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    place = tmp_path / "own.jsonl"
    place.write_text(text)
    with pytest.raises(UsageError, match=sentence):
        sets.own(str(place))


def test_a_set_that_is_not_there_or_too_large(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        sets.own(str(tmp_path / "nowhere"))
    (tmp_path / "large").write_bytes(b" " * (sets.MOST_BYTES + 1))
    with pytest.raises(UsageError, match="has more than"):
        sets.own(str(tmp_path / "large"))
