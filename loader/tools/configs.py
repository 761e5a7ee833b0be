"""The servers that a client's configuration names: Claude's, Cursor's, VS Code's form.

Zone: controller. Of variables, the names are taken and never the values.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from safe_load.core.errors import NotLoadable, UsageError
from safe_load.core.escape import visible
from safe_load.worker import strict_json

if TYPE_CHECKING:
    from pathlib import Path

_LARGEST = 1 << 20
_MOST_SERVERS = 64
_MOST_WORDS = 256
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


@dataclass(frozen=True)
class Server:
    """One server. command: empty where it is reached at `url`; asks_for: names of variables that the
    configuration gives it; folder: its working directory, "" where none is named."""

    name: str
    command: tuple[str, ...] = ()
    asks_for: tuple[str, ...] = ()
    url: str = ""
    folder: str = ""


def read(path: Path) -> list[Server]:
    """The servers of a configuration file, in its order.

    Raises:
        UsageError: The file is not there or is none.
        NotLoadable: It is too large, no JSON, or names no server.
    """
    try:
        with path.open("rb") as file:
            if not os.path.isfile(path):  # noqa: PTH113 - a pipe may not end
                raise UsageError(f"{path} is no file")
            data = file.read(_LARGEST + 1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    if len(data) > _LARGEST:
        raise NotLoadable(f"{path} is larger than 1 MiB, the limit for a client's configuration")
    try:
        found = strict_json.require_object(
            strict_json.parse(data, where=str(path), max_bytes=_LARGEST), str(path)
        )
    except strict_json.Malformed as error:
        raise NotLoadable(f"{error}; comments are not JSON, remove them first") from error
    for key in ("mcpServers", "servers"):
        if isinstance(listed := found.get(key), dict) and listed:
            break
    else:
        raise NotLoadable(
            f"{path} names no server: neither mcpServers nor servers is an object with entries"
        )
    if len(listed) > _MOST_SERVERS:
        raise NotLoadable(f"{path} names {len(listed)} servers, more than {_MOST_SERVERS}")
    return [_server(str(path), name, each) for name, each in listed.items()]


def _server(path: str, name: str, given: object) -> Server:
    where = f"{path}: {visible(name, 80)}"
    if not isinstance(given, dict):
        raise NotLoadable(f"{where}: an object is needed")
    if "command" not in given:
        url = given.get("url") or given.get("serverUrl")
        if not isinstance(url, str):
            raise NotLoadable(f"{where}: it has neither a command nor a url")
        return Server(name, url=url)
    words = (
        [given["command"], *(given.get("args") or [])]
        if isinstance(given.get("args") or [], list)
        else []
    )
    if (
        not words
        or len(words) > _MOST_WORDS
        or not all(isinstance(each, str) and "\0" not in each for each in words)
    ):
        raise NotLoadable(f"{where}: command and args are no list of at most {_MOST_WORDS} texts")
    env = given.get("env") or {}
    if not isinstance(env, dict) or not all(_NAME.fullmatch(each) for each in env):
        raise NotLoadable(f"{where}: env is no object with names of variables")
    folder = given.get("cwd")
    return Server(name, tuple(words), tuple(env), folder=folder if isinstance(folder, str) else "")
