"""What recorded calls and the files' own words amount to."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from safe_load.core.report import Decoy, Egress, Event, Origin
from safe_load.export.extracted import Extracted, ExtractedFile, NamedCallable
from safe_load.judge import behaviour, coverage, files
from safe_load.profiles import rules
from safe_load.rooms.decoys import Decoys

from tests.unit.judge.weighing import found


def event(syscall: str, decision: Any = "allowed", **args: Any) -> Event:
    return Event(
        t=1.0, stage="detonate", pid=2, comm="worker", syscall=syscall, args=args, decision=decision
    )


# What was recorded


@pytest.mark.parametrize(
    "path",
    [
        "/proc/mounts",
        "/sys/devices/system/cpu/possible",
        "/usr/lib/x86_64-linux-gnu/libgomp.so.1",
        "/root/.pyenv/versions/3.11.7/lib/libz.so.1",
        "/home/me/miniconda3/lib/libstdc++.so.6",
        "/tmp/torch_x",
    ],
)
def test_what_honest_loads_read_is_no_finding(path: str) -> None:
    assert found(event("openat", path=path, flags="O_RDONLY")) == []


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/home/ubuntu/.ssh/id_rsa", ("SL301", "high")),
        ("/proc/self/environ", ("SL301", "high")),
        ("/proc/1/environ", ("SL301", "high")),
        ("/etc/shadow", ("SL301", "high")),
        ("/home/ubuntu", ("SL303", "medium")),
        ("/srv/data.csv", ("SL303", "medium")),
        ("/etc/machine-id", ("SL303", "low")),
        ("/home/ubuntu/.matplotlib", ("SL303", "low")),
    ],
)
def test_what_no_load_needs_to_read_is_one(path: str, expected: tuple[str, str]) -> None:
    assert found(event("openat", path=path, flags="O_RDONLY")) == [expected]


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (event("openat", path="/etc/cron.d/x", flags="O_WRONLY|O_CREAT"), ("SL302", "medium")),
        (event("rename", old="/tmp/x", new="/usr/lib/x.so"), ("SL302", "medium")),
        (event("symlink", target="/etc", path="/home/ubuntu/x"), ("SL302", "medium")),
        (event("mkdir", path="/home/ubuntu/.cache/x"), ("SL302", "low")),
        (event("execve", "denied", path="/bin/sh", argv=["sh", "-c", "id"]), ("SL101", "high")),
        (
            event(
                "connect", "denied", to={"family": "AF_INET", "address": "203.0.113.7", "port": 80}
            ),
            ("SL201", "high"),
        ),
        (
            event("connect", "denied", to={"family": "AF_UNIX", "address": "/run/docker.sock"}),
            ("SL203", "medium"),
        ),
        (
            event("bind", address={"family": "AF_INET", "address": "0.0.0.0", "port": 80}),
            ("SL203", "medium"),
        ),
        (event("socket", "denied", family="AF_PACKET"), ("SL203", "medium")),
        (event("ptrace", "denied", request=0), ("SL401", "high")),
        (event("prctl", "denied", option=4), ("SL401", "medium")),
    ],
)
def test_what_no_load_does_is_a_finding(call: Event, expected: tuple[str, str]) -> None:
    assert found(call) == [expected]


@pytest.mark.parametrize(
    "call",
    [
        event("openat", path="/tmp/x", flags="O_WRONLY|O_CREAT"),
        event("mkdir", path="/tmp/x"),
        event("mbind", "denied"),
        event("socket", "denied", family="AF_NETLINK"),
        event("connect", "denied", to={"family": "AF_UNIX", "address": "/var/run/nscd/socket"}),
        event("bind", address={"family": "AF_UNIX", "address": "@x"}),
        event("openat", path=None, flags="O_RDONLY"),
        event("connect", "denied", to=None),
    ],
)
def test_what_honest_libraries_try_is_no_finding(call: Event) -> None:
    assert found(call) == []


def test_equal_findings_are_one_with_all_their_evidence() -> None:
    read = event("openat", path="/etc/shadow", flags="O_RDONLY")
    (one,) = behaviour.behaviour([read, event("mbind", "denied"), read]).findings
    assert one.evidence == [0, 2]


# The baseline


@pytest.mark.parametrize("path", rules("baseline")["reads"]["recorded"])
def test_what_the_baseline_recorded_is_no_finding(path: str) -> None:
    assert found(event("openat", path=path, flags="O_RDONLY")) == []


def test_an_honest_load_makes_no_call_that_is_refused() -> None:
    assert rules("baseline")["calls"]["refused"] == []


def test_a_record_that_lost_something_is_a_finding() -> None:
    assert [each.severity for each in behaviour.record(dropped=1)] == ["medium"]
    assert behaviour.record(dropped=0) == []


def test_a_file_of_which_the_worker_says_nothing_is_a_finding() -> None:
    (each,) = coverage.account(["a.bin", "b.bin"], ["a.bin"])
    assert (each.id, each.severity, each.location) == ("SL601", "high", "b.bin")


def test_what_happened_is_told_with_the_call_that_it_came_from() -> None:
    call = NamedCallable("os.system", "REDUCE", "x/data.pkl", 17, "('curl x',)", called=True)
    seen = behaviour.behaviour(
        [event("execve", "denied", path="/bin/sh", argv=["sh", "-c", "curl x"])]
    ).findings
    extracted = Extracted([ExtractedFile("m.bin", "torch-zip", "ok", callables=[call])])
    (joined,) = files.joined(seen, extracted)
    assert "The call came from m.bin: os.system at byte 17 of x/data.pkl" in joined.detail
    assert joined.origin == Origin("m.bin", "x/data.pkl", 17, None, "os.system")


def test_a_decoy_is_listed_where_it_was_opened_and_where_it_was_sent() -> None:
    decoys = Decoys(marks={"MARK": "an SSH key"}, titles={"/k": "an SSH key", "/other": "a .netrc"})
    to = {"family": "AF_INET", "address": "203.0.113.7", "port": 80}
    heard = [Egress(1.0, "tcp", "203.0.113.7", 80, None, text, 9) for text in ("x MARK", "y")]
    events = [event("openat", path="/k", flags="O_RDONLY"), event("connect", "redirected", to=to)]
    seen = behaviour.behaviour(events, heard, decoys)
    assert seen.decoys == [Decoy("/k", "an SSH key")]
    assert [each.carries for each in seen.egress] == [["an SSH key"], []]


def test_of_several_calls_a_program_came_from_the_one_that_names_it() -> None:
    calls = [
        NamedCallable(
            "os.system", "REDUCE", "x/data.pkl", 17, "('curl //x.example/',)", called=True
        ),
        NamedCallable("os.remove", "REDUCE", "x/data.pkl", 99, "('/srv/data',)", called=True),
    ]
    argv = ["sh", "-c", "curl //x.example/"]
    seen = behaviour.behaviour([event("execve", "denied", path="/bin/sh", argv=argv)]).findings
    extracted = Extracted([ExtractedFile("m.bin", "torch-zip", "ok", callables=calls)])
    (joined,) = files.joined(seen, extracted)
    assert "The call came from m.bin: os.system at byte 17 of x/data.pkl" in joined.detail


def test_a_program_in_an_archive_that_something_imports_by_itself_is_told_first() -> None:
    names = [f"a{number}.py" for number in range(60)]
    names += ["model.tar/m/sitecustomize.py", "m/torch.py", "m/code/utils/types.py"]
    carried = [("SL502", f"holds the program '{name}', which was not run") for name in names]
    file = ExtractedFile("a.tar.gz", "tar", "ok", carried=carried)  # type: ignore[arg-type]
    found = list(files._of_file(file, False, frozenset()))
    assert [each.severity for each in found] == ["medium"] * 2 + ["low"] * 48


def test_a_program_that_a_grave_call_is_given_is_told_once() -> None:
    code = "'\\nimport os\\nos.system(1)'"
    carried = f"holds a text that is a Python program and calls os.system: {code}; loading the file does not run it"
    called = NamedCallable(
        "builtins.exec", "REDUCE", arguments=f"({code},)", called=True, use="call"
    )
    file = ExtractedFile("a.bin", "pickle", "ok", callables=[called], carried=[("SL506", carried)])

    def found(given: ExtractedFile) -> list[str]:
        return [each.id for each in files._of_file(given, False, frozenset())]

    assert found(file) == ["SL501"]
    assert found(msgspec.structs.replace(file, callables=[])) == ["SL506"]  # nothing runs it
    other = msgspec.structs.replace(called, arguments="('print(1)',)")
    assert found(msgspec.structs.replace(file, callables=[other])) == ["SL501", "SL506"]
