"""No profile lacks what holds a room together, and a weaker one is used only where somebody asks."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
import safe_load
from safe_load import profiles
from safe_load.core.errors import UsageError
from safe_load.profiles import ProfileError

STRICT = profiles.load("strict")
_HELD = [call for call in STRICT.recording.held_by_namespaces if call != "socket"]

#: What a profile file says beside `extends = "strict"` -> what it is refused for, whoever asks.
NEVER = {
    "walls = []": "no-new-privileges",
    **{
        f"walls = {[wall for wall in STRICT.walls if wall != gone]}": gone
        for gone in profiles.rules("walls")["cell"]
    },
    '[stand_ins.native-b]\nseccomp = "nothing"': "seccomp",
    '[stand_ins.native]\nlandlock = "nothing"': "landlock",
    '[stand_ins.gvisor]\nlandlock = "nothing"': "landlock",
    '[stand_ins.docker]\nrecorder = "trust me"': "recorder",
    '[stand_ins.native]\nnetwork-namespace = "nothing"': "network-namespace",
    "[recording]\nheld_by_namespaces = []": "network-namespace",
    f"[recording]\nheld_by_namespaces = {_HELD}": "network-namespace.*socket",
    **{
        f"[recording]\naudited = ['openat', '{call}']": f"no wall holds {call}"
        for call in ("ptrace", "keyctl", "mount", "bpf", "io_uring_setup", "nonsense")
    },
    "tiers = ['B']\n[recording]\naudited = ['connect']": "network-namespace",
    "[recording]\naudited = ['openat', 'execve']": "mount-namespace, which holds execve",
    f"tiers = ['A']\nwalls = {[wall for wall in STRICT.walls if wall != 'mount-namespace']}": (
        "mount-namespace.*chmod"
    ),
    'seccomp = "container"': "not for workers",
    "weaknesses = []": "weaknesses",
    "limits.timeout = inf": "timeout",
    "limits.timeout = nan": "timeout",
    f"limits.memory = {1 << 62}": "memory",
}
#: -> in what it is weaker: refused unless somebody asks for it.
WEAKER = {
    'fail_on = "never"': r"fail_on = never \(instead of medium\)",
    'fail_on = "high"': "fail_on = high",
    "decoys = []": "without the decoys",
    "limits.timeout = 601": r"limits.timeout = 601 \(instead of 600\)",
    'limits.memory = "9GiB"': "limits.memory",
    **{
        f"limits.{name} = {getattr(STRICT.limits, name) + 1}": f"limits.{name}"
        for name in STRICT.limits.__struct_fields__
    },
    "recording.sinkhole = false": "sinkhole",
    f"walls = {[wall for wall in STRICT.walls if wall != 'ipc-namespace']}": "ipc-namespace",
    '[stand_ins.native]\nipc-namespace = "nothing"': "ipc-namespace in native",
    f"tiers = ['A']\nrecording.audited = {[*STRICT.recording.audited, 'connect']}": "connect",
}


def write(folder: Path, text: str, base: str = "strict") -> str:
    path = folder / "mine.toml"
    path.write_text(f'extends = "{base}"\ndescription = "mine"\n{text}\n')
    tomllib.loads(path.read_text())
    return str(path)


@pytest.mark.parametrize("text", NEVER)
@pytest.mark.parametrize("unsafe", [False, True])
def test_a_profile_without_a_wall_that_holds_is_refused_whoever_asks(
    tmp_path: Path, text: str, unsafe: bool
) -> None:
    with pytest.raises(ProfileError, match=NEVER[text]):
        profiles.load(write(tmp_path, text), unsafe=unsafe)


@pytest.mark.parametrize("text", WEAKER)
def test_a_weaker_profile_is_refused_until_somebody_asks_for_it(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ProfileError, match=f"{WEAKER[text]}.*--unsafe-profile"):
        profiles.load(path)
    assert profiles.load(path, unsafe=True).weaknesses


def test_it_is_compared_with_the_shipped_profile_that_it_extends(tmp_path: Path) -> None:
    text = "tiers = ['A', 'B']"
    assert profiles.load(write(tmp_path, text)).weaknesses == ()
    with pytest.raises(ProfileError, match="tiers has B too"):
        profiles.load(write(tmp_path, text, "strict-a"))


def test_one_that_extends_none_is_compared_with_strict(tmp_path: Path) -> None:
    text = (Path(profiles.__file__).parent / "strict.toml").read_text()
    path = tmp_path / "whole.toml"
    path.write_text(text.replace('fail_on = "medium"', 'fail_on = "high"'))
    with pytest.raises(ProfileError, match="fail_on = high"):
        profiles.load(str(path))
    path.write_text(text)
    assert profiles.load(str(path)).weaknesses == ()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tiers = ['A']",
        'fail_on = "low"',
        "limits.memory = 1048576",
        "limits.events = 1",
        f"walls = {[*STRICT.walls, 'moat']}",
        "recording.audited = ['openat']",
        f"recording.held_by_namespaces = {[*STRICT.recording.held_by_namespaces, 'sendto']}",
        "[recording.errno]\nconnect = 'EACCES'",
    ],
)
def test_a_profile_that_adds_walls_and_lowers_limits_needs_no_permission(
    tmp_path: Path, text: str
) -> None:
    assert profiles.load(write(tmp_path, text)).weaknesses == ()


def test_the_shipped_profiles_have_no_weakness() -> None:
    assert [profiles.load(name).weaknesses for name in profiles.names()] == [()] * len(
        profiles.names()
    )


def test_every_call_that_strict_carries_out_is_held_by_a_wall_that_it_demands() -> None:
    holds = profiles.rules("walls")["holds"]
    assert set(STRICT.recording.audited) <= {call for calls in holds.values() for call in calls}
    assert set(holds) | set(profiles.rules("walls")["cell"]) <= set(STRICT.walls)


def test_python_asks_for_a_weaker_profile_by_name(tmp_path: Path) -> None:
    weaker, hollow = write(tmp_path, 'fail_on = "never"'), tmp_path / "hollow.toml"
    hollow.write_text('extends = "strict"\ndescription = ""\nwalls = []\n')
    with pytest.raises(UsageError, match="unsafe_profile=True"):
        safe_load.scan(tmp_path / "nothing", profile=weaker)
    with pytest.raises(safe_load.NotLoadable) as caught:
        safe_load.scan(tmp_path / "nothing", profile=weaker, unsafe_profile=True)
    assert caught.value.result is not None
    assert caught.value.result.report.sandbox.weaknesses
    with pytest.raises(UsageError, match="no-new-privileges"):
        safe_load.scan(tmp_path / "nothing", profile=hollow, unsafe_profile=True)
