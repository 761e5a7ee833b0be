"""A model on a hub of loopback, and how the tests here ask for it."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from safe_load import NotLoadable
from safe_load.sources import hub

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.fake_hub import Request


TOKEN = "hf_AbCdEfGhIjKlMnOpQrStUvWxYz123456"
REPO = "org/name"
FILES = {
    "config.json": b'{"model_type": "bert"}',
    "model.safetensors": b"s" * 300_000,
    "pytorch_model.bin": b"p" * 300_000,
    "vocab.txt": b"a\nb\n",
    "modeling_mine.py": b"print()\n",
    "README.md": b"# mine\n",
    "training_args.bin": b"t" * 100,
    "onnx/model.onnx": b"o" * 500_000,
    "tf_model.h5": b"h" * 500_000,
}
LOADED = {"config.json", "model.safetensors", "vocab.txt", "modeling_mine.py"}


def fetch(source: str = f"hf://{REPO}", **options: Any) -> hub.Snapshot:
    return hub.fetch(hub.parse(source), token=TOKEN, **options)


def fails(source: str = f"hf://{REPO}", **options: Any) -> str:
    with pytest.raises(NotLoadable) as caught:
        fetch(source, **options)
    assert TOKEN not in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def leftovers(home: Path) -> list[str]:
    """The halves of files; whatever the command makes and removes meanwhile."""
    return [
        os.path.join(folder, name)
        for folder, _, names in os.walk(home)
        for name in names
        if name.endswith(".incomplete")
    ]


def authorized(requests: list[Request]) -> list[str]:
    return [request.path for request in requests if TOKEN in str(request.headers)]


def run_command(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "safe_load", *arguments]
    return subprocess.run(
        command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
