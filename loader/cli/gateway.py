"""The commands for gateways: serve one, and have a running one prepare models."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safe_load.cli import terminal
from safe_load.core.errors import UsageError
from safe_load.core.escape import visible
from safe_load.core.installed import need
from safe_load.core.units import parse_seconds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: What brings the packages that serve.
_GATEWAY = "safe-load[gateway]"
#: Seconds between two questions, and for one answer.
_PAUSE, _ANSWER = 2.0, 90.0
_MAX_ANSWER = 8 << 20


def serve(config: str | None, given: Mapping[str, Any]) -> int:
    """Serve until Ctrl-C. given: keys of the configuration file that the command line sets."""
    for package in ("starlette", "uvicorn", "huggingface_hub"):
        need(package, _GATEWAY)
    import asyncio  # noqa: PLC0415

    from safe_load.gateway import app, settings  # noqa: PLC0415

    chosen = settings.read(None if config is None else Path(config), given)
    logging.basicConfig(
        level=logging.WARNING, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s"
    )

    begun = False

    def ready(url: str) -> None:
        nonlocal begun
        begun = True
        terminal.note(
            f"serving cleared models of {chosen.upstream}; clients: HF_ENDPOINT={chosen.url or url}"
        )
        who = (
            "whoever reaches it may read"
            if chosen.anonymous
            else "only users with a token may read"
        )
        terminal.note(f"pages for people: {chosen.url or url}/-/ ({who})")

    try:
        asyncio.run(app.serve(chosen, ready))
    except KeyboardInterrupt:  # SIGTERM too: how a server that runs is stopped
        if not begun:
            raise
    return 0


def warm(names: Sequence[str], endpoint: str | None, timeout: str, *, wait: bool) -> int:
    """Ask a gateway for models until it has judged them all. Returns the exit code that the worst of them has."""
    url = (endpoint or os.environ.get("HF_ENDPOINT", "")).rstrip("/")
    if not url.startswith(("http://", "https://")):
        raise UsageError("which gateway? Give --endpoint URL, or set HF_ENDPOINT")
    try:
        deadline = time.monotonic() + parse_seconds(timeout)
    except ValueError as error:
        raise UsageError(f"--timeout: {error}") from None
    left, codes = list(dict.fromkeys(names)), [0]
    while left:
        states = _asked(url, left)
        waiting = [state for state in states if state["status"] in (202, 429) and wait]
        codes += [_told(state, wait=wait) for state in states if state not in waiting]
        left = [str(state["name"]) for state in waiting]
        if left and time.monotonic() > deadline:
            return terminal.complain(f"after {timeout}, {len(left)} still wait, e.g. {left[0]}", 5)
        if left:
            time.sleep(_PAUSE)
    return next(code for code in (1, 3, 2, 0) if code in codes)


def _told(state: Mapping[str, Any], *, wait: bool) -> int:
    status = state["status"]
    good = status == 200 or (not wait and status in (202, 429))
    mark = ("✓" if status == 200 else "·") if good else "✗"
    terminal.write(
        f"{mark} {visible(str(state['name']))}: {visible(str(state['sentence']))}\n".encode()
    )
    return 0 if good else {403: 1, 400: 2}.get(int(status), 3)


def _asked(url: str, names: Sequence[str]) -> list[dict[str, Any]]:
    """The state of each name, as the gateway says it. Raises UsageError where it is none, or does not answer."""
    headers = {"Content-Type": "application/json"}
    if token := os.environ.get("HF_TOKEN"):
        headers["Authorization"] = f"Bearer {token}"
    body = json.dumps({"names": list(names)}).encode()
    request = urllib.request.Request(f"{url}/-/api/warm", body, headers)  # noqa: S310 - http or https, see above
    try:
        with urllib.request.urlopen(request, timeout=_ANSWER) as answer:  # noqa: S310
            states = json.loads(answer.read(_MAX_ANSWER))
        if not all({"name", "status", "sentence"} <= state.keys() for state in states):
            raise ValueError
    except urllib.error.HTTPError as error:
        raise UsageError(
            f"{url} answers HTTP {error.code}: is it a gateway of safe-load?"
        ) from None
    except OSError as error:
        raise UsageError(f"{url} cannot be reached: {getattr(error, 'reason', error)}") from None
    except (ValueError, AttributeError, TypeError):
        raise UsageError(f"{url} does not answer as a gateway of safe-load does") from None
    return list(states)
