"""The register in each form, and what the command reads and writes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from safe_load.cli import exit_code
from safe_load.register import form_cyclonedx, form_markdown, form_sarif
from safe_load.register.rows import FILE_NAME, Chain, Pin, Row, Where

from tests.unit.register.first_project import FIRST

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyone

SHA = "ab" * 20


def row(kind: str, name: str, state: str, value: str | None, **more: object) -> Row:
    given = {
        "publisher": None,
        "known": False,
        "where": [Where("a.py", 3)],
        "reasons": [],
        "fix": "",
        "rank": 1,
    }
    return Row(kind=kind, name=name, pin=Pin(state, value), **{**given, **more})  # type: ignore[arg-type]


CHAIN = Chain(
    [
        row("tool", "postmark-mcp", "floating", "^1.0", reasons=["^1.0 is no exact version"], fix="postmark-mcp@VERSION"),
        row("tool", "https://mcp.example/mcp", "floating", None, rank=2),
        row("tool", "vllm/vllm-openai", "floating", "latest", reasons=["a container image"], rank=3),
        row("model", "org/name", "pinned", SHA, publisher="org", rank=4),
        row("host", "llm.example:8080", "unknown", None, rank=5),
        row("library", "torch", "pinned", "2.4.0", known=True, rank=6),
        row("library", "@huggingface/transformers", "pinned", "3.0.0", rank=7),
        row("model", "<`|<script>](x)[1]\u202e>", "unknown", None, reasons=["a\n# heading"], rank=8),
    ]
)  # fmt: skip


def test_cyclonedx_is_valid_and_names_components_and_services() -> None:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    text = form_cyclonedx.render(CHAIN).decode()
    assert JsonStrictValidator(SchemaVersion.V1_7).validate_str(text) is None
    bom = json.loads(text)
    components = {each["name"]: each for each in bom["components"]}
    assert components["org/name"]["type"] == "machine-learning-model"
    assert components["org/name"]["purl"] == f"pkg:huggingface/org/name@{SHA}"
    assert components["torch"]["purl"] == "pkg:pypi/torch@2.4.0"
    assert (
        components["@huggingface/transformers"]["purl"]
        == "pkg:npm/%40huggingface/transformers@3.0.0"
    )
    assert components["vllm/vllm-openai"]["type"] == "container"
    services = {each["name"]: each for each in bom["services"]}
    assert set(services) == {"postmark-mcp", "https://mcp.example/mcp", "llm.example:8080"}
    assert services["https://mcp.example/mcp"]["endpoints"] == ["https://mcp.example/mcp"]
    assert bom["serialNumber"] == json.loads(form_cyclonedx.render(CHAIN))["serialNumber"]


def test_markdown_has_the_worst_first_and_no_name_becomes_markup() -> None:
    page = form_markdown.render(CHAIN).decode()
    lines = page.split("\n")
    assert "8 links: 3 models" not in page
    assert (
        "8 links: 2 models, 1 host, 2 libraries, 3 tools. 3 pinned, 3 floating, 1 unknown" in page
    )
    first = next(line for line in lines if line.startswith("- 1: "))
    assert "postmark-mcp" in first
    assert "fix: `postmark-mcp@VERSION`" in page
    assert [line for line in lines if line.startswith("#")] == [
        "# The chain", "## Trusted least", "## Models", "## Hosts", "## Libraries", "## Tools and MCP servers",
    ]  # fmt: skip
    assert "\u202e" not in page


def test_sarif_has_a_result_for_each_link_that_is_not_pinned() -> None:
    (run,) = json.loads(form_sarif.render(CHAIN, None, "sub/"))["runs"]
    told = {(result["ruleId"], result["level"]) for result in run["results"]}
    assert told == {("SL917", "warning"), ("SL918", "note")}
    assert len(run["results"]) == 4
    place = run["results"][0]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "sub/a.py"
    assert place["region"] == {"startLine": 3}
    fingerprints = {result["partialFingerprints"]["safeLoadChain/v1"] for result in run["results"]}
    assert len(fingerprints) == 4


def test_the_command_writes_the_register_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".mcp.json").write_text(FIRST[".mcp.json"])
    markdown = tmp_path / "CHAIN.md"
    assert exit_code(["register", str(tmp_path), "--report", f"markdown={markdown}"]) == 0
    shown = capsys.readouterr()
    assert "Written:" in shown.out
    assert shown.err == ""
    assert json.loads((tmp_path / FILE_NAME).read_text())["rows"][0]["rank"] == 1
    assert markdown.read_text().startswith("# The chain\n")
    # The register itself is no configuration of the project: the second run finds the same.
    held = (tmp_path / FILE_NAME).read_bytes()
    assert exit_code(["register", str(tmp_path), "-q"]) == 0
    assert (tmp_path / FILE_NAME).read_bytes() == held


def test_with_a_form_it_is_shown_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".mcp.json").write_text(FIRST[".mcp.json"])
    assert exit_code(["register", str(tmp_path), "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["schema"] == "safe-load/chain/1"
    assert not (tmp_path / FILE_NAME).exists()


def test_the_users_own_files_are_read_with_user_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home, project = tmp_path / "home", tmp_path / "project"
    (home / ".cursor").mkdir(parents=True)
    project.mkdir()
    (home / ".cursor" / "mcp.json").write_text(
        '{"mcpServers": {"x": {"command": "npx", "args": ["own-mcp"]}}}'
    )
    monkeypatch.setenv("HOME", str(home))
    assert exit_code(["register", str(project), "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == []
    assert exit_code(["register", str(project), "--format", "json", "--user"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["rows"]
    assert found["where"] == [{"path": "~/.cursor/mcp.json", "line": 1}]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "not a folder"),
        ([".", "--report", "xml=a"], "FORMAT=FILE"),
        ([".", "--timeout", "soon"], "not a time"),
        (["a", "b"], "one folder"),
        ([".", "--output", "nowhere/x.json"], "no folder"),
    ],
)
def test_a_wrong_command_line_is_one_sentence_and_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert exit_code(["register", *arguments]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def test_excluded_files_are_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "vendor").mkdir()
    (tmp_path / "vendor" / "mcp.json").write_bytes(b"\xff")
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules" / "mcp.json").write_bytes(b"\xff")
    assert exit_code(["register", str(tmp_path), "--exclude", "vendor/", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == []
