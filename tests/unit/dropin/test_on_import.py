"""A library that is imported within a guarded block is patched before anybody calls it."""

from __future__ import annotations

import importlib
import inspect
import sys
from typing import TYPE_CHECKING, Any

import pytest
from safe_load.dropin import libraries, on_import, pretrained
from safe_load.dropin.patches import Patch, Patches

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LIBRARY = """
import sys
def first(): return "itself"
class Reader:
    @classmethod
    def from_pretrained(cls, model, source, *, subfolder=None, revision="main", **kwargs):
        return cls, model, source, subfolder, revision, kwargs
def read(sources, weight_name=None):
    return [(source, weight_name) for source in sources]
"""


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A module that is not imported yet."""
    (tmp_path / "a_library_of_this_test.py").write_text(_LIBRARY)
    monkeypatch.syspath_prepend(tmp_path)
    yield "a_library_of_this_test"
    sys.modules.pop("a_library_of_this_test", None)


def test_what_is_imported_in_the_block_is_told_at_once_and_left_as_it_was(library: str) -> None:
    seen = []
    with on_import.told({library}, lambda name: seen.append(sys.modules[name].first())):
        module = importlib.import_module(library)
        assert seen == ["itself"]
    assert inspect.getsource(module) == _LIBRARY
    del sys.modules[library]
    importlib.import_module(library)
    assert seen == ["itself"]


def test_an_import_fails_where_what_is_done_for_it_fails(library: str) -> None:
    def fail(name: str) -> None:
        raise RuntimeError(name)

    with on_import.told({library}, fail), pytest.raises(RuntimeError):
        importlib.import_module(library)


def test_patches_that_come_later_are_taken_back_with_the_others(library: str) -> None:
    module: Any = importlib.import_module(library)
    first = module.first
    patches = Patches(lambda: ())
    patches.extend([Patch(module, "first", None)])
    assert module.first is first  # nobody is within the block
    with patches.installed():
        patches.extend([Patch(module, "first", None)])
        assert module.first is None
    assert module.first is first


@pytest.fixture
def routed(library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module with its readers patched; cleared copies are folders beside the sources."""
    readers = (
        libraries.Reader("Reader.from_pretrained", "source"),
        libraries.Reader("read", "sources"),
    )
    monkeypatch.setitem(libraries.READERS, library, readers)
    asked: list[tuple[Path, dict[str, Any]]] = []

    def clear(source: Path, **choice: Any) -> Path:
        asked.append((source, choice))
        cleared = tmp_path / "cleared" / source.stem
        cleared.mkdir(parents=True, exist_ok=True)
        if source.is_file():
            (cleared / f"{source.stem}.safetensors").touch()
        return cleared

    scope = pretrained.Scope(clear)
    module = importlib.import_module(library)
    with Patches(lambda: libraries.patches(library, lambda: scope)).installed():
        yield module, asked


def test_a_reader_is_given_the_cleared_copy_and_no_word_of_where_it_lay(
    routed: Any, tmp_path: Path
) -> None:
    module, asked = routed
    (tmp_path / "model" / "part").mkdir(parents=True)
    source = str(tmp_path / "model")
    cls, model, got, subfolder, revision, rest = module.Reader.from_pretrained(
        "base", source, subfolder="part", revision="x", token="secret", dtype="auto"
    )
    assert (cls, model, got) == (module.Reader, "base", str(tmp_path / "cleared" / "part"))
    assert (subfolder, revision, rest) == (None, None, {"dtype": "auto"})
    assert asked == [(tmp_path / "model" / "part", {})]


def test_a_list_of_files_is_cleared_one_by_one_under_their_new_names(
    routed: Any, tmp_path: Path
) -> None:
    module, asked = routed
    for name in ("one.pt", "two.bin"):
        (tmp_path / name).touch()
    got = module.read([str(tmp_path / "one.pt"), str(tmp_path / "two.bin")])
    cleared = tmp_path / "cleared"
    assert [place for place, _ in got] == [
        str(cleared / "one" / "one.safetensors"),
        str(cleared / "two" / "two.safetensors"),
    ]
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "one.pt").touch()
    ((_, name),) = module.read([str(tmp_path / "folder")], weight_name="one.pt")
    assert name == "one.safetensors"
    assert [path.name for path, _ in asked] == ["one.pt", "two.bin", "one.pt"]


def test_objects_and_what_lies_in_a_cleared_copy_are_handed_on(routed: Any, tmp_path: Path) -> None:
    module, asked = routed
    assert module.read([{"a": 1}]) == [({"a": 1}, None)]
    inner = str(tmp_path / "cleared" / "model" / "part")
    (tmp_path / "cleared" / "model" / "part").mkdir(parents=True)
    with pretrained.read_freely(str(tmp_path / "cleared" / "model")):
        assert module.read([inner]) == [(inner, None)]
        outside = f"{inner}/../../../other"
        (tmp_path / "other").mkdir()
        assert module.read([outside]) != [(outside, None)]
    assert len(asked) == 1
