"""List what an MCP server offers, with the official client, in a room of its own.

The server runs in another room. Two pipes join them: `outputs` are the end to write to it, and the end
to read from it. What it says is hostile, so the client reads it here, bounded in bytes, lines, pages
and time, and what is returned is as hostile to the controller.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

#: Imported before the server has said anything.
PRELOAD = ("anyio", "anyio._backends._asyncio", "asyncio", "mcp", "mcp.client.session")
#: The second: an extra of what mcp requires, which it imports.
DISTRIBUTIONS = ("mcp", "cryptography")
_PIECE = 64 << 10
#: Bytes that a server may say in all, and on one line; offers of one kind; pages that list them.
MOST_BYTES, LONGEST_LINE, MOST_OFFERS, MOST_PAGES = 16 << 20, 4 << 20, 2000, 100


class TooMuch(Exception):
    """The server says more than a bound allows. The text names the bound."""


def main(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    """argument: `deadline`, in seconds, for each server; outputs: two for each. Returns `listed`, for each of
    them: `name`, `version`, `protocol` and `instructions`, `offers` (kind and definition, as the server gave
    it), and `problem`: why the list is not whole, "" where it is."""
    import anyio  # noqa: PLC0415 - preloaded

    signal.signal(signal.SIGPIPE, signal.SIG_IGN)  # a server that ends shall not end its client
    deadline = float(argument["deadline"])
    pairs = zip(outputs[::2], outputs[1::2], strict=True)
    return {"listed": [anyio.run(_list, deadline, ask, answers) for ask, answers in pairs]}


async def _list(deadline: float, to_server: int, from_server: int) -> dict[str, Any]:
    import anyio  # noqa: PLC0415 - preloaded
    from mcp import ClientSession  # noqa: PLC0415 - as above

    found: dict[str, Any] = {
        "name": "", "version": "", "protocol": "", "instructions": "", "offers": [], "problem": "", "noise": False,
    }  # fmt: skip
    said, incoming = anyio.create_memory_object_stream[Any](0)
    outgoing, asked = anyio.create_memory_object_stream[Any](0)
    stage = "it did not answer the greeting (initialize)"
    try:
        with anyio.move_on_after(deadline) as scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_read, from_server, said, found)
                tasks.start_soon(_write, to_server, asked)
                async with ClientSession(incoming, outgoing) as session:
                    begun = await session.initialize()
                    _describe(found, begun)
                    stage = "it did not list what it offers"
                    await _offers(session, begun.capabilities, found)
                tasks.cancel_scope.cancel()
        if scope.cancelled_caught:
            found["problem"] = found["problem"] or f"time limit: {stage} within {deadline:g} s"
    except BaseException as error:  # noqa: BLE001 - what a server makes the client raise is a result
        found["problem"] = found["problem"] or f"{stage}: {_innermost(error)}"[:2000]
    if found["problem"] and found["noise"]:
        found["problem"] += "; what it says on standard output is no JSON-RPC"
    return found


def _describe(found: dict[str, Any], begun: Any) -> None:
    found["name"] = str(begun.server_info.name)[:1000]
    found["version"] = str(begun.server_info.version)[:1000]
    found["protocol"] = str(begun.protocol_version)[:100]
    found["instructions"] = (begun.instructions or "")[:100_000]


async def _offers(session: Any, capabilities: Any, found: dict[str, Any]) -> None:
    kinds: list[tuple[str, object, Callable[..., Awaitable[Any]], str]] = [
        ("tool", capabilities.tools, session.list_tools, "tools"),
        ("prompt", capabilities.prompts, session.list_prompts, "prompts"),
        ("resource", capabilities.resources, session.list_resources, "resources"),
        (
            "template",
            capabilities.resources,
            session.list_resource_templates,
            "resource_templates",
        ),
    ]
    for kind, has, ask, field in kinds:
        if has is not None:
            await _pages(kind, ask, field, found)


async def _pages(
    kind: str, ask: Callable[..., Awaitable[Any]], field: str, found: dict[str, Any]
) -> None:
    from mcp import types  # noqa: PLC0415 - preloaded

    cursor, count = None, 0
    for _ in range(MOST_PAGES):
        page = await ask(params=types.PaginatedRequestParams(cursor=cursor) if cursor else None)
        for each in getattr(page, field):
            count += 1
            if count > MOST_OFFERS:
                raise TooMuch(f"it offers more than {MOST_OFFERS} of one kind ({kind})")
            definition = each.model_dump(mode="json", by_alias=True, exclude_unset=True)
            found["offers"].append({"kind": kind, "definition": definition})
        cursor = page.next_cursor
        if not cursor:
            return
    raise TooMuch(f"its list of one kind ({kind}) has more than {MOST_PAGES} pages")


async def _read(descriptor: int, said: MemoryObjectSendStream[Any], found: dict[str, Any]) -> None:
    """Lines of the server to the session, until it ends or has said too much."""
    import anyio  # noqa: PLC0415 - preloaded
    from mcp.shared.message import SessionMessage  # noqa: PLC0415 - as above
    from mcp.types import jsonrpc_message_adapter  # noqa: PLC0415 - as above

    line, total = bytearray(), 0
    os.set_blocking(descriptor, False)
    async with said:
        while True:
            await anyio.wait_readable(descriptor)
            data = os.read(descriptor, _PIECE)
            total += len(data)
            if not data:
                found["problem"] = (
                    found["problem"] or "it ended before it had listed what it offers"
                )
                return
            *lines, rest = (bytes(line) + data).split(b"\n") if b"\n" in data else [line + data]
            line = bytearray(rest)
            if total > MOST_BYTES or len(line) > LONGEST_LINE:
                bound = f"{MOST_BYTES >> 20} MiB in all or {LONGEST_LINE >> 20} MiB on a line"
                found["problem"] = f"it says more than {bound}"
                return
            for each in lines:
                if each.strip():
                    try:
                        message = jsonrpc_message_adapter.validate_json(bytes(each), by_name=False)
                    except ValueError:
                        found["noise"] = True
                        continue
                    await said.send(SessionMessage(message))


async def _write(descriptor: int, asked: MemoryObjectReceiveStream[Any]) -> None:
    import anyio  # noqa: PLC0415 - preloaded

    os.set_blocking(descriptor, False)
    async for each in asked:
        text = each.message.model_dump_json(by_alias=True, exclude_unset=True)
        left = memoryview(text.encode() + b"\n")
        while left:
            await anyio.wait_writable(descriptor)
            try:
                left = left[os.write(descriptor, left) :]
            except BrokenPipeError:
                return  # what it had said is read to its end, and that tells more


def _innermost(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup) and error.exceptions:
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"
