"""Weights that were seen before are known again, whole, converted, or with a few tensors changed."""

from __future__ import annotations

import random
import sqlite3
import struct
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from safe_load.core.report import Source
from safe_load.provenance import fingerprints
from safe_load.provenance.fingerprints import Model, Print
from safe_load.worker.tensors.fingerprints import sample

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SEEN = "2026-11-01T00:00:00+00:00"
NAME = "hf://google/x@" + "0" * 40


def tensor(name: str, values: list[float], form: str = "f") -> Print:
    data = struct.pack(f"<{len(values)}{form}", *values)
    dtype = {"f": "F32", "e": "F16", "d": "F64"}[form]
    taken = bytes.fromhex(sample(data, dtype))
    return Print(name, dtype, (len(values),), len(data), zlib.crc32(data), taken)


def values(seed: int, count: int = 1000) -> list[float]:
    source = random.Random(seed)
    return [source.gauss(0, 1) for _ in range(count)]


TENSORS = {f"layer.{n}": values(n) for n in range(10)}


def model(
    change: Callable[[str, list[float]], list[float]] = lambda _, v: v, form: str = "f"
) -> Model:
    prints = tuple(tensor(name, change(name, list(v)), form) for name, v in TENSORS.items())
    digest = f"{zlib.crc32(repr(prints).encode()):064x}"
    return Model((digest,), (*prints, tensor("norm", [1.0] * 1000)))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    place = tmp_path / "data" / fingerprints.NAME
    fingerprints.keep(model(), "google", NAME, SEEN, place)
    return place


def matched(found: Model, publisher: str | None, place: Path) -> list[tuple[str, int]]:
    return [(each.kind, len(each.changed)) for each in fingerprints.match(found, publisher, place)]


def test_a_plain_copy_is_known_and_the_publishers_own_says_nothing(place: Path) -> None:
    assert matched(model(), "someone", place) == [("files", 0)]
    assert matched(model(), None, place) == [("files", 0)]
    assert matched(model(), "Google", place) == []


def test_the_same_tensors_in_other_files_are_known_under_any_names(place: Path) -> None:
    other = replace(model(), files=("f" * 64,))
    assert matched(other, "someone", place) == [("tensors", 0)]
    renamed = tuple(replace(each, name=f"model.{each.name}") for each in other.prints)
    assert matched(Model(("f" * 64,), renamed), "someone", place) == [("tensors", 0)]


def test_one_matrix_that_was_edited_is_told_by_its_name(place: Path) -> None:
    edited = model(lambda name, v: values(77) if name == "layer.3" else v)
    (found,) = fingerprints.match(edited, "someone", place)
    assert (found.kind, found.changed, found.name) == ("nearly", ("layer.3",), NAME)
    assert found.alike == pytest.approx(0.9)


def test_a_little_noise_everywhere_hides_nothing(place: Path) -> None:
    noise = random.Random(1)
    noisy = model(lambda _, v: [each + noise.gauss(0, 0.01) for each in v])
    (found,) = fingerprints.match(noisy, "someone", place)
    assert (found.kind, len(found.changed), found.alike) == ("nearly", 10, 1.0)


def test_another_type_is_a_conversion_unless_values_changed_too(place: Path) -> None:
    assert matched(model(form="e"), "someone", place) == [("converted", 10)]
    edited = model(lambda name, v: [1.1 * each for each in v] if name == "layer.3" else v, "e")
    assert matched(edited, "someone", place) == [("nearly", 10)]


def test_another_model_of_the_same_shapes_is_none(place: Path) -> None:
    assert matched(model(lambda name, _: values(hash(name) % 1000 + 100)), "someone", place) == []


def test_what_is_one_number_makes_no_two_models_alike(tmp_path: Path) -> None:
    place = tmp_path / fingerprints.NAME
    plain = (tensor("a", [0.0] * 1000), tensor("b", [1.0] * 1000))
    fingerprints.keep(Model(("a" * 64,), plain), "google", NAME, SEEN, place)
    assert matched(Model(("b" * 64,), plain), "someone", place) == []


@pytest.mark.parametrize(
    ("vouched", "young", "severity"),
    [("unknown", False, "medium"), ("list", True, "medium"), ("list", False, "low")],
)
def test_nearly_the_same_is_graver_where_nothing_vouches(
    place: Path, vouched: str, young: bool, severity: str
) -> None:
    edited = model(lambda name, v: values(77) if name == "layer.3" else v)
    matches = fingerprints.match(edited, "someone", place)
    source = Source("hf://someone/x", None, "someone", vouched)  # type: ignore[arg-type]
    (found,), notes = fingerprints.judge(matches, source, young=young)
    assert (found.id, found.severity, notes) == ("SL707", severity, [])
    assert "90.0% of the weights" in found.detail
    assert "layer.3" in found.detail
    assert fingerprints.judge(matches, Source("./x"), young=False)[0] == []


def test_a_copy_is_a_note(place: Path) -> None:
    source = Source("hf://someone/x", None, "someone")
    for found, said in ((model(), "a plain copy"), (model(form="e"), "in another type")):
        matches = fingerprints.match(found, "someone", place)
        findings, (note,) = fingerprints.judge(matches, source, young=True)
        assert findings == []
        assert said in note


def test_values_that_are_no_numbers_compare_with_nothing(place: Path) -> None:
    odd = model(lambda _, v: [float("nan"), float("inf"), *v[2:]])
    assert matched(odd, "someone", place) == []
    cut = Model(("c" * 64,), tuple(replace(each, sample=each.sample[:3]) for each in odd.prints))
    assert matched(cut, "someone", place) == []


def test_what_is_kept_is_bounded_and_a_broken_database_is_an_error(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fingerprints, "_MOST_MODELS", 3)
    for number in range(6):
        kept = Model((f"{number:064x}",), (tensor("a", values(number)),))
        fingerprints.keep(kept, "google", f"{NAME}{number}", SEEN, place)
    with sqlite3.connect(place) as base:
        assert base.execute("SELECT COUNT(*) FROM models").fetchone() == (3,)
        assert base.execute("SELECT COUNT(*) FROM tensors").fetchone() == (3,)
    base.close()
    place.write_bytes(b"nonsense" * 1000)
    with pytest.raises(sqlite3.Error):
        fingerprints.match(model(), "someone", place)
