"""Cleared folders are kept whole, on this machine within a bound, and in a store of files where several gateways share them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from safe_load.core.errors import NotLoadable
from safe_load.fleet import objects
from safe_load.gateway.content import LocalContent, SharedContent

from tests.unit.gateway.test_service import export

if TYPE_CHECKING:
    from pathlib import Path

    from safe_load.fleet.objects import Objects
    from safe_load.gateway.content import ContentStore
    from safe_load.gateway.records import File

pytestmark = pytest.mark.anyone

TEXT = b'{"number": %d}'


@pytest.fixture(params=["file", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Objects:
    return objects.of(f"{request.param}://{tmp_path}/store")


def published(content: ContentStore, folder: Path, text: bytes) -> tuple[str, File]:
    """A folder with one file beside its manifest, kept."""
    address, files = content.publish(export(folder, text))
    (file,) = [each for each in files if each.path == "config.json"]
    return address, file


def read(content: ContentStore, address: str, file: File) -> bytes:
    if not content.here(file):
        content.fetch(file)
    with content.open(address, file) as opened:
        return opened.readall()


def test_another_gateway_reads_what_one_cleared(store: Objects, tmp_path: Path) -> None:
    first, second = (SharedContent(tmp_path / name, store) for name in "ab")
    address, file = published(first, tmp_path / "made", b"{}")
    assert not (tmp_path / "made").exists()
    assert first.here(file)
    assert not second.here(file)
    assert read(second, address, file) == b"{}"
    assert second.here(file)
    (tmp_path / "report.json").write_bytes(b"[]")
    name = first.keep_report(tmp_path / "report.json")
    assert second.report(name) == b"[]"
    for wrong in ("../x.json", f"{'0' * 64}.json", name + "/..", ""):
        with pytest.raises(OSError):  # noqa: PT011 - each store words it
            second.report(wrong)


def test_a_store_that_holds_other_bytes_gives_none(store: Objects, tmp_path: Path) -> None:
    first, second = (SharedContent(tmp_path / name, store) for name in "ab")
    _, file = published(first, tmp_path / "made", b"{}")
    place = f"blobs/{file.sha256[:2]}/{file.sha256}"
    if isinstance(store, objects.Remote):
        store._files.pipe_file(f"{store._root}/{place}", b"[]")
    else:
        (tmp_path / "store" / place).write_bytes(b"[]")
    with pytest.raises(OSError, match="other bytes"):
        second.fetch(file)
    assert not second.here(file)
    assert [path for path in (tmp_path / "b").rglob("*") if path.is_file()] == []


def test_a_folder_that_is_not_what_its_manifest_says_is_not_kept(
    store: Objects, tmp_path: Path
) -> None:
    for content in (SharedContent(tmp_path / "a", store), LocalContent(tmp_path / "b")):
        folder = export(tmp_path / type(content).__name__, b"{}")
        (folder / "config.json").write_bytes(b"[]")
        with pytest.raises(NotLoadable):
            content.publish(folder)


def test_what_a_killed_gateway_left_is_removed_and_the_rest_is_served(
    store: Objects, tmp_path: Path
) -> None:
    data = tmp_path / "a"
    address, file = published(SharedContent(data, store), tmp_path / "made", b"{}")
    (data / "cache" / "new" / "half").write_bytes(b"{")
    (data / "cache" / "00").mkdir(exist_ok=True)
    (data / "cache" / "00" / f".{'0' * 64}.safe-load-00000000").write_bytes(b"x")
    again = SharedContent(data, store)
    again.sweep({address}, set())
    assert again.here(file)
    assert again.kept.bytes == sum(
        path.stat().st_size for path in data.rglob("*") if path.is_file()
    )
    assert read(again, address, file) == b"{}"
    local = LocalContent(tmp_path / "b")
    kept, _ = published(local, tmp_path / "kept", b"{}")
    lost, _ = published(local, tmp_path / "lost", b"[]")
    local = LocalContent(tmp_path / "b")
    local.sweep({kept}, set())
    assert not local.gone(kept)
    assert local.gone(lost)
    assert len(list((tmp_path / "b" / "content").glob("??/*"))) == 1


def test_the_one_that_was_served_the_longest_ago_makes_room_and_none_that_is_read(
    tmp_path: Path,
) -> None:
    content = LocalContent(tmp_path, limit=10_000)
    made = [published(content, tmp_path / str(n), TEXT % n) for n in range(3)]
    one = content.kept.bytes // 3
    assert content.kept.removed == 0
    with content.open(*made[0]) as file:  # so the second is the oldest
        assert file.read(1) == b"{"
    content.kept.limit = 3 * one
    made.append(published(content, tmp_path / "3", TEXT % 3))
    assert [content.gone(address) for address, _ in made] == [False, True, False, False]
    with content.open(*made[0]) as file:
        content.kept.limit = one
        made.append(published(content, tmp_path / "4", TEXT % 4))
        assert [content.gone(address) for address, _ in made] == [False, True, True, True, False]
        assert file.read() == TEXT % 0
    assert [content.gone(address) for address, _ in made] == [True, True, True, True, False]
    assert content.kept.bytes == one
    assert content.kept.removed == 4
    with pytest.raises(OSError):  # noqa: PT011
        content.open(*made[0])


def test_the_order_outlives_the_gateway(tmp_path: Path) -> None:
    content = LocalContent(tmp_path)
    made = [published(content, tmp_path / str(n), TEXT % n)[0] for n in range(3)]
    for at, number in enumerate((2, 0, 1)):
        place = tmp_path / "content" / made[number][:2] / made[number]
        os.utime(place, (at, at))
    later = LocalContent(tmp_path, limit=2 * content.kept.bytes // 3)
    later.sweep(set(made), set())
    assert [later.gone(address) for address in made] == [False, False, True]


def test_a_full_disk_is_spared_what_the_store_has_and_nothing_else(
    store: Objects, tmp_path: Path
) -> None:
    shared, local = SharedContent(tmp_path / "a", store), LocalContent(tmp_path / "b")
    for number, content in enumerate((shared, local)):
        address, file = published(content, tmp_path / f"first{number}", b"{}")
        published(content, tmp_path / f"second{number}", b'{"other": 1}')
        content.spare(1 << 40)
        assert content.here(file) == (content is local)
        assert not content.gone(address)
        assert read(content, address, file) == b"{}"
