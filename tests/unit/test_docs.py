"""The documents say what the code does: findings, files and names that they mention are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from safe_load import judge, profiles
from safe_load.formats import sarif

ROOT = Path(__file__).resolve().parents[2]
FINDINGS = (ROOT / "docs" / "findings.md").read_text("utf-8")
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
DOCUMENTS = [
    ROOT / "ARCHITECTURE.md",
    ROOT / "SECURITY.md",
    ROOT / "docs" / "findings.md",
    *DECISIONS,
]
#: Begins with one of our folders, and is neither a pattern nor an import name.
OWN_PATH = re.compile(r"`?\b((?:loader|sandbox|profiles|tests|docs)/[\w./-]*)(?::(\w+))?")
NOT_JUDGED = "not judged yet"


def sections() -> dict[str, str]:
    """id -> text of its section; the heading is the id alone, so that its anchor is #sl101."""
    parts = re.split(r"^## (SL\w+)\n", FINDINGS, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def stated(section: str) -> tuple[str, str]:
    """The title and the severity in a section's first line."""
    first = section.strip().splitlines()[0]
    match = re.fullmatch(r"\*\*(.+)\*\* · (.+)", first)
    assert match is not None, first
    return match[1], match[2]


def named_in(text: str) -> set[tuple[str, str]]:
    """(path, name defined in it or "") of everything of ours that a document mentions."""
    return {(path.rstrip("."), name) for path, name in OWN_PATH.findall(text)}


@pytest.mark.parametrize("ident", sorted(judge.RULES))
def test_every_finding_has_a_section_with_its_title_and_severity(ident: str) -> None:
    severity, title = judge.RULES[ident]
    assert stated(sections()[ident]) == (title, severity)


@pytest.mark.parametrize("ident", sorted(judge.RULES))
def test_every_section_has_an_example_advice_and_a_mapping(ident: str) -> None:
    section = sections()[ident]
    assert re.search(r"^> \S", section, re.MULTILINE), "no example"
    assert "**What to do.**" in section
    mapping = section.partition("Maps to: ")[2]
    assert re.search(r"\bLLM(0[1-9]|10):2025 \w", mapping), "no OWASP entry"
    assert re.search(r"\b(AML\.T\d{4}(\.\d{3})?|T\d{4}(\.\d{3})?) \w", mapping), (
        "no ATLAS or ATT&CK technique"
    )


def test_a_section_without_a_rule_says_that_it_is_not_judged_yet() -> None:
    unjudged = {ident for ident, text in sections().items() if stated(text)[1] == NOT_JUDGED}
    assert unjudged == sections().keys() - judge.RULES.keys()


def test_sections_stand_in_order_and_once() -> None:
    headings = re.findall(r"^## (.+)$", FINDINGS, re.MULTILINE)
    assert headings == sorted(set(headings))


def test_the_page_that_sarif_points_to_is_this_one() -> None:
    assert (ROOT / sarif.FINDINGS_PAGE).read_text("utf-8") == FINDINGS


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_what_a_document_names_is_there(path: Path) -> None:
    for mentioned, name in sorted(named_in(path.read_text("utf-8"))):
        place = ROOT / mentioned
        assert place.exists(), f"{path.name} names {mentioned}"
        if name:
            source = place.read_text("utf-8")
            assert re.search(rf"^\s*(def|class) {name}\b", source, re.MULTILINE), (
                f"{path.name}: {mentioned}:{name}"
            )


def test_the_architecture_names_every_wall_that_the_strict_profile_demands() -> None:
    words = (ROOT / "ARCHITECTURE.md").read_text("utf-8").lower().replace("_", "-")
    walls = {
        wall.removesuffix("-namespace")
        .replace("no-new-privileges", "no-new-privs")
        .replace("limits", "rlimits")
        for wall in profiles.load("strict").walls
    }
    assert {wall for wall in walls if wall not in words} == set()


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.stem[:4])
def test_a_decision_says_what_why_what_else_and_on_what_evidence(path: Path) -> None:
    text = path.read_text("utf-8")
    assert text.startswith(f"# {path.stem[:4]}: ")
    for part in ("What", "Why", "Alternatives", "Evidence"):
        assert f"**{part}.**" in text, f"{path.name} does not say: {part}"


def test_decisions_are_numbered_without_a_gap() -> None:
    numbers = [int(path.stem[:4]) for path in DECISIONS]
    assert numbers == list(range(1, len(numbers) + 1))


def test_security_promises_are_numbered_and_each_names_its_wall_and_its_tests() -> None:
    text = (ROOT / "SECURITY.md").read_text("utf-8")
    promised = text.partition("## What is promised")[2].partition("\n## ")[0]
    promises = re.split(r"^\d+\. ", promised, flags=re.MULTILINE)[1:]
    assert len(promises) >= 10
    for promise in promises:
        assert re.search(r"—\s+\*[^*]+\*\s+·\s+tests/", promise), promise
