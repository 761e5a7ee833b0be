"""Reports for the pages of CI systems: each finding beside its file, the same one known again on the next run."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree as ET

import msgspec
import pytest
from safe_load import render as forms
from safe_load.core.report import AcceptedBy, Finding, Report
from safe_load.judge import behaviour
from safe_load.render import places
from safe_load.render.interface import View
from safe_load.render.meanings import meanings

from dev import findings_help
from tests.unit import reports


def sarif(*given: Report, root: str = "") -> Any:
    (run,) = msgspec.json.decode(forms.get("sarif", View(root=root)).render(given))["runs"]
    return run


def place(result: Any) -> Any:
    return result["locations"][0]["physicalLocation"]


def prints(run: Any) -> list[str]:
    return [result["partialFingerprints"]["primaryLocationLineHash"] for result in run["results"]]


# --- sarif -----------------------------------------------------------------------------------


def test_sarif_names_the_rule_the_level_and_the_file() -> None:
    run = sarif(reports.malicious())
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == ["SL101", "SL201", "SL301", "SL401", "SL501"]
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        where = place(result)["artifactLocation"]
        assert where["uri"] == "models/stealer/pytorch_model.bin"
        assert run["artifacts"][where["index"]]["location"]["uri"] == where["uri"]
    assert [r["level"] for r in run["results"]] == ["error", "error", "error", "warning", "note"]


def test_a_rule_links_to_its_section_where_the_page_can_be_read() -> None:
    driver = sarif(reports.malicious())["tool"]["driver"]
    assert "informationUri" not in driver
    assert not any("helpUri" in rule for rule in driver["rules"])
    page = "https://docs.example/findings.html"
    view = View(findings_url=page)
    (run,) = msgspec.json.decode(forms.get("sarif", view).render([reports.malicious()]))["runs"]
    sections = set(re.findall(r"^## (SL\d+)$", findings_help.PAGE.read_text("utf-8"), re.MULTILINE))
    for rule in run["tool"]["driver"]["rules"]:
        assert rule["helpUri"] == f"{page}#{rule['id'].lower()}"
        assert rule["id"] in sections
    odd = msgspec.structs.replace(reports.malicious().findings[0], id='SL1"><a>')
    whole = msgspec.structs.replace(reports.malicious(), findings=[odd])
    (run,) = msgspec.json.decode(forms.get("sarif", view).render([whole]))["runs"]
    assert urlsplit(run["tool"]["driver"]["rules"][0]["helpUri"]).fragment == "sl1%22%3E%3Ca%3E"


def test_sarif_is_one_run_however_many_sources_there_are() -> None:
    run = sarif(*(reports.trapped(f"models/{n}") for n in range(30)), reports.clean())
    assert len({place(result)["artifactLocation"]["uri"] for result in run["results"]}) == 30
    assert len(run["invocations"]) == 31
    assert len(set(prints(run))) == len(run["results"])


def test_each_rule_says_what_it_means_and_what_to_do_without_a_link() -> None:
    for rule in sarif(reports.trapped())["tool"]["driver"]["rules"]:
        assert rule["fullDescription"]["text"].endswith(".")
        assert "What to do" in rule["help"]["text"]
        assert "**What to do.**" in rule["help"]["markdown"]
        assert "](" not in rule["help"]["markdown"]
        assert re.fullmatch(r"([A-Z][a-z]+)+", rule["name"])
        assert 0 < float(rule["properties"]["security-severity"]) <= 10


def test_a_finding_on_a_call_has_the_byte_of_the_file() -> None:
    (read,) = (r for r in sarif(reports.trapped())["results"] if r["ruleId"] == "SL501")
    assert place(read)["region"] == {"startLine": 1, "byteOffset": 13289, "byteLength": 1}


def test_a_finding_on_a_key_has_the_line_of_the_file() -> None:
    finding = Finding("SL503", "high", "t", "d", "config.json: auto_map", line=12)
    report = msgspec.structs.replace(reports.trapped(), findings=[finding])
    (result,) = sarif(report)["results"]
    assert place(result)["region"] == {"startLine": 12}
    assert place(result)["artifactLocation"]["uri"].endswith("/config.json")
    assert gitlab(report)[0]["location"]["lines"] == {"begin": 12}


@pytest.mark.parametrize(
    ("source", "uri"),
    [
        ("/repo/models/a", "models/a/pytorch_model.bin"),
        ("/repo/models/pytorch_model.bin", "models/pytorch_model.bin"),
        ("/elsewhere/a", "elsewhere/a/pytorch_model.bin"),
        ("hf://org/name", "hf/org/name/pytorch_model.bin"),
    ],
)
def test_a_path_begins_at_the_root_of_the_checkout(source: str, uri: str) -> None:
    run = sarif(reports.malicious(source), root="/repo")
    assert place(run["results"][0])["artifactLocation"]["uri"] == uri


def test_a_path_that_was_given_from_a_folder_of_the_checkout_is_told_from_its_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "sub" / "deep").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "sub" / "deep")
    root = places.repository(str(Path.cwd()))
    assert root == str(tmp_path)
    for given in ("a", "./a", f"{tmp_path}/sub/deep/a"):
        run = sarif(reports.malicious(given), root=root)
        uri = place(run["results"][0])["artifactLocation"]["uri"]
        assert uri == "sub/deep/a/pytorch_model.bin"


def test_fingerprints_are_distinct_and_the_same_on_the_next_run() -> None:
    twice = msgspec.structs.replace(
        reports.malicious(), findings=[*reports.malicious().findings, *reports.malicious().findings]
    )
    assert len(set(prints(sarif(twice)))) == len(twice.findings)
    later = msgspec.structs.replace(twice, started="2027-01-02T03:04:05Z", duration_s=9.0)
    assert prints(sarif(twice)) == prints(sarif(later))


def test_a_call_that_moved_within_its_file_is_the_same_finding() -> None:
    found = [f for f in reports.trapped().findings if f.id == "SL501"]
    moved = [
        msgspec.structs.replace(
            each,
            location="pytorch_model.bin: x/data.pkl at byte 7",
            origin=msgspec.structs.replace(each.origin, offset=7, at=71),
        )
        for each in found
    ]
    before, after = (
        sarif(msgspec.structs.replace(reports.trapped(), findings=each)) for each in (found, moved)
    )
    assert prints(before) == prints(after)


@pytest.mark.parametrize(
    "path",
    ["a b.bin", "../../x", "//evil.example/x", "javascript:alert(1)", "%2e", "ключ", "a?b#c"],
)
def test_a_sarif_location_is_a_relative_uri_whatever_the_file_is_called(path: str) -> None:
    report = msgspec.structs.replace(
        reports.malicious(),
        files=[msgspec.structs.replace(reports.malicious().files[0], path=path)],
        findings=[Finding("SL101", "high", "t", "d", f"{path}: here")],
    )
    uri = place(sarif(report)["results"][0])["artifactLocation"]["uri"]
    parts = urlsplit(uri)
    assert (parts.scheme, parts.netloc, parts.query, parts.fragment) == ("", "", "", "")
    inner = "/".join("__" if part == ".." else part for part in path.split("/") if part)
    assert unquote(uri) == f"models/stealer/{inner}"


def test_a_sarif_message_holds_no_link() -> None:
    finding = Finding(
        "SL501", "high", "see [this](http://evil.example)", "\\[x](http://evil.example)"
    )
    run = sarif(msgspec.structs.replace(reports.malicious(), findings=[finding]))
    # Every bracket is behind an odd number of backslashes, so none opens a link.
    for run_of_slashes in re.findall(r"(\\*)[\[\]]", run["results"][0]["message"]["text"]):
        assert len(run_of_slashes) % 2 == 1


def test_sarif_says_when_a_source_could_not_be_judged() -> None:
    (invocation,) = sarif(reports.not_loadable())["invocations"]
    assert invocation["executionSuccessful"] is False
    assert "4096 bytes" in invocation["toolExecutionNotifications"][0]["message"]["text"]


def test_what_rules_say_is_what_the_page_of_findings_says() -> None:
    import safe_load

    committed = Path(safe_load.__path__[0]) / "render" / "findings.json"
    assert committed.read_bytes() == findings_help.text(), (
        "run: python -m dev.findings_help > loader/render/findings.json"
    )
    assert meanings().keys() == behaviour.RULES.keys()


# --- junit -----------------------------------------------------------------------------------


def junit(*given: Report) -> ET.Element:
    (suite,) = ET.fromstring(forms.get("junit").render(given))
    return suite


def test_junit_counts_the_rejected_as_failures_and_the_unjudged_as_errors() -> None:
    suite = junit(reports.clean(), reports.malicious(), reports.not_loadable())
    assert {key: suite.get(key) for key in ("tests", "failures", "errors")} == {
        "tests": "3",
        "failures": "1",
        "errors": "1",
    }
    cases = suite.findall("testcase")
    assert [[child.tag for child in case] for case in cases] == [[], ["failure"], ["error"]]


@pytest.mark.parametrize("started", ["2026-01-02T03:04:05Z", "2026-01-02T03:04:05+00:00", "odd"])
def test_junit_has_what_the_strict_schema_demands_in_its_order(started: str) -> None:
    suite = junit(msgspec.structs.replace(reports.malicious(), started=started), reports.hostile())
    tags = [child.tag for child in suite]
    assert tags == ["properties", "testcase", "testcase", "system-out", "system-err"]
    assert set(suite.keys()) == set(
        "id name package timestamp hostname tests failures errors skipped time".split()
    )
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", str(suite.get("timestamp")))
    for case in suite.findall("testcase"):
        assert set(case.keys()) == {"classname", "name", "time"}
        assert all(child.keys() == ["type", "message"] for child in case)


def test_junit_stays_well_formed_with_hostile_text() -> None:
    (case,) = junit(reports.hostile()).findall("testcase")
    assert "<script>alert(1)</script>" in str(case.get("name"))


# --- gitlab ----------------------------------------------------------------------------------


def gitlab(*given: Report) -> Any:
    return msgspec.json.decode(forms.get("gitlab", View(root="/repo")).render(given))


def test_gitlab_has_the_fields_of_a_code_quality_report_with_a_print_of_its_own_each() -> None:
    entries = gitlab(reports.trapped("/repo/a"), reports.trapped("/repo/b"), reports.hostile())
    for entry in entries:
        assert entry.keys() == {"description", "check_name", "fingerprint", "severity", "location"}
        assert entry["severity"] in ("info", "minor", "major", "critical", "blocker")
        assert entry["location"]["lines"] == {"begin": 1}
        assert not entry["location"]["path"].startswith(("/", "./"))
    assert len({entry["fingerprint"] for entry in entries}) == len(entries)
    assert entries == gitlab(
        reports.trapped("/repo/a"), reports.trapped("/repo/b"), reports.hostile()
    )


def test_gitlab_tells_of_a_source_that_could_not_be_judged() -> None:
    (entry,) = gitlab(reports.not_loadable("/repo/models/broken.bin"))
    assert entry["location"]["path"] == "models/broken.bin"
    assert "4096 bytes" in entry["description"]


# --- markdown --------------------------------------------------------------------------------


def test_a_comment_stays_below_the_bound_of_a_pull_request_however_many_sources_there_are() -> None:
    many = [reports.trapped(f"bad/{n}") for n in range(60)]
    many += [reports.clean(f"ok/{n}") for n in range(500)]
    page = forms.get("markdown").render(many).decode()
    assert len(page) < 65_536
    assert page.startswith("**560 sources: 500 clean, 60 malicious**")
    assert "## ✓ 500 clean" in page
    for n in range(60):
        assert f"`bad/{n}`" in page


# --- exceptions ------------------------------------------------------------------------------


def excepted() -> Report:
    """A source of which the user accepts the only finding that would count."""
    by = AcceptedBy("bc" * 32, "read by \x1b[2Jsecurity", "2027-01-31", "safe-load.toml")
    (read,) = (found for found in reports.trapped().findings if found.id == "SL501")
    return msgspec.structs.replace(
        reports.clean(), findings=[msgspec.structs.replace(read, accepted=by)]
    )


def test_an_accepted_finding_is_suppressed_in_sarif_and_left_out_of_gitlab() -> None:
    (result,) = sarif(excepted())["results"]
    (suppression,) = result["suppressions"]
    assert (suppression["kind"], suppression["status"]) == ("external", "accepted")
    assert "read by \\x1b[2Jsecurity" in suppression["justification"]
    assert "suppressions" not in sarif(reports.trapped())["results"][0]
    assert gitlab(excepted()) == []


@pytest.mark.parametrize("name", ["human", "html", "markdown", "junit"])
def test_who_reads_an_accepted_finding_learns_until_when_and_why(name: str) -> None:
    page = forms.get(name, View(width=300, verbose=True)).render([excepted()]).decode()
    assert "accepted until 2027-01-31: read by \\x1b[2Jsecurity (safe-load.toml)" in page
    assert "What to do" not in page.replace("what it means and what to do", "").replace(
        "<b>What to do.</b>", ""
    )


@pytest.mark.parametrize("name", sorted(forms.FORMATS))
def test_a_report_as_large_and_hostile_as_one_can_be_is_shown_soon(name: str) -> None:
    base = reports.trapped()
    (read,) = (found for found in base.findings if found.id == "SL501")
    odd = "'\\" * 30_000
    origins = [
        msgspec.structs.replace(read.origin, arguments=f"{odd}{at}", file="f:" * 2000, at=None)
        for at in range(300)
    ]
    found = [
        msgspec.structs.replace(read, location=":#!" * 20_000, detail=odd, origin=origin)
        for origin in origins
    ]
    event = msgspec.structs.replace(base.recording.events[0], args={"path": "/" * 4000})
    report = msgspec.structs.replace(
        base,
        findings=found,
        recording=msgspec.structs.replace(base.recording, events=[event] * 3000),
        egress=base.egress * 200,
        processes=base.processes * 500,
    )
    began = time.process_time()
    assert forms.get(name, View(root="/repo", verbose=True)).render([report])
    assert time.process_time() - began < 8
