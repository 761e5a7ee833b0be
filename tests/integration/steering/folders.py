"""Folders that steer transformers 5.23, each in one way: what it is, and what a trusting user calls.

Every effect is harmless: a file that appears, a request to a server on loopback, a value that was
read outside of the folder, an object that is not what was asked for.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
import transformers
from safetensors.torch import save_file

from tests.integration.honest import tokenizers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SECRET = "canarysecret"
_BERT = {
    "model_type": "bert", "vocab_size": 64, "hidden_size": 16, "num_hidden_layers": 1,
    "num_attention_heads": 2, "intermediate_size": 32, "max_position_embeddings": 32,
}  # fmt: skip
_CODE = "import os\nopen(os.environ['CANARY'], 'w').close()\n"


@dataclass(frozen=True)
class Case:
    """make: writes the folder; outside: a folder beside it, which is not the model's; action: what the
    user calls, with `folder`, `transformers`, `torch` and `SECRET` at hand; its value, true or false,
    is the effect where that is "value". repository: which one is asked for. findings: of which one must be among the report's, none if
    what is asked for is only left out."""

    make: Callable[[Path, Path], None]
    action: str
    effect: Literal["file", "request", "value"]
    findings: tuple[str, ...] = ("SL503",)
    repository: str = ""


def write(folder: Path, name: str, value: Any) -> None:
    place = folder / name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(value if isinstance(value, str) else json.dumps(value), "utf-8")


def _weights(folder: Path) -> None:
    config = transformers.BertConfig(**_BERT)
    transformers.BertModel(config).save_pretrained(folder)


def _config(extra: dict[str, Any], *, code: bool = False) -> Callable[[Path, Path], None]:
    def make(folder: Path, _: Path) -> None:
        _weights(folder)
        write(folder, "config.json", _BERT | extra)
        if code:
            write(folder, "evil.py", _CODE)

    return make


def _bare(config: dict[str, Any]) -> Callable[[Path, Path], None]:
    """A configuration beside a weight of no meaning."""

    def make(folder: Path, _: Path) -> None:
        save_file({"w": torch.zeros(1)}, folder / "model.safetensors")
        write(folder, "config.json", config)
        write(folder, "evil.py", _CODE)

    return make


def _redirected(folder: Path, _: Path) -> None:
    _weights(folder)
    write(folder, "config.json", _BERT | {"configuration_files": ["config.4.0.0.json"]})
    evil = {"model_type": "evil", "auto_map": {"AutoConfig": "evil.Evil"}}
    write(folder, "config.4.0.0.json", evil)
    write(folder, "evil.py", _CODE)


def _tokenizer(
    extra: dict[str, Any], *, vocabulary: bool = True, model_type: str = "bert"
) -> Callable[[Path, Path], None]:
    def make(folder: Path, outside: Path) -> None:
        _weights(folder)
        tokenizers.PLAIN["lines of words"](folder)
        write(folder, "config.json", _BERT | {"model_type": model_type})
        write(outside, "vocab.txt", f"[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n{SECRET}\n")
        if not vocabulary:
            (folder / "vocab.txt").unlink()
        text = json.dumps({"tokenizer_class": "BertTokenizer"} | extra)
        write(folder, "tokenizer_config.json", text.replace("OUTSIDE", str(outside)))
        write(folder, "evil.py", _CODE)

    return make


def _other_tokenizer(folder: Path, outside: Path) -> None:
    """fast_tokenizer_files: a name that is found anywhere in the string is followed."""
    _weights(folder)
    tokenizers.PLAIN["wordpiece tokenizer.json"](folder)
    write(folder, "config.json", _BERT)
    whole = json.loads((folder / "tokenizer.json").read_bytes())
    whole["model"]["vocab"][SECRET] = 1 + max(whole["model"]["vocab"].values())
    write(outside, "tokenizer.1.0.json", whole)
    config = json.loads((folder / "tokenizer_config.json").read_bytes())
    listed = {"fast_tokenizer_files": [f"../{outside.name}/tokenizer.1.0.json"]}
    write(folder, "tokenizer_config.json", config | listed)


def _processor(name: str, extra: dict[str, Any]) -> Callable[[Path, Path], None]:
    def make(folder: Path, _: Path) -> None:
        tokenizers.PLAIN["letters"](folder)
        save_file({"w": torch.zeros(1)}, folder / "model.safetensors")
        write(folder, name, extra)
        write(folder, "evil.py", _CODE)

    return make


def _index(target: str) -> Callable[[Path, Path], None]:
    """An index that names a file outside, or one that is no safetensors file."""

    def make(folder: Path, outside: Path) -> None:
        config = transformers.BertConfig(**_BERT)
        model = transformers.BertModel(config)
        write(folder, "config.json", _BERT)
        state = {
            name: torch.full_like(value, 7.0)
            for name, value in model.state_dict().items()
            if value.is_floating_point()
        }
        shard = target.replace("OUTSIDE", str(outside)).replace("UP", f"../{outside.name}")
        place = folder / shard
        if shard.endswith(".bin"):
            torch.save(state, place)
        else:
            save_file(state, place)
        table = {"metadata": {}, "weight_map": dict.fromkeys(state, shard)}
        write(folder, "model.safetensors.index.json", table)
        save_file({"w": torch.zeros(1)}, folder / "other.safetensors")

    return make


def _generate(folder: Path, _: Path) -> None:
    config = transformers.GPT2Config(vocab_size=64, n_embd=16, n_layer=1, n_head=2, n_positions=32)
    transformers.GPT2LMHeadModel(config).save_pretrained(folder)
    write(
        folder,
        "custom_generate/generate.py",
        _CODE + "def generate(model, **kwargs): return None\n",
    )


_READ_OUTSIDE = "SECRET in transformers.AutoTokenizer.from_pretrained(folder).get_vocab()"
_SEVENS = (
    "float(transformers.AutoModel.from_pretrained(folder, use_safetensors=True)"
    ".embeddings.word_embeddings.weight.detach().mean()) == 7.0"
)
_ASKED = {"auto_map": {"AutoConfig": "evil.Evil", "AutoModel": "evil.Evil", "AutoTokenizer": ["evil.Evil", None],
                       "AutoProcessor": "evil.Evil", "AutoImageProcessor": "evil.Evil",
                       "AutoFeatureExtractor": "evil.Evil"}}  # fmt: skip

CASES: dict[str, Case] = {
    "code for the configuration": Case(
        _bare({"model_type": "evil"} | _ASKED), "transformers.AutoConfig.from_pretrained(folder)", "file"
    ),
    "code in a part of the configuration, which was refused for the whole": Case(
        _bare(
            {
                "model_type": "encoder-decoder",
                "encoder": _BERT,
                "decoder": {
                    "model_type": "vit",
                    "auto_map": {"AutoModelForCausalLM": "canary-code/x--evil.Evil"},
                },
            }
        ),
        "transformers.EncoderDecoderModel.from_pretrained(folder, trust_remote_code=False)",
        "request",
        repository="canary-code/x",
    ),
    "code for the tokenizer": Case(
        _tokenizer(
            {
                "tokenizer_class": "EvilTokenizer",
                "auto_map": {"AutoTokenizer": ["evil.Evil", "evil.Evil"]},
            },
            model_type="evil",
        ),
        "transformers.AutoTokenizer.from_pretrained(folder)", "file",
    ),
    "code for the processor": Case(
        _processor("processor_config.json", {"processor_class": "Evil"} | _ASKED),
        "transformers.AutoProcessor.from_pretrained(folder)", "file",
    ),
    "code for the feature extractor": Case(
        _processor("preprocessor_config.json", {"feature_extractor_type": "EvilFeatureExtractor"} | _ASKED),
        "transformers.AutoFeatureExtractor.from_pretrained(folder)", "file",
    ),
    "code to generate with": Case(
        _generate, "transformers.AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True)", "file", ("SL502",)
    ),
    "code behind another configuration": Case(
        _redirected, "transformers.AutoConfig.from_pretrained(folder)", "file"
    ),
    "a backbone from the hub, without the network": Case(
        _bare({"model_type": "maskformer", "backbone": "canary-backbone/x", "use_timm_backbone": False}),
        "transformers.AutoConfig.from_pretrained(folder, local_files_only=True)", "request",
    ),
    "an audio tokenizer from the hub": Case(
        _processor("processor_config.json", {
            "processor_class": "Wav2Vec2Processor",
            "audio_tokenizer": {"audio_tokenizer_class": "DacModel",
                                "audio_tokenizer_name_or_path": "canary-audio/x"},
        }),
        "transformers.AutoProcessor.from_pretrained(folder)", "request",
    ),
    "a dtype that is none": Case(
        _config({"dtype": "Tensor"}),
        "not isinstance(transformers.AutoConfig.from_pretrained(folder).dtype, (torch.dtype, type(None)))",
        "value",
    ),
    "a tokenizer that is none": Case(
        _tokenizer({"tokenizer_class": "BertModel"}),
        "'Tokenizer' not in type(transformers.AutoTokenizer.from_pretrained(folder)).__name__", "value",
    ),
    "a vocabulary outside, by its path": Case(
        _tokenizer({"vocab": "OUTSIDE/vocab.txt"}, vocabulary=False), _READ_OUTSIDE, "value"
    ),
    "a vocabulary outside, as a first argument": Case(
        _tokenizer({"init_inputs": ["OUTSIDE/vocab.txt"]}, vocabulary=False), _READ_OUTSIDE, "value"
    ),
    "a tokenizer outside, by a version": Case(_other_tokenizer, _READ_OUTSIDE, "value"),
    "weights outside, by an index": Case(_index("UP/model.safetensors"), _SEVENS, "value", ("SL505",)),
    "weights outside, by an absolute path": Case(
        _index("OUTSIDE/model.safetensors"), _SEVENS, "value", ("SL505",)
    ),
    "a pickle, by an index of safetensors": Case(_index("evil.bin"), _SEVENS, "value", ()),
    "a size that no model has": Case(
        _config({"vocab_size": 1 << 45}),
        "'alloc' in str(raised(lambda: transformers.AutoModel.from_config("
        "transformers.AutoConfig.from_pretrained(folder)))).lower()",
        "value", ("SL603",),
    ),
    "a template that runs code where nothing holds it": Case(
        _tokenizer({"chat_template": "{{ cycler.__init__.__globals__.os.close("
                                     "cycler.__init__.__globals__.os.open(canary, 65)) }}"}),
        "__import__('jinja2').Template(transformers.AutoTokenizer.from_pretrained(folder).chat_template or '')"
        ".render(canary=__import__('os').environ['CANARY'])",
        "file", ("SL504",),
    ),
}  # fmt: skip
