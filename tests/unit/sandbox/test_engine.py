"""Reaching a container engine, on a machine that has none."""

from __future__ import annotations

import gc
import socket
import tempfile
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from safe_load.sandbox.backends.docker.engine import Engine, EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest.importorskip("docker")

_BAD_ANSWERS = {
    "hangs up": b"",
    "speaks no HTTP": b"SSH-2.0-OpenSSH_9.6\r\n",
    "speaks no JSON": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "is no engine": b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}",
    "names no version": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
}


def _sockets() -> set[str]:
    """The sockets that this process has open."""
    found = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # the listing's own
            found.add(str(descriptor.readlink()))
    return {name for name in found if name.startswith("socket:")}


@contextmanager
def _listening(path: Path, answer: bytes) -> Iterator[None]:
    """A server at that socket, which gives everybody the same answer and hangs up."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection:
                        if answer and connection.recv(4096):
                            connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(10)


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder for sockets: the path of one has 107 bytes at most (unix(7)), and pytest's may be longer."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        yield Path(folder)


def _require_all_closed() -> None:
    """Fails if the attempt to reach the engine leaves a socket to the garbage collector."""
    gc.collect()
    gc.disable()
    try:
        before = _sockets()
        with pytest.raises(EngineError) as caught:  # which keeps every frame of the attempt
            Engine()
        assert "engine" in str(caught.value)
        assert _sockets() <= before
    finally:
        gc.enable()


def test_no_socket_stays_open_where_no_engine_is(
    short_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{short_path}/absent.sock")
    _require_all_closed()


def test_no_socket_stays_open_where_the_engine_has_ended(
    short_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = short_path / "engine.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    _require_all_closed()


@pytest.mark.parametrize("kind", _BAD_ANSWERS)
def test_no_socket_stays_open_where_something_else_answers(
    kind: str, short_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = short_path / "engine.sock"
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    with _listening(path, _BAD_ANSWERS[kind]):
        _require_all_closed()
