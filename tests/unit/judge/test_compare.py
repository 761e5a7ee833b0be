"""Comparing what a load produced with what the bytes say, and believing neither's form."""

from __future__ import annotations

from typing import Any

import pytest
from safe_load.judge.compare import MAX_DIFFERENCES, compare
from safe_load.rooms.worker_results import read_detonated, read_extracted


def extracted(*names: str, **changes: Any) -> dict[str, Any]:
    tensors = [
        {
            "name": name,
            "dtype": "F32",
            "torch_dtype": "float32",
            "shape": [2, 3],
            "bytes": 24,
            "crc32": 7,
        }
        for name in names
    ]
    return {
        "files": [
            {"name": "a.bin", "format": "torch-zip", "status": "ok", "tensors": tensors, **changes}
        ]
    }


def detonated(*names: str, tensor: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    tensors = [
        {"name": name, "dtype": "float32", "shape": [2, 3], "crc32": 7, **(tensor or {})}
        for name in names
    ]
    return {"files": [{"name": "a.bin", "ok": True, "tensors": tensors, **changes}]}


def kinds(said: dict[str, Any], produced: dict[str, Any]) -> list[tuple[str, str]]:
    return [(found.tensor, found.kind) for found in compare(said, produced)]


def test_equal_tables_do_not_differ() -> None:
    assert compare(extracted("a", "b"), detonated("b", "a")) == []


def test_names_of_the_export_are_compared_by_their_path_and_what_is_left_out_too() -> None:
    said = extracted("w")
    said["files"][0]["tensors"][0]["path"] = "state_dict.w"
    said["files"][0]["left"] = extracted("optimizer.state.0.m")["files"][0]["tensors"]
    assert kinds(said, detonated("state_dict.w", "optimizer.state.0.m")) == []
    changed = detonated("state_dict.w", "optimizer.state.0.m", tensor={"crc32": 8})
    assert kinds(said, changed) == [("state_dict.w", "bytes"), ("optimizer.state.0.m", "bytes")]
    assert kinds(said, detonated("w")) == [
        ("state_dict.w", "missing"),
        ("optimizer.state.0.m", "missing"),
        ("w", "added"),
    ]


def test_results_already_read_are_taken_as_they_are() -> None:
    said, produced = read_extracted(extracted("a")), read_detonated(detonated("b"))
    assert len(compare(said, produced)) == 2


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"shape": [3, 2]}, "shape"),
        ({"shape": []}, "shape"),
        ({"dtype": "float16"}, "dtype"),
        ({"crc32": 8}, "bytes"),
    ],
)
def test_a_changed_tensor_is_one_difference_of_its_kind(change: dict[str, Any], kind: str) -> None:
    (found,) = compare(extracted("a"), detonated("a", tensor=change))
    assert (found.file, found.tensor, found.kind) == ("a.bin", "a", kind)
    assert found.detail.endswith(".")
    assert "'a'" in found.detail


def test_missing_and_added_tensors_are_told_apart() -> None:
    assert kinds(extracted("a", "b"), detonated("b", "c")) == [("a", "missing"), ("c", "added")]


def test_bytes_that_were_not_digested_are_not_compared() -> None:
    assert kinds(extracted("a"), detonated("a", tensor={"crc32": None})) == []


def test_a_tied_name_counts_as_present_and_is_compared_with_its_twin() -> None:
    said = extracted("a", tied=[["a", "b"]])
    assert kinds(said, detonated("a", "b")) == []
    assert kinds(said, detonated("a", "b", tensor={"crc32": 8})) == [("a", "bytes"), ("b", "bytes")]
    assert kinds(said, detonated("a", "b", "c")) == [("c", "added")]


def test_a_load_that_lost_a_tied_name_is_missing_it() -> None:
    assert kinds(extracted("a", tied=[["a", "b"]]), detonated("a")) == [("b", "missing")]


def test_an_alias_in_the_metadata_of_safetensors_need_not_be_loaded() -> None:
    assert kinds(extracted("a", format="safetensors", tied=[["a", "b"]]), detonated("a")) == []


def test_a_table_cut_short_misses_nothing() -> None:
    assert kinds(extracted("a", "b"), detonated("a", truncated=True)) == []


@pytest.mark.parametrize(
    ("said", "produced"),
    [
        (extracted("a", status="not_loadable"), detonated("b")),
        (extracted("a", status="no_tensors"), detonated("b")),
        (extracted("a"), detonated("b", ok=False, error="RuntimeError: no")),
        (extracted("a"), {"files": []}),
    ],
)
def test_a_file_that_one_stage_did_not_load_has_no_differences(
    said: dict[str, Any], produced: dict[str, Any]
) -> None:
    assert compare(said, produced) == []


def test_dimensions_that_safetensors_needs_for_a_viewed_type_are_no_difference() -> None:
    said = extracted("a")
    said["files"][0]["tensors"][0].update(
        dtype="F64", torch_dtype="complex128", shape=[2, 3, 2], torch_shape=[2, 3], bytes=96
    )
    assert kinds(said, detonated("a", tensor={"dtype": "complex128"})) == []
    said["files"][0]["tensors"][0]["torch_shape"] = [3, 2]
    assert kinds(said, detonated("a", tensor={"dtype": "complex128"})) == [("a", "shape")]


def test_differences_of_one_file_are_bounded() -> None:
    names = [str(number) for number in range(MAX_DIFFERENCES + 10)]
    assert len(compare(extracted(), detonated(*names))) == MAX_DIFFERENCES


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (None, "got `null`"),
        ([], "got `array`"),
        ({}, "files"),
        ({"files": [{"name": "a", "ok": 1}]}, "$.files[0].ok"),
        (detonated("a", tensor={"shape": [-1]}), "shape"),
        (detonated("a", tensor={"shape": [1 << 63]}), "shape"),
        (detonated("a", tensor={"shape": [1] * 65}), "shape"),
        (detonated("a", tensor={"shape": [1.5]}), "shape"),
        (detonated("a", tensor={"crc32": 1 << 32}), "crc32"),
        (detonated("a", tensor={"dtype": "x" * 65}), "dtype"),
        (detonated("a" * 70_000), "name"),
        (detonated("a", error="x" * 5000), "error"),
    ],
)
def test_a_result_of_the_wrong_form_is_one_sentence(value: object, place: str) -> None:
    with pytest.raises(ValueError, match="the result of detonation is malformed") as caught:
        read_detonated(value)
    assert place in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "change",
    [{"status": "fine"}, {"tied": [["a", 1]]}, {"metadata": {"a": 1}}, {"callables": [{}]}],
)
def test_extraction_is_believed_no_more(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="the result of extraction is malformed"):
        read_extracted(extracted("a", **change))


def test_arrays_that_an_installed_library_computes_when_it_is_used_are_no_difference() -> None:
    said = extracted("a")
    said["files"][0]["tensors"][0]["kind"] = "numpy"
    for produced, told in (
        (detonated("a", "scores_"), []),
        (detonated("scores_"), ["missing"]),
        (detonated("a", "scores_", tensor={"crc32": 8}), ["bytes"]),
    ):
        assert [found.kind for found in compare(said, produced, computed=True)] == told
        assert "added" in [found.kind for found in compare(said, produced)]
    tensors = compare(extracted("a"), detonated("a", "b"), computed=True)
    assert [found.kind for found in tensors] == ["added"]
