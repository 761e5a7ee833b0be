"""The same file gets the same verdict, the same findings and the same exported bytes, whoever
builds the room."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from safe_load import pipeline, profiles
from safe_load.options import Options
from safe_load.sandbox.backends.docker_engine import Engine, EngineError
from safe_load.version import version

from tests.adversarial.conftest import program
from tests.integration.honest import architectures, checkpoints

if TYPE_CHECKING:
    from pathlib import Path

    from safe_load.report import Report

pytestmark = pytest.mark.filterwarnings("ignore")

IMAGE = os.environ.get("SAFE_LOAD_IMAGE") or f"safe-load:{version()}"
#: One of each class, and each way in which a container's walls are built differently.
HOSTILE = [
    "aware/first_process", "aware/host_name", "containers/duplicate_member", "files/hub_token",
    "files/canary", "files/other_process", "folders/attention_internal", "gadgets/runpy_code",
    "kernel/io_uring", "kernel/mount", "kernel/ptrace", "kernel/unshare", "tamper/report",
]  # fmt: skip
HONEST = ["state dict", "tied weights"]


@pytest.fixture(scope="module", autouse=True)
def _engine() -> None:
    try:
        Engine().image(IMAGE, version())
    except EngineError as error:
        pytest.skip(str(error))


@cache
def _may_be_weaker() -> set[str]:
    """The walls that the engine cannot build, as the profile has it."""
    engine = Engine()
    kind = "podman" if engine.is_podman else "docker"
    limits = {"cgroup-memory", "cgroup-tasks"} if engine.is_rootless else set()
    return set(profiles.load("strict").stand_ins[kind]) | limits


def _options(backend: str, module: Any = None) -> Options:
    image = IMAGE if backend == "docker" else None
    return Options(**getattr(module, "OPTIONS", {}), backend=backend, image=image)


def _judgement(report: Report) -> dict[str, Any]:
    """What must not hang on the backend."""
    return {
        "outcome": report.outcome,
        "verdict": report.verdict,
        "findings": sorted({(found.id, found.severity, found.title) for found in report.findings}),
        "programs": sorted(" ".join(each.argv) for each in report.processes),
        "egress": sorted(
            {(each.protocol, each.address, each.port, each.domain) for each in report.egress},
            key=str,
        ),
        "tensors": report.tensors,
        "complete": report.recording.complete,
        "files": report.files,
    }


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_judged_alike(name: str, tmp_path: Path) -> None:
    module = program(name)
    folder = tmp_path / "model"
    folder.mkdir()
    source = str(module.make(folder))
    native = pipeline.scan(source, _options("native", module))
    docker = pipeline.scan(source, _options("docker", module))
    assert native.outcome == module.EXPECT.get("outcome", "rejected")
    assert _judgement(docker) == _judgement(native)
    assert docker.sandbox.backend == "docker"
    assert {wall.name for wall in native.sandbox.walls} <= {
        wall.name for wall in docker.sandbox.walls
    }
    weaker = {wall.name for wall in docker.sandbox.walls if wall.state != "standing"}
    assert weaker <= _may_be_weaker()


@pytest.mark.parametrize("name", ["legacy", "tied", "views", "bert_bin", "llama_safetensors"])
def test_an_honest_file_is_exported_alike(name: str, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    source, _ = (checkpoints.CASES | architectures.CASES)[name](tmp_path / "source")
    reports = {}
    for backend in ("native", "docker"):
        reports[backend] = pipeline.load(str(source), tmp_path / backend, _options(backend))
        assert reports[backend].outcome == "ok", reports[backend].outcome_detail
    assert _judgement(reports["docker"]) == _judgement(reports["native"])
    assert _digests(tmp_path / "docker") == _digests(tmp_path / "native")


def _digests(folder: Path) -> dict[str, str]:
    """Of each exported file, but for what holds times and the backend's name."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.iterdir()
        if not path.name.startswith("safe-load.")
    }


ENGINES = {
    "unix:///nowhere/docker.sock": "no container engine answers at unix:///nowhere/docker.sock",
    "tcp://127.0.0.1:9": "no container engine answers at tcp://127.0.0.1:9",
}


@pytest.mark.parametrize("host", ENGINES)
def test_an_engine_that_is_not_there_is_one_sentence_and_exit_code_4(
    host: str, tmp_path: Path
) -> None:
    done = _scan(tmp_path, host=host)
    assert done.returncode == 4
    assert ENGINES[host] in _detail(done)


def test_an_image_that_is_not_there_is_one_sentence_that_says_how_to_get_it(tmp_path: Path) -> None:
    done = _scan(tmp_path, "--image", "safe-load-nowhere:0")
    assert done.returncode == 4
    assert "has no image safe-load-nowhere:0: build it with `make image`" in _detail(done)


def test_an_unknown_runtime_is_one_sentence_that_names_the_known(tmp_path: Path) -> None:
    done = _scan(tmp_path, "--runtime", "submarine")
    assert done.returncode == 4
    assert "knows no runtime 'submarine', only " in _detail(done)


def test_without_the_package_docker_it_says_what_to_install(tmp_path: Path) -> None:
    done = _scan(tmp_path, lacking="docker")
    assert done.returncode == 4
    assert "pip install 'safe-load[docker]'" in _detail(done)


def test_native_takes_no_image_and_no_runtime(tmp_path: Path) -> None:
    for option in ("--image", "--runtime"):
        done = _scan(tmp_path, option, "x", backend="native")
        assert done.returncode == 2
        assert "--runtime and --image are for --backend docker" in done.stderr


def _scan(
    folder: Path, *options: str, backend: str = "docker", host: str = "", lacking: str = ""
) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own. lacking: a package that cannot be imported there."""
    source, _ = checkpoints.CASES["plain_pickle"](folder)
    code = f"import sys; sys.modules.update({{{lacking!r}: None}} if {lacking!r} else {{}}); from safe_load.cli import main; main()"
    arguments = ["scan", str(source), "--backend", backend, "--format", "json"]
    image = [] if backend == "native" or "--image" in options else ["--image", IMAGE]
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("SAFE_LOAD_")
    }
    return subprocess.run(
        [sys.executable, "-c", code, *arguments, *image, *options],
        env=environment | ({"DOCKER_HOST": host} if host else {}),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def _detail(done: subprocess.CompletedProcess[str]) -> str:
    detail: str = json.loads(done.stdout)["outcome_detail"]
    assert len(detail) < 400
    assert "\n" not in detail
    return detail
