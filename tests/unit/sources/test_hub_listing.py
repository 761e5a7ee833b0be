"""Names on a hub, and which of the files that it lists are let near a disk."""

from __future__ import annotations

import pytest
from safe_load import NotLoadable, UsageError
from safe_load.sources import hub
from safe_load.sources.hub.listing import MAX_WANTED, Listed, check, choose, shards


def _listed(*paths: str) -> list[Listed]:
    return [Listed(path, 2, "0" * 40) for path in paths]


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("../../x.json", "leaves the model's folder"),
        ("a/../../x.json", "leaves the model's folder"),
        ("a//x.json", "leaves the model's folder"),
        ("/etc/cron.d/x.json", "absolute path"),
        ("C:/x.json", "absolute path"),
        ("a\\..\\x.json", "backslash"),
        ("x\0.json", "unprintable"),
        ("x\n.json", "unprintable"),
        ("\u202ex.json", "unprintable"),
        ("x" * 300 + ".json", "longer than"),
        ("d/" * 600 + "x.json", "longer than"),
        ("config.json", "listed twice"),
        ("config.json/x.json", "file and folder"),
        ("Config.json", "where case does not count"),
    ],
)
def test_a_hostile_name_ends_it(path: str, reason: str) -> None:
    with pytest.raises(NotLoadable, match=reason) as caught:
        choose(check(_listed("config.json", "model.safetensors", path)))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


def test_odd_names_that_are_honest_pass() -> None:
    names = ["config.json", "модель.safetensors", "a b/c.json", "..x.json", "-rf.json", "é.txt"]
    assert set(check(_listed(*names))) == set(names)


def test_a_load_of_too_many_files_is_refused() -> None:
    files = check(_listed(*(f"{number}.json" for number in range(MAX_WANTED + 1))))
    with pytest.raises(NotLoadable, match="more than 10,000 files"):
        choose(files)


def test_the_parts_of_a_distributed_checkpoint_come_with_their_list() -> None:
    names = (".metadata", "__0_0.distcp", "__1_0.distcp")
    assert {
        each.path for each in choose(check(_listed("config.json", "x.bin.txt", *names))).now
    } >= set(names)
    whole = choose(check(_listed("config.json", "model.safetensors", *names))).now
    assert {each.path for each in whole}.isdisjoint(names)


def test_an_index_brings_only_files_beside_it() -> None:
    files = check(_listed("a/index.json", "a/1.safetensors", "b/2.safetensors"))
    named = ["1.safetensors", "../b/2.safetensors", "b/2.safetensors", "3.safetensors"]
    assert [file.path for file in shards(files, "a/index.json", named)] == ["a/1.safetensors"]


@pytest.mark.parametrize(
    ("name", "revision", "path"),
    [
        ("hf://org/name", "main", ""),
        ("hf://models/org/name@v1", "v1", ""),
        ("hf://org/name/sub/file.bin", "main", "sub/file.bin"),
        ("hf://org/name@refs/pr/7", "refs/pr/7", ""),
        ("hf://org/name@refs/pr/7/sub", "refs/pr/7", "sub"),
        ("hf://org/name@feature%2Fx/sub", "feature/x", "sub"),
    ],
)
def test_names_are_spelt_as_huggingface_hub_spells_them(
    name: str, revision: str, path: str
) -> None:
    from huggingface_hub.utils import parse_hf_uri

    assert hub.parse(name) == hub.Name("org/name", revision, path)
    theirs = parse_hf_uri(name)
    assert (theirs.id, theirs.revision or "main", theirs.path_in_repo) == (
        "org/name",
        revision,
        path,
    )


@pytest.mark.parametrize(
    "source",
    [
        "hf://",
        "hf://name",
        "hf://../name",
        "hf://org/na me",
        "hf://org/name@a..b",
        "hf://org/name@",
    ],
)
def test_a_malformed_name_is_refused(source: str) -> None:
    with pytest.raises(UsageError):
        hub.parse(source)
