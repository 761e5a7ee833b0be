"""Honest files pass: nothing at or above medium is found, and every tensor comes out bit for bit.

All are opened in the warm room that hostile files have been through; some in a room of their own too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from safe_load.loading import pipeline  # noqa: E402 - after what may not be there
from safetensors.torch import load_file  # noqa: E402

from tests import plan  # noqa: E402
from tests.integration.honest import architectures, checkpoints  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path

    from safe_load.core.report import Report
    from safe_load.sandbox.backends.interface import Backend

#: What writing a checkpoint warns of is none of a promise's.
pytestmark = pytest.mark.filterwarnings("ignore")

CASES = checkpoints.CASES | architectures.CASES


COLD = CASES if plan.whole("cold") else plan.cold("honest")


@pytest.mark.parametrize("name", CASES)
def test_an_honest_file_is_clean_and_its_tensors_come_out_unchanged(
    name: str, tmp_path: Path, warm_room: Backend
) -> None:
    _assert_unchanged(name, tmp_path, warm_room)


@pytest.mark.parametrize("name", COLD)
def test_in_a_room_of_its_own_it_comes_out_unchanged_too(name: str, tmp_path: Path) -> None:
    _assert_unchanged(name, tmp_path)


def _assert_unchanged(name: str, tmp_path: Path, room: Backend | None = None) -> None:
    (tmp_path / "source").mkdir()
    source, expected = CASES[name](tmp_path / "source")
    report = pipeline.load(str(source), tmp_path / "cleared", backend=room)
    assert (report.outcome, report.verdict) == ("ok", "clean"), _told(report)
    assert [found for found in report.findings if found.severity != "low"] == [], _told(report)
    tensors = _cleared(tmp_path / "cleared", report)
    assert tensors, "nothing came out"
    for path, value in (expected or {}).items():  # None where the names are a matter of taste
        # Wrapped weights come out under their own names: the path without the wrapper's key.
        wrapper, _, own = path.partition(".")
        unwrapped = any(f"its weights are those under '{wrapper}'" in note for note in report.notes)
        assert _same_bits(tensors[own if unwrapped else path], value.detach()), path


def _cleared(target: Path, report: Report) -> dict[str, torch.Tensor]:
    """What the cleared copy holds, by every name."""
    tensors: dict[str, torch.Tensor] = {}
    for file in target.glob("*.safetensors"):
        tensors |= load_file(file)
    for group in report.tensors.tied:
        kept = next(name for name in group if name in tensors)
        tensors |= dict.fromkeys(group, tensors[kept])
    return tensors


def _same_bits(one: torch.Tensor, other: torch.Tensor) -> bool:
    if other.is_complex() and not one.is_complex():  # written as pairs, which the metadata says
        other = torch.view_as_real(other)
    return (
        one.dtype == other.dtype
        and one.shape == other.shape
        and torch.equal(
            one.contiguous().reshape(-1).view(torch.uint8),
            other.contiguous().reshape(-1).view(torch.uint8),
        )
    )


def _told(report: Report) -> str:
    lines = [f"{report.outcome}: {report.outcome_detail}"]
    lines += [f"{found.id} {found.severity} {found.detail}" for found in report.findings]
    lines += [
        f"{event.syscall} {event.args} {event.decision}" for event in report.recording.events[:30]
    ]
    return "\n".join([*lines, *report.notes])
