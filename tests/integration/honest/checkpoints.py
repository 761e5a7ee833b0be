"""Honest checkpoint files: each function writes one, and says which tensors its cleared copy must hold."""

from __future__ import annotations

import argparse
import collections
import dataclasses
import enum
import functools
import json
import pickle
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gguf
import h5py
import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from safetensors.torch import save_file
from torch.distributed import checkpoint
from transformers import BertConfig, GenerationConfig, SchedulerType, TrainingArguments
from transformers.trainer_utils import IntervalStrategy
from transformers.training_args import OptimizerNames

from tests.integration.honest import values
from tests.integration.honest.absent import package
from tests.integration.honest.values import WEIGHTS

if TYPE_CHECKING:
    from collections.abc import Callable

Tensors = dict[str, torch.Tensor]
Made = tuple[Path, Tensors | None]


def _under(name: str, tensors: Tensors) -> Tensors:
    return {f"{name}.{key}": tensor for key, tensor in tensors.items()}


def _saved(folder: Path, make: Callable[[], Any], name: str, exact: bool, **options: Any) -> Made:
    value = make()
    path = folder / name
    torch.save(value, path, **options)
    if exact:
        return path, dict(value)
    beside = value.get("weights") if isinstance(value, dict) else None
    return path, _under("weights", dict(beside)) if beside else None


def legacy(folder: Path) -> Made:
    return _saved(folder, values.tied, "model.pt", True, _use_new_zipfile_serialization=False)


def protocol_4(folder: Path) -> Made:
    return _saved(folder, values.module_state, "model.pth", True, pickle_protocol=4)


def protocol_5(folder: Path) -> Made:
    return _saved(folder, values.hyperparameters, "last.ckpt", False, pickle_protocol=5)


def plain_pickle(folder: Path) -> Made:
    path = folder / "model.pkl"
    path.write_bytes(pickle.dumps({"weights": WEIGHTS, "classes": ["cat", "dog"]}))
    return path, _under("weights", WEIGHTS)


def pickled_arrays(folder: Path) -> Made:
    arrays = {"w": np.arange(6.0).reshape(2, 3), "b": np.zeros(2, np.int32)}
    path = folder / "model.pickle"
    path.write_bytes(pickle.dumps(arrays, 2))
    return path, {name: torch.from_numpy(array) for name, array in arrays.items()}


def joblib_arrays(folder: Path) -> Made:
    import joblib

    arrays = {"w": np.arange(6.0).reshape(2, 3), "b": np.zeros(2, np.float32)}
    joblib.dump(arrays, folder / "model.joblib")
    return folder / "model.joblib", {
        name: torch.from_numpy(array) for name, array in arrays.items()
    }


def safetensors_file(folder: Path) -> Made:
    tensors = {name: tensor for name, tensor in values.every_dtype().items() if name != "complex64"}
    save_file(tensors, folder / "model.safetensors", {"format": "pt", "step": "3"})
    return folder / "model.safetensors", tensors


def safetensors_without_metadata(folder: Path) -> Made:
    save_file(WEIGHTS, folder / "adapter_model.safetensors")
    return folder / "adapter_model.safetensors", WEIGHTS


def unknown_extension(folder: Path) -> Made:
    return _saved(folder, values.module_state, "step_1000.weights", True)


def adapter(folder: Path) -> Made:
    tensors = {
        "base_model.model.q.lora_A.weight": torch.randn(2, 4),
        "base_model.model.q.lora_B.weight": torch.zeros(4, 2),
    }
    torch.save(tensors, folder / "adapter_model.bin")
    config = {
        "peft_type": "LORA",
        "r": 2,
        "lora_alpha": 4,
        "target_modules": ["q"],
        "task_type": "CAUSAL_LM",
    }
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder, tensors


def lightning(folder: Path) -> Made:
    """Callbacks, loops and hyperparameters, with classes of packages that are not there."""

    class Stage(enum.Enum):
        TRAINING = "train"

    class AttributeDict(dict):
        pass

    @dataclasses.dataclass
    class ModelConfig:
        depth: int = 3
        stage: Any = None
        widths: list[int] = dataclasses.field(default_factory=lambda: [1, 2])

    with package("my_lab.training.config", Stage, AttributeDict, ModelConfig):
        callback = "ModelCheckpoint{'monitor': 'val_loss', 'mode': 'min'}"
        checkpoint = {
            "epoch": 4,
            "global_step": 1000,
            "pytorch-lightning_version": "2.2.0",
            "state_dict": collections.OrderedDict(_under("model", WEIGHTS)),
            "loops": {"fit_loop": {"epoch_progress": {"current": {"completed": 4}}}},
            "callbacks": {
                callback: {
                    "best_model_score": torch.tensor(0.5),
                    "dirpath": "/home/me/runs",
                    "best_k_models": {},
                }
            },
            "optimizer_states": [
                {
                    "state": {0: {"step": torch.tensor(1.0)}},
                    "param_groups": [{"lr": 0.1, "params": [0]}],
                }
            ],
            "lr_schedulers": [],
            "hparams_name": "hparams",
            "hyper_parameters": AttributeDict(
                config=ModelConfig(stage=Stage.TRAINING), act=torch.nn.ReLU
            ),
        }
        torch.save(checkpoint, folder / "epoch=4-step=1000.ckpt")
    return folder / "epoch=4-step=1000.ckpt", _under("state_dict.model", WEIGHTS)


def detection_repository(folder: Path) -> Made:
    """A whole model of a class that is not there, as YOLO's repositories save it."""

    class DetectionModel(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.SiLU())
            self.names = {0: "cat"}
            self.yaml = {"nc": 1, "backbone": [[-1, 1, "Conv", [64, 3, 2]]]}
            self.stride = torch.tensor([8.0])

    with package("some_yolo.nn.tasks", DetectionModel):
        checkpoint = {
            "epoch": -1,
            "model": DetectionModel().half(),
            "ema": None,
            "date": "2024-05-01T00:00:00",
            "train_args": {},
        }
        torch.save(checkpoint, folder / "yolo.pt")
    return folder / "yolo.pt", None


def configuration_nodes(folder: Path) -> Made:
    """Nodes of a configuration library, with flags and parents."""

    class DictConfig(dict):
        pass

    class AnyNode:
        def __init__(self, value: object, parent: object) -> None:
            self.__dict__.update(
                _value=value, _parent=parent, _metadata={"optional": True, "flags": {}}
            )

    with package("omegaconf.dictconfig", DictConfig), package("omegaconf.nodes", AnyNode):
        config = DictConfig()
        config["lr"] = AnyNode(0.1, config)
        torch.save(
            {"cfg": config, "model": WEIGHTS, "args": None, "task_state": {}},
            folder / "checkpoint_best.pt",
        )
    return folder / "checkpoint_best.pt", _under("model", WEIGHTS)


def model_parallel(folder: Path) -> Made:
    """What a distributed trainer leaves, with its own loss scaler."""

    class LossScaler:
        cur_scale = 1.0

        def __init__(self) -> None:
            self.cur_scale = 65536.0

    class ZeroStage(enum.IntEnum):
        WEIGHTS = 3

    with package("some_speed.runtime.fp16.loss_scaler", LossScaler, ZeroStage):
        state = {
            "module": WEIGHTS,
            "optimizer": {"loss_scaler": LossScaler(), "zero_stage": ZeroStage.WEIGHTS},
            "dp_world_size": 2,
        }
        torch.save(state, folder / "mp_rank_00_model_states.pt")
    return folder / "mp_rank_00_model_states.pt", _under("module", WEIGHTS)


def named_tuples(folder: Path) -> Made:
    State = collections.namedtuple("State", ["mean", "std"])  # noqa: PYI024 - as old checkpoints
    with package("my_agent.buffers", State):
        torch.save(
            {"weights": WEIGHTS, "state": State(torch.zeros(2), torch.ones(2))}, folder / "agent.pt"
        )
    return folder / "agent.pt", _under("weights", WEIGHTS)


def enumerations(folder: Path) -> Made:
    """Members of enumerations; before Python 3.12 some are pickled as getattr(class, name)."""

    class Colour(enum.Enum):
        RED = 1

    class Mode(enum.Flag):
        FAST = 1
        LOW = 2

    with package("my_lab.enums", Colour, Mode):
        torch.save(
            {"weights": WEIGHTS, "colour": Colour.RED, "mode": Mode.FAST | Mode.LOW},
            folder / "model.pt",
        )
    return folder / "model.pt", _under("weights", WEIGHTS)


def bound_methods(folder: Path) -> Made:
    """A method of an object whose class is not there: pickled with getattr."""

    class Schedule:
        def warm_up(self, step: int) -> float:
            return step / 10

    with package("my_lab.schedules", Schedule):
        state = {"weights": WEIGHTS, "schedule": functools.partial(Schedule().warm_up, step=1)}
        torch.save(state, folder / "model.pt")
    return folder / "model.pt", _under("weights", WEIGHTS)


class _OldMember:
    """Pickles as Python 3.11.0 pickles a member of an enumeration."""

    def __init__(self, member: enum.Enum) -> None:
        self._member = member

    def __reduce__(self) -> tuple[Any, tuple[type, str]]:
        return getattr, (type(self._member), self._member.name)


def enumerations_of_3_11(folder: Path) -> Made:
    """getattr(class, name), of a class that is there and of one that is not."""

    class Colour(enum.Enum):
        RED = 1

    with package("my_lab.enums", Colour):
        members = [_OldMember(Colour.RED), _OldMember(SchedulerType.COSINE)]
        torch.save({"weights": WEIGHTS, "members": members}, folder / "model.pt")
    return folder / "model.pt", _under("weights", WEIGHTS)


def on_a_gpu(folder: Path) -> Made:
    """Storages that say they were on a GPU."""
    path = folder / "gpu.pt"
    torch.save(WEIGHTS, path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data.replace(b"X\x03\0\0\0cpu", b"X\x06\0\0\0cuda:0"))
    return path, WEIGHTS


def training_arguments(folder: Path) -> Made:
    # Its __init__ wants the accelerate package, pickle does not call it.
    arguments = object.__new__(TrainingArguments)
    facts = {
        "output_dir": "out",
        "lr_scheduler_type": SchedulerType.LINEAR,
        "eval_strategy": IntervalStrategy.NO,
    }
    vars(arguments).update(facts, optim=OptimizerNames.ADAMW_TORCH, device=torch.device("cpu"))
    torch.save(WEIGHTS, folder / "pytorch_model.bin")
    torch.save(arguments, folder / "training_args.bin")
    torch.save(values.random_states(), folder / "rng_state.pth")
    torch.save(values.adam()["optimizer"], folder / "optimizer.pt")
    torch.save(values.adam()["lr_scheduler"], folder / "scheduler.pt")
    return folder, WEIGHTS


def pickled_configuration(folder: Path) -> Made:
    torch.save(
        {"weights": WEIGHTS, "config": BertConfig(), "generation": GenerationConfig()},
        folder / "model.pt",
    )
    return folder / "model.pt", _under("weights", WEIGHTS)


def namespace_alone(folder: Path) -> Made:
    torch.save(
        {"model": WEIGHTS, "args": argparse.Namespace(backbone="resnet50", output_dir=Path("out"))},
        folder / "detr.pth",
    )
    return folder / "detr.pth", _under("model", WEIGHTS)


def distributed(folder: Path) -> Made:
    weights = values.every_dtype() | WEIGHTS
    checkpoint.save(
        {"model": weights, "optim": values.adam()["optimizer"], "epoch": 3},
        checkpoint_id=folder / "step-10",
        no_dist=True,
    )
    return folder / "step-10", _under("model", weights)


def hdf5_weights(folder: Path) -> Made:
    with h5py.File(folder / "model.weights.h5", "w") as file:
        for name, tensor in WEIGHTS.items():
            file.create_dataset(name.replace(".", "/"), data=tensor.numpy())
    tensors = {name.replace(".", "/"): tensor for name, tensor in WEIGHTS.items()}
    return folder / "model.weights.h5", tensors


def onnx_model(folder: Path) -> Made:
    kept = [numpy_helper.from_array(tensor.numpy(), name) for name, tensor in WEIGHTS.items()]
    graph = helper.make_graph([], "weights", [], [], kept)
    onnx.save(helper.make_model(graph), folder / "model.onnx")
    return folder / "model.onnx", WEIGHTS


def gguf_model(folder: Path) -> Made:
    writer = gguf.GGUFWriter(folder / "model.gguf", "llama")
    for name, tensor in WEIGHTS.items():
        writer.add_tensor(name, tensor.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return folder / "model.gguf", WEIGHTS


_FILES = (
    legacy, protocol_4, protocol_5, plain_pickle, pickled_arrays, joblib_arrays, safetensors_file,
    safetensors_without_metadata, unknown_extension, adapter, lightning, detection_repository,
    configuration_nodes, model_parallel, named_tuples, enumerations, bound_methods, enumerations_of_3_11, on_a_gpu,
    training_arguments, pickled_configuration, namespace_alone, distributed,
    hdf5_weights, onnx_model, gguf_model,
)  # fmt: skip

CASES: dict[str, Callable[[Path], Made]] = {make.__name__: make for make in _FILES}
CASES |= {
    make.__name__: functools.partial(_saved, make=make, name="model.pt", exact=True)
    for make in values.EXACT
}
CASES |= {
    make.__name__: functools.partial(_saved, make=make, name="model.pt", exact=False)
    for make in values.BESIDE
}
