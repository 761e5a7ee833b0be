"""Nothing leaves, and what tried to leave is recorded with where it wanted to go."""

from __future__ import annotations

from typing import Any

import pytest
import rooms

STOPPED = ("denied", "redirected")
TARGETS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "IPv4": (
        {"family": "AF_INET", "to": ["192.0.2.1", 4444]},
        {"family": "AF_INET", "address": "192.0.2.1", "port": 4444},
    ),
    "IPv6": (
        {"family": "AF_INET6", "to": ["2001:db8::1", 4445]},
        {"family": "AF_INET6", "address": "2001:db8::1", "port": 4445},
    ),
    "IPv4 mapped into IPv6": (
        {"family": "AF_INET6", "to": ["::ffff:192.0.2.7", 4446]},
        {"family": "AF_INET6", "address": "192.0.2.7", "port": 4446},
    ),
    "UDP": (
        {"family": "AF_INET", "type": "SOCK_DGRAM", "to": ["192.0.2.2", 53]},
        {"family": "AF_INET", "address": "192.0.2.2", "port": 53},
    ),
    "the cloud's metadata": (
        {"family": "AF_INET", "to": ["169.254.169.254", 80]},
        {"family": "AF_INET", "address": "169.254.169.254", "port": 80},
    ),
    "loopback": (
        {"family": "AF_INET", "to": ["127.0.0.1", 22]},
        {"family": "AF_INET", "address": "127.0.0.1", "port": 22},
    ),
    "a unix path": (
        {"family": "AF_UNIX", "to": "/var/run/docker.sock"},
        {"family": "AF_UNIX", "address": "/var/run/docker.sock"},
    ),
    "an abstract name": (
        {"family": "AF_UNIX", "to": "\0/tmp/.X11-unix/X0"},
        {"family": "AF_UNIX", "address": "@/tmp/.X11-unix/X0"},
    ),
}


SINKHOLES = pytest.mark.parametrize("sinkhole", [False, True], ids=["plain", "sinkhole"])


@SINKHOLES
def test_every_connect_is_stopped_and_recorded_with_its_address(
    room: rooms.Controller, sinkhole: bool
) -> None:
    targets = {name: target for name, (target, _) in TARGETS.items()}
    ran = room.run("network:connects", targets, profile={"recording": {"sinkhole": sinkhole}})
    recorded = {event.args["to"]["address"]: event for event in ran.events("connect")}
    assert len(recorded) == len(TARGETS)
    for name, (target, expected) in TARGETS.items():
        event = recorded[expected["address"]]
        assert event.args["to"] == expected
        if sinkhole and target["family"] != "AF_UNIX":
            assert event.decision == "redirected", name
        else:
            assert (event.decision, event.errno) == ("denied", "ECONNREFUSED"), name
            assert ran.value[name] == {"connect": "ECONNREFUSED"}


def test_a_socket_of_an_unusual_family_is_refused_and_recorded(room: rooms.Controller) -> None:
    families = ("AF_VSOCK", "AF_NETLINK", "AF_PACKET", "AF_ALG")
    ran = room.run("network:connects", {name: {"family": name, "to": "raw"} for name in families})
    assert set(map(str, ran.value.values())) == {"{'socket': 'EAFNOSUPPORT'}"}
    tried = {event.args["family"]: event.decision for event in ran.events("socket")}
    assert tried == dict.fromkeys(families, "denied")


def test_a_raw_socket_is_refused(room: rooms.Controller) -> None:
    ran = room.run("network:connect", {"family": "AF_INET", "type": "SOCK_RAW", "to": "raw"})
    assert ran.value["socket"]


@SINKHOLES
def test_a_datagram_is_stopped_and_recorded_with_its_address_and_its_bytes(
    room: rooms.Controller, sinkhole: bool
) -> None:
    ran = room.run("network:datagrams", profile={"recording": {"sinkhole": sinkhole}})
    by_port = {}
    for event in ran.result.events:
        if event.syscall in ("sendto", "sendmsg", "sendmmsg"):
            assert event.decision in STOPPED
            message = event.args.get("message", event.args)
            to = message.get("address") or message.get("to")
            by_port[to["port"]] = (event.syscall, to["address"], message["data"].rstrip("\0"))
    assert by_port == {
        5001: ("sendto", "192.0.2.1", "by sendto"),
        5002: ("sendmsg", "192.0.2.1", "by sendmsg"),
        5003: ("sendmmsg", "192.0.2.1", "by sendmmsg"),
        5004: ("sendmmsg", "192.0.2.1", "by sendmmsg"),
    }
    if not sinkhole:
        assert set(ran.value.values()) == {"ENETUNREACH"}


def test_tcp_fast_open_is_no_way_past_connect(room: rooms.Controller) -> None:
    ran = room.run("network:fast_open", profile={"recording": {"sinkhole": False}})
    assert ran.value == {"sendto": "ENETUNREACH"}
    (event,) = ran.events("sendto")
    assert event.args["to"]["port"] == 5005
    assert event.args["flags"] == "MSG_FASTOPEN"


def test_a_service_cannot_be_offered(room: rooms.Controller) -> None:
    ran = room.run("network:listen")
    assert ran.value == {"listen": "EACCES"}
    (event,) = ran.events("bind")
    assert event.args["address"]["port"] == 5006


@pytest.mark.serial
def test_sockets_that_drop_every_answer_do_not_hold_up_the_time_limit(
    room: rooms.Controller,
) -> None:
    ran = room.run("network:stubborn", limits={"timeout": 0.5})
    assert ran.result.status == "limit"
    assert ran.took_s < 10


@pytest.mark.parametrize("house", rooms.ALONE, indirect=True)
def test_without_namespaces_a_pair_tells_an_address_of_the_family_that_was_asked_for(
    room: rooms.Controller,
) -> None:
    value = room.run("network:own_addresses").value
    assert value["found"] >= 1
    assert value["told"] == {"AF_INET": "127.0.0.1", "AF_INET6": "::1", "AF_UNIX": ""}
