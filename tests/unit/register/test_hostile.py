"""Everything in a project is hostile: what is not read is named, bounded, and is a code of its own."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from safe_load.cli import exit_code
from safe_load.core.errors import LimitHit
from safe_load.register import edits, reading, rows, walk

pytestmark = pytest.mark.anyone

GOOD = "AutoModel.from_pretrained('org/good-model')\n"


def register(folder: Path) -> tuple[int, list[dict[str, object]]]:
    """The exit code, and the rows that were written."""
    file = folder.parent / "out.json"
    code = exit_code(["register", str(folder), "--output", str(file), "-q"])
    return code, json.loads(file.read_text())["rows"]


def yaml_bomb() -> str:
    lines = ["a: &a [model: org/x-model, model: org/y-model]"]
    for number in range(1, 40):
        before = "a" if number == 1 else f"a{number - 1}"
        lines.append(f"a{number}: &a{number} [*{before}, *{before}, *{before}, *{before}]")
    return "\n".join(lines)


#: file -> (content, exit code, words of the reason).
FILES: dict[str, tuple[str, bytes, int, str]] = {
    "no_utf8": ("mcp.json", b'{"mcpServers": {"\xff\xfe": {}}}', 3, "not UTF-8"),
    "zero": ("Dockerfile", b"FROM x\0y", 3, "zero bytes"),
    "no_json": (".mcp.json", b'{"mcpServers": ', 3, "Expecting value"),
    "deep_json": (".mcp.json", b'{"a":' * 100_000 + b"1" + b"}" * 100_000, 5, "nested too deep"),
    "nested_json": (".mcp.json", b'{"a":' * 200 + b"1" + b"}" * 200, 5, "deeper than 64"),
    "huge": (".mcp.json", b" " * (5 << 20), 5, "larger than"),
    "deep_yaml": ("compose.yaml", b"[" * 500_000, 5, "deeper than 64"),
    "yaml_cycle": ("config.yaml", b"a: &a [*a]\n", 3, "own anchor"),
    "yaml_wide": ("config.yaml", b"- a\n" * 450_000, 5, "more than 400000 values"),
    "yaml_in_yaml": (
        "a.yaml",
        "".join(f"{' ' * n}a: |\n" for n in range(300)).encode(),
        5,
        "nested too deep",
    ),
    "deep_toml": ("pyproject.toml", b"a = " + b"[" * 100_000, 5, "nested too deep"),
    "deep_python": ("a.py", b"x = " + b"-" * 200_000 + b"1\n", 5, ""),
    "long_python": ("a.py", b"x = " + b"+".join([b"1"] * 200_000) + b"\n", 5, ""),
    "chain_python": ("a.py", b"x = a" + b".b" * 300_000 + b"\n", 5, ""),
    "no_python": ("a.py", b"print 'from_pretrained'\n", 3, "line 1"),
    "notebook": ("a.ipynb", b'{"cells": 3}', 3, "no list of cells"),
    "lock": ("package-lock.json", b"[]", 3, "no JSON object"),
}


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[list[rows.Read], float]]:
    """Every hostile file beside a good one, each project read by a reader of its own."""
    answers = {}
    for name, (path, data, _, _) in FILES.items():
        folder = tmp_path_factory.mktemp(name)
        (folder / path).write_bytes(data)
        (folder / "good.py").write_text(GOOD)
        found = walk.walk(folder)
        started = time.monotonic()
        reads = reading.read(found.files, started + 100)
        reads += [
            rows.Read(path, problem=p, limit=limit) for path, (p, limit) in found.problems.items()
        ]
        answers[name] = (reads, time.monotonic() - started)
    return answers


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_not_read_says_why_and_the_others_are_read(
    read: dict[str, tuple[list[rows.Read], float]], name: str
) -> None:
    path, _, code, words = FILES[name]
    reads, seconds = read[name]
    by_path = {each.path: each for each in reads}
    assert by_path["good.py"].references[0].name == "org/good-model"
    assert by_path[path].problem
    assert words in by_path[path].problem
    assert by_path[path].limit == (code == 5)
    assert seconds < 60


def test_the_code_and_the_register_name_what_was_not_read(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "good.py").write_text(GOOD)
    (project / ".mcp.json").write_bytes(b"\xff")
    code, found = register(project)
    assert code == 3
    unread = [row for row in found if row["name"] == "<.mcp.json>"]
    assert unread[0]["rank"] == 1
    assert unread[0]["reasons"] == ["not read: it is not UTF-8 (byte 0)"]
    (project / "b.py").write_bytes(b"x = " + b"-" * 200_000 + b"1\n")
    assert register(project)[0] == 5


def test_links_are_not_followed_out_and_a_farm_of_them_is_no_work(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "mcp.json").write_text(
        '{"mcpServers": {"x": {"command": "npx", "args": ["x-mcp"]}}}'
    )
    project = tmp_path / "project"
    project.mkdir()
    (project / "good.py").write_text(GOOD)
    for number in range(500):
        (project / f"loop{number}").symlink_to(project)
        (project / f"out{number}").symlink_to("/")
    (project / ".mcp.json").symlink_to(outside / "mcp.json")
    code, found = register(project)
    assert code == 3
    assert {row["name"] for row in found} == {"org/good-model", "<.mcp.json>"}
    assert "a link that leads out of the project" in str(found)


def test_a_link_inside_the_project_is_read_as_what_it_is_named(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "servers.txt").write_text(
        '{"mcpServers": {"x": {"command": "npx", "args": ["x-mcp"]}}}'
    )
    (project / ".mcp.json").symlink_to("servers.txt")
    code, found = register(project)
    assert code == 0
    assert [row["name"] for row in found] == ["x-mcp"]


def test_lines_without_end_are_read_in_linear_time(tmp_path: Path) -> None:
    long = {
        "a.sh": "curl https://a " * 1300 + "\n",
        "Makefile": "a:" * 9000,
        "a.tf": "a" * 300_000,
        "a.ts": "pipeline<" * 20_000 + "const a = {" * 20_000,
    }
    for name, text in long.items():
        (tmp_path / name).write_text(text)
    reads = reading.read(walk.walk(tmp_path).files, time.monotonic() + 60)
    # A pattern that looks again from each word takes longer than a reader has for a file.
    assert [read.problem for read in reads if read.problem] == []
    lines = ["a/b " * 9000, "torch " * 9000, "pipeline<" * 9000]
    for line, name in zip(lines, ("a/b", "torch", "x"), strict=True):
        reference = rows.Reference("model", name, 1, "floating", None, "hub", "--x a/b --revision COMMIT")  # fmt: skip
        assert not edits.write([line], reference, "1" * 40, "a.ts")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    os.mkfifo(project / ".mcp.json")
    assert register(project)[0] == 3


def test_too_many_files_are_a_limit_and_write_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(walk, "MAX_ENTRIES", 3)
    for number in range(5):
        (tmp_path / f"{number}.py").write_text(GOOD)
    assert exit_code(["register", str(tmp_path)]) == 5
    assert "--exclude" in capsys.readouterr().err
    assert not (tmp_path / rows.FILE_NAME).exists()


def test_aliases_of_aliases_are_walked_once(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "config.yaml").write_text(yaml_bomb())
    started = time.monotonic()
    code, found = register(project)
    assert code == 0
    assert {row["name"] for row in found} == {"org/x-model", "org/y-model"}
    assert time.monotonic() - started < 30


def test_a_reader_that_dies_costs_its_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "CPU", 1)  # the kernel kills the reader that took more (SIGXCPU)
    for number in range(3):
        (tmp_path / f"{number}.py").write_text(GOOD)
    (tmp_path / "1.py").write_text("x = [" + "[1]," * 450_000 + "]\n")
    reads = reading.read(walk.walk(tmp_path).files, time.monotonic() + 60)
    assert [read.problem for read in reads] == [
        "",
        "parsing it took more time, memory or stack than the limit",
        "",
    ]
    assert reads[2].references


def test_the_time_limit_ends_it(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(GOOD)
    found = walk.walk(tmp_path)
    with pytest.raises(LimitHit, match="time limit"):
        reading.read(found.files, time.monotonic() - 1)


def test_nothing_of_the_project_runs(tmp_path: Path) -> None:
    project = tmp_path / "project"
    (project / "transformers").mkdir(parents=True)
    canary = tmp_path / "canary"
    evil = f"open({str(canary)!r}, 'w')\n"
    for name in (
        "transformers/__init__.py",
        "setup.py",
        "yaml.py",
        "ast.py",
        "sitecustomize.py",
        "conftest.py",
    ):
        (project / name).write_text(evil)
    (project / "good.py").write_text(f"import transformers\n{GOOD}")
    before = Path.cwd()
    os.chdir(project)
    try:
        assert exit_code(["register", "-q"]) == 0
    finally:
        os.chdir(before)
    assert not canary.exists()


def test_a_name_from_the_project_is_shown_and_never_obeyed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = {
        "mcpServers": {
            "a\x1b[2J##vso[task]": {"command": "npx", "args": ["evil\u202e-mcp`|<b>", "x"]}
        }
    }
    (tmp_path / ".mcp.json").write_text(json.dumps(config))
    for form in ("human", "json", "markdown", "sarif", "cyclonedx"):
        assert exit_code(["register", str(tmp_path), "--format", form]) == 0
        shown = capsys.readouterr().out
        assert "evil" in shown
        assert not {"\x1b", "\u202e"} & set(shown)
        assert "##vso[" not in shown
