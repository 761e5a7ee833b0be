"""Honest files pass: nothing at or above medium is found, and every tensor comes out bit for bit."""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from safe_load import pipeline  # noqa: E402 - after what may not be there

from tests.integration.honest import architectures, checkpoints  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from safe_load.report import Report

#: Checkpoints are written by threads, and filters of warnings belong to the whole process: what one
#: thread ignores for a moment, the next test's set-up makes an error again.
pytestmark = pytest.mark.filterwarnings("ignore")

#: Writing a checkpoint changes sys.modules and torch's random numbers.
_ONE_WRITES = Lock()
CASES = checkpoints.CASES | architectures.CASES


@dataclass(frozen=True)
class Cleared:
    """report: of the load; tensors: what the cleared copy holds, by every name; expected: None where
    the names are a matter of taste."""

    report: Report
    tensors: dict[str, torch.Tensor]
    expected: dict[str, torch.Tensor] | None


@pytest.fixture(scope="session")
def cleared(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[Cleared]]]:
    """The files that this session asks for, several at a time."""
    root = tmp_path_factory.mktemp("honest")
    wanted = [
        item.callspec.params["name"]
        for item in request.session.items
        if hasattr(item, "callspec") and "name" in item.callspec.params
    ]
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        yield {name: pool.submit(_clear, name, root / name) for name in CASES if name in wanted}


def _clear(name: str, folder: Path) -> Cleared:
    (folder / "source").mkdir(parents=True)
    with _ONE_WRITES:
        source, expected = CASES[name](folder / "source")
    target = folder / "cleared"
    from safetensors.torch import load_file

    report = pipeline.load(str(source), target)
    tensors: dict[str, torch.Tensor] = {}
    for file in target.glob("*.safetensors"):
        tensors |= load_file(file)
    for group in report.tensors.tied:
        kept = next(name for name in group if name in tensors)
        tensors |= dict.fromkeys(group, tensors[kept])
    return Cleared(report, tensors, expected)


@pytest.mark.parametrize("name", CASES)
def test_an_honest_file_is_clean_and_its_tensors_come_out_unchanged(
    name: str, cleared: dict[str, Future[Cleared]]
) -> None:
    result = cleared[name].result()
    assert (result.report.outcome, result.report.verdict) == ("ok", "clean"), _told(result.report)
    assert [found for found in result.report.findings if found.severity != "low"] == [], _told(
        result.report
    )
    assert result.tensors, "nothing came out"
    for tensor, value in (result.expected or {}).items():
        assert _same_bits(result.tensors[tensor], value.detach()), tensor


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
