"""What a cached copy is for: which loads it answers, and which it does not."""

from __future__ import annotations

import gc
import shutil
from typing import TYPE_CHECKING

import pytest
from safe_load.cache import cache_key
from safe_load.cache.entries import Cache
from safe_load.core.errors import NotLoadable, SandboxError, UsageError
from safe_load.core.options import Options
from safe_load.core.outside_words import HubWord
from safe_load.sources import hub

from tests.unit.cache.copies import clear, names, weights
from tests.unit.keeping import Loader, keep, make_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from safe_load.core.report import Report


def test_a_name_that_must_be_signed_gets_no_copy_that_was_made_for_another(
    model: Path, loader: Loader, tmp_path: Path
) -> None:
    trust = tmp_path / "trust.toml"
    trust.write_text(
        '[[signer]]\nname = "acme"\nmethod = "key"\npublisher = "acme/*"\nrequired = true\nkey = "k"\n'
    )
    (tmp_path / "k").write_text("a key")
    word = HubWord("yes", name="Acme/model")

    def got(name: str, word: HubWord = HubWord("no answer")) -> Path:  # noqa: B008 - it never changes
        files = frozenset(("model.safetensors",))
        snapshot = hub.Snapshot(hub.named(name, "a" * 40), "a" * 40, model, files, word=word)

        def load(source: hub.Snapshot, target: Path, options: Options) -> Report:
            return loader(str(source.path), target, options)

        return keep(snapshot, load, Options(trust=trust)).path  # type: ignore[arg-type]

    assert got("org/copy") == got("org/other")
    assert loader.loads == 1
    assert got("acme/model") == got("ACME/model") != got("org/copy")
    assert loader.loads == 2
    assert got("org/copy", word) not in (got("org/copy"), got("acme/model"))


def test_the_same_bytes_are_loaded_once(model: Path, loader: Loader, tmp_path: Path) -> None:
    first, second = clear(model, loader), clear(model, loader)
    assert (first.fresh, second.fresh, loader.loads) == (True, False, 1)
    assert first.path == second.path
    assert weights(first.path) == 1
    shutil.copytree(model, tmp_path / "elsewhere")
    (tmp_path / "link").symlink_to(model)
    for place in ("elsewhere", "link"):
        assert clear(tmp_path / place, loader).path == first.path
    assert loader.loads == 1


def test_files_behind_the_links_of_a_hub_cache_are_the_same_bytes(
    model: Path, loader: Loader, tmp_path: Path
) -> None:
    cache = tmp_path / "models--a--b"
    (cache / "blobs").mkdir(parents=True)
    shutil.copy(model / "model.safetensors", cache / "blobs" / "abc")
    for revision in ("one", "two"):
        (cache / "snapshots" / revision).mkdir(parents=True)
        (cache / "snapshots" / revision / "model.safetensors").symlink_to("../../blobs/abc")
    paths = {clear(cache / "snapshots" / revision, loader).path for revision in ("one", "two")}
    assert paths == {clear(model, loader).path}
    assert loader.loads == 1


def test_an_earlier_report_says_that_it_is_one(model: Path, loader: Loader) -> None:
    assert clear(model, loader).report.notes == []
    report = clear(model, loader).report
    assert report.notes == [f"From the cache: cleared on {report.started}, and not opened again."]
    assert report.verdict == "clean"


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: make_model(folder, 2),
        lambda folder: (folder / "README.md").write_text("x"),
        lambda folder: (folder / "model.safetensors").rename(folder / "other.safetensors"),
    ],
    ids=["content", "another file", "name"],
)
def test_another_content_name_or_file_is_another_entry(
    model: Path, loader: Loader, change: Callable[[Path], object]
) -> None:
    before = clear(model, loader)
    change(model)
    after = clear(model, loader)
    assert before.path != after.path
    assert after.fresh


def test_another_policy_is_another_entry(
    model: Path, loader: Loader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = tmp_path / "mine.toml"
    description = 'extends = "strict"\ndescription = "mine"\n'
    profile.write_text(description)
    policies = [
        Options(),
        Options(fail_on="high"),
        Options(depth="weights"),
        Options(memory=1 << 30),
        Options(use_safetensors=True),
        Options(profile=str(profile)),
    ]
    paths = {clear(model, loader, options).path for options in policies}
    profile.write_text(f"{description}[limits]\nevents = 77\n")
    paths.add(clear(model, loader, Options(profile=str(profile))).path)
    other = tmp_path / "site"
    (other / "torch-99.0.dist-info").mkdir(parents=True)
    monkeypatch.syspath_prepend(other)
    paths.add(clear(model, loader).path)
    assert len(paths) == loader.loads == 8


def test_a_tokenizer_is_read_from_the_entry_of_its_model(model: Path, loader: Loader) -> None:
    clear(model, loader)
    assert not clear(model, loader, Options(weights_optional=True)).fresh


def test_other_weights_of_the_same_folder_are_another_entry(model: Path, loader: Loader) -> None:
    shutil.copy(model / "model.safetensors", model / "model.fp16.safetensors")
    paths = {clear(model, loader, Options(variant=variant)).path for variant in (None, "fp16")}
    assert len(paths) == loader.loads == 2


# The engine's client leaves the socket of a failed connection to the garbage collector.
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_a_container_whose_image_is_not_known_clears_nothing(
    model: Path, loader: Loader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    with pytest.raises(SandboxError, match="engine"):
        clear(model, loader, Options(backend="docker"))
    gc.collect()
    assert loader.loads == 0


def test_a_change_of_our_own_code_is_another_policy(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "package"
    (package / "rules").mkdir(parents=True)
    monkeypatch.setattr(cache_key, "_PACKAGE", package)

    def code() -> str:
        cache_key._code.cache_clear()
        return cache_key._code(Cache(cache).sources)

    seen = {code()}
    for name in ("judge.py", "rules/callables.toml", "keys.json"):
        for content in ("1", "2"):
            (package / name).write_text(content)
            seen.add(code())
    assert len(seen) == 7
    (package / "judge.pyc").write_text("compiled")
    assert code() in seen
    cache_key._code.cache_clear()


def test_what_is_to_be_exported_despite_findings_or_watched_is_not_for_the_cache(
    model: Path, loader: Loader
) -> None:
    for options in (
        Options(export_despite_findings=True),
        Options(record="full", trace="calls.jsonl"),
    ):
        with pytest.raises(UsageError, match=r"use safe_load.load\(\)"):
            clear(model, loader, options)
    assert loader.loads == 0


def test_a_source_that_changes_while_it_is_opened_is_not_kept(model: Path, cache: Path) -> None:
    for value in (2, 1):  # other bytes; and the same again, so that only the times tell
        loader = Loader(between=lambda value=value: make_model(model, value) and None)
        with pytest.raises(NotLoadable, match="was changed while it was"):
            clear(model, loader)
        assert names(cache / "cleared") == names(cache / "seals") == []
        make_model(model, 1)


def test_a_load_that_fails_leaves_nothing(model: Path, cache: Path) -> None:
    def fail() -> None:
        raise NotLoadable("no")

    with pytest.raises(NotLoadable, match="no"):
        clear(model, Loader(between=fail))
    assert names(cache / "cleared") == names(cache / "seals") == []
