from __future__ import annotations

import gc
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from safe_load import cli
from safe_load.cache import cache_key
from safe_load.cache.entries import Cache
from safe_load.cache.lookup import Cleared, home
from safe_load.core.errors import LimitHit, NotLoadable, SandboxError, UsageError
from safe_load.core.options import Options, Progress
from safe_load.core.outside_words import HubWord
from safe_load.export import manifest
from safe_load.export.verify import verify
from safe_load.sources import hub
from safetensors.numpy import load_file

sys.path.insert(0, str(Path(__file__).parents[1]))
from keeping import Loader, keep, make_model

if TYPE_CHECKING:
    from collections.abc import Callable

    from safe_load.core.report import Report

CHILD = Path(__file__).parents[1] / "keeping.py"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SAFE_LOAD_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("SAFE_LOAD_CACHE_SIZE", raising=False)
    return tmp_path / "cache"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return make_model(tmp_path / "model")


@pytest.fixture
def loader() -> Loader:
    return Loader()


def clear(source: Path, loader: Loader, options: Options | None = None, **how: Any) -> Cleared:
    return keep(str(source), loader, options or Options(), **how)


def child(
    *sources: Path, pause: float = 0.0, refresh: bool = False, stay: float = 0.0
) -> subprocess.Popen[str]:
    how = (str(pause), "refresh" if refresh else "-", str(stay))
    command = [sys.executable, CHILD, *how, *sources]
    started = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert started.stdout is not None
    assert started.stdout.readline() == "ready\n"
    return started


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def weights(path: Path) -> float:
    return float(load_file(path / "model.safetensors")["w"][0])


def command(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = cli.exit_code(["cache", *arguments])
    said = capsys.readouterr()
    return code, said.out + said.err


# What is an entry for


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


# Is it still what it was


def test_an_entry_cannot_be_written_by_accident(model: Path, loader: Loader) -> None:
    path = clear(model, loader).path
    assert path.stat().st_mode & 0o777 == 0o555
    assert {file.stat().st_mode & 0o777 for file in path.iterdir()} == {0o444}


def rewrite(path: Path) -> None:
    file = path / "model.safetensors"
    data = file.read_bytes()
    file.chmod(0o644)
    file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


def rewrite_keeping_times(path: Path) -> None:
    before = (path / "model.safetensors").stat()
    rewrite(path)
    os.utime(path / "model.safetensors", ns=(before.st_atime_ns, before.st_mtime_ns))
    (path / "model.safetensors").chmod(0o444)


def add(path: Path) -> None:
    path.chmod(0o755)
    (path / "modeling.py").write_text("import os")


def add_below(path: Path) -> None:
    path.chmod(0o755)
    (path / "more").mkdir()


def remove(path: Path) -> None:
    path.chmod(0o755)
    (path / "model.safetensors").unlink()


def link(path: Path) -> None:
    path.chmod(0o755)
    file = path / "model.safetensors"
    shutil.copy(file, path.parent.parent / "same.safetensors")
    file.unlink()
    file.symlink_to(path.parent.parent / "same.safetensors")


def link_all(path: Path) -> None:
    elsewhere = path.parent.parent / "elsewhere"
    shutil.copytree(path, elsewhere)
    path.chmod(0o755)  # a folder that may not be written to may not get another parent
    path.rename(path.parent.parent / "aside")
    path.symlink_to(elsewhere)


def lie(path: Path) -> None:
    """Change weights and manifest so that they agree."""
    path.chmod(0o755)
    rewrite(path)
    data = (path / "model.safetensors").read_bytes()
    from blake3 import blake3

    stated = json.loads((path / manifest.NAME).read_bytes())
    for file in stated["files"]:
        if file["path"] == "model.safetensors":
            file["digests"] = {"blake3": blake3(data).hexdigest()}
    (path / manifest.NAME).unlink()
    (path / manifest.NAME).write_text(json.dumps(stated))


TAMPERING = {
    rewrite: "model.safetensors has another BLAKE3",
    rewrite_keeping_times: "model.safetensors has another BLAKE3",
    add: "'modeling.py' is not in the manifest",
    add_below: "'more' is a folder that is not in the manifest",
    remove: "'model.safetensors' is missing",
    link: "'model.safetensors' is not a regular file",
    link_all: "the path is not a folder",
    lie: "safe-load.manifest.json differs from the one that was written",
}


@pytest.mark.parametrize("change", TAMPERING, ids=lambda change: change.__name__)
def test_an_entry_that_was_changed_is_refused_named_and_made_again_on_request(
    model: Path, loader: Loader, change: Callable[[Path], None]
) -> None:
    path = clear(model, loader).path
    change(path)
    for verify_ in (False, True):
        with pytest.raises(NotLoadable) as caught:
            clear(model, loader, verify=verify_)
        said = str(caught.value).replace("'", "")
        assert str(path) in said
        assert TAMPERING[change].replace("'", "") in said
        assert "refresh=True to clear the model again" in said
    again = clear(model, loader, refresh=True)
    assert (again.path, again.fresh, weights(path)) == (path, True, 1)
    assert verify(path).ok
    assert not path.is_symlink()


@pytest.mark.parametrize("change", TAMPERING, ids=lambda change: change.__name__)
def test_the_command_names_what_was_changed_and_removes_it(
    model: Path, tmp_path: Path, change: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    other = make_model(tmp_path / "other", 2)
    with child(model, other) as done:
        assert done.stdout is not None
        path = Path(done.stdout.readline().split()[1])
    change(path)
    code, said = command("verify", capsys=capsys)
    assert code == 1
    assert path.name in said.replace("\n", "")
    assert "1 cleared copy unchanged since clearing" in said
    assert os.path.lexists(path)
    assert command("verify", path.name[:8], "--remove", capsys=capsys)[0] == 1
    assert not os.path.lexists(path)
    assert command("verify", capsys=capsys)[0] == 0
    loader = Loader()
    assert clear(model, loader).fresh
    assert not clear(other, loader).fresh


def test_a_change_that_shows_in_no_time_is_found_by_verify(
    model: Path, loader: Loader, cache: Path
) -> None:
    path = clear(model, loader).path
    rewrite(path)
    # As if the file had kept all its times: the seal is told of the new ones.
    (seal,) = (cache / "seals").iterdir()
    stated = json.loads(seal.read_bytes())
    stated["files"] = json.loads(msgspec_json(Cache(cache)._state(path.name)))
    seal.write_text(json.dumps(stated))
    assert not clear(model, loader).fresh
    with pytest.raises(NotLoadable, match="another BLAKE3"):
        clear(model, loader, verify=True)


def msgspec_json(value: object) -> bytes:
    import msgspec

    return msgspec.json.encode(value)


def test_other_times_and_inodes_alone_are_no_change(
    model: Path, loader: Loader, cache: Path
) -> None:
    path = clear(model, loader).path
    os.utime(path / "model.safetensors")
    assert clear(model, loader).path == path
    cache.rename(cache.with_name("old"))
    shutil.copytree(cache.with_name("old"), cache)  # as from a backup
    assert clear(model, loader).path == path
    assert loader.loads == 1
    rewrite(path)  # the new seal holds what the old one said
    with pytest.raises(NotLoadable):
        clear(model, loader)


def test_a_folder_without_a_seal_is_made_again(model: Path, loader: Loader, cache: Path) -> None:
    path = clear(model, loader).path
    for content in (None, b"", b"{}", b"[" * 100_000):
        (seal,) = (cache / "seals").iterdir()
        if content is None:
            seal.unlink()
        else:
            seal.write_bytes(content)
        rewrite(path)
        assert clear(model, loader).fresh
        assert weights(path) == 1


# Whose folder it is


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


# Many at once


def test_of_many_processes_one_makes_it_and_the_others_use_it(model: Path) -> None:
    children = [child(model, pause=0.2) for _ in range(8)]
    said = [process.communicate(timeout=60)[0].split() for process in children]
    assert sorted(loads for loads, _ in said) == ["0"] * 7 + ["1"]
    assert len({path for _, path in said}) == 1


def test_of_many_threads_one_makes_it_and_the_others_wait_with_word_of_it(model: Path) -> None:
    loader = Loader(pause=0.2)
    seen: list[tuple[str, str]] = []

    def tell(step: Progress) -> None:
        seen.append((step.stage, step.state))

    threads = [
        threading.Thread(target=clear, args=(model, loader), kwargs={"progress": tell})
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert loader.loads == 1
    assert seen.count(("wait", "start")) == seen.count(("wait", "end")) == 3


def test_waiting_has_an_end(model: Path, cache: Path) -> None:
    with child(model, pause=15) as slow:
        wait_until(lambda: (cache / "locks").exists() and names(cache / "locks"))
        (key,) = names(cache / "locks")
        with (
            pytest.raises(LimitHit, match=r"has been clearing this model for more than 0\.1 s"),
            Cache(cache).making(key, lambda: None, 0.1),
        ):
            pytest.fail("two at once")
        slow.kill()


def wait_until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_process_killed_at_any_moment_leaves_nothing_that_is_believed(
    model: Path, cache: Path
) -> None:
    seed = random.randrange(1 << 30)
    moments = random.Random(seed)
    for _ in range(20):
        with child(model, pause=0.02, refresh=True, stay=30) as process:
            time.sleep(moments.uniform(0, 0.25))
            process.send_signal(signal.SIGKILL)
        loader = Loader()
        path = clear(model, loader).path
        assert verify(path).ok, seed
        assert weights(path) == 1
    Cache(cache).prune()
    assert names(cache / "cleared") == names(cache / "locks") == [path.name]
    assert names(cache / "seals") == [f"{path.name}.json"]


# Making room


@pytest.fixture
def three(tmp_path: Path) -> list[Path]:
    """Three entries that nobody uses, made one after the other."""
    models = [make_model(tmp_path / f"m{number}", number) for number in range(3)]
    paths = []
    with child(*models) as process:
        assert process.stdout is not None
        paths = [Path(line.split()[1]) for line in process.stdout]
    for age, path in enumerate(reversed(paths)):
        seal = path.parent.parent / "seals" / f"{path.name}.json"
        then = time.time() - 1000 * (age + 1)
        os.utime(seal, (then, then))
    return paths


def test_what_was_used_longest_ago_goes_first(three: list[Path], cache: Path) -> None:
    kept = Cache(cache)
    assert [entry.path for entry in kept.entries()] == three[::-1]
    size = kept.entries()[0].seal.bytes
    assert [entry.path for entry in kept.prune(max_bytes=int(2.5 * size))] == three[:1]
    assert [entry.path for entry in kept.prune(older_than=1500)] == three[1:2]
    assert kept.prune(max_bytes=size, older_than=5000) == []
    assert names(cache / "cleared") == names(cache / "locks") == [three[2].name]


def test_using_an_entry_makes_it_the_one_used_last(
    three: list[Path], tmp_path: Path, cache: Path, loader: Loader
) -> None:
    assert clear(tmp_path / "m0", loader).path == three[0]
    assert Cache(cache).entries()[0].path == three[0]
    assert loader.loads == 0


def test_what_is_in_use_stays(
    three: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with child(tmp_path / "m0", stay=30) as user:
        assert user.stdout is not None
        user.stdout.readline()
        _, said = command("list", "--format", "json", capsys=capsys)
        assert [entry["in_use"] for entry in json.loads(said)] == [True, False, False]
        assert command("prune", "--max-size", "0", capsys=capsys)[0] == 0
        assert [path.exists() for path in three] == [True, False, False]
        rewrite(three[0])
        told = command("verify", "--remove", capsys=capsys)[1]
        assert "in use" in " ".join(told.split())
        assert three[0].exists()
        user.kill()
    command("prune", "--max-size", "0", capsys=capsys)
    assert not three[0].exists()


def test_the_cache_keeps_itself_within_its_bound(
    three: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loader: Loader
) -> None:
    size = sum(file.stat().st_size for file in three[0].iterdir())
    monkeypatch.setenv("SAFE_LOAD_CACHE_SIZE", str(int(2.5 * size)))
    new = clear(make_model(tmp_path / "new", 9), loader).path
    assert [path.exists() for path in (*three, new)] == [False, False, True, True]


def test_what_is_larger_than_the_bound_can_be_used_all_the_same(
    model: Path, monkeypatch: pytest.MonkeyPatch, loader: Loader
) -> None:
    monkeypatch.setenv("SAFE_LOAD_CACHE_SIZE", "1")
    assert weights(clear(model, loader).path) == 1


def test_removing_and_using_at_once_never_gives_half_an_entry(model: Path, cache: Path) -> None:
    stop = threading.Event()

    def remove_again_and_again() -> None:
        kept = Cache(cache)
        while not stop.is_set():
            for key in names(cache / "cleared"):
                if not key.startswith("."):
                    with kept.making(key, lambda: None, 30):
                        kept.remove(key)

    thread = threading.Thread(target=remove_again_and_again)
    thread.start()
    try:
        loader = Loader()
        while loader.loads < 20:
            clear(model, loader)
    finally:
        stop.set()
        thread.join()


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
