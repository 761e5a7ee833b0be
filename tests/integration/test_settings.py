"""What is judged does not configure its judge: a checkout that brings settings and a profile."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.adversarial import craft

COMMAND = Path(sys.executable).parent / "safe-load"
#: A room without walls, in which changing a file's mode and times is carried out.
HOLLOW = """
extends = "strict"
description = "x"
tiers = ["B"]
walls = []
fail_on = "never"
[recording]
held_by_namespaces = []
audited = ["open", "openat", "openat2", "creat", "chmod", "fchmod", "fchmodat", "utimensat"]
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A model that changes a host file, and says so in the settings that lie above it."""
    canary = tmp_path / "canary"
    canary.touch(0o600)
    models = tmp_path / "checkout" / "models"
    models.mkdir(parents=True)
    code = f"import os; os.chmod({str(canary)!r}, 0o777); os.utime({str(canary)!r}, (0, 0))"
    craft.checkpoint(models, craft.run(code), "m.bin")
    (models.parent / "p.toml").write_text(HOLLOW)
    return models.parent


def scan(folder: Path, *flags: str, **environ: str) -> tuple[int, dict[str, Any], str]:
    done = subprocess.run(
        [COMMAND, "scan", *flags, "--format", "json", "models/m.bin"],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if "SAFE_LOAD" not in name}
        | {"XDG_CONFIG_HOME": str(folder.parent / "none")}
        | environ,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, json.loads(done.stdout) if done.stdout else {}, done.stderr


def in_force(report: dict[str, Any]) -> dict[str, tuple[object, str]]:
    return {one["name"]: (one["value"], one["from"]) for one in report["settings"]}


def untouched(checkout: Path) -> bool:
    status = (checkout.parent / "canary").stat()
    return stat.S_IMODE(status.st_mode) == 0o600 and status.st_mtime > 0


@pytest.mark.parametrize("name", ["pyproject.toml", "safe-load.toml"])
@pytest.mark.parametrize("said", ['fail-on = "never"', 'profile = "p.toml"', 'depth = "weights"'])
def test_the_settings_of_the_tree_that_is_judged_soften_nothing(
    checkout: Path, name: str, said: str
) -> None:
    table = "[tool.safe-load]\n" if name == "pyproject.toml" else ""
    (checkout / name).write_text(f"{table}{said}\nquiet = true\n")
    code, report, told = scan(checkout)
    assert code == 1
    assert report["sandbox"]["profile"] == "strict"
    assert in_force(report)["fail-on"] == ("medium", "profile strict")
    assert str(checkout / name) in told
    assert untouched(checkout)


@pytest.mark.parametrize("flags", [(), ("--unsafe-profile",)])
def test_a_room_without_walls_is_built_for_nobody(checkout: Path, flags: tuple[str, ...]) -> None:
    code, _, told = scan(checkout, "--profile", "p.toml", *flags)
    assert code == 2
    assert "no-new-privileges" in told
    assert untouched(checkout)


def test_a_weaker_profile_that_the_user_asks_for_is_the_first_thing_that_is_said(
    checkout: Path,
) -> None:
    (checkout / "lax.toml").write_text('extends = "strict"\nfail_on = "never"\n')
    flags = ("--profile", "lax.toml", "--unsafe-profile")
    code, report, told = scan(checkout, *flags)
    assert (code, report["outcome"]) == (0, "ok")
    assert report["sandbox"]["weaknesses"] == ["fail_on = never (instead of medium)"]
    assert in_force(report)["profile"] == ("lax.toml", "--profile")
    assert "fail_on = never" in told
    (checkout / "report.json").write_text(json.dumps(report))
    for form in ("human", "markdown"):
        shown = subprocess.run(
            [COMMAND, "report", "report.json", "--format", form],
            cwd=checkout, capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        assert "fail_on = never" in shown.splitlines()[0]


def test_the_report_says_where_each_setting_came_from(checkout: Path) -> None:
    (checkout / "safe-load.toml").write_text('timeout = "90s"\n')
    code, report, _ = scan(checkout, "--no-hash", SAFE_LOAD_FAIL_ON="low")
    assert code == 1
    settings = in_force(report)
    assert settings["timeout"] == (90.0, str(checkout / "safe-load.toml"))
    assert settings["fail-on"] == ("low", "SAFE_LOAD_FAIL_ON")
    assert settings["hash"] == (False, "--no-hash")
    assert settings["backend"] == ("auto", "default")
    assert settings["memory"] == (8 << 30, "profile strict")
