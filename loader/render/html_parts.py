"""The parts of one report on the HTML page. Each gives markup, or "" where there is nothing to show.

All text of a model goes through `h` or `code`.
"""

from __future__ import annotations

import html as markup
import re
from typing import TYPE_CHECKING

from safe_load.core.escape import visible
from safe_load.core.units import format_size
from safe_load.render import acts, story, summary
from safe_load.render.meanings import meanings

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from safe_load.core.histogram import Histogram
    from safe_load.core.report import Finding, Report

MOST = 1000
_LONGEST = 1000
#: Lines of code, and characters of one.
MOST_LINES, _LONGEST_LINE = 400, 400
#: Findings of one kind that are told one by one.
MOST_OF_A_KIND = 100


def h(text: object, longest: int = _LONGEST) -> str:
    """Hostile text for an element's content or a quoted attribute."""
    return markup.escape(visible(str(text), longest), quote=True)


def code(text: object, longest: int = _LONGEST) -> str:
    return f"<code>{h(text, longest)}</code>"


def heading(title: str, level: int, more: str = "") -> str:
    told = f' <span class="quiet">{more}</span>' if more else ""
    return f'<h{level + 1} class="part">{title}{told}</h{level + 1}>'


def folded(title: str, more: str, inner: str) -> str:
    return f'<details><summary class="part">{title} <span class="quiet">{more}</span></summary>{inner}</details>'


def block(text: str, *, hexadecimal: bool = False) -> str:
    """Text of several lines. It can be scrolled by keyboard."""
    lines = text.replace("\r\n", "\n").split("\n")
    shown = [h(line, _LONGEST_LINE) for line in lines[:MOST_LINES]]
    if len(lines) > MOST_LINES:
        shown.append(f"… and {len(lines) - MOST_LINES} more lines")
    named = ' class="hex"' if hexadecimal else ""
    return f'<pre{named} tabindex="0">{chr(10).join(shown)}</pre>'


def findings(report: Report, ident: str, level: int) -> str:
    """Each kind of finding: what it means, where it was found, what to do."""
    kinds: dict[str, list[Finding]] = {}
    for finding in story.by_severity(report.findings):
        kinds.setdefault(finding.id, []).append(finding)
    items = []
    for kind, found in list(kinds.items())[:MOST]:
        known = meanings().get(kind)
        anchor = f' id="{ident}-{kind}"' if re.fullmatch(r"SL\d{3}", kind) else ""
        places = "".join(_place(finding) for finding in found[:MOST_OF_A_KIND])
        if len(found) > MOST_OF_A_KIND:
            places += f"<li>and {len(found) - MOST_OF_A_KIND} more</li>"
        means = (
            f"<details><summary>what it means and what to do</summary>{_prose(known.meaning)}"
            f'<p><b>What to do.</b></p>{_prose(known.advice)}<p class="quiet">{h(known.maps)}</p></details>'
            if known
            else ""
        )
        items.append(
            f'<li class="{found[0].severity}"{anchor}><h{level + 2} class="sub"><span class="severity">'
            f"{found[0].severity}</span> {h(kind, 20)} {h(found[0].title)}</h{level + 2}>"
            f"<ul>{places}</ul>{means}</li>"
        )
    if not items:
        return ""
    many = story.plural(len(report.findings), "finding")
    return "\n".join(
        [
            f'<section>{heading("Findings", level, many)}<ul class="findings">',
            *items,
            "</ul></section>",
        ]
    )


def _place(finding: Finding) -> str:
    where = (
        f'<br><span class="quiet">at {code(finding.location)}</span>' if finding.location else ""
    )
    if finding.accepted is not None:
        where += f"<br><b>{h(story.accepted(finding))}</b>"
    return f"<li>{h(summary.detail(finding) or finding.title, 500)}{where}</li>"


def _prose(text: str) -> str:
    """Text of ours, with Markdown's signs for code and for what is stressed."""
    lines = [h(line.removeprefix("- "), 3000) for line in text.splitlines()]
    lines = [re.sub(r"`([^`]+)`", r"<code>\1</code>", line) for line in lines]
    lines = [re.sub(r"\*\*([^*]+)\*\*", r"<b>\1</b>", line) for line in lines]
    return "".join(f"<p>{line}</p>" for line in lines)


def exported(report: Report, level: int) -> str:
    if report.export is None:
        return ""
    asked = any(file.digests.sha256 for file in report.export.files)
    rows = [
        row(
            code(file.path),
            format_size(file.size),
            code(file.digests.blake3),
            *((code(file.digests.sha256 or ""),) if asked else ()),
        )
        for file in report.export.files[:MOST]
    ]
    columns = ("path", "size", "BLAKE3", *(("SHA-256",) if asked else ()))
    use = "\n".join(story.next_step(report))
    how = f"<p>Use it:</p>{block(use)}" if use else ""
    title = f"Exported to {h(report.export.path)}"
    table = table_of(columns, rows, len(report.export.files))
    return f"<section>{heading(title, level)}{how}{table}</section>"


def processes(report: Report, level: int) -> str:
    """Who started whom, with what each ran or did."""
    del level
    parents: dict[int, int] = {}
    told: dict[int, list[str]] = {}
    for event in report.recording.events:
        parents.setdefault(event.pid, event.ppid)
        if event.pid not in told:
            told[event.pid] = [f"process {event.pid} {code(event.comm, 64)}"]
    ran = acts.executed(report)
    for process in report.processes[:MOST]:
        parents.setdefault(process.pid, process.ppid)
        did = "ran" if (process.t, process.pid) in ran else "tried to run"
        line = f"<b>{did}</b> {code(' '.join(process.argv))}"
        told.setdefault(process.pid, [f"process {process.pid}"]).append(line)
    if not told:
        return ""
    children: dict[int, list[int]] = {}
    for pid, parent in list(parents.items())[:MOST]:
        children.setdefault(parent if parent in told and parent != pid else 0, []).append(pid)
    return folded("Processes", str(len(told)), _tree(children, told))


def _tree(children: dict[int, list[int]], told: dict[int, list[str]]) -> str:
    """Nested lists, without recursion: a model decides how deep its processes go."""
    parts, todo_, seen = (
        ['<ul class="tree">'],
        [(pid, 1) for pid in reversed(children.get(0, []))],
        set(),
    )
    depth = 1
    while todo_:
        pid, at = todo_.pop()
        if pid in seen:
            continue
        seen.add(pid)
        at = min(at, 20)
        parts += ['<li><ul class="tree">'] * (at - depth) + ["</ul></li>"] * (depth - at)
        depth = at
        parts.append(f"<li>{'<br>'.join(told[pid][:50])}</li>")
        todo_ += [(child, at + 1) for child in reversed(children.get(pid, []))]
    return "".join([*parts, "</ul></li>" * (depth - 1), "</ul>"])


def tensors(report: Report, level: int) -> str:
    """Names, types, shapes and sizes."""
    del level
    held = report.tensors
    sampled = any(tensor.histogram for tensor in held.listed)
    rows = [
        row(
            code(tensor.name, 300),
            h(tensor.dtype),
            " &times; ".join(map(str, tensor.shape[:16])) or "scalar",
            format_size(tensor.bytes),
            *((_histogram(tensor.histogram),) if sampled else ()),
        )
        for tensor in held.listed[:MOST]
    ]
    if not held.count:
        return ""
    columns = ("name", "type", "shape", "size", *(("numbers",) if sampled else ()))
    inner = table_of(columns, rows, held.count) if rows else ""
    if rows and not sampled:
        inner += '<p class="quiet">safe-load scan --histograms adds how the numbers of each are spread.</p>'
    kinds = ", ".join(f"{count} {dtype}" for dtype, count in held.dtypes.items())
    tied = "".join(f"<li>{h(', '.join(group[:10]), 500)}</li>" for group in held.tied[:50])
    inner += f"<p>Tied, one storage each:</p><ul>{tied}</ul>" if tied else ""
    return folded(
        "Tensors",
        h(f"{story.weights(report)} ({kinds})"),
        inner or f"<p>{h(story.names(report))}</p>",
    )


def _histogram(held: Histogram | None) -> str:
    """How the numbers of a tensor are spread, which opens at a click."""
    if held is None:
        return '<span class="quiet">no single numbers</span>'
    odd = f", {held.not_finite:,} not finite" if held.not_finite else ""
    if not held.counts:
        return f"{held.sampled:,} sampled{odd}"
    most, wide = max(*held.counts, 1), 100 / len(held.counts)
    bars = "".join(
        f'<rect x="{index * wide:.2f}" y="{32 - 32 * each / most:.2f}" width="{wide * 0.9:.2f}" '
        f'height="{32 * each / most:.2f}"/>'
        for index, each in enumerate(held.counts)
        if each
    )
    ends = f"{held.low:.4g} to {held.high:.4g}"
    label = f"histogram of {held.sampled:,} numbers from {ends}; the highest of {len(held.counts)} bars counts {most:,}"
    return (
        f"<details><summary>{ends}</summary>"
        f'<svg class="bars" viewBox="0 0 100 32" preserveAspectRatio="none" role="img" aria-label="{label}">{bars}</svg>'
        f'<span class="quiet">{held.sampled:,} sampled, {most:,} in the highest bar{odd}</span></details>'
    )


def files(report: Report, level: int) -> str:
    del level
    rows = [
        row(
            code(file.path),
            format_size(file.size),
            h(file.format),
            f"{file.state.replace('_', ' ')}{': ' if file.why else ''}{h(file.why)}",
            code(file.sha256 or ""),
        )
        for file in report.files[:MOST]
    ]
    if not rows:
        return ""
    table = table_of(("path", "size", "format", "state", "SHA-256"), rows, len(report.files))
    return folded("Files of the source", h(story.files(report)), table)


def walls(report: Report, level: int) -> str:
    del level
    rows = [
        row(h(wall.name), f'<b class="{wall.state}">{wall.state}</b>', h(wall.detail))
        for wall in report.sandbox.walls
    ]
    if not rows:
        return ""
    weak = sum(wall.state != "standing" for wall in report.sandbox.walls)
    more = f"{len(rows)}, {'all standing' if not weak else f'{weak} weaker or missing'}"
    return folded("Walls", more, table_of(("wall", "state", "detail"), rows, len(rows)))


def calls(report: Report, level: int) -> str:
    del level
    rows = [
        row(
            f"{event.t:.3f} s",
            h(event.stage),
            f"{event.pid} {h(event.comm, 64)}",
            h(event.syscall),
            code(", ".join(f"{key}={value}" for key, value in event.args.items())),
            f'<b class="{event.decision}">{event.decision}</b> {h(event.errno or "")}'
            + (f" {event.count} times" if event.count > 1 else ""),
        )
        for event in report.recording.events[:MOST]
    ]
    if not rows:
        return ""
    columns = ("t", "stage", "process", "call", "arguments", "decision")
    table = table_of(columns, rows, len(report.recording.events))
    return folded("Recorded calls", str(len(report.recording.events)), table)


def notes(report: Report, level: int) -> str:
    told = [*story.caveats(report), *report.notes]
    if signed := story.signed(report):
        told.append(f"signed: {signed}")
    if settings := story.settings(report):
        told.append(f"settings: {settings}")
    if not told:
        return ""
    items = "".join(f"<li>{h(note)}</li>" for note in told[:MOST])
    return f"<section>{heading('Notes', level)}<ul>{items}</ul></section>"


def row(*cells: str) -> str:
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def table_of(columns: Iterable[str], rows: Sequence[str], count: int) -> str:
    """A table of rows that are markup already, in a box that scrolls by keyboard where it is too wide."""
    head = "".join(f'<th scope="col">{column}</th>' for column in columns)
    left = count - len(rows)
    more = f'<p class="quiet">and {left} more in the JSON report</p>' if left > 0 else ""
    body = "\n".join(rows)
    return (
        f'<div class="wide" tabindex="0"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>\n{body}\n</tbody></table></div>{more}"
    )
