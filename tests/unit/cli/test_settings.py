"""Where a setting comes from, and who is believed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from safe_load.cli.settings import SETTINGS, resolve
from safe_load.core.errors import UsageError
from safe_load.core.options import Options

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


def test_a_flag_wins_over_the_environment_and_the_environment_over_the_file(
    tmp_path: Path,
) -> None:
    file = configure(tmp_path, 'depth = "weights"\nfail-on = "low"\nbackend = "native"')
    settings = resolve(
        {"depth": "run"},
        environ={"SAFE_LOAD_DEPTH": "model", "SAFE_LOAD_FAIL_ON": "never"},
        folder=tmp_path,
        config=str(file),
    )
    options = settings.options
    assert (options.depth, options.fail_on, options.backend) == ("run", "never", "native")
    assert options.origins == {
        "depth": "--depth",
        "fail_on": "SAFE_LOAD_FAIL_ON",
        "backend": str(file),
    }
    assert settings.warnings == ()


def test_times_and_sizes_read_as_people_write_them(tmp_path: Path) -> None:
    configure(tmp_path, "timeout = 90")
    options = resolve({"memory": "8GiB", "hash": False}, environ={}, folder=tmp_path).options
    assert (options.timeout, options.memory, options.hash) == (90.0, 8 << 30, False)
    assert resolve({"timeout": "5m"}, environ={}, folder=tmp_path).options.timeout == 300.0


def test_the_nearest_file_upward_is_read(tmp_path: Path) -> None:
    configure(tmp_path, 'fail-on = "low"')
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    assert resolve({}, environ={}, folder=below).options.fail_on == "low"
    (tmp_path / "a" / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    assert resolve({}, environ={}, folder=below).options.fail_on is None
    (tmp_path / "a" / "safe-load.toml").write_text('fail-on = "low"\n')
    assert resolve({}, environ={}, folder=below).options.fail_on == "low"


def test_a_profile_in_a_file_is_relative_to_the_file(tmp_path: Path) -> None:
    file = configure(tmp_path, 'profile = "policy/ci.toml"')
    below = tmp_path / "below"
    below.mkdir()
    options = resolve({}, environ={}, folder=below, config=str(file)).options
    assert options.profile == str(tmp_path / "policy" / "ci.toml")


@pytest.mark.parametrize("top", ["", "[tool.safe-load]\n"])
def test_a_file_of_any_other_name_has_its_settings_at_the_top_or_in_the_table(
    tmp_path: Path, top: str
) -> None:
    file = tmp_path / "ci.toml"
    file.write_text(f'{top}fail-on = "high"\n')
    assert resolve({}, environ={}, folder=tmp_path, config=str(file)).options.fail_on == "high"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nonsense = 1", "'nonsense'"),
        ("export-despite-findings = true", "'export-despite-findings'"),
        ('timeout = "soon"', "timeout: 'soon' is not a time"),
        ("timeout = true", "timeout: True is not a time"),
        ("timeout = -1", "timeout: '-1' is not a time"),
        ("memory = 0", "memory: 0 is 0 bytes, and no room"),
        ('depth = "deep"', "depth: 'deep' is not one of auto"),
        ('quiet = "maybe"', "quiet: 'maybe' is neither"),
        ("profile = 3", "profile: 3 is not a name"),
        ("require-publisher = 3", "require-publisher: 3 is no list of names"),
        ("require-publisher = []", "require-publisher: [] is no list of names"),
        ('publishers = ["a b"]', "publishers: 'a b' is not a publisher's name"),
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
    with pytest.raises(UsageError, match="larger than 256 KiB"):
        resolve({}, environ={}, folder=tmp_path)


def test_an_unknown_variable_is_ignored_with_a_warning(tmp_path: Path) -> None:
    environ = {"SAFE_LOAD_FAILON": "low", "SAFE_LOAD_DEBUG": "1", "OTHER": "x"}
    settings = resolve({}, environ=environ, folder=tmp_path)
    assert settings.options == Options()
    assert settings.warnings == (
        "the variable SAFE_LOAD_FAILON is unknown to safe-load and was ignored",
    )


def test_a_wrong_variable_or_flag_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^SAFE_LOAD_MEMORY: 'lots' is not a size"):
        resolve({}, environ={"SAFE_LOAD_MEMORY": "lots"}, folder=tmp_path)
    with pytest.raises(UsageError, match=r"^--timeout: 'x' is not a time"):
        resolve({"timeout": "x"}, environ={}, folder=tmp_path)


def test_an_empty_variable_says_nothing(tmp_path: Path) -> None:
    assert resolve({}, environ={"SAFE_LOAD_DEPTH": ""}, folder=tmp_path).options == Options()


#: What someone writes into a file that comes with a model -> the key that must not hold.
LOOSER = {
    'fail-on = "never"': "fail-on",
    'fail-on = "critical"': "fail-on",
    'profile = "p.toml"': "profile",
    'profile = "../p.toml"': "profile",
    'backend = "docker"': "backend",
    'image = "evil.example/image"': "image",
    'runtime = "none"': "runtime",
    'depth = "weights"': "depth",
    'depth = "run"': "depth",
    'record = "full"': "record",
    "hash = false": "hash",
    "all-files = false": "all-files",
    'weights-of = "ema"': "weights-of",
    'names = "path"': "names",
    'keep = "all"': "keep",
    'quantised = "blocks"': "quantised",
    "require-pin = false": "require-pin",
    'publishers = ["evil"]': "publishers",
    'findings-url = "https://evil.example/"': "findings-url",
    'timeout = "1h"': "timeout",
    'memory = "1TiB"': "memory",
}


@pytest.mark.parametrize("name", ["pyproject.toml", "safe-load.toml"])
@pytest.mark.parametrize("text", LOOSER)
def test_a_file_that_is_merely_found_loosens_and_chooses_nothing(
    tmp_path: Path, text: str, name: str
) -> None:
    weak = 'extends = "strict"\nfail_on = "never"\nwalls = []\n'
    below = tmp_path / "models" / "below"
    below.mkdir(parents=True)
    (tmp_path / "p.toml").write_text(weak)
    (tmp_path / "models" / "p.toml").write_text(weak)
    (below / "model.bin").touch()
    table = "[tool.safe-load]\n" if name == "pyproject.toml" else ""
    (tmp_path / "models" / name).write_text(f"{table}{text}\n")
    for folder in (tmp_path / "models", below):
        for source in (".", "/", str(below), str(below / "model.bin"), "hf://org/name"):
            settings = resolve({}, environ={}, folder=folder, sources=[source])
            assert settings.options == Options()
            (warning,) = settings.warnings
            assert str(tmp_path / "models" / name) in warning
            assert f"{LOOSER[text]} = " in warning


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ('fail-on = "low"', {"fail_on": "low"}),
        ('fail-on = "medium"', {"fail_on": "medium"}),
        ('timeout = "90s"', {"timeout": 90.0}),
        ('memory = "1GiB"', {"memory": 1 << 30}),
        ('profile = "strict-a"', {"profile": "strict-a"}),
        ("all-files = true", {"all_files": True}),
        ("require-pin = true", {"require_pin": True}),
        ('require-publisher = ["google"]', {"require_publisher": ("google",)}),
    ],
)
def test_a_file_that_is_merely_found_may_tighten(
    tmp_path: Path, text: str, held: dict[str, Any]
) -> None:
    file = configure(tmp_path, text)
    settings = resolve({}, environ={}, folder=tmp_path, sources=[str(tmp_path)])
    assert settings.options == Options(**held)
    assert settings.options.origins == dict.fromkeys(held, str(file))
    assert settings.warnings == ()


def test_a_found_file_may_narrow_the_publishers_that_the_user_requires_and_add_none(
    tmp_path: Path,
) -> None:
    own = tmp_path / "own"
    (own / "safe-load").mkdir(parents=True)
    (own / "safe-load" / "config.toml").write_text('require-publisher = ["google", "apple"]')
    environ = {"XDG_CONFIG_HOME": str(own)}
    for names, held in ((["google"], ("google",)), (["google", "evil"], ("google", "apple"))):
        configure(tmp_path, f"require-publisher = {names}")
        options = resolve({}, environ=environ, folder=tmp_path).options
        assert options.require_publisher == held


def test_a_file_that_is_merely_found_may_choose_what_the_output_looks_like(tmp_path: Path) -> None:
    configure(tmp_path, 'format = "json"\nquiet = true\nno-color = true')
    settings = resolve({}, environ={}, folder=tmp_path)
    assert (settings.format, settings.quiet, settings.color) == ("json", True, False)
    assert settings.warnings == ()


def test_what_the_user_said_stands_against_a_found_file_without_a_word(tmp_path: Path) -> None:
    configure(tmp_path, 'fail-on = "low"\ntimeout = "1h"')
    settings = resolve({"timeout": "2h"}, environ={"SAFE_LOAD_FAIL_ON": "high"}, folder=tmp_path)
    assert (settings.options.fail_on, settings.options.timeout) == ("high", 7200.0)
    assert settings.warnings == ()


def test_named_by_the_user_the_same_file_may_set_everything(tmp_path: Path) -> None:
    file = configure(tmp_path, 'fail-on = "never"\nbackend = "docker"\ntimeout = "1h"')
    for where in ({"config": str(file)}, {"environ": {"SAFE_LOAD_CONFIG": str(file)}}):
        settings = resolve(
            {}, **({"environ": {}} | where), folder=tmp_path, sources=[str(tmp_path)]
        )
        options = settings.options
        assert (options.fail_on, options.backend, options.timeout) == ("never", "docker", 3600.0)
        assert settings.warnings == ()
    assert resolve({}, environ={}, folder=tmp_path, config="none").options == Options()


def own(folder: Path, text: str) -> Path:
    file = folder / "safe-load" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    return file


def test_the_user_s_own_file_may_set_everything_and_a_found_one_only_tightens_it(
    tmp_path: Path,
) -> None:
    file = own(tmp_path / "config", 'fail-on = "high"\nbackend = "native"\ntimeout = "2h"\n')
    project = tmp_path / "project"
    project.mkdir()
    found = configure(project, 'fail-on = "critical"\ntimeout = "1h"')
    homes = ({"XDG_CONFIG_HOME": str(tmp_path / "config")}, {"HOME": str(tmp_path / "home")})
    own(tmp_path / "home" / ".config", file.read_text())
    for environ in homes:
        settings = resolve({}, environ=environ, folder=project)
        options = settings.options
        assert (options.fail_on, options.backend, options.timeout) == ("high", "native", 3600.0)
        assert options.origins["timeout"] == str(found)
        assert [f"{found}: fail-on" in warning for warning in settings.warnings] == [True]
    assert resolve({}, environ={"XDG_CONFIG_HOME": "config"}, folder=tmp_path).options == Options()


@pytest.mark.parametrize("case", ["others may write", "it is judged", "a folder above"])
def test_a_configuration_folder_that_others_reach_is_merely_found(
    tmp_path: Path, case: str
) -> None:
    """HOME may be the checkout; what lies in it came with the model."""
    home = tmp_path / "home"
    file = own(home / ".config", 'fail-on = "never"\n')
    sources = [str(home)] if case == "it is judged" else []
    if case != "it is judged":
        (file if case == "others may write" else home).chmod(0o777)
    settings = resolve({}, environ={"HOME": str(home)}, folder=tmp_path, sources=sources)
    assert settings.options == Options()
    assert [str(file) in warning for warning in settings.warnings] == [True]


@pytest.mark.timeout(20)
@pytest.mark.parametrize("line", ["a." * 100_000 + "a = 1", "[" + "a." * 100_000 + "a]"])
def test_a_found_file_that_its_parser_takes_minutes_for_is_refused(
    tmp_path: Path, line: str
) -> None:
    (tmp_path / "pyproject.toml").write_text(line)
    with pytest.raises(UsageError, match="--config none"):
        resolve({}, environ={}, folder=tmp_path)


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_what_is_no_regular_file_is_not_read(tmp_path: Path, make: Any) -> None:
    make(tmp_path / "pyproject.toml")
    assert resolve({}, environ={}, folder=tmp_path).options == Options()


def test_a_weaker_profile_is_no_setting_to_inherit() -> None:
    assert not any("unsafe" in name for name in SETTINGS)


def test_exporting_despite_findings_is_no_setting_to_inherit() -> None:
    assert not any("despite" in name for name in SETTINGS)
