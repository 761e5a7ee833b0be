"""A tree is scanned model by model, and what is left alone is counted with the reason."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from safe_load import cli
from safe_load.cli import run as run_module
from safe_load.cli import sources
from safe_load.cli.sources import Choice
from safe_load.core.errors import UsageError
from safe_load.sources import changes
from safe_load.sources.tree import Part

from tests.unit import reports

if TYPE_CHECKING:
    from pathlib import Path

    from safe_load.core.report import Report


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for path in ("models/good/model.safetensors", "models/bad/model.bin", "models/ok/model.bin"):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_bytes(b"x")
    (tmp_path / "models" / "train.py").write_text("x = 1")
    (tmp_path / "models" / "config.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str | Part]:
    """What is opened, in place of the pipeline."""
    calls: list[str | Part] = []

    def open_one(source: str | Part, *_: object) -> Report:
        calls.append(source)
        name = source if isinstance(source, str) else source.name
        return reports.malicious(name) if "bad" in name else reports.clean(name)

    monkeypatch.setattr(run_module, "open_one", open_one)
    return calls


def test_each_model_has_a_report_and_what_lies_beside_them_is_counted(
    tree: Path, opened: list[str | Part], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.exit_code(["scan", "models", "--report", "json=all.json"]) == 1
    told = json.loads((tree / "all.json").read_text())["reports"]
    assert [each["source"]["path"] for each in told] == ["models/bad", "models/good", "models/ok"]
    beside = Part("models", frozenset({"config.json", "train.py"}), beside=True)
    assert sorted(map(str, opened)) == sorted(
        ["models/bad", "models/good", "models/ok", str(beside)]
    )
    assert sources.BESIDE in " ".join(capsys.readouterr().out.split())


def test_what_lies_beside_models_is_told_where_something_speaks_against_it(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def open_one(source: str | Part, *_: object) -> Report:
        hostile = isinstance(source, Part) and source.beside
        return reports.malicious("models") if hostile else reports.clean(str(source))

    monkeypatch.setattr(run_module, "open_one", open_one)
    assert cli.exit_code(["scan", "models", "--report", "json=all.json", "-q"]) == 1
    told = json.loads((tree / "all.json").read_text())["reports"]
    assert [each["verdict"] for each in told] == ["clean", "clean", "clean", "malicious"]


def test_a_flag_that_leaves_nothing_or_fits_no_source_is_code_2(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for flags in (
        ["models", "--include", "*.gguf"],
        ["hf://org/name@main", "--exclude", "x"],
        ["models", "--changed-since", "HEAD"],
        ["models", "--gitignore"],
    ):
        assert cli.exit_code(["scan", *flags]) == 2
        assert len(capsys.readouterr().err.strip().splitlines()) == 1


class _Checkout:
    """In the place of git: the models but `ok` are as in the commit, which also held ok/gone."""

    def __init__(self, place: str, why: str) -> None:
        self.place = place

    def unchanged(self, revision: str, paths: list[str]) -> tuple[set[str], set[str]]:
        return {path for path in paths if "bad" not in path}, {"ok/gone.bin"}

    def ignored(self) -> set[str]:
        return {"train.py", "bad/model.bin"}


def test_only_sources_with_a_changed_or_removed_file_are_opened(
    tree: Path, opened: list[str | Part], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "Checkout", _Checkout)
    assert cli.exit_code(["scan", "models", "--changed-since", "main", "-q"]) == 1
    assert sorted(map(str, opened)) == ["models/bad", "models/ok"]
    chosen = sources.choose(["models"], Choice(changed_since="main"))
    assert {left.reason: left.count for left in chosen.left_alone} == {"unchanged since main": 3}


def test_what_git_ignores_is_left_alone_on_request(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "Checkout", _Checkout)
    chosen = sources.choose(["models"], Choice(gitignore=True))
    assert [left.paths for left in chosen.left_alone] == [
        ["models/bad/model.bin", "models/train.py"]
    ]
    assert len(chosen.sources) == 3


def test_an_unchanged_tree_is_code_0_and_an_empty_report(
    tree: Path, opened: list[str | Part], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes.Checkout, "__init__", lambda *_: None)
    monkeypatch.setattr(
        changes.Checkout, "unchanged", lambda _self, _rev, paths: (set(paths), set())
    )
    assert cli.exit_code(["scan", "models", "--changed-since", "x", "--report", "json=o.json"]) == 0
    assert opened == []
    told = json.loads((tree / "o.json").read_text())
    assert (told["reports"], told["left_alone"][0]["count"]) == ([], 5)


def test_a_tree_is_not_taken_apart_for_a_load(tree: Path) -> None:
    with pytest.raises(UsageError, match="matches --include"):
        sources.choose(["models"], Choice(include=("nothing",)))
    assert cli.exit_code(["load", "models", "-o", "out", "--include", "x"]) == 2
