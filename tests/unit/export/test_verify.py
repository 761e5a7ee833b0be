from __future__ import annotations

import hashlib
import os
import re
import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest
import safetensors.numpy
from blake3 import blake3
from safe_load.core.errors import NotLoadable
from safe_load.core.report import Source, Tool
from safe_load.export import manifest
from safe_load.export.staging import Staging
from safe_load.export.verify import verify

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WEIGHTS = safetensors.numpy.save({"x": np.arange(4.0)}, {"format": "pt"})


HEAD = manifest.Manifest(
    tool=Tool("safe-load", "0"), policy="p", source=Source("m"), sources=[], files=[], created="now"
)


def export(target: Path, weights: bytes = WEIGHTS) -> Path:
    with Staging.create(target) as staging:
        staging.write("model.safetensors", weights)
        staging.write("1_Pooling/config.json", b"{}")
        staging.publish(HEAD, durable=False)
    return target


def test_digests_that_were_asked_for_are_checked_too(tmp_path: Path) -> None:
    with Staging.create(tmp_path / "out", sha256=True) as staging:
        staging.write("model.safetensors", WEIGHTS)
        (entry, own) = staging.publish(HEAD, durable=False)
    assert entry.digests.sha256 == hashlib.sha256(WEIGHTS).hexdigest()
    assert (
        own.digests.sha256
        == hashlib.sha256((tmp_path / "out" / manifest.NAME).read_bytes()).hexdigest()
    )
    assert verify(tmp_path / "out").ok
    flip_a_byte(tmp_path / "out")
    (problem,) = verify(tmp_path / "out").problems
    assert "another BLAKE3 and SHA-256 than" in problem
    stated = (tmp_path / "out" / manifest.NAME).read_text()
    true = blake3((tmp_path / "out" / "model.safetensors").read_bytes()).hexdigest()
    (tmp_path / "out" / manifest.NAME).write_text(stated.replace(entry.digests.blake3, true))
    (problem,) = verify(tmp_path / "out").problems
    assert "another SHA-256 than" in problem


def test_an_export_verifies(tmp_path: Path) -> None:
    state = verify(export(tmp_path / "out"))
    assert state.problems == ()
    assert state.ok
    assert len(state.manifest.files) == 2


def flip_a_byte(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")


def replace_by_a_link(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder.parent / "elsewhere")
    (folder / "model.safetensors").symlink_to(folder.parent / "elsewhere")


def replace_folder_by_a_link(folder: Path) -> None:
    (folder / "1_Pooling").rename(folder.parent / "elsewhere")
    (folder / "1_Pooling").symlink_to(folder.parent / "elsewhere")


def put_a_pipe(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    os.mkfifo(folder / "model.safetensors")


@pytest.mark.parametrize(
    ("change", "problems"),
    [
        (flip_a_byte, ["another BLAKE3 than"]),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"x"), ["has 1 bytes"]),
        (lambda folder: (folder / "model.safetensors").unlink(), ["is missing"]),
        (lambda folder: shutil.rmtree(folder / "1_Pooling"), ["is missing"]),
        (lambda folder: (folder / "evil.py").write_bytes(b""), ["'evil.py' is not in the manifest"]),
        (lambda folder: (folder / "1_Pooling" / "\x1b[2J").write_bytes(b""), [r"x1b\[2J' is not in the manifest"]),
        (lambda folder: (folder / "__pycache__").mkdir(), ["is a folder that"]),
        (lambda folder: (folder / "link").symlink_to("/etc"), ["'link' is not in the manifest"]),
        (replace_by_a_link, ["not a regular file", "missing, or not a regular file"]),
        (replace_folder_by_a_link, ["'1_Pooling' is not in the manifest", "is missing"]),
        (put_a_pipe, ["not a regular file", "missing, or not a regular file"]),
    ],
)  # fmt: skip
def test_every_change_is_a_problem(
    tmp_path: Path, change: Callable[[Path], object], problems: list[str]
) -> None:
    folder = export(tmp_path / "out")
    change(folder)
    found = verify(folder).problems
    assert len(found) == len(problems)
    for sentence, expected in zip(found, problems, strict=True):
        assert re.search(expected, sentence)


def test_weights_that_are_no_strict_safetensors_are_a_problem_though_the_hash_is_right(
    tmp_path: Path,
) -> None:
    found = verify(export(tmp_path / "out", WEIGHTS + b"!")).problems
    assert len(found) == 1
    assert "model.safetensors" in found[0]


def test_a_folder_without_a_readable_manifest_is_not_loadable(tmp_path: Path) -> None:
    with pytest.raises(NotLoadable, match="has no readable safe-load"):
        verify(tmp_path)
    with pytest.raises(NotLoadable, match="has no readable safe-load"):
        verify(tmp_path / "nothing")
    (tmp_path / manifest.NAME).write_bytes(b"{}")
    with pytest.raises(NotLoadable, match="not a manifest"):
        verify(tmp_path)
    (tmp_path / manifest.NAME).unlink()
    (tmp_path / manifest.NAME).symlink_to("/dev/zero")
    with pytest.raises(NotLoadable, match="cannot be opened"):
        verify(tmp_path)


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("modeling_evil.py", b"import os\n", "a kind of file that no cleared copy holds"),
        ("pytorch_model.bin", b"cos\nsystem\n", "a kind of file that no cleared copy holds"),
        ("vocab", b"a\n", "a kind of file that no cleared copy holds"),
        ("vocab.txt", b"\x80\x02.", "is not text in UTF-8"),
        ("vocab.txt", b"a\0b", "is not text: it holds a zero byte"),
        ("config.json", b"{", "a bracket is missing"),
        ("config.json", b'{"auto_map": {"AutoModel": "m.M"}}', "has the key"),
        ("config.json", b'{"text_config": [{"auto_map": {}}]}', "has the key"),
        ("sub/tokenizer_config.json", b'{"trust_remote_code": true}', "has the key"),
    ],
)
def test_a_true_manifest_does_not_make_a_foreign_file_part_of_a_cleared_copy(
    tmp_path: Path, name: str, data: bytes, why: str
) -> None:
    with Staging.create(tmp_path / "out") as staging:
        staging.write(name, data)
        staging.publish(HEAD, durable=False)
    (problem,) = verify(tmp_path / "out").problems
    assert why in problem
