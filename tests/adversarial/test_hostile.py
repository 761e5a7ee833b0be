"""Every hostile program is rejected, with evidence that names what it tried, and nothing got out.

A program is one file in a folder for its class: its docstring names the class, `make(folder)` writes
the model and returns what to open, EXPECT is the evidence that the report must hold. OPTIONS are those
that it is opened with; COLD says why it cannot share a warm room with others.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safe_load.core.options import Options
from safe_load.loading import pipeline
from safetensors.torch import load_file

from tests import plan
from tests.adversarial.conftest import COLD, PROGRAMS, WARM, Ran, cold_reason, program, run
from tests.adversarial.craft import honest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from safe_load.core.report import Finding, Report
    from safe_load.sandbox.backends.interface import Backend

#: What writing a model warns of is none of a promise's.
pytestmark = pytest.mark.filterwarnings("ignore")

_KEYS = {
    "argv",
    "address",
    "port",
    "domain",
    "data",
    "path",
    "syscall",
    "finding",
    "severity",
    "detail",
    "outcome",
}


@pytest.mark.parametrize("name", WARM)
def test_it_is_rejected_with_evidence_and_leaves_nothing_behind(
    name: str, tmp_path: Path, warm_room: Backend, orphans: Callable[[], list[str]]
) -> None:
    assert_rejected(run(name, tmp_path, warm_room))
    assert orphans() == []


@pytest.mark.parametrize("name", COLD)
def test_in_a_room_of_its_own_it_is_rejected_too(
    name: str, tmp_path: Path, orphans: Callable[[], list[str]]
) -> None:
    assert_rejected(run(name, tmp_path))
    assert orphans() == []


def test_of_every_class_some_are_opened_in_rooms_of_their_own() -> None:
    sample = plan.DATA["cold"]["hostile"]
    assert {*sample} <= {*WARM}, "what is cold by its nature is no sample"
    assert {name.partition("/")[0] for name in (*sample, *COLD)} == {
        name.partition("/")[0] for name in PROGRAMS
    }
    assert {*WARM} | {*COLD} == {*PROGRAMS}


def test_who_needs_a_room_of_its_own_says_why() -> None:
    assert all(len(str(cold_reason(name)).split()) > 3 for name in PROGRAMS if name not in WARM)


def assert_rejected(ran: Ran) -> None:
    """The report holds the evidence that the program names, and nothing got out."""
    assert ran.report.outcome == ran.expect.get("outcome", "rejected"), _told(ran.report)
    assert not lacking(ran), _told(ran.report)
    assert ran.untouched, "something was written outside of the room"


def lacking(ran: Ran) -> dict[str, Any]:
    """The evidence that the program names and the report does not hold."""
    expect = {key: _filled(item, ran) for key, item in ran.expect.items()}
    return {
        key: item for key, item in expect.items() if not _EVIDENCE[key](ran.report, item, expect)
    }


def test_a_rejected_load_leaves_no_folder(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    source = program("opcodes/reduce").make(tmp_path / "model")
    report = pipeline.load(str(source), tmp_path / "cleared", Options())
    assert (report.outcome, report.export) == ("rejected", None)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("name", PROGRAMS)
def test_it_says_what_class_it_is_of_and_what_must_be_found(name: str) -> None:
    module = program(name)
    assert module.__doc__.startswith("Class: ")
    assert module.EXPECT
    assert module.EXPECT.keys() <= _KEYS


@pytest.mark.parametrize("name", [name for name in PROGRAMS if name.startswith("tamper/")])
def test_what_is_exported_despite_tampering_is_what_the_bytes_say(
    name: str, tmp_path: Path, warm_room: Backend
) -> None:
    (tmp_path / "model").mkdir()
    source = program(name).make(tmp_path / "model")
    options = Options(export_despite_findings=True)
    report = pipeline.load(str(source), tmp_path / "cleared", options, backend=warm_room)
    if report.export is None:  # it killed its room: then nothing is let out at all
        assert name == "tamper/report"
        assert not (tmp_path / "cleared").exists()
        return
    tensors = load_file(tmp_path / "cleared" / "model.safetensors")
    assert tensors.keys() == honest().keys()
    assert all(torch.equal(tensors[tensor], expected) for tensor, expected in honest().items())


def _filled(item: object, ran: Ran) -> Any:
    """The evidence with this run's paths in it."""
    if isinstance(item, str):
        return item.replace("{canary}", str(ran.folder.parent / "canary")).replace(
            "{folder}", str(ran.folder)
        )
    return [_filled(part, ran) for part in item] if isinstance(item, list) else item


def _ran(report: Report, argv: list[str], _: object) -> bool:
    # A shell by its path or its name; glibc 2.38's system() puts "--" before the command.
    ran = [[Path(process.argv[0]).name, *process.argv[1:]] for process in report.processes]
    return any(
        fnmatchcase(" ".join(word for word in words if word != "--"), " ".join(argv))
        for words in ran
    )


def _findings(report: Report, ident: str, expect: dict[str, Any]) -> Iterator[Finding]:
    order = ["low", "medium", "high", "critical"]
    least = order.index(expect.get("severity", "low"))
    for found in report.findings:
        if (
            found.id == ident
            and order.index(found.severity) >= least
            and expect.get("detail", "") in found.detail
        ):
            yield found


def _paths(report: Report) -> Iterator[str]:
    for event in report.recording.events:
        # In tier B, a path of the host that the room has too is told below /host.
        yield from (
            str(event.args[key]).removeprefix("/host")
            for key in ("path", "old", "new")
            if key in event.args
        )
        for key in ("to", "address"):
            if isinstance(event.args.get(key), dict):
                yield str(event.args[key].get("address"))


_EVIDENCE: dict[str, Callable[[Report, Any, dict[str, Any]], bool]] = {
    "argv": _ran,
    "address": lambda report, address, expect: any(
        egress.address == address and egress.port == expect.get("port", egress.port)
        for egress in report.egress
    ),
    "port": lambda report, port, _: any(egress.port == port for egress in report.egress),
    "domain": lambda report, domain, _: any(egress.domain == domain for egress in report.egress),
    "data": lambda report, data, _: any(data in egress.payload_preview for egress in report.egress),
    "path": lambda report, path, _: any(fnmatchcase(found, path) for found in _paths(report)),
    "syscall": lambda report, name, _: any(
        event.syscall == name and event.decision == "denied" for event in report.recording.events
    ),
    "finding": lambda report, ident, expect: any(_findings(report, ident, expect)),
    "severity": lambda *_: True,  # of the finding
    "detail": lambda *_: True,  # of the finding
    "outcome": lambda *_: True,  # see above
}


def _told(report: Report) -> str:
    """What the report holds, for whoever must find out why a test failed."""
    lines = [f"{report.outcome}: {report.outcome_detail}"]
    lines += [
        f"{found.id} {found.severity} {found.detail} {found.evidence}" for found in report.findings
    ]
    lines += [f"{process.argv}" for process in report.processes]
    lines += [f"{egress}" for egress in report.egress]
    lines += [
        f"{event.syscall} {event.args} {event.decision}" for event in report.recording.events[:40]
    ]
    return "\n".join([*lines, *report.notes])
