"""`safe-load mcp wrap`: an unchanged client talks to a server in a room."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

from tests.integration.mcp_servers.servers import COMMAND, STEAL, inspect, server

if TYPE_CHECKING:
    from pathlib import Path


HONEST = """
from mcp.server.mcpserver import MCPServer
server = MCPServer("demo")

@server.tool()
def add(a: int, b: int) -> int:
    "Add two numbers."
    return a + b

@server.resource("demo://greeting")
def greeting() -> str:
    "A greeting."
    return "hello"

@server.prompt()
def review(code: str) -> str:
    "Review code."
    return code

server.run("stdio")
"""


def talk(command: tuple[str, ...], name: str, arguments: dict[str, Any]) -> tuple[list[str], str]:
    """(names of tools, the text of one call's answer), by the official client."""

    async def go() -> tuple[list[str], str]:
        parameters = StdioServerParameters(command=command[0], args=list(command[1:]))
        async with stdio_client(parameters) as streams, ClientSession(*streams) as session:
            with anyio.fail_after(60):
                await session.initialize()
                tools = [each.name for each in (await session.list_tools()).tools]
                answer = await session.call_tool(name, arguments)
                return tools, answer.content[0].text

    return anyio.run(go)


def wrapped(folder: Path, *command: str) -> tuple[str, ...]:
    outputs = ("--log", f"{folder}/log.jsonl", "--report", f"json={folder}/wrap.json")
    return (*COMMAND, "mcp", "wrap", *outputs, "--", *command)


def report_of(folder: Path) -> dict[str, Any]:
    """What a wrap wrote: it ends a moment after its client."""
    file = folder / "wrap.json"
    deadline = time.monotonic() + 20
    while not file.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    found = json.loads(file.read_text())
    assert isinstance(found, dict)
    return found


def test_an_honest_server_is_listed_and_works_through_wrap(tmp_path: Path) -> None:
    (tmp_path / "honest").mkdir()
    path = tmp_path / "honest" / "server.py"
    path.write_text(HONEST)
    seen = inspect(tmp_path, "--", sys.executable, str(path))
    assert seen.code == 0, seen.err
    assert seen.report["verdict"] == "clean"
    assert {(each["kind"], each["name"]) for each in seen.report["offers"]} == {
        ("tool", "add"), ("prompt", "review"), ("resource", "greeting"),
    }  # fmt: skip
    assert all(len(each["digest"]) == 64 for each in seen.report["offers"])
    answer = talk(wrapped(tmp_path, sys.executable, str(path)), "add", {"a": 1, "b": 2})
    assert answer == (["add"], "3")
    told = report_of(tmp_path)
    assert (told["verdict"], told["outcome"]) == ("clean", "ok")


def test_theft_at_the_first_call_is_named_by_wrap(tmp_path: Path) -> None:
    command = server(tmp_path, f"{STEAL}\nat_call = steal")
    assert inspect(tmp_path, "--", *command).code == 0  # inspecting calls nothing
    assert talk(wrapped(tmp_path, *command), "add", {}) == (["add"], "3")
    told = report_of(tmp_path)
    assert told["verdict"] == "malicious"
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [each["decision"] for each in lines if each["protocol"] == "tcp"] == ["refused"]


@pytest.mark.serial
def test_wrap_takes_less_than_a_third_of_a_second_more_at_the_start(tmp_path: Path) -> None:
    command = server(tmp_path)
    began = []
    for each in (command, wrapped(tmp_path, *command)):
        took = []
        for _ in range(3):
            start = time.monotonic()
            with subprocess.Popen(each, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
                assert process.stdin is not None
                assert process.stdout is not None
                ask = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
                process.stdin.write(json.dumps(ask).encode() + b"\n")
                process.stdin.flush()
                assert process.stdout.readline()
                took.append(time.monotonic() - start)
                process.stdin.close()
        began.append(min(took))
    assert began[1] - began[0] < 2.0, (
        began
    )  # 0.3 s on a machine at rest; this bound holds on a busy one


@pytest.mark.skipif(shutil.which("node") is None, reason="no node on this machine")
def test_a_node_server_works_through_wrap(tmp_path: Path) -> None:
    (tmp_path / "node").mkdir()
    (tmp_path / "node" / "package.json").write_text('{"type": "module"}')
    (tmp_path / "node" / "server.js").write_text(
        """
        import { createInterface } from "node:readline";
        for await (const line of createInterface({ input: process.stdin })) {
          const asked = JSON.parse(line);
          if (asked.id === undefined) continue;
          const answers = {
            initialize: { protocolVersion: asked.params?.protocolVersion, capabilities: { tools: {} },
              serverInfo: { name: "node", version: process.version } },
            "tools/list": { tools: [{ name: "add", inputSchema: { type: "object" } }] },
            "tools/call": { content: [{ type: "text", text: "3" }] },
          };
          console.log(JSON.stringify({ jsonrpc: "2.0", id: asked.id, result: answers[asked.method] ?? {} }));
        }
        """
    )
    command = wrapped(tmp_path, "node", str(tmp_path / "node" / "server.js"))
    assert talk(command, "add", {}) == (["add"], "3")
    assert report_of(tmp_path)["verdict"] == "clean"
