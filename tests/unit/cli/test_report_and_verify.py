"""`safe-load report`, `profiles` and `verify`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from blake3 import blake3
from safe_load.cli import exit_code
from safe_load.core import report as report_module
from safe_load.export import manifest

from tests.unit import reports

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[1]",
        b"\xff\xfe",
        b"[" * 100_000,
        report_module.encode(reports.clean()).replace(b"report/1", b"report/9"),
        report_module.encode(reports.clean())[:-40],
        b'{"schema": "safe-load/report/2", "unlike": "ours"}',
    ],
)
def test_what_is_no_report_is_code_2_and_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    file = tmp_path / "saved.json"
    file.write_bytes(content)
    assert exit_code(["report", str(file), "--report", f"html={tmp_path}/x.html"]) == 2
    assert not (tmp_path / "x.html").exists()
    out, err = capsys.readouterr()
    assert out == ""
    assert str(file) in err
    assert err.count("\n") == 1


# --- profiles --------------------------------------------------------------------------------


def test_profiles_lists_what_ships(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(["profiles"]) == 0
    assert "strict" in capsys.readouterr().out
    assert exit_code(["profiles", "list", "--format", "json"]) == 0
    assert "strict" in [p["name"] for p in msgspec.json.decode(capsys.readouterr().out)]


def test_profiles_show_gives_the_effective_values(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(["profiles", "show", "strict"]) == 0
    page = capsys.readouterr().out
    assert "limits.memory" in page
    assert "MiB" in page
    assert exit_code(["profiles", "show", "strict", "--format", "json"]) == 0
    assert msgspec.json.decode(capsys.readouterr().out)["limits"]["memory"] > 0


# --- verify ----------------------------------------------------------------------------------


@pytest.fixture
def cleared(tmp_path: Path) -> Path:
    """A folder with one file and the manifest of it."""
    folder = tmp_path / "cleared"
    folder.mkdir()
    (folder / "config.json").write_bytes(b"{}\n")
    entry = manifest.FileEntry("config.json", 3, report_module.Digests(blake3(b"{}\n").hexdigest()))
    stated = manifest.Manifest(
        tool=reports.TOOL,
        policy="strict",
        source=report_module.Source("model"),
        sources=[],
        files=[entry],
        created="2026-01-02T03:04:05Z",
    )
    (folder / manifest.NAME).write_bytes(manifest.encode(stated))
    return folder


def test_verify_passes_a_folder_that_is_as_its_manifest_says(
    cleared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(["verify", str(cleared)]) == 0
    assert "1 file as the manifest says" in " ".join(capsys.readouterr().out.split())
    assert exit_code(["verify", str(cleared), "-q"]) == 0
    assert capsys.readouterr() == ("", "")


def test_verify_names_what_differs(cleared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (cleared / "config.json").write_bytes(b"[]\n")
    (cleared / "more\x1b[2J.py").touch()
    assert exit_code(["verify", str(cleared)]) == 1
    page = capsys.readouterr().out
    assert "2 problems" in page
    assert "config.json" in page
    assert "\x1b" not in page


def test_verify_says_3_where_there_is_no_manifest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(["verify", str(tmp_path)]) == 3
    assert "manifest" in capsys.readouterr().err
