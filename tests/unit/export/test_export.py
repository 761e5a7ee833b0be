from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import msgspec
import pytest
from safe_load.core.errors import UsageError
from safe_load.core.report import Source, Tool
from safe_load.export import manifest
from safe_load.export.staging import Staging, index_json
from safe_load.worker.strict_json import Malformed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


HEAD = manifest.Manifest(
    tool=Tool("safe-load", "0"), policy="p", source=Source("m"), sources=[], files=[], created="now"
)


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


@pytest.fixture
def umask_022() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def test_the_folder_appears_complete_with_everything_listed(
    tmp_path: Path, umask_022: None
) -> None:
    target = tmp_path / "cleared"
    with Staging.create(target, expected=10) as staging:
        descriptor = staging.open_output("model.safetensors")
        os.write(descriptor, b"weights")
        assert os.pread(descriptor, 7, 0) == b"weights"
        staging.write("1_Pooling/config.json", b"{}")
        assert not target.exists()
        assert stat.S_IMODE(staging.path.stat().st_mode) == 0o700
        files = staging.publish(HEAD)
    assert [entry.path for entry in files] == [
        "1_Pooling/config.json",
        "model.safetensors",
        manifest.NAME,
    ]
    stated = manifest.decode((target / manifest.NAME).read_bytes())
    assert stated.files == files[:2]
    assert (target / "model.safetensors").read_bytes() == b"weights"
    assert stat.S_IMODE(target.stat().st_mode) == 0o755
    assert stat.S_IMODE((target / "1_Pooling").stat().st_mode) == 0o755
    assert stat.S_IMODE((target / "model.safetensors").stat().st_mode) == 0o644
    assert names(tmp_path) == ["cleared"]


def test_a_stricter_umask_is_kept(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        with Staging.create(tmp_path / "out") as staging:
            staging.write("a", b"")
            staging.publish(HEAD, durable=False)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "out" / "a").stat().st_mode) == 0o600


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_nothing_is_left_when_the_block_is_left_by_an_error(
    tmp_path: Path, error: type[BaseException]
) -> None:
    def leave() -> None:
        with Staging.create(tmp_path / "a" / "b" / "out") as staging:
            staging.write("x/y", b"1")
            raise error

    with pytest.raises(error):
        leave()
    assert names(tmp_path) == []


def test_nothing_is_left_when_making_the_manifest_fails(tmp_path: Path) -> None:
    def run() -> None:
        with Staging.create(tmp_path / "out") as staging:
            staging.publish(
                msgspec.structs.replace(HEAD, sources=[manifest.FileEntry("../x", 0, "0" * 64)])
            )

    with pytest.raises(Malformed):
        run()
    assert names(tmp_path) == []


def test_an_empty_target_is_fine_and_a_taken_one_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with Staging.create(tmp_path / "empty") as staging:
        staging.publish(HEAD)
    with pytest.raises(
        UsageError, match="exists and is not empty; choose another -o, or remove it"
    ):
        Staging.create(tmp_path / "empty")
    (tmp_path / "file").write_bytes(b"mine")
    with pytest.raises(UsageError, match="is a file, or lies below one"):
        Staging.create(tmp_path / "file")
    with pytest.raises(UsageError, match="is a file, or lies below one"):
        Staging.create(tmp_path / "file" / "below")
    assert (tmp_path / "file").read_bytes() == b"mine"
    assert names(tmp_path) == ["empty", "file"]


def test_a_link_to_an_empty_folder_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with Staging.create(tmp_path / "link") as staging:
        staging.publish(HEAD)
    assert (tmp_path / "real" / manifest.NAME).exists()


def test_more_than_the_disk_holds_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="bytes free, the export needs"):
        Staging.create(tmp_path / "new" / "out", expected=1 << 62)
    assert names(tmp_path) == []


FULL = """
import os, sys
from pathlib import Path
from safe_load.core.errors import LimitHit
from safe_load.export.staging import Staging
try:
    with Staging.create(Path(sys.argv[1]) / "out") as staging:
        staging.write("big", bytes(1 << 20))
except LimitHit as error:
    print(error, os.listdir(sys.argv[1]))
"""


def test_a_full_disk_is_a_limit_hit_and_leaves_nothing(tmp_path: Path) -> None:
    script = 'mount -t tmpfs -o size=64k none "$1" && exec "$2" -c "$3" "$1"'
    arguments = ["unshare", "-Urm", "sh", "-c", script, "sh", tmp_path, sys.executable, FULL]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no small disk can be mounted here: {done.stderr}")
    assert "is full" in done.stdout
    assert done.stdout.endswith("[]\n")


@pytest.mark.parametrize("name", ["../x", "/x", "a/../x", "", "a\nb"])
def test_no_output_leaves_the_folder(tmp_path: Path, name: str) -> None:
    with Staging.create(tmp_path / "out") as staging, pytest.raises(Malformed):
        staging.open_output(name)


def test_an_output_is_always_a_new_file(tmp_path: Path) -> None:
    with Staging.create(tmp_path / "out") as staging:
        staging.write("a", b"1")
        (staging.path / "link").symlink_to("/etc/passwd")
        for name in ("a", "link"):
            with pytest.raises(FileExistsError):
                staging.open_output(name)


CHILD = """
import sys, time
from pathlib import Path
from safe_load.export.staging import Staging
with Staging.create(Path(sys.argv[1])) as staging:
    staging.write("big", b"x" * 100_000)
    print("ready", flush=True)
    time.sleep(60)
"""


def start_child(target: Path) -> subprocess.Popen[bytes]:
    child = subprocess.Popen([sys.executable, "-c", CHILD, target], stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    return child


def test_what_a_killed_process_left_is_removed_by_the_next_and_what_a_living_one_holds_is_not(
    tmp_path: Path,
) -> None:
    target = tmp_path / "out"
    with start_child(target) as killed, start_child(target) as living:
        assert len(names(tmp_path)) == 2
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        assert len(names(tmp_path)) == 2
        with Staging.create(target) as staging:
            assert len(names(tmp_path)) == 2
            assert all(entry.startswith(".out.safe-load-") for entry in names(tmp_path))
            staging.publish(HEAD)
        assert len(names(tmp_path)) == 2
        assert not (target / "big").exists()
        living.send_signal(signal.SIGINT)
        living.wait()
    assert names(tmp_path) == ["out"]


def test_of_many_exports_to_one_target_one_wins_and_the_others_are_told(tmp_path: Path) -> None:
    target = tmp_path / "out"
    barrier = threading.Barrier(8)
    won: list[int] = []
    told: list[str] = []

    def run(number: int) -> None:
        try:
            barrier.wait()
            with Staging.create(target) as staging:
                staging.write("who", str(number).encode())
                staging.publish(HEAD, durable=False)
            won.append(number)
        except UsageError as error:
            told.append(str(error))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert len(told) == 7
    assert all("exists and is not empty" in text for text in told), told
    assert (target / "who").read_text() == str(won[0])
    assert names(tmp_path) == ["out"]


def test_the_index_names_the_file_of_each_tensor() -> None:
    index = json.loads(index_json({"b": "two.safetensors", "a": "one.safetensors"}, 12))
    assert index == {
        "metadata": {"total_size": 12},
        "weight_map": {"a": "one.safetensors", "b": "two.safetensors"},
    }
    assert list(index["weight_map"]) == ["a", "b"]
