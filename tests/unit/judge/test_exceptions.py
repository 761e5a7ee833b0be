"""An exception covers one finding of one file's content, until its last day, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from safe_load.core.errors import UsageError
from safe_load.core.exceptions import Accepted
from safe_load.core.report import FileInfo, Finding, Origin, verdict_of
from safe_load.judge.exceptions import apply

TODAY = datetime.now(UTC).date()
GOOD, BAD = "a" * 64, "b" * 64
FILES = [
    FileInfo("model.bin", 1, GOOD, "torch"),
    FileInfo("model.bin: other", 1, BAD, "torch"),
    FileInfo("unhashed.bin", 1, None, "torch"),
]


def accepted(finding: str = "SL501", sha256: str = GOOD, days: int = 1) -> Accepted:
    return Accepted(finding, sha256, "looked at", TODAY + timedelta(days), "policy.toml")


def found(location: str, ident: str = "SL501", **more: object) -> Finding:
    return Finding(ident, "high", "title", "detail", location, **more)  # type: ignore[arg-type]


def origin(file: str) -> Origin:
    return Origin(file, "", 0, 0, "os.system")


@pytest.mark.parametrize(
    ("finding", "exception", "covered"),
    [
        (found("model.bin"), accepted(), True),
        (found("model.bin: archive/data.pkl at byte 3"), accepted(), True),
        (found("", evidence=[1], origin=origin("model.bin")), accepted(), True),
        (found("model.bin"), accepted(days=0), True),
        (found("model.bin"), accepted(days=-1), False),
        (found("model.bin"), accepted(sha256=BAD), False),
        (found("model.bin"), accepted("SL502"), False),
        (found("model.bin: other: pickle at byte 1"), accepted(), False),
        (found("unhashed.bin"), accepted(), False),
        (found("model.bin:80", evidence=[1]), accepted(), False),
        (found("another.bin"), accepted(), False),
        (found("model.bin", origin=origin("another.bin")), accepted(), False),
    ],
)
def test_an_exception_covers_what_it_names_and_nothing_else(
    finding: Finding, exception: Accepted, covered: bool
) -> None:
    (told,), notes = apply([finding], FILES, [exception])
    assert (told.accepted is not None) is covered
    assert verdict_of([told], loaded=True) == ("clean" if covered else "malicious")
    assert any("is accepted until" in note for note in notes) is covered


def test_an_expired_exception_is_told_where_it_would_have_covered_something() -> None:
    _, notes = apply([found("model.bin")] * 2, FILES, [accepted(days=-1)])
    assert len(notes) == 1
    assert "ended on" in notes[0]
    assert "policy.toml" in notes[0]
    assert apply([found("another.bin")], FILES, [accepted(days=-1)])[1] == []


def test_of_a_single_file_what_happened_is_about_that_file() -> None:
    only = FILES[:1]
    (told,), _ = apply([found("x.example:80", "SL201", evidence=[0])], only, [accepted("SL201")])
    assert told.accepted is not None


@pytest.mark.parametrize(
    "wrong",
    [
        {"finding": "501"},
        {"sha256": "A" * 64},
        {"sha256": "a" * 63},
        {"reason": "  "},
        {"reason": 3},
        {"until": "2027-01-31"},
        {"until": datetime.now(UTC)},
    ],
)
def test_an_exception_that_says_less_is_refused(wrong: dict[str, object]) -> None:
    right = {"finding": "SL501", "sha256": GOOD, "reason": "why", "until": TODAY}
    with pytest.raises(UsageError, match=next(iter(wrong))):
        Accepted(**(right | wrong))  # type: ignore[arg-type]
