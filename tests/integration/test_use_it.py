"""The lines under "Use it" run as they are printed, and give the weights."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safe_load import render
from safe_load.loading import pipeline

from tests.integration import shrunk

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from safe_load.core.report import Report
    from safe_load.sandbox.backends.interface import Backend

pytestmark = pytest.mark.filterwarnings("ignore")

STATE = {"a.weight": torch.arange(3.0), "b.weight": torch.arange(4.0)}


def model(folder: Path) -> None:
    shrunk.save(shrunk.make("gpt2"), folder, "bin")


def shards_of_a_model(folder: Path) -> None:
    shrunk.save(shrunk.make("bert"), folder, "shards-without-index")


def one_file(folder: Path) -> None:
    torch.save({"state_dict": STATE, "epoch": 1}, folder / 'it\'s "one".ckpt')


def shards_alone(folder: Path) -> None:
    for number, (name, value) in enumerate(STATE.items(), 1):
        torch.save({name: value}, folder / f"pytorch_model-{number:05}-of-00002.bin")


def several_files(folder: Path) -> None:
    for name in ("one", "two"):
        (folder / name).mkdir()
        torch.save(STATE, folder / name / "pytorch_model.bin")


def run(lines: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(lines, names)
    return names


def printed(report: Report) -> str:
    """What stands under "Use it" for a person at a terminal, taken from there."""
    text = render.get("human").render([report]).decode()
    _, _, rest = text.partition("\nUse it\n")
    return "\n".join(line[2:] for line in rest.splitlines() if line.startswith("  "))


def _states(names: dict[str, Any]) -> list[dict[str, torch.Tensor]]:
    """The state dicts among what the lines made."""
    if "model" in names:
        return [names["model"].state_dict()]
    state = names["state"]
    return (
        [state] if all(isinstance(v, torch.Tensor) for v in state.values()) else [*state.values()]
    )


@pytest.mark.parametrize("make", [model, shards_of_a_model, one_file, shards_alone, several_files])
def test_every_line_that_is_printed_runs_and_gives_the_weights(
    make: Callable[[Path], None], tmp_path: Path, warm_room: Backend
) -> None:
    (tmp_path / "source").mkdir()
    make(tmp_path / "source")
    (source,) = [tmp_path / "source"] if make is not one_file else (tmp_path / "source").iterdir()
    report = pipeline.load(str(source), tmp_path / "a \"cleared\" 'copy'", backend=warm_room)
    lines = printed(report)
    assert re.search(r"from_pretrained|load_file", lines), report.outcome_detail
    states = _states(run(lines))
    want = STATE
    if make in (model, shards_of_a_model):
        kind = "gpt2" if make is model else "bert"
        base = shrunk.make(kind).base_model.state_dict()
        want = {name: value for name, value in base.items() if not name.startswith("pooler.")}
    assert len(states) == (2 if make is several_files else 1)
    for state in states:
        for name, value in want.items():
            assert torch.equal(state[name], value), name
