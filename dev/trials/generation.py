"""diffusers: pipelines, single files, LoRAs in the forms of diffusers and of kohya, textual inversions."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from dev.trials import cleared, same, trial, use_it

if TYPE_CHECKING:
    from pathlib import Path

_LEVELS = 2
_FACTS = {"ss_network_module": "networks.lora", "ss_base_model_version": "sd_v1"}


@trial(
    "diffusers",
    "diffusers",
    "`DiffusionPipeline.from_pretrained`, `from_single_file` of a VAE and a ControlNet, `load_lora_weights` of "
    "diffusers' and kohya's files, `load_textual_inversion`",
)
def _diffusers(folder: Path) -> str:
    import safe_load
    import torch
    from diffusers import AutoencoderKL, ControlNetModel, DiffusionPipeline
    from safetensors import safe_open

    made = _pipeline(folder)
    made.save_pretrained(folder / "pipe", safe_serialization=False)
    control = ControlNetModel.from_unet(made.unet)
    control.save_pretrained(folder / "control")
    torch.save({"state_dict": _as_original(made.vae)}, folder / "vae.ckpt")
    torch.save(control.state_dict(), folder / "control.pth")
    _write_loras(made.unet, folder)
    vectors = {"string_to_param": {"*": torch.randn(2, 32)}, "string_to_token": {"*": 265}}
    torch.save(vectors | {"name": "my-style", "step": 9}, folder / "style.pt")
    torch.save({"<toy>": torch.randn(32)}, folder / "learned_embeds.bin")

    expected = _all_of_it(folder, made)
    vae = AutoencoderKL.from_single_file(str(folder / "vae.ckpt"), config=str(folder / "pipe/vae"))
    same(made.vae, vae)
    with safe_load.guard():
        _check(expected, _all_of_it(folder, DiffusionPipeline.from_pretrained(folder / "pipe")))
        config = {"config": str(folder / "pipe" / "vae")}
        same(made.vae, AutoencoderKL.from_single_file(str(folder / "vae.ckpt"), **config))
        config = {"config": str(folder / "control")}
        same(control, ControlNetModel.from_single_file(str(folder / "control.pth"), **config))

    place = cleared(folder / "pipe")
    _check(expected, _all_of_it(folder, use_it(place)["pipeline"], cleared))
    use_it(cleared(folder / "kohya.safetensors"), pipeline=made)
    assert (_image(made) == expected[2]).all()
    same(control, use_it(cleared(folder / "control"))["model"])
    (file,) = cleared(folder / "kohya.safetensors").glob("*.safetensors")
    with safe_open(file, "pt") as opened:
        assert opened.metadata() == {"format": "pt", **_FACTS}
    (file,) = cleared(folder / "vae.ckpt").glob("*.safetensors")
    same(made.vae, AutoencoderKL.from_single_file(str(file), config=str(place / "vae")))
    (file,) = cleared(folder / "control.pth").glob("*.safetensors")
    config = {"config": str(cleared(folder / "control"))}
    same(control, ControlNetModel.from_single_file(str(file), **config))
    return "images and weights are what they were, also from the cleared copy"


def _pipeline(folder: Path) -> Any:
    from diffusers import (
        AutoencoderKL,
        DDIMScheduler,
        StableDiffusionPipeline,
        UNet2DConditionModel,
    )
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    letters = [chr(33 + number) for number in range(94)]
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {word: number for number, word in enumerate(words)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    files = str(folder / "vocab.json"), str(folder / "merges.txt")
    text = CLIPTextConfig(
        vocab_size=len(words),
        hidden_size=32,
        intermediate_size=37,
        num_hidden_layers=1,
        num_attention_heads=4,
        bos_token_id=len(words) - 2,
        eos_token_id=len(words) - 1,
    )
    sizes: dict[str, Any] = {"block_out_channels": (32, 64), "norm_num_groups": 8}
    unet = UNet2DConditionModel(
        **sizes,
        layers_per_block=1,
        sample_size=8,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=32,
        attention_head_dim=4,
    )
    vae = AutoencoderKL(
        **sizes,
        down_block_types=["DownEncoderBlock2D"] * _LEVELS,
        up_block_types=["UpDecoderBlock2D"] * _LEVELS,
    )
    tokenizer = CLIPTokenizer(*files, model_max_length=77)
    return StableDiffusionPipeline(
        vae,
        CLIPTextModel(text),
        tokenizer,
        unet,
        DDIMScheduler(),
        None,
        None,
        requires_safety_checker=False,
    )


def _image(pipe: Any, prompt: str = "a cat") -> Any:
    import torch

    pipe.set_progress_bar_config(disable=True)
    seed = torch.Generator().manual_seed(0)
    asked = {"num_inference_steps": 2, "height": 16, "width": 16, "output_type": "np"}
    return pipe(prompt, generator=seed, **asked).images


def _write_loras(unet: Any, folder: Path) -> None:
    """One of diffusers, whose alpha is in the metadata alone, and one of kohya."""
    import torch
    from diffusers import StableDiffusionPipeline
    from diffusers.training_utils import _collate_lora_metadata
    from diffusers.utils import convert_state_dict_to_diffusers, convert_state_dict_to_kohya
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict
    from safetensors.torch import save_file

    config = LoraConfig(
        r=4, lora_alpha=16, target_modules=["to_q", "to_k"], init_lora_weights=False
    )
    unet.add_adapter(config)
    layers = get_peft_model_state_dict(unet)
    StableDiffusionPipeline.save_lora_weights(
        folder / "lora",
        unet_lora_layers=convert_state_dict_to_diffusers(layers),
        **_collate_lora_metadata({"unet": unet}),
    )
    unet.delete_adapters(["default"])
    kohya = {
        name: torch.tensor(2.0) if name.endswith(".alpha") else tensor
        for name, tensor in convert_state_dict_to_kohya(
            {f"unet.{name}": tensor for name, tensor in layers.items()}
        ).items()
    }
    assert all(name.startswith("lora_unet_") for name in kohya)
    save_file(kohya, folder / "kohya.safetensors", metadata=_FACTS)


def _all_of_it(folder: Path, pipe: Any, where: Any = lambda place: place) -> list[Any]:
    """Images of a pipeline by itself, with each LoRA, and with the words of the inversions. where: gives
    the place of each file."""
    images = [_image(pipe)]
    for name in ("lora", "kohya.safetensors"):
        place = where(folder / name)
        pipe.load_lora_weights(place if place.is_dir() else str(place))
        images.append(_image(pipe))
        pipe.unload_lora_weights()
    for name in ("style.pt", "learned_embeds.bin"):
        place = where(folder / name)
        if place.is_dir():
            (place,) = place.glob("*.safetensors")
        pipe.load_textual_inversion(str(place))
    images.append(_image(pipe, "my-style <toy>"))
    return images


def _check(expected: list[Any], got: list[Any]) -> None:
    plain, *others = expected
    assert all((plain != other).any() for other in others)
    for number, (one, other) in enumerate(zip(expected, got, strict=True)):
        assert (one == other).all(), number


def _as_original(vae: Any) -> dict[str, Any]:
    """A VAE's state dict as Stable Diffusion's own code names it."""
    last = _LEVELS - 1
    rules: list[tuple[str, Any]] = [
        (r"conv_shortcut", "nin_shortcut"),
        (r"conv_norm_out", "norm_out"),
        (r"mid_block\.attentions\.0\.", "mid.attn_1."),
        (r"mid_block\.resnets\.(\d)", lambda found: f"mid.block_{int(found[1]) + 1}"),
        (r"down_blocks\.(\d)\.resnets\.", r"down.\1.block."),
        (r"down_blocks\.(\d)\.downsamplers\.0\.", r"down.\1.downsample."),
        (r"up_blocks\.(\d)\.resnets\.", lambda found: f"up.{last - int(found[1])}.block."),
        (r"up_blocks\.(\d)\.upsamplers\.0\.", lambda found: f"up.{last - int(found[1])}.upsample."),
        (r"attn_1\.group_norm", "attn_1.norm"),
        (r"attn_1\.to_([qkv])", r"attn_1.\1"),
        (r"attn_1\.to_out\.0", "attn_1.proj_out"),
    ]
    named = {}
    for name, tensor in vae.state_dict().items():
        for pattern, instead in rules:
            name = re.sub(pattern, instead, name)  # noqa: PLW2901
        linear = "attn_1" in name and name.endswith("weight") and "norm" not in name
        named[name] = tensor[:, :, None, None] if linear else tensor
    return named
