"""The register of whole projects: every link is found, and each pin is judged right."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest
from safe_load.cli import exit_code
from safe_load.register import form_sarif, judge, reading, rows, walk

from tests.unit.register.first_project import FIRST, FIRST_ROWS
from tests.unit.register.second_project import SECOND, SECOND_ROWS
from tests.unit.register.third_project import THIRD, THIRD_ROWS

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyone

COMMIT = "89ab" * 10


def lay(project: dict[str, str], folder: Path) -> Path:
    for path, text in project.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, "utf-8")
    return folder


def take(folder: Path) -> rows.Chain:
    found = walk.walk(folder)
    reads = reading.read(found.files, time.monotonic() + 60)
    assert [read for read in reads if read.problem] == []
    return judge.chain(reads, lambda name: (folder / name).is_dir())


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lay(FIRST, tmp_path_factory.mktemp("first"))


@pytest.fixture(scope="module")
def chain(first: Path) -> rows.Chain:
    return take(first)


def told(chain: rows.Chain) -> set[tuple[str, str, str, str | None]]:
    return {(row.kind, row.name, row.pin.state, row.pin.value) for row in chain.rows}


def test_every_reference_is_found_and_its_pin_is_judged_right(chain: rows.Chain) -> None:
    assert told(chain) == FIRST_ROWS


def test_so_it_is_of_a_project_in_other_styles(tmp_path: Path) -> None:
    assert told(take(lay(SECOND, tmp_path))) == SECOND_ROWS


def test_so_it_is_of_what_runs_it_elsewhere(tmp_path: Path) -> None:
    found = take(lay(THIRD, tmp_path))
    assert told(found) == THIRD_ROWS
    where = {row.name: row.where[0] for row in found.rows}
    assert where["google/flan-t5-xl"] == rows.Where("infra/main.tf", 19)
    assert where["phi3"] == rows.Where("infra/main.tf", 24)
    assert where["deepseek-ai/DeepSeek-V3"] == rows.Where("k8s/config.yaml", 6)
    assert where["torch"] == rows.Where(".github/workflows/ci.yml", 6)
    piped = next(row for row in found.rows if row.name == "get.acme.example")
    assert "what it sends is run by a shell" in piped.reasons


def test_ranks_count_from_the_link_trusted_least(chain: rows.Chain) -> None:
    assert [row.rank for row in chain.rows] == list(range(1, len(chain.rows) + 1))
    ranks = {row.name: row.rank for row in chain.rows}
    # A server that changes at will and holds a credential, before a library with its hash.
    assert ranks["https://mcp.acme.example/mcp"] < ranks["@playwright/mcp"] < ranks["torch"]


def test_every_row_stands_where_its_name_stands(first: Path, chain: rows.Chain) -> None:
    lines = {}
    for row in chain.rows:
        for place in row.where:
            text = lines.setdefault(place.path, (first / place.path).read_text().split("\n"))
            assert 1 <= place.line <= len(text)
    where = {(row.name, row.pin.state): row.where for row in chain.rows}
    assert where["postmark-mcp", "pinned"] == [rows.Where(".mcp.json", 2)]
    assert where["@playwright/mcp", "floating"] == [rows.Where(".vscode/mcp.json", 3)]
    assert where["transformers", "floating"] == [rows.Where("requirements.txt", 2)]
    assert where["openai/clip-vit-base-patch32", "floating"] == [rows.Where("app/main.py", 14)]
    assert where["distilbert-base-uncased", "floating"] == [rows.Where("notebooks/a.ipynb", 2)]


def test_a_fix_is_the_line_to_paste(chain: rows.Chain) -> None:
    fixes = {row.name: row.fix for row in chain.rows if row.pin.state == "floating"}
    assert fixes["stabilityai/sdxl-turbo"] == (
        'DiffusionPipeline.from_pretrained("stabilityai/sdxl-turbo", revision="COMMIT")'
    )
    assert fixes["BAAI/bge-reranker-base"] == "--model-id BAAI/bge-reranker-base --revision COMMIT"
    assert fixes["transformers"] == "transformers==VERSION"
    assert fixes["@playwright/mcp"] == "@playwright/mcp@VERSION"
    assert fixes["vllm/vllm-openai"] == "vllm/vllm-openai@sha256:DIGEST"


def test_a_credential_is_named_and_its_value_is_nowhere(first: Path, chain: rows.Chain) -> None:
    reasons = {row.name: row.reasons for row in chain.rows}
    assert "is given the credential POSTMARK_SERVER_TOKEN" in reasons["postmark-mcp"]
    assert "is given the credential ACME_KEY" in reasons["llm.acme.example"]
    written = json.dumps([reasons, [row.fix for row in chain.rows]])
    assert "pm-secret-value-123456" not in written
    assert "abcdefghijkl" not in written


def test_the_secret_of_a_link_is_masked_and_the_link_is_told(tmp_path: Path) -> None:
    found = take(lay(SECOND, tmp_path))
    by_name = {row.name: row for row in found.rows}
    assert "the link holds a user's name and password" in by_name["pypi.mine.example"].reasons
    assert by_name["pypi.mine.example"].rank == 1
    assert "an argument holds a password or a key" in by_name["mcp/postgres"].reasons
    everything = str(found)
    assert "s3cretpass" not in everything
    assert "hunter22" not in everything


def test_a_link_that_may_write_is_told_with_what_it_allows(tmp_path: Path) -> None:
    link = "https://acme.blob.example/c/m.bin?sv=2022-11-02&ss=b&srt=sco&sp=rwdl&se=2030-01-01T00:00:00Z&sig=abcdefghijklmnopqrstuvwx%3D"
    (tmp_path / "get.sh").write_text(f"wget '{link}' -O m.bin\n")
    found = take(tmp_path)
    assert {row.kind for row in found.rows} == {"model", "host"}
    for row in found.rows:
        assert "that may write, delete" in row.reasons[0]
    assert "abcdefghijklmnop" not in str(found)


def test_a_file_that_is_read_alone_gives_the_same_bytes_again(first: Path, tmp_path: Path) -> None:
    outputs = []
    for number in range(2):
        file = tmp_path / f"{number}.json"
        assert exit_code(["register", str(first), "--output", str(file), "-q"]) == 0
        outputs.append(file.read_bytes())
    assert outputs[0] == outputs[1]
    data = json.loads(outputs[0])
    assert data["schema"] == "safe-load/chain/1"
    assert set(data) == {"schema", "rows"}
    assert set(data["rows"][0]) == {
        "kind", "name", "publisher", "known", "pin", "where", "reasons", "fix", "rank",
    }  # fmt: skip
    assert set(data["rows"][0]["pin"]) == {"state", "value"}
    assert set(data["rows"][0]["where"][0]) == {"path", "line"}


@pytest.mark.parametrize(
    ("before", "after", "what", "words"),
    [
        ("postmark-mcp@1.0.15", "postmark-mcp@1.0.16", "changed", "1.0.16"),
        ("postmark-mcp@1.0.15", "postmark-mcp@^1.0.15", "loosened", "floating (^1.0.15)"),
        ("postmark-mcp@1.0.15", "postmark-mcp", "loosened", "floating"),
        ("mcp-server-git==2025.1.14", "mcp-server-git", "loosened", "pinned to 2025.1.14"),
        ('"fs": {', '"new": {"command": "npx", "args": ["new-mcp@1.0.0"]}, "fs": {', "new", "new-mcp"),
        ('"POSTMARK_SERVER_TOKEN"', '"AWS_SECRET_KEY": "", "POSTMARK_SERVER_TOKEN"', "reason", "AWS_SECRET_KEY"),
    ],
)  # fmt: skip
def test_the_check_goes_red_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], before: str, after: str, what: str, words: str
) -> None:  # fmt: skip
    config = tmp_path / ".mcp.json"
    config.write_text(FIRST[".mcp.json"])
    assert exit_code(["register", str(tmp_path), "-q"]) == 0
    held = (tmp_path / rows.FILE_NAME).read_bytes()
    assert before in FIRST[".mcp.json"]
    config.write_text(FIRST[".mcp.json"].replace(before, after))
    capsys.readouterr()
    sarif = tmp_path / "out.sarif"
    assert exit_code(["register", "--check", str(tmp_path), "--report", f"sarif={sarif}"]) == 1
    shown = capsys.readouterr().out
    assert words in shown
    assert (tmp_path / rows.FILE_NAME).read_bytes() == held
    (run,) = json.loads(sarif.read_text())["runs"]
    (result,) = run["results"]
    assert result["ruleId"] == form_sarif.IDS[what]
    assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
    location = result["locations"][0]["physicalLocation"]
    assert location["artifactLocation"]["uri"] == ".mcp.json"


def test_the_check_stays_green_where_code_moves_a_pin_is_added_or_a_link_goes(
    tmp_path: Path,
) -> None:
    code = tmp_path / "a.py"
    code.write_text(
        "AutoModel.from_pretrained('org/a-model')\nAutoModel.from_pretrained('org/b-model')\n"
    )
    assert exit_code(["register", str(tmp_path), "-q"]) == 0
    code.write_text(f"\n\nAutoModel.from_pretrained('org/a-model', revision='{COMMIT}')\n")
    assert exit_code(["register", "--check", str(tmp_path), "-q"]) == 0


def test_without_a_committed_register_the_check_is_a_usage_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(["register", "--check", str(tmp_path)]) == 2
    assert "cannot be read" in capsys.readouterr().err
    (tmp_path / rows.FILE_NAME).write_text('{"schema": "safe-load/chain/9", "rows": []}')
    assert exit_code(["register", "--check", str(tmp_path)]) == 2
    (tmp_path / rows.FILE_NAME).write_text("[" * 100_000)
    assert exit_code(["register", "--check", str(tmp_path)]) == 2
