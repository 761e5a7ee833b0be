"""The controller's side of connections: which addresses a rule leads to, and what is let through first."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from dataclasses import asdict
from typing import TYPE_CHECKING

import pytest
from safe_load.core.errors import UsageError
from safe_load.sandbox.program import Passed
from safe_load.tools import first_bytes, rules
from safe_load.tools.first_bytes import Said
from safe_load.tools.relay import Connection, Relay
from safe_load.tools.rules import Rule

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def hello(name: str | None) -> bytes:
    """The ClientHello that Python's own ssl sends."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    context.check_hostname = False
    tls = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


def in_records(data: bytes, size: int) -> bytes:
    """The same handshake in records of that size (RFC 8446, 5.1)."""
    body = data[5:]
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(data[:3] + len(piece).to_bytes(2, "big") + piece for piece in pieces)


@pytest.mark.parametrize("size", [1, 7, 100, 1 << 14])
def test_the_tls_name_is_read_however_the_hello_is_cut(size: int) -> None:
    data = in_records(hello("Host.example"), size)
    assert first_bytes.read(data) == Said("tls", "host.example")
    for end in range(len(data)):
        assert first_bytes.read(data[:end]) is None, end
        assert first_bytes.read(data[:end], ended=True) == Said("other")
    assert first_bytes.read(hello(None)) == Said("tls", "")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"GET / HTTP/1.1\r\nHost: A.example:80\r\n\r\n", Said("http", "a.example")),
        (b"GET http://a.example/ HTTP/1.1\r\nhost: a.example\r\n\r\n", Said("http", "a.example")),
        (
            b"GET http://b.example/ HTTP/1.1\r\nhost: a.example\r\n\r\n",
            Said("http", "several hosts"),
        ),
        (
            b"GET / HTTP/1.1\r\nHost: a.example\r\nhost: b.example\r\n\r\n",
            Said("http", "several hosts"),
        ),
        (b"GET / HTTP/1.0\r\n\r\n", Said("http", "")),
        (b"CONNECT a.example:443 HTTP/1.1\r\n\r\n", Said("connect")),
        (b"SSH-2.0-x\r\n", Said("other")),
        (b"\x16\x03\x01\x00\x00", Said("other")),
        (b"\x16\x03\x01\x00\x04\x02\x00\x00\x00", Said("other")),
        (b"\x16\x03\x01\x00\x05\x01\xff\xff\xff\x00", Said("other")),
        (b"GET " + b"a" * first_bytes.LONGEST, Said("other")),
    ],
)
def test_what_comes_first_is_told_apart(data: bytes, said: Said) -> None:
    assert first_bytes.read(data) == said


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
        "224.0.0.1", "192.0.2.1", "255.255.255.255", "::1", "::", "fe80::1", "fc00::1", "ff02::1",
        "2001:db8::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::",
    ],
)  # fmt: skip
def test_no_address_but_a_public_one_is_reached(address: str) -> None:
    found = rules.as_address(address)
    assert found is not None
    assert not rules.is_public(found)
    text = f"[{address}]:443" if ":" in address else f"{address}:443"
    with pytest.raises(UsageError, match="no public address"):
        rules.parse(text)
    assert rules.parse(text, private=True).private
    with pytest.raises(UsageError, match="this machine"):
        rules.parse("localhost:443")


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700:4700::1111"])
def test_public_addresses_are(address: str) -> None:
    found = rules.as_address(address)
    assert found is not None
    assert rules.is_public(found)


class House:
    """A relay, a listener that stands for the host, and a room's end of a connection."""

    def __init__(self, rule: Rule, answers: Sequence[str]) -> None:
        self.ended: list[Connection] = []
        self.done = threading.Event()
        self.asked: list[tuple[str, int]] = []
        self.relay = Relay(
            (rule,), self._end, lambda host, port: self._resolve(host, port, answers)
        )
        self.relay.start()
        self.rule = rule

    def _end(self, connection: Connection) -> None:
        self.ended.append(connection)
        self.done.set()

    def _resolve(self, host: str, port: int, answers: Sequence[str]) -> Sequence[str]:
        self.asked.append((host, port))
        return answers

    def connect(self, host: str | None = None) -> socket.socket:
        """What the room's program holds; the other end is handed over."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            inside = socket.create_connection(listener.getsockname())
            far, _ = listener.accept()
        passed = Passed(host or self.rule.host, "198.51.100.1", self.rule.port, 7, "tool")
        with far:
            socket.send_fds(self.relay.far, [json.dumps(asdict(passed)).encode()], [far.fileno()])
        inside.settimeout(10)
        return inside

    def only(self) -> Connection:
        assert self.done.wait(10)
        (connection,) = self.ended
        return connection


@pytest.fixture
def host() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.3)
        yield listener


def _heard(listener: socket.socket) -> bytes:
    """What the host was sent, to its end."""
    connection, _ = listener.accept()
    with connection:
        connection.settimeout(10)
        connection.sendall(b"answer")
        connection.shutdown(socket.SHUT_WR)
        data = b""
        while piece := connection.recv(65536):
            data += piece
        return data


def test_a_name_that_leads_to_this_machine_is_refused_and_says_so(host: socket.socket) -> None:
    house = House(Rule("host.example", host.getsockname()[1]), ["127.0.0.1"])
    with house.connect() as inside:
        inside.sendall(b"GET / HTTP/1.1\r\nHost: host.example\r\n\r\n")
        assert inside.recv(4096).startswith(b"HTTP/1.1 403 Forbidden")
    assert house.only().decision == "refused"
    assert "127.0.0.1, which is no public address" in house.only().why
    with pytest.raises(TimeoutError):
        host.accept()
    house.relay.close()


def test_one_private_address_among_public_ones_refuses_the_host() -> None:
    house = House(Rule("host.example", 443), ["8.8.8.8", "10.0.0.1"])
    with house.connect() as inside:
        inside.sendall(hello("host.example"))
        assert inside.recv(4096)[:1] == b"\x15"  # an alert
    assert house.only().decision == "refused"
    house.relay.close()


def test_both_ways_are_copied_and_counted(host: socket.socket) -> None:
    port = host.getsockname()[1]
    house = House(Rule("127.0.0.1", port, private=True), [])
    data = hello("127.0.0.1") + b"x" * 300_000
    sent = threading.Thread(target=lambda: (inside.sendall(data), inside.shutdown(socket.SHUT_WR)))
    with house.connect() as inside:
        sent.start()
        assert _heard(host) == data
        assert inside.recv(100) == b"answer"
        assert inside.recv(100) == b""
        sent.join()
    done = house.only()
    assert (done.decision, done.sent, done.received) == ("allowed", len(data), 6)
    house.relay.close()


@pytest.mark.parametrize(
    ("first", "why"),
    [
        (hello("other.example"), "the TLS name is 'other.example'"),
        (b"GET / HTTP/1.1\r\nHost: other.example\r\n\r\n", "the HTTP host is 'other.example'"),
        (b"CONNECT x:1 HTTP/1.1\r\n\r\n", "CONNECT"),
    ],
)
def test_what_names_another_host_goes_nowhere(host: socket.socket, first: bytes, why: str) -> None:
    house = House(Rule("127.0.0.1", host.getsockname()[1], private=True), [])
    with house.connect() as inside:
        inside.sendall(first)
        assert inside.recv(4096)[:1] in (b"H", b"\x15")
    assert house.only().decision == "refused"
    assert why in house.only().why
    connection, _ = host.accept()
    with connection:
        assert connection.recv(100) == b""
    house.relay.close()


def test_what_no_rule_names_is_not_even_asked_for() -> None:
    house = House(Rule("host.example", 443), ["8.8.8.8"])
    with house.connect("other.example") as inside, pytest.raises(ConnectionResetError):
        inside.recv(100)
    assert house.only().why == "no rule"
    assert not house.asked
    house.relay.close()


def test_nonsense_on_the_line_ends_nothing() -> None:
    house = House(Rule("host.example", 443), [])
    house.relay.far.send(b"{")
    house.relay.far.send(b'{"host": 5}')
    with house.connect() as inside, pytest.raises(ConnectionResetError):
        inside.recv(100)
    assert "no address" in house.only().why
    house.relay.close()
