"""Do what a trusting user would do with a model, in a room where every system call is recorded.

Zone: worker, untrusted from the first byte it opens. Nothing that comes from here is exported: the
tables of tensors are compared with what extraction read without running anything, and the rest is
for the report. Importing this module imports neither torch nor transformers; `PRELOAD` names what
the room should import before the seccomp wall closes.
"""

from __future__ import annotations

import gc
import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from safe_load.worker import detonate

if TYPE_CHECKING:
    from collections.abc import Sequence

_WEIGHTS = ("torch", "safe_load.worker.detonate.weights")
#: What nearly every architecture imports anyway, in the order in which it would. A model's own
#: module is left to the load itself: there are hundreds.
_MODEL = (
    *_WEIGHTS,
    "transformers",
    "transformers.modeling_utils",
    "transformers.models.auto.modeling_auto",
    "transformers.models.auto.tokenization_auto",
    "transformers.generation.utils",
    "transformers.masking_utils",
    "transformers.modeling_layers",
    "transformers.processing_utils",
    "safe_load.worker.detonate.transformers_walk",
)
#: The room takes the names of our modules off the process before `main`: a model's code runs in it.
UNNAMED = True
#: Depth -> modules that the room imports ahead, in order.
PRELOAD: dict[str, tuple[str, ...]] = {"weights": _WEIGHTS, "model": _MODEL, "run": _MODEL}

_ENVIRONMENT = {
    # The room's own user. With a name set, getpass never asks /etc/passwd or nscd.
    "USER": "ubuntu",
    "LOGNAME": "ubuntu",
    "LANG": "C.UTF-8",
    # One thread each: a thread started by an import would escape a seccomp filter set after it,
    # and would not survive a fork.
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "RAYON_NUM_THREADS": "1",
    # h5py: the file is locked by nobody else, and HDF5 looks for no plugins on the machine
    # (HDF5's "Environment Variables": "::" as the plugins to load ahead forbids loading any).
    "HDF5_USE_FILE_LOCKING": "FALSE",
    "HDF5_PLUGIN_PRELOAD": "::",
    # Not TensorFlow, which looks at the machine and starts threads: nobody could tell a model's doing from that.
    "KERAS_BACKEND": "torch",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_DEACTIVATE_ASYNC_LOAD": "1",
    # An honest load stays silent on the network, so that whatever does speak is the model's doing.
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DISABLE_SAFETENSORS_CONVERSION": "1",
    # A progress bar takes a multiprocessing lock: a file in /dev/shm and a thread.
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
    "CUDA_VISIBLE_DEVICES": "",
}


#: Architectures (folders of transformers.models) whose modules a warm room imports ahead: with all
#: of them it takes half a second more, and a load that finds its own there 50 ms less.
FAMILIES = (
    *("bert", "roberta", "xlm_roberta", "distilbert", "albert", "electra", "deberta_v2", "mpnet"),
    *("gpt2", "gpt_neo", "gpt_neox", "gptj", "opt", "bloom", "llama", "mistral", "mixtral"),
    *("qwen2", "qwen3", "gemma", "gemma2", "gemma3", "phi", "phi3", "modernbert"),
    *("t5", "bart", "mbart", "marian", "vit", "clip", "siglip", "whisper", "wav2vec2"),
)
_PARTS = ("configuration", "modeling", "tokenization", "processing", "image_processing")


def prepare() -> None:
    """Set the process up for `main`: no network, no threads, no user, no random numbers that another
    process forked from the same one also gets. Call it before any import, and after a fork."""
    os.environ.update(_ENVIRONMENT)
    sys.dont_write_bytecode = True
    _reseed()


def _reseed() -> None:
    """Fresh entropy for the generators of the modules that are imported already."""
    for name in ("random", "numpy.random"):
        if module := sys.modules.get(name):
            module.seed()
    if torch := sys.modules.get("torch"):
        torch.default_generator.seed()


def warm_up() -> None:
    """In a warm room: do once what every load does, on a model of a few hundred bytes of our own, so
    that what is imported, compiled or cached on first use is there. Call it after the preloads."""
    if "safe_load.worker.detonate.transformers_walk" in sys.modules:
        _part("first_load").run(
            main, [f"{family}.{part}_{family}" for family in FAMILIES for part in _PARTS]
        )


def main(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:  # noqa: ARG001 - a room's entry
    """Open each file, use what it gives, and from depth "model" on walk what the config steers.

    argument: {"files": [{"path", "name", "format"}], "others": [{"path", "name"}], of which those are
    opened that are pickles or hold some, "depth": "weights" | "model" | "run",
    "folder": path, "fingerprint_budget": bytes to digest of each tensor}. Returns {"files",
    "steps", "model"}, less than 48 MB as JSON. Raises only what it cannot attribute to the model:
    an argument of the wrong form.
    """
    # Here and not above: the room sets the environment first, and torch reads it when imported.
    loaders, weights = _part("loaders"), _part("weights")
    # What the imports made is not the model's garbage: collecting it would take most of the time.
    gc.freeze()
    tables = weights.Tables(budget=int(argument["fingerprint_budget"]))
    files = [
        weights.detonate(file["path"], file["name"], file["format"], tables)
        for file in argument["files"]
    ]
    for other in argument.get("others", ()):
        if loaders.is_candidate(other["path"]):
            tried = weights.detonate(other["path"], other["name"], "unknown", tables)
            # Nobody said that it holds weights: what it gave is not compared, why it failed is no news.
            files.append(tried | {"ok": False, "error": None, "tensors": []})
    steps: list[dict[str, Any]] = []
    model = None
    if argument["depth"] != "weights":
        tables_of = {file["name"]: file["tensors"] for file in files if file["ok"]}
        walk = _part("transformers_walk").Walk(argument["folder"], tables_of)
        model = walk.run(with_weights=argument["depth"] == "run")
        steps = walk.steps
    return {"files": files, "steps": steps, "model": model}


def _part(name: str) -> Any:
    """A module of this package. In a room it was imported ahead and has lost its name: the package
    holds it."""
    return getattr(detonate, name, None) or import_module(f"safe_load.worker.detonate.{name}")
