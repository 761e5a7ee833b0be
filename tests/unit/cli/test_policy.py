"""What a policy file may say, who may say it, and what of it is told."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec
import pytest
from jsonschema import Draft202012Validator
from safe_load.cli import exit_code, policy, policy_schema, settings
from safe_load.cli import run as run_module
from safe_load.core.errors import UsageError
from safe_load.core.report import AcceptedBy, Finding, Report

from tests.unit import reports

if TYPE_CHECKING:
    from pathlib import Path

    from safe_load.core.options import Options

TODAY = datetime.now(UTC).date()
DIGEST = "a" * 64


def exception(days: int = 9, finding: str = "SL501") -> str:
    return (
        f'[[exceptions]]\nfinding = "{finding}"\nsha256 = "{DIGEST}"\nreason = "ours"\n'
        f"until = {TODAY + timedelta(days)}\n"
    )


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))


def resolved(tmp_path: Path, text: str, *, found: bool = False) -> settings.Settings:
    (tmp_path / ("safe-load.toml" if found else "policy.toml")).write_text(text)
    config = None if found else "policy.toml"
    return settings.resolve({}, environ={}, folder=tmp_path, config=config)


def test_exceptions_and_paths_of_a_named_file_hold(tmp_path: Path) -> None:
    text = exception() + '[[paths]]\nmatch = "vendor/**"\nfail-on = "high"\ntimeout = "9m"\n'
    said = resolved(tmp_path, text)
    assert [each.finding for each in said.options.exceptions] == ["SL501"]
    assert said.warnings == ()
    below = policy.options_for("vendor/x/model.bin", said.options, said.rules)
    assert (below.fail_on, below.timeout) == ("high", 540.0)
    assert below.exceptions == said.options.exceptions
    assert below.origins["fail_on"] == "policy.toml (vendor/**)"
    assert policy.options_for("other/model.bin", said.options, said.rules).fail_on is None
    outside = policy.options_for("hf://vendor/x@main", said.options, said.rules)
    assert outside.fail_on is None


def test_a_file_that_is_merely_found_excepts_nothing_and_only_tightens(tmp_path: Path) -> None:
    text = exception() + (
        '[[paths]]\nmatch = "*"\nfail-on = "never"\n[[paths]]\nmatch = "*"\nfail-on = "low"\n'
    )
    said = resolved(tmp_path, text, found=True)
    assert said.options.exceptions == ()
    assert policy.options_for("x", said.options, said.rules).fail_on == "low"
    assert len(said.warnings) == 2
    assert all("safe-load.toml" in warning for warning in said.warnings)


def test_a_flag_holds_for_all_paths(tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_text('[[paths]]\nmatch = "*"\nfail-on = "never"\n')
    said = settings.resolve(
        {"fail-on": "low"}, environ={}, folder=tmp_path, config=str(tmp_path / "policy.toml")
    )
    assert policy.options_for("x", said.options, said.rules).fail_on == "low"


@pytest.mark.parametrize(
    "text",
    [
        "exception = 1\n",
        "exceptions = 3\n",
        exception() + "why = 1\n",
        exception().replace("reason", "because"),
        exception().replace('reason = "ours"\n', ""),
        exception().replace(DIGEST, "short"),
        '[[paths]]\nfail-on = "low"\n',
        '[[paths]]\nmatch = "*"\nprofile = "x"\n',
        '[[paths]]\nmatch = "*"\nfail-on = "sometimes"\n',
        '[[paths]]\nmatch = ""\n',
    ],
)
def test_what_is_no_policy_is_code_2_and_one_sentence_with_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    with pytest.raises(UsageError, match=r"policy\.toml"):
        resolved(tmp_path, text)
    (tmp_path / "model.bin").touch()
    report = ["--report", f"json={tmp_path}/o.json"]
    assert exit_code(["scan", "model.bin", "--config", "policy.toml", *report]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "o.json").exists()


def test_an_expired_and_an_unused_exception_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = exception(-1, "SL101"), exception(9, "SL502"), exception(9, "SL501")
    (tmp_path / "policy.toml").write_text("".join(texts))
    by = AcceptedBy(DIGEST, "ours", str(TODAY), "policy.toml")

    def open_one(source: str, _target: object, options: Options, *_: object) -> Report:
        covered = Finding("SL501", "high", "t", "d", "", accepted=by)
        assert len(options.exceptions) == 3
        return msgspec.structs.replace(reports.clean(source), findings=[covered])

    monkeypatch.setattr(run_module, "open_one", open_one)
    (tmp_path / "model.bin").touch()
    assert exit_code(["scan", "model.bin", "-q", "--config", "policy.toml"]) == 0
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2
    assert "SL101" in told[0]
    assert "ended on" in told[0]
    assert "SL502" in told[1]
    assert "covers nothing" in told[1]


def test_what_is_in_force_is_shown_with_where_it_comes_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.toml").write_text(
        'extends = "strict"\ndescription = "x"\n[limits]\nprocesses = 9\n'
    )
    (tmp_path / "policy.toml").write_text('profile = "mine.toml"\ntimeout = "5m"\n' + exception())
    monkeypatch.setenv("SAFE_LOAD_FAIL_ON", "low")
    command = ["profiles", "show", "--effective", "--config", "policy.toml"]
    assert exit_code([*command, "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    origin = {each["name"]: (each["value"], each["from"]) for each in told["values"]}
    assert origin["fail-on"] == ("low", "SAFE_LOAD_FAIL_ON")
    assert origin["timeout"] == (300.0, "policy.toml")
    assert origin["limits.timeout"] == ("300 s", "policy.toml")
    assert origin["limits.processes"] == ("9", "profile mine")
    assert origin["limits.events"][1] == "the profile that mine extends"
    assert told["exceptions"][0]["from"] == "policy.toml"
    assert exit_code(command) == 0
    assert "the profile that mine extends" in " ".join(capsys.readouterr().out.split())
    assert exit_code(["profiles", "show", "strict", "--effective"]) == 2


def test_the_schema_takes_what_the_command_takes_and_names_every_setting(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(["profiles", "schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema == policy_schema.schema()
    Draft202012Validator.check_schema(schema)
    assert set(schema["properties"]) == {*settings.SETTINGS, *policy.TABLES}
    valid = Draft202012Validator(schema)
    right = {"finding": "SL501", "sha256": DIGEST, "reason": "x", "until": str(TODAY)}
    assert valid.is_valid(
        {"fail-on": "low", "memory": "8GiB", "exceptions": [right], "paths": [{"match": "*"}]}
    )
    for wrong in ({"fail_on": "low"}, {"exceptions": [right | {"x": 1}]}, {"paths": [{}]}):
        assert not valid.is_valid(wrong)
