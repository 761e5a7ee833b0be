"""Sources on a hub, with the real client against a hub on loopback that has every fault."""

from __future__ import annotations

import errno
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safe_load import LimitHit, NotLoadable, api, clear
from safe_load.core.options import Options
from safe_load.loading import pipeline
from safe_load.rooms import choice
from safe_load.sources import hub
from safe_load.sources.hub import fetcher, process
from safe_load.sources.hub.refusals import Refused

from tests.integration.fake_hub import Answer, FakeHub, Request

if TYPE_CHECKING:
    from collections.abc import Iterator

    from safe_load.sandbox.backends.interface import Backend

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


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home for huggingface_hub with nothing in it, whatever this machine has set."""
    for variable in [name for name in os.environ if name.startswith(("HF_", "HUGGING", "TRANSF"))]:
        monkeypatch.delenv(variable)
    home = tmp_path / "hf"
    monkeypatch.setenv("HF_HOME", str(home))
    return home


@pytest.fixture
def server(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    with FakeHub(page=4) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


def _fetch(source: str = f"hf://{REPO}", **options: Any) -> hub.Snapshot:
    return hub.fetch(hub.parse(source), token=TOKEN, **options)


def _fails(source: str = f"hf://{REPO}", **options: Any) -> str:
    with pytest.raises(NotLoadable) as caught:
        _fetch(source, **options)
    assert TOKEN not in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def _leftovers(home: Path) -> list[str]:
    """The halves of files; whatever the command makes and removes meanwhile."""
    return [
        os.path.join(folder, name)
        for folder, _, names in os.walk(home)
        for name in names
        if name.endswith(".incomplete")
    ]


# --- what is downloaded


def test_what_a_load_opens_comes_and_nothing_else(server: FakeHub) -> None:
    commit = server.add(REPO, FILES)
    snapshot = _fetch()
    assert (snapshot.commit, snapshot.files) == (commit, LOADED)
    for path in LOADED:
        assert (snapshot.path / path).read_bytes() == FILES[path]
    asked = {request.path.rpartition("/")[2] for request in server.asked("/resolve/")}
    assert asked == LOADED
    (note,) = snapshot.notes
    assert "left on the hub and not judged: 5 files, 1.3 MB" in note


def test_a_pickle_is_opened_where_there_is_nothing_better(server: FakeHub) -> None:
    files = {"config.json": b"{}", "pytorch_model.bin": b"p", "rng_state.pth": b"r"}
    server.add(REPO, files)
    assert _fetch().files == {"config.json", "pytorch_model.bin"}
    server.add(REPO, {"best.pt": b"b", "optimizer.pt": b"o", "onnx/model.onnx": b"x"})
    assert _fetch().files == {"best.pt"}


def test_no_conversion_to_safetensors_is_asked_for(server: FakeHub, home: Path) -> None:
    commit = server.add(REPO, {"config.json": b"{}", "pytorch_model.bin": b"p"})
    _fetch()
    done = _command("scan", f"hf://{REPO}", cwd=home.parent)
    assert done.returncode == 3, "these bytes are no checkpoint"
    assert {request.method for request in server.requests} <= {"GET", "HEAD"}
    assert server.asked("/resolve/")
    for request in server.requests:
        known = (f"/api/models/{REPO}", f"/{REPO}/resolve/{commit}/", "/api/organizations/org/")
        assert request.path.startswith(known), request.path
        assert "discussions" not in request.path
        assert "refs/pr" not in request.path


def test_a_file_or_folder_that_is_named_is_what_comes(server: FakeHub) -> None:
    server.add(REPO, FILES | {"small/model.safetensors": b"S", "small/config.json": b"{}"})
    snapshot = _fetch(f"hf://{REPO}@main/pytorch_model.bin")
    assert snapshot.path.read_bytes() == FILES["pytorch_model.bin"]
    folder = _fetch(f"hf://{REPO}@main/small")
    assert folder.files == {"model.safetensors", "config.json"}
    assert (folder.path / "model.safetensors").read_bytes() == b"S"
    assert _fetch(every=True).files == {*FILES, "small/model.safetensors", "small/config.json"}


def test_the_shards_are_those_that_the_index_names(server: FakeHub) -> None:
    index = {"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}
    files = {
        "config.json": b"{}",
        "model.safetensors.index.json": json.dumps(index).encode(),
        "one.safetensors": b"1",
        "two.safetensors": b"2",
        "three.safetensors": b"3",
        "pytorch_model.bin.index.json": b"{}",
        "pytorch_model-00001-of-00001.bin": b"p",
    }
    server.add(REPO, files)
    assert _fetch().files == set(list(files)[:4])
    server.add(REPO, {**files, "model.safetensors.index.json": b"[1"})
    assert "model.safetensors.index.json" in _fails()


def test_the_parts_of_a_pipeline_come_along(server: FakeHub) -> None:
    files = {
        "model_index.json": b"{}",
        "unet/diffusion_pytorch_model.safetensors": b"u",
        "unet/diffusion_pytorch_model.bin": b"v",
        "unet/config.json": b"{}",
        "tokenizer/vocab.json": b"{}",
        "onnx/unet.onnx": b"o",
    }
    server.add(REPO, files)
    assert _fetch().files == set(files) - {"unet/diffusion_pytorch_model.bin", "onnx/unet.onnx"}


def test_a_variant_is_chosen_as_transformers_does(server: FakeHub) -> None:
    server.add(REPO, FILES | {"model.fp16.safetensors": b"f"})
    assert _fetch(variant="fp16").files == LOADED - {"model.safetensors"} | {
        "model.fp16.safetensors"
    }


def test_who_wants_a_tokenizer_downloads_no_weights(server: FakeHub) -> None:
    server.add(REPO, FILES)
    assert _fetch(weights=False).files == LOADED - {"model.safetensors"}
    assert not server.storage.requests


# --- to which commit


def test_a_branch_that_moves_meanwhile_moves_nothing(server: FakeHub) -> None:
    first = server.add(REPO, FILES)
    second: list[str] = []

    def move(request: Request) -> None:
        if "/tree/" in request.path and not second:
            second.append(server.add(REPO, {**FILES, "config.json": b'{"evil": 1}'}))

    server.before = move
    snapshot = _fetch()
    assert snapshot.commit == first != second[0]
    assert (snapshot.path / "config.json").read_bytes() == FILES["config.json"]
    assert not server.asked(second[0])
    assert all(first in request.path for request in server.asked("/resolve/"))
    assert _fetch().commit == second[0]


def test_a_tag_a_pull_request_and_a_commit_are_names_as_well(server: FakeHub) -> None:
    first = server.add(REPO, FILES, "v1.0")
    other = server.add(REPO, FILES, "refs/pr/7")
    assert _fetch(f"hf://{REPO}@v1.0").commit == first
    assert _fetch(f"hf://{REPO}@refs/pr/7").commit == other
    assert _fetch(f"hf://{REPO}@{other}").commit == other


def test_a_commit_that_no_branch_holds_is_told(
    server: FakeHub, saved: Path, backend: Backend
) -> None:
    """A hub serves the commits of pull requests under the repository's own name."""
    old = server.add(REPO, saved)
    server.add(REPO, saved)
    foreign = server.add(REPO, saved, "refs/pr/7")

    def told(revision: str, **options: Any) -> tuple[str, list[tuple[str, str]]]:
        source, chosen = f"hf://{REPO}@{revision}", Options(depth="weights", **options)
        report = pipeline.scan(source, chosen, backend=backend)
        return report.outcome, [(found.id, found.severity) for found in report.findings]

    assert told(old) == ("ok", [])
    assert told("main") == ("ok", [])
    assert told(foreign) == ("rejected", [("SL701", "medium")])
    assert told("refs/pr/7") == ("ok", [("SL701", "low")])
    server.before = lambda request: Answer(403) if request.path.endswith("/refs") else None
    snapshot = _fetch(f"hf://{REPO}@{foreign}")
    assert "did not say whether the commit is on a branch" in snapshot.notes[0]


def test_another_commit_than_the_one_asked_for_is_refused(server: FakeHub) -> None:
    first, second = server.add(REPO, FILES), server.add(REPO, FILES)
    lie = json.dumps({"id": REPO, "sha": second}).encode()
    server.before = lambda request: Answer(200, lie) if "/revision/" in request.path else None
    assert f"another commit, {second}" in _fails(f"hf://{REPO}@{first}")


# --- what is wrong with it


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
    told = _fails()
    assert "model.safetensors differs from the hub's listing: its SHA-256 is" in told
    assert not list(home.rglob("snapshots/*/model.safetensors"))
    server.listing = lambda files: files
    assert _fetch().files == LOADED


def test_so_is_a_small_file(server: FakeHub, home: Path) -> None:
    server.add(REPO, FILES)
    body = b'{"model_type": "evil"}'

    def swap(request: Request) -> Answer | None:
        if request.path.endswith("/config.json") and request.method == "GET":
            return Answer(200, body, {"X-Repo-Commit": "0" * 40, "ETag": '"x"'})
        return None

    server.before = swap
    assert "config.json differs from the hub's listing: its git SHA-1 is" in _fails()
    server.before = lambda _: None
    assert (_fetch().path / "config.json").read_bytes() == FILES["config.json"]


def test_what_the_cache_held_before_is_checked_too(server: FakeHub) -> None:
    server.add(REPO, FILES)
    place = _fetch().path / "model.safetensors"
    real = place.resolve()
    real.write_bytes(b"S" * len(FILES["model.safetensors"]))
    told = _fails()
    assert f"remove {place}, and safe-load downloads the file again" in told
    assert place.is_symlink()
    assert "differs from the hub's listing" in _fails(local_files_only=True)
    assert _fetch(force_download=True).files == LOADED


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
    assert (_fetch().path / "model.safetensors").read_bytes() == weights
    ranges = [request.headers.get("range") for request in server.storage.requests]
    assert ranges == [None, f"bytes={2 << 20}-"]


def test_a_file_that_ends_early_is_refused(server: FakeHub, home: Path) -> None:
    server.add(REPO, FILES)
    server.storage.before = lambda _: Answer(200, b"s" * 1000)
    assert "the download of model.safetensors was cut off" in _fails()
    assert not _leftovers(home)


def test_a_file_that_does_not_end_is_refused(server: FakeHub, home: Path) -> None:
    server.add(REPO, FILES)
    server.storage.before = lambda _: Answer(200, b"s" * 30_000_000)
    assert "model.safetensors is longer than the size that the hub lists" in _fails()
    assert not _leftovers(home)


def test_a_hostile_name_in_the_list_ends_it(server: FakeHub) -> None:
    """Which names are: tests/unit/sources/test_hub_listing.py."""
    server.add(REPO, FILES)
    entry = {"type": "file", "path": "../../x.json", "size": 2, "oid": "0" * 40}
    server.listing = lambda files: [*files, entry]
    assert "'../../x.json', which leaves the model's folder" in _fails()
    assert not server.asked("/resolve/")


def test_a_device_of_windows_stays_on_the_hub(server: FakeHub) -> None:
    server.add(REPO, FILES | {"con.json": b"{}", "aux.py": b""})
    assert _fetch().files == LOADED


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
    assert "is malformed" in _fails()


def test_a_list_of_too_many_files_is_refused(server: FakeHub) -> None:
    server.add(REPO, FILES)
    server.page = 10_000
    many = [
        {"type": "file", "path": f"{number}.txt", "size": 0, "oid": "0" * 40}
        for number in range(60_000)
    ]
    server.listing = lambda _: many
    assert "more than 50,000 files" in _fails()


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
    _fetch()
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
        _fetch()


# --- who learns the token


def _authorized(requests: list[Request]) -> list[str]:
    return [request.path for request in requests if TOKEN in str(request.headers)]


def test_the_token_goes_to_the_hub_and_nowhere_else(server: FakeHub) -> None:
    server.add(REPO, FILES)
    other = server.storage.url

    def elsewhere(request: Request) -> Answer | None:
        if request.path.endswith("/vocab.txt"):
            return Answer(307, headers={"Location": f"{other}/vocab", "X-Repo-Commit": "0" * 40})
        return None

    def further(request: Request) -> Answer | None:
        if "/tree/" in request.path:
            return Answer(200, b"[]")
        if request.path == "/vocab":
            return Answer(200, FILES["vocab.txt"], {"ETag": '"x"'})
        return None

    server.before = elsewhere
    server.storage.before = further
    _fails()  # no ETag on a redirect; what counts is who was told what
    server.before = lambda _: None
    _fetch()
    assert len(_authorized(server.requests)) == len(server.requests)
    assert server.storage.requests
    assert not _authorized(server.storage.requests)


def test_a_further_page_elsewhere_does_not_get_it(server: FakeHub) -> None:
    """What huggingface_hub alone would send: it follows the hub's Link wherever it leads."""
    server.add(REPO, FILES)
    link = {"Link": f'<{server.storage.url}/tree/2>; rel="next"'}
    server.before = lambda request: Answer(200, b"[]", link) if "/tree/" in request.path else None
    server.storage.before = lambda _: Answer(200, b"[]")
    _fails()
    assert server.storage.asked("/tree/2")
    assert not _authorized(server.storage.requests)


def test_a_file_that_xet_keeps_comes_by_the_client_that_is_watched(server: FakeHub) -> None:
    """Xet's own client would be handed the token for whatever address the hub names."""
    server.xet = True
    server.add(REPO, FILES)
    assert _fetch().files == LOADED
    assert not server.storage.asked("/xet")
    assert not _authorized(server.storage.requests)


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("https://hub.example/x", True),
        ("https://HUB.example:443/x", True),
        ("https://hub.example:444/x", False),
        ("https://hub.example.evil.example/x", False),
        ("https://evil.example/hub.example", False),
        ("http://hub.example/x", None),
        ("http://evil.example/x", None),
    ],
)
def test_each_request_is_looked_at(home: Path, url: str, sent: bool | None) -> None:
    """None: not sent at all, since a hub that encrypts does not lead to one that does not."""
    client = fetcher._guarded("https://hub.example")()
    request = client.build_request("GET", url, headers={"Authorization": TOKEN, "Cookie": "a=b"})
    look = client.event_hooks["request"][-1]
    if sent is None:
        with pytest.raises(Refused, match="unencrypted"):
            look(request)
    else:
        look(request)
        assert ("authorization" in request.headers, "cookie" in request.headers) == (sent, sent)
    client.close()


def test_the_token_is_in_no_output(
    server: FakeHub, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    server.add(REPO, FILES)

    def repeat(request: Request) -> Answer | None:
        told = request.headers.get("authorization", "")
        if "/tree/" in request.path:
            headers = {"X-Error-Message": told, "X-HF-Warning": f"x; {told}"}
            return Answer(400, told.encode(), headers)
        return None

    server.before = repeat
    done = _command("scan", f"hf://{REPO}", "--format", "json", cwd=tmp_path)
    assert done.returncode == 3
    assert "Bearer" in server.asked("/tree/")[0].headers["authorization"]
    for text in (done.stdout, done.stderr):
        assert "hf_" not in text
        assert "Bearer" not in text
    for token in ("a\nb", "ä"):
        with pytest.raises(NotLoadable) as caught:
            hub.fetch(hub.parse(f"hf://{REPO}"), token=token)
        assert "the token is missing, or holds characters that no token has" in str(caught.value)
        assert token not in str(caught.value)


# --- what a hub says instead


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (Answer(401, headers={"X-Error-Code": "RepoNotFound"}), "there is no such repository"),
        (Answer(404), "there is no such repository"),
        (Answer(404, headers={"X-Error-Code": "RevisionNotFound"}), "no such revision"),
        (Answer(403, headers={"X-Error-Code": "GatedRepo"}), "gated"),
        (Answer(401), "permission denied (HTTP 401)"),
        (Answer(403), "permission denied (HTTP 403)"),
        (
            Answer(403, headers={"X-Error-Message": "Access to this resource is disabled."}),
            "disabled",
        ),
        (Answer(418), "the hub failed (HTTP 418)"),
        (Answer(200, b"not json"), "is malformed"),
        (Answer(200, b"[" * 100_000), "is malformed"),
        (Answer(200, b"{}"), "is malformed"),
    ],
)
def test_each_refusal_has_its_sentence(server: FakeHub, answer: Answer, told: str) -> None:
    server.add(REPO, FILES)
    server.before = lambda _: answer
    assert told in _fails()


def test_a_hub_that_is_out_of_order_for_a_moment_is_asked_again(server: FakeHub) -> None:
    server.add(REPO, FILES)
    refusals = [Answer(503), Answer(429, headers={"Retry-After": "0"})]

    def refuse(request: Request) -> Answer | None:
        return refusals.pop() if "/tree/" in request.path and refusals else None

    server.before = refuse
    assert _fetch().files == LOADED
    assert not refusals


def test_a_hub_that_asks_for_patience_gets_a_measure_of_it(
    server: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.add(REPO, FILES)
    server.storage.before = lambda _: Answer(429, headers={"Retry-After": "99999"})
    monkeypatch.setattr(process, "STALLED", 2.0)
    began = time.monotonic()
    with pytest.raises(LimitHit, match="keeps silent"):
        _fetch()
    assert time.monotonic() - began < 60


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ({"Retry-After": "37"}, "(HTTP 429): try again in 37 s"),
        ({"RateLimit": '"api";r=0;t=212'}, "(HTTP 429): try again in 212 s"),
        ({"RateLimit": "t=x;\x1b[2J"}, "(HTTP 429): try again in a few minutes"),
        ({}, "(HTTP 429): try again in a few minutes"),
    ],
)
def test_a_hub_that_limits_the_rate_says_when_to_try_again(
    server: FakeHub, headers: dict[str, str], told: str
) -> None:
    server.add(REPO, FILES)
    server.before = lambda request: (
        Answer(429, headers=headers) if "/revision/" in request.path else None
    )
    assert told in _fails()


def test_redirects_in_a_circle_come_to_an_end(server: FakeHub) -> None:
    server.add(REPO, FILES)
    server.storage.before = lambda request: Answer(302, headers={"Location": request.path})
    assert "redirects too many times" in _fails()


def test_a_file_that_the_hub_lists_and_does_not_have_is_named(server: FakeHub) -> None:
    server.add(REPO, FILES)
    missing = Answer(404, headers={"X-Error-Code": "EntryNotFound"})
    server.before = lambda request: missing if request.path.endswith("/vocab.txt") else None
    assert "lists vocab.txt, but does not have the file" in _fails()


def test_a_full_disk_is_said_before_the_download(server: FakeHub) -> None:
    server.add(REPO, FILES)

    def grow(files: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for file in files:
            if "lfs" in file:
                file["lfs"]["size"] = 1 << 60
        return files

    server.listing = grow
    with pytest.raises(LimitHit, match="no disk space for the download:"):
        _fetch()
    assert not server.storage.requests


def test_a_cache_that_cannot_be_written_is_said(server: FakeHub, tmp_path: Path) -> None:
    server.add(REPO, FILES)
    (tmp_path / "file").write_text("")
    assert os.strerror(errno.ENOTDIR) in _fails(cache_dir=tmp_path / "file" / "cache")


# --- without the hub


def test_the_cache_stands_in_for_a_hub_that_is_away(
    server: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = server.add(REPO, FILES)
    _fetch()
    asked = len(server.requests)
    offline = _fetch(local_files_only=True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert _fetch() == offline
    assert (offline.commit, offline.files) == (commit, LOADED)
    assert "the hub was not asked" in offline.notes[0]
    assert len(server.requests) == asked
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # discard: nobody listens
    away = _fetch()
    assert (away.commit, away.files) == (commit, LOADED)
    assert "the hub could not be reached" in away.notes[0]
    assert "cannot be reached" in _fails("hf://org/other")


def test_nothing_in_the_cache_is_nothing(server: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    server.add(REPO, FILES)
    assert "not in the hub cache" in _fails(local_files_only=True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "not in the hub cache" in _fails()
    assert not server.requests


def test_what_stock_transformers_cached_is_used(server: FakeHub, tmp_path: Path) -> None:
    commit = server.add(REPO, FILES)
    code = f"from huggingface_hub import snapshot_download; snapshot_download({REPO!r})"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    server.storage.requests.clear()
    assert _fetch().commit == commit
    assert not server.storage.requests


# --- what becomes of it


def _command(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "safe_load", *arguments]
    return subprocess.run(
        command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    """One warm room for what is scanned here."""
    with choice.backend_of(Options(), choice.profile_of(Options()), warm=True) as made:
        yield made


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model, as save_pretrained writes it."""
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("saved")
    config = BertConfig(
        vocab_size=64,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
    )
    BertModel(config).save_pretrained(folder)
    return folder


def test_a_model_on_a_hub_is_cleared_bit_for_bit(
    server: FakeHub, saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors.torch import load_file

    commit = server.add(REPO, saved)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    done = _command("load", f"hf://{REPO}@main", "-o", "cleared", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"hf://{REPO}@main at {commit}" in done.stdout
    cleared = load_file(tmp_path / "cleared" / "model.safetensors")
    original = load_file(saved / "model.safetensors")
    assert cleared.keys() == original.keys()
    assert all(torch.equal(cleared[name], original[name]) for name in original)
    for name in ("safe-load.report.json", "safe-load.manifest.json"):
        source = json.loads((tmp_path / "cleared" / name).read_text())["source"]
        assert (source["path"], source["revision"]) == (f"hf://{REPO}@main", commit)
    assert len(_authorized(server.requests)) == len(server.requests)
    for path in (tmp_path / "cleared").iterdir():
        assert TOKEN.encode() not in path.read_bytes()


def test_files_that_lie_beside_in_the_cache_are_not_part_of_it(
    server: FakeHub, saved: Path, home: Path, backend: Backend
) -> None:
    server.add(REPO, saved)
    snapshot = _fetch()
    (snapshot.path / "mamba_ssm.py").write_text("raise SystemExit")
    (snapshot.path / "pytorch_model.bin").write_bytes(b"not checked")
    report = pipeline.scan(snapshot, backend=backend)
    assert report.outcome == "ok"
    assert {file.path for file in report.files} == {"config.json", "model.safetensors"}
    assert report.source.revision == snapshot.commit


def test_files_that_repositories_share_are_found(
    server: FakeHub, saved: Path, home: Path, backend: Backend
) -> None:
    """huggingface_hub's store for the whole cache: the repository's blob is a link into it."""
    server.add(REPO, saved)
    snapshot = _fetch()
    link = snapshot.path / "model.safetensors"
    blob = link.parent / link.readlink()
    store = home / "hub" / "blobs"
    shared = store / "ab" / ("ab" + "0" * 62)
    shared.parent.mkdir(parents=True)
    blob.rename(shared)
    blob.symlink_to(os.path.relpath(shared, blob.parent))
    told = pipeline.scan(_fetch(local_files_only=True), backend=backend)
    assert told.outcome == "not_loadable"
    assert "leads out of the model's folder" in (told.outcome_detail or "")
    (store / ".huggingface-shared-blobs").write_text("1\n")
    assert pipeline.scan(_fetch(local_files_only=True), backend=backend).outcome == "ok"
    assert pipeline.scan(str(snapshot.path), backend=backend).outcome == "ok"


def test_a_malformed_name_is_a_wrong_command_line(server: FakeHub, tmp_path: Path) -> None:
    done = _command("scan", f"hf://{REPO}", "hf://org/na me", cwd=tmp_path)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert not server.requests


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_download_leaves_nothing_half_done(
    server: FakeHub, home: Path, tmp_path: Path, end: signal.Signals
) -> None:
    server.add(REPO, FILES)
    started, ended = Event(), Event()

    def hold(_: Request) -> None:
        started.set()
        ended.wait(60)

    server.storage.before = hold
    with subprocess.Popen(
        [sys.executable, "-m", "safe_load", "scan", f"hf://{REPO}"],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert started.wait(60)
            assert _leftovers(home)
            process.send_signal(end)
            _, told = process.communicate(timeout=30)
        finally:
            process.kill()
    if end == signal.SIGTERM:
        assert (process.returncode, told) == (130, "error: interrupted\n")
    deadline = time.monotonic() + (0 if end == signal.SIGTERM else 20)
    while _leftovers(home) and time.monotonic() < deadline:
        time.sleep(0.05)
    ended.set()
    assert not _leftovers(home)


def test_it_is_cleared_once_for_all_names_of_the_same_bytes(
    server: FakeHub, saved: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAFE_LOAD_HOME", str(home / "safe-load"))
    server.add(REPO, saved)
    first = clear(f"hf://{REPO}")
    again = server.add(REPO, saved, "v2")
    assert clear(f"hf://{REPO}@v2") == first
    snapshot = _fetch(f"hf://{REPO}@v2")
    kept = api.cleared(snapshot, Options())
    assert (kept.path, kept.fresh) == (first, False)
    source = kept.report.source
    assert (source.path, source.revision, source.publisher) == (f"hf://{REPO}@v2", again, "org")
    assert not (first / "pytorch_model.bin").exists()


def test_what_stays_on_the_hub_is_judged_where_that_is_asked_for(
    server: FakeHub, saved: Path, tmp_path: Path
) -> None:
    """A gate lets whole repositories through, and somebody may open the other file."""
    trap = pickle.dumps({"weight": _Runs()})
    honest = {path.name: path.read_bytes() for path in saved.iterdir()}
    server.add(REPO, {**honest, "pytorch_model.bin": trap})
    server.add("org/other", honest)
    names = [f"hf://{REPO}", "hf://org/other"]
    done = _command("scan", *names, "--format", "json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    first, second = json.loads(done.stdout)["reports"]
    assert any("not judged: 1 file, " in note for note in first["notes"])
    assert not any("not judged" in note for note in second["notes"])
    done = _command("scan", *names, "--all-files", "--format", "json", cwd=tmp_path)
    assert done.returncode == 1
    first, second = json.loads(done.stdout)["reports"]
    assert (first["verdict"], second["verdict"]) == ("malicious", "clean")


class _Runs:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("id",)


def test_a_cache_without_links_says_that_nothing_was_compared(
    server: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_DISABLE_SYMLINKS", "1")
    server.add(REPO, FILES)
    assert not (_fetch().path / "config.json").is_symlink()
    offline = _fetch(local_files_only=True)
    assert offline.files == LOADED
    assert any(note.startswith("not checked, because the hub cache") for note in offline.notes)
