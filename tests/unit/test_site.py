"""The site's generated pages say what the program says, and its links lead to pages."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
import safe_load
import yaml
from safe_load.cli import settings
from safe_load.cli.app import app
from safe_load.judge.behaviour import RULES

from dev import site

ROOT = Path(__file__).resolve().parents[2]
CONFIG = (ROOT / "mkdocs.yml").read_text()


def listed(entry: object) -> list[str]:
    if isinstance(entry, str):
        return [entry]
    values = entry.values() if isinstance(entry, dict) else entry
    return [page for value in values for page in listed(value)]  # type: ignore[attr-defined]


def test_every_page_is_in_the_navigation_and_the_other_way_round() -> None:
    (nav,) = re.findall(r"^nav:\n(.*?)^[a-z]", CONFIG, re.MULTILINE | re.DOTALL)
    pages = {path.name for path in (ROOT / "docs").glob("*.md")}
    assert set(listed(yaml.safe_load(nav))) == (
        pages | set(site.OUTSIDE.values()) | set(site.GENERATED)
    )


def test_the_page_on_the_command_line_is_what_help_prints() -> None:
    page = site.commands()
    for name, command in app.commands.items():
        with click.Context(
            command, info_name=f"safe-load {name}", max_content_width=100
        ) as context:
            context.terminal_width = 100
            assert command.get_help(context).rstrip() in page
    assert "## safe-load cache prune" in page


@pytest.mark.parametrize(
    "path",
    [*(ROOT / "docs").rglob("*.md"), *map(ROOT.joinpath, site.OUTSIDE)],
    ids=lambda path: path.name,
)
def test_what_belongs_to_a_list_is_indented_as_both_readers_of_markdown_ask(path: Path) -> None:
    """GitHub takes two spaces; to Python-Markdown, less than four is no list in a list, and no code in one."""
    text = re.sub(r"(?ms)^```.*?^```", "", path.read_text("utf-8"))
    assert re.findall(r"^ {1,3}(?:[-*] |\d+\. |```).*", text, re.MULTILINE) == []
    assert re.findall(r"(?<=\n\n) {1,3}\S.*", text) == []


def test_a_bar_in_the_code_of_a_table_has_no_backslash_in_the_site() -> None:
    assert site.relinked("| `a \\| b` \\| c |", "index.md", set()) == "| `a | b` \\| c |"


def test_the_page_on_python_has_every_public_name() -> None:
    page = site.python()
    (code,) = re.findall(r"```python\n(probe\(.+?)```", page, re.DOTALL)
    assert "\n    cleared: Target,\n    /,\n    *,\n" in code
    assert code.endswith("\n) -> Probed\n")
    assert "\nVerdict = Literal['clean', " in page
    assert "\n    with safe_load.Session(" in page  # code is not escaped
    for name in set(safe_load.__all__) - {"__version__", "Severity", "Source", "Target", "Verdict"}:
        assert f"\n## {name}\n" in page, name


def test_the_pages_of_keys_fields_and_findings_are_whole() -> None:
    keys, findings = site.configuration(), site.finding_list()
    assert all(f"| `{name}` |" in keys for name in (*settings.SETTINGS, "sha256", "match"))
    assert all(f"#{ident.lower()}" in findings for ident in RULES)
    assert "| `verdict` |" in site.report_fields()


@pytest.mark.parametrize(
    ("text", "source", "becomes"),
    [
        ("[s](../SECURITY.md#x)", "ci.md", "[s](project/security.md#x)"),
        ("[t](../tests/plan.toml)", "ci.md", "t"),
        ("[f](docs/findings.md)", "project/readme.md", "[f](../findings.md)"),
        ("[d](decisions/0001-two-rooms.md)", "explanation.md", "[d](decisions/0001-two-rooms.md)"),
        ("[p](https://host.example/x)", "ci.md", "[p](https://host.example/x)"),
        ("[h](#here)", "ci.md", "[h](#here)"),
        ("![i](pictures/a.svg)", "ci.md", "![i](pictures/a.svg)"),
        ("![i](docs/pictures/a.svg)", "project/readme.md", "![i](../pictures/a.svg)"),
        ("![g](growth.svg)", "project/measurements.md", "![g](growth.svg)"),
    ],
)
def test_a_link_leads_to_a_page_of_the_site_or_is_text(
    text: str, source: str, becomes: str
) -> None:
    pages = {"findings.md", "ci.md", "decisions/0001-two-rooms.md", *site.OUTSIDE.values()}
    assert site.relinked(text, source, pages) == becomes
