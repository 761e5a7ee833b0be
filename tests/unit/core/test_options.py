"""A choice is checked before anything is opened, and what is wrong with one is said in a sentence."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import safe_load
from safe_load.core.errors import UsageError
from safe_load.core.options import Options, OptionsDict


def named(value: object) -> str:
    """A test's name: what its caller gave, where it has a text of bounded length."""
    try:
        return str(value)[:50]
    except ValueError:
        return "a number of thousands of digits"


#: Option and a wrong value -> what the sentence must hold beside the option's name.
WRONG: list[tuple[dict[str, Any], str]] = [
    (
        {"fail_on": "hgih"},
        "'hgih' is not one of low, medium, high, critical, never.*did you mean 'high'",
    ),
    ({"fail_on": "High"}, "low, medium, high"),
    ({"fail_on": "none"}, "low, medium, high"),
    ({"fail_on": 5}, "low, medium, high"),
    ({"fail_on": ["high"]}, "low, medium, high"),
    ({"depth": "everything"}, "auto, static, weights, model, run"),
    ({"depth": None}, "auto, static, weights, model, run"),
    ({"backend": "dcoker"}, "auto, native, docker.*did you mean 'docker'"),
    ({"backend": 3}, "auto, native, docker"),
    ({"record": "x"}, "standard, full"),
    ({"record": "full"}, "trace"),
    ({"trace": "calls.jsonl"}, "record='full'"),
    ({"record": "full", "trace": ""}, "empty"),
    ({"runtime": 3}, "a text or None"),
    ({"runtime": ""}, "empty"),
    ({"image": b"x"}, "a text or None"),
    ({"backend": "native", "runtime": "runsc"}, "only the docker backend"),
    ({"backend": "native", "image": "x"}, "only the docker backend"),
    ({"timeout": "5m"}, r"'5m' \(str\) is not a number of seconds"),
    ({"timeout": -1}, "above 0"),
    ({"timeout": 0}, "above 0"),
    ({"timeout": math.nan}, "above 0"),
    ({"timeout": math.inf}, "above 0"),
    ({"timeout": 1e9}, "a week"),
    ({"timeout": 10**400}, "a week"),
    ({"timeout": 10**5000}, "a week"),
    ({"timeout": True}, "not a number of seconds"),
    ({"memory": "8GiB"}, "8 << 30"),
    ({"memory": 8.0}, "8 << 30"),
    ({"memory": -5}, "above 0"),
    ({"memory": 0}, "above 0"),
    ({"memory": 1 << 80}, "at most"),
    ({"memory": True}, "not a number of bytes"),
    ({"export_despite_findings": "no"}, "True or False"),
    ({"export_despite_findings": 1}, "True or False"),
    ({"hash": None}, "True or False"),
    ({"all_files": "yes"}, "True or False"),
    ({"names": "full"}, "own, path"),
    ({"keep": "everything"}, "weights, all"),
    ({"keep": True}, "True is not one of weights, all"),
    ({"quantised": "no"}, "numbers, blocks"),
    ({"weights_of": ""}, "empty"),
    ({"weights_of": 3}, "a text or None"),
    ({"unsafe_profile": 1}, "True or False"),
    ({"weights_optional": "x"}, "True or False"),
    ({"use_safetensors": "x"}, "True or False or None"),
    ({"variant": 16}, "a text or None"),
    ({"profile": 3}, "a text or a path"),
    ({"profile": ""}, "empty"),
    ({"profile": "a\0b"}, "null"),
    ({"profil": "strict"}, "no option.*did you mean 'profile'"),
    ({"origins": {}}, "no option 'origins'"),
    ({"failon": "high"}, "did you mean 'fail_on'"),
]


@pytest.mark.parametrize(("options", "said"), WRONG, ids=named)
def test_a_wrong_option_is_named_with_what_it_may_be(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        Options(**options)
    assert any(name in str(caught.value) for name in options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("options", [given for given, _ in WRONG], ids=named)
def test_every_way_in_refuses_it_before_anything_is_opened(
    options: dict[str, Any], tmp_path: Path
) -> None:
    nothing, target = tmp_path / "nothing", tmp_path / "out"  # opening it would be NotLoadable
    with pytest.raises(UsageError):
        safe_load.scan(nothing, **options)
    with pytest.raises(UsageError):
        safe_load.load(nothing, target, **options)
    with pytest.raises(UsageError):
        safe_load.clear(nothing, **options)
    with pytest.raises(UsageError):
        safe_load.load_file(nothing, **options)
    with pytest.raises(UsageError):
        safe_load.Session(**options)
    with pytest.raises(UsageError), safe_load.guard(**options):
        pass
    assert not target.exists()


def test_a_profile_that_is_not_there_is_refused_before_anything_is_opened(tmp_path: Path) -> None:
    for profile in ("nosuch", str(tmp_path / "no.toml"), tmp_path / "no.toml"):
        with pytest.raises(UsageError, match="no"):
            safe_load.scan(tmp_path / "nothing", profile=profile)
        with pytest.raises(UsageError, match="no"), safe_load.guard(profile=profile):
            pass


@pytest.mark.parametrize("jobs", [0, -1, 1.5, "2", True])
def test_a_session_opens_a_whole_number_of_models_at_a_time(jobs: Any) -> None:
    with pytest.raises(UsageError, match="jobs="):
        safe_load.Session(jobs=jobs)


def test_what_is_right_is_kept_in_one_type() -> None:
    options = Options(
        profile=Path("mine.toml"), timeout=5, memory=1 << 30, record="full", trace="calls.jsonl"
    )
    assert (options.profile, options.timeout, options.trace) == (
        "mine.toml",
        5.0,
        Path("calls.jsonl"),
    )
    assert isinstance(options.timeout, float)
    assert dataclasses.replace(options, timeout=None).timeout is None


def test_a_changed_copy_is_checked_too() -> None:
    with pytest.raises(UsageError, match="fail_on"):
        dataclasses.replace(Options(), fail_on="x")


def test_each_option_has_a_type_and_a_default() -> None:
    assert get_type_hints(OptionsDict).keys() == {
        option.name for option in dataclasses.fields(Options)
    } - {"origins"}


def test_what_a_caller_gave_cannot_steer_a_terminal() -> None:
    with pytest.raises(UsageError) as caught:
        Options(profile="x", depth="\x1b[2J\u202e" * 100)  # type: ignore[arg-type]
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400
