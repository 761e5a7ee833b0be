"""Which files of a hub come, and of which commit."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.integration.fake_hub import Answer, FakeHub, Request
from tests.integration.hub.asking import FILES, LOADED, REPO, fails, fetch, run_command

if TYPE_CHECKING:
    from pathlib import Path


def test_what_a_load_opens_comes_and_nothing_else(server: FakeHub) -> None:
    commit = server.add(REPO, FILES)
    snapshot = fetch()
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
    assert fetch().files == {"config.json", "pytorch_model.bin"}
    server.add(REPO, {"best.pt": b"b", "optimizer.pt": b"o", "onnx/model.onnx": b"x"})
    assert fetch().files == {"best.pt"}


def test_no_conversion_to_safetensors_is_asked_for(server: FakeHub, home: Path) -> None:
    commit = server.add(REPO, {"config.json": b"{}", "pytorch_model.bin": b"p"})
    fetch()
    done = run_command("scan", f"hf://{REPO}", cwd=home.parent)
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
    snapshot = fetch(f"hf://{REPO}@main/pytorch_model.bin")
    assert snapshot.path.read_bytes() == FILES["pytorch_model.bin"]
    folder = fetch(f"hf://{REPO}@main/small")
    assert folder.files == {"model.safetensors", "config.json"}
    assert (folder.path / "model.safetensors").read_bytes() == b"S"
    assert fetch(every=True).files == {*FILES, "small/model.safetensors", "small/config.json"}


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
    assert fetch().files == set(list(files)[:4])
    server.add(REPO, {**files, "model.safetensors.index.json": b"[1"})
    assert "model.safetensors.index.json" in fails()


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
    assert fetch().files == set(files) - {"unet/diffusion_pytorch_model.bin", "onnx/unet.onnx"}


def test_a_variant_is_chosen_as_transformers_does(server: FakeHub) -> None:
    server.add(REPO, FILES | {"model.fp16.safetensors": b"f"})
    assert fetch(variant="fp16").files == LOADED - {"model.safetensors"} | {
        "model.fp16.safetensors"
    }


def test_who_wants_a_tokenizer_downloads_no_weights(server: FakeHub) -> None:
    server.add(REPO, FILES)
    assert fetch(weights=False).files == LOADED - {"model.safetensors"}
    assert not server.storage.requests


# --- to which commit


def test_a_branch_that_moves_meanwhile_moves_nothing(server: FakeHub) -> None:
    first = server.add(REPO, FILES)
    second: list[str] = []

    def move(request: Request) -> None:
        if "/tree/" in request.path and not second:
            second.append(server.add(REPO, {**FILES, "config.json": b'{"evil": 1}'}))

    server.before = move
    snapshot = fetch()
    assert snapshot.commit == first != second[0]
    assert (snapshot.path / "config.json").read_bytes() == FILES["config.json"]
    assert not server.asked(second[0])
    assert all(first in request.path for request in server.asked("/resolve/"))
    assert fetch().commit == second[0]


def test_a_tag_a_pull_request_and_a_commit_are_names_as_well(server: FakeHub) -> None:
    first = server.add(REPO, FILES, "v1.0")
    other = server.add(REPO, FILES, "refs/pr/7")
    assert fetch(f"hf://{REPO}@v1.0").commit == first
    assert fetch(f"hf://{REPO}@refs/pr/7").commit == other
    assert fetch(f"hf://{REPO}@{other}").commit == other


def test_another_commit_than_the_one_asked_for_is_refused(server: FakeHub) -> None:
    first, second = server.add(REPO, FILES), server.add(REPO, FILES)
    lie = json.dumps({"id": REPO, "sha": second}).encode()
    server.before = lambda request: Answer(200, lie) if "/revision/" in request.path else None
    assert f"another commit, {second}" in fails(f"hf://{REPO}@{first}")
