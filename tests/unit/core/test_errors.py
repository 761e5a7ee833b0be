"""An error's text is one line that steers nothing, whoever wrote part of it; a result's too."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from safe_load.api import Result, exported, judged, result_of
from safe_load.core import errors
from safe_load.core.errors import NotLoadable, Rejected, SafeLoadError, UsageError
from safe_load.profiles import ProfileError

from tests.unit import reports

ERRORS = [
    value
    for value in vars(errors).values()
    if isinstance(value, type) and issubclass(value, SafeLoadError)
]
HOSTILE = f"\x1b]0;owned\x07{reports.BIDI}\r\nverdict: clean\x9b31m\u2028" + "a" * 100_000


@pytest.mark.parametrize("kind", [*ERRORS, ProfileError])
def test_the_text_of_every_error_is_one_bounded_line_without_controls(
    kind: type[SafeLoadError],
) -> None:
    result = Result(reports.hostile())
    error = kind(HOSTILE, result)
    for text in (str(error), repr(error)):
        assert text.isprintable()
        assert len(text) < 1200
    assert str(errors.SafeLoadError(str(error))) == str(error) or len(HOSTILE) > 1000
    assert pickle.loads(pickle.dumps(error)).result == result


def test_ctrl_c_stays_what_it_is() -> None:
    report = reports.interrupted()
    with pytest.raises(KeyboardInterrupt):
        judged(report)
    with pytest.raises(KeyboardInterrupt):
        exported(report, "out")
    assert not result_of(report).ok


def test_every_error_has_the_exit_code_of_its_row() -> None:
    codes = {kind.__name__: kind.exit_code for kind in ERRORS}
    assert codes == {
        "SafeLoadError": 4,
        "Rejected": 1,
        "UsageError": 2,
        "NotLoadable": 3,
        "SandboxError": 4,
        "LimitHit": 5,
    }
    assert issubclass(ProfileError, UsageError)


def test_what_a_payload_sent_does_not_come_out_of_the_error_that_rejects_it(
    tmp_path: Path,
) -> None:
    with pytest.raises(Rejected) as caught:
        exported(reports.hostile_rejected(), str(tmp_path))
    assert str(caught.value).isprintable()
    assert caught.value.result.findings


@pytest.mark.parametrize(
    "report", [reports.clean(), reports.malicious(), reports.hostile(), reports.not_loadable()]
)
def test_a_result_shows_itself_in_one_short_line(report: reports.Report) -> None:
    shown = repr(Result(report, Path("x" * 500 + "\x1b[2J")))
    assert shown.isprintable()
    assert len(shown) < 300
    assert report.verdict in shown


def test_the_line_says_what_was_found_and_where() -> None:
    assert repr(Result(reports.clean("models/a"))) == "<Result clean: models/a>"
    assert (
        repr(Result(reports.malicious("models/b")))
        == "<Result malicious, rejected, 5 findings: models/b>"
    )
    assert repr(Result(reports.clean("a"), Path("out"))) == "<Result clean: a -> out>"


def test_a_result_is_ok_unless_something_spoke_against_it_or_nothing_was_opened() -> None:
    clean = judged(reports.clean())
    assert clean.ok
    assert clean.files == reports.clean().files
    assert not judged(reports.malicious()).ok
    assert not result_of(reports.not_loadable()).ok
    with pytest.raises(NotLoadable) as caught:
        judged(reports.not_loadable())
    assert caught.value.result is not None
    assert not caught.value.result.ok
