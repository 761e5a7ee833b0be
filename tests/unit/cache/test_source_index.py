from __future__ import annotations

import hashlib
import mmap
import os
import time
from typing import TYPE_CHECKING

import pytest
from safe_load.cache.source_index import SourceIndex
from safe_load.core.errors import NotLoadable

if TYPE_CHECKING:
    from pathlib import Path


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def index(tmp_path: Path) -> SourceIndex:
    (tmp_path / "index").mkdir()
    return SourceIndex(tmp_path / "index")


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A file that nobody has touched for a while: its ctime too is past what is racy."""
    path = tmp_path / "old.bin"
    path.write_bytes(b"old")
    time.sleep(2.1)
    return path


def hashed(index: SourceIndex, *places: Path, trust: bool = True) -> tuple[list[str], int]:
    """The digests, and how many bytes were read for them."""
    read: list[int] = []
    found = index.digests("m", places, trust=trust, progress=read.append)
    return [found[place][1] for place in places], sum(read)


def test_a_file_that_did_not_change_is_not_read_again(index: SourceIndex, old: Path) -> None:
    assert hashed(index, old) == ([sha256(b"old")], 3)
    assert hashed(index, old) == ([sha256(b"old")], 0)


def test_who_does_not_trust_the_index_reads_all(index: SourceIndex, old: Path) -> None:
    hashed(index, old)
    assert hashed(index, old, trust=False) == ([sha256(b"old")], 3)


def test_a_file_changed_just_before_it_was_hashed_is_read_again(
    index: SourceIndex, tmp_path: Path
) -> None:
    path = tmp_path / "new.bin"
    for data in (b"one", b"two"):  # same size, and within one tick of a coarse clock
        path.write_bytes(data)
        assert hashed(index, path) == ([sha256(data)], 3)
    os.utime(path, (1, 1))  # what has an old mtime was still changed just now
    assert hashed(index, path) == ([sha256(b"two")], 3)
    assert hashed(index, path) == ([sha256(b"two")], 3)


def test_a_change_that_keeps_size_and_mtime_is_seen(index: SourceIndex, old: Path) -> None:
    hashed(index, old)
    before = old.stat()
    old.write_bytes(b"new")
    os.utime(old, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert old.stat().st_mtime_ns == before.st_mtime_ns
    assert hashed(index, old) == ([sha256(b"new")], 3)


def test_another_file_in_its_place_is_seen(index: SourceIndex, old: Path, tmp_path: Path) -> None:
    hashed(index, old)
    other = tmp_path / "other"
    other.write_bytes(b"new")
    before = old.stat()
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(old)
    assert hashed(index, old)[0] == [sha256(b"new")]


def test_a_file_that_changes_while_it_is_read_is_refused(index: SourceIndex, old: Path) -> None:
    def change(_: int) -> None:
        old.write_bytes(b"new")

    with pytest.raises(NotLoadable, match=r"old\.bin was changed while it was read"):
        index.digests("m", [old], progress=change)


def test_a_file_that_grows_while_it_is_read_does_not_keep_the_reader(
    index: SourceIndex, old: Path
) -> None:
    def grow(_: int) -> None:
        with old.open("ab") as file:
            file.write(b"more")

    with pytest.raises(NotLoadable, match="was changed while it was read"):
        index.digests("m", [old], progress=grow)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"a": [1]}', b"\xff" * 100])
def test_a_record_that_does_not_read_only_costs_time(
    index: SourceIndex, old: Path, tmp_path: Path, content: bytes
) -> None:
    hashed(index, old)
    (record,) = (tmp_path / "index").iterdir()
    record.write_bytes(content)
    assert hashed(index, old) == ([sha256(b"old")], 3)
    assert hashed(index, old) == ([sha256(b"old")], 0)


def test_an_index_that_cannot_be_written_only_costs_time(old: Path, tmp_path: Path) -> None:
    index = SourceIndex(tmp_path / "nowhere")
    assert hashed(index, old) == hashed(index, old) == ([sha256(b"old")], 3)


def test_what_is_gone_is_named(index: SourceIndex, tmp_path: Path) -> None:
    with pytest.raises(NotLoadable, match="gone cannot be read: No such file"):
        index.digests("m", [tmp_path / "gone"])


def test_only_the_sources_hashed_last_are_remembered(
    index: SourceIndex, old: Path, tmp_path: Path
) -> None:
    for number in range(5):
        index.digests(str(number), [old])
    index.prune(2)
    assert len(list((tmp_path / "index").iterdir())) == 2


def test_what_others_write_by_way_of_a_mapping_shows(index: SourceIndex, tmp_path: Path) -> None:
    path = tmp_path / "shared.bin"
    path.write_bytes(b"a" * 4096)
    path.chmod(0o666)
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as pages:
        pages[0] = ord("b")  # from here on the page is dirty: the next write to it changes no time
        time.sleep(2.1)
        assert hashed(index, path)[0] == [sha256(path.read_bytes())]
        pages[1] = ord("c")
        assert hashed(index, path)[0] == [sha256(b"bc" + b"a" * 4094)] or _is_tmpfs(path)


def _is_tmpfs(path: Path) -> bool:
    """Whether no mapping changes a time there, as the index says of tmpfs."""
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as pages:
        os.fdatasync(file.fileno())
        before = path.stat().st_ctime_ns
        time.sleep(0.05)
        pages[0] = ord("d")
        return path.stat().st_ctime_ns == before
