"""One gateway serves all tests of this folder.

Files are read as data (depth "static"), which takes no room with torch in it."""

from __future__ import annotations

import hashlib
import json
import pickle
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration import tiny
from tests.integration.fake_hub import FakeHub
from tests.integration.gateway.asking import (
    ALICE,
    BIN,
    BOB,
    CLIENT,
    CONFIG,
    HUB_TOKEN,
    Gateway,
    Payload,
    private,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="package")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    home = tmp_path_factory.mktemp("gateway")
    model = home / "model"
    tiny.save(model, "bert", "bin")
    with FakeHub(page=4) as hub:
        hub.xet = True
        commits = {"org/good": hub.add("org/good", model)}
        files = {path.name: path.read_bytes() for path in model.iterdir()}
        commits["org/evil"] = hub.add(
            "org/evil", files | {"pytorch_model.bin": pickle.dumps({"w": Payload()})}
        )
        steered = json.loads(files["config.json"]) | {
            "auto_map": {"AutoModel": "x.<script>alert(1)</script>"}
        }
        commits["org/code"] = hub.add(
            "org/code", files | {"config.json": json.dumps(steered).encode()}
        )
        commits["org/same"] = hub.add("org/same", files | {"README.md": b"# the same model"})
        commits["acme/secret"] = hub.add("acme/secret", files | {"notes.txt": b"secret"})
        private(hub)
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


@pytest.fixture(scope="package")
def client(gateway: Gateway) -> dict[str, Any]:
    """What a Python program with HF_ENDPOINT, and no other change, gets."""
    done = subprocess.run(
        [sys.executable, "-c", CLIENT, gateway.commits["org/good"]],
        env=gateway.environment("python"), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1]) | {"stderr": done.stderr}
    return said
