"""Every backend that the hostile and the honest files are opened on, and what must not hang on it.

Natively all files of both sets are opened; on every other backend a sample of each, or all where the
environment says so (TESTS_WHOLE=docker,gvisor; tests/plan.py). Samples, and what a backend shows otherwise by its
nature, are data: backends.toml. A difference that is not written there fails a test, and so does one
that is written there and does not show.
"""

from __future__ import annotations

import hashlib
import os
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safe_load import profiles
from safe_load.core.options import Options
from safe_load.core.version import version
from safe_load.sandbox.backends.docker.engine import Engine, EngineError

from tests import plan

if TYPE_CHECKING:
    from collections.abc import Collection

    from safe_load.core.report import Report

#: The image that the tests use; the default is the one that `make image` makes.
IMAGE = os.environ.get("SAFE_LOAD_IMAGE") or f"safe-load:{version()}"
_HERE = Path(__file__).resolve().parent
_OPTIONS: dict[str, dict[str, Any]] = {
    "native": {"backend": "native"},
    # strict, where nobody may make namespaces
    "native-b": {"backend": "native", "profile": str(_HERE / "cell_only.toml")},
    "docker": {"backend": "docker", "image": IMAGE},
    "gvisor": {"backend": "docker", "image": IMAGE, "runtime": "runsc"},
}
_DATA: dict[str, Any] = tomllib.loads((_HERE / "backends.toml").read_text("utf-8"))
OTHERS = tuple(_DATA)
assert OTHERS == plan.BACKENDS
#: What is another one each time: the names of temporary files, the marks of planted secrets.
_CHANCE = re.compile(r"(?<=/tmp/tmp)\w{8}|(?<=kf8Qx/)\w+|(?<=AKIA)[A-Z0-9]{16}")


def options(backend: str, **more: Any) -> Options:
    """How a file is opened there."""
    return Options(**(_OPTIONS[backend] | more))


@cache
def missing(backend: str) -> str | None:
    """Why nothing can be opened there on this machine; None where it can."""
    chosen = options(backend)
    if chosen.backend == "docker":
        try:
            engine = Engine()
            engine.image(IMAGE, version())
            engine.runtime(chosen.runtime)
        except EngineError as error:
            return str(error)
    return None


def cases(kind: str, names: Collection[str]) -> list[tuple[str, str]]:
    """What is opened on other backends: (backend, name), of the names of that kind of file."""
    return [
        (backend, name)
        for backend in OTHERS
        for name in (names if plan.whole(backend) else plan.share(_DATA[backend][kind]))
    ]


def judgement(report: Report, **more: Any) -> dict[str, Any]:
    """What must not hang on the backend, and more of that kind."""
    return more | {
        "outcome": report.outcome,
        "verdict": report.verdict,
        "findings": {(found.id, found.severity, found.title) for found in report.findings},
        "programs": {_CHANCE.sub("", " ".join(each.argv)) for each in report.processes},
        "egress": {
            (
                each.protocol,
                each.address,
                each.port,
                each.domain,
                _CHANCE.sub("", each.payload_preview),
            )
            for each in report.egress
        },
        "tensors": report.tensors,
        "complete": report.recording.complete,
        "files": report.files,
    }


def digests(folder: Path) -> dict[str, str]:
    """Of each exported file, but for what holds times and the backend's name."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith("safe-load.")
    }


def assert_alike(backend: str, name: str, ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Both judgements are the same, but for what backends.toml says of that file there."""
    differing = {what for what in theirs if ours[what] != theirs[what]}
    known, races = (_DATA[backend].get(kind, {}).get(name, {}) for kind in ("differs", "races"))
    assert differing - races.keys() == known.keys(), "\n".join(
        f"{what}: {_difference(ours[what], theirs[what])}" for what in theirs if what in differing
    )


def assert_walls(backend: str, report: Report) -> None:
    """No wall is weaker than natively but those that the profile and the engine have a word for."""
    lacking = {wall.name for wall in report.sandbox.walls if wall.state != "standing"}
    assert lacking <= _may_be_weaker(backend)


@cache
def _may_be_weaker(backend: str) -> set[str]:
    kind, limits = backend, set()
    if options(backend).backend == "docker":
        engine = Engine()
        kind = "podman" if backend == "docker" and engine.is_podman else backend
        limits = {"cgroup-memory", "cgroup-tasks"} if engine.is_rootless else set()
    return {*profiles.load("strict").stand_ins[kind]} | limits


def _difference(ours: Any, theirs: Any) -> str:
    if isinstance(ours, set):
        return f"only there {ours - theirs}, only natively {theirs - ours}"
    return f"there {ours}, natively {theirs}"
