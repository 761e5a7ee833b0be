"""The posture of a room at work, collected from outside and compared with the one expected."""

# ruff: noqa: PTH115
from __future__ import annotations

import contextlib
import json
import os
import re
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import rooms

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

EXPECTED: dict[str, Any] = json.loads((rooms.HERE / "posture.json").read_text())


@pytest.fixture(scope="module")
def posture(house: tuple[str, str]) -> dict[str, Any]:
    """What is expected of that backend: its own entry, over what holds for all."""
    expected = EXPECTED
    backend, user = house
    family = backend.removesuffix("-warm")
    for name in dict.fromkeys((family, backend, f"{backend}-{user}")):
        own = EXPECTED.get(name, {})
        expected = {
            name: {**value, **own.get(name, {})}
            if isinstance(value, dict)
            else own.get(name, value)
            for name, value in expected.items()
        }
    return expected


class Seen:
    """A room whose worker sleeps, with a thread and a child; `proc` of its processes."""

    def __init__(self, controller: rooms.Controller, model: Path) -> None:
        controller.start(
            "kernel:hold", files={model: "/model/w.bin"}, outputs=1, output_limit=16 << 20
        )
        self.worker = rooms.sealed_worker(controller)
        self.below = rooms.descendants(controller.process.pid)

    def all_of(self, name: str) -> list[int]:
        return [pid for pid, of in self.below.items() if of == name]


@pytest.fixture(scope="module")
def seen(house: tuple[str, str]) -> Iterator[Seen]:
    """One room for all that is only looked at."""
    controller = rooms.controller(house)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        model = Path(folder) / "w.bin"
        model.write_bytes(b"weights")
        yield Seen(controller, model)
    controller.close()


def status(pid: int, thread: int | None = None) -> dict[str, str]:
    path = Path(f"/proc/{pid}/status" if thread is None else f"/proc/{pid}/task/{thread}/status")
    return {
        name: value.strip()
        for name, _, value in (line.partition(":") for line in path.read_text().splitlines())
    }


def assert_holds(expected: dict[str, str | None], found: dict[str, str]) -> None:
    """expected: None where it is the machine's and not ours."""
    expected = {name: value for name, value in expected.items() if value is not None}
    assert {name: found.get(name) for name in expected} == expected


def test_every_thread_of_the_worker_and_its_children_has_given_up_everything(
    seen: Seen, house: tuple[str, str], posture: dict[str, Any]
) -> None:
    workers = seen.all_of("worker")
    (supervisor,) = seen.all_of("supervisor")
    tracer = {"TracerPid": str(supervisor) if house[0] == "traced" else "0"}
    assert len(workers) == 2
    threads = [
        (pid, int(task.name)) for pid in workers for task in Path(f"/proc/{pid}/task").iterdir()
    ]
    assert len(threads) == 3
    for pid, thread in threads:
        assert_holds({**posture["worker"], **tracer}, status(pid, thread))


def test_the_supervisor_keeps_what_it_needs_and_no_more(
    seen: Seen, posture: dict[str, Any]
) -> None:
    (supervisor,) = seen.all_of("supervisor")
    assert_holds(posture["supervisor"], status(supervisor))


def test_the_worker_is_a_user_without_rights(seen: Seen, house: tuple[str, str]) -> None:
    backend, user = house
    nobody = 65532 if backend in rooms.IN_CONTAINERS else 65534
    expected = {"root": nobody, "user": rooms.ORDINARY, "self": os.geteuid()}[user]
    found = status(seen.worker)
    assert found["Uid"].split() == [str(expected)] * 4
    groups = {"root": str(nobody), "user": str(rooms.ORDINARY), "self": str(os.getegid())}[user]
    assert found["Gid"].split() == [groups] * 4
    if user != "self":
        assert found["Groups"] in ("", groups)
    if backend in (*rooms.IN_CONTAINERS, "native-b"):
        return  # no user namespace; no capability either, without which no group can be had
    assert Path(f"/proc/{seen.worker}/setgroups").read_text().strip() == "deny"


def test_the_worker_shares_no_namespace_with_the_host(seen: Seen, posture: dict[str, Any]) -> None:
    ours = {name: os.readlink(f"/proc/self/ns/{name}") for name in posture["namespaces"]}
    theirs = {name: os.readlink(f"/proc/{seen.worker}/ns/{name}") for name in posture["namespaces"]}
    assert [name for name in ours if ours[name] == theirs[name]] == []


@pytest.mark.parametrize("house", rooms.ALONE, indirect=True)
def test_a_worker_without_namespaces_is_a_child_of_the_supervisor_which_adopts_its_orphans(
    seen: Seen,
) -> None:
    (supervisor,) = seen.all_of("supervisor")
    assert rooms.descendants(supervisor).keys() == set(seen.all_of("worker"))


def test_the_worker_has_only_the_descriptors_that_it_was_given(seen: Seen) -> None:
    assert _descriptors(seen.worker) == EXPECTED["worker descriptors"]


def test_the_supervisor_has_only_the_descriptors_that_it_needs(
    seen: Seen, house: tuple[str, str]
) -> None:
    (supervisor,) = seen.all_of("supervisor")
    if house[1] == "self":  # it is hidden from its own user too: only root can look
        with pytest.raises(PermissionError):
            _descriptors(supervisor)
    else:
        assert _descriptors(supervisor) == EXPECTED["supervisor descriptors"][house[0]]


def _descriptors(pid: int) -> list[str]:
    """What the process holds open all the time: the supervisor's watch opens files for a moment."""
    found = _open_now(pid)
    for _ in range(5):
        time.sleep(0.007)
        now = _open_now(pid)
        found = {number: name for number, name in found.items() if now.get(number) == name}
    return _plain(found.values())


def _open_now(pid: int) -> dict[str, str]:
    found = {}
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found[entry.name] = os.readlink(entry)
    return found


def _plain(found: Iterable[str]) -> list[str]:
    return sorted(
        "pipe" if name.startswith("pipe:") else "output" if _is_output(name) else name
        for name in found
    )


def _is_output(name: str) -> bool:
    # The controller knows no TMPDIR of ours.
    return name.endswith(" (deleted)") or name.startswith(
        ("/outputs/", "/tmp/", tempfile.gettempdir())
    )


def test_no_writable_mapping_of_the_worker_can_be_executed(seen: Seen) -> None:
    maps = Path(f"/proc/{seen.worker}/maps").read_text().splitlines()
    assert [line for line in maps if "wx" in line.split()[1]] == []


def test_the_mounts_are_those_that_are_expected_with_the_flags_that_are_expected(
    seen: Seen, house: tuple[str, str], posture: dict[str, Any]
) -> None:
    if house in rooms.ALONE:
        pytest.skip(rooms.NO_NAMESPACES)
    wrong = []
    targets = set()
    for line in Path(f"/proc/{seen.worker}/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        target, flags = before.split()[4:6]
        kind = after.split()[0]
        targets.add(target)
        kept = ",".join(
            flag for flag in flags.split(",") if flag in ("ro", "rw", "nosuid", "nodev", "noexec")
        )
        rows = [row for row in posture["mounts"] if re.fullmatch(row[0], target)]
        if not any(re.fullmatch(row[1], kind) and re.fullmatch(row[2], kept) for row in rows):
            wrong.append((target, kind, kept))
        if kind == "proc" and house[0] not in rooms.IN_CONTAINERS:
            assert {"subset=pid", "hidepid=invisible"} <= set(after.split()[2].split(","))
    assert wrong == []
    model = "/model" if house[0] == "docker-warm" else "/model/w.bin"
    assert {"/", "/tmp", "/proc", model} <= targets


def test_the_limits_are_those_that_are_expected(seen: Seen, posture: dict[str, Any]) -> None:
    found = {}
    for line in Path(f"/proc/{seen.worker}/limits").read_text().splitlines()[1:]:
        soft, hard = line[26:].split()[:2]
        found[line[:26].strip()] = (soft, hard)
    for name, most in posture["limits"].items():
        if most is None:  # held by something else
            continue
        for value in found[name]:
            # 1 more where Linux rounds; less where the machine's own limit is lower.
            assert value != "unlimited", name
            assert int(value) <= most + 1, name


def test_environment_and_working_directory_are_neutral(seen: Seen, posture: dict[str, Any]) -> None:
    environment = Path(f"/proc/{seen.worker}/environ").read_bytes()
    names = {each.partition(b"=")[0].decode() for each in environment.split(b"\0") if each}
    assert names <= set(posture["environment"])
    assert rooms.SECRET.encode() not in environment
    assert os.readlink(f"/proc/{seen.worker}/cwd") == "/"
    assert rooms.SECRET.encode() not in Path(f"/proc/{seen.worker}/cmdline").read_bytes()


def test_the_network_namespace_holds_only_loopback(seen: Seen, house: tuple[str, str]) -> None:
    if house in rooms.ALONE:
        pytest.skip(rooms.NO_NAMESPACES)
    lines = Path(f"/proc/{seen.worker}/net/dev").read_text().splitlines()[2:]
    assert [line.split(":")[0].strip() for line in lines] == ["lo"]
