"""Git says what changed since a commit, and starts nothing that the repository names."""

from __future__ import annotations

import hashlib
import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from safe_load.core.errors import UsageError
from safe_load.sources.changes import Checkout

if TYPE_CHECKING:
    from pathlib import Path

WHY = "--changed-since"


def git(folder: Path, *command: str) -> None:
    quiet = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    who = ("-c", "user.name=x", "-c", "user.email=x@mail.example")
    subprocess.run(
        ["git", *who, "-C", str(folder), *command],
        check=True,
        capture_output=True,
        env=os.environ | quiet,
    )


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    root = tmp_path / "checkout"
    for path in ("a/m.bin", "b/m.bin", "c d/m.bin", "\u00e4/m.bin"):
        (root / path).parent.mkdir(parents=True)
        (root / path).write_text(path)
    (root / "lfs.bin").write_text(
        "version https://git-lfs.github.com/spec/v1\n"
        f"oid sha256:{hashlib.sha256(b'weights').hexdigest()}\nsize 7\n"
    )
    git(root, "init", "-q", ".")
    git(root, "add", ".")
    git(root, "commit", "-qm", "first")
    return root


def test_what_differs_from_a_commit_is_said_by_its_bytes(checkout: Path) -> None:
    (checkout / "b" / "m.bin").write_text("B/m.bin")  # the same size
    (checkout / "a" / "m.bin").touch()
    (checkout / "c d" / "m.bin").unlink()
    (checkout / "new.bin").write_text("new")
    (checkout / "lfs.bin").write_text("weights")
    (checkout / "link.bin").symlink_to("a/m.bin")
    asked = ["a/m.bin", "b/m.bin", "\u00e4/m.bin", "new.bin", "lfs.bin", "link.bin"]
    same, gone = Checkout(str(checkout), WHY).unchanged("HEAD", asked)
    assert same == {"a/m.bin", "\u00e4/m.bin", "lfs.bin"}
    assert gone == {"c d/m.bin"}
    (checkout / "lfs.bin").write_text("weight5")
    assert Checkout(str(checkout), WHY).unchanged("HEAD", ["lfs.bin"])[0] == set()
    below = Checkout(str(checkout / "b"), WHY).unchanged("HEAD", ["m.bin"])
    assert below == (set(), set())
    assert Checkout(str(checkout / "a" / "m.bin"), WHY).unchanged("HEAD", ["m.bin"])[0] == {"m.bin"}


def test_git_starts_nothing_that_the_repository_names(checkout: Path) -> None:
    seen = checkout.parent / "seen"
    program = checkout.parent / "program"
    program.write_text(f"#!/bin/sh\ntouch {seen}\ncat\n")
    program.chmod(0o755)
    for key in (
        "core.fsmonitor core.sshCommand core.pager core.alternateRefsCommand diff.external filter.f.clean "
        "filter.f.process diff.d.textconv core.editor credential.helper remote.origin.uploadpack"
    ).split():
        git(checkout, "config", key, str(program))
    git(checkout, "config", "filter.f.required", "true")
    git(checkout, "config", "remote.origin.url", "ssh://host.example/x")
    git(checkout, "config", "remote.origin.promisor", "true")
    for hook in ("post-index-change", "fsmonitor-watchman", "pre-commit"):
        (checkout / ".git" / "hooks" / hook).write_bytes(program.read_bytes())
        (checkout / ".git" / "hooks" / hook).chmod(0o755)
    (checkout / ".gitattributes").write_text("*.bin filter=f diff=d\n")
    (checkout / ".gitignore").write_text("ignored\n")
    (checkout / "ignored").write_text("x")
    (checkout / "a" / "m.bin").touch()
    asked = Checkout(str(checkout), WHY)
    assert asked.unchanged("HEAD", ["a/m.bin", "b/m.bin", "lfs.bin"])[0] == {
        "a/m.bin",
        "b/m.bin",
        "lfs.bin",
    }
    with pytest.raises(UsageError):
        asked.unchanged("1" * 40, [])  # nothing is fetched
    assert asked.ignored() == {"ignored"}
    assert not seen.exists()
    subprocess.run(["git", "-C", checkout, "status"], check=False, capture_output=True)
    assert seen.exists()  # so it would have been started


@pytest.mark.parametrize("revision", ["", "-v", "--output=x", "nothing", "HEAD~9"])
def test_what_is_no_commit_is_said_so(checkout: Path, revision: str) -> None:
    with pytest.raises(UsageError, match=r"no revision|knows no commit"):
        Checkout(str(checkout), WHY).unchanged(revision, [])


def test_a_folder_that_is_no_checkout_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--changed-since .*not a git repository"):
        Checkout(str(tmp_path), WHY)
