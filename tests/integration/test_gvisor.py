"""In a kernel of gVisor's the same file gets the same verdict, findings and exported bytes."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from safe_load import pipeline
from safe_load.options import Options
from safe_load.sandbox.backends import gvisor
from safe_load.sandbox.backends.docker_engine import Engine, EngineError
from safe_load.version import version

from tests.adversarial.conftest import program
from tests.integration.honest import architectures, checkpoints

if TYPE_CHECKING:
    from pathlib import Path

    from safe_load.report import Report

pytestmark = pytest.mark.filterwarnings("ignore")

IMAGE = os.environ.get("SAFE_LOAD_IMAGE") or f"safe-load:{version()}"
HOSTILE = [
    "network/web", "gadgets/asyncio_shell", "files/hub_token", "files/delete", "kernel/mount",
    "kernel/ptrace", "late/double_fork", "network/datagram_message", "network/fast_open", "tamper/report",
]  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _engine() -> None:
    try:
        engine = Engine()
        engine.image(IMAGE, version())
        _, registered = engine.runtime("runsc")
    except EngineError as error:
        pytest.skip(str(error))
    assert gvisor.is_gvisor(registered)


def _options(backend: str, module: Any = None) -> Options:
    where = {"image": IMAGE, "runtime": "runsc"} if backend == "docker" else {}
    return Options(**getattr(module, "OPTIONS", {}), backend=backend, **where)


def _judgement(report: Report) -> dict[str, Any]:
    """What must not hang on the kernel. Of names that lead to several addresses, either is taken."""
    return {
        "outcome": report.outcome,
        "verdict": report.verdict,
        "findings": sorted({(found.id, found.severity, found.title) for found in report.findings}),
        "programs": sorted(" ".join(each.argv) for each in report.processes),
        "egress": sorted(
            {(each.domain or each.address, each.port, each.payload_preview) for each in report.egress
             if each.protocol != "dns"},
            key=str,
        ),
        "names": {each.domain for each in report.egress if each.protocol == "dns"},
        "tensors": report.tensors,
        "complete": report.recording.complete,
        "files": report.files,
    }  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_judged_alike(name: str, tmp_path: Path) -> None:
    module = program(name)
    folder = tmp_path / "model"
    folder.mkdir()
    source = str(module.make(folder))
    native = pipeline.scan(source, _options("native", module))
    report = pipeline.scan(source, _options("docker", module))
    assert native.outcome == module.EXPECT.get("outcome", "rejected")
    assert _judgement(report) == _judgement(native)
    walls = {wall.name: wall.state for wall in report.sandbox.walls}
    assert walls["kernel"] == "standing"
    assert {name for name, state in walls.items() if state != "standing"} == {
        "user-namespace",
        "landlock",
    }


@pytest.mark.parametrize("name", ["legacy", "bert_bin"])
def test_an_honest_file_is_exported_alike(name: str, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    source, _ = (checkpoints.CASES | architectures.CASES)[name](tmp_path / "source")
    reports = {}
    for backend in ("native", "docker"):
        reports[backend] = pipeline.load(str(source), tmp_path / backend, _options(backend))
        assert reports[backend].outcome == "ok", reports[backend].outcome_detail
    assert _judgement(reports["docker"]) == _judgement(reports["native"])
    assert _digests(tmp_path / "docker") == _digests(tmp_path / "native")


def test_the_registration_that_ci_makes_is_the_one_that_this_version_asks_for() -> None:
    from safe_load import profiles

    _, registered = Engine().runtime("runsc")
    gvisor.require_fit("runsc", registered, profiles.load("strict"))


def _digests(folder: Path) -> dict[str, str]:
    """Of each exported file, but for what holds times and the backend's name."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.iterdir()
        if not path.name.startswith("safe-load.")
    }
