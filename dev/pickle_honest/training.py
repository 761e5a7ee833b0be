"""Honest objects of real libraries, as people pickle them: what dev/pickle_shapes.py learns from.

Each family yields (label, object); bytes are a file that the library wrote itself. A label that begins
with "torch" is also saved by torch.save. A library that is not installed raises ImportError.
"""

# mypy: ignore-errors
# Half of these libraries are not installed where types are checked, and the other half has none.

from __future__ import annotations

import copy
import functools
import tempfile
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Objects = Iterator[tuple[str, Any]]


def tried(make: Callable[[], Any]) -> Any:
    """What it makes, None where the library will not."""
    try:
        return make()
    except Exception:  # noqa: BLE001 - classes want arguments of their own
        return None


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


class Holder:
    """An object of the user's own, which holds what it is given."""

    def __init__(self, value: object) -> None:
        self.value = value


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


def numpy_values() -> Objects:
    """Arrays of each kind and the state of each generator."""
    import numpy as np

    for kind in ("MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64"):
        yield "generator", np.random.Generator(getattr(np.random, kind)(1))
    yield "state", np.random.RandomState(1)
    yield "state", np.random.RandomState(1).get_state()
    yield "seed", np.random.SeedSequence(1)
    yield "masked", np.ma.array([1, 2], mask=[0, 1])
    yield "matrix", np.asmatrix([[1, 2]])
    yield "record", np.rec.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f4")])
    yield (
        "values",
        [np.float32(1), np.int64(2), np.bool_(1), np.str_("a"), np.bytes_(b"a"), np.complex64(1)],
    )
    yield (
        "values",
        [
            np.datetime64("2020-01-01"),
            np.timedelta64(1, "D"),
            np.dtype([("a", "i4")]),
            np.void(b"ab"),
        ],
    )
    yield "objects", np.array(["a", None, 1], dtype=object)
    yield (
        "functions",
        Holder(
            [
                np.add,
                np.float32,
                np.int64,
                np.float64,
                np.exp,
                np.mean,
                np.log,
                np.log1p,
                np.expm1,
                np.sqrt,
            ]
        ),
    )
    yield "types", Holder([getattr(np.dtypes, name) for name in np.dtypes.__all__])
    yield "types", Holder([np.dtype(c).type for c in "?bBhHiIlLqQefdgFDGSUOMmV"])
    yield "types", {np.dtype(c).type: np.dtype(c) for c in "?bBhHiIefdF"}
    yield "polynomial", np.poly1d([1, 2])


def transformers_settings() -> Objects:
    """Configurations, training arguments and their enumerations."""
    import transformers
    from transformers import trainer_utils, training_args
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    for kind in CONFIG_MAPPING:
        made = tried(lambda kind=kind: CONFIG_MAPPING[kind]())  # type: ignore[misc]
        if made is not None:
            yield "config", made
    yield "config", transformers.PretrainedConfig()
    for config in (
        transformers.GenerationConfig(),
        transformers.BitsAndBytesConfig(load_in_4bit=True),
    ):
        yield "config", config
        yield "class", Holder(type(config))
    yield "class", Holder(transformers.PretrainedConfig)
    for cls in (transformers.TrainingArguments, transformers.Seq2SeqTrainingArguments):
        with tempfile.TemporaryDirectory() as folder:
            made = cls(folder, use_cpu=True, report_to=[])
            _ = made.device, made.n_gpu
            yield "torch arguments", made
    yield "state", transformers.TrainerState()
    yield "control", transformers.TrainerControl()
    yield "batch", transformers.BatchEncoding({"input_ids": [1]})
    for module in (trainer_utils, training_args, transformers.utils.quantization_config):
        for cls in vars(module).values():
            if isinstance(cls, type) and hasattr(cls, "__members__"):
                yield "enumeration", list(cls)  # type: ignore[call-overload]
    import tokenizers

    yield "token", tokenizers.AddedToken("<s>", special=True)
    word = tokenizers.Tokenizer(tokenizers.models.WordLevel({"a": 0}, unk_token="a"))
    word.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    yield "tokenizer", word
    yield "tokenizer", transformers.PreTrainedTokenizerFast(tokenizer_object=word, unk_token="a")
    yield "functions", Holder(list(transformers.activations.ACT2CLS.values()) and [
        cls for cls in transformers.activations.ACT2CLS.values() if isinstance(cls, type)])  # fmt: skip
    for name in transformers.activations.ACT2CLS:
        yield "activation", transformers.activations.ACT2FN[name]


def _weightless(make: Callable[[], Any]) -> Any:
    """A model without numbers, None where the library will not."""
    import torch

    with torch.device("meta"):
        return tried(make)


_TINY = {
    "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16, "vocab_size": 32,
    "max_position_embeddings": 16, "num_key_value_heads": 1, "head_dim": 4, "d_model": 8, "d_ff": 16, "d_kv": 4,
    "num_layers": 1, "num_heads": 2, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2,
    "decoder_attention_heads": 2, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16, "n_layer": 1, "n_head": 2, "n_embd": 8,
    "image_size": 32, "patch_size": 16, "ffn_dim": 16, "word_embed_proj_dim": 8, "dim": 8, "n_layers": 1, "n_heads": 2,
    "hidden_dim": 16, "pad_token_id": 0, "embedding_size": 8, "num_experts": 2, "num_local_experts": 2,
}  # fmt: skip


def transformers_models() -> Objects:
    """Whole models of common architectures."""
    import transformers

    for name in (
        "Bert", "Roberta", "XLMRoberta", "DistilBert", "Albert", "Electra", "DebertaV2", "MPNet", "GPT2", "GPTNeo",
        "GPTNeoX", "GPTJ", "OPT", "Bloom", "Llama", "Mistral", "Mixtral", "Qwen2", "Qwen3", "Gemma", "Gemma2", "Phi",
        "Phi3", "ModernBert", "T5", "Bart", "MBart", "Marian", "ViT", "CLIP", "Whisper", "Wav2Vec2", "Swin", "ResNet",
    ):  # fmt: skip
        config = getattr(transformers, f"{name}Config")
        made = tried(lambda config=config: config(**_TINY))  # type: ignore[misc]
        endings = ("Model", "ForSequenceClassification", "ForMaskedLM", "ForCausalLM", "LMHeadModel",
                   "ForConditionalGeneration", "ForTokenClassification", "ForQuestionAnswering", "ForImageClassification")  # fmt: skip
        for ending in endings:
            cls = getattr(transformers, f"{name}{ending}", None)
            if (
                cls is not None
                and (model := _weightless(lambda cls=cls, made=made: cls(made))) is not None
            ):  # type: ignore[misc]
                yield "model", model
                yield "class", Holder(cls)


def _fitted_in_another_way(x: Any, y: Any) -> Objects:
    """Every estimator as scikit-learn's own tests make it, fitted to the first data that it takes."""
    from sklearn.utils import all_estimators
    from sklearn.utils._test_common.instance_generator import _construct_instances

    data = ((x, y), (x, x), (x[:, 0], y), (["a b", "b c", "a d"] * 10, [0, 1, 0] * 10), (y, y))
    for _, cls in all_estimators():
        for made in (tried(lambda cls=cls: list(_construct_instances(cls))) or ())[:1]:  # type: ignore[misc]
            fits = (tried(lambda made=made, d=d: made.fit(*d)) for d in data)  # type: ignore[misc]
            fitted = next((model for model in fits if model is not None), None)
            if fitted is not None:
                yield "fitted in another way", fitted


def _sklearn_parts() -> Objects:
    """What estimators are given: ways to split, losses, scorers and kernels."""
    from sklearn import gaussian_process, metrics, model_selection
    from sklearn._loss import loss

    for home in (model_selection, loss, gaussian_process.kernels):
        for name in dir(home):
            kind = getattr(home, name)
            if isinstance(kind, type) and name.endswith(("Fold", "Split", "Loss", "Error", "Out")):
                made = tried(kind) or tried(lambda kind=kind: kind(2))  # type: ignore[misc]
                if made is not None:
                    yield name, Holder(made)
    for name in metrics.get_scorer_names():
        yield name, Holder(metrics.get_scorer(name))
    kinds = gaussian_process.kernels
    for kernel in (kinds.Matern(), kinds.RationalQuadratic(), kinds.ExpSineSquared()):
        yield "kernel", Holder(kernel * kinds.ConstantKernel() + kinds.DotProduct() ** 2)


def sklearn_estimators() -> Objects:
    """Every estimator, fitted where it takes numbers, and pipelines of them."""
    import numpy as np
    import sklearn
    from sklearn import compose, feature_extraction, model_selection, pipeline, preprocessing
    from sklearn.utils import all_estimators

    rng = np.random.RandomState(0)
    x, y = np.abs(rng.rand(40, 4)), np.arange(40) % 2
    for _, cls in all_estimators():
        made = tried(cls)
        yield "class", Holder(cls)
        if made is None:
            continue
        yield "estimator", made
        fitted = tried(lambda made=made: made.fit(x, y))  # type: ignore[misc]
        if fitted is not None:
            yield "fitted", fitted
    yield from _fitted_in_another_way(x, y)
    yield from _sklearn_parts()

    def steps() -> Any:
        return pipeline.make_pipeline(
            preprocessing.StandardScaler(), sklearn.linear_model.LogisticRegression()
        )

    yield "pipeline", steps().fit(x, y)
    grid = model_selection.GridSearchCV(steps(), {"logisticregression__C": [0.1, 1]}, cv=2)
    yield "grid", grid.fit(x, y)
    yield (
        "search",
        model_selection.RandomizedSearchCV(
            steps(), {"logisticregression__C": [0.1, 1]}, n_iter=1, cv=2
        ).fit(x, y),
    )
    for vectorizer in (
        feature_extraction.text.TfidfVectorizer(),
        feature_extraction.text.CountVectorizer(),
    ):
        yield "vectorizer", vectorizer.fit(["a cat sat", "a dog ran"])
    yield "columns", compose.make_column_transformer((preprocessing.OneHotEncoder(), [0])).fit(x)
    yield (
        "stacked",
        sklearn.ensemble.StackingClassifier([("a", steps()), ("b", steps())], cv=2).fit(x, y),
    )
    yield "voting", sklearn.ensemble.VotingClassifier([("a", steps()), ("b", steps())]).fit(x, y)
    yield (
        "union",
        pipeline.make_union(preprocessing.StandardScaler(), preprocessing.MinMaxScaler()).fit(x),
    )
    yield "calibrated", sklearn.calibration.CalibratedClassifierCV(steps(), cv=2).fit(x, y)
    yield (
        "outputs",
        sklearn.multioutput.MultiOutputClassifier(steps()).fit(x, np.stack([y, 1 - y], 1)),
    )
    yield "many", sklearn.multiclass.OneVsRestClassifier(steps()).fit(x, np.arange(40) % 3)
    yield "one", sklearn.multiclass.OneVsOneClassifier(steps()).fit(x, np.arange(40) % 3)
    yield "bag", sklearn.ensemble.BaggingClassifier(steps(), n_estimators=2).fit(x, y)
    for losses in (
        "hinge",
        "log_loss",
        "modified_huber",
        "squared_error",
        "huber",
        "epsilon_insensitive",
    ):
        yield (
            "sgd",
            tried(lambda losses=losses: sklearn.linear_model.SGDClassifier(loss=losses).fit(x, y)),
        )  # type: ignore[misc]
    yield "process", sklearn.gaussian_process.GaussianProcessRegressor(
        sklearn.gaussian_process.kernels.RBF() + sklearn.gaussian_process.kernels.WhiteKernel()).fit(x, y)  # fmt: skip
    for metric in ("euclidean", "manhattan", "minkowski", "chebyshev", "cosine"):
        yield (
            "neighbours",
            tried(
                lambda metric=metric: sklearn.neighbors.KNeighborsClassifier(metric=metric).fit(
                    x, y
                )
            ),
        )  # type: ignore[misc]
    yield "bunch", sklearn.datasets.load_iris()
    from scipy import interpolate, sparse

    for kind in ("csr", "csc", "coo", "lil", "dok", "bsr", "dia"):
        yield "sparse", getattr(sparse, f"{kind}_matrix")(x)
        yield "sparse", getattr(sparse, f"{kind}_array")(x)
    yield "interpolation", interpolate.interp1d([0, 1], [0, 1])


def boosters() -> Objects:
    """xgboost's models."""
    import numpy as np
    import xgboost

    x, y = np.random.rand(20, 3), np.arange(20) % 2
    yield "booster", xgboost.train({"objective": "binary:logistic"}, xgboost.DMatrix(x, y), 2)
    for cls in (
        xgboost.XGBClassifier,
        xgboost.XGBRegressor,
        xgboost.XGBRFClassifier,
        xgboost.XGBRFRegressor,
    ):
        yield "model", cls(n_estimators=2).fit(x, y)
    yield "ranker", xgboost.XGBRanker()


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
        made = _weightless(lambda name=name: getattr(models, name)(weights=None))  # type: ignore[misc]
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
        yield "model", _weightless(lambda name=name: timm.create_model(name))  # type: ignore[misc]


def adapters() -> Objects:
    """peft's configurations, and a model with an adapter."""
    import peft
    import transformers
    from peft.utils.peft_types import PeftType, TaskType

    yield "enumeration", [*PeftType, *TaskType]
    config = peft.LoraConfig(target_modules=["query"], task_type="SEQ_CLS")
    yield "config", config
    base = transformers.BertForSequenceClassification(transformers.BertConfig(**_TINY))
    yield "model", peft.get_peft_model(base, config)
    yield "config", [peft.PrefixTuningConfig(), peft.PromptTuningConfig(), peft.IA3Config()]


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


def tables() -> Objects:
    """pandas."""
    import numpy as np
    import pandas as pd

    frame = pd.DataFrame(
        {"a": [1, 2], "b": ["x", "y"], "c": [1.5, np.nan], "d": pd.to_datetime(["2020", "2021"])}
    )
    yield "frame", frame
    yield "frame", frame.astype({"b": "category"})
    yield (
        "series",
        [
            frame["a"],
            frame["b"],
            frame.index,
            pd.Index(["a"]),
            pd.MultiIndex.from_tuples([("a", 1)]),
        ],
    )
    yield (
        "values",
        [pd.Timestamp("2020"), pd.Timedelta(1), pd.NA, pd.NaT, pd.Int64Dtype(), pd.Interval(0, 1)],
    )
    yield "range", pd.date_range("2020", periods=2)

