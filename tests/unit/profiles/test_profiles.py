"""Profiles read strictly, and what is wrong with one is said in a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safe_load import profiles
from safe_load.core.units import format_size, parse_seconds, parse_size
from safe_load.profiles import ProfileError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("name", profiles.names())
def test_every_profile_that_ships_reads_and_names_itself(name: str) -> None:
    profile = profiles.load(name)
    assert profile.name == name
    assert profile.description
    assert profile.walls
    profiles.seccomp(profile.seccomp)


def test_strict_a_is_strict_without_tier_b() -> None:
    strict, strict_a = profiles.load("strict"), profiles.load("strict-a")
    assert strict.tiers == ("A", "B")
    same = msgspec.structs.replace(
        strict, name="strict-a", tiers=("A",), description=strict_a.description
    )
    assert strict_a == same


def test_strict_demands_every_wall_and_says_what_stands_in_for_each_that_a_room_cannot_have() -> (
    None
):
    strict = profiles.load("strict")
    assert strict.demanded("native") == strict.walls
    namespaces = {wall for wall in strict.walls if wall.endswith("-namespace")}
    assert set(strict.stand_ins["native-b"]) == namespaces
    assert {
        "user-namespace",
        "network-namespace",
        "pid-namespace",
        "landlock",
        "seccomp",
        "recorder",
    } <= set(strict.walls)


def write(folder: Path, text: str) -> str:
    path = folder / "mine.toml"
    path.write_text(text, "utf-8")
    return str(path)


def test_a_profile_extends_a_shipped_one_key_by_key(tmp_path: Path) -> None:
    mine = profiles.load(
        write(tmp_path, 'extends = "strict"\n[limits]\nmemory = "512MiB"\ntimeout = 30\n')
    )
    strict = profiles.load("strict")
    assert (mine.name, mine.limits.memory, mine.limits.timeout) == ("mine", 512 << 20, 30)
    assert mine.limits.processes == strict.limits.processes
    assert mine.recording == strict.recording


WRONG = {
    "an unknown key": ('extends = "strict"\nwals = []\n', "unknown field `wals`"),
    "an unknown limit": ('extends = "strict"\n[limits]\nmemroy = "1GiB"\n', "unknown field `memroy`.*limits"),
    "a size in words": ('extends = "strict"\n[limits]\nmemory = "much"\n', "'much' is not a size; write e.g. 8GiB"),
    "no size": ('extends = "strict"\n[limits]\nmemory = 0\n', "limits.memory"),
    "a negative size": ('extends = "strict"\n[limits]\nscratch = -1\n', "limits.scratch"),
    "no time": ('extends = "strict"\n[limits]\ntimeout = 0\n', "limits.timeout"),
    "a number for a list": ('extends = "strict"\nwalls = 3\n', "walls"),
    "an unknown threshold": ('extends = "strict"\nfail_on = "sometimes"\n', "fail_on"),
    "an unknown tier": ('extends = "strict"\ntiers = ["C"]\n', "tiers"),
    "an unknown base": ('extends = "lax"\n', "extends 'lax', which is not a shipped profile"),
    "a list for a base": ('extends = ["strict"]\n', "extends"),
    "missing keys": ('description = "mine"\n', "missing required field"),
    "limits that are none": ('extends = "strict"\nlimits = "few"\n', "limits"),
    "an unknown seccomp profile": ('extends = "strict"\nseccomp = "lax"\n', "no seccomp profile 'lax'"),
    "a seccomp profile elsewhere": ('extends = "strict"\nseccomp = "../../secret"\n', "no seccomp profile"),
    "no TOML": ("walls = [\n", "not TOML"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_profile_is_refused_with_its_file_and_the_place(tmp_path: Path, name: str) -> None:
    text, sentence = WRONG[name]
    path = write(tmp_path, text)
    with pytest.raises(ProfileError, match=sentence) as caught:
        profiles.load(path)
    assert path in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_profile_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(ProfileError, match=r"there is no profile 'lax': choose one of .*strict"):
        profiles.load("lax")


def test_a_profile_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match=r"nothing.toml cannot be read"):
        profiles.load(str(tmp_path / "nothing.toml"))
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe")
    with pytest.raises(ProfileError, match=r"binary.toml cannot be read"):
        profiles.load(str(binary))


def test_rules_have_a_comment_that_says_why() -> None:
    assert all(rule.comment for rule in profiles.seccomp("worker").syscalls)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4096", 4096),
        ("1k", 1 << 10),
        ("8GiB", 8 << 30),
        ("512M", 512 << 20),
        (" 2 TB ", 2 << 40),
        ("0", 0),
    ],
)
def test_a_size_reads_as_people_write_it(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GiB", "-1", "1.5G", "8 GiBs", "1e9", "0x10", "9" * 16])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size; write"):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("5m", 300), ("1h", 3600), ("30d", 2592000), ("0.5", 0.5)],
)
def test_a_time_reads_as_people_write_it(text: str, seconds: float) -> None:
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "0.0s", "-5", "soon", "1w", "inf", "nan", "1e3"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a time; write"):
        parse_seconds(text)


@given(st.integers(0, (1 << 50)), st.sampled_from(["", "k", "KiB", "M", "GiB"]))
def test_sizes_are_powers_of_1024(count: int, unit: str) -> None:
    if len(str(count)) <= 15:
        power = {"": 0, "k": 1, "m": 2, "g": 3}[unit[:1].lower()]
        assert parse_size(f"{count}{unit}") == count * 1024**power


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (86_700_000, "86.7 MB"), (10**15, "1000.0 TB")],
)
def test_a_size_is_shown_as_file_managers_do(count: int, shown: str) -> None:
    assert format_size(count) == shown
