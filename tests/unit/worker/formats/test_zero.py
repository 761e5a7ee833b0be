"""A DeepSpeed ZeRO folder comes out as the weights that were split, or not at all.

The folders are laid out as DeepSpeed 0.19 writes them; its own folders of 2 ranks were compared by hand with
what its zero_to_fp32.py gives.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import pytest

torch = pytest.importorskip("torch")

from safe_load.judge.compare import compare  # noqa: E402 - after what may not be there
from safe_load.sources import inventory  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

from tests.unit.worker.formats.test_distributed import read  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

STEP = "global_step2"
TRAINED = {
    "a.weight": torch.randn(5, 3),
    "a.bias": torch.randn(7),
    "b.weight": torch.randn(2, 2, 3),
}
FROZEN = {"frozen": torch.randn(3, 3)}
BUFFERS = {
    "half": torch.tensor([1.5, -2.0, 65504.0], dtype=torch.float16),
    "brain": torch.tensor([0.1, 3e38]).bfloat16(),
    "double": torch.tensor([0.1], dtype=torch.float64),
    "count": torch.tensor(4),
}
WEIGHTS = TRAINED | FROZEN | {"tied": TRAINED["a.weight"]} | BUFFERS
EXPECTED = {name: t.float() if t.is_floating_point() else t for name, t in WEIGHTS.items()}


def padded(flat: torch.Tensor, to: int) -> torch.Tensor:
    return torch.cat([flat, torch.zeros(-len(flat) % to)])


def partitions(stage: int, ranks: int) -> list[list[torch.Tensor]]:
    """The flat tensors of each rank: two groups of parameters for stages 1 and 2, one for stage 3."""
    if stage == 3:
        parts = [padded(each.flatten(), ranks).chunk(ranks) for each in TRAINED.values()]
        return [[torch.cat([part[rank] for part in parts])] for rank in range(ranks)]
    first, *others = TRAINED.values()
    groups = [first.flatten(), torch.cat([each.flatten() for each in others])]
    return [
        list(each)
        for each in zip(*(padded(g, 2 * ranks).chunk(ranks) for g in groups), strict=True)
    ]


def shapes() -> list[Any]:
    """Of all parameters, in the groups of the optimizer."""
    names = list(TRAINED)
    return [OrderedDict((n, TRAINED[n].shape) for n in each) for each in (names[:1], names[1:])]


def zero(
    folder: Path,
    stage: int,
    ranks: int = 3,
    *,
    model: Callable[[dict[str, Any]], None] = lambda state: None,
    optim: Callable[[dict[str, Any]], None] = lambda state: None,
) -> Path:
    """A folder of DeepSpeed's; model, optim: change what the files hold."""
    step = folder / STEP
    step.mkdir(parents=True)
    (folder / "latest").write_text(STEP)
    pieces = [padded(FROZEN["frozen"].flatten(), ranks).chunk(ranks)[rank] for rank in range(ranks)]
    for rank in range(ranks if stage == 3 else 1):
        state: dict[str, Any] = {
            "module": OrderedDict(BUFFERS),
            "buffer_names": list(BUFFERS),
            "optimizer": None,
            "param_shapes": shapes(),
            "frozen_param_shapes": {"frozen": FROZEN["frozen"].shape},
            "frozen_param_fragments": {"frozen": pieces[rank] if stage == 3 else FROZEN["frozen"]},
            "shared_params": {"tied": "a.weight"},
            "ds_version": "0.19.8",
        }
        model(state)
        name = f"zero_pp_rank_{rank}_mp_rank_00" if stage == 3 else "mp_rank_00"
        torch.save(state, step / f"{name}_model_states.pt")
    key = "fp32_flat_groups" if stage == 3 else "single_partition_of_fp32_groups"
    for rank, groups in enumerate(partitions(stage, ranks)):
        inner = {"zero_stage": stage, "partition_count": ranks if stage == 3 else [ranks, ranks]}
        state = inner | {key: [group.clone() for group in groups]}
        optim(state)
        torch.save(
            {"optimizer_state_dict": state},
            step / f"zero_pp_rank_{rank}_mp_rank_00_optim_states.pt",
        )
    return folder


def head_of(folder: Path) -> str:
    (head,) = inventory.take(str(folder)).weights
    assert head.export == "model.safetensors"
    return head.path


@pytest.mark.parametrize("stage", [1, 2, 3])
@pytest.mark.parametrize("ranks", [1, 3, 11])
def test_the_weights_come_out_in_32_bits_under_their_names(
    stage: int, ranks: int, tmp_path: Path
) -> None:
    folder = zero(tmp_path / "model", stage, ranks)
    said = read(folder, tmp_path / "out.safetensors")
    assert (said[head_of(folder)]["status"], said[head_of(folder)]["reason"]) == ("ok", None)
    assert said[head_of(folder)]["format"] == "deepspeed-zero"
    tensors = load_file(tmp_path / "out.safetensors")
    assert tensors.keys() == EXPECTED.keys()
    for name, tensor in EXPECTED.items():
        assert tensors[name].dtype == tensor.dtype, name
        assert torch.equal(tensors[name], tensor), name


def test_what_loading_the_file_alone_gives_is_what_is_compared(tmp_path: Path) -> None:
    folder = zero(tmp_path / "model", 2)
    said = read(folder, tmp_path / "out.safetensors", fingerprint_budget=1 << 10)[head_of(folder)]
    rows = [row | {"dtype": row["torch_dtype"]} for row in said["left"]]
    names = ("name", "dtype", "shape", "crc32")
    rows = [{key: row[key] for key in names} for row in rows]
    own = {f"module.{name}" for name in BUFFERS} | {"frozen_param_fragments.frozen"}
    assert {row["name"] for row in rows} == own
    loaded = {"name": said["name"], "ok": True, "error": None, "tensors": rows}
    gave: dict[str, Any] = {"files": [loaded], "steps": [], "model": None}
    assert compare({"files": [said]}, gave) == []
    rows[0]["crc32"] ^= 1
    assert [each.kind for each in compare({"files": [said]}, gave)] == ["bytes"]


def test_what_is_chosen_of_the_weights_is_not_asked_of_each_rank_s_file(tmp_path: Path) -> None:
    folder = zero(tmp_path / "model", 3)
    said = read(folder, tmp_path / "out.safetensors", weights_of="ema")
    assert "no tensors under the key 'ema'" in said.pop(head_of(folder))["reason"]
    for name, each in said.items():
        assert each["state"] == ("data" if name == "latest" else "opened"), name


def test_weights_that_stand_beside_it_come_first(tmp_path: Path) -> None:
    folder = zero(tmp_path / "model", 2)
    torch.save({"w": torch.ones(1)}, folder / "pytorch_model.bin")
    assert [entry.path for entry in inventory.take(str(folder)).weights] == ["pytorch_model.bin"]


def _set(key: str, item: object) -> Callable[[dict[str, Any]], None]:
    return lambda state: state.update({key: item})


def _other_shape(state: dict[str, Any]) -> None:
    state["param_shapes"][0]["a.weight"] = torch.Size([1 << 40, 1 << 20])


def _fewer(state: dict[str, Any]) -> None:
    del state["param_shapes"][1]["b.weight"]


def _halves(state: dict[str, Any]) -> None:
    key = next(key for key in state if key.endswith("groups"))
    state[key] = [group.half() for group in state[key]]


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "more ranks are said": ({"optim": _set("partition_count", 4)}, "written by 4 ranks"),
    "a shape is enormous": ({"model": _other_shape}, "zero_to_fp32"),
    "a parameter is not named": ({"model": _fewer}, "damaged, or not whole"),
    "the partitions are halves": ({"optim": _halves}, "zero_to_fp32"),
    "the shapes are a number": ({"model": _set("param_shapes", 3)}, "zero_to_fp32"),
    "the names are lists": ({"model": _set("shared_params", {"x": [1]})}, "zero_to_fp32"),
    "a group is missing": ({"optim": _set("zero_stage", "2")}, "zero_to_fp32"),
}


@pytest.mark.parametrize("stage", [2, 3])
@pytest.mark.parametrize("what", WRONG)
def test_a_folder_that_does_not_fit_together_is_refused_with_one_sentence(
    what: str, stage: int, tmp_path: Path
) -> None:
    changes, reason = WRONG[what]
    folder = zero(tmp_path / "model", stage, **changes)
    said = read(folder, tmp_path / "out.safetensors")[head_of(folder)]
    assert said["status"] == "not_loadable"
    assert reason in said["reason"]
    assert (tmp_path / "out.safetensors").stat().st_size == 0


def test_a_missing_rank_and_a_split_model_are_named(tmp_path: Path) -> None:
    folder = zero(tmp_path / "model", 3)
    last = folder / STEP / "zero_pp_rank_2_mp_rank_00_optim_states.pt"
    data = last.read_bytes()
    last.unlink()
    said = read(folder, tmp_path / "out")[head_of(folder)]
    assert "the optim_states files of 2 are here" in said["reason"]
    last.write_bytes(data)
    (folder / STEP / "zero_pp_rank_0_mp_rank_01_optim_states.pt").write_bytes(data)
    said = read(folder, tmp_path / "out")[head_of(folder)]
    assert "the model itself is split" in said["reason"]
