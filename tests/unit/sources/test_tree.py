"""Each model of a tree is a source, and each file of the tree is of exactly one source or counted as left."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safe_load.core.errors import NotLoadable, UsageError
from safe_load.sources import globs, inventory, tree
from safe_load.sources.tree import GIT, Part, Wanted

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def make(root: Path, *paths: str) -> Path:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(path.encode())
    return root


def shown(root: Path, parts: Iterable[Part]) -> dict[str, list[str] | None]:
    return {
        ("+" if part.beside else "") + os.path.relpath(part.name, root): sorted(part.only)
        if part.only is not None
        else None
        for part in parts
    }


def test_twenty_models_in_folders_are_twenty_sources_and_one_beside_them(tmp_path: Path) -> None:
    paths = [f"models/m{number:02}/pytorch_model.bin" for number in range(20)]
    make(tmp_path, *paths, "config.json", "train.py", "models/README.md")
    parts = tree.find(str(tmp_path)).parts
    assert [os.path.relpath(part.name, tmp_path) for part in parts[:20]] == [
        path.rpartition("/")[0] for path in paths
    ]
    assert shown(tmp_path, parts[20:]) == {"+.": ["config.json", "models/README.md", "train.py"]}


@pytest.mark.parametrize(
    "paths",
    [
        ["config.json", "model.safetensors", "sub/a.bin", "sub/b/c.pkl"],
        ["a.pt", "b.pt", "sub/c.pt", "other/d.pt"],
        ["model_index.json", "unet/x.bin", "vae/x.bin"],
        ["modules.json", "0_T/model.safetensors", "1_P/pytorch_model.bin"],
        ["readme.txt", "only/one/model.bin"],
        ["notes.txt", "data.dat"],
    ],
)
def test_a_folder_that_is_a_model_or_holds_at_most_one_is_one_source(
    tmp_path: Path, paths: list[str]
) -> None:
    assert shown(tmp_path, tree.find(str(make(tmp_path, *paths))).parts) == {".": None}


def test_recursive_gives_a_model_below_a_model_a_source_of_its_own(tmp_path: Path) -> None:
    make(tmp_path, "model.safetensors", "notes.md", "checkpoint-1/model.safetensors", "x/y.txt")
    make(tmp_path, "sd/model_index.json", "sd/unet/x.bin", "sd/vae/x.bin")
    assert shown(tmp_path, tree.find(str(tmp_path), Wanted(recursive=True)).parts) == {
        ".": ["model.safetensors", "notes.md", "x/y.txt"],
        "checkpoint-1": None,
        "sd": None,
    }


@pytest.mark.parametrize(
    "name", ["data.dat", "weights.unknown", "notes.txt", "noext", ".hidden/x.bin2", "deep/er/x.so"]
)
def test_what_lies_beside_models_is_a_source_whatever_its_name(tmp_path: Path, name: str) -> None:
    make(tmp_path, "a/model.bin", "b/model.bin", name)
    assert shown(tmp_path, tree.find(str(tmp_path)).parts) == {"a": None, "b": None, "+.": [name]}


def test_a_folder_with_a_tokenizer_alone_is_a_source(tmp_path: Path) -> None:
    make(tmp_path, "a/model.bin", "tok/tokenizer_config.json", "tok/tok.py")
    assert shown(tmp_path, tree.find(str(tmp_path)).parts) == {"a": None, "tok": None}


def test_what_the_user_excludes_is_counted_with_the_reason(tmp_path: Path) -> None:
    make(tmp_path, "a/model.bin", "a/model.onnx", "b/model.bin", "b/x/y.txt", "c/z.bin")
    found = tree.find(str(tmp_path), Wanted(exclude=("*.onnx", "b/x"), include=("a", "b")))
    assert shown(tmp_path, found.parts) == {"a": ["model.bin"], "b": ["model.bin"]}
    assert found.left == {
        "excluded by *.onnx": ["a/model.onnx"],
        "excluded by b/x": ["b/x/y.txt"],
        "not among what is included": ["c/z.bin"],
    }


def test_git_s_own_folder_is_counted_and_no_other_hidden_one_is_left_out(tmp_path: Path) -> None:
    make(tmp_path, "a/model.bin", "b/model.bin", ".git/config", "sub/.git", ".cache/x.pkl")
    found = tree.find(str(tmp_path))
    assert {reason: sorted(paths) for reason, paths in found.left.items()} == {
        GIT: [".git", "sub/.git"]
    }
    assert shown(tmp_path, found.parts) == {".cache": None, "a": None, "b": None}


def test_links_are_judged_where_they_lead_or_counted(tmp_path: Path) -> None:
    make(tmp_path, "tree/a/model.bin", "tree/b/model.bin", "tree/blobs/abc", "outside")
    root = tmp_path / "tree"
    (root / "a" / "config.json").symlink_to("../blobs/abc")
    (root / "away").symlink_to(tmp_path / "outside")
    (root / "again").symlink_to("a/model.bin")
    os.mkfifo(root / "pipe")
    found = tree.find(str(root))
    assert {os.path.relpath(part.name, root) for part in found.parts} == {"a", "b"}
    assert {name for names in found.left.values() for name in names} == {"away", "again", "pipe"}


def test_a_folder_that_cannot_be_listed_is_a_source_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, "a/model.bin", "b/model.bin", "c/d/model.bin")
    scandir = os.scandir

    def refuse(path: object) -> object:
        if str(path).endswith("/c"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)  # type: ignore[call-overload]

    monkeypatch.setattr(os, "scandir", refuse)
    found = tree.find(str(tmp_path))
    assert Part(str(tmp_path / "c")) in found.parts
    with pytest.raises(NotLoadable, match="permission denied"):
        inventory.take(str(tmp_path / "c"))


NAMES = st.sampled_from(
    "model.bin a.pkl config.json train.py x.dat model_index.json tokenizer.json n.onnx .git".split()
)
PATHS = st.lists(
    st.tuples(st.lists(st.sampled_from("a b c .h".split()), max_size=3), NAMES), max_size=14
)


@settings(deadline=None)  # files are made, beside other tests
@given(paths=PATHS, recursive=st.booleans(), exclude=st.sampled_from([(), ("a",), ("*.bin",)]))
def test_each_file_is_of_exactly_one_source_or_counted(
    tmp_path_factory: pytest.TempPathFactory,
    paths: list[tuple[list[str], str]],
    recursive: bool,
    exclude: tuple[str, ...],
) -> None:
    root = tmp_path_factory.mktemp("tree")
    made = {"/".join((*folders, name)) for folders, name in paths}
    make(root, *made)
    found = tree.find(str(root), Wanted(recursive=recursive, exclude=exclude))
    seen: list[str] = [path for names in found.left.values() for path in names]
    for part in found.parts:
        prefix = os.path.relpath(part.name, root)
        files = (
            part.only
            if part.only is not None
            else [
                os.path.relpath(os.path.join(folder, name), part.name)
                for folder, _, names in os.walk(part.name)
                for name in names
            ]
        )
        seen += [os.path.normpath(os.path.join(prefix, file)) for file in files]
    assert sorted(seen) == sorted(made)


@pytest.mark.parametrize(
    ("pattern", "matches", "others"),
    [
        ("*.bin", ["a.bin", "x/y/a.bin"], ["a.bin2", "abin"]),
        ("models/**", ["models/a", "models/b/c"], ["other/models/a"]),
        ("**/old", ["old", "a/b/old/c.pt"], ["older/x"]),
        ("/a", ["a/b", "a"], ["b/a"]),
        ("m?[0-9].pt", ["mx1.pt", "q/mx1.pt"], ["mxx.pt", "m/1.pt"]),
        ("[!a]*", ["b", "x/b"], ["a"]),
        ("a[.pt", ["a[.pt"], ["a.pt"]),
        ("build/", ["build/x", "y/build/z"], ["builds/x"]),
    ],
)
def test_a_pattern_matches_what_gitignore_s_would(
    pattern: str, matches: list[str], others: list[str]
) -> None:
    assert [globs.first((pattern,), path) for path in matches] == [pattern] * len(matches)
    assert [globs.first((pattern,), path) for path in others] == [None] * len(others)


@pytest.mark.parametrize("pattern", ["", "/", "*" * 50, "a" * 600])
def test_a_pattern_that_says_nothing_or_takes_long_is_refused(pattern: str) -> None:
    with pytest.raises(UsageError, match="pattern"):
        globs.compiled(pattern)
