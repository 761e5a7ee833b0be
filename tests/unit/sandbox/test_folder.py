"""The folder of a room without namespaces: what it shows, what it is called, and that it goes away."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from safe_load.sandbox import private_folders
from safe_load.sandbox.kernel import landlock
from safe_load.sandbox.protocol import File
from safe_load.sandbox.room import folder

from tests.unit.sandbox.ordered import order

if TYPE_CHECKING:
    from safe_load.sandbox.protocol import HostOrder


def described(tmp_path: Path, **changes: Any) -> HostOrder:
    """A room's order, as far as a folder is concerned, on files below tmp_path."""
    library = tmp_path / "host" / "lib"
    (library / "site-packages" / "other").mkdir(parents=True)
    (library / "json.py").write_text("")
    model = tmp_path / "host" / "weights.bin"
    model.write_text("weights")
    fields: dict[str, Any] = {
        "folders": ((str(library), str(library)), (str(library), "/runtime/site/lib")),
        "files": (File(str(model), "/model/weights.bin"),),
        "covered": (str(library / "site-packages"),),
        "empty": ("/model", "/runtime/modules"),
        "planted": {"/home/ubuntu/.aws/credentials": "key"},
        **changes,
    }
    return order(**fields)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "place").mkdir()
    return tmp_path / "place"


def test_what_is_furnished_is_linked_and_nothing_else_gets_a_rule(
    tmp_path: Path, place: Path
) -> None:
    wanted = described(tmp_path)
    path, held = private_folders.make(str(place))
    rules = folder.populate(wanted, path, None)
    os.close(held)
    room = Path(path)
    assert room.stat().st_mode & 0o777 == 0o700
    assert (room / "model" / "weights.bin").read_text() == "weights"
    assert (room / "home/ubuntu/.aws/credentials").read_text() == "key"
    library = tmp_path / "host" / "lib"
    ours = {each: access for each, access in rules.items() if each.startswith(str(tmp_path))}
    assert ours == {
        str(library): landlock.READ_DIR,
        str(library / "json.py"): landlock.READ,
        str(tmp_path / "host" / "weights.bin"): landlock.READ_FILE,
        **{path + target: landlock.READ for target in ("/home/ubuntu", "/model", "/runtime")},
    }


def test_a_folder_in_the_place_of_a_models_file_is_an_error(tmp_path: Path, place: Path) -> None:
    wanted = described(tmp_path, files=(File(str(tmp_path), "/model/weights.bin"),))
    path, held = private_folders.make(str(place))
    with pytest.raises(IsADirectoryError):
        folder.populate(wanted, path, None)
    os.close(held)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("{room}", "/"),
        ("{room}/tmp/x", "/tmp/x"),
        ("{room}-not/x", "{room}-not/x"),
        ("{host}/weights.bin", "/model/weights.bin"),
        ("{host}/lib/json.py", "/runtime/site/lib/json.py"),
        ("{host}/library", "{host}/library"),
        ("/tmp/x", "/host/tmp/x"),
        ("/tmpfile", "/tmpfile"),
        ("/home/ubuntu/.netrc", "/host/home/ubuntu/.netrc"),
        ("/home/ubuntus", "/home/ubuntus"),
        ("/etc/shadow", "/etc/shadow"),
    ],
)
def test_paths_are_shown_as_the_room_means_them(tmp_path: Path, path: str, expected: str) -> None:
    paths = folder.Paths(described(tmp_path), "/var/safe-load-1")
    names = {"room": "/var/safe-load-1", "host": str(tmp_path / "host")}
    shown, wanted = paths.shown(path.format(**names)), expected.format(**names)
    assert shown in (wanted, f"/host{wanted}")  # pytest's own folder may be below /tmp
    assert shown == wanted or wanted.startswith("/tmp/")


def test_an_argument_is_told_where_the_jobs_files_are_and_else_left_as_it_is(
    tmp_path: Path,
) -> None:
    places = folder.places(described(tmp_path))
    said = {"folder": "/model", "files": [{"path": "/model/weights.bin", "name": "/model/other"}]}
    assert folder.translated(said, places, "/room") == {
        "folder": "/room/model",
        "files": [{"path": "/room/model/weights.bin", "name": "/model/other"}],
    }


def test_whatever_a_worker_left_is_removed_however_deep(place: Path) -> None:
    path, held = private_folders.make(str(place))
    os.close(held)
    outside = place / "precious"
    outside.write_text("mine")
    here = os.open(path, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d" * 200, dir_fd=here)
        os.symlink(outside, "link", dir_fd=here)
        below = os.open("d" * 200, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.mkdir("shut", mode=0, dir_fd=here)
    os.close(here)
    private_folders.remove(path)
    assert [entry.name for entry in place.iterdir()] == ["precious"]
    assert outside.read_text() == "mine"


def test_a_folder_that_nobody_holds_any_more_is_swept_away(place: Path) -> None:
    _, left = private_folders.make(str(place))
    in_use, held = private_folders.make(str(place))
    os.close(left)
    being_made, abandoned = (place / f"safe-load-{digit * 16}.new" for digit in "ab")
    for path in (being_made, abandoned, place / "safe-load-mine"):
        path.mkdir()
    for each in (in_use, abandoned, place / "safe-load-mine"):
        os.utime(each, (0, time.time() - 3600))
    private_folders.sweep(str(place))
    assert {entry.name for entry in place.iterdir()} == {
        Path(in_use).name,
        being_made.name,
        "safe-load-mine",
    }
    os.close(held)


def test_the_scratch_folder_is_measured_with_every_file_once(tmp_path: Path, place: Path) -> None:
    path, held = private_folders.make(str(place))
    os.close(held)
    folder.populate(described(tmp_path), path, None)
    scratch = Path(path) / "tmp"
    (scratch / "below").mkdir()
    (scratch / "below" / "one").write_bytes(bytes(1 << 20))
    os.link(scratch / "below" / "one", scratch / "two")
    sizes, names = folder.size(path)
    assert names == 3
    assert 1 << 20 <= sum(sizes.values()) < 1.1 * (1 << 20)
