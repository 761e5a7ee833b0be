"""The register as a Markdown page for people: what to mend first, then every link by kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safe_load.register.compare import told
from safe_load.register.rows import KINDS, Chain, Row
from safe_load.render.markdown import cell

if TYPE_CHECKING:
    from safe_load.register.compare import Comparison

_FIRST = 10
_MOST = 2000
_PLURAL = {
    "model": "Models",
    "host": "Hosts",
    "library": "Libraries",
    "tool": "Tools and MCP servers",
}


def render(chain: Chain, comparison: Comparison | None = None) -> bytes:
    """The page, in CommonMark without tables and raw HTML: no name in it can become markup."""
    blocks = ["# The chain", summary(chain)]
    if comparison is not None:
        red = [
            f"- **{each.what}** {cell(each.told)}{_place(each.row)}{_fix(each.row)}"
            for each in comparison.red[:_MOST]
        ]
        title = "## Against the committed register"
        blocks += [title, "\n".join(red) if red else "Nothing is new, loosened or changed."]
    worst = [row for row in chain.rows if row.fix or row.reasons][:_FIRST]
    if worst:
        blocks += ["## Trusted least", "\n".join(_row(row) for row in worst)]
    for kind in KINDS:
        rows = [row for row in chain.rows if row.kind == kind]
        if rows:
            lines = [_short(row) for row in rows[:_MOST]]
            lines += [f"- and {len(rows) - _MOST} more"] if len(rows) > _MOST else []
            blocks += [f"## {_PLURAL[kind]}", "\n".join(lines)]
    return ("\n\n".join(blocks) + "\n").encode("utf-8", "backslashreplace")


def summary(chain: Chain) -> str:
    """How many links there are, and how many of them are pinned."""
    rows = chain.rows
    counts = {kind: sum(row.kind == kind for row in rows) for kind in KINDS}
    names = {
        "model": ("model", "models"),
        "host": ("host", "hosts"),
        "library": ("library", "libraries"),
        "tool": ("tool", "tools"),
    }
    parts = [f"{count} {names[kind][count != 1]}" for kind, count in counts.items() if count]
    pinnable = [row for row in rows if row.kind != "host"]
    pinned = sum(row.pin.state == "pinned" for row in pinnable)
    floating = sum(row.pin.state == "floating" for row in pinnable)
    unknown = len(pinnable) - pinned - floating
    links = f"{len(rows)} link{'s' if len(rows) != 1 else ''}"
    said = f": {', '.join(parts)}" if parts else ""
    return f"{links}{said}. {pinned} pinned, {floating} floating, {unknown} unknown"


def _place(row: Row) -> str:
    if not row.where:
        return ""
    first = row.where[0]
    more = f" and {len(row.where) - 1} more" if len(row.where) > 1 else ""
    return f", {cell(f'{first.path}:{first.line}', 200)}{more}"


def _fix(row: Row) -> str:
    return f"  \n  fix: {cell(row.fix)}" if row.fix else ""


def _row(row: Row) -> str:
    reasons = f"  \n  {cell('; '.join(row.reasons))}" if row.reasons else ""
    return f"- {row.rank}: {row.kind} {cell(row.name)} {cell(told(row))}{_place(row)}{reasons}{_fix(row)}"


def _short(row: Row) -> str:
    who = (
        f", {'known' if row.known else 'unknown'} publisher {cell(row.publisher, 100)}"
        if row.publisher
        else ""
    )
    pin = "" if row.kind == "host" else f" {cell(told(row))}"
    return f"- {cell(row.name)}{pin}{who}{_place(row)}"
