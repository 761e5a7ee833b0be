"""A comparison of two models' weights: for the terminal, as a page, and as a notebook's card."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from typing import TYPE_CHECKING

from safe_load.core.escape import visible
from safe_load.render import heat_map
from safe_load.render.html_parts import code, h, heading, table_of
from safe_load.render.style import STYLE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safe_load.core.report import Finding
    from safe_load.core.weights import Kind, TensorChange, Weights

MARKS: dict[Kind, tuple[str, str]] = {
    "identical": ("✓", "good"),
    "rounding": ("✓", "good"),
    "adapter": ("·", "plain"),
    "fine-tune": ("·", "plain"),
    "surgical": ("!", "warn"),
    "unrelated": ("!", "warn"),
}
#: What the class cannot say, wherever it is shown.
LIMIT = {
    "surgical": "An edit of few tensors. Find out who made it and why.",
    "fine-tune": "Training changed the model; what it learnt cannot be read from the numbers.",
    "adapter": "An adapter was merged; what it learnt cannot be read from the numbers.",
    "unrelated": "Nothing can be said about a change: this is not the base.",
    "rounding": "",
    "identical": "",
}
_MOST = 100


def headline(weights: Weights) -> str:
    """The class and what it means, in one line."""
    kind = weights.difference.kind
    rank = f" of rank {weights.difference.rank}" if weights.difference.rank else ""
    return f"{kind}{rank}: {weights.sentence}"


def cells(tensor: TensorChange) -> tuple[str, ...]:
    """The numbers of one tensor, as text."""
    return (
        tensor.state,
        "" if tensor.relative is None else f"{tensor.relative:.3%}",
        "" if tensor.top1 is None else f"{tensor.top1:.0%}",
        "" if tensor.top8 is None else f"{tensor.top8:.0%}",
        "" if tensor.z is None else f"{tensor.z:+.1f}",
    )


COLUMNS = ("state", "change", "first direction", "first eight", "z")


def section(weights: Weights, level: int) -> str:
    """The comparison as a part of a report's page."""
    changed = [each for each in weights.difference.tensors if each.state != "identical"]
    rows = [_row(each) for each in changed[:_MOST]]
    limit = LIMIT[weights.difference.kind]
    parts = [
        heading("Weights", level, h(f"compared with {weights.base}")),
        f"<p><b>{h(headline(weights))}</b>. {h(limit)}</p>",
        heat_map.table(weights),
        table_of(("tensor", *COLUMNS), rows, len(changed)) if rows else "",
    ]
    return f"<section>{''.join(part for part in parts if part)}</section>"


def _row(tensor: TensorChange) -> str:
    """On a phone there is no head above the numbers, so each cell says what it holds."""
    told = zip(COLUMNS, cells(tensor), strict=True)
    labelled = "".join(f'<td data-label="{name}">{h(said)}</td>' for name, said in told)
    return f"<tr><td>{code(tensor.name, 300)}</td>{labelled}</tr>"


def article(
    source: str, weights: Weights, findings: Sequence[Finding], notes: Sequence[str], level: int
) -> str:
    """The comparison alone, for a page that holds `STYLE`."""
    mark, tone = MARKS[weights.difference.kind]
    tone = "bad" if findings else tone
    told = "".join(
        f"<p><b>{h(each.id)}</b> {h(each.title)}: {h(each.detail)}</p>" for each in findings
    )
    said = "".join(f"<li>{h(note)}</li>" for note in notes[:_MOST])
    return "\n".join(
        [
            f'<article class="safe-load {tone}"><header class="hero">',
            f'<h{level} class="title"><b>{mark} {h(weights.difference.kind)}</b> {h(source)}</h{level}>',
            f'<p class="lede">Compared with {h(weights.base)}.</p>{told}</header>',
            section(weights, level),
            f"<ul>{said}</ul>" if said else "",
            "</article>",
        ]
    )


def page(source: str, weights: Weights, findings: Sequence[Finding], notes: Sequence[str]) -> bytes:
    """The comparison as one self-contained page: no script, no request, no style but its own."""
    digest = b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    title = f"{weights.difference.kind}: {source}"
    text = "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="referrer" content="no-referrer">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f'<title>{h(title)}</title><style>{STYLE}</style></head><body class="safe-load-page"><main>',
            article(source, weights, findings, notes, 1),
            "</main></body></html>",
        ]
    )
    return f"{text}\n".encode("utf-8", "backslashreplace")


def card(source: str, weights: Weights, findings: Sequence[Finding], notes: Sequence[str]) -> str:
    """The comparison as a notebook shows it."""
    return f"<style>{STYLE}</style>{article(source, weights, findings, notes, 3)}"


def told(weights: Weights, most: int) -> list[tuple[str, ...]]:
    """The most telling tensors that differ, a row of text each."""
    changed = [each for each in weights.difference.tensors if each.state != "identical"]
    return [(visible(each.name, 100), *cells(each)) for each in changed[:most]]
