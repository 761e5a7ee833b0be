"""What is wrong with a hub's content or lists is refused, and bounded."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from safe_load import LimitHit
from safe_load.sources.hub import process

from tests.integration.fake_hub import Answer, FakeHub, Request
from tests.integration.hub.asking import FILES, LOADED, REPO, fails, fetch, leftovers


def test_content_that_is_not_what_the_hub_lists_is_refused_and_forgotten(
    server: FakeHub, home: Path
) -> None:
    server.add(REPO, FILES)

    def lie(files: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for file in files:
            if file["path"] == "model.safetensors":
                file["lfs"]["oid"] = "0" * 64
        return files

    server.listing = lie
    told = fails()
    assert "model.safetensors differs from the hub's listing: its SHA-256 is" in told
    assert not list(home.rglob("snapshots/*/model.safetensors"))
    server.listing = lambda files: files
    assert fetch().files == LOADED


def test_so_is_a_small_file(server: FakeHub, home: Path) -> None:
    server.add(REPO, FILES)
    body = b'{"model_type": "evil"}'

    def swap(request: Request) -> Answer | None:
        if request.path.endswith("/config.json") and request.method == "GET":
            return Answer(200, body, {"X-Repo-Commit": "0" * 40, "ETag": '"x"'})
        return None

    server.before = swap
    assert "config.json differs from the hub's listing: its git SHA-1 is" in fails()
    server.before = lambda _: None
    assert (fetch().path / "config.json").read_bytes() == FILES["config.json"]


def test_what_the_cache_held_before_is_checked_too(server: FakeHub) -> None:
    server.add(REPO, FILES)
    place = fetch().path / "model.safetensors"
    real = place.resolve()
    real.write_bytes(b"S" * len(FILES["model.safetensors"]))
    told = fails()
    assert f"remove {place}, and safe-load downloads the file again" in told
    assert place.is_symlink()
    assert "differs from the hub's listing" in fails(local_files_only=True)
    assert fetch(force_download=True).files == LOADED


def test_a_download_that_breaks_off_goes_on_where_it_was(server: FakeHub) -> None:
    weights = bytes(range(256)) * (3 << 12)
    server.add(REPO, {**FILES, "model.safetensors": weights})

    def cut(request: Request) -> Answer | None:
        if "range" in request.headers:
            return None
        answer = server.storage.answer(request)
        answer.cut = 5 << 19
        return answer

    server.storage.before = cut
    assert (fetch().path / "model.safetensors").read_bytes() == weights
    ranges = [request.headers.get("range") for request in server.storage.requests]
    assert ranges == [None, f"bytes={2 << 20}-"]


def test_a_file_that_ends_early_is_refused(server: FakeHub, home: Path) -> None:
    server.add(REPO, FILES)
    server.storage.before = lambda _: Answer(200, b"s" * 1000)
    assert "the download of model.safetensors was cut off" in fails()
    assert not leftovers(home)


def test_a_file_that_does_not_end_is_refused(server: FakeHub, home: Path) -> None:
    server.add(REPO, FILES)
    server.storage.before = lambda _: Answer(200, b"s" * 30_000_000)
    assert "model.safetensors is longer than the size that the hub lists" in fails()
    assert not leftovers(home)


def test_a_hostile_name_in_the_list_ends_it(server: FakeHub) -> None:
    """Which names are: tests/unit/sources/test_hub_listing.py."""
    server.add(REPO, FILES)
    entry = {"type": "file", "path": "../../x.json", "size": 2, "oid": "0" * 40}
    server.listing = lambda files: [*files, entry]
    assert "'../../x.json', which leaves the model's folder" in fails()
    assert not server.asked("/resolve/")


def test_a_device_of_windows_stays_on_the_hub(server: FakeHub) -> None:
    server.add(REPO, FILES | {"con.json": b"{}", "aux.py": b""})
    assert fetch().files == LOADED


@pytest.mark.parametrize(
    "files",
    [
        [{"type": "file", "path": "x"}],
        {"a": 1},
        [1],
        [{"type": "file", "path": 1, "size": -1, "oid": "x"}],
    ],
)
def test_a_list_that_is_none_is_refused(server: FakeHub, files: Any) -> None:
    server.add(REPO, FILES)
    body = json.dumps(files).encode()
    server.before = lambda request: Answer(200, body) if "/tree/" in request.path else None
    assert "is malformed" in fails()


def test_a_list_of_too_many_files_is_refused(server: FakeHub) -> None:
    server.add(REPO, FILES)
    server.page = 10_000
    many = [
        {"type": "file", "path": f"{number}.txt", "size": 0, "oid": "0" * 40}
        for number in range(60_000)
    ]
    server.listing = lambda _: many
    assert "more than 50,000 files" in fails()


def test_the_kernel_bounds_the_memory_and_files_of_the_process_that_talks_to_the_hub(
    server: FakeHub,
) -> None:
    server.add(REPO, FILES)
    seen: list[dict[str, str]] = []

    def look(request: Request) -> Answer | None:
        own = Path(f"/proc/{os.getpid()}/task")
        children = {
            pid for task in own.iterdir() for pid in (task / "children").read_text().split()
        }
        for pid in children:
            # Other tests of this process keep warm rooms, which are its children too.
            if b"safe_load.sources.hub.fetcher" not in Path(f"/proc/{pid}/cmdline").read_bytes():
                continue
            lines = Path(f"/proc/{pid}/limits").read_text().splitlines()[1:]
            seen.append({line[:26].strip(): line[26:].split()[1] for line in lines})
        return None

    server.before = look
    fetch()
    assert seen
    for limits in seen:
        assert int(limits["Max address space"]) <= 4 << 30
        assert int(limits["Max open files"]) <= 1024


def test_an_endless_list_comes_to_an_end(server: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    server.add(REPO, FILES)
    following = {"Link": f'<{server.url}/api/models/{REPO}/tree/x>; rel="next"'}

    def endless(request: Request) -> Answer | None:
        return Answer(200, b"[]", following) if "/tree/" in request.path else None

    server.before = endless
    monkeypatch.setattr(process, "STALLED", 2.0)
    with pytest.raises(LimitHit, match="keeps silent"):
        fetch()
