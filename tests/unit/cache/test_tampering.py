"""A cached copy that was changed is refused, named and made again."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from safe_load.cache.entries import Cache
from safe_load.core.errors import NotLoadable
from safe_load.export import manifest
from safe_load.export.verify import verify

from tests.unit.cache.copies import add, child, clear, command, link, remove, rewrite, weights
from tests.unit.keeping import Loader, make_model

if TYPE_CHECKING:
    from collections.abc import Callable


def test_an_entry_cannot_be_written_by_accident(model: Path, loader: Loader) -> None:
    path = clear(model, loader).path
    assert path.stat().st_mode & 0o777 == 0o555
    assert {file.stat().st_mode & 0o777 for file in path.iterdir()} == {0o444}


def rewrite_keeping_times(path: Path) -> None:
    before = (path / "model.safetensors").stat()
    rewrite(path)
    os.utime(path / "model.safetensors", ns=(before.st_atime_ns, before.st_mtime_ns))
    (path / "model.safetensors").chmod(0o444)


def add_below(path: Path) -> None:
    path.chmod(0o755)
    (path / "more").mkdir()


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
