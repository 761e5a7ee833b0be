"""The page and the notebook's card: one file, nothing of the model's alive, and no part missing."""

from __future__ import annotations

import base64
import hashlib
import re
import sys
from html import unescape
from html.parser import HTMLParser
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from safe_load import render as forms
from safe_load.api import Result
from safe_load.core.errors import NotLoadable, Rejected
from safe_load.core.histogram import Histogram
from safe_load.core.report import Event, Process, Report, Tensor
from safe_load.core.signed import Attestation
from safe_load.render import html, html_acts, style
from safe_load.render.markdown import Markdown

from tests.unit import reports

ALL = [
    reports.clean(),
    reports.exported(),
    reports.malicious(),
    reports.trapped(),
    reports.not_loadable(),
    reports.hostile(),
]
_VOID = {"meta", "br", "input"}


def render(*given: Report) -> str:
    return forms.get("html").render(given).decode()


class Page(HTMLParser):
    """The elements of a page, as a browser would find them. Every element that opens is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("given", [*([each] for each in ALL), ALL], ids=len)
def test_a_page_has_no_script_fetches_nothing_and_links_only_within_itself(
    given: list[Report],
) -> None:
    elements = Page(render(*given)).elements
    known = set(
        "html head meta title style body main article header nav section details summary h1 h2 h3 h4 h5 p span "
        "b br ul ol li div code pre table thead tbody tr th td svg line rect a input label".split()
    )
    assert {tag for tag, _ in elements} <= known
    anchors = [str(attributes["id"]) for _, attributes in elements if "id" in attributes]
    assert len(set(anchors)) == len(anchors)
    for tag, attributes in elements:
        assert not any(name.startswith("on") or name in ("src", "style") for name in attributes)
        assert tag == "a" or "href" not in attributes
        assert tag != "input" or attributes["type"] == "radio"
        if tag == "a":
            href = str(attributes["href"])
            assert href.startswith("#")
            assert href[1:] in anchors


def test_the_policy_allows_the_page_s_own_style_sheet_and_nothing_else() -> None:
    for given in ([reports.clean()], ALL):
        page = render(*given)
        (policy,) = (
            str(a["content"])
            for tag, a in Page(page).elements
            if a.get("http-equiv") == "Content-Security-Policy"
        )
        sheet = page[page.index("<style>") + 7 : page.index("</style>")]
        digest = base64.b64encode(hashlib.sha256(sheet.encode()).digest()).decode()
        assert policy == (
            f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
        )


def test_hostile_text_opens_no_element() -> None:
    for page in (render(reports.hostile()), html.card(reports.hostile())):
        assert page.count("<script") + page.count("<img") == 0
        Page(page)


def test_a_page_has_one_main_heading_and_one_main_part() -> None:
    for given in ([reports.trapped()], ALL, []):
        tags = [tag for tag, _ in Page(render(*given)).elements]
        assert (tags.count("h1"), tags.count("main")) == (1, 1)


def test_the_page_tells_the_cause_the_acts_the_code_and_what_to_search_for() -> None:
    page = render(reports.trapped())
    assert "pytorch_model.bin calls builtins.exec when it is opened" in page
    assert "byte 13225 of x/data.pkl, byte 13289 of the file" in page
    assert '<span class="quiet">address</span><code>collect.evil.example</code>' in page
    assert f"<code>{'bc' * 32}</code>" in page
    assert "+0 ms" in page
    assert "+34 ms" in page
    # The code stands as code: on lines of its own, its quotes escaped once.
    assert "import os, socket, subprocess, urllib.request\nloot = b&quot;&quot;\nfor p in" in page
    assert "<td>2 &times; 3</td><td>24 B</td>" in page


def test_the_chain_says_what_the_wall_made_of_each_act_and_calls_nothing_refused_done() -> None:
    page = render(reports.trapped())
    chain = page.partition('class="flow"')[2].partition("</ul>")[0]
    boxes = [unescape(re.sub(r"<[^>]+>", " ", box)) for box in chain.split("<li>")[2:]]
    assert [re.sub(r"\s+", " ", box).strip() for box in boxes] == [
        "read ~/.ssh/id_rsa ~/.aws/credentials ~/.cache/huggingface/token a decoy: a planted fake",
        "sent to collect.evil.example 203.0.113.7:4444 the sinkhole took it: nothing left",
        "tried to run /bin/sh -c 'touch canary; echo pwned' the kernel refused it",
        "tried to change ~/.bashrc the kernel refused it",
    ]
    assert "<b>ran</b>" not in page
    text = Markdown().render([reports.trapped()]).decode()
    assert "**tried to run**" in text
    assert "**ran**" not in text


def test_what_was_sent_is_shown_as_text_and_in_hexadecimal() -> None:
    sent = msgspec.structs.replace(reports.trapped().egress[-1], payload_preview="A\\x80\n\\x41z")
    report = msgspec.structs.replace(reports.trapped(), egress=[sent])
    page = render(report)
    assert "A\\x80\n\\x41z</pre>" in page
    assert "000000  41 80 0a 5c 78 34 31 7a" in page


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ("('a\\nb\\'c',)", "a\nb'c"),
        ('("it\'s\\t1",)', "it's\t1"),
        ("(b'short', 'the longest \\x41\\u0042 one')", "the longest AB one"),
        ("('it was cut... (90 long)", "it was cut... (90 long)"),
        ("'" + "\\'" * 50_000, "'" * 50_000),
    ],
)
def test_code_is_read_out_of_arguments_as_python_shows_them(arguments: str, code: str) -> None:
    assert html_acts.unescaped(html_acts.longest_text(arguments)) == code


def test_processes_are_a_tree_that_no_depth_and_no_circle_upsets() -> None:
    event = reports.trapped().recording.events[0]

    def born(pid: int, parent: int) -> Event:
        return msgspec.structs.replace(event, pid=pid, ppid=parent)

    events = [born(2, 1), *(born(pid, pid - 1) for pid in range(3, 900)), born(901, 902)]
    events += [born(902, 901), born(903, 903)]
    recording = msgspec.structs.replace(reports.trapped().recording, events=events)
    ran = [Process(1.0, 3, 2, ["/bin/id"])]
    report = msgspec.structs.replace(reports.trapped(), recording=recording, processes=ran)
    page = render(report)
    assert "process 899" in page
    assert "<b>tried to run</b> <code>/bin/id</code>" in page
    Page(page)


def test_the_index_of_several_sources_is_worst_first_and_sorts_without_a_script() -> None:
    given = [reports.clean("b"), reports.trapped("c"), reports.clean("a")]
    page = render(*given)
    assert re.findall(r'<a href="#s\d">(\w)', page) == ["c", "b", "a"]
    by_name = dict(re.findall(r"#by-name:checked ~ ol \.n(\d) { order: (\d); }", page))
    assert by_name == {"2": "1", "1": "2", "0": "3"}
    by_findings = dict(re.findall(r"#by-findings:checked ~ ol \.n(\d) { order: (\d); }", page))
    assert by_findings["0"] == "1"


def test_the_page_of_an_attested_source_claims_no_look_of_its_own() -> None:
    signed = Attestation("safe-load.intoto.jsonl", "ci.pub", "2026-11-29", "0" * 64, instead=True)
    page = render(msgspec.structs.replace(reports.clean(), attestation=signed))
    assert (
        "Nothing was opened here: ci.pub opened the same files, and attests that they passed."
        in page
    )
    assert "It was opened in the sandbox" not in page
    assert "Every file was read" not in page


# --- in a notebook ---------------------------------------------------------------------------


def test_every_rule_of_the_card_outweighs_a_notebook_s() -> None:
    sheet = re.sub(r"@media[^{]*{", "", style.STYLE)
    for selectors in re.findall(r"([^{}]+){", sheet):
        for selector in selectors.split(","):
            assert (
                selector.strip().startswith(
                    (".safe-load.safe-load.safe-load", ".safe-load-", ".safe-load {")
                )
                or selector.strip() == ".safe-load"
            ), selector


def test_cards_of_two_results_share_no_anchor() -> None:
    cards = [html.card(reports.trapped()), html.card(reports.trapped("other"))]
    anchors = [set(re.findall(r' id="([^"]+)"', card)) for card in cards]
    assert not anchors[0] & anchors[1]


class Shell:
    """As much of IPython as an error meets in a kernel."""

    kernel = object()

    def __init__(self) -> None:
        self.shown: list[Any] = []
        self.InteractiveTB = SimpleNamespace(structured_traceback=lambda *_: ["the traceback"])


def test_a_rejection_shows_the_same_card_as_a_result(monkeypatch: pytest.MonkeyPatch) -> None:
    shell = Shell()
    shown = SimpleNamespace(display=shell.shown.append, HTML=lambda text: text)
    ipython = SimpleNamespace(get_ipython=lambda: shell, display=shown)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    result = Result(reports.trapped())
    error = Rejected("a finding", result)
    assert error._repr_html_() == result._repr_html_()
    assert error._render_traceback_() == ["the traceback"]
    error._render_traceback_()  # as ipykernel does, for its log
    assert shell.shown == [result._repr_html_()]
    bare = NotLoadable("nothing in it")
    assert bare._render_traceback_() == ["the traceback"]
    assert len(shell.shown) == 1


def test_a_tensor_s_numbers_are_drawn_where_they_were_asked_for() -> None:
    plain = reports.exported()
    assert "bars" not in render(plain).partition("</style>")[2]
    shown = Histogram([1, 0, 3], -1.5, 2.25, sampled=5, not_finite=1)
    odd = Histogram([], 0.0, 0.0, sampled=2, not_finite=2)
    listed = [Tensor("w", "F32", [5], 20, shown), Tensor("n", "F32", [2], 8, odd)]
    tensors = msgspec.structs.replace(plain.tensors, count=2, listed=listed)
    whole = render(msgspec.structs.replace(plain, tensors=tensors))
    Page(whole)
    page = whole.partition("</style>")[2]
    assert page.count("<rect") == 2  # an empty step has no bar
    assert "<summary>-1.5 to 2.25</summary>" in page
    assert "1 not finite" in page
    assert "2 sampled, 2 not finite" in page
