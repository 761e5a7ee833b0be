"""Where a source comes from, in a few words: for the first lines of a report.

The strings in it are still hostile: each format makes them visible where it writes them down.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from safe_load.core.report import Report

_VOUCHED = {
    "trust file": "signed, as the trust file asks",
    "hub": "verified, says the hub",
    "list": "on the list of known publishers",
    "unknown": "nothing vouches for it",
}


def publisher(report: Report) -> str:
    """Who publishes the source, and what speaks for that: "by google (on the list of known publishers)". "" where the
    name does not say."""
    source = report.source
    if source.publisher is None:
        return "by a publisher that the name does not tell" if source.pin else ""
    said = _VOUCHED[source.vouched]
    if source.pin is None and source.vouched != "trust file":
        said = f"as the path says; {said}"
    return f"by {source.publisher} ({said})"


def pin(report: Report) -> str:
    """Whether the source is pinned, and the pin to write instead: "pinned", "not pinned: write hf://...". "" where
    nothing can be."""
    if report.source.pin is None:
        return ""
    return "pinned" if report.source.pinned else f"not pinned: write {report.source.pin}"


def known_bad(report: Report) -> str:
    """Whether the source was compared with lists of malicious models, and how old they are."""
    said = report.advisories
    if said.state == "not checked":
        return f"not checked: {said.why}" if said.why else "not checked"
    age = "of an unknown age" if said.age_days is None else f"{said.age_days} days old"
    return f"compared with {said.entries:,} on lists, the oldest {age}" + (
        f" ({said.why})" if said.why else ""
    )


def facts(report: Report, *, whole: bool) -> dict[str, str]:
    """What others say of the source, by a word for each. whole: also that nothing was checked."""
    checked = whole or report.advisories.state == "checked"
    return {"hub": hub_word(report), "known bad": known_bad(report) if checked else ""}


def line(report: Report) -> str:
    """Publisher and pin in one line, "" where there is nothing to say."""
    return ", ".join(filter(None, (publisher(report), pin(report))))


def hub_word(report: Report) -> str:
    """What the hub says of the repository, "" where it was not asked."""
    word = report.source.hub
    if word is None or word.asked != "yes":
        return ""
    said = [
        f"created {word.created[:10]}" if word.created else "",
        f"changed {word.changed[:10]}" if word.changed else "",
        f"{word.downloads:,} downloads" if word.downloads is not None else "",
        f"made from {', '.join(word.base_models[:3])}" if word.base_models else "",
        f"its scan: {word.scan}" if word.scan else "its scan: not told",
    ]
    return f"the hub says, and nobody checked: {', '.join(part for part in said if part)}"
