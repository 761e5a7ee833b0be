from __future__ import annotations

import json
import re
from typing import Any

import msgspec
import pytest
from safe_load.core.report import Digests, Source, Tool
from safe_load.export import manifest
from safe_load.export.manifest import FileEntry, Manifest, SourceEntry
from safe_load.worker.strict_json import Malformed

GOOD = Manifest(
    tool=Tool("safe-load", "0.1.0"),
    policy="strict",
    source=Source("/models/m", "abc"),
    sources=[SourceEntry("a/pytorch_model.bin", 5, "0" * 64)],
    files=[FileEntry("model.safetensors", 5, Digests("f" * 64))],
    created="2026-01-01T00:00:00Z",
)


def with_path(path: str) -> Manifest:
    return msgspec.structs.replace(GOOD, files=[FileEntry(path, 1, Digests("0" * 64))])


def test_a_manifest_comes_back_as_it_was_written() -> None:
    data = manifest.encode(GOOD)
    assert manifest.decode(data) == GOOD
    assert data.endswith(b"}\n")
    assert json.loads(data)["schema"] == "safe-load/manifest/1"


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "../x",
        "a/../b",
        "",
        "a//b",
        "./a",
        "a/",
        "a\nb",
        "a\x1b[2J",
        "a\\b",
        "x" * 4097,
    ],
)
def test_no_path_leaves_the_folder_or_hides_anything(path: str) -> None:
    with pytest.raises(Malformed, match="path"):
        manifest.encode(with_path(path))
    with pytest.raises(Malformed, match="path"):
        manifest.decode(msgspec.json.encode(with_path(path)))


@pytest.mark.parametrize(
    "path", ["model.safetensors", "1_Pooling/config.json", "..a", "模型.safetensors"]
)
def test_plain_names_in_any_script_pass(path: str) -> None:
    assert manifest.decode(manifest.encode(with_path(path))).files[0].path == path


@pytest.mark.parametrize(
    "change",
    [
        {"schema": "safe-load/manifest/9"},
        {"surprise": 1},
        {"files": [{"path": "a", "size": -1, "digests": {"blake3": "0" * 64}}]},
        {"files": [{"path": "a", "size": 1, "digests": {"blake3": "0" * 63 + "g"}}]},
        {"files": [{"path": "a", "size": 1, "digests": {"sha256": "0" * 64}}]},
        {"files": [{"path": "a", "size": 1, "digests": {"blake3": "0" * 64, "md5": "0"}}]},
        {"files": [{"path": "a", "size": 1, "digests": {"blake3": "0" * 64}}] * 2},
        {"files": None},
    ],
)
def test_what_is_not_a_manifest_is_refused(change: dict[str, Any]) -> None:
    data = json.dumps(json.loads(manifest.encode(GOOD)) | change).encode()
    with pytest.raises(Malformed, match=re.escape(manifest.NAME)):
        manifest.decode(data)


@pytest.mark.parametrize("data", [b"", b"[" * 100_000, b'{"tool":' * 100_000, b"\xff", b"{}"])
def test_hostile_bytes_are_refused_without_a_crash(data: bytes) -> None:
    with pytest.raises(Malformed):
        manifest.decode(data)
