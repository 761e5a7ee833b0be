"""MCP servers and programs that Python code starts."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

from safe_load.register import commands, packages, servers
from safe_load.register.scopes import keyword_of
from safe_load.register.words import split

if TYPE_CHECKING:
    from collections.abc import Iterator

    from safe_load.register.rows import Reference
    from safe_load.register.scopes import Scope
    from safe_load.register.syntax import Module

#: Clients of a server at a URL: the first argument, or `url`.
_REMOTE = frozenset(
    "streamablehttp_client streamable_http_client sse_client MCPServerStreamableHttp MCPServerStreamableHTTP MCPServerSSE MCPServerHTTP".split()
)
_LOCAL = frozenset({"StdioServerParameters", "MCPServerStdio", "StdioTransport"})
#: Modal's images.
_INSTALLS = frozenset({"pip_install", "uv_pip_install"})
_STARTS = frozenset("run Popen call check_call check_output system create_subprocess_exec".split())


def of_call(module: Module, call: ast.Call, scope: Scope, name: str) -> Iterator[Reference]:
    """The servers and programs that one call starts or speaks to."""
    if name in _REMOTE:
        for argument in [*call.args[:1], *(k.value for k in call.keywords if k.arg == "url")]:
            for text in module.texts(argument, scope):
                yield from servers.server("", {"url": text}, lambda *_: call.lineno)
    yield from _stdio(module, call, scope, name)
    if "MCP" in name or "mcp" in name:
        for argument in [
            *call.args[:1],
            *(k.value for k in call.keywords if k.arg in {"connections", "config", "servers"}),
        ]:
            yield from _table(module, argument, scope)
    if name in _INSTALLS:
        for argument in call.args:
            for text in [*module.texts(argument, scope), *_words(module, argument, scope)]:
                yield from packages.requirement(text, call.lineno)
    if name == "run_commands":
        for argument in call.args:
            for text in [*module.texts(argument, scope), *_words(module, argument, scope)]:
                yield from commands.script(text, call.lineno)
    if name in _STARTS and call.args:
        words = _words(module, call.args[0], scope)
        if not words:
            words = [w for text in module.texts(call.args[0], scope)[:1] for w in split(text)]
        if len(words) > 1:
            yield from commands.command(words, call.lineno, {})


def _stdio(module: Module, call: ast.Call, scope: Scope, name: str) -> Iterator[Reference]:
    command, arguments = keyword_of(call, "command"), keyword_of(call, "args")
    if command is None and name in _LOCAL and call.args:
        command = call.args[0]
        arguments = call.args[1] if len(call.args) > 1 and arguments is None else arguments
    if command is None or (arguments is None and name not in _LOCAL):
        return
    for text in module.texts(command, scope)[:1]:
        words = _words(module, arguments, scope) if arguments is not None else []
        env = keyword_of(call, "env")
        given = dict.fromkeys(_keys(module, env, scope), "") if env is not None else {}
        config = {"command": text, "args": words, "env": given}
        yield from servers.server("", config, lambda *_: call.lineno)


def _table(module: Module, node: ast.AST, scope: Scope) -> Iterator[Reference]:
    """Servers in a dict, as MultiServerMCPClient takes them; also below "mcpServers"."""
    for held, where in module.values(node, scope):
        if not isinstance(held, ast.Dict):
            continue
        for key, value in zip(held.keys, held.values, strict=True):
            label = str(key.value) if isinstance(key, ast.Constant) else ""
            config = _plain(module, value, where)
            if label == "mcpServers":
                yield from _table(module, value, where)
            elif config.keys() & {"command", "url"}:
                line = value.lineno
                yield from servers.server(label, config, lambda *_, line=line: line)


def _plain(module: Module, node: ast.AST, scope: Scope) -> dict[str, Any]:
    """A dict of the code as a server's configuration: texts, lists of texts and names of variables."""
    config: dict[str, Any] = {}
    for held, where in module.values(node, scope):
        if isinstance(held, ast.Dict):
            for key, value in zip(held.keys, held.values, strict=True):
                if not isinstance(key, ast.Constant):
                    continue
                texts = module.texts(value, where)
                if texts:
                    config[str(key.value)] = texts[0]
                elif key.value in {"env", "headers"}:
                    config[str(key.value)] = dict.fromkeys(_keys(module, value, where), "")
                else:
                    config[str(key.value)] = _words(module, value, where)
    return config


def _words(module: Module, node: ast.AST, scope: Scope) -> list[str]:
    for held, where in module.values(node, scope):
        if isinstance(held, ast.List | ast.Tuple):
            return [next(iter(module.texts(each, where)), "<?>") for each in held.elts[:200]]
    return []


def _keys(module: Module, node: ast.AST, scope: Scope) -> list[str]:
    return [
        str(key.value)
        for held, _ in module.values(node, scope)
        if isinstance(held, ast.Dict)
        for key in held.keys
        if isinstance(key, ast.Constant)
    ]
