"""A wall that does not stand is never passed over in silence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import rooms
from safe_load import profiles

if TYPE_CHECKING:
    from collections.abc import Iterator

DEMANDED = profiles.load("strict").walls

#: What an older kernel or a container's own filter may lack.
LACKING = [
    "unshare", "landlock_create_ruleset", "landlock_restrict_self", "seccomp", "pivot_root",
    "mount_setattr", "move_mount", "open_tree", "fsopen", "pidfd_getfd", "pidfd_open", "capset",
    "prlimit64", "sethostname", "setsid",
]  # fmt: skip


def assert_broken(ran: rooms.Ran) -> None:
    """The room is broken, and nothing was opened in it."""
    assert (ran.result.status, ran.result.value) == ("broken", None)
    assert ran.result.reason
    assert ran.outputs == ((0, b""),)
    assert ran.result.sealed is None
    assert ran.result.events == ()


def test_every_wall_that_the_profile_demands_stands(
    room: rooms.Controller, house: tuple[str, str]
) -> None:
    walls = {wall.name: wall.state for wall in room.run("endings:well").result.walls}
    weaker = dict.fromkeys(profiles.load("strict").stand_ins.get(house[0], {}), "weaker")
    expected = dict.fromkeys(DEMANDED, "standing") | weaker
    assert {name: walls.get(name) for name in DEMANDED} == expected


def test_a_room_without_a_demanded_wall_is_broken_and_opens_nothing(room: rooms.Controller) -> None:
    ran = room.run("files:out", profile={"walls": [*DEMANDED, "moat"]}, outputs=1)
    assert_broken(ran)
    assert "moat" in ran.result.reason


@pytest.fixture
def handicapped(
    request: pytest.FixtureRequest, house: tuple[str, str]
) -> Iterator[rooms.Controller]:
    """A controller on a kernel that lacks a system call, or user namespaces (None)."""
    backend, user = house
    lacking: str | None = request.param
    command = (
        rooms.command(user, lacking=(lacking,))
        if lacking
        else rooms.command(user, namespaces=False)
    )
    controller = rooms.Controller(command, backend)
    yield controller
    controller.close()


@pytest.mark.parametrize(
    ("house", "handicapped"),
    [
        *((rooms.ANY, call) for call in LACKING),
        *(
            (("warm", rooms.users()[0]), call)
            for call in ("unshare", "landlock_restrict_self", "seccomp")
        ),
    ],
    indirect=True,
)
def test_a_wall_that_the_kernel_cannot_build_makes_the_room_broken(
    handicapped: rooms.Controller,
) -> None:
    assert_broken(handicapped.run("files:out", outputs=1))
    assert rooms.descendants(handicapped.process.pid) == {}


@pytest.mark.parametrize("handicapped", [None], indirect=True, ids=["no user namespaces"])
def test_without_user_namespaces_the_room_is_broken_and_says_what_to_do(
    handicapped: rooms.Controller,
) -> None:
    if handicapped.backend in rooms.IN_CONTAINERS:
        pytest.skip("the engine makes the namespaces")
    ran = handicapped.run("files:out", outputs=1)
    assert_broken(ran)
    assert "namespaces" in ran.result.reason
    assert "safe-load doctor" in ran.result.reason
