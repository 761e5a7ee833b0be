"""Where a setting comes from, and who is believed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from safe_load.errors import UsageError
from safe_load.options import Options
from safe_load.settings import SETTINGS, resolve

if TYPE_CHECKING:
    from pathlib import Path


def configure(folder: Path, text: str) -> Path:
    file = folder / "pyproject.toml"
    file.write_text(f"[tool.safe-load]\n{text}\n")
    return file


def test_nothing_said_is_the_profile_s_to_say(tmp_path: Path) -> None:
    settings = resolve({}, environ={}, folder=tmp_path)
    assert settings.options == Options()
    assert (settings.format, settings.quiet, settings.color) == ("human", False, None)


def test_a_flag_wins_over_the_file_and_the_file_over_the_environment(tmp_path: Path) -> None:
    configure(tmp_path, 'depth = "weights"\nfail-on = "low"')
    settings = resolve(
        {"depth": "run"},
        environ={
            "SAFE_LOAD_DEPTH": "model",
            "SAFE_LOAD_FAIL_ON": "never",
            "SAFE_LOAD_BACKEND": "docker",
        },
        folder=tmp_path,
    )
    options = settings.options
    assert (options.depth, options.fail_on, options.backend) == ("run", "low", "docker")


def test_times_and_sizes_read_as_people_write_them(tmp_path: Path) -> None:
    configure(tmp_path, "timeout = 90\nhash = false")
    options = resolve({"memory": "8GiB"}, environ={}, folder=tmp_path).options
    assert (options.timeout, options.memory, options.hash) == (90.0, 8 << 30, False)
    assert resolve({"timeout": "5m"}, environ={}, folder=tmp_path).options.timeout == 300.0


def test_the_nearest_file_upward_is_read(tmp_path: Path) -> None:
    configure(tmp_path, 'fail-on = "low"')
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    assert resolve({}, environ={}, folder=below).options.fail_on == "low"
    (tmp_path / "a" / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    assert resolve({}, environ={}, folder=below).options.fail_on is None


def test_a_profile_in_a_file_is_relative_to_the_file(tmp_path: Path) -> None:
    configure(tmp_path, 'profile = "policy/ci.toml"')
    below = tmp_path / "below"
    below.mkdir()
    options = resolve({}, environ={}, folder=below).options
    assert options.profile == str(tmp_path / "policy" / "ci.toml")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nonsense = 1", "'nonsense'"),
        ("export-despite-findings = true", "'export-despite-findings'"),
        ('timeout = "soon"', "timeout: 'soon' is not a time"),
        ("timeout = true", "timeout: True is not a time"),
        ("timeout = -1", "timeout: '-1' is not a time"),
        ("memory = 0", "memory: 0 leaves no memory"),
        ('depth = "deep"', "depth: 'deep' is none of auto"),
        ('quiet = "maybe"', "quiet: 'maybe' is neither"),
        ("profile = 3", "profile: 3 is not a name"),
    ],
)
def test_a_wrong_key_is_named_with_its_file(tmp_path: Path, text: str, said: str) -> None:
    file = configure(tmp_path, text)
    with pytest.raises(UsageError) as caught:
        resolve({}, environ={}, folder=tmp_path)
    assert str(file) in str(caught.value)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "text", ["not toml", "[tool]\nsafe-load = 1", "x = " + "[" * 5000, "x = " + "9" * 9000]
)
def test_a_file_that_does_not_read_ends_the_run(tmp_path: Path, text: str) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    with pytest.raises(UsageError, match="pyproject"):
        resolve({}, environ={}, folder=tmp_path)


def test_a_config_that_is_too_large_or_missing_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        resolve({}, environ={}, folder=tmp_path, config=str(tmp_path / "none.toml"))
    (tmp_path / "pyproject.toml").write_bytes(b"#" * ((1 << 20) + 1))
    with pytest.raises(UsageError, match="larger than 1 MiB"):
        resolve({}, environ={}, folder=tmp_path)


def test_an_unknown_variable_is_ignored_with_a_warning(tmp_path: Path) -> None:
    environ = {"SAFE_LOAD_FAILON": "low", "SAFE_LOAD_DEBUG": "1", "OTHER": "x"}
    settings = resolve({}, environ=environ, folder=tmp_path)
    assert settings.options == Options()
    assert settings.warnings == ("SAFE_LOAD_FAILON is no variable of safe-load and was ignored",)


def test_a_wrong_variable_or_flag_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^SAFE_LOAD_MEMORY: 'lots' is not a size"):
        resolve({}, environ={"SAFE_LOAD_MEMORY": "lots"}, folder=tmp_path)
    with pytest.raises(UsageError, match=r"^--timeout: 'x' is not a time"):
        resolve({"timeout": "x"}, environ={}, folder=tmp_path)


def test_an_empty_variable_says_nothing(tmp_path: Path) -> None:
    assert resolve({}, environ={"SAFE_LOAD_DEPTH": ""}, folder=tmp_path).options == Options()


@pytest.mark.parametrize("source", [".", "model.bin", "/"])
def test_a_model_cannot_bring_the_settings_of_its_own_scan(tmp_path: Path, source: str) -> None:
    configure(tmp_path, 'fail-on = "never"')
    (tmp_path / "model.bin").write_bytes(b"")
    below = tmp_path / "below"
    below.mkdir()
    place = str(tmp_path / source)
    for folder in (tmp_path, below):
        with pytest.raises(UsageError, match="what is to be judged"):
            resolve({}, environ={}, folder=folder, sources=["hf://org/name", place])
        # Said aloud, it is the user's own decision.
        for config, fail_on in ((str(tmp_path / "pyproject.toml"), "never"), ("none", None)):
            settings = resolve({}, environ={}, folder=folder, sources=[place], config=config)
            assert settings.options.fail_on == fail_on


def test_a_project_s_own_settings_hold_for_a_model_below_it(tmp_path: Path) -> None:
    configure(tmp_path, 'fail-on = "low"')
    model = tmp_path / "models" / "one"
    model.mkdir(parents=True)
    settings = resolve({}, environ={}, folder=tmp_path, sources=[str(model)])
    assert settings.options.fail_on == "low"


def test_settings_in_a_folder_that_anyone_may_write_to_are_not_believed(tmp_path: Path) -> None:
    configure(tmp_path, 'fail-on = "never"')
    tmp_path.chmod(0o1777)
    with pytest.raises(UsageError, match="anyone may write"):
        resolve({}, environ={}, folder=tmp_path)


def test_exporting_despite_findings_is_no_setting_to_inherit() -> None:
    assert not any("despite" in name for name in SETTINGS)
