"""A gateway as a user starts it, with unchanged clients before it and a hub on loopback behind it.

One gateway serves all tests here. Files are read as data (depth "static"), which takes no room with torch in it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import pickle
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest

from tests.integration import tiny
from tests.integration.fake_hub import Answer, FakeHub, Request

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.xdist_group("gateway"), pytest.mark.anyone]

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


class _Payload:
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
            with _OPENER.open(request, timeout=60) as answer:
                return Got(answer.status, _lower(answer.headers), answer.read())
        except urllib.error.HTTPError as error:
            return Got(error.code, _lower(error.headers), error.read())

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


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirect, urllib.request.ProxyHandler({}))


def _lower(headers: Any) -> dict[str, str]:
    return {key.lower(): value for key, value in headers.items()}


def _private(hub: FakeHub) -> None:
    """acme/secret is there for whoever shows the gateway's token."""

    def before(request: Request) -> Answer | None:
        if (
            "acme/" in request.path
            and request.headers.get("authorization") != f"Bearer {HUB_TOKEN}"
        ):
            return Answer(404, headers={"X-Error-Code": "RepoNotFound"})
        return None

    hub.before = before


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    home = tmp_path_factory.mktemp("gateway")
    model = home / "model"
    tiny.save(model, "bert", "bin")
    with FakeHub(page=4) as hub:
        hub.xet = True
        commits = {"org/good": hub.add("org/good", model)}
        files = {path.name: path.read_bytes() for path in model.iterdir()}
        commits["org/evil"] = hub.add(
            "org/evil", files | {"pytorch_model.bin": pickle.dumps({"w": _Payload()})}
        )
        steered = json.loads(files["config.json"]) | {
            "auto_map": {"AutoModel": "x.<script>alert(1)</script>"}
        }
        commits["org/code"] = hub.add(
            "org/code", files | {"config.json": json.dumps(steered).encode()}
        )
        commits["org/same"] = hub.add("org/same", files | {"README.md": b"# the same model"})
        commits["acme/secret"] = hub.add("acme/secret", files | {"notes.txt": b"secret"})
        _private(hub)
        token = home / "token"
        token.write_text(HUB_TOKEN)
        token.chmod(0o600)
        digests = {
            name: hashlib.sha256(each.encode()).hexdigest()
            for name, each in (("alice", ALICE), ("bob", BOB))
        }
        config = home / "gateway.toml"
        config.write_text(CONFIG.format(token=token, **digests))
        command = [
            str(BIN / "safe-load"), "serve", "--upstream", hub.url, "--data", str(home / "data"), "--port", "0",
            "--config", str(config),
        ]  # fmt: skip
        made = Gateway("", hub, home, home / "data", commits, None, command)  # type: ignore[arg-type]
        made.start()
        yield made
        made.process.send_signal(signal.SIGTERM)
        assert made.process.wait(30) == 0
        assert made.process.stderr is not None
        assert made.process.stderr.read() == ""
        made.process.stderr.close()


# --- unchanged clients


def test_hf_download_gets_the_cleared_model_and_only_that(gateway: Gateway) -> None:
    folder = gateway.home / "downloaded"
    done = subprocess.run(
        [BIN / "hf", "download", "org/good", "--local-dir", folder],
        env=gateway.environment("hf"), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = {path.name for path in folder.iterdir() if path.is_file()}
    assert {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "safe-load.manifest.json",
    } <= found
    assert "pytorch_model.bin" not in found
    shutil.rmtree(folder / ".cache")
    checked = subprocess.run(
        [BIN / "safe-load", "verify", folder], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr


def test_hf_download_of_a_hostile_model_shows_the_reason(gateway: Gateway) -> None:
    done = subprocess.run(
        [BIN / "hf", "download", "org/evil"], env=gateway.environment("hf"), capture_output=True, text=True, check=False
    )  # fmt: skip
    assert done.returncode == 1
    assert "safe-load rejected org/evil" in done.stderr
    assert re.search(r"pytorch_model\.bin calls posix\.system .*when it is opened", done.stderr)
    assert not list((gateway.home / "hf").rglob("pytorch_model.bin"))


_CLIENT = """
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


@pytest.fixture(scope="module")
def client(gateway: Gateway) -> dict[str, Any]:
    """What a Python program with HF_ENDPOINT, and no other change, gets."""
    done = subprocess.run(
        [sys.executable, "-c", _CLIENT, gateway.commits["org/good"]],
        env=gateway.environment("python"), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1]) | {"stderr": done.stderr}
    return said


def test_from_pretrained_loads_the_cleared_model(client: dict[str, Any]) -> None:
    assert client["class"] == "BertModel"
    assert client["vocabulary"] > 0


def test_a_pinned_commit_works_and_the_client_is_told_what_it_got(
    gateway: Gateway, client: dict[str, Any]
) -> None:
    assert client["pinned"] == "BertModel"
    assert "model.safetensors" in client["pinned_files"]
    assert re.search(r"this is the cleared copy \w+ of org/good at commit", client["stderr"])


def test_a_snapshot_is_a_revision_of_its_own(gateway: Gateway, client: dict[str, Any]) -> None:
    revision = Path(client["snapshot"]).name
    assert revision != gateway.commits["org/good"]
    assert client["branches"] == [["main", revision]]
    assert client["listed"] == sorted(path.name for path in Path(client["snapshot"]).iterdir())
    assert client["glob"] == ["org/good/model.safetensors"]


def test_transformers_shows_the_reason_why_it_gets_no_hostile_model(client: dict[str, Any]) -> None:
    for name in ("evil", "evil_snapshot"):
        assert "safe-load rejected org/evil" in client[name]
        assert "posix.system" in client[name]


def test_no_answer_sends_a_client_to_xet(gateway: Gateway) -> None:
    for path in (
        "/org/good/resolve/main/model.safetensors",
        "/api/models/org/good/tree/main?recursive=true",
    ):
        got = gateway.get(path)
        assert got.status == 200
        assert not [name for name in got.headers if "xet" in name]
        assert b"xet" not in got.body[:5000].lower() or path.endswith(".safetensors")


def test_the_hub_was_never_shown_a_token_but_for_the_models_of_a_rule(gateway: Gateway) -> None:
    gateway.get("/api/models/org/good", token="hf_OfAUserOfTheHub0000000000000000")
    for request in gateway.hub.requests + gateway.hub.storage.requests:
        shown = request.headers.get("authorization")
        assert shown is None or (shown == f"Bearer {HUB_TOKEN}" and "acme/" in request.path)


# --- bytes, heads, ranges and listings


def test_heads_and_ranges_of_a_file_agree(gateway: Gateway) -> None:
    path = "/org/good/resolve/main/model.safetensors"
    whole = gateway.get(path)
    head = gateway.get(path, "HEAD")
    digest, size = hashlib.sha256(whole.body).hexdigest(), len(whole.body)
    assert (head.body, head.headers["content-length"]) == (b"", str(size))
    for got in (whole, head):
        assert got.headers["etag"] == got.headers["x-linked-etag"] == f'"{digest}"'
        assert got.headers["x-linked-size"] == str(size)
        assert (
            got.headers["x-repo-commit"]
            == got.headers["x-safe-load-revision"]
            != gateway.commits["org/good"]
        )
        assert got.headers["x-safe-load-upstream-commit"] == gateway.commits["org/good"]
    for wanted, start, end in (
        ("bytes=100-", 100, size),
        ("bytes=7-9", 7, 10),
        ("bytes=-5", size - 5, size),
    ):
        part = gateway.get(path, Range=wanted)
        assert (part.status, part.body) == (206, whole.body[start:end])
        assert part.headers["content-range"] == f"bytes {start}-{end - 1}/{size}"
    for wanted in (f"bytes={size}-", "bytes=9-7", "bytes=x"):
        refused = gateway.get(path, Range=wanted)
        assert (refused.status, refused.body) == (416, b"")
        assert refused.headers["content-range"] == f"bytes */{size}"
    assert gateway.get(path, Range="bytes=0-3", If_Range='"another"').status == 200
    assert gateway.get(path, If_None_Match=f'"{digest}"').status == 304


def test_a_file_that_is_not_in_the_cleared_copy_is_not_there(gateway: Gateway) -> None:
    for name in ("pytorch_model.bin", "none.json", ".gitattributes"):
        got = gateway.get(f"/org/good/resolve/main/{name}")
        assert (got.status, got.headers["x-error-code"]) == (404, "EntryNotFound")
        assert got.headers["x-repo-commit"]


def test_what_leads_elsewhere_is_not_there(gateway: Gateway) -> None:
    host, port = gateway.url.removeprefix("http://").split(":")
    secret = str(gateway.data / "gateway.sqlite")
    for path in (
        f"/org/good/resolve/main/..{secret}", "/org/good/resolve/main/../../../../gateway.sqlite",
        "/org/good/resolve/main/%2e%2e/%2e%2e/%2e%2e/gateway.sqlite", "/org/good/resolve/main/..%2f..%2f..%2fgateway.sqlite",
        f"/org/good/resolve/main/{secret}", f"/org/good/resolve/main/%2f{secret}", "/org/good/resolve/main/a%00b",
        "/org/good/resolve/main/..%5c..%5cgateway.sqlite", "/org/good/resolve/%0d%0aX-Evil:%201/config.json",
        "/-/report/../../gateway.sqlite", "/-/report/1%2f..%2f..", "/-/static/../style.css", "/api/models/org/good/tree/main/..",
    ):  # fmt: skip
        with socket.create_connection(
            (host, int(port)), 30
        ) as connection:  # no library that tidies paths up
            connection.sendall(
                f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
            )
            answer = b""
            while chunk := connection.recv(65536):
                answer += chunk
        assert answer.startswith((b"HTTP/1.1 404", b"HTTP/1.1 400")), path
        assert b"SQLite" not in answer
        assert b"\r\nX-Evil" not in answer


def test_a_models_own_words_stay_on_one_line_of_a_header(gateway: Gateway) -> None:
    got = gateway.get("/org/evil/resolve/main/config.json")
    assert (got.status, got.headers["x-error-code"]) == (403, "GatedRepo")
    assert "x-evil" not in got.headers
    assert got.headers["content-type"] == "application/json"


def test_other_kinds_of_repository_are_refused(gateway: Gateway) -> None:
    for path in (
        "/api/datasets/org/good",
        "/datasets/org/good/resolve/main/x.parquet",
        "/api/spaces/org/good",
    ):
        got = gateway.get(path)
        assert got.status == 403
        assert "serves cleared models only" in got.headers["x-error-message"]
    for path in (
        "/api/models",
        "/api/repos/create",
        "/x",
        "/org/good/raw/main/config.json",
        "/org/good.git/info/refs",
    ):
        assert gateway.get(path).status == 404
    assert gateway.get("/api/models/org/good", "POST", body=b"{}").status == 405
    assert gateway.get("/api/organizations/org/overview").json["name"] == "org"
    assert gateway.get("/banned/x/resolve/main/config.json").status == 403
    assert not gateway.hub.asked("banned/x")  # other tests ask for names that only end so


def test_a_thousand_heads_at_once_are_answered(gateway: Gateway) -> None:
    path = "/org/good/resolve/main/config.json"
    assert gateway.get(path).status == 200
    asked = len(gateway.hub.requests)
    with ThreadPoolExecutor(64) as pool:
        got = list(pool.map(lambda _: gateway.get(path, "HEAD").status, range(1000)))
    assert set(got) == {200}
    assert len(gateway.hub.requests) - asked < 60  # the name is asked for again once a second


# --- who may have what


def test_a_private_model_is_for_those_whom_the_policy_names(gateway: Gateway) -> None:
    path = "/acme/secret/resolve/main/config.json"
    assert gateway.get(path, token=ALICE).status == 200
    revision = gateway.get(path, "HEAD", token=ALICE).headers["x-repo-commit"]
    for who in (None, BOB, "hf_OfAUserOfTheHub0000000000000000"):
        for each in (
            path,
            path.replace("acme", "ACME"),
            path.replace("main", revision),
            "/api/models/acme/secret/refs",
        ):
            got = gateway.get(each, token=who)
            assert got.status in (401, 404)
            assert gateway.commits["acme/secret"] not in str(got.headers)
    assert gateway.get("/org/good/resolve/" + revision + "/config.json").status == 404
    page = gateway.get("/-/?q=secret", token=BOB)
    assert page.status == 200
    assert b"acme/secret" not in page.body
    assert b"acme/secret" in gateway.get("/-/?q=secret", token=ALICE).body


def test_the_same_bytes_under_another_name_are_not_opened_again(gateway: Gateway) -> None:
    first, second = (gateway.get(f"/api/models/{name}").json for name in ("org/good", "org/same"))
    assert first["sha"] != second["sha"]
    assert first["siblings"] == second["siblings"]


def test_whoami_knows_the_gateways_users_and_no_others(gateway: Gateway) -> None:
    assert gateway.get("/api/whoami-v2", token=BOB).json["name"] == "bob"
    assert gateway.get("/api/whoami-v2", token="hf_OfAUserOfTheHub0000000000000000").status == 401


def test_a_name_that_the_hub_leads_elsewhere_is_bound_by_the_rules_of_both(
    gateway: Gateway,
) -> None:
    gateway.hub.add("moved/x", {"config.json": b"{}"})
    kept = gateway.hub.before

    def moved(request: Request) -> Answer | None:
        for old, new in (("alias/banned", "moved/x"), ("alias/good", "org/good")):
            if old in request.path:
                return Answer(307, headers={"Location": request.path.replace(old, new)})
        return kept(request) if kept is not None else None

    gateway.hub.before = moved
    try:
        got = gateway.get("/api/models/alias/banned")
        assert (got.status, got.headers["x-error-code"]) == (404, "RepoNotFound")
        assert "another name" in got.json["error"]
        assert gateway.get("/api/models/alias/good").status == 200
    finally:
        gateway.hub.before = kept


def test_a_request_that_two_servers_may_read_differently_gets_one_answer(gateway: Gateway) -> None:
    host, port = gateway.url.removeprefix("http://").split(":")
    hidden = "0\r\n\r\nGET /-/audit HTTP/1.1\r\nHost: x\r\n\r\n"
    for method, headers, body in (
        ("POST", "Content-Length: 5\r\nTransfer-Encoding: chunked", hidden),
        ("GET", "Content-Length: 5\r\nContent-Length: 6", "abcdef"),
        ("GET", "Transfer-Encoding : chunked", hidden),
        ("GET", "Host: evil.example", ""),
        ("GET", "Authorization: Bearer a\0b", ""),
        ("POST", "Content-Type: application/json\r\nContent-Length: 9999", ""),  # and it goes
    ):
        path = "/-/api/warm" if "json" in headers else "/org/good/resolve/main/config.json"
        with socket.create_connection((host, int(port)), 30) as connection:
            connection.sendall(
                f"{method} {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\nConnection: close\r\n\r\n{body}".encode()
            )
            connection.shutdown(socket.SHUT_WR)
            answer = b""
            while chunk := connection.recv(65536):
                answer += chunk
        assert answer.count(b"HTTP/1.1 ") == ("json" not in headers), (headers, answer)
        assert not answer or answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 405")), headers


# --- pages


def _basic(name: str, token: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{token}".encode()).decode()}


def _number(gateway: Gateway, repo: str) -> str:
    page = gateway.get(f"/-/?q={repo}").body.decode()
    return re.findall(r'href="/-/model/(\d+)"', page)[0]


def test_a_hostile_models_pages_hold_nothing_alive(gateway: Gateway) -> None:
    assert gateway.get("/api/models/org/evil").status == 403
    number = _number(gateway, "org/evil")
    code = _number(gateway, "org/code") if gateway.get("/api/models/org/code").status else ""
    for path in (
        "/-/",
        f"/-/model/{number}",
        f"/-/model/{code}",
        f"/-/report/{code}",
        f"/-/report/{number}",
    ):
        got = gateway.get(path)
        assert got.status == 200
        policy = got.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src" not in policy
        assert b"<script" not in got.body
        assert got.headers["x-content-type-options"] == "nosniff"
    assert policy.startswith("sandbox;")
    style = re.search(rb"<style>(.*?)</style>", gateway.get("/-/").body, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1]).digest()).decode()
    assert f"'sha256-{digest}'" in gateway.get("/-/").headers["content-security-policy"]


def test_an_approver_accepts_a_finding_until_a_day_and_ends_that(gateway: Gateway) -> None:
    path = "/api/models/org/code"
    refused = gateway.get(path)
    assert refused.status == 403
    assert "suspicious" in refused.json["error"]
    number = _number(gateway, "org/code")
    assert b"/-/accept" not in gateway.get(f"/-/model/{number}", **_basic("bob", BOB)).body
    page = gateway.get(f"/-/model/{number}", **_basic("alice", ALICE)).body.decode()
    values = dict(re.findall(r'name="(form|number|finding|sha256)" value="([^"]+)"', page))
    until = (datetime.now(UTC) + timedelta(days=7)).date().isoformat()
    given = values | {"reason": "read <b>by me</b>", "until": until}

    def post(
        to: str, form: dict[str, str], name: str = "alice", token: str = ALICE, **more: str
    ) -> int:
        return gateway.get(
            to, "POST", body=urlencode(form).encode(), **_basic(name, token), **more
        ).status

    assert post("/-/accept", given, "bob", BOB) == 403
    assert post("/-/accept", given | {"form": "1.0"}) == 403
    assert post("/-/accept", given, Sec_Fetch_Site="cross-site") == 403
    assert post("/-/accept", given | {"sha256": "0" * 64}) == 400
    assert post("/-/accept", given | {"until": "2020-01-01"}) == 400
    assert post("/-/accept", given | {"reason": " "}) == 400
    assert gateway.get(path).status == 403
    assert post("/-/accept", given) == 303
    cleared = gateway.get(path)
    assert cleared.status == 200, cleared.body
    config = gateway.get("/org/code/resolve/main/config.json")
    assert "auto_map" not in config.json
    page = gateway.get("/-/exceptions", **_basic("alice", ALICE)).body.decode()
    assert "read &lt;b&gt;by me" in page
    values = dict(re.findall(r'name="(form|number)" value="([^"]+)"', page))
    assert gateway.get("/-/exceptions", **_basic("bob", BOB)).status == 404
    assert gateway.get("/-/exceptions").status == 404
    assert post("/-/expire", values) == 303
    assert gateway.get(f"/org/code/resolve/{cleared.json['sha']}/config.json").status in (404, 403)
    assert gateway.get(path).status == 403
    log = gateway.get("/-/audit", **_basic("alice", ALICE)).body.decode()
    assert log.index("expire") < log.index("accept")
    assert gateway.get("/-/audit", **_basic("bob", BOB)).status == 404


def test_health_and_numbers_are_told_without_names(gateway: Gateway) -> None:
    gateway.get("/api/models/org/good")
    assert gateway.get("/healthz").json["status"] == "ok"
    numbers = gateway.get("/metrics").body.decode()
    assert re.search(r'safe_load_models\{state="cleared"\} [1-9]', numbers)
    assert re.search(r"safe_load_kept_bytes [1-9]", numbers)
    assert re.search(
        r"Cleared files on this machine: [1-9].* of 1.*; 0 had",
        gateway.get("/-/").body.decode(),
    )
    assert "org/" not in numbers


# --- a hub that is down, a gateway that is killed


def test_warm_prepares_models_and_says_what_became_of_each(gateway: Gateway) -> None:
    done = subprocess.run(
        [BIN / "safe-load", "gateway", "warm", "org/good", "org/evil", "org/none"],
        env=gateway.environment("warm"), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert re.search(r"^✓ org/good: cleared, revision [0-9a-f]{40}$", done.stdout, re.MULTILINE)
    assert re.search(r"^✗ org/evil: safe-load rejected org/evil", done.stdout, re.MULTILINE)
    assert re.search(r"^✗ org/none: .*there is no such repository", done.stdout, re.MULTILINE)


def test_without_the_hub_the_last_known_is_served_and_said(gateway: Gateway) -> None:
    # Under a name of its own: for half a minute the gateway remembers that nobody answered for it.
    commits = gateway.hub.commits["org/good"]
    gateway.hub.add("org/away", commits[gateway.hub.names["org/good"]["main"]])
    path = "/org/away/resolve/main/config.json"
    before = gateway.get(path)
    assert before.status == 200
    kept, gateway.hub.before = gateway.hub.before, lambda _: Answer(503)
    try:
        time.sleep(1.1)
        after = gateway.get(path)
        assert after.body == before.body
        assert "the upstream hub does not answer" in after.headers["x-hf-warning"]
    finally:
        gateway.hub.before = kept


def test_killed_it_serves_what_was_cleared_and_judges_what_was_asked(gateway: Gateway) -> None:
    path = "/org/good/resolve/main/config.json"
    before = gateway.get(path)
    commit = gateway.hub.add(
        "org/late",
        {
            "config.json": b"{}",
            "pytorch_model.bin": (gateway.home / "model/pytorch_model.bin").read_bytes(),
        },
    )
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(lambda: gateway.get("/api/models/org/late/revision/main"))
        deadline = time.monotonic() + 30
        while not gateway.hub.asked(f"/org/late/resolve/{commit}") and time.monotonic() < deadline:
            time.sleep(0.02)
        gateway.process.kill()
        gateway.process.communicate()
        assert isinstance(asked.exception(), OSError)
    gateway.start()
    after = gateway.get(path)
    assert (after.body, after.headers["etag"]) == (before.body, before.headers["etag"])
    late = gateway.get(f"/api/models/org/late/revision/{commit}")
    assert late.status == 200
    assert not list((gateway.data / "jobs").glob("*/cleared-*"))


def test_a_second_gateway_does_not_take_the_folder_of_the_first(gateway: Gateway) -> None:
    done = subprocess.run(gateway.command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "another gateway uses the data folder" in done.stderr


def test_the_documented_configuration_is_read(tmp_path: Path) -> None:
    from safe_load.gateway.settings import read

    page = (Path(__file__).parents[2] / "docs" / "gateway.md").read_text()
    (text,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    token = tmp_path / "token"
    token.write_text(HUB_TOKEN)
    token.chmod(0o600)
    file = tmp_path / "gateway.toml"
    file.write_text(text.replace("/etc/safe-load/hub-token", str(token)))
    assert read(file, {}).workers == tomllib.loads(text)["workers"]
