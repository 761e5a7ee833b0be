"""Libraries of images and sound: timm, open_clip, easyocr, ultralytics, whisper."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
from typing import TYPE_CHECKING

from dev.trials import cleared, same, trial, use_it

if TYPE_CHECKING:
    from pathlib import Path


@trial("timm", "timm", "`create_model(checkpoint_path=...)`, `resume_checkpoint`")
def _timm(folder: Path) -> str:
    import numpy as np
    import safe_load
    import timm
    import torch
    from timm.models import resume_checkpoint
    from timm.models._hub import save_for_hf

    model = timm.create_model("resnet10t", num_classes=3)
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    path = folder / "model_best.pth.tar"
    torch.save(
        {
            "epoch": 3,
            "arch": "resnet10t",
            "version": 2,
            "metric": np.float64(0.71),
            "state_dict": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "args": argparse.Namespace(lr=0.1),
        },
        path,
    )
    other = timm.create_model("resnet10t", num_classes=3)
    fresh = torch.optim.SGD(other.parameters(), 0.5, momentum=0.9)
    with safe_load.guard():
        same(model, timm.create_model("resnet10t", num_classes=3, checkpoint_path=str(path)))
        assert resume_checkpoint(other, str(path), optimizer=fresh) == 4
        assert torch.load(path)["args"].lr == 0.1
    same(model, other)
    save_for_hf(model, folder / "saved", safe_serialization=False)
    same(model, use_it(cleared(folder / "saved"))["model"])
    assert fresh.param_groups[0]["lr"] == 0.1
    return (
        "weights, optimizer, arguments and metric are what they were; the cleared copy loads by "
        '`create_model("local-dir:...", pretrained=True)`'
    )


@trial("open_clip_torch", "open_clip", "`create_model(pretrained=...)` of a training checkpoint")
def _open_clip(folder: Path) -> str:
    import open_clip
    import safe_load
    import torch

    shape = {"image_size": 32, "layers": 1, "width": 64, "head_width": 32, "patch_size": 16}
    text = {"context_length": 8, "vocab_size": 50, "width": 32, "heads": 2, "layers": 1}
    config = {"embed_dim": 16, "vision_cfg": shape, "text_cfg": text}
    (folder / "trial.json").write_text(json.dumps(config))
    open_clip.add_model_config(folder / "trial.json")
    model = open_clip.create_model("trial")
    state = {f"module.{name}": value for name, value in model.state_dict().items()}
    torch.save({"epoch": 1, "state_dict": state, "optimizer": {}}, folder / "epoch_1.pt")
    with safe_load.guard():
        same(model, open_clip.create_model("trial", pretrained=str(folder / "epoch_1.pt")))
    (folder / "saved").mkdir()
    (folder / "saved" / "open_clip_config.json").write_text(json.dumps({"model_cfg": config}))
    torch.save(model.state_dict(), folder / "saved" / "open_clip_pytorch_model.bin")
    same(model, use_it(cleared(folder / "saved"))["model"])
    return 'weights are what they were; the cleared copy loads by `create_model("local-dir:...")`'


@trial("openai-whisper", "whisper", "`whisper.load_model(path)`")
def _whisper(folder: Path) -> str:
    import safe_load
    import torch
    import whisper

    sizes = {
        f"{half}_{name}": size
        for half in ("audio", "text")
        for name, size in (("ctx", 8), ("state", 16), ("head", 2), ("layer", 1))
    }
    shape = whisper.model.ModelDimensions(
        n_mels=80, n_vocab=100, **{f"n_{k}": v for k, v in sizes.items()}
    )
    model = whisper.model.Whisper(shape)
    held = {"dims": dataclasses.asdict(shape), "model_state_dict": model.state_dict()}
    torch.save(held, folder / "tiny.pt")
    with safe_load.guard():
        same(model, whisper.load_model(str(folder / "tiny.pt"), device="cpu"))
    same(model, use_it(cleared(folder / "tiny.pt"))["state"])
    return "weights are what they were, also from the cleared copy, under the names of `load_state_dict`"


@trial("easyocr", "easyocr", "`detection.get_detector(path)` of a CRAFT checkpoint")
def _easyocr(folder: Path) -> str:
    import safe_load
    import torch
    from easyocr.craft import CRAFT
    from easyocr.detection import get_detector

    model = torch.nn.DataParallel(CRAFT())
    path = folder / "craft_mlt_25k.pth"
    torch.save(model.state_dict(), path, _use_new_zipfile_serialization=False)
    with safe_load.guard():
        same(model.module, get_detector(str(path), device="cpu", quantize=False))
    same(model, use_it(cleared(path))["state"])
    return "weights are what they were, also from the cleared copy, under the names of `load_state_dict`"


@trial(
    "ultralytics",
    "ultralytics",
    '`YOLO("best.pt")`; `load_state_dict(safe_load.load_file("best.pt"))`',
)
def _ultralytics(folder: Path) -> str:
    os.environ.setdefault("YOLO_CONFIG_DIR", str(folder))
    import safe_load
    from ultralytics import YOLO

    YOLO("yolov8n.yaml").save(folder / "best.pt")
    # Its import looks up a host name, which is a finding.
    with safe_load.guard(fail_on="never"):
        try:
            YOLO(str(folder / "best.pt"))
        except Exception as error:  # noqa: BLE001 - whichever the library makes of it
            said = type(error).__name__
        else:
            raise AssertionError("a stand-in made a model")
    state = safe_load.load_file(folder / "best.pt")
    YOLO("yolov8n.yaml").model.load_state_dict(state)
    return (
        f'`YOLO("best.pt")` ends in {said}: its model is an object of its own classes, and stand-ins compute '
        'nothing. `load_file` gives all tensors under the names that `YOLO("yolov8n.yaml").model.load_state_dict` '
        "takes. Where ultralytics is installed, its import in the room looks up a host name; a note tells of it"
    )
