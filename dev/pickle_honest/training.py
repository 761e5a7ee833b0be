"""Honest objects of torch and of what trains with it: layers, optimizers, checkpoints, agents."""

# mypy: ignore-errors
# Half of these libraries are not installed where types are checked, and the other half has none.

from __future__ import annotations

import copy
import functools
import tempfile
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dev.pickle_honest.making import Holder, tried, weightless

if TYPE_CHECKING:
    from collections.abc import Iterator

    Objects = Iterator[tuple[str, Any]]


def _classes(module: Any, base: type) -> list[type]:
    return [
        cls
        for name, cls in sorted(vars(module).items())
        if isinstance(cls, type) and issubclass(cls, base) and not name.startswith("__")
    ]


def torch_layers() -> Objects:
    """Every layer, bare, and those with hooks."""
    import torch
    from torch import nn

    yield "torch functions", Holder([getattr(nn.functional, name) for name in (
        "relu", "gelu", "silu", "selu", "elu", "celu", "leaky_relu", "relu6", "hardswish", "mish", "tanh", "sigmoid",
        "softmax", "log_softmax", "softplus", "logsigmoid", "hardtanh", "cross_entropy", "mse_loss", "l1_loss",
        "smooth_l1_loss", "binary_cross_entropy", "binary_cross_entropy_with_logits", "nll_loss", "normalize")]
        + [torch.relu, torch.sigmoid, torch.tanh, torch.softmax]
        + [getattr(nn.init, name) for name in dir(nn.init) if name.endswith("_") and not name.startswith("_")])  # fmt: skip
    for cls in _classes(nn, nn.Module):
        layer = cls.__new__(cls)
        nn.Module.__init__(layer)
        yield "layer", layer
        yield "class", Holder(cls)
    for cls in (nn.RNN, nn.LSTM, nn.GRU):
        yield "layer", cls(1, 1)
    for cls in (nn.ParameterList, nn.ParameterDict, nn.ModuleList, nn.ModuleDict, nn.Sequential):
        yield "layer", cls()
    yield (
        "torch",
        nn.Sequential(nn.Linear(2, 2), nn.GELU(), nn.MultiheadAttention(2, 1), nn.LSTM(2, 2)),
    )
    yield "torch", nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 8), 1)
    yield "torch", nn.Transformer(4, 2, 1, 1, 8)
    yield "torch", nn.utils.weight_norm(nn.Linear(2, 2))
    yield "torch", nn.utils.spectral_norm(nn.Linear(2, 2))
    yield "torch", functools.partial(nn.LayerNorm, eps=1e-6)
    yield "torch", nn.DataParallel(nn.Linear(2, 2))
    yield "torch", [torch.device("cuda", 0), torch.finfo(torch.float32).dtype, torch.Size([1])]
    yield "torch", [torch.strided, torch.sparse_coo, torch.contiguous_format, torch.channels_last]
    yield "torch", [torch.per_tensor_affine, torch.per_channel_affine, torch.preserve_format]
    yield "torch", torch.torch_version.TorchVersion("2.1")
    yield "torch", torch.optim.swa_utils.AveragedModel(nn.Linear(2, 2))
    for name in ("Normal", "Categorical", "Bernoulli", "Uniform", "Beta"):
        cls = getattr(torch.distributions, name)
        arguments = [torch.ones(2) / 2] * (1 if name in {"Categorical", "Bernoulli"} else 2)
        if name == "Uniform":
            arguments[1] = torch.ones(2)
        yield "torch", cls(*arguments)
    yield "torch", torch.utils.data.TensorDataset(torch.zeros(2))


def torch_training() -> Objects:
    """Optimizers and schedulers as objects, before and after a step."""
    import torch
    from torch import nn, optim

    for cls in _classes(optim, optim.Optimizer):
        layer = nn.Linear(2, 2)
        made = tried(lambda cls=cls, layer=layer: cls(layer.parameters(), lr=0.1))  # type: ignore[misc]
        if made is not None:
            yield "optimizer", copy.copy(made)
            layer(torch.ones(1, 2)).sum().backward()
            tried(made.step)
            yield "torch optimizer", made
            yield "torch state", made.state_dict()

    def scheduled(make: Any) -> Any:
        return make(optim.SGD(nn.Linear(1, 1).parameters(), lr=0.1))

    schedulers = optim.lr_scheduler
    for make in (
        lambda o: schedulers.StepLR(o, 2), lambda o: schedulers.MultiStepLR(o, [2, 3]), schedulers.ConstantLR,
        schedulers.LinearLR, lambda o: schedulers.ExponentialLR(o, 0.9), lambda o: schedulers.CosineAnnealingLR(o, 5),
        schedulers.ReduceLROnPlateau, lambda o: schedulers.CyclicLR(o, 0.1, 1.0),
        lambda o: schedulers.OneCycleLR(o, 0.1, 10), lambda o: schedulers.CosineAnnealingWarmRestarts(o, 5),
        schedulers.PolynomialLR, lambda o: schedulers.SequentialLR(o, [schedulers.ConstantLR(o), schedulers.ConstantLR(o)], [2]),
        lambda o: schedulers.ChainedScheduler([schedulers.ConstantLR(o)]), lambda o: optim.swa_utils.SWALR(o, 0.1),
    ):  # fmt: skip
        made = tried(lambda make=make: scheduled(make))  # type: ignore[misc]
        if made is not None:
            yield "scheduler", made
            yield "torch state", made.state_dict()
    yield "torch scaler", torch.amp.GradScaler("cpu")
    from torch.distributed import fsdp
    from torch.distributed.fsdp import api

    for name in sorted(vars(api)):
        cls = getattr(api, name)
        if isinstance(cls, type) and cls.__module__ == api.__name__:
            for item in list(cls) if hasattr(cls, "__members__") else [tried(cls)]:
                if item is not None:
                    yield "torch fsdp", item
    del fsdp
    from torch.distributed import checkpoint

    with tempfile.TemporaryDirectory() as folder:
        checkpoint.save({"w": torch.zeros(2), "step": 3}, checkpoint_id=folder)
        yield "checkpoint", Path(folder, ".metadata").read_bytes()


def lightning_checkpoints() -> Objects:
    """A trainer's checkpoint with callbacks and hyperparameters, and the callbacks as objects."""
    import lightning.pytorch as pl
    import torch
    from lightning.pytorch import callbacks
    from lightning.pytorch.trainer import states
    from lightning.pytorch.utilities.parsing import AttributeDict
    from omegaconf import OmegaConf

    yield "torch", AttributeDict(lr=0.1, cfg=AttributeDict(a=1))
    yield (
        "torch",
        {
            "hyper_parameters": OmegaConf.create(
                {"a": [1, {"b": "c"}], "d": None, "e": 1.5, "f": True}
            )
        },
    )
    for cls in (states.TrainerFn, states.RunningStage, states.TrainerStatus):
        yield "torch", list(cls)
    yield "torch", states.TrainerState()
    for cls in _classes(callbacks, pl.Callback):
        made = tried(cls) or tried(lambda cls=cls: cls("a"))  # type: ignore[misc]
        yield "class", {cls: {"best": 1}}
        yield "class", Holder(cls)
        if made is not None:
            yield "torch callback", made

    class Model(pl.LightningModule):
        def __init__(self, width: int = 2) -> None:
            super().__init__()
            self.save_hyperparameters()
            self.layer = torch.nn.Linear(width, 1)

        def training_step(self, batch: Any, _: int) -> Any:
            return self.layer(batch[0]).sum()

        def configure_optimizers(self) -> Any:
            return torch.optim.Adam(self.parameters())

    with tempfile.TemporaryDirectory() as folder:
        trainer = pl.Trainer(
            accelerator="cpu", max_steps=1, logger=False, default_root_dir=folder, enable_progress_bar=False,
            enable_model_summary=False, callbacks=[callbacks.EarlyStopping("loss", strict=False), callbacks.ModelCheckpoint(folder)],
        )  # fmt: skip
        trainer.fit(
            Model(), torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.ones(2, 2)))
        )
        trainer.save_checkpoint(f"{folder}/a.ckpt")
        yield "file", Path(folder, "a.ckpt").read_bytes()


def configurations() -> Objects:
    """Nodes of configurations, and dictionaries with attributes."""
    import enum

    import addict
    import box
    import easydict
    import ml_collections
    import munch
    from omegaconf import DictConfig, ListConfig, OmegaConf, nodes
    from yacs.config import CfgNode

    nested = {"a": 1, "b": {"c": [1, "d"]}}
    yield "omegaconf", OmegaConf.create(nested)
    yield "omegaconf", OmegaConf.create([1, 2.5, "a", None, True, b"a", Path("a")])
    yield "omegaconf", OmegaConf.create({"a": "${b}", "b": 1, "c": "???"})
    yield "omegaconf", [DictConfig(None), ListConfig([])]
    for cls in (
        nodes.StringNode,
        nodes.IntegerNode,
        nodes.FloatNode,
        nodes.BooleanNode,
        nodes.BytesNode,
        nodes.PathNode,
        nodes.AnyNode,
    ):
        yield "omegaconf", cls()
    yield "omegaconf", DictConfig({"a": nodes.AnyNode(1), "b": nodes.StringNode("c")})
    del enum
    node = CfgNode(nested)
    yield "yacs", node
    yield "easydict", easydict.EasyDict(nested)
    yield "munch", [munch.munchify(nested), munch.DefaultMunch(None)]
    yield "addict", addict.Dict(nested)
    yield "box", [box.Box(nested), box.BoxList([nested]), box.ConfigBox(nested)]
    yield "ml_collections", ml_collections.ConfigDict(nested)
    yield "ml_collections", ml_collections.FrozenConfigDict(nested)
    yield "namespace", types.SimpleNamespace(a=1)


def vision_models() -> Objects:
    """Whole models of torchvision and timm, and transforms."""
    import timm
    import torchvision
    from torchvision import models, transforms

    for name in ("resnet18", "resnext50_32x4d", "mobilenet_v2", "mobilenet_v3_small", "vgg11_bn", "densenet121", "squeezenet1_0",
                 "efficientnet_b0", "efficientnet_v2_s", "alexnet", "googlenet", "inception_v3", "shufflenet_v2_x0_5", "mnasnet0_5",
                 "regnet_x_400mf", "vit_b_32", "swin_t", "swin_v2_t", "convnext_tiny", "maxvit_t"):  # fmt: skip
        made = weightless(lambda name=name: getattr(models, name)(weights=None))  # type: ignore[misc]
        if made is not None:
            yield "model", made
    for make in (models.detection.fasterrcnn_resnet50_fpn, models.detection.ssdlite320_mobilenet_v3_large,
                 models.detection.retinanet_resnet50_fpn, models.detection.maskrcnn_resnet50_fpn,
                 models.segmentation.deeplabv3_resnet50, models.segmentation.fcn_resnet50, models.video.r3d_18):  # fmt: skip
        yield (
            "model",
            tried(lambda make=make: make(weights=None, weights_backbone=None))
            or tried(lambda make=make: make(weights=None)),
        )  # type: ignore[misc]
    yield "transform", transforms.Compose([transforms.Resize(2), transforms.CenterCrop(2), transforms.ToTensor(),
        transforms.Normalize([0.5], [0.5]), transforms.RandomHorizontalFlip(), transforms.RandomResizedCrop(2)])  # fmt: skip
    del torchvision
    for name in ("resnet18", "efficientnet_b0", "mobilenetv3_small_050", "vit_tiny_patch16_224", "convnext_atto", "swin_tiny_patch4_window7_224",
                 "regnety_002", "resnest14d", "seresnet18", "densenet121", "mixer_s32_224", "deit_tiny_patch16_224", "xception41",
                 "inception_v3", "vgg11_bn", "nfnet_f0", "tf_efficientnetv2_s", "repvgg_a0", "levit_128s", "mobilevit_xxs",
                 "beit_base_patch16_224", "cait_xxs24_224", "coat_tiny", "crossvit_9_240", "edgenext_xx_small", "ghostnet_050",
                 "hrnet_w18_small", "maxvit_nano_rw_256", "eva02_tiny_patch14_224", "dla34", "cspresnet50", "dpn48b", "hardcorenas_a"):  # fmt: skip
        yield "model", weightless(lambda name=name: timm.create_model(name))  # type: ignore[misc]


def reinforcement() -> Objects:
    """Spaces, policies' parts and buffers of gymnasium and stable-baselines3."""
    import gymnasium
    import numpy as np
    from gymnasium import spaces
    from stable_baselines3 import A2C, DDPG, DQN, PPO, SAC, TD3
    from stable_baselines3.common import buffers, noise, running_mean_std, vec_env

    box = spaces.Box(-1, 1, (2,), np.float32)
    yield "space", [box, spaces.Discrete(2), spaces.MultiBinary(2), spaces.MultiDiscrete([2, 2])]
    yield "space", [spaces.Dict({"a": box}), spaces.Tuple((box, box)), spaces.Text(3)]
    box.seed(1)
    yield "space", box
    yield "mean", running_mean_std.RunningMeanStd(shape=(2,))
    yield (
        "noise",
        [
            noise.NormalActionNoise(np.zeros(1), np.ones(1)),
            noise.OrnsteinUhlenbeckActionNoise(np.zeros(1), np.ones(1)),
        ],
    )
    yield "buffer", buffers.ReplayBuffer(4, box, box)
    yield "buffer", buffers.RolloutBuffer(4, box, spaces.Discrete(2))
    yield (
        "environment",
        vec_env.VecNormalize(vec_env.DummyVecEnv([lambda: gymnasium.make("CartPole-v1")])),
    )
    for cls, where in (
        (PPO, "CartPole-v1"),
        (A2C, "CartPole-v1"),
        (DQN, "CartPole-v1"),
        (SAC, "Pendulum-v1"),
        (TD3, "Pendulum-v1"),
        (DDPG, "Pendulum-v1"),
    ):
        model = cls("MlpPolicy", where, device="cpu")
        for name, value in sorted(vars(model).items()):
            if name not in {"env", "policy", "logger"}:
                yield name, value
        yield "torch policy", model.policy
        yield "constructor", Holder(model.policy._get_constructor_parameters())
        yield "class", Holder([cls, model.policy_class, *model.policy_aliases.values()])
