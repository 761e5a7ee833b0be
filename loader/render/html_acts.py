"""The parts of the HTML page that tell what a source did, from where, and what to do. Each gives markup, or "" where
there is nothing to show.

All text of a model goes through `h` or `code`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from safe_load.render import acts, story, summary
from safe_load.render.html_parts import (
    MOST,
    MOST_LINES,
    MOST_OF_A_KIND,
    block,
    code,
    h,
    heading,
    table_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safe_load.core.report import Report
    from safe_load.render.acts import Act, Verb, Wall

#: What begins a string of Python, as `repr` writes it, and the inside of one.
_QUOTE = re.compile(r"['\"]")
_INSIDE = {
    "'": re.compile(r"(?:[^'\\]|\\.)*", re.DOTALL),
    '"': re.compile(r'(?:[^"\\]|\\.)*', re.DOTALL),
}
_ESCAPE = re.compile(r"\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8})|(.))", re.DOTALL)
_PLAIN = {"n": "\n", "t": "\t", "r": "\n"}
#: Bytes that were no UTF-8, as the record spells them.
_BYTE = re.compile(r"\\x([89a-f][0-9a-f])")
#: Characters of what a box of the chain names.
_SHORT = 120
#: The boxes of the chain, in their order: what happened in the room, what was refused, and of which acts.
_LINKS: tuple[tuple[str, str, tuple[Verb, ...]], ...] = (
    ("read", "tried to read", ("read",)),
    ("sent to", "tried to send to", ("sent", "contacted", "asked")),
    ("ran", "tried to run", ("ran",)),
    ("changed", "tried to change", ("wrote", "deleted", "renamed", "changed")),
    ("called", "tried to call", ("called",)),
)
#: What each wall made of an act.
_MADE_OF_IT: dict[Wall, str] = {
    "decoy": "a decoy: a planted fake",
    "no secret": "nothing worth stealing was there",
    "room": "in the room only",
    "sinkhole": "the sinkhole took it: nothing left",
    "refused": "the kernel refused it",
}
#: Characters of what was sent that stand where the rest opens.
_PREVIEW = 60
#: Texts that are shown of the code which a file brings.
_TEXTS = 10


def todo(report: Report, done: Sequence[Act], level: int) -> str:
    """What to do, and what to search for: a click on an indicator selects all of it."""
    lines = summary.advice(report, done)
    if not lines:
        return ""
    rows = [("address", place) for place in summary.indicators(done)]
    rows += [(f"SHA-256 of {path}", digest) for path, digest in summary.digests(report)]
    indicators = "".join(
        f'<span class="quiet">{h(kind, _SHORT)}</span><code>{h(what)}</code>'
        for kind, what in rows[:MOST_OF_A_KIND]
    )
    return "\n".join(
        [
            f"<section>{heading('What to do', level)}<ul>",
            *(f"<li>{h(line)}</li>" for line in lines),
            "</ul>",
            f'<div class="copy">{indicators}</div>' if rows else "",
            "</section>",
        ]
    )


def chain(report: Report, done: Sequence[Act], level: int) -> str:
    """The file and its byte, what it read, where it sent that, what it ran and changed."""
    judged = [act for act in done if act.findings]
    origin = summary.cause(report)
    if not judged or origin is None:
        return ""
    place = f"byte {origin.offset}" + (f" of {origin.member}" if origin.member else "")
    if origin.at is not None and origin.member:
        place += f", byte {origin.at} of the file"
    boxes = [
        f"<li><b>{h(origin.file, _SHORT)}</b><span>{code(origin.callable, _SHORT)}</span>",
        f'<span class="quiet">{h(place)}</span></li>',
    ]
    for title, tried, verbs in _LINKS:
        for wall in dict.fromkeys(act.wall for act in judged if act.verb in verbs):
            mine = [act for act in judged if act.verb in verbs and act.wall == wall]
            names = summary.hosts(mine) or list(dict.fromkeys(act.short for act in mine))
            shown = "".join(f"<span>{code(name, _SHORT)}</span>" for name in names[:5])
            more = f'<span class="quiet">and {len(names) - 5} more</span>' if len(names) > 5 else ""
            said = tried if wall == "refused" else title
            boxes.append(
                f'<li><b>{said}</b>{shown}{more}<span class="quiet">{_MADE_OF_IT[wall]}</span></li>'
            )
    return f'<section>{heading("From where to where", level)}<ul class="flow">{"".join(boxes)}</ul></section>'


def what_it_did(report: Report, done: Sequence[Act], ident: str, level: int) -> str:
    """Every act in order, on a line of time that begins with the first."""
    if not done:
        return ""
    first, last = done[0].t, max(done[-1].t, done[0].t + 1e-6)
    known = {finding.id for finding in report.findings}
    rows = []
    for act in done[:MOST]:
        mark = 1 + 92 * (act.t - first) / (last - first)
        tick = (
            f'<svg class="tick" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">'
            f'<line x1="0" x2="100" y1="3" y2="3"/><rect x="{mark:.1f}" y="0" width="6" height="6"/></svg>'
        )
        found = " ".join(
            f'<a href="#{ident}-{found}">{found}</a> <span class="severity">{severity}</span>'
            if found in known and re.fullmatch(r"SL\d{3}", found)
            else h(found, 20)
            for found, severity in act.findings
        )
        told = f' <span class="quiet">{h(act.told)}</span>' if act.told else ""
        severity = act.findings[0][1] if act.findings else "none"
        rows.append(
            f'<tr class="{severity}"><td class="time">{_since(act.t - first)}{tick}</td>'
            f'<td><b>{act.did}</b></td><td class="what">{code(act.short)}{told}{_bytes(act)}</td>'
            f'<td><span class="wall">{act.wall}</span></td><td>{found}</td></tr>'
        )
    spans = f"{story.plural(len(done), 'act')}, {_since(last - first).lstrip('+')}"
    table = table_of(("when", "act", "what", "wall", "findings"), rows, len(done))
    rest = acts.ordinary(report)
    named = ", ".join(f"{call} {count}" for call, count in rest.most_common(12))
    ordinary = (
        f'<p class="quiet">Also refused, which honest loads meet too: {h(named)}</p>'
        if rest
        else ""
    )
    return f"<section>{heading('What it did, in order', level, spans)}{table}{ordinary}</section>"


def _since(seconds: float) -> str:
    return f"+{seconds * 1000:.0f} ms" if seconds < 1 else f"+{seconds:.2f} s"


def _bytes(act: Act) -> str:
    """The first bytes of what was sent: as text, and in hexadecimal."""
    if not act.payload:
        return ""
    raw = _raw(act.payload)
    begins = code(act.payload[:_PREVIEW] + ("…" if len(act.payload) > _PREVIEW else ""))
    return (
        f"<details><summary>first {story.plural(len(raw), 'byte')}: {begins}</summary>"
        f"{block(act.payload)}</details>"
        f"<details><summary>in hexadecimal</summary>{block(_hex(raw), hexadecimal=True)}</details>"
    )


def _raw(text: str) -> bytes:
    """The bytes that a preview stands for: those that were no UTF-8 are spelled \\xNN in it."""
    parts, at = [], 0
    for match in _BYTE.finditer(text):
        parts += [
            text[at : match.start()].encode("utf-8", "backslashreplace"),
            bytes.fromhex(match[1]),
        ]
        at = match.end()
    return b"".join([*parts, text[at:].encode("utf-8", "backslashreplace")])


def _hex(raw: bytes) -> str:
    lines = []
    for at in range(0, min(len(raw), 16 * MOST_LINES), 16):
        row = raw[at : at + 16]
        shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        lines.append(f"{at:06x}  {row.hex(' '):47}  {shown}")
    return "\n".join(lines)


def brought(report: Report, level: int) -> str:
    """The code that the file brings, as code: the longest text that a grave call was given."""
    seen: dict[str, str] = {}
    for finding in story.by_severity(report.findings):
        origin = finding.origin
        if origin is None or not origin.arguments or finding.severity == "low":
            continue
        text = longest_text(origin.arguments)
        if len(text) >= 12:
            seen.setdefault(text, f"{origin.callable} in {origin.file}")
        if len(seen) == _TEXTS:
            break
    if not seen:
        return ""
    shown = "".join(
        f'<p class="quiet">what {h(whom)} is given</p>{block(unescaped(text).strip(chr(10)))}'
        for text, whom in seen.items()
    )
    return f"<section>{heading('The code it brought', level)}{shown}</section>"


def longest_text(arguments: str) -> str:
    """The longest string in what `repr` wrote, its escapes as they stand there; of one that was cut, its
    beginning. Linear in the length."""
    longest, at = "", 0
    while quote := _QUOTE.search(arguments, at):
        inside = _INSIDE[quote[0]].match(arguments, quote.end())
        text = inside[0] if inside else ""
        longest = max(longest, text, key=len)
        at = quote.end() + len(text) + 1
    return longest


def unescaped(text: str) -> str:
    """`text` with the escapes undone that `repr` wrote."""
    return _ESCAPE.sub(_unescaped, text)


def _unescaped(match: re.Match[str]) -> str:
    if match[4] is not None:
        return _PLAIN.get(match[4], match[4])
    number = int(match[1] or match[2] or match[3], 16)
    return chr(number) if number < 0x110000 else "\ufffd"
