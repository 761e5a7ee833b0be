"""Detonation runs what a file brings, survives it, and says what came of it."""

from __future__ import annotations

import argparse
import collections
import functools
import pickle
import subprocess
import sys
import zlib
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.worker.detonate.helper import BUDGET, differences, honest, np, table, torch

if TYPE_CHECKING:
    from pathlib import Path


class Run:
    """Pickles into a call of exec."""

    def __init__(self, code: str) -> None:
        self.code = code

    def __reduce__(self) -> Any:
        return exec, (self.code, {})


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("kind", honest())
@pytest.mark.filterwarnings("ignore:.*(TypedStorage|quantize|torch.ao|deprecated)")
def test_what_honest_checkpoints_load_is_what_their_bytes_say(
    detonate: Any, tmp_path: Path, kind: str, zipped: bool
) -> None:
    value = honest()[kind]()
    torch.save(value, tmp_path / "a.bin", _use_new_zipfile_serialization=zipped)
    result = detonate(tmp_path)
    assert len(result["files"][0]["tensors"]) > 1
    assert differences(tmp_path, result) == []


def test_types_younger_than_the_legacy_format_are_what_their_bytes_say(
    detonate: Any, tmp_path: Path
) -> None:
    names = ("uint16", "uint32", "uint64", "float8_e4m3fn", "float8_e5m2")
    value = {name: torch.arange(6).to(getattr(torch, name)) for name in names}
    torch.save(value, tmp_path / "a.bin")
    result = detonate(tmp_path)
    assert [row["dtype"] for row in result["files"][0]["tensors"]] == list(names)
    assert differences(tmp_path, result) == []


def test_a_tensor_above_the_budget_is_sampled_as_planned(detonate: Any, tmp_path: Path) -> None:
    from safe_load.worker.tensors.fingerprints import digest, plan

    tensor = torch.arange(100_000, dtype=torch.int64)
    torch.save(tensor, tmp_path / "a.pt")
    row = detonate(tmp_path)["files"][0]["tensors"][0]
    data = memoryview(tensor.numpy().tobytes())
    ranges = plan(len(data), BUDGET)
    assert len(data) > BUDGET
    assert row == {
        "name": "tensor",
        "dtype": "int64",
        "shape": [100_000],
        "crc32": digest(data[start : start + length] for start, length in ranges),
    }


def test_names_are_paths_through_containers_and_objects(detonate: Any, tmp_path: Path) -> None:
    one = torch.zeros(1)
    value = {
        "state": collections.OrderedDict(w=one),
        "list": [one, (one, {3: one})],
        "args": argparse.Namespace(init=one),
        "partial": functools.partial(print, one),
        "counter": collections.Counter(),
        "module": torch.nn.Linear(1, 1, bias=False),
        "not": [1, "text", None],
    }
    torch.save(value, tmp_path / "a.ckpt")
    assert set(table(detonate(tmp_path)["files"][0])) == {
        *("state.w", "list.0", "list.1.0", "list.1.1.3", "args.init"),
        "partial.state.1.0",
        "module._parameters.weight",
    }


def test_arrays_of_numbers_are_tensors_in_little_endian_c_order(
    detonate: Any, tmp_path: Path
) -> None:
    plain = np.arange(6, dtype="<i4").reshape(2, 3)
    objects = np.empty(1, dtype=object)
    objects[0] = plain
    value = {
        "plain": plain,
        "big": plain.astype(">i4"),
        "fortran": np.asfortranarray(plain),
        "objects": objects,
        "text": np.array(["a"]),
    }
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(value))
    rows = detonate(tmp_path)["files"][0]["tensors"]
    assert [row.pop("name") for row in rows] == ["plain", "big", "fortran", "objects.0"]
    assert differences(tmp_path, detonate(tmp_path)) == []
    same = {"dtype": "int32", "shape": [2, 3], "crc32": zlib.crc32(plain.tobytes())}
    assert rows == [same] * 4


def test_a_payload_that_edits_weights_while_loading_is_a_difference_in_bytes(
    detonate: Any, tmp_path: Path
) -> None:
    code = (
        "import torch._utils as u\n"
        "real = u._rebuild_tensor_v2\n"
        "def edited(*args):\n"
        "    tensor = real(*args)\n"
        "    tensor[0] = 666\n"
        "    return tensor\n"
        "u._rebuild_tensor_v2 = edited\n"
    )
    state = {"w": torch.ones(5)}
    torch.save({"0": Run(code), **state}, tmp_path / "a.bin")
    result = detonate(tmp_path)
    # The pickle's own reference is taken by find_class after the payload ran, so the edit is live.
    assert differences(tmp_path, result) == [("w", "bytes")]


def test_a_class_that_is_not_installed_does_not_stop_the_rest_of_the_stream(
    detonate: Any, tmp_path: Path
) -> None:
    marker = tmp_path / "ran"
    code = f"open({str(marker)!r}, 'w').close()".encode()
    # By hand: a list with instances of two absent classes, given state and items, then a payload.
    stream = (
        b"\x80\x02]q\x00(cabsent.module\nThing\n)\x81}X\x01\x00\x00\x00aK\x01sb"
        b"cabsent.module\nList\n)\x81]K\x02aa"
        b"cbuiltins\nexec\nX" + len(code).to_bytes(4, "little") + code + b"\x85Re."
    )
    (tmp_path / "a.pkl").write_bytes(stream)
    file = detonate(tmp_path)["files"][0]
    assert file["ok"], file["error"]
    assert file["missing_classes"] == ["absent.module.Thing", "absent.module.List"]
    assert marker.exists()


def test_tensors_inside_an_absent_class_are_still_in_the_table(
    detonate: Any, tmp_path: Path
) -> None:
    module = type(sys)("gone")
    module.Config = type("Config", (), {"__module__": "gone"})  # type: ignore[attr-defined]
    sys.modules["gone"] = module
    try:
        config = module.Config()
        config.weight = torch.zeros(2)
        torch.save({"config": config}, tmp_path / "a.bin")
    finally:
        del sys.modules["gone"]
    result = detonate(tmp_path)
    file = result["files"][0]
    assert file["missing_classes"] == ["gone.Config"]
    assert table(file) == {"config.weight": ("float32", [2])}
    assert differences(tmp_path, result) == []


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("raise RuntimeError('first\\nsecond' + 'x' * 10000)", "RuntimeError: first second"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt:"),
        (
            "class E(BaseException):\n    def __str__(self): raise MemoryError\nraise E",
            "E: (its message cannot be read)",
        ),
    ],
)
def test_an_exception_in_a_payload_is_one_bounded_line(
    detonate: Any, tmp_path: Path, code: str, error: str
) -> None:
    (tmp_path / "a.pkl").write_bytes(pickle.dumps([Run(code)]))
    torch.save({"w": torch.zeros(1)}, tmp_path / "b.bin")
    bad, good = detonate(tmp_path)["files"]
    assert not bad["ok"]
    assert bad["error"].startswith(error)
    assert len(bad["error"]) <= 500
    assert "\n" not in bad["error"]
    assert good["ok"]


def test_code_that_waits_for_the_result_to_be_used_runs(detonate: Any, tmp_path: Path) -> None:
    marks = {name: tmp_path / name for name in ("str", "getattr", "factory", "del", "atexit")}
    code = (
        "import atexit, collections, builtins\n"
        f"marks = { ({name: str(path) for name, path in marks.items()})!r}\n"
        "def touch(name): open(marks[name], 'w').close()\n"
        "class Sleeper:\n"
        "    def __str__(self): touch('str'); return ''\n"
        "    def __getattr__(self, name): touch('getattr'); raise AttributeError(name)\n"
        "    def __del__(self): touch('del')\n"
        "builtins.sleeper = Sleeper()\n"
        "builtins.factory = collections.defaultdict(lambda: touch('factory'))\n"
        "atexit.register(touch, 'atexit')\n"
    )

    class Taken:
        def __init__(self, name: str) -> None:
            self.name = name

        def __reduce__(self) -> Any:
            return eval, (f"__import__('builtins').__dict__.pop({self.name!r})",)

    (tmp_path / "a.pkl").write_bytes(pickle.dumps([Run(code), Taken("sleeper"), Taken("factory")]))
    file = detonate(tmp_path)["files"][0]
    assert file["ok"], file["error"]
    assert {name for name, path in marks.items() if path.exists()} == set(marks)


def test_what_raises_while_the_result_is_used_is_noted_not_fatal(
    detonate: Any, tmp_path: Path
) -> None:
    code = (
        "import builtins\n"
        "class Bad(dict):\n"
        "    def __len__(self): raise OSError('late')\n"
        "builtins.bad = Bad(w=1)\n"
    )

    class Bad:
        def __reduce__(self) -> Any:
            return eval, ("__import__('builtins').bad",)

    (tmp_path / "a.pkl").write_bytes(pickle.dumps([Run(code), Bad()]))
    file = detonate(tmp_path)["files"][0]
    assert file["ok"]
    assert "OSError: late" in file["notes"]


def test_a_second_pickle_behind_the_first_runs_too(detonate: Any, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    payload = pickle.dumps(Run(f"open({str(marker)!r}, 'w').close()"))
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"fine": 1}) + payload)
    assert detonate(tmp_path)["files"][0]["ok"]
    assert marker.exists()


def test_a_pickle_named_safetensors_is_opened_as_the_pickle_it_is(
    detonate: Any, tmp_path: Path
) -> None:
    torch.save({"w": torch.zeros(2)}, tmp_path / "model.safetensors")
    file = detonate(tmp_path)["files"][0]
    assert file["ok"], file["error"]
    assert table(file) == {"w": ("float32", [2])}


def test_safetensors_give_names_as_torch_spells_types(detonate: Any, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    tensors = {"a": torch.zeros(2, 3, dtype=torch.bfloat16), "b": torch.tensor(True)}
    save_file(tensors, tmp_path / "model.safetensors")
    assert table(detonate(tmp_path)["files"][0]) == {"a": ("bfloat16", [2, 3]), "b": ("bool", [])}


def test_a_container_that_holds_itself_ends(detonate: Any, tmp_path: Path) -> None:
    loop: dict[str, Any] = {"w": torch.zeros(1)}
    loop["self"] = loop
    torch.save(loop, tmp_path / "a.bin")
    file = detonate(tmp_path)["files"][0]
    assert not file["truncated"]
    assert list(table(file)) == ["w"]


def test_a_table_cut_short_by_depth_says_so(detonate: Any, tmp_path: Path) -> None:
    value: Any = torch.zeros(1)
    for _ in range(150):
        value = [value]
    torch.save([torch.zeros(1), value], tmp_path / "a.bin")
    file = detonate(tmp_path)["files"][0]
    assert file["truncated"]
    assert list(table(file)) == ["0"]


def test_a_damaged_file_is_an_error_of_that_file(detonate: Any, tmp_path: Path) -> None:
    torch.save({"w": torch.zeros(100)}, tmp_path / "a.bin")
    whole = (tmp_path / "a.bin").read_bytes()
    (tmp_path / "a.bin").write_bytes(whole[: len(whole) // 2])
    file = detonate(tmp_path)["files"][0]
    assert not file["ok"]
    assert file["tensors"] == []


def test_importing_the_entry_imports_neither_torch_nor_transformers() -> None:
    code = (
        "import sys, safe_load.worker.detonate.main as d; d.prepare();"
        "sys.exit(bool({'torch', 'transformers', 'numpy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-I", "-c", code], check=False).returncode == 0
