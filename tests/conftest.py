"""Where CI promises that a test runs, a skip is a failure; and tests run beside each other.

With TESTS_MAY_NOT_SKIP set (as .ci/run does), every skip whose reason does not match
MAY_BE_SKIPPED fails, also one of a whole file. Hypothesis then tries the same examples each time,
without a deadline for each: what fails in CI must fail again on the desk.

`make test` runs several tests at a time (pytest-xdist), so a test looks only at what is its own: its
folders, its containers, its processes. One that cannot, because it looks at the whole machine or at
a clock, is marked `serial`, and nothing else runs beside it. What takes long to prepare for several
tests is prepared once (tests/scheduler.py). Tests run in another order each time, and what a run
leaves out is data (tests/plan.py).
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import re
import signal
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING
from uuid import uuid4

import psutil
import pytest
from hypothesis import settings

from tests import plan, scheduler

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

    from safe_load.sandbox.backends.native.warm import WarmBackend

_PR_SET_CHILD_SUBREAPER = 36
#: Reasons (regular expressions, matched from the start) for which a test may be skipped in CI too.
MAY_BE_SKIPPED: tuple[str, ...] = (
    "only root may capture packets on the host",
    "only root may run runsc without an engine",
    "only root may change whom the kernel takes first",
    "only root has a mount namespace of its own and the engine's socket at once",
    "hiding processes in /proc takes root",
    "only root may look at gVisor's kernel",
    "only root may mount a file system",
    "a room without namespaces",
    "no node on this machine",
    "no promise of",  # tests/conformance/unpromised.json
)

_FORBIDDEN = bool(os.environ.get("TESTS_MAY_NOT_SKIP"))
if _FORBIDDEN:
    settings.load_profile("ci")  # one of hypothesis' own


# What a shell starts in the background ignores Ctrl-C, and so does all that it starts in turn.
signal.signal(signal.SIGINT, signal.default_int_handler)


# A test that runs a command wants its source opened: what an earlier test recorded is no answer.
os.environ.setdefault("SAFE_LOAD_NO_CACHE", "1")


def pytest_configure(config: pytest.Config) -> None:
    """Have tests put in order, and timed."""
    config.pluginmanager.register(plan, "plan")
    config.pluginmanager.register(scheduler, "scheduler")
    config.pluginmanager.register(plan.Times(), "times")


def _fail_if_skipped(report: pytest.TestReport | pytest.CollectReport) -> None:
    if not (_FORBIDDEN and report.skipped) or hasattr(report, "wasxfail"):
        return
    # A skip's longrepr is (file, line, "Skipped: reason").
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    reason = reason.removeprefix("Skipped: ")
    if not any(re.match(allowed, reason) for allowed in MAY_BE_SKIPPED):
        report.outcome = "failed"
        report.longrepr = f"skipped, and CI promises that it runs: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _fail_if_skipped(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _fail_if_skipped(report)
    return report


#: What a worker of pytest's and the rooms of one test may take of the machine's memory.
_WORKER_BYTES = 2 << 30


def pytest_xdist_auto_num_workers() -> int:
    """How many tests run at a time, if there is memory for them: three on two cores. Most tests of
    rooms wait: of a native room's, one core is busy for a fifth of the time that they take."""
    cores, memory = len(os.sched_getaffinity(0)), psutil.virtual_memory().available
    return max(1, min(cores + cores // 2, memory // _WORKER_BYTES))


@pytest.hookimpl(wrapper=True, tryfirst=True)  # so waiting is none of the test's own time
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, bool, bool]:
    with _turn(item):
        return (yield)


@contextmanager
def _turn(item: pytest.Item) -> Iterator[None]:
    """Hold the others up while a test that is marked `serial` runs, or wait for one."""
    if not hasattr(item.config, "workerinput"):
        yield
        return
    folder: Path = item.config._tmp_path_factory.getbasetemp().parent  # one for all workers
    with ExitStack() as door, (folder / "turn").open("w") as room:
        # Whoever comes waits at the door until the one before is in: so nobody is passed for ever.
        fcntl.flock(door.enter_context((folder / "door").open("w")), fcntl.LOCK_EX)
        fcntl.flock(room, fcntl.LOCK_EX if item.get_closest_marker("serial") else fcntl.LOCK_SH)
        door.close()
        yield


@pytest.fixture(scope="session", autouse=True)
def _terminal() -> Iterator[None]:
    """A terminal of the same size everywhere. What looks at another says so."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "100")
        patch.setenv("LINES", "24")
        yield


@pytest.fixture(scope="session", autouse=True)
def _shared_data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data folder of this session, for what is made for several tests; never the user's."""
    root = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(root / "shared"))
        yield root


@pytest.fixture(autouse=True)
def _data(_shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A data folder of this test: none compares with weights or lists that an earlier one has left."""
    monkeypatch.setenv("XDG_DATA_HOME", str(_shared_data / uuid4().hex))


@pytest.fixture(scope="session")
def _warm_backend() -> Iterator[WarmBackend]:
    from safe_load.core.options import Options
    from safe_load.rooms import choice

    options = Options()
    backend = choice.backend_of(options, choice.profile_of(options), warm=True)
    yield backend
    backend.close()


@pytest.fixture
def warm_room(_warm_backend: WarmBackend, tmp_path_factory: pytest.TempPathFactory) -> WarmBackend:
    """A backend whose warm room is there already: each load is a fork of it. Hostile and honest files
    share it, in any order, and must not notice."""
    from safe_load.loading import pipeline

    from tests.adversarial.craft import honest, saved, write

    rooms = _warm_backend._rooms
    if not rooms or not all(room.lives for room in rooms.values()):
        first = write(tmp_path_factory.mktemp("first"), "m.bin", saved(honest()))
        assert pipeline.scan(str(first), backend=_warm_backend).outcome == "ok"
    return _warm_backend


@pytest.fixture
def orphans(request: pytest.FixtureRequest) -> Iterator[Callable[[], list[str]]]:
    """orphans(): the processes that are below this one and were not when the test began."""
    warm = request.getfixturevalue("warm_room") if "warm_room" in request.fixturenames else None
    rooms = dict(warm._rooms) if warm else {}
    kernel = ctypes.CDLL(None)
    # Whatever outlives its room becomes a child of this process.
    assert kernel.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
    before = _below()

    def left() -> list[str]:
        # A load that is slow to end takes the room with it, and the next has a new one.
        if warm and warm._rooms != rooms:
            warm.close()
        return [f"{process.pid} {process.name()}" for process in _below() - before]

    yield left
    kernel.prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def _below() -> set[psutil.Process]:
    return set(psutil.Process().children(recursive=True))
