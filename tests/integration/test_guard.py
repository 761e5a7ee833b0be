"""In a guarded block, whoever opens a model opens it in the sandbox."""

from __future__ import annotations

import asyncio
import importlib
import io
import os
import pickle
import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np
import pytest
import safe_load
import torch
import transformers
from safe_load.dropin import warm
from torch import load as load_under_another_name

from tests.integration import tiny
from tests.unit.dropin.alike import assert_alike

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[safe_load.Session]:
    with pytest.MonkeyPatch.context() as patch, safe_load.Session() as opened:
        patch.setenv("SAFE_LOAD_HOME", str(tmp_path_factory.mktemp("cache")))
        yield opened


class Payload:
    """Makes a file when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> Any:
        return exec, (f"open({str(self.canary)!r}, 'w').close()",)


_SHARED = torch.arange(12.0)
_LINEAR = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
CHECKPOINTS: dict[str, Any] = {
    "flat": {"weight": torch.randn(3, 4), "bias": torch.zeros(4, dtype=torch.int64)},
    "state_dict": _LINEAR.state_dict(),
    "names with dots": {"a.b": torch.ones(1), "a": {"c": torch.zeros(1)}},
    "nested": {
        "model": OrderedDict(w=torch.randn(2)),
        "epoch": 3, "loss": float("inf"), "name": "tiny\n", "done": True, "none": None,
        "history": [1.5, (torch.ones(2, dtype=torch.bfloat16), "x")], 7: {"empty": {}, "list": []},
    },
    "optimizer": torch.optim.Adam(_LINEAR.parameters()).state_dict()
    | {"state": {0: {"step": torch.tensor(1.0), "exp_avg": torch.randn(2, 3)}}},
    "bare": torch.randn(2, 2),
    "list": [torch.ones(1), torch.zeros(2)],
    "tied": {"a": _SHARED, "b": _SHARED, "view": _SHARED[2:6], "turned": _SHARED.view(3, 4).T},
    "parameters": {
        "p": torch.nn.Parameter(torch.ones(2)),
        "frozen": torch.nn.Parameter(torch.ones(2), requires_grad=False),
        "grad": torch.ones(2, requires_grad=True),
    },
}  # fmt: skip


def _equal(expected: Any, got: Any) -> None:
    assert type(got) is type(expected)
    if isinstance(expected, torch.Tensor):
        assert got.dtype == expected.dtype
        assert got.requires_grad == expected.requires_grad
        assert torch.equal(got, expected)
    elif isinstance(expected, np.ndarray):
        assert got.dtype == expected.dtype
        assert np.array_equal(got, expected)
    elif isinstance(expected, dict):
        assert list(got) == list(expected)
        assert getattr(got, "_metadata", None) == getattr(expected, "_metadata", None)
        for key, value in expected.items():
            _equal(value, got[key])
    elif isinstance(expected, (list, tuple)):
        assert len(got) == len(expected)
        for one, other in zip(expected, got, strict=True):
            _equal(one, other)
    else:
        assert got == expected


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("name", CHECKPOINTS)
def test_torch_load_gives_what_it_gives(
    name: str, legacy: bool, tmp_path: Path, session: safe_load.Session
) -> None:
    file = tmp_path / "checkpoint.pt"
    torch.save(CHECKPOINTS[name], file, _use_new_zipfile_serialization=not legacy)
    expected = torch.load(file, weights_only=False)
    with safe_load.guard(session):
        _equal(expected, torch.load(file))
        _equal(expected, torch.load(str(file), "cpu", weights_only=False, mmap=None))
        _equal(
            expected, torch.load(io.BytesIO(file.read_bytes()), map_location=torch.device("cpu"))
        )
        with file.open("rb") as stream:
            _equal(expected, torch.load(stream, map_location=lambda storage, _: storage))


def test_tied_tensors_share_their_memory(tmp_path: Path, session: safe_load.Session) -> None:
    torch.save(CHECKPOINTS["tied"], tmp_path / "tied.pt")
    with safe_load.guard(session):
        got = torch.load(tmp_path / "tied.pt")
        got["a"][0] = 99.0
        assert got["b"][0] == 99.0
        assert torch.load(tmp_path / "tied.pt")["a"][0] == 0.0  # the copy is as it was


def test_a_payload_does_not_run(tmp_path: Path, session: safe_load.Session) -> None:
    canary = tmp_path / "canary"
    hostile = {"w": torch.ones(1), "x": Payload(canary)}
    torch.save(hostile, tmp_path / "evil.pt")
    joblib.dump({"w": np.ones(3), "x": Payload(canary)}, tmp_path / "evil.joblib")
    (tmp_path / "evil.npy").write_bytes(pickle.dumps({"w": np.ones(3), "x": Payload(canary)}))
    loads: list[Callable[[], object]] = [
        lambda: torch.load(tmp_path / "evil.pt", weights_only=False),
        lambda: torch.load(io.BytesIO((tmp_path / "evil.pt").read_bytes()), weights_only=False),
        lambda: load_under_another_name(tmp_path / "evil.pt", weights_only=False),
        lambda: torch.serialization.load(tmp_path / "evil.pt", weights_only=False),
        lambda: joblib.load(tmp_path / "evil.joblib"),
        lambda: np.load(tmp_path / "evil.npy", allow_pickle=True),
    ]
    with safe_load.guard(session):
        for load in loads:
            with pytest.raises(safe_load.Rejected) as caught:
                load()
            assert caught.value.result is not None
    assert not canary.exists()
    loads[0]()  # what it is without
    assert canary.exists()


def test_values_come_back_and_stand_ins_are_named_once(
    tmp_path: Path, session: safe_load.Session
) -> None:
    import argparse
    import datetime as dt

    held = {
        "args": argparse.Namespace(lr=1, when=dt.date(2024, 1, 1)), "z": torch.ones(1).to(torch.complex128),
        "meta": torch.empty(2, device="meta"), "coo": torch.eye(2).to_sparse(), "set": {1, 2},
        "metric": np.float64(0.7), "rng": np.random.get_state(), "big": 2**200,
    }  # fmt: skip
    torch.save(held, tmp_path / "c.pt")
    torch.save({"step": 3, "rate": [0.1]}, tmp_path / "scheduler.pt")
    torch.save(
        [transformers.GenerationConfig(), transformers.GenerationConfig()], tmp_path / "o.pt"
    )
    with safe_load.guard(session):
        got = torch.load(tmp_path / "c.pt", weights_only=True)
        assert_alike(torch.load(tmp_path / "c.pt", mmap=True)["rng"], held["rng"])
        assert torch.load(tmp_path / "scheduler.pt", map_location="cpu") == {
            "step": 3,
            "rate": [0.1],
        }
        with pytest.warns(UserWarning, match=r"stand-ins.*GenerationConfig") as told:
            stand_ins = torch.load(tmp_path / "o.pt")
        assert len(told) == 1
        assert stand_ins[0].do_sample == transformers.GenerationConfig().do_sample
        with pytest.raises(safe_load.NotLoadable, match="not modelled"):
            stand_ins[0].save_pretrained(tmp_path)
        with pytest.raises(FileNotFoundError):
            torch.load(tmp_path / "nowhere.pt")
        with pytest.raises(safe_load.UsageError, match="pickle_module"):
            torch.load(tmp_path / "c.pt", pickle_module=joblib)
        with pytest.raises(ValueError, match="string filename"):
            torch.load(io.BytesIO((tmp_path / "c.pt").read_bytes()), mmap=True)
    assert_alike(torch.load(tmp_path / "c.pt", weights_only=False), got)


def _rooms() -> set[int]:
    """The processes that this one has begun and that still run."""
    return {
        int(pid)
        for task in Path("/proc/self/task").iterdir()
        for pid in (task / "children").read_text().split()
    }


def test_one_room_serves_all_guards_of_a_process_and_ends_with_the_last(tmp_path: Path) -> None:
    for number in range(4):
        torch.save({"w": torch.full((1,), float(number))}, tmp_path / f"{number}.pt")
    before = _rooms()

    def load(number: int) -> float:
        return float(torch.load(tmp_path / f"{number}.pt")["w"])

    @safe_load.guard()
    def many() -> None:
        assert load(0) == 0.0
        room = _rooms() - before
        with safe_load.guard():
            assert load(1) == 1.0
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(load, 2).result() == 2.0
        assert _rooms() - before == room
        child = os.fork()
        if child == 0:  # where the room is another's, and is left alone
            own = [room for room in warm._rooms.values() if room._session is not None]
            os._exit(1 if own or not warm._rooms else 0)
        assert os.waitpid(child, 0)[1] == 0
        assert load(3) == 3.0
        assert _rooms() - before == room
        raise KeyError

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAFE_LOAD_HOME", str(tmp_path / "cache"))
        with pytest.raises(KeyError):
            many()
    assert _rooms() == before
    assert not warm._rooms


def test_arrays_come_back(tmp_path: Path, session: safe_load.Session) -> None:
    arrays = {"coefficients": np.arange(6.0).reshape(2, 3), "classes": np.array([1, 2]), "n": 3}
    joblib.dump(arrays, tmp_path / "a.joblib")
    np.save(tmp_path / "a.npy", arrays["coefficients"])
    np.savez(tmp_path / "a.npz", c=arrays["coefficients"])
    (tmp_path / "pickled.npy").write_bytes(pickle.dumps(arrays))
    with safe_load.guard(session):
        _equal(arrays, joblib.load(tmp_path / "a.joblib"))
        _equal(arrays, np.load(tmp_path / "pickled.npy", allow_pickle=True))
        _equal(arrays["coefficients"], np.load(tmp_path / "a.npy", allow_pickle=True))
        _equal(arrays["coefficients"], np.load(tmp_path / "a.npy"))
        _equal(arrays["coefficients"], np.load(tmp_path / "a.npz", allow_pickle=True)["c"])


def test_every_from_pretrained_goes_through(tmp_path: Path, session: safe_load.Session) -> None:
    canary, folder = tmp_path / "canary", tmp_path / "model"
    tiny.save(folder, "bert", "bin")
    expected = transformers.AutoModel.from_pretrained(folder)
    with safe_load.guard(session):
        got = transformers.AutoModel.from_pretrained(folder)
        assert type(got) is transformers.BertModel
        assert got.config.to_dict() == expected.config.to_dict()
        assert transformers.AutoTokenizer.from_pretrained(folder)("hello")["input_ids"]
        asked = transformers.pipeline("feature-extraction", model=str(folder))
        assert asked.model.name_or_path == str(folder)
    torch.save({"w": torch.ones(1), "x": Payload(canary)}, folder / "pytorch_model.bin")
    with safe_load.guard(session):
        for name in ("AutoModel", "AutoConfig", "AutoTokenizer", "BertModel", "BertConfig"):
            with pytest.raises(safe_load.Rejected):
                getattr(transformers, name).from_pretrained(folder)
        with pytest.raises(safe_load.Rejected):
            transformers.pipeline("feature-extraction", model=str(folder))
        with pytest.raises(safe_load.UsageError):
            transformers.AutoModel.from_pretrained(folder, trust_remote_code=True)
    assert not canary.exists()


def _state() -> list[object]:
    """What stands where the guard puts its own."""
    owners: list[Any] = [
        transformers.PreTrainedModel, transformers.PreTrainedConfig, transformers.AutoModel,
        transformers.AutoTokenizer, transformers.PreTrainedTokenizerBase, transformers.GenerationConfig,
    ]  # fmt: skip
    functions = [
        torch.load,
        torch.serialization.load,
        joblib.load,
        np.load,
        load_under_another_name,
    ]
    return [vars(owner)["from_pretrained"] for owner in owners] + functions


def test_everything_is_put_back(session: safe_load.Session) -> None:
    before = _state()
    inside: list[object] = []

    def fail() -> None:
        with safe_load.guard(session):
            inside.extend(_state())
            with safe_load.guard(session):
                assert _state() == inside
            assert _state() == inside
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert not any(one is other for one, other in zip(before, inside, strict=True))
    assert all(one is other for one, other in zip(before, _state(), strict=True))


def test_guards_that_overlap_in_threads_end_when_the_last_one_does(
    session: safe_load.Session,
) -> None:
    before = _state()
    first, second = threading.Event(), threading.Event()

    def hold() -> None:
        with safe_load.guard(session):
            first.set()
            second.wait(30)

    other = threading.Thread(target=hold)
    other.start()
    first.wait(30)
    with safe_load.guard(session):
        inside = _state()
    assert _state() == inside  # the other thread's still stands
    second.set()
    other.join()
    assert all(one is other for one, other in zip(before, _state(), strict=True))


def test_other_threads_are_guarded_too(tmp_path: Path, session: safe_load.Session) -> None:
    canary = tmp_path / "canary"
    torch.save({"w": torch.ones(1), "x": Payload(canary)}, tmp_path / "evil.pt")
    torch.save({"w": torch.ones(1)}, tmp_path / "good.pt")

    def load(name: str) -> str:
        try:
            return str(torch.load(tmp_path / name, weights_only=False)["w"].item())
        except safe_load.Rejected:
            return "rejected"

    with safe_load.guard(session), ThreadPoolExecutor(4) as pool:
        assert list(pool.map(load, ["evil.pt", "good.pt"] * 3)) == ["rejected", "1.0"] * 3

    async def main() -> list[str]:
        with safe_load.guard(session):
            return await asyncio.gather(*(asyncio.to_thread(load, "evil.pt") for _ in range(3)))

    assert asyncio.run(main()) == ["rejected"] * 3
    assert not canary.exists()


def test_safetensors_and_pickle_are_left_alone(tmp_path: Path, session: safe_load.Session) -> None:
    from safetensors.torch import load_file, save_file

    save_file({"w": torch.ones(1)}, tmp_path / "w.safetensors")
    with safe_load.guard(session):
        assert torch.equal(load_file(tmp_path / "w.safetensors")["w"], torch.ones(1))
        assert pickle.loads(pickle.dumps({"a": 1})) == {"a": 1}


def test_a_function_may_be_guarded(tmp_path: Path, session: safe_load.Session) -> None:
    torch.save({"w": torch.ones(1)}, tmp_path / "w.pt")

    @safe_load.guard(session)
    def load() -> Any:
        return torch.load(tmp_path / "w.pt")

    assert load()["w"] == load()["w"]


def test_options_are_the_sessions_or_the_guards(session: safe_load.Session) -> None:
    with (
        pytest.raises(safe_load.UsageError, match="not both"),
        safe_load.guard(session, depth="run"),
    ):
        pass
    with (
        pytest.raises(safe_load.UsageError, match="no option 'colour'"),
        safe_load.guard(colour="red"),
    ):
        pass


def test_what_is_mixed_into_a_class_reads_no_source_before_it(
    session: safe_load.Session, tmp_path: Path
) -> None:
    """JevForDecision takes its configuration from raw files, and only then asks PreTrainedModel."""
    tiny.save(tmp_path, "bert", "safetensors")
    (tmp_path / "decision.json").write_text('{"adapter": "../elsewhere"}')
    with safe_load.guard(session):
        decision = importlib.import_module("transformers.decision.configuration_utils")
        assert decision.DecisionConfig.from_pretrained(str(tmp_path)).adapter is None
    assert decision.DecisionConfig.from_pretrained(str(tmp_path)).adapter == "../elsewhere"
