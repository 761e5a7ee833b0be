"""What crosses the border of a room comes out as it went in, or is refused with the field's name."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safe_load.sandbox import code, protocol
from safe_load.sandbox.containment import Containment

from tests.unit.sandbox.ordered import order

if TYPE_CHECKING:
    from collections.abc import Callable


MESSAGES: tuple[protocol.Message, ...] = (
    protocol.Wall("landlock", "standing", "ABI 7"),
    protocol.Refused(),
    protocol.Supervisor(17),
    protocol.Shown("/model/a", "00" * 32),
    protocol.Ask(),
    protocol.Sealed(1.5, ("/usr/", "/model/")),
    protocol.Event(
        t=1.0,
        stage="load",
        pid=2,
        ppid=1,
        comm="worker",
        syscall="openat",
        args={"path": "/a", "flags": ["O_RDONLY"]},
        decision="denied",
        errno="EPERM",
    ),
    protocol.Call(t=1.0, stage="load", pid=2, syscall="read", args={}, decision="allowed"),
    protocol.Egress(
        t=1.0, protocol="tcp", address="192.0.2.1", port=9, domain=None, preview="x", size=1
    ),
    protocol.End(status="ok", reason="", syscalls={"read": (1, 0)}, repeated={3: 4}, cpu_s=1),
)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda each: type(each).__name__)
def test_a_message_comes_out_as_it_went_in(message: protocol.Message) -> None:
    assert protocol.read_message(json.loads(protocol.write(message))) == message


def test_every_kind_of_message_is_tried_above() -> None:
    assert {type(each) for each in MESSAGES} == set(get_args(protocol.Message))


def test_an_order_comes_out_as_it_went_in() -> None:
    wanted = order(
        files=(protocol.File("/host/a", "/model/a", (1, 2)), protocol.File("", "/model/b")),
        folders=(("/usr/lib", "/usr/lib"),),
        links={"/lib": "usr/lib"},
        containment=Containment(kernel="gvisor", notifies=False),
        mark="/sealed",
    )
    assert protocol.read_order(protocol.HostOrder, protocol.write_order(wanted)) == wanted
    warming = protocol.Warming(entries=("job:main",), idle=120.0)
    first = protocol.WarmHostOrder(base=wanted, warming=warming)
    assert protocol.read_order(protocol.WarmHostOrder, protocol.write_order(first)) == first


#: How an order is spoilt -> what is said of it.
SPOILT: dict[str, Callable[[dict[str, Any]], object]] = {
    "limits.memory: an integer is needed": lambda each: each["limits"].update(memory="8GiB"),
    "limits.memory: it is missing": lambda each: each["limits"].pop("memory"),
    "limits.more: no such field": lambda each: each["limits"].update(more=1),
    "stage: text is needed": lambda each: each.update(stage=3),
    "separate_user: true or false is needed": lambda each: each.update(separate_user=1),
    "walls: a list is needed": lambda each: each.update(walls="seccomp"),
    "files[1].target: text is needed": lambda each: each["files"][1].update(target=None),
    "folders[0]: a list of 2 is needed": lambda each: each["folders"][0].append("/c"),
    "policy.program: hexadecimal text": lambda each: each["policy"].update(program="xyz"),
    "policy.names: its keys are not integers": lambda each: each["policy"].update(names={"a": "b"}),
    "policy.errnos.execve: an integer": lambda each: each["policy"].update(errnos={"execve": "E"}),
    "containment.kernel: one of linux, gvisor": lambda each: each["containment"].update(kernel="x"),
    "version: 2 of the room's protocol, and this is 1": lambda each: each.update(version=2),
    "version: None": lambda each: each.pop("version"),
}


@pytest.mark.parametrize("said", SPOILT)
def test_an_order_that_does_not_fit_is_refused_with_the_fields_name(said: str) -> None:
    files = (protocol.File("/a", "/model/a"), protocol.File("/b", "/model/b"))
    good = order(files=files, folders=(("/a", "/b"),))
    spoilt = json.loads(protocol.write_order(good))
    SPOILT[said](spoilt)
    with pytest.raises(protocol.ProtocolError) as caught:
        protocol.read_order(protocol.HostOrder, json.dumps(spoilt).encode())
    assert said in str(caught.value)


def test_an_order_for_one_kind_of_room_is_none_for_another() -> None:
    data = protocol.write_order(order())
    with pytest.raises(protocol.ProtocolError):
        protocol.read_order(protocol.ContainerOrder, data)


def test_the_worker_cannot_speak_as_the_supervisor() -> None:
    for kind in ("returned", "raised", "standing", "notstanding"):
        with pytest.raises(protocol.ProtocolError, match="kind"):
            protocol.read_message({"kind": kind, "value": {}})
    with pytest.raises(protocol.ProtocolError, match="kind"):
        protocol.read_outcome({"kind": "end", "status": "ok", "reason": ""})


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(deadline=None)
@given(st.sampled_from(MESSAGES), st.data())
def test_whatever_stands_in_a_field_the_message_is_refused_or_has_its_type(
    message: protocol.Message, data: st.DataObject
) -> None:
    found = json.loads(protocol.write(message))
    if names := [each.name for each in fields(message)]:
        found[data.draw(st.sampled_from(names))] = data.draw(_JSON)
    with suppress(protocol.ProtocolError):
        read = protocol.read_message(found)
        assert type(read) is type(message)
        assert protocol.write(read).startswith(b'{"kind":')


def test_too_few_descriptors_are_refused_by_name() -> None:
    passed, rest = protocol.Descriptors.split([3, 4, 5, 6, 7, 8, 9])
    assert (passed.order, passed.lifeline, rest) == (3, 7, [8, 9])
    with pytest.raises(protocol.ProtocolError, match="lifeline"):
        protocol.Descriptors.split([3, 4])


def test_a_message_cannot_be_changed_once_it_is_made() -> None:
    message = replace(MESSAGES[0])
    with pytest.raises(AttributeError):
        message.name = "seccomp"  # type: ignore[misc,union-attr]


def test_a_room_imports_the_protocol_from_the_standard_library_alone() -> None:
    folder = code.folder_of("safe_load.sandbox")
    program = (
        "import sys, types\n"
        "for name, path in (('safe_load', []), ('safe_load.sandbox', [sys.argv[1]])):\n"
        "    sys.modules[name] = types.ModuleType(name); sys.modules[name].__path__ = path\n"
        "import safe_load.sandbox.protocol\n"
        "print(*(n for n in sys.modules if n.partition('.')[0] not in sys.stdlib_module_names))"
    )
    found = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program, folder],
        capture_output=True,
        text=True,
        check=True,
    )
    foreign = {name for name in found.stdout.split() if not name.startswith("safe_load")}
    assert foreign <= {"__main__"}
