"""A wall that does not stand is never passed over in silence."""

from __future__ import annotations

import os
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
    stand_ins = profiles.load("strict").stand_ins.get(house[0].removesuffix("-warm"), {})
    weaker = dict.fromkeys(stand_ins, "weaker")
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


@pytest.mark.parametrize(
    ("house", "handicapped"),
    [*((("native", user), None) for user in rooms.users()), (("warm", rooms.users()[0]), None)],
    indirect=True,
)
def test_without_user_namespaces_the_room_is_broken_and_says_what_to_do(
    handicapped: rooms.Controller,
) -> None:
    ran = handicapped.run("files:out", outputs=1)
    assert_broken(ran)
    assert "namespaces" in ran.result.reason
    assert "safe-load doctor" in ran.result.reason


@pytest.mark.parametrize(
    ("house", "handicapped"),
    [(("choosing", user), None) for user in rooms.users()],
    indirect=True,
)
def test_where_nobody_may_make_namespaces_strict_accepts_the_cell_alone_and_says_so(
    handicapped: rooms.Controller,
) -> None:
    result = handicapped.run("endings:well").result
    assert (result.status, result.tier) == ("ok", "B")
    assert {wall.name for wall in result.walls if wall.state == "weaker"} == (
        {wall for wall in DEMANDED if wall.endswith("-namespace")}
    )


@pytest.mark.parametrize("house", [("choosing", user) for user in rooms.users()], indirect=True)
def test_where_namespaces_can_be_made_strict_uses_them(room: rooms.Controller) -> None:
    result = room.run("endings:well").result
    assert (result.status, result.tier) == ("ok", "A")


@pytest.mark.parametrize(
    ("house", "handicapped"),
    [
        (("choosing", rooms.users()[-1]), call)
        for call in ("pivot_root", "move_mount", "fsopen", "landlock_restrict_self", "seccomp")
    ],
    indirect=True,
)
def test_any_other_failure_than_refused_namespaces_is_no_way_down_to_tier_b(
    handicapped: rooms.Controller,
) -> None:
    ran = handicapped.run("files:out", outputs=1)
    assert_broken(ran)
    assert ran.result.tier == "A"


@pytest.mark.parametrize("house", rooms.ALONE, indirect=True)
@pytest.mark.parametrize("version", [0, 1, 2])
def test_a_landlock_that_does_not_hold_truncation_is_not_enough_for_a_cell_alone(
    room: rooms.Controller, version: int
) -> None:
    ran = room.run("files:out", outputs=1, options={"landlock_abi": version})
    assert_broken(ran)
    assert "Landlock" in ran.result.reason


@pytest.mark.parametrize("house", rooms.ALONE, indirect=True)
@pytest.mark.parametrize("version", [3, 5])
def test_where_landlock_does_not_hold_signals_only_ones_own_go_through(
    room: rooms.Controller, version: int
) -> None:
    ran = room.run(
        "kernel:signal_others",
        {"pids": [room.process.pid, os.getpid(), -1, 1]},
        options={"landlock_abi": version},
    )
    assert ran.value.pop("oneself") == ran.value.pop("own thread") == ""
    assert set(ran.value.values()) == {"EPERM"}, ran.value
    assert ran.events("kill")


@pytest.mark.parametrize("house", rooms.ALONE, indirect=True)
def test_without_namespaces_landlock_holds_signals_to_everybody_else(
    room: rooms.Controller,
) -> None:
    ran = room.run("kernel:signal_others", {"pids": [room.process.pid, os.getpid(), 1]})
    assert ran.value.pop("oneself") == ran.value.pop("own thread") == ""
    assert set(ran.value.values()) == {"EPERM"}, ran.value
