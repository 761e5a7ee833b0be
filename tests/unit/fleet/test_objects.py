"""Stores keep bytes by their content, and records once: in a folder, and in object storage by fsspec."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

import pytest
from safe_load.core.errors import UsageError
from safe_load.fleet import objects

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from safe_load.fleet.objects import Objects

RECORD = f"results/{'a' * 64}.json"


@pytest.fixture(params=["file", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Objects:
    return objects.of(f"{request.param}://{tmp_path}/store")


@pytest.fixture
def spoil(store: Objects, tmp_path: Path) -> Callable[[str], None]:
    """Puts other bytes at an address."""

    def do(address: str) -> None:
        place = f"blobs/{address[:2]}/{address}"
        if isinstance(store, objects.Remote):
            store._files.pipe_file(f"{store._root}/{place}", b"other")
        else:
            (tmp_path / "store" / place).write_bytes(b"other")

    return do


def test_bytes_come_back_by_their_digest(store: Objects, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 3_000_000)
    address = store.put(tmp_path / "a")
    assert address == hashlib.sha256(b"x" * 3_000_000).hexdigest()
    assert store.put(tmp_path / "a") == address
    store.get(address, tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == b"x" * 3_000_000
    with pytest.raises(FileExistsError):
        store.get(address, tmp_path / "b")


def test_other_bytes_are_an_error_and_leave_no_file(
    store: Objects, spoil: Callable[[str], None], tmp_path: Path
) -> None:
    (tmp_path / "a").write_bytes(b"true")
    address = store.put(tmp_path / "a")
    spoil(address)
    with pytest.raises(objects.StoreError, match="other bytes"):
        store.get(address, tmp_path / "b")
    assert not (tmp_path / "b").exists()
    with pytest.raises(FileNotFoundError):
        store.get("0" * 64, tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_the_first_record_of_a_name_stays(store: Objects) -> None:
    store.forget(RECORD)
    assert store.recorded(RECORD) is None
    assert store.record(RECORD, b"first")
    assert not store.record(RECORD, b"second")
    assert store.recorded(RECORD) == b"first"
    store.forget(RECORD)
    store.forget(RECORD)
    assert store.recorded(RECORD) is None


def test_names_and_files_that_lead_elsewhere_are_refused(store: Objects, tmp_path: Path) -> None:
    for name in ("../x", "results/../x.json", f"results/{'a' * 64}", f"/{RECORD}", ""):
        with pytest.raises(objects.StoreError):
            store.record(name, b"")
        with pytest.raises(objects.StoreError):
            store.get(name, tmp_path / "b")
    (tmp_path / "secret").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(OSError, match="link"):
        store.put(tmp_path / "link")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="not a regular file"):
        store.put(tmp_path / "pipe")


@pytest.mark.parametrize(
    "url", ["", "x", "file://", "file:///", "file://host/x", "none://x/y", "/tmp/x"]
)
def test_what_is_no_store_is_a_wrong_command_line(url: str) -> None:
    with pytest.raises(UsageError):
        objects.of(url)
