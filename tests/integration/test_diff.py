"""`safe-load diff` as a user runs it: two models of any format, the kind of change, the exit code."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import safe_load
import torch
from safetensors.numpy import save_file

if TYPE_CHECKING:
    from pathlib import Path

WIDTH = 80
EDITED = "model.layers.2.mlp.up_proj.weight"


def made() -> dict[str, Any]:
    random = np.random.default_rng(3)
    names = [
        f"model.layers.{layer}.{part}.weight"
        for layer in range(4)
        for part in ("self_attn.q_proj", "mlp.up_proj")
    ]
    return {name: random.standard_normal((WIDTH, WIDTH)).astype(np.float32) for name in names}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """base: safetensors; bin: the same pickled, as float16 and under "module."; edited: one matrix of it
    changed by rank one; alien: other names; broken: no safetensors."""
    folder = tmp_path_factory.mktemp("models")
    base = made()
    for name in ("base", "edited", "alien", "broken", "bin", "edited_bin"):
        (folder / name).mkdir()
    save_file(base, folder / "base" / "model.safetensors")
    old = base[EDITED]
    ramp = np.linspace(-1, 1, WIDTH, dtype=np.float32)
    edited = {**base, EDITED: old + np.outer(ramp, ramp[::-1] ** 2)}
    save_file(edited, folder / "edited" / "model.safetensors")
    (folder / "edited" / "README.md").write_text(
        "---\nbase_model: org/base\nbase_model_relation: quantized\n---\n"
    )
    for name, state in (("bin", base), ("edited_bin", edited)):
        halves = {f"module.{key}": torch.from_numpy(value).half() for key, value in state.items()}
        torch.save(halves, folder / name / "pytorch_model.bin")
    save_file({"other.weight": old}, folder / "alien" / "model.safetensors")
    (folder / "broken" / "model.safetensors").write_bytes(b"no header here")
    return folder


def command(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    whole = [sys.executable, "-m", "safe_load", *args]
    return subprocess.run(whole, cwd=folder, capture_output=True, text=True, check=False)


def run(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    return command(folder, "diff", *args)


def test_the_edited_tensor_is_named_first_in_json_of_the_exact_form(models: Path) -> None:
    done = run(models, "base", "edited_bin", "--format", "json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert set(said) == {"schema", "class", "rank", "tensors"}
    assert (said["schema"], said["class"]) == ("safe-load/diff/1", "surgical")
    assert set(said["tensors"][0]) == {"name", "state", "relative", "top1", "top8", "z"}
    assert said["tensors"][0]["name"] == f"module.{EDITED}"
    assert said["tensors"][0]["top1"] > 0.99


def test_another_format_and_precision_is_rounding(models: Path) -> None:
    done = run(models, "base", "bin", "--claim", "conversion", "-q")
    assert done.returncode == 0, done.stderr
    assert "rounding" in done.stdout


def test_a_claimed_copy_that_was_edited_is_rejected(models: Path) -> None:
    done = run(models, "base", "edited_bin", "--claim", "copy")
    assert done.returncode == 1, done.stderr
    assert "SL801" in done.stdout
    assert EDITED in done.stdout
    done = run(models, "base", "edited_bin", "--claim", "copy", "--fail-on", "never", "-q")
    assert done.returncode == 0


def test_the_card_claims_too_and_the_page_shows_where(models: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    done = run(models, "base", "edited", "--format", "html", "--output", str(page))
    assert done.returncode == 1, done.stderr
    assert "SL801" in done.stderr
    text = page.read_text()
    assert "<script" not in text
    assert text.count('class="heat6"') == 1
    assert "quantisation" in text


def test_the_picture_in_a_terminal_marks_one_cell(models: Path) -> None:
    done = run(models, "base", "edited", "--fail-on", "never")
    rows = [line for line in done.stdout.splitlines() if line.strip()[:1].isdigit()]
    assert [line.split() for line in rows if "!" in line] == [["2", "!", "-"]]
    assert len(rows) == 4


def test_another_architecture_is_unrelated(models: Path) -> None:
    done = run(models, "base", "alien", "-q")
    assert done.returncode == 0
    assert "too little in common" in done.stdout


@pytest.mark.parametrize(
    ("args", "code", "sentence"),
    [
        (("base", "broken"), 3, "safetensors"),
        (("base", "nowhere"), 2, "there is no file or folder"),
    ],
)
def test_bad_input_is_one_sentence(
    models: Path, args: tuple[str, ...], code: int, sentence: str
) -> None:
    done = run(models, *args)
    assert done.returncode == code
    assert done.stdout == ""
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_load_with_a_base_exports_no_claimed_copy_that_was_edited(
    models: Path, tmp_path: Path
) -> None:
    args = (
        "load",
        "edited_bin",
        "--base",
        "base",
        "--depth",
        "static",
        "-o",
        str(tmp_path / "out"),
    )
    done = command(models, *args, "--claim", "conversion")
    assert done.returncode == 1, done.stderr
    assert "changed by nearly rank one" in " ".join(done.stdout.split())
    assert not (tmp_path / "out").exists()
    assert command(models, *args).returncode == 0
    assert (tmp_path / "out" / "model.safetensors").exists()


def test_a_scan_with_a_base_reports_the_comparison(models: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    args = ("--base", "base", "--depth", "static", "--format", "json", "--report", f"html={page}")
    done = command(models, "scan", "edited", *args)
    assert done.returncode == 1, done.stderr
    report = json.loads(done.stdout)
    assert report["weights"]["claim"] == "quantisation"
    assert report["weights"]["outliers"] == [EDITED]
    assert report["weights"]["difference"]["class"] == "surgical"
    assert [each["id"] for each in report["findings"]] == ["SL801"]
    text = page.read_text()
    assert 'class="heat6"' in text
    # On a phone the grid stays a grid, and each number of the list beneath says what it is.
    assert "table.heat { display: table; }" in text
    assert '<td data-label="change">' in text


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (("--base", "nowhere"), "there is no file or folder"),
        (("--claim", "copy"), "name that with --base"),
    ],
)
def test_a_base_that_is_not_there_is_a_wrong_command(
    models: Path, args: tuple[str, ...], sentence: str
) -> None:
    done = command(models, "scan", "base", *args)
    assert done.returncode == 2
    assert sentence in done.stderr


def test_python_gets_the_same_and_a_notebook_its_card(models: Path) -> None:
    found = safe_load.diff(models / "base", models / "edited", claim="copy")
    assert found.difference.kind == "surgical"
    assert not found.ok
    assert [each.id for each in found.findings] == ["SL801"]
    assert 'class="heat6"' in found._repr_html_()
    assert repr(found).startswith("<Comparison surgical: ")
    assert found.peak_memory < 500 << 20
