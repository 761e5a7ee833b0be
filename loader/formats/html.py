"""One self-contained page: no script, no request, nothing to fetch. For people who were not there."""

from __future__ import annotations

import hashlib
import html as markup
from base64 import b64encode
from typing import TYPE_CHECKING

from safe_load.formats import story
from safe_load.formats.escape import visible
from safe_load.formats.interface import Format
from safe_load.formats.style import STYLE
from safe_load.formats.timeline import timeline
from safe_load.profiles.units import format_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from safe_load.report import Report

_MOST = 1000
_LONGEST = 1000


def h(text: object) -> str:
    """Hostile text for an element's content or a quoted attribute."""
    return markup.escape(visible(str(text), _LONGEST), quote=True)


class Html(Format):
    """A page that a browser shows with every source of content but its own style sheet shut off."""

    name = "html"

    def render(self, reports: Sequence[Report]) -> bytes:
        digest = b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
        policy = (
            f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
        )
        title = story.totals(reports) if len(reports) != 1 else _title(reports[0])
        page = [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="referrer" content="no-referrer">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{h(title)}</title><style>{STYLE}</style></head><body class=safe-load-page>",
            *([f"<h1 class=safe-load-total>{h(title)}</h1>"] if len(reports) != 1 else []),
            *(body(report) for report in reports),
            "</body></html>",
        ]
        return ("\n".join(page) + "\n").encode("utf-8", "backslashreplace")


def _title(report: Report) -> str:
    head = story.headline(report)
    return f"{head.mark} {head.word}: {head.source}"


def body(report: Report) -> str:
    """One report as an element, for a page that holds `STYLE`."""
    head = story.headline(report)
    ended = story.outcome(report)
    parts = [
        f'<article class="safe-load {head.tone}"><header>',
        f"<p class=verdict><span class=mark>{head.mark}</span> {h(head.word)}</p>",
        f"<h2>{h(head.source)}</h2>",
        f"<p class=quiet>sandbox: {h(head.sandbox)} · profile {h(report.sandbox.profile)}",
        f" · {h(report.started)} · {h(report.tool.name)} {h(report.tool.version)}</p>",
        f"<p>{h(ended)}</p>" if ended else "",
        "</header>",
        _tiles(report),
        _findings(report),
        _table(
            "What it tried",
            ("", "what", "how it ended"),
            [(f"<b>{a.kind}</b>", _code(a.what), h(a.note)) for a in story.attempts(report)],
        ),
        timeline(report, h),
        _egress(report),
        _table(
            "Programs",
            ("t", "pid", "parent", "command"),
            [(f"{p.t:.2f} s", p.pid, p.ppid, _code(" ".join(p.argv))) for p in report.processes],
            folded=True,
        ),
        _events(report),
        _export(report),
        _table(
            "Files that were read",
            ("path", "size", "format", "SHA-256"),
            [
                (_code(f.path), format_size(f.size), h(f.format), _code(f.sha256 or ""))
                for f in report.files
            ],
            folded=len(report.files) > 12,
        ),
        _table(
            "Walls",
            ("wall", "state", "detail"),
            [
                (h(w.name), f"<b class={w.state}>{w.state}</b>", h(w.detail))
                for w in report.sandbox.walls
            ],
            folded=all(wall.state == "standing" for wall in report.sandbox.walls),
        ),
        _notes(report),
        "</article>",
    ]
    return "\n".join(part for part in parts if part)


def _code(text: object) -> str:
    return f"<code>{h(text)}</code>"


def _tiles(report: Report) -> str:
    refused = sum(event.count for event in report.recording.events if event.decision != "allowed")
    facts = {
        "files": f"{len(report.files)}",
        "read": format_size(sum(file.size for file in report.files)),
        "tensors": f"{report.tensors.count}",
        "parameters": story.amount(report.tensors.parameters),
        "programs": f"{len(report.processes)}",
        "network": f"{len(report.egress)}",
        "refused calls": f"{refused}",
        "memory": format_size(report.resources.peak_memory_bytes),
    }
    return "".join(
        [
            "<dl class=tiles>",
            *(f"<div><dt>{k}</dt><dd>{v}</dd></div>" for k, v in facts.items()),
            "</dl>",
        ]
    )


def _findings(report: Report) -> str:
    if not report.findings:
        return ""
    items = [
        f'<li class="{f.severity}"><p><b class=severity>{f.severity}</b> <b>{h(f.id)}</b> {h(f.title)}</p>'
        + (f"<p>{h(f.detail)}</p>" if f.detail else "")
        + (f"<p class=quiet>at {_code(f.location)}</p>" if f.location else "")
        + "</li>"
        for f in story.by_severity(report.findings)[:_MOST]
    ]
    return "\n".join(["<section><h3>Findings</h3><ul class=findings>", *items, "</ul></section>"])


def _egress(report: Report) -> str:
    rows = [
        (
            f"{e.t:.2f} s",
            h(e.protocol),
            h(e.address) + (f":{e.port}" if e.port is not None else ""),
            h(e.domain or ""),
            format_size(max(e.payload_bytes, 0)),
            _code(e.payload_preview) if e.payload_preview else "",
        )
        for e in report.egress
    ]
    return _table("Network", ("t", "protocol", "to", "name", "sent", "first bytes"), rows)


def _events(report: Report) -> str:
    rows = [
        (
            f"{e.t:.3f}",
            h(e.stage),
            e.pid,
            h(e.comm),
            h(e.syscall),
            _code(", ".join(f"{key}={value}" for key, value in e.args.items())),
            f"<b class={e.decision}>{e.decision}</b> {h(e.errno or '')}{_times(e.count)}",
        )
        for e in report.recording.events
    ]
    columns = ("t", "stage", "pid", "comm", "call", "arguments", "decision")
    return _table("Recorded calls", columns, rows, folded=True)


def _times(count: int) -> str:
    return f" {count} times" if count > 1 else ""


def _export(report: Report) -> str:
    if report.export is None:
        return ""
    files = [(_code(f.path), format_size(f.size), _code(f.sha256)) for f in report.export.files]
    table = _table(f"Exported to {report.export.path}", ("path", "size", "SHA-256"), files)
    code = "\n".join(h(line) for line in story.next_step(report))
    return table + (f"<pre>{code}</pre>" if code else "")


def _notes(report: Report) -> str:
    notes = [*story.caveats(report), *report.notes]
    if weights := story.weights(report):
        notes.insert(0, f"weights: {weights}")
    if not notes:
        return ""
    items = "".join(f"<li>{h(note)}</li>" for note in notes[:_MOST])
    return f"<section><h3>Notes</h3><ul>{items}</ul></section>"


def _table(
    title: str, columns: Iterable[str], rows: Sequence[tuple[object, ...]], *, folded: bool = False
) -> str:
    """A table of cells that are markup already. Folded, it opens at a click and needs no script."""
    if not rows:
        return ""
    head = "".join(f"<th>{column}</th>" for column in columns)
    lines = ["<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows[:_MOST]]
    more = (
        f"<p class=quiet>and {len(rows) - _MOST} more in the JSON report</p>"
        if len(rows) > _MOST
        else ""
    )
    label = f"{h(title)} <span class=quiet>{len(rows)}</span>"
    table = "\n".join([f"<div class=wide><table><tr>{head}</tr>", *lines, "</table></div>", more])
    if folded:
        return f"<details><summary>{label}</summary>{table}</details>"
    return f"<section><h3>{label}</h3>{table}</section>"
