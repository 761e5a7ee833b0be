"""The gateway's pages, a hub that is down, a gateway that is killed."""

from __future__ import annotations

import base64
import hashlib
import re
import subprocess
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.integration.fake_hub import Answer
from tests.integration.gateway.asking import ALICE, BIN, BOB, HUB_TOKEN, Gateway

pytestmark = pytest.mark.anyone


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

    page = (Path(__file__).parents[3] / "docs" / "gateway.md").read_text()
    (text,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    token = tmp_path / "token"
    token.write_text(HUB_TOKEN)
    token.chmod(0o600)
    file = tmp_path / "gateway.toml"
    file.write_text(text.replace("/etc/safe-load/hub-token", str(token)))
    assert read(file, {}).workers == tomllib.loads(text)["workers"]
