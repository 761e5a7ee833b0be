"""The same file gets the same verdict, the same findings and the same exported bytes, whoever builds
the room.

The native judgement is the warm room's: what a cold one says is test_hostile's and test_honest's.
What is compared, on which backends, and what they show otherwise by their nature: tests/backends.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from safe_load.loading import pipeline

from tests import backends
from tests.adversarial.conftest import PROGRAMS, WARM, Ran, program, scan
from tests.adversarial.test_hostile import assert_rejected, lacking
from tests.integration.honest import architectures, checkpoints

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from safe_load.sandbox.backends.interface import Backend

#: What writing a model warns of is none of a promise's.
pytestmark = pytest.mark.filterwarnings("ignore")

HONEST = checkpoints.CASES | architectures.CASES


@pytest.mark.parametrize(("backend", "name"), backends.cases("hostile", PROGRAMS))
def test_a_hostile_file_is_judged_alike(
    backend: str,
    name: str,
    tmp_path: Path,
    warm_room: Backend,
    orphans: Callable[[], list[str]],
) -> None:
    _require(backend)
    folder = tmp_path / "model"
    folder.mkdir()
    source = program(name).make(folder)
    native = scan(name, folder, source, room=warm_room if name in WARM else None)
    other = scan(name, folder, source, backend)
    assert_rejected(native)
    backends.assert_walls(backend, other.report)
    backends.assert_alike(backend, name, _told(other), _told(native))
    assert orphans() == []


@pytest.mark.parametrize(("backend", "name"), backends.cases("honest", HONEST))
def test_an_honest_file_is_exported_alike(
    backend: str, name: str, tmp_path: Path, warm_room: Backend
) -> None:
    _require(backend)
    (tmp_path / "source").mkdir()
    source, _ = HONEST[name](tmp_path / "source")
    found = {}
    for each in ("native", backend):
        room = warm_room if each == "native" else None
        report = pipeline.load(str(source), tmp_path / each, backends.options(each), backend=room)
        found[each] = backends.judgement(report, exported=backends.digests(tmp_path / each))
    assert found["native"]["outcome"] == "ok"
    assert found["native"]["exported"]
    backends.assert_walls(backend, report)
    backends.assert_alike(backend, name, found[backend], found["native"])


def _told(ran: Ran) -> dict[str, Any]:
    return backends.judgement(ran.report, untouched=ran.untouched, evidence=not lacking(ran))


def _require(backend: str) -> None:
    if reason := backends.missing(backend):
        pytest.skip(reason)
