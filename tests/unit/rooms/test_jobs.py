"""What this Python must have for a room that loads a model, and what is said where it has not."""

from __future__ import annotations

import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from safe_load.core.errors import SandboxError
from safe_load.rooms import jobs
from safe_load.sandbox import runtime

ROOT = Path(__file__).resolve().parents[3]


def test_the_oldest_versions_are_those_of_the_extra() -> None:
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    stated = dict(re.findall(r"(\w+)>=([\d.]+)", " ".join(extra["models"])))
    for name, version in jobs.OLDEST.items():
        assert ".".join(map(str, version)) == stated[name]


@pytest.mark.parametrize("version", ["4.38.2", "4.9", "3.0.0rc1", "0.1.dev0"])
def test_an_old_package_is_named_with_the_version_it_needs_and_the_command_that_helps(
    version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = metadata.version
    monkeypatch.setattr(
        metadata, "version", lambda name: version if name == "transformers" else true(name)
    )
    with pytest.raises(SandboxError) as caught:
        jobs.require_installed((*jobs.NEEDED["weights"], *jobs.NEEDED["model"]))
    said = str(caught.value)
    assert f"transformers {version} is too old for the room, which needs 4.57 or newer" in said
    assert f"{sys.executable} -m pip install 'safe-load[models]'" in said
    jobs.require_installed(jobs.NEEDED["weights"])  # weights alone need no transformers


@pytest.mark.parametrize("version", ["4.57.0", "5.23.0", "5", "odd"])
def test_other_versions_are_taken(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", lambda _name: version)
    assert jobs.lacking_packages(("transformers",)) is None


def test_a_large_library_is_shown_for_files_of_its_names_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path / "xgboost_cpu-3.2.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: xgboost-cpu\nVersion: 3.2.0\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    runtime.find.cache_clear()
    assert jobs.openers(["a/model.UBJ", "model.bin"]) == {"xgboost": "xgboost-cpu"}
    assert jobs.openers(["model.bin", "config.yaml"]) == {}
    runtime.find.cache_clear()
