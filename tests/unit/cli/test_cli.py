"""The command line: what goes to which stream, and which exit code comes out."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
from safe_load.api import Result
from safe_load.cli import exit_code
from safe_load.cli import run as run_module
from safe_load.cli.run import worst
from safe_load.core import report as report_module
from safe_load.core.errors import LimitHit, NotLoadable, Rejected, SandboxError, UsageError
from safe_load.core.options import Options, Progress
from safe_load.render.progress import Lines

from tests.unit import reports

if TYPE_CHECKING:
    from collections.abc import Callable

    from safe_load.core.report import Report


RoomResults = list[tuple[str, Path | None, Options]]


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RoomResults:
    """Sources named for what opening them yields, in place of the pipeline; records the calls."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("SAFE_LOAD_"):
            monkeypatch.delenv(name)
    calls: RoomResults = []
    yields: dict[str, Callable[[str], Report] | BaseException] = {
        "clean": reports.clean,
        "malicious": reports.malicious,
        "broken": reports.not_loadable,
        "usage": UsageError("no such revision"),
        "unloadable": NotLoadable("nothing in it"),
        "sandbox": SandboxError("no walls"),
        "limit": LimitHit("too slow", Result(reports.not_loadable())),
        "rejected": Rejected("no", Result(reports.malicious())),
        "bug": RecursionError("\x1b[2Jdeep"),
        "ctrl-c": KeyboardInterrupt(),
    }
    for name in yields:
        (tmp_path / name).touch()

    def open_one(
        source: str,
        target: Path | None,
        options: Options,
        show: Callable[[Progress], None] | None,
        backend: object = None,
    ) -> Report:
        calls.append((source, target, options))
        found = yields[Path(source).name]
        if isinstance(found, BaseException):
            raise found
        return found(source)

    monkeypatch.setattr(run_module, "open_one", open_one)
    # A room that imports torch is no part of what these tests ask, and takes seconds of each.
    monkeypatch.setattr(run_module, "_warm_up", lambda backend, source: None)
    return calls


@pytest.mark.parametrize(
    ("sources", "code"),
    [
        ("clean", 0),
        ("malicious", 1),
        ("broken", 3),
        ("usage", 2),
        ("unloadable", 3),
        ("sandbox", 4),
        ("limit", 5),
        ("rejected", 1),
        ("bug", 4),
        ("ctrl-c", 130),
        ("clean broken", 3),
        ("limit broken", 5),
        ("limit sandbox broken", 4),
        ("sandbox limit malicious clean", 1),
        ("bug malicious", 1),
        ("usage clean", 2),
        ("malicious ctrl-c clean", 130),
    ],
)
def test_the_worst_source_decides_the_exit_code(
    opened: RoomResults, sources: str, code: int
) -> None:
    assert exit_code(["scan", *sources.split()]) == code


def test_every_outcome_has_a_code_and_only_ok_is_0() -> None:
    codes = report_module.EXIT_CODES
    assert [outcome for outcome, code in codes.items() if code == 0] == ["ok"]
    for code in codes.values():
        assert worst([0, code]) == code


def test_a_source_that_fails_does_not_hide_the_others(
    opened: RoomResults, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(["scan", "malicious", "bug", "clean"]) == 1
    out, err = capsys.readouterr()
    assert out.endswith("2 sources: 1 malicious, 1 clean\nrejected: malicious\n")
    assert err.count("\n") == 1
    assert err.startswith(
        "error: an unexpected failure inside safe-load (RecursionError: \\x1b[2Jdeep)"
    )


def test_ctrl_c_beats_every_other_end_and_what_was_seen_is_reported(
    opened: RoomResults, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(["scan", "ctrl-c", "malicious"]) == 130
    out, err = capsys.readouterr()
    assert "malicious" in out
    assert err == "error: interrupted\n"


@pytest.mark.parametrize(
    "line",
    [
        "scan",
        "scan nothing-here",
        "scan clean --depth deep",
        "scan clean --timeout soon",
        "scan clean --memory lots",
        "scan clean --report json",
        "scan clean --report yaml=x",
        "scan clean --output no/such/folder/x",
        "scan clean --output .",
        "scan clean --nonsense",
        "load clean",
        "load clean malicious -o out",
        "nonsense",
        "profiles show",
        "profiles list strict",
        "profiles show no-such-profile",
        "scan clean --config no.toml",
    ],
)
def test_a_wrong_command_line_is_one_sentence_and_code_2(
    opened: RoomResults, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    assert exit_code(line.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert not opened


def test_no_command_at_all_is_no_success(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code([]) == 2
    assert "Usage:" in capsys.readouterr().err


def test_flags_reach_the_pipeline_as_options(opened: RoomResults) -> None:
    flags = "--profile strict --backend docker --runtime runsc --depth run --fail-on never"
    flags += " --timeout 90s --memory 2GiB --no-hash --export-despite-findings -o out"
    assert exit_code(["load", "clean", *flags.split()]) == 0
    assert opened == [
        (
            "clean",
            Path("out"),
            Options(
                profile="strict",
                backend="docker",
                runtime="runsc",
                depth="run",
                fail_on="never",
                timeout=90.0,
                memory=2 << 30,
                export_despite_findings=True,
                hash=False,
            ),
        )
    ]


def test_scan_hands_over_no_place_to_export_to(opened: RoomResults) -> None:
    assert exit_code(["scan", "clean"]) == 0
    assert opened == [("clean", None, Options())]


def test_json_is_one_report_for_one_source_and_one_document_for_several(
    opened: RoomResults, capsys: pytest.CaptureFixture[str]
) -> None:
    exit_code(["scan", "clean", "--format", "json"])
    assert report_module.decode(capsys.readouterr().out.encode()) == reports.clean("clean")
    exit_code(["scan", "clean", "malicious", "--format", "json"])
    found = msgspec.json.decode(capsys.readouterr().out, type=report_module.Run)
    assert [report.verdict for report in found.reports] == ["clean", "malicious"]


def test_output_goes_to_the_file_and_extra_reports_leave_stdout_alone(
    opened: RoomResults, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(["scan", "clean", "--format", "json", "--output", "r.json"]) == 0
    assert capsys.readouterr() == ("", "")
    assert exit_code(["scan", "clean", "--report", "junit=r.xml", "--report", "html=r=1.html"]) == 0
    assert capsys.readouterr().out.startswith("✓ clean")
    assert Path("r.json").read_bytes().startswith(b"{")
    assert Path("r.xml").read_bytes().startswith(b"<?xml")
    assert Path("r=1.html").read_bytes().startswith(b"<!doctype html>")


def test_a_report_that_cannot_be_written_does_not_hide_a_rejection(
    opened: RoomResults, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(["scan", "malicious", "--report", "json=/dev/full"]) == 1
    assert "was not written" in capsys.readouterr().err
    assert exit_code(["scan", "clean", "--report", "json=/dev/full"]) == 2


def test_quiet_leaves_one_line_for_a_clean_source(
    opened: RoomResults, capsys: pytest.CaptureFixture[str]
) -> None:
    exit_code(["scan", "clean", "-q"])
    assert capsys.readouterr().out.count("\n") == 1


def test_settings_come_from_the_project_s_file_too(
    opened: RoomResults, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("model").mkdir()
    Path("clean").rename("model/clean")
    Path("pyproject.toml").write_text('[tool.safe-load]\nformat = "json"\ntimeout = "5m"\n')
    assert exit_code(["scan", "model/clean"]) == 0
    assert opened[0][2].timeout == 300.0
    assert capsys.readouterr().out.startswith("{")
    assert exit_code(["scan", "model/clean", "--format", "human"]) == 0
    assert capsys.readouterr().out.startswith("✓")


def test_an_unknown_variable_warns_and_the_scan_goes_on(
    opened: RoomResults, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SAFE_LOAD_TYPO", "1")
    assert exit_code(["scan", "clean"]) == 0
    assert (
        capsys.readouterr().err
        == "warning: the variable SAFE_LOAD_TYPO is unknown to safe-load and was ignored\n"
    )


def test_a_traceback_is_shown_on_request_and_holds_no_escapes(
    opened: RoomResults, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SAFE_LOAD_DEBUG", "1")
    assert exit_code(["scan", "bug"]) == 4
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert "\x1b" not in err


# --- report ----------------------------------------------------------------------------------


def test_a_saved_report_renders_again(
    opened: RoomResults, capsys: pytest.CaptureFixture[str]
) -> None:
    exit_code(["scan", "malicious", "broken", "--report", "json=saved.json"])
    shown = capsys.readouterr().out
    assert exit_code(["report", "saved.json"]) == 0
    assert capsys.readouterr().out == shown
    assert exit_code(["report", "saved.json", "--format", "sarif"]) == 0
    assert '"2.1.0"' in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (["scan", "org/name"], "hf://org/name"),
        (["scan", "clean", "--memory", "10"], "32 MiB"),
        (["scan", "clean", "--report", "json=nowhere/x.json"], "there is no folder 'nowhere'"),
        (["report", "nothing.json"], "No such file"),
    ],
)
def test_a_wrong_word_is_told_with_the_right_one(
    opened: RoomResults, capsys: pytest.CaptureFixture[str], arguments: list[str], advice: str
) -> None:
    assert exit_code(arguments) == 2
    assert opened == []
    err = capsys.readouterr().err
    assert advice in err
    assert err.count("\n") == 1


# --- progress for programs -------------------------------------------------------------------


@pytest.mark.parametrize("sources", [["malicious"], ["malicious", "bug", "clean"]])
def test_a_program_follows_each_source_to_its_end_on_stderr(
    opened: RoomResults, capsys: pytest.CaptureFixture[str], sources: list[str]
) -> None:
    assert exit_code(["scan", *sources, "--progress", "jsonl"]) == 1
    out, err = capsys.readouterr()
    assert out.startswith("✗ malicious")
    told = [msgspec.json.decode(line) for line in err.splitlines() if line.startswith("{")]
    ends = {each["source"]: each for each in told if each["event"] == "end"}
    assert ends.keys() == set(sources)
    assert ends["malicious"]["verdict"] == "malicious"
    assert ends["malicious"]["exit_code"] == 1
    if "bug" in sources:
        assert ends["bug"]["exit_code"] == 4
        assert "RecursionError" in ends["bug"]["error"]
    for line in err.splitlines():
        assert line.startswith(("{", "error: "))


def test_a_program_learns_how_many_bytes_are_done() -> None:
    stream = io.StringIO()
    tell = Lines(stream).of("a\x1b[2Jb")
    for step in (
        Progress("extract", "start"),
        Progress("extract", "progress", 1, 9),
        Progress("extract", "end"),
    ):
        tell(step)
    told = [msgspec.json.decode(line) for line in stream.getvalue().splitlines()]
    assert [each["state"] for each in told] == ["start", "end"]  # bytes at most five times a second
    assert told[0] == {
        "source": "a\\x1b[2Jb",
        "event": "stage",
        "stage": "extract",
        "state": "start",
    }
    stream.close()
    tell(Progress("extract", "end"))  # whoever read it may be gone


# --- what a mistake is answered with ---------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "advice"),
    [
        ("scan clean --report html=no/x.html", "Make the folder first, or name another file"),
        ("scan clean --report html=.", "name a file in it"),
        (f"scan clean --report html={'x' * 300}", "too long. Name a file that you may write"),
        ("report .", "`safe-load scan SOURCE --report json=report.json` writes one"),
        ("scan org/name", "a model on a hub is hf://org/name"),
        ("scan clean --memory 10", "write e.g. 8GiB"),
        ("scan clean --timeout soon", "write e.g. 90, 90s or 5m"),
        (
            "scan clean --report hmtl=x",
            "human, json, sarif, junit, gitlab, html, cyclonedx, markdown",
        ),
        ("report no.json", "`safe-load scan SOURCE --report json=no.json` writes one"),
        ("report clean", "Only the json form can be shown again"),
    ],
)
def test_a_mistake_is_answered_with_what_to_do(
    opened: RoomResults, capsys: pytest.CaptureFixture[str], line: str, advice: str
) -> None:
    assert exit_code(line.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert advice in err
    assert err.count("\n") == 1
    assert not opened


def test_a_report_cut_short_is_told_as_one(
    opened: RoomResults, capsys: pytest.CaptureFixture[str]
) -> None:
    exit_code(["scan", "malicious", "clean", "--report", "json=whole.json"])
    capsys.readouterr()
    Path("cut.json").write_bytes(Path("whole.json").read_bytes()[:-40])
    assert exit_code(["report", "cut.json", "--report", "html=page.html"]) == 2
    assert "cut.json is not a whole safe-load report" in capsys.readouterr().err
    assert not Path("page.html").exists()
