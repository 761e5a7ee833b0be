"""A gateway as a user starts it, with a hub on loopback behind it, and how tests ask it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.integration.fake_hub import Answer, FakeHub, Request

BIN = Path(sys.executable).parent
ALICE, BOB = "alice-token-of-32-characters-000", "bob-token-of-32-characters-00000"
HUB_TOKEN = "hf_TheGatewaysOwnTokenForTheHub12"
CONFIG = """
token-file = "{token}"
names-for = "1s"
workers = 1
[load]
depth = "static"
[limits]
wait = 25
kept = "1GiB"
[[users]]
name = "alice"
token-sha256 = "{alice}"
roles = ["read", "approve"]
[[users]]
name = "bob"
token-sha256 = "{bob}"
[[models]]
match = "acme/**"
token = true
users = ["alice"]
[[models]]
match = "banned/**"
allow = false
[[models]]
match = "moved/**"
allow = false
"""


class Payload:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch /tmp/x\r\nX-Evil: 1 <script>alert(1)</script>",)


@dataclass
class Got:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Gateway:
    """A running gateway. home: a folder for clients."""

    url: str
    hub: FakeHub
    home: Path
    data: Path
    commits: dict[str, str]
    process: subprocess.Popen[str]
    command: list[str]

    def get(
        self, path: str, method: str = "GET", token: str | None = None, body: bytes | None = None, **headers: str
    ) -> Got:  # fmt: skip
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        request = urllib.request.Request(self.url + path, body, headers, method=method)
        try:
            with OPENER.open(request, timeout=60) as answer:
                return Got(answer.status, lower(answer.headers), answer.read())
        except urllib.error.HTTPError as error:
            return Got(error.code, lower(error.headers), error.read())

    def environment(self, name: str) -> dict[str, str]:
        """For a client with a cache of its own."""
        kept = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("HF_", "HUGGING"))
        }
        return kept | {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(self.home / name),
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        }

    def start(self) -> None:
        """Start the process, again if it has ended."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
        self.process = subprocess.Popen(
            self.command,
            env=kept | {"HF_TOKEN": "hf_OfWhoeverStartedTheGateway0000"},
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stderr is not None
        line = self.process.stderr.readline()
        assert "HF_ENDPOINT=" in line, line + self.process.stderr.read()
        self.url = line.strip().rpartition("HF_ENDPOINT=")[2]
        self.process.stderr.readline()


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


OPENER = urllib.request.build_opener(NoRedirect, urllib.request.ProxyHandler({}))


def lower(headers: Any) -> dict[str, str]:
    return {key.lower(): value for key, value in headers.items()}


def private(hub: FakeHub) -> None:
    """acme/secret is there for whoever shows the gateway's token."""

    def before(request: Request) -> Answer | None:
        if (
            "acme/" in request.path
            and request.headers.get("authorization") != f"Bearer {HUB_TOKEN}"
        ):
            return Answer(404, headers={"X-Error-Code": "RepoNotFound"})
        return None

    hub.before = before


CLIENT = """
import json, sys
from pathlib import Path
from huggingface_hub import HfApi, HfFileSystem, snapshot_download
from transformers import AutoConfig, AutoModel, AutoTokenizer
pinned = sys.argv[1]
model = AutoModel.from_pretrained("org/good")
said = {"class": type(model).__name__, "vocabulary": len(AutoTokenizer.from_pretrained("org/good"))}
said["pinned"] = type(AutoModel.from_pretrained("org/good", revision=pinned)).__name__
said["snapshot"] = snapshot_download("org/good")
said["pinned_files"] = sorted(path.name for path in Path(snapshot_download("org/good", revision=pinned)).iterdir())
said["listed"] = sorted(HfApi().list_repo_files("org/good"))
said["glob"] = HfFileSystem().glob("org/good/*.safetensors")
said["branches"] = [(ref.name, ref.target_commit) for ref in HfApi().list_repo_refs("org/good").branches]
for name, ask in (("evil", AutoConfig.from_pretrained), ("evil_snapshot", snapshot_download)):
    try:
        ask("org/evil")
        said[name] = "opened"
    except Exception as error:
        said[name] = f"{type(error).__name__}: {error}"
print(json.dumps(said))
"""
