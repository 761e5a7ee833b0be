"""The names that files of weights have, and of what lies beside them: the one table.

Zone: controller. The inventory of a folder and the choice among a hub's files both go by it.
"""

from __future__ import annotations

import re

#: Extensions of files that hold, or may hide, a pickle or tensors.
EXTENSIONS = frozenset(
    ".bin .pt .pth .ckpt .pkl .pickle .joblib .dill .safetensors .pt2 .npy .npz .mar .tar".split()
)
#: The same of other formats. In a folder they are weights only where no file has one of those above: many
#: repositories hold one model in several formats.
FURTHER = frozenset(
    (
        ".gguf .onnx .h5 .hdf5 .keras .msgpack .tflite .ot .pdparams .params .ubj .cbm "
        ".nemo .skops .zip .7z .zst .tgz .gz .bz2 .xz .z .mlmodel .xgb .lgb .cb"
    ).split()
)
#: Files of which the values take more room than they do: bytes that are written for each byte of them.
GROWTH = {".gguf": 32, ".h5": 64, ".hdf5": 64, ".keras": 64}
#: Where the OpenSSF model-signing format puts the signature of a folder.
SIGNATURE = "model.sig"
#: Pickles that belong to a training run, not to the model: no load opens them; where they are, they
#: are opened and judged, never exported.
COMPANION = re.compile(
    r"(training_args|optimizer|scheduler|scaler|rng_state|random_states|trainer_state|normalizer)"
    r"[-_.\d]*\.(bin|pt|pth|pkl)"
)
#: A torch distributed checkpoint: the file that lists what lies in the others of its folder, and these.
LIST, LISTED = ".metadata", ".distcp"
#: An orbax checkpoint: the list of one in OCDBT, that of each process in it, the description of one in zarr arrays,
#: and what describes such an array.
OCDBT, OCDBT_PROCESS = "manifest.ocdbt", re.compile(r"(?:.*/)?ocdbt\.process_\d+/manifest\.ocdbt")
ORBAX, ZARR, ZARR_GROUP = "_METADATA", (".zarray", "zarr.json"), ".zgroup"
#: Folders of such a checkpoint, as training programs name them: what is no weights, and what stands in
#: the place of a model's weights in the folder above (Accelerate's).
COMPANION_FOLDER = re.compile(r"(optim|optimizer|scheduler|dataloader|extra_state)[-_.\d]*")
MODEL_FOLDER = re.compile(r"pytorch_model(_fsdp)?_\d+")
#: DeepSpeed's ZeRO: what a rank holds of the weights, beside the files that describe the model, of which
#: the first that is there is read; the folders that these lie in.
PARTITION, STATES = "_optim_states.pt", "_model_states.pt"
DESCRIBES = ("mp_rank_00_model_states.pt", "zero_pp_rank_0_mp_rank_00_model_states.pt")
STEP_FOLDER = re.compile(r"global_step\d+")
#: One file of several that hold a model together: its base, its number, their count.
SHARD = re.compile(r"(.+)-(\d{5})-of-(\d{5})\.(?:bin|safetensors)")
#: Weight files as transformers, peft, diffusers and open_clip name them, each with what it is exported as.
CANONICAL = {
    "pytorch_model": "model",
    "model": "model",
    "adapter_model": "adapter_model",
    "open_clip_pytorch_model": "open_clip_model",
    "open_clip_model": "open_clip_model",
    "diffusion_pytorch_model": "diffusion_pytorch_model",
}
#: In the order in which transformers, peft, diffusers and open_clip look: of each row, the first file that is
#: there is loaded.
FIRST = (
    ("model.safetensors", "pytorch_model.bin"),
    ("adapter_model.safetensors", "adapter_model.bin"),
    ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin"),
    ("open_clip_model.safetensors", "open_clip_pytorch_model.bin"),
)
