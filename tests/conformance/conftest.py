"""Fixtures of the conformance suite: one room for one promise, for every backend and kind of user.

docs/conformance.md says how a backend from elsewhere is proven.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import containers
import rooms

from tests import plan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Backend -> the kinds of user that it is proven for.
BACKENDS = {
    "native": rooms.users(),
    "native-b": rooms.users(),
    # Which user runs a warm room makes no difference to it but the one that `native` proves.
    "warm": rooms.users()[:1],
    # ptrace in the place of notification, as in gVisor's kernel.
    "traced": rooms.users()[-1:],
    "docker": rooms.users(),
    "docker-warm": rooms.users()[:1],
    "gvisor": rooms.users()[-1:],
}

#: Backend -> test -> why that promise cannot be asked of it. A test is skipped for nothing else.
UNPROMISED: dict[str, dict[str, str]] = json.loads((rooms.HERE / "unpromised.json").read_text())
if rooms.THEIRS:
    if rooms.LIKE not in BACKENDS:
        raise pytest.UsageError(f"CONFORMANCE_LIKE must be one of {', '.join(BACKENDS)}")
    theirs = Path(rooms.UNPROMISED).read_text() if rooms.UNPROMISED else "{}"
    BACKENDS = {rooms.LIKE: BACKENDS[rooms.LIKE]}
    UNPROMISED = {rooms.LIKE: UNPROMISED.get(rooms.LIKE, {}) | json.loads(theirs)}

Started = dict[tuple[str, str], rooms.Controller]


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Rooms are built on Linux only; the programs are no tests."""
    return True if platform.system() != "Linux" or collection_path.name == "programs" else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if rooms.THEIRS:
        others = [item for item in items if not _is_theirs(item)]
        items[:] = [item for item in items if _is_theirs(item)]
        config.hook.pytest_deselected(items=others)
    else:
        _sample(config, items)
    for item in items:
        if isinstance(item, pytest.Function) and hasattr(item, "callspec"):
            backend, user = _house(item)
            which = item.callspec.id.removeprefix(f"{backend}-{user}").lstrip("-")
            reasons = UNPROMISED.get(backend, {})
            reason = reasons.get(item.originalname) or reasons.get(f"{item.originalname}[{which}]")
            if reason is not None:
                item.add_marker(pytest.mark.skip(reason=f"no promise of {backend}: {reason}"))


def _sample(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave a sample of what kinds of container have in common; whole with TESTS_WHOLE=containers.

    Plain ones are asked for everything, as an ordinary user: CI does not ask them again as another.
    Native ones are asked for everything as an ordinary user in root's tests; the clone of CI's own user
    asks for a sample once more."""
    if os.environ.get("TESTS_MAY_NOT_SKIP") and rooms.users() == ["root"]:
        raise pytest.UsageError(
            "no Python here that an ordinary user can run: apt-get install python3-venv"
        )
    left, others = [], []
    for item in items:
        kind, user = _house(item)
        # `warm` and `traced` are of one kind of user each, whom `native` is proven for besides.
        if kind in ("warm", "traced") or (
            kind in ("native", "native-b")
            and user == "self"
            and not plan.sampled(item.name.replace(f"{kind}-{user}", ""))
        ):
            item.add_marker("anyone")
        if (
            kind not in rooms.IN_CONTAINERS
            or plan.whole("containers")
            or plan.sampled(item.name.replace(f"{kind}-{user}", ""))
        ):
            left.append(item)
        elif (kind, user) == ("docker", rooms.users()[-1]):
            item.add_marker("anyone")
            left.append(item)
        else:
            others.append(item)
    items[:] = left
    config.hook.pytest_deselected(items=others)


def _house(item: pytest.Item) -> tuple[str, str]:
    """The backend and the kind of user that a test is of; empty where it is of no one's."""
    params = item.callspec.params if hasattr(item, "callspec") else {}
    return params.get("house", ("", ""))


def _is_theirs(item: pytest.Item) -> bool:
    """Whether a test asks for a promise of the backend that is to be proven."""
    return _house(item)[0] == rooms.LIKE


@pytest.fixture(scope="session")
def _started() -> Iterator[Started]:
    """Controllers that serve one test after the other: starting Python takes longer than a room."""
    started: Started = {}
    yield started
    for controller in started.values():
        controller.close()


@pytest.fixture(
    scope="session",
    params=[(backend, user) for backend, users in BACKENDS.items() for user in users],
    ids="-".join,
)
def house(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Each backend in turn, as each kind of user."""
    backend, user = request.param
    if backend in rooms.IN_CONTAINERS and (reason := containers.missing()):
        pytest.skip(reason)
    return str(backend), str(user)


@pytest.fixture(scope="session")
def user(house: tuple[str, str]) -> str:
    """Who builds the rooms: "root", "user" (an ordinary one, in root's tests), "self"."""
    return house[1]


@pytest.fixture
def room(house: tuple[str, str], _started: Started) -> rooms.Controller:
    """A controller that runs jobs, each in a fresh room: `room.run("module:function", {...})`."""
    controller = _started.get(house)
    # A test that failed may have left a job behind, whose answer the next would take for its own.
    if controller is None or controller.is_busy or controller.process.poll() is not None:
        if controller is not None:
            controller.close()
        controller = _started[house] = rooms.controller(house)
    return controller


@pytest.fixture
def shared_path() -> Iterator[Path]:
    """A folder that every user may enter, which pytest's own are not."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def own_controller(house: tuple[str, str]) -> Iterator[Callable[..., rooms.Controller]]:
    """Makes controllers of this test's own, to be killed."""
    made: list[rooms.Controller] = []

    def make(environment: dict[str, str] | None = None) -> rooms.Controller:
        made.append(rooms.controller(house, environment))
        return made[-1]

    yield make
    for controller in made:
        controller.close()
