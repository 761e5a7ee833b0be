"""Whose the cache's folder is, and the commands that show it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from safe_load.cache.lookup import home
from safe_load.core.errors import UsageError

from tests.unit.cache.copies import CHILD, clear, command
from tests.unit.keeping import Loader, make_model


@pytest.mark.parametrize(
    ("environ", "place"),
    [
        ({"SAFE_LOAD_HOME": "/a/b", "XDG_CACHE_HOME": "/c"}, "/a/b"),
        ({"XDG_CACHE_HOME": "/c"}, "/c/safe-load"),
        ({"XDG_CACHE_HOME": "relative"}, "~/.cache/safe-load"),
        ({"XDG_CACHE_HOME": "", "SAFE_LOAD_HOME": ""}, "~/.cache/safe-load"),
    ],
)
def test_the_cache_is_where_the_user_keeps_caches(environ: dict[str, str], place: str) -> None:
    assert home(environ) == Path(os.path.realpath(Path(place).expanduser()))


def test_a_user_without_a_home_is_told_to_name_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "expanduser", lambda _: (_ for _ in ()).throw(RuntimeError("none")))
    with pytest.raises(UsageError, match="set SAFE_LOAD_HOME to a folder"):
        home({})


def test_only_its_owner_enters_it(model: Path, loader: Loader, cache: Path) -> None:
    clear(model, loader)
    assert {folder.stat().st_mode & 0o777 for folder in (cache, *cache.iterdir())} == {0o700}


@pytest.mark.parametrize("inside", ["", "cleared", "seals"])
def test_a_folder_that_others_may_write_is_refused(
    model: Path, loader: Loader, cache: Path, inside: str
) -> None:
    (cache / inside).mkdir(parents=True)
    for mode in (0o777, 0o720, 0o1777):
        (cache / inside).chmod(mode)
        with pytest.raises(UsageError, match="can be written by others: run chmod go-w on it"):
            clear(model, loader)
    assert loader.loads == 0


@pytest.mark.parametrize("where", ["open/cache", "open/below/cache", "link/cache", "link"])
@pytest.mark.parametrize("mode", [0o777, 0o707])
def test_a_cache_folder_below_one_that_others_may_write_is_refused(
    model: Path,
    loader: Loader,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
    mode: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As it is written, and where its links lead: whoever writes there can put another in its place."""
    (tmp_path / "open" / "below").mkdir(parents=True)
    (tmp_path / "safe").mkdir()
    (tmp_path / "open" / "away").symlink_to(tmp_path / "safe")
    (tmp_path / "link").symlink_to(tmp_path / "open" / "below")
    (tmp_path / "open").chmod(mode)
    for place in (where, where.replace("link", "open/away")):
        monkeypatch.setenv("SAFE_LOAD_HOME", str(tmp_path / place))
        with pytest.raises(UsageError, match=r"open can be written by others.*SAFE_LOAD_HOME"):
            clear(model, loader)
        assert command("list", capsys=capsys)[0] == 2
    assert loader.loads == 0
    assert list((tmp_path / "safe").iterdir()) == []


def test_a_cache_folder_below_one_with_the_sticky_bit_is_used(
    model: Path, loader: Loader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """/tmp: others may add names there, and change none that is not theirs."""
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o1777)
    monkeypatch.setenv("SAFE_LOAD_HOME", str(tmp_path / "open" / "cache"))
    assert clear(model, loader).fresh


def test_another_users_folder_is_refused(
    model: Path, loader: Loader, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid() == 0:
        cache.mkdir()
        os.chown(cache, 12345, 12345)
    else:
        monkeypatch.setenv("SAFE_LOAD_HOME", "/usr")
    with pytest.raises(UsageError, match="belongs to another user"):
        clear(model, loader)


def test_what_is_no_folder_is_refused(model: Path, loader: Loader, cache: Path) -> None:
    cache.write_text("mine")
    with pytest.raises(UsageError, match="is not a folder; set SAFE_LOAD_HOME to another folder"):
        clear(model, loader)


DISKS = {
    "a read-only disk": (
        "ro",
        "cannot be created: Read-only file system; set SAFE_LOAD_HOME to another folder",
    ),
    "a full disk": ("size=200k", "free, the cleared copy needs 400.1 kB"),
}


@pytest.mark.parametrize("disk", DISKS)
def test_a_disk_that_cannot_hold_it_is_told_in_one_sentence(tmp_path: Path, disk: str) -> None:
    options, told = DISKS[disk]
    model = make_model(tmp_path / "large", size=100_000)
    (tmp_path / "disk").mkdir()
    script = f'mount -t tmpfs -o {options} none "$1" && SAFE_LOAD_HOME=$1/cache exec "$2" "$3" 0 - 0 "$4"'
    arguments = ["sh", tmp_path / "disk", sys.executable, CHILD, model]
    done = subprocess.run(
        ["unshare", "-Urm", "sh", "-c", script, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    if "mount" in done.stderr or "unshare" in done.stderr:
        pytest.skip(f"no small disk can be mounted here: {done.stderr}")
    assert told in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("size", ["big", "-1", "1GiBs"])
def test_a_size_that_is_none_is_refused(
    model: Path, loader: Loader, monkeypatch: pytest.MonkeyPatch, size: str
) -> None:
    monkeypatch.setenv("SAFE_LOAD_CACHE_SIZE", size)
    with pytest.raises(UsageError, match="SAFE_LOAD_CACHE_SIZE"):
        clear(model, loader)


# The commands


def test_the_list_shows_what_it_was_made_from(
    three: list[Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "500")  # a line each, however long the paths are
    code, said = command("list", capsys=capsys)
    assert code == 0
    assert "3 cleared copies" in said
    assert all(path.name[:12] in said for path in three)
    assert "16 minutes ago" in said
    code, said = command("list", "--format", "json", capsys=capsys)
    first = json.loads(said)[0]
    assert first["path"] == str(three[2])
    assert first["source"] == str(tmp_path / "m2")
    assert (first["verdict"], first["profile"]) == ("clean", "strict")


def test_text_from_a_source_is_made_visible(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], loader: Loader
) -> None:
    clear(make_model(tmp_path / "evil\x1b[31m\nname"), loader)
    assert "\x1b" not in command("list", capsys=capsys)[1]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("prune", "--max-size", "much"), "'much' is not a size"),
        (("prune", "--older-than", "yesterday"), "'yesterday' is not a time"),
        (("verify", "zzz"), "no entry of the cache begins with 'zzz'"),
        (("drop",), "No such command"),
    ],
)
def test_a_wrong_command_is_told(
    arguments: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = command(*arguments, capsys=capsys)
    assert code == 2
    assert told in said
