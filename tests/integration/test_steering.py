"""Each way in which a folder steers transformers: it works on who trusts the folder, and nowhere else.

Not inside the room, not on the host beside it, and not through the cleared copy.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("sentencepiece")

from safe_load.core.options import Options
from safe_load.loading import pipeline
from safe_load.rooms import choice

from tests.integration.steering import folders

# One fixture prepares everything: half a minute of a quiet machine, and several of a busy one.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(900)]
PROBE = Path(__file__).parent / "steering" / "probe.py"


class Hub(ThreadingHTTPServer):
    """A hub on loopback that has nothing, and remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.send_response(404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_POST = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


@dataclass
class Tried:
    """What came of one case. effect: on who trusts the folder, and on who loads the cleared copy (None:
    there is none); left: what appeared on the host beside the room."""

    trusting: bool = False
    trusting_error: str | None = None
    report: Any = None
    left: list[str] = field(default_factory=list)
    cleared: bool | None = None
    cleared_files: list[str] = field(default_factory=list)


def probe(places: dict[str, Path], root: Path, hub: Hub) -> dict[str, tuple[bool, str | None]]:
    """name -> whether the effect shows when stock transformers loads the folder, and what it raised."""
    root.mkdir()
    cases = {
        name: [str(place), str(root / f"canary-{number}"), folders.CASES[name].action]
        for number, (name, place) in enumerate(places.items())
    }
    hub.asked.clear()
    done = subprocess.run(
        [sys.executable, PROBE],
        input=json.dumps({"cases": cases, "secret": folders.SECRET}),
        env={"PATH": os.environ["PATH"], "HOME": str(root), "HF_HOME": str(root / "hf"),
             "HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}", "HF_HUB_DISABLE_TELEMETRY": "1"},
        capture_output=True, text=True, check=False, cwd=root, timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    found = {}
    for name, (file, value, error) in json.loads(done.stdout).items():
        case = folders.CASES[name]
        request = any(case.repository in path for path in hub.asked)
        found[name] = {"file": file, "value": value, "request": request}[case.effect], error
    return found


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tried]:
    root = tmp_path_factory.mktemp("steering")
    results = {name: Tried() for name in folders.CASES}
    sources, cleared = {}, {}
    for number, (name, case) in enumerate(folders.CASES.items()):
        source, outside = root / f"source-{number}", root / f"outside-{number}"
        source.mkdir()
        outside.mkdir()
        case.make(source, outside)
        sources[name] = source
    with Hub() as hub:
        for name, (effect, error) in probe(sources, root / "trusting", hub).items():
            results[name].trusting, results[name].trusting_error = effect, error
        hub.asked.clear()
        canary = root / "canary-of-the-host"
        before = dict(os.environ)
        options = Options(export_despite_findings=True)
        os.environ.update(CANARY=str(canary), HF_ENDPOINT=f"http://127.0.0.1:{hub.server_port}")
        try:
            with choice.backend_of(options, choice.profile_of(options), warm=True) as backend:
                for number, (name, source) in enumerate(sources.items()):
                    target = root / f"cleared-{number}"
                    results[name].report = pipeline.load(
                        str(source), target, options, backend=backend
                    )
                    if target.exists():
                        cleared[name] = target
                        results[name].cleared_files = sorted(
                            str(path.relative_to(target))
                            for path in target.rglob("*")
                            if path.is_file()
                        )
                    results[name].left += hub.asked
                    results[name].left += [str(canary)] if canary.exists() else []
                    hub.asked.clear()
        finally:
            os.environ.clear()
            os.environ.update(before)
        for name, (effect, _) in probe(cleared, root / "again", hub).items():
            results[name].cleared = effect
    return results


@pytest.mark.parametrize("name", folders.CASES)
def test_it_steers_who_trusts_the_folder(name: str, tried: dict[str, Tried]) -> None:
    """Else the test below would prove nothing."""
    assert tried[name].trusting, tried[name].trusting_error


@pytest.mark.parametrize("name", folders.CASES)
def test_it_steers_nothing_through_safe_load(name: str, tried: dict[str, Tried]) -> None:
    result = tried[name]
    assert not result.left
    assert result.cleared is not True, result.cleared_files
    assert not [file for file in result.cleared_files if file.endswith((".py", ".bin", ".model"))]


@pytest.mark.parametrize("name", folders.CASES)
def test_the_report_tells_of_it(name: str, tried: dict[str, Tried]) -> None:
    expected = folders.CASES[name].findings
    found = [finding.id for finding in tried[name].report.findings]
    assert not expected or set(expected) & set(found), tried[name].report
