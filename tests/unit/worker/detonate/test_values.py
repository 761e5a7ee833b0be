"""Keys, arrays and objects of every kind have one name and the same numbers in both rooms."""

from __future__ import annotations

import collections
import importlib.util
import os
import pickle
import sys
import types
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.worker.detonate.helper import differences, np, said, table, torch

if TYPE_CHECKING:
    from pathlib import Path


def test_arrays_that_dill_wrote_come_out_where_dill_is_not_installed(
    detonate: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = types.FunctionType((lambda *_: None).__code__, {}, "_create_array")
    create.__module__, create.__qualname__ = "dill._dill", "_create_array"
    array = np.arange(4, dtype="f4")
    make, args, state = array.__reduce__()

    class Array:
        def __reduce__(self) -> Any:
            return create, (make, args, state, None)

    for name in ("dill", "dill._dill"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setattr(sys.modules["dill._dill"], "_create_array", create, raising=False)
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"w": Array()}))
    result = detonate(tmp_path, "weights")
    assert table(result["files"][0]) == {"w": ("float32", [4])}
    assert differences(tmp_path, result) == []


def test_keys_of_every_kind_have_one_name_in_both_rooms(detonate: Any, tmp_path: Path) -> None:
    absent = type("ModelCheckpoint", (), {"__module__": "absent_library.callbacks"})
    module = types.ModuleType("absent_library.callbacks")
    module.ModelCheckpoint = absent  # type: ignore[attr-defined]
    keys = [
        *(3, -0.5, None, True, 1 << 300, (1, "a"), (1, "b"), ((2,), b"x"), frozenset([2, 1])),
        *(b"a", b"b", 1, "1", "True", "0", torch.float32, torch.bfloat16, torch.device("cpu")),
        *(torch.device("cuda:0"), torch.Size([2, 3]), torch.Size([2]), torch.nn.Linear, int, type(None)),
        *(collections.OrderedDict, absent, torch.nn.functional.relu, np.int64(4), np.float64(0.5), "z\ud800"),
    ]  # fmt: skip
    keyed: dict[Any, Any] = {key: {"t": torch.full((2,), n)} for n, key in enumerate(keys)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "absent_library", types.ModuleType("absent_library"))
        patch.setitem(sys.modules, "absent_library.callbacks", module)
        torch.save(keyed, tmp_path / "keys.pt")
        torch.save(keyed, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    result = detonate(tmp_path)
    assert differences(tmp_path, result) == []
    names = [row["name"] for row in result["files"][0]["tensors"]]
    assert len(set(names)) == len(keyed)
    assert "<class 'absent_library.callbacks.ModelCheckpoint'>.t" in names
    assert {"1.t", "True.t", "True#3.t", "0.t"} <= set(names)


def test_an_optimizer_as_an_object_has_the_same_tensors_in_both_rooms(
    detonate: Any, tmp_path: Path
) -> None:
    layer = torch.nn.Linear(2, 2)
    optimizer = torch.optim.AdamW(layer.parameters())
    layer(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    torch.save(optimizer, tmp_path / "optimizer.pt")
    result = detonate(tmp_path)
    assert differences(tmp_path, result) == []
    assert any(row["name"] == "state.0.exp_avg" for row in result["files"][0]["tensors"])


def test_a_script_module_is_opened_and_no_tensor_is_said_to_be_missing(
    detonate: Any, tmp_path: Path
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(torch.nn.Linear(2, 2)).save(tmp_path / "scripted.pt")
    result = detonate(tmp_path)
    assert (result["files"][0]["ok"], result["files"][0]["error"]) == (True, None)
    names = {tensor["name"] for tensor in said(tmp_path)["files"][0]["tensors"]}
    assert names == {"weight", "bias"}
    assert differences(tmp_path, result) == []


def test_a_file_of_another_library_is_opened_and_its_numbers_are_not_gone_through(
    tmp_path: Path,
) -> None:
    from safe_load.worker.detonate import loaders

    h5py = importlib.import_module("h5py")
    path = tmp_path / "model.h5"
    with h5py.File(path, "w") as file:
        file["w"] = np.ones((4, 4), "f4")
    found = loaders.opener(str(path))
    assert found is not None
    assert found(str(path), None) == loaders.Several([])
    os.truncate(path, 600)
    with pytest.raises(OSError, match="truncated"):  # so the library has opened it
        found(str(path), None)


def test_the_first_library_that_is_there_opens_a_file(tmp_path: Path) -> None:
    import h5py
    from safe_load.worker.detonate import loaders

    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["w"] = [1.0]
    absent = "there_is_no_such_module:load"
    opened = loaders._by_library(f"{absent} h5py:File", str(tmp_path / "x.h5"), None)
    assert opened == loaders.Several([])
    with pytest.raises(FileNotFoundError):
        loaders._by_library(f"{absent} h5py:File", str(tmp_path / "absent.h5"), None)
    assert loaders._by_library(absent, str(tmp_path / "absent.h5"), None) == loaders.Several([])
