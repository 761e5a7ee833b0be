"""One self-contained page: no script, no request, nothing to fetch. For people who were not there.

Everything of the model's is text: it is escaped, made visible, and stands in no attribute but `data-label`-free
cells. The page's policy allows its own style sheet, known by its hash, and nothing else.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from typing import TYPE_CHECKING

from safe_load.core.units import format_size
from safe_load.render import acts, html_acts, html_parts, origins, story, summary, weights
from safe_load.render.html_parts import h
from safe_load.render.interface import Format
from safe_load.render.style import STYLE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from safe_load.core.report import Report

#: Sources whose index can be put into another order: each has a rule in the style sheet for each order.
_MOST_SORTED = 500


class Html(Format):
    """A page that a browser shows with every source of content but its own style sheet shut off."""

    name = "html"

    def render(self, reports: Sequence[Report]) -> bytes:
        ordered = story.worst_first(reports)
        title = story.totals(reports) if len(reports) != 1 else _title(reports[0])
        sheet = STYLE + (_orders(ordered) if len(ordered) > 1 else "")
        digest = b64encode(hashlib.sha256(sheet.encode()).digest()).decode()
        policy = (
            f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
        )
        several = len(reports) != 1
        page = [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="referrer" content="no-referrer">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f'<title>{h(title)}</title><style>{sheet}</style></head><body class="safe-load-page">',
            _top(reports, title) if several else "",
            _index(ordered) if len(ordered) > 1 else "",
            "<main>",
            *(
                body(report, ident=f"s{number}", level=2 if several else 1, folded=several)
                for number, report in enumerate(ordered)
            ),
            "</main></body></html>",
        ]
        text = "\n".join(part for part in page if part)
        return f"{text}\n".encode("utf-8", "backslashreplace")


def _title(report: Report) -> str:
    head = story.headline(report)
    return f"{head.mark} {head.word}: {head.source}"


def _top(reports: Sequence[Report], title: str) -> str:
    left = "".join(f"<p>{h(line)}</p>" for line in story.left_alone(reports))
    return f'<header class="safe-load-top"><h1>{h(title)}</h1>{left}</header>'


def _keys() -> dict[str, Callable[[Report], tuple[float | str, ...]]]:
    return {
        "name": lambda report: (story.headline(report).source.casefold(),),
        "findings": lambda report: (-len(report.findings),),
        "size": lambda report: (-sum(file.size for file in report.files),),
    }


def _orders(ordered: Sequence[Report]) -> str:
    """What puts the index into the order that is chosen above it, without a script."""
    if len(ordered) > _MOST_SORTED:
        return ""
    rules = []
    for name, key in _keys().items():
        numbers = sorted(range(len(ordered)), key=lambda number: key(ordered[number]))
        rules += [
            f"#by-{name}:checked ~ ol .n{number} {{ order: {place}; }}"
            for place, number in enumerate(numbers, 1)
        ]
    return "\n".join(rules) + "\n"


def _index(ordered: Sequence[Report]) -> str:
    """Every source in one line, the worst first."""
    lines = []
    for number, report in enumerate(ordered):
        head = story.headline(report)
        size = format_size(sum(file.size for file in report.files))
        found = story.plural(len(report.findings), "finding")
        lines.append(
            f'<li class="n{number} {head.tone}"><b>{head.mark} {h(head.word)}</b>'
            f'<a href="#s{number}">{h(head.source, 160)}</a><span>{found}</span><span>{size}</span></li>'
        )
    chosen = "".join(
        f'<input type="radio" name="sort" id="by-{name}"{" checked" * (name == "verdict")}>'
        f'<label for="by-{name}">{name}</label>'
        for name in ("verdict", *_keys())
    )
    sorting = f"<span>sorted by</span>{chosen}" if len(ordered) <= _MOST_SORTED else ""
    return "\n".join(
        [
            f'<nav class="safe-load-index" aria-label="sources" tabindex="0">{sorting}<ol>',
            *lines,
            "</ol></nav>",
        ]
    )


def card(report: Report) -> str:
    """One report as a notebook shows it, with the style sheet that it needs."""
    named = f"{report.source.path}\0{report.started}\0{report.duration_s}"
    ident = (
        f"safe-load-{hashlib.sha256(named.encode('utf-8', 'backslashreplace')).hexdigest()[:12]}"
    )
    return f"<style>{STYLE}</style>{body(report, ident=ident, level=3)}"


def body(report: Report, *, ident: str = "s0", level: int = 1, folded: bool = False) -> str:
    """One report as an element, for a page that holds `STYLE`. ident: begins the ids of its parts, of which a
    page may hold none twice; level: of its heading; folded: what speaks for no finding opens at a click."""
    head = story.headline(report)
    done = acts.acts(report)
    parts = [
        _hero(report, done, level),
        html_acts.todo(report, done, level),
        html_acts.chain(report, done, level),
        html_acts.what_it_did(report, done, ident, level),
        html_acts.brought(report, level),
        html_parts.findings(report, ident, level),
        weights.section(report.weights, level) if report.weights is not None else "",
    ]
    rest = [
        html_parts.exported(report, level),
        html_parts.processes(report, level),
        html_parts.tensors(report, level),
        html_parts.files(report, level),
        html_parts.walls(report, level),
        html_parts.calls(report, level),
        html_parts.notes(report, level),
    ]
    told = "\n".join(part for part in rest if part)
    if folded and head.tone == "good" and told:
        told = f"<details><summary>tensors, files, walls, notes</summary>{told}</details>"
    return "\n".join(
        [
            f'<article class="safe-load {head.tone}" id="{ident}">',
            *(part for part in parts if part),
            told,
            "</article>",
        ]
    )


def _hero(report: Report, done: Sequence[acts.Act], level: int) -> str:
    head = story.headline(report)
    judged = [act for act in done if act.findings]
    sentences = summary.reason(report, done) or [_calm(report)]
    unsafe = story.unsafe_profile(report)
    chips = [said.rstrip(".") for said in summary.calming(report, judged)]
    if report.decoys:
        chips.append("The credentials are decoys")
    if weights := story.weights(report):
        chips.append(weights)
    if report.export is not None:
        chips.append(f"Exported to {report.export.path}")
    where = [
        *filter(None, (origins.line(report), origins.hub_word(report))),
        f"known malicious models: {origins.known_bad(report)}",
        report.started.replace("T", " ").partition("+")[0].rstrip("Z") + " UTC",
        f"{head.sandbox}, profile {report.sandbox.profile}",
        *([story.files(report)] if report.files else []),
        f"{report.tool.name} {report.tool.version}",
    ]
    return "\n".join(
        [
            '<header class="hero">',
            *([f"<p><b>! {h(unsafe)}</b></p>"] if unsafe else []),
            f'<h{level} class="title"><b>{head.mark} {h(head.word.capitalize())}</b> {h(head.source)}</h{level}>',
            f'<p class="lede">{" ".join(h(sentence) for sentence in sentences)}</p>',
            '<ul class="chips">' + "".join(f"<li>{h(chip)}</li>" for chip in chips) + "</ul>"
            if chips
            else "",
            f'<p class="quiet">{" · ".join(h(fact) for fact in where)}</p>',
            "</header>",
        ]
    )


def _calm(report: Report) -> str:
    """What a verdict without a reason says."""
    if report.verdict != "clean":
        return "It was not judged."
    if report.attestation is not None and report.attestation.instead:
        return f"Nothing was opened here: {report.attestation.signer} opened the same files, and attests that they passed."
    if not report.ran:
        return "Every file was read as data, and nothing spoke against it. Nothing was run."
    return (
        "It was opened in the sandbox and watched. Nothing that it holds or did spoke against it."
    )
