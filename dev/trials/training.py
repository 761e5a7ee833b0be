"""Libraries that train: transformers' Trainer, lightning, stable-baselines3."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from dev.trials import gpt2, same, trial

if TYPE_CHECKING:
    from pathlib import Path


@trial("accelerate", "accelerate", "`Trainer.train(resume_from_checkpoint=...)` of transformers")
def _trainer(folder: Path) -> str:
    import copy

    import safe_load
    import torch
    from transformers import Trainer, TrainingArguments

    data = [{"input_ids": torch.arange(5) + i, "labels": torch.arange(5) + i} for i in range(8)]
    asked: dict[str, Any] = {
        "max_steps": 4,
        "save_steps": 2,
        "per_device_train_batch_size": 2,
        "report_to": [],
    }
    model = gpt2()
    start = copy.deepcopy(model.state_dict())

    def train(what: Any, **resume: Any) -> Any:
        arguments = TrainingArguments(str(folder / "run"), use_cpu=True, disable_tqdm=True, **asked)
        Trainer(what, arguments, train_dataset=data).train(**resume)
        return what

    train(model)
    again = gpt2()
    again.load_state_dict(start)
    with safe_load.guard():
        train(again, resume_from_checkpoint=str(folder / "run" / "checkpoint-2"))
        arguments = torch.load(folder / "run" / "checkpoint-2" / "training_args.bin")
    same(model, again)
    assert arguments.learning_rate == 5e-5
    return "a resumed run ends bit for bit as the one that was not interrupted; training_args.bin is a stand-in with its attributes"


@trial("lightning", "lightning.pytorch", "`load_from_checkpoint`, `Trainer.fit(ckpt_path=...)`")
def _lightning(folder: Path) -> str:
    import lightning.pytorch as pl
    import safe_load
    import torch
    from omegaconf import DictConfig, OmegaConf
    from torch.utils.data import DataLoader, TensorDataset

    class Net(pl.LightningModule):  # type: ignore[misc, unused-ignore]
        def __init__(self, cfg: Any = None, opt_class: Any = torch.optim.AdamW) -> None:  # noqa: ARG002
            super().__init__()
            self.save_hyperparameters()
            self.layer = torch.nn.Linear(4, 2)

        def training_step(self, batch: Any, index: int) -> Any:  # noqa: ARG002
            return self.layer(batch[0]).pow(2).mean()

        def configure_optimizers(self) -> Any:
            optimizer = self.hparams["opt_class"](self.parameters(), 1e-3)
            return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1)]

    def trainer(epochs: int) -> Any:
        keep = pl.callbacks.ModelCheckpoint(dirpath=folder, save_last=True)
        quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
        return pl.Trainer(max_epochs=epochs, accelerator="cpu", callbacks=[keep], **quiet)

    data = DataLoader(TensorDataset(torch.randn(8, 4)), batch_size=4)
    net = Net(OmegaConf.create({"a": [1, 2], "b": {"c": "x"}}))
    trainer(1).fit(net, data)
    with safe_load.guard():
        got = Net.load_from_checkpoint(folder / "last.ckpt")
        same(net, got)
        going = trainer(2)
        going.fit(Net(got.hparams["cfg"]), data, ckpt_path=str(folder / "last.ckpt"))
    assert isinstance(got.hparams["cfg"], DictConfig)
    assert got.hparams["cfg"] == net.hparams["cfg"]
    assert got.hparams["opt_class"] is torch.optim.AdamW
    assert going.current_epoch == 2
    return (
        "weights, OmegaConf hyperparameters and classes of torch are what they were; a run resumes"
    )


@trial("stable-baselines3", "stable_baselines3", "`PPO.load`, `DQN.load`, `set_parameters`")
def _stable_baselines3(folder: Path) -> str:
    import gymnasium
    import safe_load
    import torch
    from stable_baselines3 import DQN, PPO

    layers = {"activation_fn": torch.nn.ReLU, "net_arch": [8]}
    ppo = PPO(
        "MlpPolicy", "CartPole-v1", device="cpu", n_steps=8, batch_size=8, policy_kwargs=layers
    )
    ppo.learn(16).save(folder / "ppo")
    dqn = DQN("MlpPolicy", "CartPole-v1", device="cpu", buffer_size=99, learning_starts=1).learn(20)
    dqn.save(folder / "dqn")
    _spoil(folder / "ppo.zip", folder / "spoiled.zip", folder / "canary")
    with safe_load.guard():
        got = PPO.load(folder / "ppo", env=gymnasium.make("CartPole-v1"))
        same(ppo.policy, got.policy)
        assert got.observation_space == ppo.observation_space
        assert got.policy_kwargs == layers
        assert got.clip_range(1.0) == ppo.clip_range(1.0)
        assert got.learn(8, reset_num_timesteps=False).num_timesteps == 24
        again = DQN.load(folder / "dqn")
        same(dqn.policy, again.policy)
        assert (again.train_freq, again.action_space) == (dqn.train_freq, dqn.action_space)
        fresh = PPO("MlpPolicy", "CartPole-v1", device="cpu", policy_kwargs=layers)
        fresh.set_parameters(folder / "ppo")
        same(ppo.policy, fresh.policy)
        try:
            PPO.load(folder / "spoiled")
        except safe_load.Rejected:
            assert not (folder / "canary").exists()
        else:
            raise AssertionError("a pickle in `data` was not rejected")
    return (
        "policies, optimizers, spaces, schedules and settings are what they were, and training goes on. What the "
        "library keeps as a pickle in `data` goes through the sandbox too; a schedule that is a function of the "
        "author's is left out with a warning: pass it in `custom_objects`"
    )


def _spoil(source: Path, target: Path, canary: Path) -> None:
    """A copy of an agent whose `data` makes a folder when it is unpickled."""
    import base64
    import pickle
    import zipfile

    class Payload:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(canary),)

    encoded = base64.b64encode(pickle.dumps(Payload())).decode()
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name == "data":
                table = json.loads(data) | {"extra": {":type:": "x", ":serialized:": encoded}}
                data = json.dumps(table).encode()
            new.writestr(name, data)
