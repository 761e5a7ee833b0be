"""Every limit of the profile holds for everything inside together, and says that it was hit."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
import rooms

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1 << 20


def assert_limit(ran: rooms.Ran, word: str) -> None:
    result = ran.result
    assert (result.status, result.value) == ("limit", None), (result.reason, result.output[-500:])
    assert word in result.reason


@pytest.mark.serial
@pytest.mark.parametrize("program", ["spin", "family"])
def test_the_time_limit_ends_everything_inside(room: rooms.Controller, program: str) -> None:
    ran = room.run(f"hogs:{program}", limits={"timeout": 0.5})
    assert_limit(ran, "time limit")
    assert ran.took_s < 10  # a room that is not ended runs until the controller is
    assert rooms.descendants(room.process.pid) == {}


@pytest.mark.serial
def test_the_time_limit_holds_in_a_storm_of_recorded_calls(room: rooms.Controller) -> None:
    ran = room.run("hogs:storm", limits={"timeout": 0.5, "memory": 4096 * MIB, "events": 100})
    assert_limit(ran, "time limit")
    assert ran.took_s < 10  # as above
    assert not ran.result.complete
    assert ran.result.dropped > 0


@pytest.mark.parametrize("processes", [1, 16])
def test_the_memory_limit_holds_for_all_processes_together(
    room: rooms.Controller, processes: int
) -> None:
    argument = {"processes": processes, "each": 512 * MIB // processes}
    ran = room.run("hogs:memory", argument, limits={"memory": 256 * MIB})
    assert_limit(ran, "memory limit")
    assert ran.result.peak_memory > 256 * MIB


def test_the_memory_limit_holds_for_threads_whose_process_has_lost_its_head(
    room: rooms.Controller,
) -> None:
    ran = room.run("hogs:headless", {"each": 512 * MIB}, limits={"memory": 256 * MIB})
    assert_limit(ran, "memory limit")


def test_memory_cannot_be_shared_out_of_the_watchs_sight(room: rooms.Controller) -> None:
    assert all(room.run("hogs:shared").value.values())


def test_a_mapped_scratch_file_counts_where_it_is_mapped(
    room: rooms.Controller, house: tuple[str, str]
) -> None:
    if house in rooms.ALONE:
        pytest.skip(f"{rooms.NO_NAMESPACES}: its scratch folder is the host's, and no memory")
    argument = {"processes": 2, "each": 256 * MIB}
    limits = {"memory": 128 * MIB, "scratch": 1024 * MIB}
    assert_limit(room.run("hogs:mapped_scratch", argument, limits=limits), "memory limit")


def test_page_tables_count_as_memory(room: rooms.Controller) -> None:
    argument = {"processes": 8, "each": 16384}
    ran = room.run("hogs:page_tables", argument, limits={"memory": 256 * MIB})
    assert_limit(ran, "memory limit")


@pytest.mark.serial
def test_the_queues_of_sockets_are_bounded_together(room: rooms.Controller) -> None:
    before = _slab_and_queues()
    room.start("hogs:sockets", {"processes": 8, "hold": 0.5}, limits={"memory": 256 * MIB})
    most = 0
    while not room.has_answered(0.02):
        most = max(most, _slab_and_queues() - before)
    assert_limit(room.answer(), "memory limit")
    # In gVisor its kernel holds them, and the container's bound is what the job may have and 1 GiB.
    bound = (2048 if room.backend == "gvisor" else 1024) * MIB
    assert most < bound, f"{most >> 20} MiB of the kernel's memory that no limit counted"


def _slab_and_queues() -> int:
    """Bytes of memory that is gone and not in the page cache."""
    with open("/proc/meminfo", encoding="ascii") as file:
        fields = {line.split(":")[0]: int(line.split()[1]) << 10 for line in file}
    return fields["MemTotal"] - fields["MemAvailable"]


@pytest.mark.parametrize("program", ["bomb", "threads"])
def test_the_process_limit_ends_a_bomb(room: rooms.Controller, program: str) -> None:
    ran = room.run(f"hogs:{program}", limits={"processes": 64, "memory": 4096 * MIB})
    assert_limit(ran, "process limit")
    assert rooms.descendants(room.process.pid) == {}


def test_the_process_limit_holds_where_no_rlimit_does(
    room: rooms.Controller, user: str, shared_path: Path
) -> None:
    # A file that only root may read makes root's worker root outside, whom RLIMIT_NPROC does not bind.
    model = shared_path / "w.bin"
    model.touch(mode=0o600)
    if user == "user":
        os.chown(model, rooms.ORDINARY, rooms.ORDINARY)
    limits = {"processes": 64, "memory": 4096 * MIB}
    assert_limit(
        room.run("hogs:bomb", files={model: "/model/w.bin"}, limits=limits), "process limit"
    )


def test_an_output_cannot_grow_past_its_limit(room: rooms.Controller) -> None:
    size = 16 * MIB
    ran = room.run("hogs:large_file", {"size": size}, outputs=1, output_limit=size)
    assert set(ran.value.values()) == {"EFBIG"}
    assert ran.outputs[0][0] == size


@pytest.mark.parametrize("die", [False, True], ids=["raises", "dies"])
def test_a_worker_that_runs_into_its_outputs_limit_hit_a_limit(
    room: rooms.Controller, die: bool
) -> None:
    ran = room.run("hogs:keep_writing", {"die": die}, outputs=1, output_limit=16 * MIB)
    assert_limit(ran, "disk limit")
    assert ran.outputs[0][0] == 16 * MIB


def test_the_scratch_folder_is_bounded_in_bytes_and_in_files(
    room: rooms.Controller, house: tuple[str, str]
) -> None:
    if house in rooms.ALONE:
        pytest.skip(f"{rooms.NO_NAMESPACES}: nothing but the watch bounds its scratch folder")
    ran = room.run("hogs:scratch", limits={"scratch": 4 * MIB, "scratch_files": 100})
    assert ran.value["full"] in ("ENOSPC", "EFBIG")
    assert ran.value["no more"] == "ENOSPC"
    assert 0 < ran.value["size"] <= 4 * MIB
    assert 0 < ran.value["files"] <= 100


@pytest.mark.parametrize("house", rooms.ALONE, indirect=True)
@pytest.mark.parametrize(
    "way", ["files", "names", "removed", "mapped", "sent", "apart", "headless"]
)
def test_without_namespaces_the_watch_bounds_the_scratch_folder(
    room: rooms.Controller, way: str
) -> None:
    limits = {"scratch": 16 * MIB, "scratch_files": 100}
    ran = room.run("hogs:crowd_scratch", {"way": way, "each": 8 * MIB}, limits=limits)
    assert_limit(ran, "disk limit")
    assert rooms.descendants(room.process.pid) == {}


@pytest.mark.parametrize("house", rooms.ALONE, indirect=True)
def test_without_namespaces_no_thread_has_descriptors_of_its_own(room: rooms.Controller) -> None:
    ran = room.run("hogs:a_thread_with_its_own_descriptors")
    assert ran.value["met"] == "EAGAIN"
    assert [event.decision for event in ran.events("clone")] == ["denied"]


def test_a_worker_that_fills_the_scratch_folder_hit_a_limit(room: rooms.Controller) -> None:
    assert_limit(room.run("hogs:fill_scratch"), "disk limit")


def test_open_files_are_bounded(room: rooms.Controller) -> None:
    ran = room.run("hogs:descriptors", limits={"open_files": 64})
    assert ran.value["met"] == "EMFILE"
    assert ran.value["opened"] < 64


def test_a_result_that_is_too_large_is_a_limit(room: rooms.Controller) -> None:
    ran = room.run("hogs:result", {"size": 3 * MIB}, limits={"result": 2 * MIB})
    assert_limit(ran, "result limit")


def test_a_result_of_65_megabytes_is_a_limit_by_default(room: rooms.Controller) -> None:
    assert_limit(room.run("hogs:result", {"size": 65 * MIB}), "result limit")


def test_what_is_printed_is_kept_bounded_from_its_end(room: rooms.Controller) -> None:
    ran = room.run("hogs:chatter", {"size": 32 * MIB})
    assert ran.value == {}
    assert len(ran.result.output) <= 64 << 10
    assert ran.result.output.endswith("the last word")


def test_a_flood_of_events_is_bounded_and_says_that_it_is_incomplete(
    room: rooms.Controller,
) -> None:
    ran = room.run("hogs:events", {"count": 500}, limits={"events": 100})
    assert len(ran.result.events) <= 100
    assert not ran.result.complete
    assert ran.result.dropped >= 400
    assert ran.result.syscalls["openat"][0] >= 500


def test_a_flood_of_allowed_calls_does_not_hide_a_refused_one(room: rooms.Controller) -> None:
    ran = room.run("hogs:events", {"count": 500}, limits={"events": 100})
    (event,) = ran.events("execve")
    assert event.args["argv"] == ["hidden", "behind", "the", "flood"]


def test_events_are_bounded_in_bytes_too(room: rooms.Controller) -> None:
    ran = room.run("hogs:fat_events", {"count": 250})
    assert ran.result.status == "ok"
    size = sum(len(str(event.args)) for event in ran.result.events)
    assert size < 64 * MIB
    assert ran.result.dropped > 0 or len(ran.events("execve")) == 250


def test_equal_events_are_told_once_and_counted(room: rooms.Controller) -> None:
    ran = room.run("hogs:same_event", {"count": 200})
    (event,) = ran.events("openat", path="/nowhere/at-all")
    assert event.count == 200
    assert ran.result.complete


@pytest.mark.serial
def test_a_recorded_call_costs_little(room: rooms.Controller) -> None:
    count = 2000
    times: dict[str, Any] = room.run("hogs:measure", {"count": count}).value
    each = (times["notified"] - times["silent"]) / count
    assert each < 0.002, f"{each * 1e6:.0f} us for each recorded call"
