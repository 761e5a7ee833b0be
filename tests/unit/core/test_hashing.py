from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

import pytest
from safe_load.core.hashing import open_regular, sha256_files

if TYPE_CHECKING:
    from pathlib import Path


def test_every_file_has_the_hash_that_hashlib_gives(tmp_path: Path) -> None:
    contents = {tmp_path / str(n): os.urandom(n * 700_000) for n in range(7)}
    for path, content in contents.items():
        path.write_bytes(content)
    seen: list[int] = []
    digests = sha256_files(contents, progress=seen.append)
    assert digests == {path: hashlib.sha256(data).hexdigest() for path, data in contents.items()}
    assert list(digests) == list(contents)
    assert sum(seen) == sum(map(len, contents.values()))


def test_no_files_have_no_hashes() -> None:
    assert sha256_files([]) == {}


def test_links_folders_and_pipes_are_refused_without_blocking(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("link", "pipe", "folder", "nothing"):
        with pytest.raises(OSError, match=name):
            open_regular(tmp_path / name)
        with pytest.raises(OSError, match=name):
            sha256_files([tmp_path / "file", tmp_path / name])


def test_a_missing_file_is_still_a_file_not_found_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "nothing")
