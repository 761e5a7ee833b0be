"""A torch distributed checkpoint comes out as torch's own converter gives it, or not at all."""

from __future__ import annotations

import os
import pickle
import re
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

torch = pytest.importorskip("torch")

from safe_load import profiles  # noqa: E402 - after what may not be there
from safe_load.core.options import Options  # noqa: E402
from safe_load.export import copying  # noqa: E402
from safe_load.rooms import jobs  # noqa: E402
from safe_load.sources import inventory  # noqa: E402
from safe_load.worker import extract  # noqa: E402
from safetensors.torch import load_file  # noqa: E402
from torch.distributed import checkpoint  # noqa: E402
from torch.distributed.checkpoint import metadata as listed  # noqa: E402
from torch.distributed.checkpoint.filesystem import _StorageInfo  # noqa: E402
from torch.distributed.checkpoint.format_utils import dcp_to_torch_save  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore")
_TYPES = "float64 float32 float16 bfloat16 int64 int8 uint8 uint16 bool complex64 float8_e4m3fn"


def read(folder: Path, out: Path, **options: Any) -> dict[str, dict[str, Any]]:
    """What the room says of each file of the folder; the export, filled as the controller does, in `out`."""
    found = inventory.take(str(folder))
    files = [
        {"path": str(entry.place), "name": entry.path, "parts": list(entry.parts)}
        | ({"output": 0} if entry.export else {})
        for entry in found.entries
    ]
    argument = {"files": files, "callables": profiles.ordinary_callables()} | options
    output = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        results = extract.main(argument, [output])["files"]
    finally:
        os.close(output)
    (head,) = found.weights
    places = {entry.path: entry.place for entry in found.entries}
    sources = [os.open(places[path], os.O_RDONLY) for path in (head.path, *head.parts)]
    by_name = {result["name"]: result for result in results}
    with out.open("r+b") as filled:
        copying.copy(sources, filled.fileno(), by_name[head.path]["runs"])
    for source in sources:
        os.close(source)
    return by_name


def flat(value: object, path: str = "") -> dict[str, torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return {path: value}
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    return {k: v for key, part in items for k, v in flat(part, f"{path}.{key}".strip(".")).items()}


def bits(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.contiguous().reshape(-1).view(torch.uint8)


def assert_as_torch_gives_it(folder: Path, tmp_path: Path) -> dict[str, dict[str, Any]]:
    dcp_to_torch_save(folder, tmp_path / "own.pt")
    expected = flat(torch.load(tmp_path / "own.pt", weights_only=False))
    said = read(folder, tmp_path / "out.safetensors", names="path", keep="all")
    assert {
        name: (each["state"], each["callables"]) for name, each in said.items()
    } == dict.fromkeys(said, ("opened", []))
    tensors = load_file(tmp_path / "out.safetensors")
    assert tensors.keys() == expected.keys()
    for name, tensor in expected.items():
        assert tensors[name].dtype == tensor.dtype, name
        assert torch.equal(bits(tensors[name]), bits(tensor)), name
    return said


def saved(folder: Path, state: dict[str, Any]) -> Path:
    """Written by torch, in one process."""
    checkpoint.save(state, checkpoint_id=folder, no_dist=True)
    return folder


def sharded(folder: Path, tensors: dict[str, list[tuple[tuple[int, ...], torch.Tensor]]]) -> Path:
    """Written as the ranks of a larger job write it: each part of a tensor in the file of another rank."""
    folder.mkdir()
    tables: dict[str, Any] = {}
    places: dict[Any, _StorageInfo] = {}
    for name, parts in tensors.items():
        size = torch.Size(
            max(o + s for o, s in zip(dim, each, strict=True)) for dim, each in _by_dim(parts)
        )
        chunks = [listed.ChunkStorageMetadata(torch.Size(o), part.size()) for o, part in parts]
        kind = listed.TensorProperties.create_from_tensor(parts[0][1])
        tables[name] = listed.TensorStorageMetadata(kind, size, chunks)
        for rank, (offsets, part) in enumerate(parts):
            with (folder / f"__{rank}_0.distcp").open("ab") as file:
                begin = file.tell()
                torch.save(part.clone(), file)
                place = _StorageInfo(f"__{rank}_0.distcp", begin, file.tell() - begin)
            places[listed.MetadataIndex(name, offsets, rank)] = place
    keys = {name: tuple(name.split(".")) for name in tensors}
    (folder / ".metadata").write_bytes(pickle.dumps(listed.Metadata(tables, keys, places)))
    return folder


def _by_dim(parts: list[tuple[tuple[int, ...], torch.Tensor]]) -> Any:
    offsets = zip(*(offset for offset, _ in parts), strict=True)
    return zip(offsets, zip(*(part.shape for _, part in parts), strict=True), strict=True)


def grid(tensor: torch.Tensor, *cuts: list[int]) -> list[tuple[tuple[int, ...], torch.Tensor]]:
    """A tensor cut along its first dimensions, at these places."""
    parts: list[tuple[tuple[int, ...], torch.Tensor]] = [((0,) * tensor.dim(), tensor)]
    for dim, places in enumerate(cuts):
        parts = [
            ((*at[:dim], begin, *at[dim + 1 :]), part.narrow(dim, begin, end - begin))
            for at, part in parts
            for begin, end in zip([0, *places], [*places, part.shape[dim]], strict=True)
        ]
    return parts


def test_what_torch_saves_comes_out_with_its_nested_keys_and_types(tmp_path: Path) -> None:
    kinds = {
        name: torch.arange(6).to(getattr(torch, name)).reshape(2, 3) for name in _TYPES.split()
    }
    optimizer = {"state": {"w": {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 0.1}]}
    other = {"t": torch.arange(6.0).reshape(2, 3).t(), "none": torch.zeros(0, 4)}
    state = {"model": kinds | other, "optim": optimizer, "list": [1, torch.ones(2)], "epoch": 4}
    said = assert_as_torch_gives_it(saved(tmp_path / "model", state), tmp_path)
    assert said[".metadata"]["format"] == "torch-distributed"


def test_parts_of_a_tensor_are_put_together_whichever_dimensions_were_cut(tmp_path: Path) -> None:
    torch.manual_seed(1)
    wide = torch.randn(300, 700)
    cases = {
        "rows": grid(torch.randn(5, 3), [2, 3]),
        "columns": grid(torch.randn(4, 9, dtype=torch.float64), [], [4, 5]),
        "both": grid(torch.randn(6, 8).bfloat16(), [1, 4], [3, 7]),
        "middle": grid(torch.randn(3, 4, 5), [], [1, 3]),
        "three": grid(torch.randn(4, 4, 6), [2], [1], [5]),
        "uneven": [((0, 0), wide[:100]), ((100, 0), wide[100:, :30]), ((100, 30), wide[100:, 30:])],
        "line": grid(torch.arange(11), [4, 10]),
        "turned": [((0, 0), torch.randn(4, 3).t()), ((3, 0), torch.randn(4, 2).t())],
        "long": grid(torch.randn(1 << 18), [1 << 17]),
    }
    said = assert_as_torch_gives_it(sharded(tmp_path / "model", cases), tmp_path)
    # What lies in long runs is left to the controller to copy.
    runs = {(number, length) for number, _, _, length in said[".metadata"]["runs"]}
    assert runs >= {(1, 1 << 19), (2, 1 << 19)}


def test_without_anything_said_the_weights_have_their_own_names(tmp_path: Path) -> None:
    state = {"model": {"w": torch.ones(2)}, "optimizer": {"state": {"w": {"step": torch.ones(1)}}}}
    read(saved(tmp_path / "model", state), tmp_path / "out.safetensors")
    assert load_file(tmp_path / "out.safetensors").keys() == {"w"}


def test_one_export_stands_where_the_folder_is_or_where_accelerate_wants_the_weights(
    tmp_path: Path,
) -> None:
    for name in ("pytorch_model_fsdp_0", "optimizer_0"):
        saved(tmp_path / "model" / name, {"w": torch.ones(2)})
    found = inventory.take(str(tmp_path / "model"))
    assert [(entry.path, entry.export) for entry in found.weights] == [
        ("pytorch_model_fsdp_0/.metadata", "model.safetensors")
    ]
    job = jobs.extraction_job(found, None, Options())
    parts = {file["name"]: file["parts"] for file in job.argument["files"]}
    assert parts["optimizer_0/.metadata"] == ["optimizer_0/__0_0.distcp"]
    plain = inventory.take(str(tmp_path / "model" / "optimizer_0" / ".." / "pytorch_model_fsdp_0"))
    assert [entry.export for entry in plain.weights] == ["model.safetensors"]


class Trap:
    """Would run something, were it unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("true",)


def test_a_call_in_any_part_is_named_with_its_file(tmp_path: Path) -> None:
    folder = saved(tmp_path / "model", {"w": torch.ones(2), "epoch": Trap()})
    said = read(folder, tmp_path / "out.safetensors")
    (call,) = said[".metadata"]["callables"]
    assert (call["name"], call["called"]) == ("posix.system", True)
    assert call["member"].startswith("__0_0.distcp[bytes at ")


def _place(change: dict[str, Any], metadata: Any) -> None:
    for index, place in metadata.storage_data.items():
        if index.fqn == "w":
            for name, value in change.items():
                setattr(place, name, value)


def _chunk(change: dict[str, Any], metadata: Any) -> None:
    for name, value in change.items():
        setattr(metadata.state_dict_metadata["w"].chunks[1], name, torch.Size(value))


def _size(size: tuple[int, ...], metadata: Any) -> None:
    metadata.state_dict_metadata["w"].size = torch.Size(size)


def _type(metadata: Any) -> None:
    metadata.state_dict_metadata["w"].properties.dtype = torch.float64


def _forget(metadata: Any) -> None:
    metadata.storage_data = {k: v for k, v in metadata.storage_data.items() if k.fqn != "w"}


def _half(metadata: Any) -> None:
    del metadata.state_dict_metadata["w"].chunks[1]


def _list(metadata: Any) -> None:
    metadata.planner_data["w"] = ("w", 1 << 40)


def _text(metadata: Any) -> None:
    metadata.state_dict_metadata["w"].size = "large"


LIES: dict[str, tuple[Callable[[Any], None], str]] = {
    "begins elsewhere": (partial(_place, {"offset": 3}), "share bytes|zip|pickle|begins"),
    "ends behind the file": (partial(_place, {"length": 1 << 40}), "which has"),
    "negative": (partial(_place, {"offset": -1}), "torch would write"),
    "file is not there": (partial(_place, {"relative_path": "__9_0.distcp"}), "which is missing"),
    "file above": (partial(_place, {"relative_path": "../secret"}), "outside of its folder"),
    "file by its full path": (
        partial(_place, {"relative_path": "/etc/passwd"}),
        "outside of its folder",
    ),
    "packed": (partial(_place, {"transform_descriptors": ["zstd"]}), "compressed"),
    "parts overlap": (partial(_chunk, {"offsets": (1, 0)}), "does not say where"),
    "part is larger": (partial(_chunk, {"sizes": (3, 3)}), "is said to be"),
    "tensor is larger": (partial(_size, (5, 3)), "leave a hole"),
    "tensor is smaller": (partial(_size, (3, 3)), "outside of its tensor"),
    "tensor is enormous": (partial(_size, (1 << 40, 1 << 20)), "hole|elements|allowed"),
    "rank is other": (partial(_size, (4, 3, 1)), "outside of its tensor"),
    "type is other": (_type, "is said to be float64"),
    "place is not said": (_forget, "does not say where"),
    "half is missing": (_half, "leave a hole"),
    "endless list": (_list, "lists|torch would write"),
    "size is a text": (_text, "torch would write"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_list_that_lies_is_refused_with_one_sentence(lie: str, tmp_path: Path) -> None:
    change, reason = LIES[lie]
    folder = sharded(
        tmp_path / "model", {"w": grid(torch.randn(4, 3), [2]), "v": grid(torch.ones(2))}
    )
    listing = pickle.loads((folder / ".metadata").read_bytes())  # ours
    change(listing)
    (folder / ".metadata").write_bytes(pickle.dumps(listing))
    said = read(folder, tmp_path / "out.safetensors")[".metadata"]
    assert said["status"] in ("not_loadable", "bomb")
    assert re.search(reason, said["reason"]), said["reason"]
    assert "\n" not in said["reason"]
    assert (tmp_path / "out.safetensors").stat().st_size == 0
    leaves = lie in ("file above", "file by its full path")
    assert [finding for finding, _ in said["carried"]] == ["SL505"] * leaves


def test_overlapping_boxes_and_a_file_of_another_rank_are_seen(tmp_path: Path) -> None:
    half = torch.ones(2, 3)
    folder = sharded(tmp_path / "a", {"w": [((0, 0), half), ((1, 0), half), ((2, 0), half)]})
    assert "overlap" in read(folder, tmp_path / "out")[".metadata"]["reason"]
    folder = sharded(tmp_path / "b", {"w": grid(torch.ones(4), [2])})
    with (folder / "__1_0.distcp").open("ab") as file:
        file.write(pickle.dumps(Trap()))
    said = read(folder, tmp_path / "out")
    assert said[".metadata"]["status"] == "ok"
    assert said["__0_0.distcp"]["state"] == "opened"
    assert said["__1_0.distcp"]["state"] == "not_judged"
    assert "belong to no part" in said["__1_0.distcp"]["why"]


def test_a_list_that_is_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    folder = saved(tmp_path / "model", {"w": torch.ones(2)})
    data = (folder / ".metadata").read_bytes()
    for places in range(20):
        (folder / ".metadata").write_bytes(data[: 1 + len(data) * places // 20])
        said = read(folder, tmp_path / "out")
        assert said[".metadata"]["status"] in ("not_loadable", "unsupported")
        assert said[".metadata"]["reason"]
