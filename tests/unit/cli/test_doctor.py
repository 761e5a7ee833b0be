"""`safe-load doctor`: what stands on this machine, and what would help."""

from __future__ import annotations

import dataclasses
import sys
from typing import Any

import msgspec
import pytest
from safe_load import profiles
from safe_load.cli import exit_code
from safe_load.core.errors import SandboxError
from safe_load.rooms import jobs
from safe_load.sandbox import hints, policy, runtime
from safe_load.sandbox.kernel import libseccomp


@dataclasses.dataclass
class Wall:
    name: str
    state: str
    detail: str


@dataclasses.dataclass
class Built:
    backend: str
    tier: str
    stands: bool
    reason: str
    name: str


@dataclasses.dataclass
class Hint:
    room: str
    text: str
    command: str


@dataclasses.dataclass
class Diagnosis:
    tier: str | None
    walls: list[Wall]
    advice: list[Hint]
    rooms: list[Built]
    notes: list[str]


COMMAND = (
    "sudo sysctl -w kernel.a_setting_with_a_long_name=0 kernel.and_another_one=15000 kernel.x=1"
)


def diagnose(monkeypatch: pytest.MonkeyPatch, tier: str | None) -> Diagnosis:
    """Let `doctor` find a machine with one wall missing."""
    walls = [Wall("landlock", "standing", "ABI 6"), Wall("user-namespace", "missing", "EPERM")]
    first = Built("native", "A", False, "nobody may", "native, tier A")
    second = Built("native", "B", tier == "B", "", "native, tier B")
    hints = [Hint("native, tier A", "allow user namespaces:", COMMAND)]
    found = Diagnosis(tier, walls, hints, [first, second], [])
    monkeypatch.setattr("safe_load.sandbox.doctor.examine", lambda _containers: found)
    return found


def test_doctor_shows_the_tier_each_wall_and_what_would_help(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    diagnose(monkeypatch, "B")
    assert exit_code(["doctor"]) == 0
    page = capsys.readouterr().out
    assert page.startswith("✓ tier B")
    assert "✗ missing  native, tier A  nobody may" in page
    assert "✓ works    native, tier B" in page
    for said in ("✓ standing  landlock", "✗ missing   user-namespace  EPERM"):
        assert said in page


@pytest.mark.parametrize("columns", ["40", "80", "120"])
def test_what_the_doctor_would_have_pasted_is_one_line_on_any_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], columns: str
) -> None:
    diagnose(monkeypatch, "B")
    monkeypatch.setenv("COLUMNS", columns)
    exit_code(["doctor"])
    lines = capsys.readouterr().out.splitlines()
    assert f"    {COMMAND}" in lines
    assert all(len(line) <= int(columns) for line in lines if COMMAND not in line)


def test_doctor_builds_containers_of_the_image_and_runtime_that_the_settings_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found, asked = diagnose(monkeypatch, "A"), []
    found.rooms.append(Built("docker", "A", True, "", "docker, runsc"))

    def examine(containers: Any) -> Diagnosis:
        asked.append((containers.image, containers.runtime))
        containers.make(None, "another")
        return found

    monkeypatch.setattr("safe_load.sandbox.doctor.examine", examine)
    monkeypatch.setattr(
        "safe_load.rooms.choice.backend_of",
        lambda options, _: asked.append((options.backend, options.image, options.runtime)),
    )
    monkeypatch.setenv("SAFE_LOAD_IMAGE", "mine:1")
    monkeypatch.setenv("SAFE_LOAD_RUNTIME", "runsc")
    assert exit_code(["doctor"]) == 0
    assert asked == [("mine:1", "runsc"), ("docker", "mine:1", "another")]


def test_doctor_is_code_4_where_nothing_can_be_opened(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = diagnose(monkeypatch, None)
    assert exit_code(["doctor", "--format", "json"]) == 4
    assert msgspec.json.decode(capsys.readouterr().out) == dataclasses.asdict(found)


def test_doctor_is_code_4_where_the_default_command_would_load_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    diagnose(monkeypatch, "A")
    find = runtime.find
    monkeypatch.setattr(
        runtime, "find", lambda names: dataclasses.replace(find(()), missing=tuple(names))
    )
    assert exit_code(["doctor"]) == 4
    page = " ".join(capsys.readouterr().out.split())
    assert page.startswith("✗ tier A stands, but nothing can be loaded: the room needs torch")
    with pytest.raises(SandboxError) as refused:
        jobs.require_installed(jobs.NEEDED["weights"])
    command = f"{sys.executable} -m pip install 'safe-load[models]'"
    assert command in page
    assert str(refused.value).endswith(command)
    monkeypatch.setenv("SAFE_LOAD_BACKEND", "docker")  # whose image has the packages
    assert exit_code(["doctor"]) == 4  # no such room stands here
    assert capsys.readouterr().out.startswith("✗ the settings name the docker backend")


def test_what_an_absent_libseccomp_is_told_with_is_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def absent() -> None:
        raise OSError("no such library")

    monkeypatch.setattr(libseccomp, "load", absent)
    with pytest.raises(policy.PolicyError) as refused:
        policy.compile_policy(profiles.load("strict"))
    text, command = hints.for_native("A", str(refused.value))
    assert text in str(refused.value)
    assert command in str(refused.value)
    assert "libseccomp" in command or "libseccomp" in text
