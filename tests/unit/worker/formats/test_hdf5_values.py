"""Datasets of HDF5 files come out as h5py reads them, and nothing of a file that lies does."""

from __future__ import annotations

import io
import json
import zipfile
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest
import torch
from safe_load.worker.formats.interface import Content
from safe_load.worker.refusal import RefusedError

from tests.unit.worker.formats.test_data import judged

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TYPES = (
    "f2",
    "f4",
    "f8",
    ">f4",
    "i1",
    "i2",
    "i4",
    "i8",
    ">i8",
    "u1",
    "u2",
    "u4",
    "?",
    "c8",
    "c16",
    ">c16",
)
PACKED: dict[str, dict[str, Any]] = {
    "plain": {"chunks": (3, 4)},
    "deflated": {"chunks": (5, 3), "compression": "gzip", "shuffle": True, "fletcher32": True},
    "one": {"chunks": (10, 7), "compression": "gzip"},
    "lzf": {"chunks": (5, 3), "compression": "lzf"},
    "lzf shuffled": {"chunks": (10, 7), "compression": "lzf", "shuffle": True, "fletcher32": True},
}


def written(path: Path, **options: Any) -> Path:
    random = np.random.default_rng(3)
    with h5py.File(path, "w", **options) as file:
        group = file.create_group("model_weights/dense/dense")
        for kind in TYPES:
            group[f"of {kind}:0"] = random.integers(0, 2, (4, 5)).astype(kind)
        group["scalar"] = np.float32(3.5)
        group["none"] = np.zeros((0, 4), "f4")
        group["words"] = ["a", "b"]
        group.create_dataset("unwritten", (2, 3), "f4", fillvalue=1.5)
        group.attrs["weight_names"] = [b"of f4:0"]
        file.create_dataset("optimizer_weights/m", data=np.ones(3))
        for name, how in PACKED.items() if not options else ():
            data = random.standard_normal((10, 7, 2)).astype("f4")
            file.create_dataset(
                f"packed/{name}", data=data, **{**how, "chunks": (*how["chunks"], 1)}
            )
            file.create_dataset(f"row/{name}", data=data[:, 0, 0], **{**how, "chunks": (4,)})
        part = file.create_dataset("packed/part", (9, 9), "i4", chunks=(2, 2), fillvalue=7)
        part[4, 4] = 1
    return path


def same(got: torch.Tensor, expected: np.ndarray[Any, Any]) -> bool:
    little = expected.astype(expected.dtype.newbyteorder("<"))
    return got.flatten().view(torch.uint8).numpy().tobytes() == little.tobytes()


def test_every_dataset_of_numbers_is_as_h5py_reads_it(
    exported: Callable[..., dict[str, torch.Tensor]], tmp_path: Path
) -> None:
    tensors = exported(written(tmp_path / "model.h5"), keep="all")
    names: list[str] = []
    with h5py.File(tmp_path / "model.h5") as file:
        file.visititems(
            lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None
        )
        names.remove("model_weights/dense/dense/words")
        assert sorted(tensors) == sorted(names)
        for name in names:
            assert same(tensors[name], np.asarray(file[name])), name


def test_what_an_optimizer_keeps_is_left_out(
    exported: Callable[..., dict[str, torch.Tensor]], tmp_path: Path
) -> None:
    tensors = exported(written(tmp_path / "model.h5"))
    assert tensors
    assert "optimizer_weights/m" not in tensors


def test_what_newer_versions_write_comes_out_or_is_named(
    extracted: Callable[..., dict[str, Any]],
    exported: Callable[..., dict[str, torch.Tensor]],
    tmp_path: Path,
) -> None:
    result = extracted(written(tmp_path / "model.h5", libver="latest"))
    assert result["status"] in ("unsupported", "not_loadable")
    assert "newer" in result["reason"]
    data = np.arange(5000, dtype="f4")
    with h5py.File(tmp_path / "small.h5", "w", libver="latest") as file:
        file["vars/0"] = data
        file.create_dataset("vars/1", data=data, chunks=(5000,), compression="gzip")
        file.create_dataset("vars/2", data=data, chunks=(3,))  # a list in pages
        file.create_dataset("vars/3", data=data, chunks=(50,), compression="gzip")
        file.create_dataset("vars/4", (5000,), "f4", chunks=(1,))[17] = 2
        expected = {f"vars/{number}": file[f"vars/{number}"][...] for number in range(5)}
    tensors = exported(tmp_path / "small.h5")
    assert tensors.keys() == expected.keys()
    for name, array in expected.items():
        assert same(tensors[name], array), name
    with h5py.File(tmp_path / "grows.h5", "w", libver="latest") as file:
        file.create_dataset("vars/0", data=data, chunks=(50,), maxshape=(None,))
    assert "can grow" in extracted(tmp_path / "grows.h5")["reason"]


def keras(layer: str, **config: Any) -> bytes:
    """A whole model, as Keras 2 and 3 write it into HDF5."""
    model = {
        "class_name": "Sequential",
        "config": {"layers": [{"class_name": layer, "module": "keras.layers", "config": config}]},
    }
    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        file.attrs["model_config"] = json.dumps(model).encode()
        file.attrs["keras_version"] = b"2.15.0"
        file["model_weights/dense/kernel:0"] = np.arange(12, dtype="f4").reshape(3, 4)
    return out.getvalue()


def test_weights_of_a_whole_keras_model_come_out_and_its_layers_are_judged() -> None:
    content, reading = judged(keras("Dense", units=4), "model.h5")
    assert isinstance(content, Content)
    assert (content.state, reading.carried) == ("opened", [])
    assert [entry.name for entry in content.plan.entries] if content.plan else False
    content, reading = judged(keras("Lambda", function={"class_name": "__lambda__"}), "model.h5")
    assert isinstance(content, Content)
    assert {ident for ident, _ in reading.carried} == {"SL506"}


def _whole(layer: str, **training: Any) -> bytes:
    """A whole model of a Keras before 2.6 or of a layer that nobody registered: no module stands beside a class."""
    layers = [{"class_name": "InputLayer", "config": {}}, {"class_name": layer, "config": {}}]
    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        model = {"class_name": "Sequential", "config": {"layers": layers}}
        file.attrs["model_config"] = json.dumps(model).encode()
        file.attrs["training_config"] = json.dumps(training).encode()
        file["model_weights/dense/kernel:0"] = np.ones((3, 4), "f4")
    return out.getvalue()


@pytest.mark.parametrize(
    ("layer", "training", "told"),
    [
        ("Dense", {"loss": "mse", "metrics": ["acc", "accuracy", "AUC"]}, False),
        ("Convolution2D", {"loss": {"a": "categorical_crossentropy"}, "metrics": [["mae"]]}, False),
        ("BatchNormalizationV1", {"loss": {"class_name": "Huber", "config": {}}}, False),
        ("Dense", {"loss": None, "metrics": None, "optimizer_config": {"class_name": "Adam", "config": {}}}, False),
        ("Mine", {}, True),
        ("Dense", {"loss": "mine"}, True),
        ("Dense", {"loss": {"a": ["mse", "mine"]}}, True),
        ("Dense", {"loss": "mse", "metrics": [{"class_name": "Mine", "config": {}}]}, True),
    ],
)  # fmt: skip
def test_a_class_or_a_loss_that_is_not_kerass_own_is_code_of_its_author(
    layer: str, training: dict[str, Any], told: bool
) -> None:
    content, reading = judged(_whole(layer, **training), "model.h5")
    assert isinstance(content, Content)
    assert [ident for ident, _ in reading.carried] == ["SL506"] * told


def test_a_keras_archive_gives_the_weights_of_its_file() -> None:
    inner = io.BytesIO()
    with h5py.File(inner, "w") as file:
        file["layers/dense/vars/0"] = np.arange(6, dtype="f4")
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", method) as archive:
            archive.writestr("metadata.json", '{"keras_version": "3.0.0"}')
            archive.writestr("config.json", '{"class_name": "Dense", "module": "keras.layers"}')
            archive.writestr("model.weights.h5", inner.getvalue())
        content, reading = judged(out.getvalue(), "model.keras")
        assert isinstance(content, Content), content
        assert content.plan is not None
        assert ([e.name for e in content.plan.entries], reading.carried) == (
            ["layers/dense/vars/0"],
            [],
        )


@pytest.mark.parametrize("shape", [(1 << 30, 1 << 8), (1 << 33,)])
def test_a_dataset_of_which_nothing_is_stored_is_a_bomb(shape: tuple[int, ...]) -> None:
    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        file.create_dataset("vars/0", shape, "f4", chunks=True, compression="gzip")
    content, _ = judged(out.getvalue())
    assert isinstance(content, RefusedError)
    assert content.status == "bomb"
