"""What clients send slowly, or take slowly, is held within bounds."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn
from safe_load.gateway import bodies, connections
from safe_load.gateway import sending as module
from safe_load.gateway.answers import Pieces, Ranged
from safe_load.gateway.bodies import Bodies
from safe_load.gateway.hub_api import _paths
from safe_load.gateway.kept import Kept
from safe_load.gateway.records import File
from safe_load.gateway.refusal import Refusal
from safe_load.gateway.sending import Sending
from uvicorn.server import ServerState

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from starlette.types import Message

pytestmark = pytest.mark.anyone


class Request:
    """A request whose body stops after some pieces, until `go` is set."""

    def __init__(self, pieces: int, size: int, go: asyncio.Event) -> None:
        self.pieces, self.size, self.go = pieces, size, go

    async def stream(self) -> AsyncIterator[bytes]:
        for _ in range(self.pieces):
            yield bytes(self.size)
        await self.go.wait()


def test_bodies_that_do_not_end_hold_a_bounded_number_of_bytes() -> None:
    async def main() -> None:
        go, reader = asyncio.Event(), Bodies()
        large = [Request(16, 60 << 10, go) for _ in range(100)]
        small = [Request(1, 4 << 10, go) for _ in range(100)]
        tasks = [asyncio.ensure_future(reader.read(each, 1 << 20)) for each in (*large, *small)]  # type: ignore[arg-type]
        await asyncio.sleep(0.05)
        held = reader._held
        go.set()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        refused = [each.status for each in ended[:100] if isinstance(each, Refusal)]
        assert held <= bodies._MOST + (1 << 20)
        assert refused == [503] * len(refused)
        assert 20 < len(refused) < 100
        assert all(isinstance(each, bytes) for each in ended[100:])
        assert reader._held == 0

    asyncio.run(main())


def test_a_body_that_is_too_long_or_never_ends_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async def status(request: Request) -> int:
        with pytest.raises(Refusal) as told:
            await Bodies().read(request, 1000)  # type: ignore[arg-type]
        return told.value.status

    async def main() -> None:
        never = asyncio.Event()
        assert await status(Request(2, 600, never)) == 413
        monkeypatch.setattr(bodies, "_PATIENCE", 0.05)
        assert await status(Request(1, 600, never)) == 408

    asyncio.run(main())


def test_a_form_with_more_fields_than_a_copy_has_files_is_refused() -> None:
    assert _paths(b"paths=a/b&paths=/c/&expand=true") == {"a/b", "c"}
    with pytest.raises(Refusal) as told:
        _paths(b"a&" * 500_000)
    assert told.value.status == 413


def ranged(path: Path, sending: Sending, kept: Kept) -> Ranged:
    file = File(path.name, path.stat().st_size, "5" * 64)
    return Ranged(file, lambda: kept.open(path, path), {}, {}, lambda _: None, sending)


async def stalled(response: Any, taken: list[int], go: asyncio.Event) -> int:
    """Send to a client that takes nothing of what was read for it. Returns the status."""
    status = 0

    async def send(message: Message) -> None:
        nonlocal status
        status = message.get("status", status)
        taken.append(len(message.get("body", b"")))
        if message.get("body") and status == 200:
            await go.wait()

    await response({"type": "http", "method": "GET"}, None, send)
    return status


def test_clients_that_take_nothing_hold_little_and_only_so_many_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("_CHUNK", 64 << 10), ("_SMALLEST", 1 << 10), ("_TOGETHER", 1 << 20)):
        monkeypatch.setattr(module, name, value)
    path = tmp_path / "model.safetensors"
    path.write_bytes(bytes(200_000))

    async def main() -> None:
        sending, kept, taken, go = Sending(200), Kept(), list[int](), asyncio.Event()
        tasks = [
            asyncio.ensure_future(stalled(ranged(path, sending, kept), taken, go))
            for _ in range(200)
        ]
        while sum(map(bool, taken)) < 200:
            await asyncio.sleep(0.01)
        assert sum(taken) < 4 << 20  # 200 chunks are 13 MB
        assert await stalled(ranged(path, sending, kept), [], go) == 503
        go.set()
        assert await asyncio.gather(*tasks) == [200] * 200
        assert sum(taken) == 200 * 200_000
        assert not sending.full()

    asyncio.run(main())


def test_a_report_holds_its_place_until_its_client_has_it() -> None:
    async def main() -> None:
        go, places, taken = asyncio.Event(), Sending(1), list[int]()
        with ExitStack() as ending:
            ending.enter_context(places.one())
            response = Pieces(bytes(200_000), {}, "text/html", ending.pop_all())
        task = asyncio.ensure_future(stalled(response, taken, go))
        await asyncio.sleep(0.01)
        assert places.full()
        assert sum(taken) < 100_000
        go.set()
        assert await task == 200
        assert sum(taken) == 200_000
        assert not places.full()

    asyncio.run(main())


def test_a_client_that_sends_no_request_is_left_and_one_that_waits_for_its_answer_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "PATIENCE", 1.0)

    async def app(_: object, __: object, send: Any) -> None:
        await asyncio.sleep(2.0)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"here"})

    async def main() -> None:
        config, state = (
            uvicorn.Config(app, ws="none", lifespan="off", log_config=None),
            ServerState(),
        )
        server = await asyncio.get_running_loop().create_server(
            lambda: connections.Protocol(config, state, {}), "127.0.0.1", 0
        )
        port = server.sockets[0].getsockname()[1]

        async def got(sent: bytes) -> bytes:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(sent)
            found = await asyncio.wait_for(reader.read(), 10)
            writer.close()
            return found

        whole = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
        answers = await asyncio.gather(got(b""), got(whole[:-2]), got(whole), got(whole + b"GET /"))
        assert answers[:2] == [b"", b""]
        assert all(b"here" in answer for answer in answers[2:])
        assert not state.connections
        server.close()

    asyncio.run(main())
