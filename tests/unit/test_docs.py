"""The documents say what the code does: findings, files and names that they mention are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from safe_load import profiles
from safe_load.judge import behaviour

ROOT = Path(__file__).resolve().parents[2]
FINDINGS = (ROOT / "docs" / "findings.md").read_text("utf-8")
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
README = (ROOT / "README.md").read_text("utf-8")
SECURITY = (ROOT / "SECURITY.md").read_text("utf-8")
DOCUMENTS = [
    *(ROOT / f"{name}.md" for name in ("README", "ARCHITECTURE", "SECURITY", "CONTRIBUTING")),
    ROOT / "images" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *DECISIONS,
]
#: Begins with one of our folders, and is neither a pattern nor an import name.
OWN_PATH = re.compile(r"`?\b((?:loader|sandbox|profiles|tests|docs)/[\w./-]*)(?:::?(\w+))?")
NAMED_TEST = re.compile(r"\btests/[\w/]+\.py::test_\w+")
#: What the walk through a first change in CONTRIBUTING.md would add.
EXAMPLES = {"tests/adversarial/files/fifo.py"}
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


@pytest.mark.parametrize("ident", sorted(behaviour.RULES))
def test_every_finding_has_a_section_with_its_title_and_severity(ident: str) -> None:
    severity, title = behaviour.RULES[ident]
    assert stated(sections()[ident]) == (title, severity)


@pytest.mark.parametrize("ident", sorted(behaviour.RULES))
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
    assert unjudged == sections().keys() - behaviour.RULES.keys()


def test_sections_stand_in_order_and_once() -> None:
    headings = re.findall(r"^## (.+)$", FINDINGS, re.MULTILINE)
    assert headings == sorted(set(headings))


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_what_a_document_names_is_there(path: Path) -> None:
    for mentioned, name in sorted(named_in(path.read_text("utf-8"))):
        place = ROOT / mentioned
        assert place.exists() or mentioned in EXAMPLES, f"{path.name} names {mentioned}"
        if name:
            source = place.read_text("utf-8")
            defined = rf"^\s*(?:async )?(?:def|class) {name}\b|^{name}\b.* = "
            assert re.search(defined, source, re.MULTILINE), f"{path.name}: {mentioned}:{name}"


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


def test_no_two_decisions_have_one_number() -> None:
    numbers = [int(path.stem[:4]) for path in DECISIONS]
    assert len(numbers) == len(set(numbers))
    assert min(numbers) == 1


def test_security_promises_are_numbered_and_each_names_its_walls_and_its_tests() -> None:
    promised = SECURITY.partition("## What is promised")[2].partition("\n### ")[0]
    promises = re.split(r"^\d+\. ", promised, flags=re.MULTILINE)[1:]
    assert len(promises) >= 10
    for promise in promises:
        assert re.search(r"Held by\s+\*[^*]+\*; tested\s+by\s+`tests/", promise), promise
        assert NAMED_TEST.search(promise), promise


@pytest.mark.parametrize(
    "section",
    [
        "### Sources on a hub",
        "### The cache",
        "### As an ordinary user, and as root",
        "## In a container: the docker backend",
        "## Tier B: the cell alone",
    ],
)
def test_every_point_of_a_further_promise_of_security_names_its_tests(section: str) -> None:
    text = re.split(r"\n##", SECURITY.partition(f"\n{section}\n")[2])[0]
    points = re.split(r"^- ", text, flags=re.MULTILINE)[1:]
    assert points
    for point in points:
        assert NAMED_TEST.search(point), point


def test_the_readmes_table_of_promises_quotes_the_readme_and_names_their_tests() -> None:
    before, _, rest = README.partition("| this page says | test |\n|---|---|\n")
    rows = [line for line in rest.partition("\n\n")[0].splitlines() if line]
    said = " ".join(before.split())
    assert len(rows) >= 20
    for row in rows:
        quoted, tests = (cell.strip() for cell in row.strip("|").split(" | "))
        assert quoted in said, f"the README no longer says: {quoted}"
        assert NAMED_TEST.search(tests) or "make bench" in tests, row


def test_the_readmes_ratios_are_those_that_were_measured() -> None:
    measured = (ROOT / "benchmarks" / "RESULTS.md").read_text("utf-8")
    table = measured.partition("## A torch zip, 2.15 GB")[2].partition("\n## ")[0]
    rows = {
        "the same under `strace`": "strace",
        "`torch.load(weights_only=True)`": "weights_only=True",
        "`safe-load load`": "cold `safe-load load`",
    }
    for said, row in rows.items():
        (line,) = [line for line in README.splitlines() if line.startswith(f"| {said} |")]
        (found,) = [line for line in table.splitlines() if row in line]
        ratio = float(found.split("|")[3])
        assert f"{ratio:.2f}" in line.split("|")[4], f"{said}: measured {ratio}"


def _said_in_the_readme() -> list[str]:
    """What the README promises point by point: what it does, each command and exit code, the security model."""
    intro = README.partition("\n\n- **It contains.**")
    points = re.split(
        r"^- ", f"- **It contains.**{intro[2].partition(chr(10) + '## ')[0]}", flags=re.MULTILINE
    )
    model = README.partition("\n## Security model\n")[2].partition("\n\n[SECURITY.md]")[0]
    points += re.split(r"^- ", model, flags=re.MULTILINE)
    for head in ("| command | job |\n|---|---|\n", "| code | meaning |\n|---|---|\n"):
        points += README.partition(head)[2].partition("\n\n")[0].splitlines()
    return [" ".join(point.split()) for point in points if point.strip()]


@pytest.mark.parametrize("point", _said_in_the_readme(), ids=lambda point: point[:40])
def test_every_point_of_the_readme_has_a_row_in_its_table_of_promises(point: str) -> None:
    table = README.partition("| this page says | test |\n|---|---|\n")[2].partition("\n\n")[0]
    quoted = [row.strip("|").split(" | ")[0].strip() for row in table.splitlines()]
    assert any(words in point for words in quoted)
