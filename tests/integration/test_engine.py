"""An engine that cannot serve is said to be so in one sentence, and what is registered fits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from safe_load import profiles
from safe_load.sandbox.backends.docker.engine import Engine
from safe_load.sandbox.backends.gvisor import trace

from tests import backends
from tests.integration.honest import checkpoints

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module", autouse=True)
def _engine() -> None:
    if reason := backends.missing("gvisor"):
        pytest.skip(reason)


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
        assert "only the docker backend has a runtime and an image" in done.stderr


def test_the_registration_that_ci_makes_is_the_one_that_this_version_asks_for() -> None:
    _, registered = Engine().runtime("runsc")
    assert trace.is_gvisor(registered)
    trace.require_fit("runsc", registered, profiles.load("strict"))


def _scan(
    folder: Path, *options: str, backend: str = "docker", host: str = "", lacking: str = ""
) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own. lacking: a package that cannot be imported there."""
    source, _ = checkpoints.CASES["plain_pickle"](folder)
    code = f"import sys; sys.modules.update({{{lacking!r}: None}} if {lacking!r} else {{}}); from safe_load.cli import main; main()"
    arguments = ["scan", str(source), "--backend", backend, "--format", "json"]
    image = [] if backend == "native" or "--image" in options else ["--image", backends.IMAGE]
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
